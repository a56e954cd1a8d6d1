"""Sums of products, in layers and in keras.ops, are one MatMul each; lengths may be free."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from converter.frontend.forms.axes import merge_target, ordered, split_target
from converter.frontend.forms.einsum import parse, spelled_out
from tests.frontend.building import chain, export, layers, operators, stir
from tests.frontend.forms.inside import calling

L, ops = layers, keras.ops
PAIRS = {
    "bij,bkj->bik": "MatMul Transpose", "bthd,bshd->bhts": "MatMul Transpose Transpose", "bhts,bshd->bthd": "MatMul Transpose Transpose",
    "bi,bj->bij": "Mul Reshape Reshape", "bij,bij->bij": "Mul", "bi,bi->b": "MatMul Reshape Reshape Reshape",
    "bhwc,bijc->bhwij": "MatMul Reshape Reshape Reshape Transpose", "bij,bjkl->bkil": "MatMul Reshape Reshape Transpose",
}
SIZES = {"i": 3, "j": 4, "k": 5, "l": 2, "t": 6, "s": 7, "h": 2, "d": 3, "w": 4, "c": 5}


def test_every_product_of_two_tensors() -> None:
    inputs, outputs, wanted = [], {}, ""
    for name, (equation, kinds) in enumerate(PAIRS.items()):
        terms = equation.split("->")[0].split(",")
        pair = [keras.Input([SIZES[c] for c in term[1:]], name=f"{side}{name}") for side, term in zip("xy", terms, strict=True)]
        inputs, wanted = [*inputs, *pair], f"{wanted} {kinds}"
        outputs[f"p{name}"] = calling(lambda a, b, e=equation: ops.einsum(e, a, b))(*pair)
    found = operators(export(keras.Model(inputs, outputs)))
    assert found == {kind: wanted.split().count(kind) for kind in sorted(set(wanted.split()))}


def test_the_bias_stands_in_front_of_the_split_into_heads() -> None:
    exported = export(chain((6, 4), L.EinsumDense("abc,cde->abde", (None, 2, 5), bias_axes="de", name="heads")))
    assert [node.op_type for node in exported.graph.graph] == ["MatMul", "Add", "Reshape"]


def test_what_is_no_product_stays_an_einsum() -> None:
    x = keras.Input((3, 4), name="x")
    outputs = [calling(lambda x: ops.einsum("bij->bj", x))(x), calling(lambda x: ops.einsum("bij,bi->b", x, x[..., 0]))(x)]
    assert operators(export(stir(keras.Model(x, outputs))))["Einsum"] >= 1


@pytest.mark.parametrize("equation", ["ab->ba", "aa,ab->b", "a...,b->ab", "ab,cd->ac", "ab,bc", "a,b,c->abc"])
def test_equations_that_are_no_product_of_matrices(equation: str) -> None:
    assert parse(equation) is None


def test_an_ellipsis_is_spelled_out() -> None:
    assert spelled_out("...,a->...a", [2, 1]) == "bc,a->bca"
    assert spelled_out("...a,...b->ab", [2, 3]) == "...a,...b->ab"
    assert spelled_out("...a,b->...", [None, 1]) == "...a,b->..."


def test_free_lengths_that_cannot_be_merged_are_spread() -> None:
    x, y = keras.Input((None, 2, 2, 3), name="x"), keras.Input((None, 2, 3), name="y")
    scores = calling(lambda x, y: ops.einsum("btkgh,bskh->bkgts", x, y))(x, y)
    weight = np.random.default_rng(1).normal(size=(5, 2, 3)).astype(np.float32)
    outputs = [scores, calling(lambda s, y: ops.einsum("bkgts,bskh->btkgh", s, y))(scores, y), calling(lambda y: ops.einsum("ibnd,hnd->ibnh", y, weight))(y)]
    found = operators(export(keras.Model([x, y], outputs)))
    assert found["MatMul"] == 3
    assert not {"Einsum", "Shape"} & set(found)


def test_letters_by_kind() -> None:
    found = parse("bthd,bshd->bhts")
    assert found is not None
    assert (found.batch, found.rows, found.columns, found.summed) == ("bh", "t", "s", "d")
    assert found.turned.turned == found


def test_targets_of_reshapes() -> None:
    sizes = {"b": None, "t": None, "h": 2, "d": 3}
    assert ordered("bth", "bth") is None
    assert ordered("bth", "bht") == (0, 2, 1)
    assert merge_target(["b", "t", "hd"], sizes) == [0, 0, 6]
    assert merge_target(["b", "h", "td"], sizes) == [0, 2, -1]
    assert merge_target(["h", "bd", "t"], sizes) is None
    assert split_target(["b", "t", "hd"], sizes) == [0, 0, 2, 3]
    assert split_target(["bt", "hd"], sizes) is None
    assert merge_target(["b", "", "d"], sizes) == [0, 1, 3]
    assert merge_target(["h", "d"], {"h": 0, "d": 2}) is None
