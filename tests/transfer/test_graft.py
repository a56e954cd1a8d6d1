"""Two parts become one graph that computes what they compute in sequence."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings

from converter.errors import UsageError
from converter.graph import io, query
from converter.transfer.graft import Grafted, graft
from tests.quantize.graphs import graph, quantized, weights
from tests.transfer.grafting import as_layer, backbone, every_name, head, names, numbers, sequence


def same(got: dict[str, np.ndarray], wanted: dict[str, np.ndarray], tolerance: float = 1e-6) -> None:
    assert got.keys() == wanted.keys()
    for name, y in wanted.items():
        np.testing.assert_allclose(got[name], y, atol=tolerance, rtol=0)


@pytest.mark.parametrize("optimise", [True, False])
def test_a_head_goes_on_a_backbone(optimise: bool) -> None:
    made = graft(head(), backbone(), "features")
    assert names(made.model) == (["x"], ["y"])
    same(numbers(made.model, optimise=optimise), sequence(backbone(), head(), "features", "f"))


def test_a_backbone_goes_under_a_head() -> None:
    recipient = graph("(float[N, 5] z) => (float[N, 3] out)", "[p] old = Gemm(z, w)\n[q] a = Tanh(old)\n[r] out = Gemm(a, v)", w=weights(5, 6),
                      v=weights(6, 3))
    made = graft(backbone(), recipient, "p", take="backbone")
    assert names(made.model) == (["x"], ["out"])
    x = numbers(backbone())["features"]
    same(numbers(made.model), {"out": np.tanh(x) @ weights(6, 3)})
    assert made.report.warnings == ["inputs of the recipient that the result does not have: z"]


def test_the_seam_may_be_a_layer_a_node_or_a_tensor_on_either_side() -> None:
    recipient, donor = as_layer(backbone(), "deep", "d2", "d3"), as_layer(backbone(), "shallow", "d1", "d2")
    wanted = numbers(backbone())
    for at, donor_at in (("h", "h"), ("d1", "d1"), ("r", "shallow"), ("d2", "r")):
        same(numbers(graft(donor, recipient, at, donor_at=donor_at).model), wanted)
    with pytest.raises(UsageError, match="the width of axis 1 is 7 and must be 6"):
        graft(head(), recipient, "d2")


def test_names_stay_unique_and_ends_keep_theirs() -> None:
    """Both have h, r, w, b and nodes d1 to d3; the donor's output is an inner name of the recipient."""
    donor = graph("(float[N, 6] x) => (float[N, 3] h)", "[d1] r = Relu(x)\n[d2] h = Gemm(r, w, b)", w=weights(6, 3, seed=9), b=weights(3))
    recipient = backbone()
    made = graft(donor, recipient, "features")
    assert names(made.model) == (["x"], ["h"])
    found = every_name(made.model)
    assert len(found) == len(set(found))
    labels = [node.name for node in made.model.graph]
    assert len(labels) == len(set(labels)) and {"donor/w", "donor/r", "recipient/h"} <= set(found)
    same(numbers(made.model), {"h": numbers(donor, x=numbers(recipient)["features"])["h"]})
    for model, text in ((donor, "donor"), (recipient, "recipient")):
        assert not [n for n in every_name(model) if n.startswith(("donor/", "recipient/"))], text
        assert all(v.const_value is not None and v.const_value.name == name for name, v in model.graph.initializers.items())


def test_an_output_that_both_have_is_the_recipients_and_the_donors_is_told() -> None:
    recipient = graph("(float[N, 5] x) => (float[N, 6] features, float[N, 5] y)", "features = Gemm(x, w)\ny = Relu(x)", w=weights(5, 6))
    made = graft(head(), recipient, "features")
    assert names(made.model)[1] == ["y", "donor/y"]
    assert "'y' of the donor is called 'donor/y': the other graph has an input or output of that name" in made.report.warnings
    wanted = numbers(recipient)
    same(numbers(made.model), {"y": wanted["y"], "donor/y": numbers(head(), f=wanted["features"])["y"]})


def test_an_input_that_the_head_keeps_may_be_called_like_one_of_the_backbone() -> None:
    donor = graph("(float[N, 6] f, float[N, 6] x) => (float[N, 6] y)", "y = Mul(f, x)")
    made = graft(donor, backbone(), "features", donor_at="f")
    assert names(made.model)[0] == ["x", "donor/x"]
    x, mask = np.ones((2, 5), np.float32), np.full((2, 6), 2, np.float32)
    same(numbers(made.model, **{"x": x, "donor/x": mask}), {"y": 2 * numbers(backbone(), x=x)["features"]})


