"""Dense layers become Gemm; the transpose in front of a Flatten goes into the rows of the weight."""

from __future__ import annotations

import pytest

from converter.graph import ledger, query
from converter.passes.dense import FlattenInChannelsFirst, MatMulToGemm
from tests.passes.golden import graph, node, operators, refuses, rewritten, run


@pytest.mark.parametrize(("text", "expected"), [
    ("y = MatMul(x, w)", "Gemm"), ("m = MatMul(x, w) y = Add(m, b)", "Gemm"), ("m = MatMul(x, w) y = Add(b, m)", "Gemm"),
    ("m = MatMul(x, w) y = Add(m, r)", "Gemm Add"), ("m = MatMul(x, w) y = Sub(m, b)", "Gemm Sub"), ("m = MatMul(x, w) y = Add(m, m)", "Gemm Add"),
])
def test_a_product_of_matrices(text: str, expected: str) -> None:
    weights = {"b": (5,)} if "b" in text else {"r": (1, 5)} if "r)" in text else {}
    assert operators(rewritten(MatMulToGemm(), f"(float[n,4] x) => (float[n,5] y) {{ {text} }}", w=(4, 5), **weights)) == expected


@pytest.mark.parametrize(("ends", "text", "weight"), [
    ("(float[n,3,4] x) => (float[n,3,5] y)", "m = MatMul(x, w) y = Add(m, b)", (4, 5)),
    ("(float[4] x) => (float[5] y)", "m = MatMul(x, w) y = Add(m, b)", (4, 5)),
    ("(float[n,4] x) => (float[2,n,5] y)", "m = MatMul(x, w) y = Add(m, b)", (2, 4, 5)),
    ("(float[n,4] x, float[4,5] w) => (float[n,5] y)", "m = MatMul(x, w) y = Add(m, b)", (4, 5)),
    ("(float[5,4] x) => (float[5,5] y)", "m = MatMul(w, x) y = Add(m, b)", (5, 5)),
])
def test_other_products_stay(ends: str, text: str, weight: tuple[int, ...]) -> None:
    ends = ends.replace("(float[5,4] x) => (float[5,5] y)", "(float[5,5] x) => (float[5,5] y)")
    refuses(MatMulToGemm(), f"{ends} {{ {text} }}", w=weight, b=(5,))


def test_an_output_between_product_and_bias_stays() -> None:
    body = "(float[n,4] x) => (float[n,5] m, float[n,5] y) { m = MatMul(x, w) y = Add(m, b) }"
    assert operators(rewritten(MatMulToGemm(), body, w=(4, 5), b=(5,))) == "Gemm Add"


LAST = "Transpose<perm=[0,2,3,1]>"
FLATS = {"Flatten(t)": {}, "Reshape(t, k)": {"k": [-1, 120]}, "Reshape(t, z)": {"z": [0, -1]}, "Reshape(t, f)": {"f": [0, 120]}}


@pytest.mark.parametrize("flat", FLATS)
def test_flatten_behind_a_transpose(flat: str) -> None:
    body = f"(float[n,4,5,6] x) => (float[n,3] y) {{ t = {LAST}(x) f1 = {flat} y = Gemm(f1, w, b) }}"
    model = rewritten(FlattenInChannelsFirst(), body, w=(120, 3), b=(3,), **FLATS[flat])
    assert operators(model) == f"{flat.split('(')[0]} Gemm"


@pytest.mark.parametrize("perm", [(0, 2, 1), (0, 2, 3, 4, 1), (0, 4, 2, 1, 3), (0, 3, 1, 2)])
def test_any_order_behind_the_batch(perm: tuple[int, ...]) -> None:
    lengths = [2, 3, 4, 5][:len(perm) - 1]
    rows = 1
    for length in lengths:
        rows *= length
    body = f"(float[n,{','.join(map(str, lengths))}] x) => (float[n,3] y) {{ t = Transpose<perm={list(perm)}>(x) f = Flatten(t) y = Gemm(f, w) }}"
    assert operators(rewritten(FlattenInChannelsFirst(), body, w=(rows, 3))) == "Flatten Gemm"


REFUSED = {
    "weight turned": (f"t = {LAST}(x) f = Flatten(t) y = Gemm<transB=1>(f, w)", {"w": (3, 120)}),
    "two readers": (f"t = {LAST}(x) f = Flatten(t) g = Gemm(f, w) r = ReduceSum<keepdims=1>(f, ax) y = Add(g, r)", {"w": (120, 3), "ax": [1]}),
    "batch moved": ("t = Transpose<perm=[1,0,2,3]>(x) r = Reshape(t, k) y = Gemm(r, w)", {"k": [-1, 120], "w": (120, 3)}),
    "flattened elsewhere": (f"t = {LAST}(x) f = Flatten<axis=2>(t) y = Gemm(f, w)", {"w": (24, 3)}),
    "rows of another length": (f"t = {LAST}(x) f = Reshape(t, k) y = Gemm(f, w)", {"k": [-1, 60], "w": (60, 3)}),
    "no transpose": ("f = Flatten(x) y = Gemm(f, w)", {"w": (120, 3)}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str) -> None:
    text, weights = REFUSED[case]
    refuses(FlattenInChannelsFirst(), f"(float[2,4,5,6] x) => (float[m,3] y) {{ {text} }}", **weights)


def test_a_gemm_that_reads_its_batch_as_rows() -> None:
    refuses(FlattenInChannelsFirst(), "(float[6,3,2] x) => (float[6,3] y) { t = Transpose<perm=[0,2,1]>(x) f = Flatten(t) y = Gemm<transA=1>(f, w) }",
            w=(6, 3))


def test_unknown_lengths_are_left_alone() -> None:
    refuses(FlattenInChannelsFirst(), f"(float[n,a,5,6] x) => (float[n,3] y) {{ t = {LAST}(x) f = Flatten(t) y = Gemm(f, w) }}", w=(60, 3))


def test_the_new_order_is_replayed() -> None:
    body = f"(float[n,4,5,6] x) => (float[n,3] y) {{ t = {LAST}(x) f = Flatten(t) y = Gemm(f, w) }}"
    old, new = graph(body, w=(120, 3)), graph(body, w=(120, 3), seed=5)
    fresh = query.constant(new.graph.initializers["w"])
    run(old, FlattenInChannelsFirst())
    run(new, FlattenInChannelsFirst())
    replayed = ledger.of(old).replay(query.name_of(query.input_at(node(old, "Gemm"), 1)), {"w": fresh})
    assert replayed.tobytes() == query.constant(query.input_at(node(new, "Gemm"), 1)).tobytes()
