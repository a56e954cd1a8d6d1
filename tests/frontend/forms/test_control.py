"""Control flow of ``keras.ops``: choices become If, loops Loop, and both compute what Keras computes for data that takes either way."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.frontend.building import operators
from tests.frontend.calling import agree, functions

K = keras.ops
ROWS = np.array([[0.1, 0.2, 0.3, 0.05], [-0.4, 0.5, -0.6, 0.7]], np.float32)


def test_choices() -> None:
    def total(x: Any) -> Any:
        return K.clip(K.sum(x), -9, 9)

    exported = functions({
        "cond": lambda x: K.cond(total(x) > 0, lambda: x * 2, lambda: x - 1), "constant": lambda x: K.cond(True, lambda: x * 2, lambda: x),
        "nested": lambda x: K.cond(total(x) > 0, lambda: K.cond(K.max(x) > 1, lambda: x, lambda: x * 3), lambda: x - 1),
        "product": lambda x: K.cond(total(x) > 0, lambda: x @ np.ones((4, 4), np.float32), lambda: x),
        "switch": lambda x: K.switch(K.cast(total(x), "int32") + 1, [lambda x: x, lambda x: x * 2, lambda x: -x], x),
        "beyond": lambda x: K.switch(7, [lambda x: x, lambda x: x * 2], x), "only": lambda x: K.switch(0, [lambda x: x * 3], x),
        "pieces": lambda x: K.argmax(K.cond(total(x) > 0, lambda: x, lambda: -x), -1),
    }, ((4,), "float32"))
    assert operators(exported)["If"] == 7
    for scale in (1, -1, 5, -5, 0, 40):
        agree(exported, ROWS * scale)


def test_loops() -> None:
    exported = functions({
        "while": lambda x: K.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a * 0.5 + 1), (0, x))[1],
        "until": lambda x: K.while_loop(lambda a: K.max(K.abs(a)) > 1, lambda a: (a * 0.5,), (x,))[0],
        "at most": lambda x: K.while_loop(lambda i, a: i < 30, lambda i, a: (i + 1, a * 0.5 + 1), (0, x), maximum_iterations=4)[1],
        "for": lambda x: K.fori_loop(0, 5, lambda i, a: a * 0.9 + K.cast(i, "float32"), x),
        "columns": lambda x: K.fori_loop(0, 3, lambda i, a: a + x[:, i] * K.cast(i, "float32"), K.zeros_like(x[:, 0])),
        "nested": lambda x: K.fori_loop(0, 2, lambda i, a: K.fori_loop(0, 3, lambda j, b: b * 0.9 + 1.0, a) * 0.5, x),
        "lists": lambda x: tf.while_loop(lambda i, t: i < 3, lambda i, t: (i + 1, t.write(i, x[:, i] * 2)), (0, tf.TensorArray(tf.float32, 3)))[1].stack(),
    }, ((4,), "float32"))
    assert operators(exported)["Loop"] == 8
    for scale in (1, -30):
        agree(exported, ROWS * scale)


def test_maps() -> None:
    exported = functions({
        "map": lambda x: K.map(lambda r: K.sum(r * r), x), "pairs": lambda x: K.map(lambda r: r[0] + r[1], (x, x * 2)),
        "vectorized": lambda x: K.vectorized_map(lambda r: K.sum(r * r), x), "top": lambda x: K.map(lambda r: K.top_k(r, 2)[0], x),
        "ours": lambda x: K.map(lambda r: K.cumprod(r) + K.cast(K.searchsorted(K.sort(r), r), "float32"), x),
        "one hot": lambda x: K.map(lambda r: K.one_hot(K.argmax(r, -1), 4), x), "softmax": lambda x: K.map(K.softmax, x),
    }, ((4,), "float32"))
    agree(exported, ROWS)


def test_scans() -> None:
    def step(carry: Any, x: Any) -> Any:
        return carry * 0.5 + x, carry + x

    def turned(x: Any) -> Any:
        return K.transpose(x, (1, 0, 2))

    exported = functions({
        "forwards": lambda x: K.scan(step, K.zeros_like(x[:, 0]), turned(x)), "backwards": lambda x: K.scan(step, x[:, 0], turned(x), reverse=True),
        "free": lambda x: K.scan(step, K.zeros_like(x[0]), x, reverse=True)[1],
        "nothing kept": lambda x: K.scan(lambda c, s: (c * 0.5 + s, None), K.zeros_like(x[:, 0]), turned(x))[0],
        "nothing read": lambda x: K.scan(lambda c, s: (c * 0.5 + 1, c), x, length=3)[1],
    }, ((3, 4), "float32"))
    agree(exported, np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7)
