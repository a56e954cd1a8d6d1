"""What a sweep reads of every tensor, and where it is computed.

Handing a whole feature map out of onnxruntime and walking over it costs as much as the convolution that made it. So of a large
feature map the graph itself gives the per-channel maximum and mean (GlobalMaxPool, GlobalAveragePool), the minimum where it can be
below 0, and a regular grid of positions (MaxPool of one position with a stride): operators that onnxruntime runs in the blocked
layout of its convolutions. Every other tensor is handed out whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converter.calibrate.statistics import SAMPLED, Observation, observe, patterns
from converter.errors import InputError
from converter.graph import edit, query
from converter.spec.quant import Array
from converter.verify.session import exposed

GRID = 4 * SAMPLED  # elements of a sample in the grid of positions: a finer grid favours the borders of small maps less


@dataclass(frozen=True)
class Probe:
    """A tensor to observe: its name, and the channel axis if channel means are wanted."""

    name: str
    axis: int | None = None


@dataclass(frozen=True)
class Whole:
    """A probe whose tensor is an output of the graph."""

    probe: Probe

    def read(self, outputs: Mapping[str, Array], count: int) -> Observation:
        """What the first ``count`` samples of a batch hold; raises InputError if a value is NaN or infinite."""
        return observe(outputs[self.probe.name][:count], self.probe.axis)


@dataclass(frozen=True)
class Reduced:
    """A probe of a feature map ``(n, c, h, w)`` that the graph has reduced: names of its outputs; ``low`` is None where it is 0."""

    probe: Probe
    high: str
    mean: str
    grid: str
    low: str | None

    def read(self, outputs: Mapping[str, Array], count: int) -> Observation:
        """What the first ``count`` samples of a batch hold (the others repeat the last of them, so the minimum may see them).

        Raises:
            InputError: a value is NaN or infinite; it shows in the mean of its channel, where a maximum may pass over it.
        """
        means = outputs[self.mean][:count].reshape(count, -1)
        spoilt = int(np.count_nonzero(~np.isfinite(means)))
        if spoilt:
            raise InputError(f"values are NaN or infinite in {spoilt} of {means.size} channels of samples")
        low = 0.0 if self.low is None else float(outputs[self.low])
        return Observation(low, float(outputs[self.high][:count].max()), patterns(outputs[self.grid][:count]), means)


def probed(model: ir.Model, probes: Sequence[Probe]) -> tuple[ir.Model, list[Whole | Reduced]]:
    """A copy of ``model`` that gives what the probes need and nothing else, and how each probe is read from its outputs."""
    graph = exposed(model, [p.name for p in probes])
    values = dict(zip((p.name for p in probes), graph.graph.outputs, strict=True))
    graph.graph.outputs.clear()
    readers = [_reduce(graph, values[p.name], p) if _is_large_map(values[p.name], p) else _whole(graph, values[p.name], p) for p in probes]
    return graph, readers


def _is_large_map(value: ir.Value, probe: Probe) -> bool:
    """Whether ``value`` is a feature map, channels first, of more elements than the histogram takes."""
    shape, maker = query.shape_of(value), value.producer()
    if maker is None or not shape or len(shape) != 4 or None in shape[1:] or not query.is_float32(value):
        return False
    inner = maker.inputs[0].producer() if query.is_standard(maker, "Relu", "Clip") and maker.inputs[0] is not None else maker
    image = probe.axis == 1 or (probe.axis is None and inner is not None and query.is_standard(inner, "Conv"))
    return image and math.prod(d or 0 for d in shape[1:]) > SAMPLED


def _whole(graph: ir.Model, value: ir.Value, probe: Probe) -> Whole:
    graph.graph.outputs.append(value)
    return Whole(probe)


def _reduce(graph: ir.Model, value: ir.Value, probe: Probe) -> Reduced:
    stride = _stride(query.shape_of(value) or ())
    high = _output(graph, "GlobalMaxPool", value)
    mean = _output(graph, "GlobalAveragePool", value)
    grid = _output(graph, "MaxPool", value, kernel_shape=[1, 1], strides=[stride, stride])
    low = None if _never_negative(value) else _output(graph, "ReduceMin", value, keepdims=0)
    return Reduced(probe, high, mean, grid, low)


def _output(graph: ir.Model, op_type: str, value: ir.Value, **attributes: object) -> str:
    maker = value.producer()
    assert maker is not None
    out = edit.insert_after(graph, maker, op_type, [value], f"{query.name_of(value)}_{op_type}", attributes)
    graph.graph.outputs.append(out)
    return query.name_of(out)


def _stride(shape: Sequence[int | None]) -> int:
    """The smallest stride along height and width that keeps at most GRID elements, or the longer side."""
    channels, height, width = (d or 1 for d in shape[1:])
    stride = 1
    while stride < max(height, width) and channels * -(-height // stride) * -(-width // stride) > GRID:
        stride += 1
    return stride


def _never_negative(value: ir.Value) -> bool:
    """Whether ``value`` comes out of an activation that gives 0 for what is below: then 0 is the end of its range."""
    maker = value.producer()
    if maker is None:
        return False
    return query.is_standard(maker, "Relu") or (query.is_standard(maker, "Clip") and query.scalar(query.input_at(maker, 1)) == 0)
