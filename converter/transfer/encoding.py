"""Grids of parameters that are written into an integer graph: a fresh one for new numbers, and the one a bias must have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from converter.errors import InputError
from converter.graph import edit, ops, query
from converter.quantize import weights
from converter.spec.quant import Array, Granularity, QParams, QuantSpec, from_range
from converter.transfer.parameters import Grid, Parameter

LARGEST = 2.0**31 - 1
PAIRED = ("Conv", "Gemm", "MatMul")


def fresh(dest: Parameter, stored: Array, bias: Array | None) -> tuple[Array, QParams]:
    """Codes and the finest grid of the recipient's kind that holds ``stored`` (float, layout of the initializer).

    Where the layer has a bias of 32 bits, ``bias`` are its new numbers: its codes must fit, which a coarser scale of the weight sees to.
    """
    assert dest.grid is not None
    params, numbers = dest.grid.params, np.asarray(stored, np.float32)
    if not np.isfinite(numbers).all():
        raise InputError(f"{dest.name} would hold NaN or infinite values, which have no codes")
    axis = ops.weight_axis(dest.node)
    if params.axis is not None and params.axis == axis and params.spec.symmetric and dest.node.op_type in PAIRED and dest.direct:
        spec = replace(params.spec, narrow=True)
        made = weights.encode(numbers, axis, spec, op_type=dest.node.op_type, group=query.integer(dest.node, "group", 1),
                              transposed=bool(query.integer(dest.node, "transB", 0)), smallest=_room(dest, numbers.shape[axis], bias))
        return made.codes, QParams(params.spec, made.params.scale, params.zero_point, params.axis)
    found = covering(params, numbers)
    return found.quantize(numbers), found


def covering(params: QParams, numbers: Array) -> QParams:
    """The grid of the same kind that covers ``numbers``, channel by channel where it has channels."""
    spec = replace(params.spec, granularity=Granularity.TENSOR)
    if params.axis is None:
        return QParams(params.spec, *_covering(spec, numbers))
    rows = np.moveaxis(numbers, params.axis, 0).reshape(numbers.shape[params.axis], -1)
    pairs = [_covering(spec, row) for row in rows]
    return QParams(params.spec, np.array([scale for scale, _ in pairs], np.float32), np.array([zero for _, zero in pairs], spec.dtype), params.axis)


def _covering(spec: QuantSpec, numbers: Array) -> tuple[Array, Array]:
    if spec.symmetric and spec.signed:  # the most negative code is left out, so that the range is symmetric
        spec = replace(spec, narrow=True)
    found = from_range(spec, float(numbers.min(initial=0)), float(numbers.max(initial=0)))
    return found.scale, found.zero_point


def clipped(params: QParams, numbers: Array) -> int:
    """How many of ``numbers`` lie more than half a step outside the grid."""
    low, high = params.spec.limits
    scale, zero = (x if params.axis is None else x.reshape([-1 if i == params.axis else 1 for i in range(numbers.ndim)])
                   for x in (params.scale, params.zero_point))
    with np.errstate(over="ignore"):
        steps = np.rint(np.asarray(numbers, np.float64) / scale) + zero
    return int(((steps < low) | (steps > high)).sum())


def bias(parameter: Parameter, stored: Array) -> tuple[Array, QParams]:
    """Codes of a bias and its grid, the product of the grids of its layer's input and weight as they are now.

    Raises:
        InputError: a code does not fit 32 bits, or the input's or the weight's grid is not there.
    """
    assert parameter.grid is not None
    scales = [_scale_of(query.input_at(parameter.node, index)) for index in (0, 1)]
    if scales[0] is None or scales[1] is None or scales[0].size != 1:
        raise InputError(f"{parameter.name} is a bias of 32 bits, and {query.label(parameter.node)} does not read both input and weight through "
                         "DequantizeLinear, so its grid is not known")
    scale = (scales[0].reshape(()) * scales[1]).astype(np.float32)
    old = parameter.grid.params
    if scale.ndim == 0 and old.scale.ndim:
        scale = np.full(old.scale.shape, scale, np.float32)
    axis = None if scale.ndim == 0 else 0
    params = QParams(old.spec, scale, np.zeros(scale.shape, np.int32), axis)
    with np.errstate(over="ignore"):
        largest = np.abs(np.asarray(stored, np.float64) / scale.astype(np.float64)).max(initial=0)
    if not largest <= LARGEST:
        raise InputError(f"the bias {parameter.name} would need the code {largest:.4g}, which does not fit 32 bits: it is up to "
                         f"{np.abs(stored).max():.4g} on a step of {scale.min():.4g}")
    return params.quantize(np.asarray(stored)), params


def _room(dest: Parameter, channels: int, bias: Array | None) -> Array | None:
    """Scales of the weight below which the codes of the bias would not fit, float64 ``(channels,)``."""
    source = _scale_of(query.input_at(dest.node, 0))
    if source is None or source.size != 1:
        return None
    least = np.zeros(channels) if bias is None else np.abs(bias.reshape(-1)) / weights.BIAS_ROOM
    return np.asarray(np.maximum(least, 2.0 * np.finfo(np.float32).tiny) / float(source.reshape(())))


def _scale_of(value: ir.Value | None) -> Array | None:
    """Scale of the DequantizeLinear that makes ``value``, seen through what moves numbers only."""
    node = value.producer() if value is not None else None
    while node is not None and node.op_type in ("Transpose", "Reshape", "Identity") and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return query.constant(query.input_at(node, 1)) if node is not None and node.op_type == "DequantizeLinear" else None


def renew_scale(model: ir.Model, dest: Parameter, stored: Array, grid: str) -> bool:
    """A weight that the graph itself quantizes: give the pair a scale for the new numbers, unless it is frozen."""
    assert dest.grid is not None
    return grid == "fresh" and set_grid(model, dest, covering(dest.grid.params, np.asarray(stored, np.float32)))


def set_grid(model: ir.Model, dest: Parameter, params: QParams) -> bool:
    """Write the numbers of a grid; returns whether the scale is another now. A scale that others read too stays theirs."""
    assert dest.grid is not None
    changed = _set(model, dest.grid.scale, params.scale, dest.grid)
    if dest.grid.zero_point is not None:
        _set(model, dest.grid.zero_point, params.zero_point, dest.grid)
    return changed


def _set(model: ir.Model, value: ir.Value, numbers: Array, grid: Grid) -> bool:
    held = query.constant(value)
    assert held is not None
    new = numbers.reshape(held.shape) if numbers.size == held.size else numbers
    if np.array_equal(new, held) and new.shape == held.shape:
        return False
    foreign = [use for use in value.uses() if use.node not in grid.nodes]
    if foreign:
        value = edit.take_apart(model, value, grid.nodes)
    edit.set_numbers(value, new)
    return True
