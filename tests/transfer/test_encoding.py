"""Grids for new numbers: what they must cover, where one number more would be clipped, and what is written of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converter.spec.quant import Granularity, QParams, QuantSpec
from converter.transfer import encoding, parameters
from tests.quantize.graphs import initializer, weights
from tests.transfer.notations import DENSE, note, scales

NUMBERS = hnp.arrays(np.float32, (3, 4), elements=st.floats(-1e6, 1e6, width=32))
S8, U8 = QuantSpec(8, signed=True, symmetric=True), QuantSpec(8)


def kind(spec: QuantSpec, axis: int | None) -> QParams:
    count = () if axis is None else (3, 4)[axis]
    granularity = Granularity.TENSOR if axis is None else Granularity.CHANNEL
    return QParams(QuantSpec(spec.bits, signed=spec.signed, symmetric=spec.symmetric, granularity=granularity), np.ones(count, np.float32),
                   np.zeros(count, spec.dtype), axis)


@given(NUMBERS, st.sampled_from([S8, U8, QuantSpec(8, signed=True)]), st.sampled_from([None, 0, 1]))
def test_a_grid_of_the_same_kind_covers_all_numbers_of_every_channel(numbers: np.ndarray, spec: QuantSpec, axis: int | None) -> None:
    old = kind(spec, axis)
    found = encoding.covering(old, numbers)
    assert found.spec == old.spec and found.axis == axis and found.scale.shape == old.scale.shape
    step = found.scale if axis is None else np.expand_dims(found.scale, 1 - axis)
    assert (np.abs(found.dequantize(found.quantize(numbers)) - numbers) <= (0.5 if spec.symmetric else 1.0) * step * (1 + 1e-4)).all()
    assert encoding.clipped(found, numbers) == 0 or not spec.symmetric
    channels = numbers.reshape(1, -1) if axis is None else np.moveaxis(numbers, axis, 0)
    wide = np.array([max(row.max(), 0) - min(row.min(), 0) if not spec.symmetric else 2 * np.abs(row).max() for row in channels])
    step, wide = step.reshape(-1)[wide > 1e-20], wide[wide > 1e-20]
    assert (step <= wide / (254 if spec.symmetric else 255) * (1 + 1e-5)).all(), "and is no coarser than it must be"


def test_what_rounds_to_a_code_is_not_clipped_and_what_does_not_is() -> None:
    params = QParams(S8, np.array(0.5, np.float32), np.array(0, np.int8))
    assert encoding.clipped(params, np.array([63.5, 63.7, -64.0, -64.24], np.float32)) == 0
    assert encoding.clipped(params, np.array([63.8, -64.3, 1e30, -1e38], np.float32)) == 4
    channels = QParams(kind(U8, 1).spec, np.array([1, 2, 1, 1], np.float32), np.array([0, 10, 0, 0], np.uint8), 1)
    assert encoding.clipped(channels, np.array([[255, 490, 255.4, 0], [256, 491.5, -0.4, -1], [0, -20, 0, 0]], np.float32)) == 3


def dense(**held: np.ndarray) -> parameters.ir.Model:
    return note("v = DequantizeLinear(w, s)\ny = MatMul(x, v)", {"w": "uint8"}, w=(5, 4), s=np.float32(0.01)).build(DENSE)


def test_a_zero_point_that_is_not_there_is_added_where_it_is_needed() -> None:
    model = dense()
    (kernel,) = parameters.of(model)
    assert not encoding.set_grid(model, kernel, QParams(U8, np.array(0.01, np.float32), np.array(0, np.uint8)))
    assert len(kernel.grid.nodes[0].inputs) == 2  # type: ignore[union-attr]
    assert encoding.set_grid(model, kernel, QParams(U8, np.array(0.02, np.float32), np.array(128, np.uint8)))
    (again,) = parameters.of(model)
    assert again.grid is not None and int(again.grid.params.zero_point) == 128 and float(again.grid.params.scale) == np.float32(0.02)


def test_only_a_kernel_on_a_grid_of_kernels_is_kept_inside_the_bound_of_the_kernels() -> None:
    """A vector behind a layer, quantized channel by channel, is no kernel: each of its numbers has all its codes."""
    model = note("v = DequantizeLinear<axis=1>(w, s)\nt = MatMul(x, v)\nc = DequantizeLinear<axis=0>(b, p)\ny = Add(t, c)",
                 {"w": "int8", "b": "int8"}, w=(5, 4), b=(4,), s=scales(4), p=scales(4)).build(DENSE)
    kernel, bias = parameters.of(model)
    numbers = weights(5, 4)
    codes, _ = encoding.fresh(kernel, numbers, None)
    same_sign = [abs(int(a) + int(b)) for a, b in zip(codes[0::2].reshape(-1), codes[1::2].reshape(-1), strict=False)]
    assert max(same_sign) <= 128
    codes, params = encoding.fresh(bias, numbers[0], None)
    assert (np.abs(codes.astype(int)) == 127).all() and params.axis == 0


def test_nothing_that_is_no_number_gets_codes() -> None:
    from converter.errors import InputError

    (kernel,) = parameters.of(dense())
    with pytest.raises(InputError, match="w would hold NaN or infinite values, which have no codes"):
        encoding.fresh(kernel, np.full((5, 4), np.nan, np.float32), None)


def test_a_weight_that_the_graph_quantizes_gets_a_scale_unless_it_is_frozen() -> None:
    body = "q = QuantizeLinear(w, s, z)\nv = DequantizeLinear(q, s, z)\ny = MatMul(x, v)"
    model = note(body, w=(5, 4), s=np.float32(0.01), z=np.int8(0)).build(DENSE)
    (kernel,) = parameters.of(model)
    numbers = 7 * weights(5, 4)
    assert not encoding.renew_scale(model, kernel, numbers, "frozen") and initializer(model, "s") == np.float32(0.01)
    assert encoding.renew_scale(model, kernel, numbers, "fresh")
    np.testing.assert_allclose(initializer(model, "s"), np.abs(numbers).max() / 127, rtol=1e-6)
