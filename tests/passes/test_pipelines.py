"""The whole pipeline: what comes out of typical graphs, random graphs keep their numbers, cost grows with the nodes."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.graph import io, ledger, query
from converter.passes import base, pipelines
from converter.passes.instruments import Invariants, PromiseKeeping
from tests.passes.golden import graph, operators, outputs

FIRST, LAST = "Transpose<perm=[0,3,1,2]>", "Transpose<perm=[0,2,3,1]>"


def _clean(model: ir.Model) -> ir.Model:
    base.run(model, pipelines.clean(), [Invariants(), PromiseKeeping(outputs)])
    io.check(model)
    return model


def test_a_small_keras_network() -> None:
    body = f"""(float[n,8,8,3] x) => (float[n,5] y) {{
        i = Identity(x) a = {FIRST}(i) k = Transpose<perm=[3,2,0,1]>(w) c = Conv<pads=[1,1,1,1]>(a, k) l = {LAST}(c)
        e = Constant<value_float=0.001>() v = Add(var, e) s = Sqrt(v) g = Div(gamma, s) m = Mul(l, g) z = Mul(mean, g) t = Sub(beta, z) b = Add(m, t)
        r = Relu(b) q = Min(r, six) p = ReduceMean<keepdims=0>(q, axes) d = MatMul(p, dense) y = Add(d, bias) }}"""
    model = graph(body, w=(3, 3, 3, 4), var=np.float32([1, 2, 3, 4]), gamma=(4,), mean=(4,), beta=(4,), six=6.0, axes=[1, 2], dense=(4, 5), bias=(5,))
    assert operators(_clean(model)) == "Transpose Conv Clip GlobalAveragePool Flatten Gemm"


def test_control_flow_and_unknown_operators_survive() -> None:
    body = f"""(float[2,4,4,3] x, bool b, int64 times) => (float[2,3,4,4] y, float[2,4,4,3] z) {{
        a = {FIRST}(x) r = Relu(a) s = Mul(r, w)
        y = If(b) <then_branch = t () => (float[2,3,4,4] p) {{ p1 = Add(s, w) p = Relu(p1) }},
                   else_branch = e () => (float[2,3,4,4] q) {{ c = Constant<value_float=2.0>() q = Mul(s, c) }}>
        l = {LAST}(y)
        z = Loop(times, b, l) <body = g (int64 it, bool go, float[2,4,4,3] h) => (bool on, float[2,4,4,3] o)
            {{ on = Identity(go) u = Add(h, v) o = Tanh(u) }}> }}"""
    model = _clean(graph(body, w=(3, 1, 1), v=(3,)))
    assert operators(model).count("If") == operators(model).count("Loop") == 1
    strange = graph("(float[n,2] x) => (float[n,2] y) { a = other.Strange<mode=\"x\">(x, w) b = Identity(a) y = other.Strange(b) }", w=(2,))
    base.run(strange, pipelines.clean(), [Invariants()])
    assert operators(strange) == "Strange Strange"


def test_an_input_with_a_default_stays_one() -> None:
    body = "(float[n,2] x, float[2] d, float[2] e) => (float[n,2] y) { s = Sqrt(d) m = MatMul(x, w) a = Add(m, d) y = Mul(a, s) }"
    model = _clean(graph(body, w=(2, 2), d=np.float32([4, 9]), e=(2,)))
    assert [query.name_of(v) for v in model.graph.inputs] == ["x", "d", "e"]
    x = np.ones((1, 2), np.float32)
    assert not np.allclose(outputs(model, {"x": x})[0], outputs(model, {"x": x, "d": np.float32([1, 1])})[0])


def test_the_same_graph_gives_the_same_bytes_and_cleaning_again_changes_nothing() -> None:
    body = f"(float[n,8,8,3] x) => (float[n,4,6,6] y) {{ a = {FIRST}(x) c = Conv(a, w) m = Mul(c, s) r = Relu(m) y = Relu(r) }}"
    first, second = (_clean(graph(body, w=(4, 3, 3, 3), s=(4, 1, 1))) for _ in range(2))
    assert io.to_bytes(first) == io.to_bytes(second)
    before = operators(first)
    assert operators(_clean(first)) == before


def test_every_weight_of_a_clean_graph_can_be_replayed() -> None:
    body = f"""(float[n,8,8,3] x) => (float[n,5] y) {{ i = Sub(x, t) a = {FIRST}(i) c = Conv(a, w, b) m = Mul(c, s) r = Relu(m) l = {LAST}(r)
        f = Flatten(l) d = MatMul(f, v) y = Add(d, z) }}"""
    weights = {"t": (3,), "w": (4, 3, 3, 3), "b": (4,), "s": (4, 1, 1), "v": (144, 5), "z": (5,)}
    old, new = graph(body, **weights), graph(body, seed=3, **weights)
    fresh = {name: query.constant(value) for name, value in new.graph.initializers.items()}
    _clean(old), _clean(new)
    book = ledger.from_json(ledger.of(old).to_json(list(old.graph.initializers)))
    assert set(old.graph.initializers) == set(new.graph.initializers)
    for name, value in new.graph.initializers.items():
        assert book.replay(name, fresh).tobytes() == query.constant(value).tobytes(), name


UNARY = ("Relu", "Sigmoid", "Neg", "Identity", "LeakyRelu<alpha=0.3>", "Tanh", "HardSwish", "Softplus")
REDUCE = ("ReduceMean", "ReduceMax", "ReduceSum")


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A graph of up to twelve nodes over float tensors of rank four, with two outputs, and its weights."""
    shapes, lines, weights = {"x": (2, 3, 4, 5)}, [], dict[str, Any]()
    for k in range(draw(st.integers(1, 12))):
        name, source = f"v{k}", draw(st.sampled_from(sorted(shapes)))
        shape, kind = shapes[source], draw(st.sampled_from(["unary", "turn", "turn", "turn", "weight", "scalar", "pair", "concat", "reduce", "pad"]))
        if kind == "turn":
            perm = draw(st.permutations(range(4)))
            lines.append(f"{name} = Transpose<perm={perm}>({source})")
            shape = tuple(shape[p] for p in perm)
        elif kind == "weight":
            weights[f"w{k}"] = tuple(d if draw(st.booleans()) else 1 for d in shape)[draw(st.integers(0, 3)):]
            lines.append(f"{name} = {draw(st.sampled_from(['Add', 'Mul', 'Max', 'Sub']))}({source}, w{k})")
        elif kind == "scalar":
            weights[f"w{k}"] = draw(st.sampled_from([0.0, 1.0, 6.0]))
            lines.append(f"{name} = {draw(st.sampled_from(['Max', 'Min', 'Add', 'Clip']))}({source}, w{k})")
        elif kind in ("pair", "concat"):
            other = draw(st.sampled_from(sorted(n for n, s in shapes.items() if s == shape)))
            axis = draw(st.integers(-4, 3))
            lines.append(f"{name} = Add({source}, {other})" if kind == "pair" else f"{name} = Concat<axis={axis}>({source}, {other})")
            if kind == "concat":
                shape = tuple(2 * d if i == axis % 4 else d for i, d in enumerate(shape))
        elif kind == "reduce":
            weights[f"a{k}"] = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True))
            lines.append(f"{name} = {draw(st.sampled_from(REDUCE))}({source}, a{k})")
            shape = tuple(1 if i in weights[f"a{k}"] else d for i, d in enumerate(shape))
        elif kind == "pad":
            weights[f"p{k}"] = draw(st.lists(st.integers(0, 1), min_size=8, max_size=8))
            lines.append(f"{name} = Pad({source}, p{k})")
            shape = tuple(d + weights[f"p{k}"][i] + weights[f"p{k}"][i + 4] for i, d in enumerate(shape))
        else:
            lines.append(f"{name} = {draw(st.sampled_from(UNARY))}({source})")
        shapes[name] = shape
    ends = list(dict.fromkeys([draw(st.sampled_from(sorted(set(shapes) - {"x"}))), name]))
    body = f"(float[2,3,4,5] x) => ({', '.join(f'float{list(shapes[e])} {e}' for e in ends)}) {{ {' '.join(lines)} }}"
    return body, weights


