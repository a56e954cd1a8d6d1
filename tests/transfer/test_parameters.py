"""Parameters of any graph in one form: held to onnxruntime, which must not notice in which notation the numbers went over."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from converter.errors import ConversionError
from converter.transfer import parameters
from tests.quantize.graphs import graph
from tests.transfer.notations import CASES, CONV, DENSE, GRIDS, first_output, moved, note

TURNS = [pytest.param(name, a, b, id=f"{name} {a} to {b}") for name, case in CASES.items()
         for a, b in itertools.permutations(range(len(case.notations)), 2)]
KEPT = [pytest.param(name, i, id=f"{name} {i}") for name, case in GRIDS.items() for i in range(1, len(case.notations))]
ONTO = [pytest.param(name, i, grid, id=f"{name} {i} {grid}") for name, case in GRIDS.items() for i in range(1, len(case.notations))
        for grid in ("fresh", "frozen")]


@pytest.mark.parametrize(("name", "a", "b"), TURNS)
def test_the_recipient_computes_what_the_donor_computes(name: str, a: int, b: int) -> None:
    case = CASES[name]
    donor, recipient = case.notations[a].build(case.ends, 1), case.notations[b].build(case.ends, 2)
    feeds = case.inputs()
    wanted, before = first_output(donor, feeds), first_output(recipient, feeds)
    found, told = moved(donor, recipient)
    assert found.is_whole and len(found.pairs) == len(parameters.of(donor)) == len(told.changed)
    got = first_output(recipient, feeds)
    assert not np.allclose(before, wanted, atol=1e-2)
    np.testing.assert_allclose(got, wanted, atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize(("name", "i"), KEPT)
def test_codes_become_the_float_numbers_that_they_stand_for(name: str, i: int) -> None:
    case = GRIDS[name]
    donor, recipient = case.notations[i].build(case.ends, 1), case.notations[0].build(case.ends, 2)
    found, _ = moved(donor, recipient)
    assert found.is_whole
    if "QuantizeLinear<axis=0>(w" in case.notations[i].body or "(t, s, z)" in case.notations[i].body:
        return  # float numbers are stored: they are copied, not what the graph makes of them
    np.testing.assert_allclose(first_output(recipient, case.inputs()), first_output(donor, case.inputs()), atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize(("name", "i", "grid"), ONTO)
def test_float_numbers_go_onto_the_grid_that_is_there_or_a_fresh_one(name: str, i: int, grid: str) -> None:
    """No number of the weight is further from the donor's than half a step, or beyond the end of a frozen grid; what was clipped is counted."""
    case = GRIDS[name]
    donor, recipient = case.notations[0].build(case.ends, 1), case.notations[i].build(case.ends, 2)
    _, told = moved(donor, recipient, grid=grid)
    if grid == "fresh":
        assert not told.clipped
    for source, dest in zip(parameters.of(donor), parameters.of(recipient), strict=True):
        wanted, got = source.read(), dest.read()
        if dest.grid is None or not dest.grid.codes:
            np.testing.assert_allclose(got, wanted, rtol=1e-6)
            continue
        low, high = _ends(dest)
        allowed = 0.5 * dest.layout.canonical(_step(dest)) * (1 + 1e-4)
        assert (np.abs(got - np.clip(wanted, low, high)) <= allowed + (0 if grid == "frozen" else MOVED * 2 * allowed)).all()
        outside = (wanted < low - allowed) | (wanted > high + allowed)
        assert int(outside.sum()) == told.clipped.get(dest.name, 0)


MOVED = 32  # weights of a per-channel grid may be moved by the bound of saturating kernels; held in tests/quantize/test_weights.py


def _step(dest: parameters.Parameter) -> np.ndarray:
    assert dest.grid is not None and dest.value.const_value is not None
    params, shape = dest.grid.params, dest.value.const_value.numpy().shape
    scale = params.scale if params.axis is None else params.scale.reshape([-1 if k == params.axis else 1 for k in range(len(shape))])
    return np.broadcast_to(scale, shape)


def _ends(dest: parameters.Parameter) -> tuple[np.ndarray, np.ndarray]:
    assert dest.grid is not None
    params, step = dest.grid.params, _step(dest)
    low, high = params.spec.limits
    codes = (np.full(step.shape, end, params.spec.dtype) for end in (low, high))
    return tuple(dest.layout.canonical(params.dequantize(c)) for c in codes)  # type: ignore[return-value]


