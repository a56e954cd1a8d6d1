"""What depends on no input is computed once, and can be computed again."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from converter.graph import io, ledger, query
from converter.passes.constants import FoldConstants
from tests.passes.golden import graph, operators, outputs, refuses, rewritten, run


def test_a_chain_folds_in_one_go_and_is_replayed() -> None:
    body = """(float[n,4] x) => (float[n,4] y) { e = Constant<value_float=0.001>() v = Add(var, e) s = Sqrt(v) g = Div(gamma, s)
        m = Mul(mean, g) t = Sub(beta, m) a = Mul(x, g) y = Add(a, t) }"""
    weights = {"gamma": (4,), "beta": (4,), "mean": (4,), "var": np.float32([1, 2, 3, 4])}
    model = rewritten(FoldConstants(), body, **weights)
    assert operators(model) == "Mul Add"
    new = {name: np.float32([5, 6, 7, 8]) * (k + 1) for k, name in enumerate(weights)}
    again = graph(body, **new)
    run(again, FoldConstants())
    book = ledger.of(model)
    for old, fresh in zip(model.graph, again.graph, strict=True):
        replayed = book.replay(query.name_of(old.inputs[1]), new)
        assert replayed.tobytes() == query.constant(fresh.inputs[1]).tobytes()


@pytest.mark.parametrize(("attribute", "expected"), [
    ("value_float=1.5", np.float32(1.5)), ("value_floats=[1.0,2.0]", np.float32([1, 2])), ("value_int=3", np.int64(3)),
    ("value_ints=[3,4]", np.int64([3, 4])), ("value=float[1,2] {1.0,2.0}", np.float32([[1, 2]])), ("value=int8[2] {1,-2}", np.int8([1, -2])),
])
def test_every_kind_of_constant(attribute: str, expected: np.ndarray) -> None:
    model = rewritten(FoldConstants(), f"(float[n,2] x) => (float[n,2] y) {{ c = Constant<{attribute}>() f = Cast<to=1>(c) y = Add(x, f) }}")
    (value,) = (v for v in model.graph.initializers.values())
    assert query.constant(value).dtype == np.float32
    np.testing.assert_array_equal(query.constant(value), expected.astype(np.float32))


def test_a_tensor_attribute_is_recorded_and_survives_json() -> None:
    body = "(float[n,2] x) => (float[n,2] y) { c = ConstantOfShape<value=float[1] {3.0}>(k) s = Mul(c, w) y = Add(x, s) }"
    model = rewritten(FoldConstants(), body, k=[2], w=(2,))
    (name,) = model.graph.initializers
    book = ledger.from_json(ledger.of(model).to_json([name]))
    values = {"w": np.float32([1, 2]), "k": np.int64([2])}
    np.testing.assert_array_equal(book.replay(name, values), np.float32([3, 6]))


REFUSED = {
    "reads an input": ("y = Add(x, w)", {"w": (2,)}),
    "random": ("r = RandomNormalLike(w) m = Mul(r, z) y = Add(x, m)", {"w": (2,), "z": 0.0}),
    "other domain": ("g = com.microsoft.Gelu(w) y = Add(x, g)", {"w": (2,)}),
    "several outputs": ("a, b = Split<num_outputs=2>(w) y = Add(x, a)", {"w": (4,)}),
    "training": ("d = Dropout(w, r, t) y = Add(x, d)", {"w": (2,), "r": 0.0, "t": np.array(True)}),
    "would grow": ("e = Expand(w, k) s = ReduceSum<keepdims=0>(e) y = Add(x, s)", {"w": (1,), "k": [400, 400]}),
    "would grow by broadcasting": ("e = Mul(v, w) s = ReduceSum<keepdims=0>(e) y = Add(x, s)", {"v": (400, 1), "w": (1, 400)}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str) -> None:
    text, weights = REFUSED[case]
    refuses(FoldConstants(), f"(float[n,2] x) => (float[n,2] y) {{ {text} }}", **weights)


@pytest.mark.parametrize("text", ["y = Sqrt(w) z = Neg(x)", "y = Identity(w) z = Neg(x)", "y = Constant<value_float=1.0>() z = Neg(x)"])
def test_an_output_stays_where_it_is(text: str) -> None:
    ends = f"(float[n,2] x) => (float{'' if 'Constant' in text else '[2]'} y, float[n,2] z)"
    weights = {"w": np.float32([1, 2])} if "w)" in text else {}
    refuses(FoldConstants(), f"{ends} {{ {text} }}", **weights)


def test_text_and_sequences_stay() -> None:
    body = """(float[n,2] x) => (float[n,2] y) { t = Constant<value_string="a">() u = Constant<value_strings=["a", "b"]>() q = SequenceConstruct(w, w)
        k = Constant<value_int=0>() s = SequenceAt(q, k) y = Add(x, s) }"""
    model = rewritten(FoldConstants(), body, w=(2,))
    assert "SequenceConstruct SequenceAt" in operators(model)


def test_an_initializer_that_is_an_input_is_never_folded() -> None:
    model = graph("(float[n,2] x, float[2] w) => (float[n,2] y) { s = Sqrt(w) y = Add(x, s) }", w=np.float32([4, 9]))
    assert run(model, FoldConstants())["FoldConstants"] == 0
    given = {"x": np.zeros((1, 2), np.float32)}
    np.testing.assert_array_equal(outputs(model, given)[0], [[2, 3]])
    np.testing.assert_array_equal(outputs(model, {**given, "w": np.float32([16, 25])})[0], [[4, 5]])


def test_what_cannot_be_computed_here_stays() -> None:
    model = graph("(float[n,2] x) => (float[n,2] y) { s = NoSuchOperator(w) y = Add(x, s) }", w=(2,))
    assert FoldConstants().rewrite(model) == 0
    assert io.try_evaluate("Reshape", [np.zeros(3), np.int64([2])], {}, 18) is None


@pytest.mark.parametrize("a", [-7, 7])
@pytest.mark.parametrize("b", [-2, 2])
@pytest.mark.parametrize("op_type", ["Div", "Mod"])
def test_integers_are_divided_as_the_runtime_does(op_type: str, a: int, b: int) -> None:
    model = rewritten(FoldConstants(), f"(int64[1] x) => (int64[1] y) {{ q = {op_type}(a, b) y = Add(x, q) }}", a=[a], b=[b])
    assert isinstance(model, ir.Model)