@given(bodies())
@settings(max_examples=25)
def test_random_graphs_keep_their_numbers(made: tuple[str, dict[str, Any]]) -> None:
    body, weights = made
    model = graph(body, **weights)
    names = [query.name_of(v) for v in model.graph.outputs]
    before = outputs(model)
    _clean(model)
    assert [query.name_of(v) for v in model.graph.outputs] == names
    for old, new in zip(before, outputs(model), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(old).max())))


def _blocks(count: int) -> ir.Model:
    lines, weights, source = [], dict[str, Any](), "x"
    for k in range(count):
        weights |= {f"w{k}": (3, 3, 1, 1), f"s{k}": (3,), f"t{k}": (3,)}
        lines.append(f"a{k} = {FIRST}({source}) c{k} = Conv(a{k}, w{k}) l{k} = {LAST}(c{k}) g{k} = Abs(s{k}) m{k} = Mul(l{k}, g{k}) "
                     f"b{k} = Add(m{k}, t{k}) r{k} = Relu(b{k}) i{k} = Identity(r{k})")
        source = f"i{k}"
    return graph(f"(float[n,2,2,3] x) => (float[n,2,2,3] y) {{ {' '.join(lines)} y = Identity({source}) }}", **weights)


def _calls(model: ir.Model) -> int:
    count = 0

    def watch(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(watch)
    try:
        base.run(model, pipelines.clean())
    finally:
        sys.setprofile(None)
    return count


def test_cost_grows_with_the_nodes_and_no_faster() -> None:
    base.run(_blocks(2), pipelines.clean())  # imports, caches
    small, large = _blocks(50), _blocks(100)
    ratio = _calls(large) / _calls(small)
    assert operators(large) == "Transpose " + "Conv Relu " * 100 + "Transpose"
    assert ratio < 2.2, f"twice the nodes cost {ratio:.2f} times the calls"


@pytest.mark.parametrize("step", pipelines.clean(), ids=lambda step: step.name)
def test_every_pass_says_what_it_is_and_takes_an_empty_graph(step: base.GraphPass) -> None:
    assert type(step).__doc__ and sys.modules[type(step).__module__].__doc__
    model = graph("(float[n,2] x) => (float[n,2] x) { }")
    assert step.rewrite(model) == 0