def of_text(ends: str, body: str, **held: np.ndarray) -> list[parameters.Parameter]:
    return parameters.of(graph(ends, body, opset=21, **held))


def test_a_bias_of_32_bits_is_on_the_grid_of_its_layer_and_a_name_is_without_what_a_quantizer_adds() -> None:
    model = note("q = QuantizeLinear(x, s, z)\nd = DequantizeLinear(q, s, z)\nv = DequantizeLinear<axis=0>(w_quantized, t)\n"
                 "c = DequantizeLinear<axis=0>(b_quantized, u)\ny = Conv(d, v, c)", {"w_quantized": "int8"}, w_quantized=(4, 3, 3, 2),
                 b_quantized=np.array([3, -5, 70000, 0], np.int32), s=np.float32(0.5), z=np.uint8(7), t=np.full(4, 0.25, np.float32),
                 u=np.full(4, 0.125, np.float32)).build(CONV)
    kernel, bias = parameters.of(model)
    assert (kernel.name, kernel.role, kernel.direct, bias.name, bias.role) == ("w", "kernel", True, "b", "bias")
    np.testing.assert_array_equal(bias.read(), [0.375, -0.625, 8750, 0])
    assert kernel.grid is not None and kernel.grid.codes and kernel.grid.params.axis == 0 and bias.grid is not None


def test_half_precision_behind_a_cast_is_a_parameter() -> None:
    (kernel,) = of_text(DENSE, "v = Cast<to=1>(w)\ny = MatMul(x, v)", w=np.ones((5, 4), np.float16))
    assert (kernel.name, kernel.role, kernel.read().dtype, kernel.direct) == ("w", "kernel", np.float16, True)


def test_shapes_and_indices_are_no_parameters_and_single_numbers_are_told_apart() -> None:
    found = of_text(DENSE, "a = Mul(x, half)\nb = Reshape(a, s)\nc = Gather<axis=1>(b, i)\ny = MatMul(c, w)", half=np.array(0.5, np.float32),
                    s=np.array([-1, 5]), i=np.array([0, 2]), w=np.ones((2, 3), np.float32))
    assert [(p.name, p.is_number) for p in found] == [("half", True), ("w", False)]


def test_all_readers_of_a_shared_weight_are_known() -> None:
    (kernel,) = of_text("(float[N,5] x) => (float y)", "[one] h = MatMul(x, w)\n[two] y = MatMul(h, w)", w=np.ones((5, 5), np.float32))
    assert [node.name for node in kernel.readers] == ["one", "two"] and kernel.place == "one"


REFUSED = {
    "codes": ("y = QLinearConv(q, s, z, w, s, z, s, z)", "(uint8[N,3,6,6] q) => (uint8 y)", {"w": np.ones((4, 3, 3, 3), np.uint8), "s": np.float32(1),
              "z": np.uint8(0)}, r"QLinearConv\) takes integer codes directly.*quant_format=QDQ"),
    "16 bits": ("v = DequantizeLinear(w, s)\ny = MatMul(x, v)", DENSE, {"w": np.ones((5, 4), np.int16), "s": np.float32(1)},
                "a grid of int16 .* is not known here; known: int8, uint8 and int32"),
    "blocks": ("v = DequantizeLinear<axis=0, block_size=5>(w, s)\ny = MatMul(x, v)", DENSE,
               {"w": np.ones((5, 4), np.int8), "s": np.ones((1, 4), np.float32)},
               r"a grid of int8 with scales float32 \[1, 4\] is not known here"),
    "computed scale": ("r = ReduceMax<keepdims=0>(x)\nv = DequantizeLinear(w, r)\ny = MatMul(x, v)", DENSE, {"w": np.ones((5, 4), np.int8)},
                       "dequantizes a weight on a grid that is computed"),
    "cut axis": ("t = Reshape(w, s)\nv = DequantizeLinear<axis=1>(t, p)\ny = MatMul(x, v)", DENSE, {"w": np.ones(20, np.int8), "s": np.array([5, 4]),
                 "p": np.ones(4, np.float32)}, r"has scales along an axis that the stored weight \[20\] does not have by itself"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_grid_that_is_not_known_is_refused_and_not_passed_over(case: str) -> None:
    body, ends, held, text = REFUSED[case]
    with pytest.raises(ConversionError, match=text):
        of_text(ends, body, **held)
