"""Functions of Keras that are traced another way than Keras computes them."""

from __future__ import annotations

import importlib

import keras
import numpy as np

from converter.frontend.functions import FUNCTIONS, counts, determinant, extrema, plain_functions
from tests.frontend.building import operators
from tests.frontend.calling import agree, functions

K = keras.ops
FAMILIES = (counts, determinant, extrema)


def _there(name: str) -> object:
    module, _, function = name.partition(".")
    return getattr(importlib.import_module(f"keras.src.backend.tensorflow.{module}"), function)


def test_the_largest_is_one_operator() -> None:
    exported = functions({
        "row": lambda x: K.argmax(x, -1), "all": K.argmax, "kept": lambda x: K.argmin(x, 1, keepdims=True), "all kept": lambda x: K.argmin(x, keepdims=True),
    }, ((4, 6), "float32"))
    assert set(operators(exported)) <= {"ArgMax", "ArgMin", "Cast", "Reshape", "Unsqueeze"}
    agree(exported, np.random.default_rng(0).integers(-3, 3, (2, 4, 6)).astype(np.float32) + 0.5)


def test_signs_of_zeros() -> None:
    exported = functions({"sign": K.signbit, "of whole numbers": lambda x: K.signbit(K.cast(x, "int32"))}, ((4,), "float32"))
    agree(exported, np.array([[0.0, -0.0, 2.0, -2.0]], np.float32))


def test_keras_is_as_it_was_afterwards() -> None:
    import tensorflow as tf

    before = {name: _there(name) for name in FUNCTIONS.names()}
    with plain_functions(keras, tf):
        assert all(_there(name) is not function for name, function in before.items())
    assert {name: _there(name) for name in FUNCTIONS.names()} == before
