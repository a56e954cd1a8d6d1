"""Names, free axes and weights of two graphs that become one."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.graph import io, query
from converter.transfer import merging
from tests.quantize.graphs import graph
from tests.transfer.grafting import as_layer, every_name


def two() -> tuple[ir.Model, ir.Model]:
    body = "[n] a = Mul(x, w)\n[m] y = Relu(a)"
    return tuple(as_layer(graph("(float[N, L] x) => (float[N, L] y)", body, w=np.full(1, k, np.float32)), "dense", "n") for k in (2, 3))  # type: ignore[return-value]


def test_a_name_in_both_is_the_recipients_and_an_end_is_nobody_elses() -> None:
    recipient, donor = two()
    found = merging.make_unique(recipient.graph, donor.graph, {"recipient": {"x"}, "donor": {"y"}})
    assert every_name(recipient) == ["x", "w", "a", "recipient/y"] and every_name(donor) == ["donor/x", "donor/w", "donor/a", "y"]
    assert found.count == 4 and found.interface == {"recipient": {}, "donor": {}}
    assert [n.name for n in donor.graph] == ["donor/n", "donor/m"] and query.layer_path(next(iter(donor.graph))) == "donor/dense"
    assert [n.name for n in recipient.graph] == ["n", "m"]


def test_a_new_name_that_is_taken_too_gets_a_number() -> None:
    recipient, donor = two()
    next(iter(recipient.graph)).outputs[0].name = "donor/w"
    merging.make_unique(recipient.graph, donor.graph, {"recipient": set(), "donor": set()})
    assert "donor/w_1" in every_name(donor)


def test_a_weight_is_renamed_without_the_graph_it_is_shared_with() -> None:
    recipient, donor = two()
    donor.graph.initializers["w"].const_value = ir.StringTensor(np.array([b"p", b"q"], object), shape=ir.Shape([2]), name="w")
    for whose in (recipient, donor):
        copy = whose.clone()
        merging.make_unique(recipient.graph, copy.graph, {"recipient": set(), "donor": set()})
        new, old = copy.graph.initializers["donor/w"].const_value, whose.graph.initializers["w"].const_value
        assert new is not None and old is not None and (new.name, old.name) == ("donor/w", "w")
        np.testing.assert_array_equal(new.numpy(), old.numpy())


def test_free_axes_of_one_name_are_told_apart_unless_they_are_one() -> None:
    recipient, donor = two()
    merging.separate_axes(recipient.graph, donor.graph, {"N"})
    assert merging.free_axes(donor.graph) == {"N", "donor_L"} and merging.free_axes(recipient.graph) == {"N", "L"}
    merging.set_axes(donor.graph, {"N": 4, "donor_L": "L"})
    assert [str(v.shape) for v in donor.graph.outputs] == ["[4,L]"]


def test_everything_moves_and_nothing_is_left_behind() -> None:
    recipient, donor = two()
    donor.ir_version, recipient.ir_version = 10, 8
    donor.graph.opset_imports["com.example"] = 3
    merging.make_unique(recipient.graph, donor.graph, {"recipient": set(), "donor": set()})
    taken = donor.graph.inputs[0]
    merging.move(donor, recipient)
    assert [n.op_type for n in recipient.graph] == ["Mul", "Relu"] * 2 and not list(donor.graph) and not donor.graph.initializers
    assert recipient.ir_version == 10 and recipient.graph.opset_imports == {"": 18, "com.example": 3}
    taken.replace_all_uses_with(recipient.graph.outputs[0])
    io.check(recipient)
