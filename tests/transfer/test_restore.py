"""What a graph wants of an exported model: stored numbers, steps of grids, what has no place, and what is told of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converter.errors import InputError
from converter.graph import edit, io, ledger, query
from converter.spec.report import Report
from converter.transfer import parameters
from converter.transfer.match import match
from converter.transfer.restore import added_biases, described, desired
from converter.transfer.undo import Undone, Wanted
from tests.ship.tiny import with_weights

DENSE = """
<ir_version: 8, opset_import: ["" : 17]>
dense (float[N, 4] x, float w, float b) => (float[N, 3] y) {
    y = Gemm (x, w, b)
}
"""
INTEGER = """
<ir_version: 8, opset_import: ["" : 17]>
dense (float[N, 4] x, int8 w, float ws, int8 wz, int32 b, float bs, int32 bz) => (float[N, 3] y) {
    wd = DequantizeLinear <axis = 1> (w, ws, wz)
    bd = DequantizeLinear <axis = 0> (b, bs, bz)
    y = Gemm (x, wd, bd)
}
"""
SCALES = np.float32([0.1, 0.2, 0.4])


def exported(text: str = DENSE, **shapes: tuple[int, ...]) -> Any:
    model = with_weights(text, **(shapes or {"w": (4, 3), "b": (3,)}))
    ledger.of(model)
    return model


def integer() -> Any:
    model = io.from_text(INTEGER)
    arrays = {"w": np.arange(12, dtype=np.int8).reshape(4, 3), "ws": SCALES, "wz": np.zeros(3, np.int8), "b": np.int32([1, 2, 3]),
              "bs": SCALES / 8, "bz": np.zeros(3, np.int32)}
    inputs = {str(v.name): v for v in model.graph.inputs if v.name in arrays}
    for name, value in inputs.items():
        model.graph.inputs.remove(value)
        value.name = f"{name}/input"
    for name, value in inputs.items():
        value.replace_all_uses_with(edit.add_initializer(model, name, arrays[name]))
    return model


def wants(given: Any, ours: Any) -> dict[str, Wanted]:
    return desired(given, ours, match(parameters.of(given), parameters.of(ours)))


def test_float_numbers_are_taken_as_they_are() -> None:
    given = exported(w=(4, 3), b=(3,))
    found = wants(given, exported())
    assert found.keys() == {"w", "b"} and not np.any(found["w"].step)
    np.testing.assert_array_equal(found["w"].array, query.constant(given.graph.initializers["w"]))


def test_another_layout_is_turned() -> None:
    given = exported(DENSE.replace("Gemm (", "Gemm <transB = 1> ("), w=(3, 4), b=(3,))
    np.testing.assert_array_equal(wants(given, exported())["w"].array, query.constant(given.graph.initializers["w"]).T)  # type: ignore[union-attr]


def test_codes_are_dequantized_and_the_step_is_that_of_the_grid() -> None:
    found = wants(integer(), exported())
    np.testing.assert_allclose(found["w"].array, np.arange(12).reshape(4, 3) * SCALES)
    np.testing.assert_allclose(np.broadcast_to(found["w"].step, (4, 3)), np.broadcast_to(SCALES, (4, 3)))
    np.testing.assert_allclose(found["b"].step, SCALES / 8)


def test_a_bias_that_the_model_does_not_have_was_added() -> None:
    bare = exported(DENSE.replace(", float b", "").replace(", b)", ")"), w=(4, 3))
    assert [p.name for p in added_biases(parameters.of(integer()), parameters.of(bare))] == ["b"]
    assert added_biases(parameters.of(integer()), parameters.of(exported())) == []
    with pytest.raises(InputError, match=r"the graph is not one of this Keras model: 1 parameter of the graph without a partner: b \[3\]"):
        wants(integer(), bare)


def test_what_the_graph_lacks_is_named() -> None:
    given = exported(DENSE.replace(", float b", "").replace(", b)", ")"), w=(4, 3))
    with pytest.raises(InputError, match=r"1 parameter of the Keras model without a partner: b \[3\]"):
        wants(given, exported())


def test_the_report_tells_changed_kept_and_unused_and_counts_steps() -> None:
    model, report = exported(), Report("restore")
    new = {"w": np.zeros((4, 3), np.float32), "b": np.zeros(3, np.float32), "seed": np.zeros(2, np.float32)}
    wanted = {"w": Wanted(np.full((4, 3), 0.02), np.full((4, 3), 0.1)), "b": Wanted(new["b"])}
    described(Undone(new, new, ("w",), {"w": 0.0, "b": 0.0}), wanted, ledger.of(model), report)
    numbers = report.numbers
    assert ([told["name"] for told in numbers["changed"]], numbers["kept"], numbers["unused"]) == (["w"], ["b"], ["seed"])
    assert numbers["steps"] == pytest.approx(0.2)
    assert report.done[0] == "1 of 3 variables have new values, 1 keep theirs, 1 have no part in the graph"
