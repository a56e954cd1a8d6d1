"""What two sides of a seam may differ in, and what is said where they may not."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import UsageError
from converter.transfer import fitting
from tests.quantize.graphs import graph


def value(shape: list[int | str | None] | None, dtype: ir.DataType = ir.DataType.FLOAT) -> ir.Value:
    return ir.Value(name="v", shape=None if shape is None else ir.Shape(shape), type=ir.TensorType(dtype))


@pytest.mark.parametrize(("given", "wanted", "transpose", "says"), [
    (["N", 8], ["M", 6], None, "the backbone gives [N, 8], the head takes [M, 6]; the width of axis 1 is 8 and must be 6: the head was made for "
                               "another backbone"),
    (["N", 8], ["M", 8, 1, 1], None, "2 axes are not 4: cut the backbone before what flattens or pools"),
    (["N", 8, 1, 1], ["M", 8], None, "4 axes are not 2: cut the head before what flattens or pools"),
    (["N", 8, 5, 6], ["N", 5, 6, 8], None, "channels first in the backbone, last in the head: --transpose channels-last puts a transpose"),
    (["N", 5, 6, 8], ["N", 8, 5, 6], None, "channels last in the backbone, first in the head: --transpose channels-first puts a transpose"),
    (["N", 8, 5, 6], ["N", 5, 6, 8], "channels-first", "the backbone gives [N, 8, 5, 6] transposed, the head takes [N, 5, 6, 8]; they are the same "
                                                       "with channels first"),
    (["N", 8], ["N", 8], "channels-last", "moves the channels of a tensor with 3 axes or more; the backbone gives [N, 8]"),
    (["N", 8], ["N", 8], "NHWC", "no such layout: 'NHWC'; known: channels-last, channels-first"),
    ([4, 8], [2, 8], None, "one works on batches of 4, the other of 2"),
    (["N", "A", "B"], ["M", "L", "L"], None, "the head wants the same length on every axis called 'L', the backbone gives [N, A, B]"),
    (["N", "A", "A"], ["M", 3, 4], None, "'A' of the backbone would have to be 3 and 4 at once"),
])
def test_shapes_that_do_not_fit_are_explained(
    given: list[int | str | None], wanted: list[int | str | None], transpose: str | None, says: str
) -> None:
    with pytest.raises(UsageError) as error:
        fitting.fit(value(given), value(wanted), transpose, "'a' of the donor")
    assert says in str(error.value)


@pytest.mark.parametrize(("given", "wanted", "says"), [
    (ir.DataType.FLOAT16, ir.DataType.FLOAT, "the backbone gives float16, the head takes float; one of the parts is of another precision"),
    (ir.DataType.UINT8, ir.DataType.FLOAT, "the backbone gives uint8, the head takes float; the backbone gives bare codes"),
    (ir.DataType.FLOAT, ir.DataType.INT64, "the backbone gives float, the head takes int64; the head takes whole numbers that are no codes"),
])
def test_types_that_do_not_fit_are_explained(given: ir.DataType, wanted: ir.DataType, says: str) -> None:
    with pytest.raises(UsageError) as error:
        fitting.fit(value(["N", 4], given), value(["N", 4], wanted), None, "here")
    assert says in str(error.value) and str(error.value).endswith("Seam: here")


@pytest.mark.parametrize(("given", "wanted", "axes"), [
    (["N", 4], ["M", 4], ({}, {"M": "N"})), (["N", 4], [1, 4], ({"N": 1}, {})), ([1, 4], ["M", "K"], ({}, {"M": 1, "K": 4})),
    ([None, 4], ["M", 4], ({}, {"M": "M"})), (None, ["M", 4], ({}, {})), (["N", 4, "N"], ["M", 4, 7], ({"N": 7}, {"M": 7})),
])
def test_free_axes_become_one(given: list[int | str | None] | None, wanted: list[int | str | None], axes: tuple[dict[str, object], ...]) -> None:
    assert fitting.fit(value(given), value(wanted), None, "").axes == axes


@pytest.mark.parametrize(("layout", "perm"), [("channels-last", (0, 2, 3, 1)), ("channels-first", (0, 3, 1, 2))])
def test_a_transpose_gives_what_the_head_wants(layout: str, perm: tuple[int, ...]) -> None:
    shape = [2, 8, 5, 6] if layout == "channels-last" else [2, 5, 6, 8]
    found = fitting.fit(value(list(shape)), value([shape[i] for i in perm]), layout, "")
    assert found.perm == perm


def test_a_grid_is_seen_through_what_only_moves_numbers() -> None:
    model = graph("(float[N, 4, 1] x) => (float[N, 4] y)",
                  "c = QuantizeLinear(x, s, z)\nd = DequantizeLinear(c, s, z)\nf = Flatten(d)\ny = Relu(f)", s=np.float32(0.5), z=np.uint8(1))
    nodes = list(model.graph)
    through, straight, behind = (fitting.fit(nodes[i].outputs[0], value(None), None, "") for i in (2, 1, 3))
    assert through.given is not None and not through.direct and straight.direct and behind.given is None
