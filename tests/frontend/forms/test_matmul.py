"""Products with a weight, in all words that Keras has for them, are one MatMul without arithmetic on shapes."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.frontend.building import branches, chain, export, layers, operators
from tests.frontend.forms.inside import calling

L, ops = layers, keras.ops
WEIGHT = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
ON_A_SEQUENCE = {
    "dense": L.Dense(3), "matrix": calling(lambda x: ops.matmul(x, WEIGHT[:, 0])), "vector": calling(lambda x: ops.matmul(x, WEIGHT[:, 0, 0])),
    "from left": calling(lambda x: ops.matmul(WEIGHT[:, 0, 0], ops.transpose(x, (0, 2, 1)))), "dot": calling(lambda x: ops.dot(x, WEIGHT[:, 0])),
    "dot with three axes": calling(lambda x: ops.dot(x, WEIGHT.transpose(1, 0, 2))), "tensordot": calling(lambda x: ops.tensordot(x, WEIGHT, 1)),
    "named axes": calling(lambda x: ops.tensordot(x, WEIGHT, [[-1], [0]])), "weight first": calling(lambda x: ops.einsum("cde,abc->adbe", WEIGHT, x)),
    "einsum dense": L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d", activation="relu"),
    "heads": L.EinsumDense("abc,cde->abde", (None, 2, 5), bias_axes="de"), "turned": L.EinsumDense("abc,cde->aebd", (5, None, 2), bias_axes="ed"),
    "back": [L.EinsumDense("abc,cde->abde", (None, 2, 5)), L.EinsumDense("abde,def->abf", (None, 3), bias_axes="f")],
}


@pytest.mark.parametrize("length", [6, None])
def test_products_with_a_weight(length: int | None) -> None:
    exported = export(branches((length, 4), ON_A_SEQUENCE))
    found = operators(exported)
    assert found["MatMul"] == 9  # of 14, five being the same product in other words
    assert not set(found) - {"Add", "Identity", "MatMul", "Relu", "Reshape", "Transpose"}
    assert exported.report.numbers["parity"]["relative"] < 1e-6


def test_half_precision_and_integers() -> None:
    x = keras.Input((3, 4), name="x", dtype="int32")
    whole = keras.Model(x, calling(lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1))))(x))
    assert operators(export(whole))["MatMul"] == 1
    half = chain((3, 4), L.Dense(3, dtype="float16"), L.EinsumDense("abc,cde->abde", (None, 2, 5), dtype="float16"))
    assert operators(export(half))["MatMul"] == 2
