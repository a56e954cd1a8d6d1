"""Where the largest number is, and signs, as the operators that ONNX has."""

from __future__ import annotations

import keras
import numpy as np

from tests.frontend.building import operators
from tests.frontend.calling import agree, functions

K = keras.ops


def test_the_largest_is_one_operator() -> None:
    exported = functions({
        "row": lambda x: K.argmax(x, -1), "all": K.argmax, "kept": lambda x: K.argmin(x, 1, keepdims=True), "all kept": lambda x: K.argmin(x, keepdims=True),
    }, ((4, 6), "float32"))
    assert set(operators(exported)) <= {"ArgMax", "ArgMin", "Cast", "Reshape", "Unsqueeze"}
    agree(exported, np.random.default_rng(0).integers(-3, 3, (2, 4, 6)).astype(np.float32) + 0.5)


def test_signs_of_zeros() -> None:
    exported = functions({"sign": K.signbit, "of whole numbers": lambda x: K.signbit(K.cast(x, "int32"))}, ((4,), "float32"))
    agree(exported, np.array([[0.0, -0.0, 2.0, -2.0]], np.float32))
