"""The proof of a graft is tried on wrong ones before it may pass right ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import ConversionError, ParityError
from converter.graph import edit
from converter.transfer import cutting, graft_proof
from converter.transfer.graft import Grafted, graft
from tests.quantize.graphs import graph, weights
from tests.transfer.grafting import backbone, head
from tests.transfer.test_graft import coded_backbone, coded_head


def proved(made: Grafted) -> tuple[dict[str, object], list[str]]:
    return graft_proof.prove(made, graft_proof.random_feeds(made.model))


@pytest.mark.parametrize("grid", ["same", "other", "signed"])
def test_a_right_graft_of_integer_graphs_is_proved_fused_and_unfused(grid: str) -> None:
    numbers, findings = proved(graft(coded_head(grid), coded_backbone(), "r"))
    assert not findings
    assert all(numbers[mode]["y"]["max_abs"] < 1e-6 and numbers[mode]["y"]["samples"] == 7 for mode in ("fused", "unfused"))  # type: ignore[index]


def test_extra_inputs_renamed_ends_kept_outputs_and_a_transpose_are_all_in_the_sequence() -> None:
    recipient = graph("(float[N, 3, 4] x) => (float[N, 4, 3] g, float[N, 3, 4] y)", "f = Neg(x)\ny = Relu(x)\ng = Transpose<perm = [0, 2, 1]>(f)")
    donor = graph("(float[N, 4, 3] f, float[N, 1, 3] x) => (float[N, 4, 3] y)", "y = Add(f, x)")
    made = graft(donor, recipient, "f", donor_at="f", transpose="channels-last")
    numbers, _ = proved(made)
    assert sorted(numbers["fused"]) == ["donor/y", "y"]  # type: ignore[arg-type]


def scaled(model: ir.Model, name: str, by: float) -> None:
    value = model.graph.initializers[name]
    assert value.const_value is not None
    edit.set_numbers(value, (value.const_value.numpy() * by).astype(np.float32))


def swapped(model: ir.Model) -> None:
    """The head reads the tensor in front of the seam."""
    nodes = {n.name: n for n in model.graph}
    nodes["donor/d1"].replace_input_with(0, nodes["d2"].outputs[0])


@pytest.mark.parametrize("wrong", [lambda m: scaled(m, "v", 1.01), lambda m: scaled(m, "donor/w", 0.99), swapped])
def test_a_wrong_graft_is_caught(wrong: Callable[[ir.Model], None]) -> None:
    made = graft(head(7), backbone(7), "features")
    proved(made)
    wrong(made.model)
    with pytest.raises(ParityError, match=r"the grafted graph does not compute what its parts compute in sequence \(random, batch 1, unfused\)"):
        proved(made)


def test_a_seam_on_the_wrong_grid_is_caught() -> None:
    made = graft(coded_head("other"), coded_backbone(), "r")
    grids = [n for n in made.model.graph if n.op_type == "QuantizeLinear"]
    for node in (grids[1], next(iter(grids[1].outputs[0].uses())).node):
        node.replace_input_with(1, grids[0].inputs[1])
        node.replace_input_with(2, grids[0].inputs[2])
    with pytest.raises(ParityError, match="unfused"):
        proved(made)


def test_two_pairs_back_to_back_which_the_engine_merges_are_a_finding_or_refused() -> None:
    """What the reshape at the seam is for: without it onnxruntime makes one pair of two, on a third grid."""
    made = graft(coded_head("other"), coded_backbone(), "r")
    reshape = next(n for n in made.model.graph if n.op_type == "Reshape")
    assert reshape.inputs[0] is not None
    edit.bypass(reshape, reshape.inputs[0])
    try:
        _, findings = proved(made)
    except ParityError as error:
        findings = [str(error)]
    assert "unfused they are equal" in findings[0]


def test_one_that_cannot_be_run_proves_nothing() -> None:
    recipient = graph("(float[N, T] x) => (float[N, 6] f)", "s = Reshape(x, k)\nf = Gemm(s, w)", k=np.array([-1, 5], np.int64), w=weights(5, 6))
    made = graft(head(), recipient, "f")
    with pytest.raises(ConversionError, match=r"nothing can be proved on inputs of the kind 'random, batch 1'.*Give --data"):
        proved(made)


def test_a_head_that_was_cut_off_is_held_to_its_graph() -> None:
    model = backbone()
    part = cutting.head(cutting.copied(model, "donor"), "h", "donor")
    assert graft_proof.prove_cut(model, part) is None
    scaled(part.model, "v", 1.01)
    with pytest.raises(ParityError, match="the head that was cut off the donor does not compute what the donor computes behind 'h'"):
        graft_proof.prove_cut(model, part)
    assert graft_proof.prove_cut(model, dataclasses.replace(part, whole=True)) is None


def test_a_head_of_a_graph_that_does_not_run_is_said_to_be_unproved() -> None:
    model = graph("(float[N, T] x) => (float[N, 6] y)", "s = Reshape(x, k)\nf = Gemm(s, w)\ny = Relu(f)", k=np.array([-1, 5], np.int64),
                  w=weights(5, 6))
    said = graft_proof.prove_cut(model, cutting.head(cutting.copied(model, "donor"), "f", "donor"))
    assert said is not None and said.startswith("the cut of the donor was not proved by itself, because the donor does not run on random inputs")


def test_a_step_is_that_of_the_grid_an_output_lies_on() -> None:
    donor = graph("(float[N, 6] f) => (float[N, 6] y, float[N, 6] z)",
                  "z = Relu(f)\nc = QuantizeLinear(z, s, k)\ny = DequantizeLinear(c, s, k)", s=np.float32(0.25), k=np.uint8(0))
    numbers, _ = proved(graft(donor, backbone(), "features"))
    assert numbers["fused"]["y"]["steps"] == 0.0 and numbers["fused"]["z"]["steps"] is None  # type: ignore[index]


def rounded(values: list[float], step: float | None) -> graft_proof.Seen:
    seen = graft_proof.Seen(graft_proof.compare.Fidelity(), step)
    wanted = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    seen.fidelity.update(wanted, wanted + np.resize(np.array(values, np.float32), (8, 8)))
    return seen


def test_fused_integer_kernels_may_differ_by_a_step_and_are_reported_beyond() -> None:
    assert graft_proof._judge({"y": rounded([0, 0.1], 0.1)}) == []
    findings = graft_proof._judge({"y": rounded([0.002] + [0] * 63, 0.001), "z": rounded([0.002] + [0] * 63, None)})
    assert len(findings) == 2 and "2.0 steps of its grid" in findings[0]
    with pytest.raises(ParityError, match="unfused they are equal, so the integer kernels of this machine overflow"):
        graft_proof._judge({"y": rounded([0.3, -0.3], 0.01)})


