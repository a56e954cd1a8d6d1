"""Give an input of a graph another size; a dense layer behind a flattening gets another fan-in, whatever else fixes the size is named."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError
from converter.graph import edit, ops, query
from converter.spec.report import Report
from converter.spec.sizes import Size
from converter.transfer import parameters
from converter.transfer.classes import reshape, stored_axis

Shapes = Mapping[str, tuple[int | None, ...] | None]
ALONG = ops.UNARY | {"Add", "Sub", "Mul", "Div", "Pad", "BatchNormalization", "LayerNormalization"}
CHANNELS_FIRST = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "BatchNormalization",
                  "InstanceNormalization")
FIXED = "the input size cannot be changed"


def change(model: ir.Model, size: Size, report: Report) -> set[str]:
    """Resize the input that ``size`` is meant for, in place. Returns the names of the initializers that have another shape.

    Raises:
        UsageError: it fits no input, or several.
        ConversionError: a node fixes the size; it is named.
    """
    reshape(model)
    ends = {query.name_of(v): v for v in query.true_inputs(model)}
    axes = {name: _axes(value) for name, value in ends.items()}
    name = size.choose({n: len(a) for n, a in axes.items()})
    value = ends[name]
    old = {v.name or "": query.shape_of(v) for v in (*ends.values(), *(out for node in model.graph for out in node.outputs))}
    shape = query.info(value).shape
    changed = size.shape(shape, axes[name], f"input {name}")
    value.shape = ir.Shape([f"{name}_{i}" if d is None and i in axes[name] else d for i, d in enumerate(changed)])
    reshape(model)
    resized = _mend(model, old)
    report.done.append(f"input {name} {_text(changed)} instead of {_text(shape)}")
    report.numbers["input_size"] = {"input": name, "before": list(shape), "after": changed}
    if resized:
        report.done.append(f"{len(resized)} dense kernels behind a flattening have another fan-in: {', '.join(sorted(resized))}")
    return resized


def _text(shape: Sequence[int | str | None]) -> str:
    return "x".join(str(d) if isinstance(d, int) else "any" for d in shape)


def _axes(value: ir.Value) -> list[int]:
    """Axes of an input that are its size, by the layout in which convolutions read it; without one, all between batch and channels."""
    rank = query.rank_of(value) or 0
    if rank < 3:
        return [1] if rank == 2 else []
    return list(range(2, rank)) if _channels_first(value) else list(range(1, rank - 1))


def _channels_first(value: ir.Value) -> bool:
    seen, stack, rank = set[int](), [value], query.rank_of(value) or 0
    while stack:
        for use in stack.pop().uses():
            node = use.node
            if query.is_standard(node, "Transpose"):
                return query.ints(node, "perm") == (0, *range(2, rank), 1)
            if query.is_standard(node, *CHANNELS_FIRST):
                return True
            if query.is_standard(node, *ALONG) and id(node) not in seen:
                seen.add(id(node))
                stack.append(node.outputs[0])
    return False


def _mend(model: ir.Model, old: Shapes) -> set[str]:
    """Go along the graph and fix what the new size contradicts; shapes behind a change are inferred again."""
    resized = set[str]()
    kernels = {id(p.node): p for p in parameters.of(model) if p.family == "Dense" and p.role == "kernel"}
    for node in list(model.graph):
        if query.is_standard(node, "Reshape") and _mend_reshape(model, node, old):
            reshape(model)
        elif query.is_standard(node, "Resize") and len(node.inputs) > 3 and query.is_constant(node.inputs[3]):
            raise ConversionError(f"{FIXED}: {query.label(node)} (Resize) resizes to {list(query.int_list(node.inputs[3]) or ())}, whatever comes in")
        elif id(node) in kernels and _mend_kernel(node, kernels[id(node)]):
            resized.add(query.name_of(kernels[id(node)].value))
            reshape(model)
    return resized


def _mend_reshape(model: ir.Model, node: ir.Node, old: Shapes) -> bool:
    """Let a flattening follow the new size. Another constant that contradicts is refused: it would move numbers into the batch."""
    source, sizes = node.inputs[0], query.int_list(query.input_at(node, 1))
    if source is None or sizes is None or query.rank_of(source) is None:
        return False
    before, now = old.get(source.name or ""), query.shape_of(source)
    if before is None or now is None or before == now or not sizes:
        return False
    told = [before[i] if n == 0 and i < len(before) else n for i, n in enumerate(sizes)][1:]
    inside, new = _product(before[1:]), _product(now[1:])
    if -1 in told or inside is None or _product(told) != inside:  # free inside a sample, or it works across samples: onnxruntime tells
        return False
    if new == inside:
        return False
    if len(sizes) != 2 or new is None:
        raise ConversionError(f"{FIXED}: {query.label(node)} (Reshape) makes {list(sizes)} of {_text(before)}, and would get {_text(now)}")
    fitted = edit.add_initializer(model, f"{query.label(node)}/shape", np.array([sizes[0], new], np.int64))
    edit.set_inputs(node, [source, fitted])
    edit.drop_unused(model)
    return True


def _product(lengths: Sequence[int | None]) -> int | None:
    known = [n for n in lengths if n is not None]
    return math.prod(known) if len(known) == len(lengths) else None


def _mend_kernel(node: ir.Node, kernel: parameters.Parameter) -> bool:
    """Give a dense kernel the fan-in that arrives, if a flattening is in front of it."""
    source = node.inputs[0]
    shape = query.shape_of(source) if source is not None else None
    wanted = kernel.shape[-2] if len(kernel.shape) > 1 else kernel.shape[0]
    arrives = shape[-1] if shape else None
    if shape is None or arrives == wanted or (arrives is None and not _flattened(source)):
        return False
    if arrives is None or not _flattened(source):
        raise ConversionError(f"{FIXED}: {query.label(node)} ({node.op_type}) takes {wanted} numbers and would get {arrives or 'any number'}")
    if kernel.grid is not None or len(kernel.readers) > 1 or len(kernel.shape) != 2:
        raise ConversionError(f"{FIXED}: the weight of {query.label(node)} is shared, or no matrix, and would need {arrives} rows")
    stored = list(query.sizes_of(kernel.value) or ())
    stored[stored_axis(kernel, 0)] = arrives
    assert kernel.value.dtype is not None
    edit.resize(kernel.value, np.zeros(stored, kernel.value.dtype.numpy()))
    return True


def _flattened(value: ir.Value | None) -> bool:
    """Whether a flattening, or a plain vector from the caller, lies in front of ``value``, perhaps with functions of single numbers in between."""
    while value is not None and (node := value.producer()) is not None:
        if query.is_standard(node, "Flatten", "Reshape"):
            return query.rank_of(node.outputs[0]) in (2, None)
        if not query.is_standard(node, *ops.UNARY):
            return False
        value = node.inputs[0]
    return value is not None and value.is_graph_input() and query.rank_of(value) == 2
