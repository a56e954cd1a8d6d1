"""Embeddings are a Gather; repeated axes need no shapes."""

from __future__ import annotations

import keras
import numpy as np

from tests.frontend.building import branches, chain, export, layers, operators
from tests.frontend.forms.inside import calling

L, ops = layers, keras.ops


def test_an_embedding_is_a_gather() -> None:
    assert operators(export(chain((7,), L.Embedding(9, 4), dtype="int32"))) == {"Gather": 1}


def test_an_embedding_backwards_is_a_product_with_the_same_weight() -> None:
    layer = L.ReversibleEmbedding(9, 4, tie_weights=True)
    exported = export(chain((7,), layer, calling(lambda x: layer(x, reverse=True)), dtype="int32"))
    assert operators(exported)["Gather"] == 1
    assert operators(exported)["MatMul"] == 1
    assert set(operators(exported)) <= {"Gather", "MatMul", "Transpose"}


def test_taking_and_repeating() -> None:
    found = operators(export(branches((None, 4), {
        "negative": calling(lambda x: ops.take(x, np.array([0, -1]), axis=-1)), "flat": calling(lambda x: ops.take(x, np.array([0, 1]))),
        "last": calling(lambda x: ops.repeat(x, 3, axis=-1)), "free": calling(lambda x: ops.repeat(x, 2, axis=1)),
        "batch": calling(lambda x: ops.repeat(x, 2, axis=0)), "counts": calling(lambda x: ops.repeat(x, np.array([1, 0, 2, 1]), axis=-1)),
    })))
    assert found["Expand"] >= 3
