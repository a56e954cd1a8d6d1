"""Find the numbers of a plan: scales and zero points of activations from statistics, of weights from the weights."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from converter.calibrate import OBSERVERS, Statistics
from converter.errors import ConversionError, known
from converter.graph import query
from converter.quantize import bias_correction, weights
from converter.quantize.weights import Codes
from converter.spec.plan import Fixed, Layer, Own, QuantPlan
from converter.spec.quant import Array, QParams, QuantSpec, from_range
from converter.spec.target import Saturation, Target


@dataclass(frozen=True, eq=False)
class LayerCodes:
    """Everything that one layer with weights becomes.

    Args:
        weight: integer weights.
        bias: int32 codes ``(channels,)``, or None where there is no bias.
        bias_params: the grid of the bias.
        corrected: what bias correction took off the float bias, float64 ``(channels,)``.
    """

    weight: Codes
    bias: Array | None
    bias_params: QParams
    corrected: Array


@dataclass(frozen=True, eq=False)
class Solution:
    """Numbers for a plan: grids of activations by value name, codes of layers by node name, and chosen ranges."""

    activations: dict[str, QParams] = field(default_factory=dict)
    layers: dict[str, LayerCodes] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)


def solve(plan: QuantPlan, model: ir.Model, seen: Mapping[str, Statistics], target: Target, *, correct_bias: bool = True) -> Solution:
    """Numbers for every entry of ``plan``.

    Args:
        plan: of ``model``.
        model: the float graph.
        seen: statistics of every observed value and of every layer's input.
        target: decides whether weights must respect the bound of saturating kernels.
        correct_bias: take the expected shift of quantized weights back through the bias.

    Raises:
        ConversionError: statistics are missing.
    """
    own = {name: entry for name, entry in plan.entries.items() if isinstance(entry, Own) and entry.observer}
    with ThreadPoolExecutor(max_workers=2) as pool:  # numpy works outside the interpreter's lock
        ranges = dict(zip(own, pool.map(lambda name: range_of(own[name], _statistics(seen, name)), own), strict=True))
    grids = grids_of(plan, {name: _pinned(own[name], *found) for name, found in ranges.items()})
    return Solution(grids, encode_layers(plan, model, grids, _means(plan, seen) if correct_bias else {}, target), ranges)


def encode_layers(
    plan: QuantPlan, model: ir.Model, grids: Mapping[str, QParams], means: Mapping[str, Array], target: Target
) -> dict[str, LayerCodes]:
    """Integer weights and biases of every layer, by node name.

    Args:
        plan: of ``model``.
        model: the float graph; its weights are encoded.
        grids: of the activations, by value name.
        means: channel means of values that layers read, float64 ``(channels,)``; a layer whose input is not there keeps its bias.
        target: decides whether weights must respect the bound of saturating kernels.
    """
    nodes = {node.name: node for node in model.graph}
    axes = channel_axes(plan)

    def codes(layer: Layer) -> LayerCodes:
        known = means.get(layer.source) if _is_corrected(layer, axes) else None
        return _layer(nodes[layer.name], layer, grids[layer.source], target, known)

    with ThreadPoolExecutor(max_workers=2) as pool:  # layers know nothing of each other
        return dict(zip((layer.name for layer in plan.layers), pool.map(codes, plan.layers), strict=True))


def grids_of(plan: QuantPlan, own: Mapping[str, QParams]) -> dict[str, QParams]:
    """The grid of every activation in ``plan``: those of ``own``, those that the engine fixes, and those that share another's."""
    fixed = {name: QParams(entry.spec, np.array(entry.scale, np.float32), np.array(entry.zero_point, entry.spec.dtype))
             for name, entry in plan.entries.items() if isinstance(entry, Fixed)}
    out = {name: grid for name in plan.entries if (grid := own.get(name, fixed.get(name))) is not None}
    return out | {name: out[owner] for name in plan.entries if (owner := plan.owner(name)) in out}


def channel_axes(plan: QuantPlan) -> dict[str, int]:
    """Channel axis of every value that a layer with weights reads; where two layers disagree, that of the first."""
    axes: dict[str, int] = {}
    for layer in plan.layers:
        axes.setdefault(layer.source, _channel_axis(layer))
    return axes