def test_outputs_stay_in_the_order_of_the_recipient() -> None:
    recipient = graph("(float[N, 5] x) => (float[N, 6] y, float[N, 5] side)", "f = Gemm(x, w)\ny = Relu(f)\nside = Relu(x)", w=weights(5, 6))
    donor = graph("(float[N, 6] f) => (float[N, 6] y)", "y = Neg(f)")
    assert names(graft(donor, recipient, "f").model)[1] == ["y", "side"]


def test_free_axes_become_those_of_the_recipient() -> None:
    made = graft(head(), backbone(), "features")
    assert [str(v.shape) for v in (*made.model.graph.inputs, *made.model.graph.outputs)] == ["[N,5]", "[N,3]"]
    donor = graph("(float[M, 6] f, float[N, 6] m) => (float[M, 6] y, float[N, 6] z)", "y = Neg(f)\nz = Add(f, m)")
    made = graft(donor, backbone(), "features", donor_at="f")
    assert [str(v.shape) for v in (*made.model.graph.inputs, *made.model.graph.outputs)] == ["[N,5]", "[donor_N,6]", "[N,6]", "[donor_N,6]"]
    fixed = graph("(float[1, 6] f) => (float[1, 6] y)", "y = Neg(f)")
    made = graft(fixed, backbone(), "features")
    assert str(made.model.graph.inputs[0].shape) == "[1,5]" and "the axis 'N' is 1 from now on, as the head wants it" in made.report.warnings


@pytest.mark.parametrize("layout", ["channels-last", "channels-first"])
def test_a_transpose_stands_between_two_layouts(layout: str) -> None:
    last = layout == "channels-last"
    first = graph(f"(float[2, {'4, 3, 5' if last else '3, 5, 4'}] x) => (float[2, {'4, 3, 5' if last else '3, 5, 4'}] f)", "f = Relu(x)")
    second = graph(f"(float[2, {'3, 5, 4' if last else '4, 3, 5'}] g) => (float[2, 60] y)", "y = Flatten(g)")
    with pytest.raises(UsageError, match=f"--transpose {layout}"):
        graft(second, first, "f")
    made = graft(second, first, "f", transpose=layout)
    same(numbers(made.model), sequence(first, second, "f", "g", (0, 2, 3, 1) if last else (0, 3, 1, 2)))


