"""Complex tensors inside a model: moved, multiplied, split; refused where ONNX would compute with the pair as with two numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from converter.errors import ConversionError
from tests.coverage.ops import Call
from tests.frontend.building import branches, export
from tests.frontend.calling import agree, functions


def whole(number: Any) -> Any:
    return tf.concat([tf.math.real(number), tf.math.imag(number)], -1)


def test_arithmetic_and_moves() -> None:
    steps = {
        "product": lambda x: whole(tf.complex(x, x + 1) * tf.complex(x - 2, 3 * x)),
        "constant": lambda x: whole(tf.complex(x, -x) * tf.constant(2 - 3j, tf.complex64)),
        "sum": lambda x: whole(tf.complex(x, x * x) + tf.cast(x, tf.complex64) - tf.constant(1j, tf.complex64)),
        "conjugate": lambda x: whole(tf.math.conj(tf.complex(x, 2 * x))),
        "moved": lambda x: whole(tf.transpose(tf.reshape(tf.complex(x, 2 * x), (-1, 3, 2)), (0, 2, 1))[:, 1:]),
        "joined": lambda x: whole(tf.concat([tf.complex(x, 2 * x), tf.complex(-x, x)], 1)),
        "magnitude": lambda x: tf.abs(tf.complex(x, 2 * x)),
        "angle": lambda x: tf.math.angle(tf.complex(x, x[:, ::-1])),
        "upright": lambda x: tf.math.angle(tf.complex(0 * x, x)),
        "length": lambda x: tf.cast(tf.shape(tf.complex(x, x))[1:], tf.float32) * x[:, :1],
        "dropped": lambda x: tf.math.real(tf.complex(x, 2 * x)) * 2,
    }
    exported = export(branches((6,), {name: Call(step) for name, step in steps.items()}))
    assert exported.report.numbers["parity"]["relative"] < 1e-6


@pytest.mark.parametrize(("step", "text"), [
    (lambda x: tf.abs(tf.exp(tf.complex(x, x))), "layer 'wave'.*Exp has no ONNX form here: it computes with complex numbers"),
    (lambda x: tf.complex(x, x), "a complex tensor cannot be an output"),
])
def test_the_rest_is_refused(step: Any, text: str) -> None:
    with pytest.raises(ConversionError, match=text):
        export(branches((6,), {"y": Call(step, name="wave")}))


def test_products_with_constants_and_conjugates() -> None:
    def product(x: tf.Tensor) -> tf.Tensor:
        z = tf.complex(x[:, :2], x[:, 2:]) * tf.complex(x[:, 2:], x[:, 1:3]) - 1j * tf.cast(x[:, :2], tf.complex64)
        return tf.stack([tf.math.real(tf.math.conj(z)), tf.math.imag(-tf.math.conj(z)), tf.math.imag(z + 2)])

    agree(functions({"product": product}, ((4,), "float32")), np.array([[1, 2, 3, 4]], np.float32), rtol=1e-5)