def _channel_axis(layer: Layer) -> int:
    return 1 if layer.op_type == "Conv" else -1


def _is_corrected(layer: Layer, axes: Mapping[str, int]) -> bool:
    """Whether bias correction can be done: MatMul has no bias, and where two layers disagree the means are along another axis."""
    return layer.op_type != "MatMul" and axes[layer.source] == _channel_axis(layer)


def _means(plan: QuantPlan, seen: Mapping[str, Statistics]) -> dict[str, Array]:
    """Channel means of the input of every layer whose bias is corrected."""
    axes, out = channel_axes(plan), dict[str, Array]()
    for layer in plan.layers:
        if _is_corrected(layer, axes):
            statistics = _statistics(seen, layer.source)
            if not statistics.channels:
                raise ConversionError(f"the statistics of tensor {layer.source} hold no channel means; they were gathered for another plan")
            out[layer.source] = statistics.means
    return out


def _statistics(seen: Mapping[str, Statistics], name: str) -> Statistics:
    if name not in seen or seen[name].samples == 0:
        raise ConversionError(f"no statistics of tensor {name}; there are statistics of {known(seen)}")
    return seen[name]


def range_of(entry: Own, statistics: Statistics) -> tuple[float, float]:
    """The range that the entry's observer reads from the statistics, inside the bounds that the tensor has by construction."""
    assert entry.observer is not None
    low, high = OBSERVERS.get(entry.observer)(statistics, entry.spec)
    if entry.ceiling is not None:
        high = min(high, entry.ceiling)
    return (max(low, 0.0) if entry.unsigned else low), max(high, low)


def _pinned(entry: Own, low: float, high: float) -> QParams:
    """The grid for a range.

    The engine fuses an activation only into a grid that clamps as it does: an unsigned value has zero point 0, and its
    highest code lies at the ceiling or below, also where the data never came near it or were always 0.
    """
    params = from_range(entry.spec, 0.0 if entry.unsigned else low, high)
    if not entry.unsigned or entry.ceiling is None:
        return params
    steps = entry.spec.limits[1] - entry.spec.limits[0]
    highest = np.float32(entry.ceiling / steps)
    if float(highest) * steps > entry.ceiling:
        highest = np.nextafter(highest, np.float32(0))
    return QParams(params.spec, np.minimum(params.scale, highest), params.zero_point)


def _layer(node: ir.Node, layer: Layer, source: QParams, target: Target, means: Array | None) -> LayerCodes:
    weight, bias = query.constant(node.inputs[1]), query.constant(query.input_at(node, 2))
    assert weight is not None
    bias64 = None if bias is None else bias.astype(np.float64)
    codes = weights.encode(
        weight, layer.channel, target.weight, op_type=node.op_type, group=query.integer(node, "group", 1),
        transposed=bool(query.integer(node, "transB", 0)), pairs=target.saturation is Saturation.PAIRS,
        smallest=_smallest(weight.shape[layer.channel], bias64, source))
    corrected = np.zeros(weight.shape[layer.channel])
    if means is not None:
        corrected = bias_correction.shift(node, codes.params.dequantize(codes.codes) - weight, means)
    grid = _bias_grid(target.bias, source, codes.params)
    if bias64 is None and means is None:
        return LayerCodes(codes, None, grid, corrected)
    total = (0.0 if bias64 is None else bias64) - corrected
    return LayerCodes(codes, grid.quantize(np.asarray(total)), grid, corrected)


def _smallest(channels: int, bias: Array | None, source: QParams) -> Array:
    """Scales of the weight below which the bias would not fit 32 bits, or its scale would not be a normal float32."""
    least = np.zeros(channels) if bias is None else np.abs(bias) / weights.BIAS_ROOM
    return np.asarray(np.maximum(least, 2.0 * np.finfo(np.float32).tiny) / float(source.scale))


def _bias_grid(spec: QuantSpec, source: QParams, weight: QParams) -> QParams:
    """``scale = scale(activation) * scale(weight)`` in float32, as onnxruntime computes it; zero point 0."""
    scale = source.scale * weight.scale
    return QParams(spec, scale, np.zeros(scale.shape, spec.dtype), 0)