CAPTURING = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[N, 6] f, bool c) => (float[N, 6] y) {
    r = Relu(f)
    y = If (c) <then_branch = t () => (float[N, 6] p) { h = Exp(r)
        p = Neg(h) }, else_branch = e () => (float[N, 6] q) { h = Sin(r)
        q = Add(h, f) }>
}
"""


def test_a_subgraph_follows_with_what_it_captures() -> None:
    donor = io.from_text(CAPTURING)
    made = graft(donor, backbone(), "features", donor_at="f")
    found = every_name(made.model)
    assert len(found) == len(set(found)), "h is in both branches of the donor and in the recipient, r is captured"
    for choice in (True, False):
        x = numbers(backbone())["features"]
        wanted = numbers(donor, f=x, c=np.asarray(choice))["y"]
        same(numbers(made.model, c=np.asarray(choice)), {"y": wanted})
    with pytest.raises(UsageError, match="f goes around it"):
        graft(donor, backbone(), "features", donor_at="r")


FUNCTIONS = """
<ir_version: 8, opset_import: ["" : 18, "local" : 1]>
g (float[N, 6] {0}) => (float[N, 6] {1}) {{
    {1} = local.act({0})
}}
<domain: "local", opset_import: ["" : 18]>
act (a) => (b) {{
    b = {2}(a)
}}
"""


@pytest.mark.parametrize(("theirs", "count"), [("Exp", 2), ("Relu", 1)])
def test_functions_of_one_name_stay_apart_unless_they_are_the_same(theirs: str, count: int) -> None:
    recipient, donor = io.from_text(FUNCTIONS.format("x", "f", "Relu")), io.from_text(FUNCTIONS.format("g", "y", theirs))
    made = graft(donor, recipient, "f")
    assert len(made.model.functions) == count
    x = np.linspace(-1, 1, 6, dtype=np.float32)[None]
    same(numbers(made.model, x=x), {"y": np.exp(np.maximum(x, 0)) if theirs == "Exp" else np.maximum(x, 0)})
    assert [key[1] for key in donor.functions] == ["act"], "the donor stays as it is"


def test_a_cyclic_graft_is_refused() -> None:
    model = backbone()
    with pytest.raises(UsageError, match="a cyclic graft: donor and recipient are the same model, and 'h', where the head begins, stands before "
                                         "'r', where the backbone ends"):
        graft(model, model, "r", donor_at="h")
    with pytest.raises(UsageError, match="cyclic"):
        graft(backbone(), backbone(), "h", donor_at="r", take="backbone", same=True)
    assert graft(model, model, "h", donor_at="h").model.graph.num_nodes() == 3


def test_one_that_leaves_layers_out_is_not_cyclic() -> None:
    model = graph("(float[N, 4] x) => (float[N, 4] y)", "a = Relu(x)\nb = Neg(a)\nc = Exp(b)\ny = Sin(c)")
    assert [n.op_type for n in graft(model, model, "a", donor_at="c").model.graph] == ["Relu", "Sin"]


def test_wrong_use_is_named() -> None:
    with pytest.raises(UsageError, match="take must be one of head, backbone; received 'tail'"):
        graft(head(), backbone(), "features", take="tail")


# Integer graphs.

GRIDS = {"same": (np.float32(0.05), np.uint8(40)), "other": (np.float32(0.08), np.uint8(20)), "signed": (np.float32(0.05), np.int8(-88))}
PAIR = "c = QuantizeLinear({0}, s, z)\nd = DequantizeLinear(c, s, z)"


def coded_backbone() -> ir.Model:
    """The shipped backbone goes on behind its pair."""
    return graph("(float[N, 5] x) => (float[N, 6] y)", f"r = Gemm(x, w)\n{PAIR.format('r')}\ny = Sin(d)", s=GRIDS["same"][0], z=GRIDS["same"][1],
                 w=weights(5, 6))


def coded_head(grid: str) -> ir.Model:
    return graph("(float[N, 6] f) => (float[N, 3] y)", f"{PAIR.format('f')}\ny = Gemm(d, v)", s=GRIDS[grid][0], z=GRIDS[grid][1],
                 v=weights(6, 3, seed=5))


@pytest.mark.parametrize("at", ["r", "c", "d"])
@pytest.mark.parametrize("donor_at", ["f", "c", "d"])
@pytest.mark.parametrize("grid", list(GRIDS))
@pytest.mark.parametrize("optimise", [True, False])
def test_pairs_meet_at_the_seam(at: str, donor_at: str, grid: str, optimise: bool) -> None:
    """Equal grids: one pair. Different grids: both. Wherever the names point at, before, between or behind."""
    made = graft(coded_head(grid), coded_backbone(), at, donor_at=donor_at)
    kinds = [n.op_type for n in made.model.graph]
    assert kinds.count("QuantizeLinear") == kinds.count("DequantizeLinear") == (1 if grid == "same" else 2)
    inner = coded_backbone()
    inner.graph.outputs[:] = [v for n in inner.graph for v in n.outputs if v.name == "d"]
    same(numbers(made.model, optimise=optimise), {"y": numbers(coded_head(grid), f=numbers(inner)["d"])["y"]})
    text = made.report.to_text()
    assert ("both sides have the same grid (uint8, scale 0.0500000007, zero point 40); one pair is kept" in text) == (grid == "same")
    if grid == "other":
        assert ("requantized, from the grid of the backbone (uint8, scale 0.0500000007, zero point 40, -2 to 10.75) to that of the head "
                "(uint8, scale 0.0799999982, zero point 20, -1.6 to 18.8)") in text


@pytest.mark.parametrize("grid", list(GRIDS))
def test_float_goes_onto_the_grid_of_the_head_and_codes_are_made_for_one_that_reads_codes(grid: str) -> None:
    plain = graft(coded_head(grid), backbone(), "features")
    same(numbers(plain.model), sequence(backbone(), coded_head(grid), "features", "f"))
    assert "real numbers go onto the grid of the head" in plain.report.to_text()
    codes = "uint8" if grid != "signed" else "int8"
    bare = graph(f"({codes}[N, 6] c) => (float[N, 3] y)", "d = DequantizeLinear(c, s, z)\ny = Gemm(d, v)", s=GRIDS[grid][0], z=GRIDS[grid][1],
                 v=weights(6, 3, seed=5))
    same(numbers(graft(bare, backbone(), "features").model), numbers(plain.model))
    made = graft(bare, coded_backbone(), "r").model
    same(numbers(made), numbers(graft(coded_head(grid), coded_backbone(), "r").model))
    assert [n.op_type for n in made.graph].count("QuantizeLinear") == (1 if grid == "same" else 2)


def test_a_tensor_that_is_read_raw_as_well_is_handed_over_raw() -> None:
    recipient = graph("(float[N, 5] x) => (float[N, 6] y)", f"r = Gemm(x, w)\n{PAIR.format('r')}\ny = Add(d, r)", s=GRIDS["same"][0],
                      z=GRIDS["same"][1], w=weights(5, 6))
    made = graft(recipient, recipient, "r", donor_at="d")
    same(numbers(made.model), numbers(recipient), 0)


def test_what_the_product_quantizes_in_two_parts_is_one_graph() -> None:
    first = graph("(float[N, 5] x) => (float[N, 96] f)", "h = Gemm(x, w, b)\nf = Relu(h)", w=weights(5, 96), b=weights(96))
    second = graph("(float[N, 96] g) => (float[N, 96] y)", "h = Gemm(g, w, b)\ny = Relu(h)", w=weights(96, 96, seed=6), b=weights(96))
    parts = quantized(first), quantized(second)
    made = graft(parts[1].integer, parts[0].integer, "f")
    assert made.fit.wanted is not None
    for optimise in (True, False):
        x = numbers(parts[0].integer, optimise=optimise)["f"]
        wanted, got = numbers(parts[1].integer, optimise=optimise, g=x)["y"], numbers(made.model, optimise=optimise)["y"]
        grid = made.fit.wanted
        assert np.abs(wanted).max() > 20 * float(grid.scale)
        np.testing.assert_allclose(got, wanted, atol=1e-6 * np.abs(wanted).max())


# Any graph, cut anywhere.

UNARY, BINARY = ("Relu", "Sin", "Neg", "Sigmoid"), ("Add", "Mul", "Max")


@st.composite
def any_graph(draw: Any) -> ir.Model:
    """Random operators on (N, 4), some through pairs, with one or two outputs."""
    lines, made = [], ["x"]
    for index in range(draw(st.integers(2, 9))):
        recent = made[-2:] if draw(st.booleans()) else made
        kind, source, name = draw(st.sampled_from(("unary", "unary", "binary", "pair"))), draw(st.sampled_from(recent)), f"v{index}"
        if kind == "unary":
            lines.append(f"{name} = {draw(st.sampled_from(UNARY))}({source})")
        elif kind == "binary":
            lines.append(f"{name} = {draw(st.sampled_from(BINARY))}({source}, {draw(st.sampled_from(recent))})")
        else:
            grid = draw(st.sampled_from("sS"))
            lines += [f"q{index} = QuantizeLinear({source}, {grid}, z)", f"{name} = DequantizeLinear(q{index}, {grid}, z)"]
        made.append(name)
    outputs = dict.fromkeys([made[-1], draw(st.sampled_from(made[1:]))])
    return graph(f"(float[N, 4] x) => ({', '.join(f'float[N, 4] {o}' for o in outputs)})", "\n".join(lines), s=np.float32(0.02),
                 S=np.float32(0.03), z=np.uint8(128))


def parted(model: ir.Model, root: str) -> bool:
    """By hand: without the node of ``root`` no path leads from an input to an output that depends on it."""
    def reach(start: set[str], banned: str | None) -> set[str]:
        found = set(start)
        for node in model.graph:
            if node.outputs[0].name != banned and any(v.name in found for v in node.inputs if v is not None):
                found.add(str(node.outputs[0].name))
        return found

    behind = reach({root}, None) - {root}
    ends = {str(o.name) for o in model.graph.outputs} & behind
    before = reach({"x"}, root)
    crossing = {str(v.name) for n in model.graph if n.outputs[0].name in behind for v in n.inputs if v is not None} & before - behind - {root}
    needed, todo = set(ends), list(ends)
    while todo:
        name = todo.pop()
        node = next((n for n in model.graph if n.outputs[0].name == name), None)
        todo += [str(v.name) for v in (node.inputs if node is not None and name != root else ()) if v is not None and v.name not in needed]
        needed |= set(todo)
    return not crossing & {str(v.name) for n in model.graph if n.outputs[0].name in needed & behind for v in n.inputs if v is not None}


@settings(max_examples=40)
@given(any_graph(), st.sampled_from(("head", "backbone")))
def test_a_graph_cut_at_any_single_tensor_and_joined_again_is_the_same_function(model: ir.Model, take: str) -> None:
    wanted = numbers(model)
    for node in list(model.graph):
        name = query.name_of(node.outputs[0])
        try:
            made: Grafted = graft(model, model, name, donor_at=name, take=take)
        except UsageError as error:
            refused = str(error)
            root = refused.split("'")[1]
            assert ("is the input" in refused or "stands behind" in refused
                    or ("does not cut" in refused and not parted(model, root))), f"{name}: {refused}"
            continue
        got = numbers(made.model)
        assert {n: y.shape for n, y in got.items()} == {n: y.shape for n, y in wanted.items()}, name
        same(got, wanted)
        found = every_name(made.model)
        assert len(found) == len(set(found))
