"""Attention is two MatMul and a Softmax, whatever masks it, and without arithmetic on shapes."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from tests.frontend.building import export, layers, operators, stir
from tests.frontend.forms.inside import calling

L, ops = layers, keras.ops
SHAPES = {"Shape", "Range", "Gather", "GreaterOrEqual"}


def attending(length: int | None, keys: int | None) -> Any:
    """Every way to attend from ``x`` to ``y``, as outputs of one model."""
    x, y = keras.Input((length, 4), name="x"), keras.Input((keys, 4), name="y")
    mask = ops.mean(y, axis=-1) > 0  # of some samples, all keys are masked
    pair = calling(lambda a, b: (ops.mean(b, axis=-1) > -9)[:, None, :] & (ops.mean(a, axis=-1) > 0)[:, :, None])(x, y)
    heads = [L.EinsumDense("abc,cde->abde", (None, n, 3), bias_axes="de")(z) for n, z in ((4, x), (2, y))]
    outputs = {
        "plain": L.MultiHeadAttention(2, 3)(x, y), "dropout": L.MultiHeadAttention(2, 3, dropout=0.1)(x, y),
        "causal": L.MultiHeadAttention(2, 3)(x, y, use_causal_mask=True), "masked": L.MultiHeadAttention(2, 3)(x, y, attention_mask=pair),
        "both": L.MultiHeadAttention(2, 3, value_dim=5)(x, y, attention_mask=pair, use_causal_mask=True),
        "scores": L.MultiHeadAttention(2, 3)(x, y, attention_mask=pair, return_attention_scores=True)[1],
        "window": L.MultiHeadAttention(2, 3, sliding_window=2)(x, y), "gate": L.MultiHeadAttention(2, 3, use_gate=True)(x, y),
        "grouped": L.GroupQueryAttention(3, 4, 2)(x, y), "grouped causal": L.GroupQueryAttention(3, 4, 2)(x, y, use_causal_mask=True),
        "groups": calling(lambda q, k: ops.dot_product_attention(q, k, k))(heads[0], heads[1]),
        "groups causal": calling(lambda q, k: ops.dot_product_attention(q, k, k, scale=0.3, is_causal=True))(heads[0], heads[1]),
        "bias": calling(lambda q, k, m: ops.dot_product_attention(q, k, k, bias=m[:, None, None, :], mask=m[:, None, None, :] > 0))(
            heads[1], heads[1], ops.mean(y, axis=-1)),
        "layer": L.Attention(use_scale=True)([x, y], mask=[None, mask]), "additive": L.AdditiveAttention()([x, y], use_causal_mask=True),
    }
    return stir(keras.Model([x, y], outputs))


@pytest.mark.parametrize(("length", "keys", "opset"), [(6, 7, 23), (None, None, 13)])
def test_every_way_to_attend(length: int | None, keys: int | None, opset: int) -> None:
    exported = export(attending(length, keys), opset=opset)
    assert exported.report.numbers["parity"]["relative"] < 1e-4  # logits of wide inputs are large, and so is their rounding
    found = operators(exported)
    assert "Einsum" not in found
    assert length is None or not SHAPES & set(found)
    assert found.get("Attention", 0) == (3 if opset == 23 else 0)


def test_a_mask_of_the_embedding_is_made_once_for_all_layers() -> None:
    ids = keras.Input((7,), dtype="int32", name="ids")
    x = L.Embedding(9, 4, mask_zero=True)(ids)
    for _ in range(3):
        x = L.MultiHeadAttention(2, 3)(x, x)
    found = operators(export(stir(keras.Model(ids, x))))
    assert found["Where"] == 1
    assert found["MatMul"] == 3 * 6


def test_half_precision_is_widened_between_the_products() -> None:
    x = keras.Input((6, 4), name="x")
    found = operators(export(keras.Model(x, L.MultiHeadAttention(2, 3, dtype="mixed_float16")(x, x, use_causal_mask=True)), opset=18))
    assert found["MatMul"] == 6
    assert found["Softmax"] == 1
