"""Give the first output of a graph another number of classes: the layer that makes them, and what lies behind it, get another width."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError, UsageError
from converter.graph import edit, io, ops, query
from converter.spec.report import Report
from converter.transfer import parameters
from converter.transfer.layouts import Halves, Reshaped, Turned
from converter.transfer.parameters import Parameter

BLIND = ops.UNARY | {"Softmax", "LogSoftmax", "Hardmax", "GlobalAveragePool", "GlobalMaxPool", "AveragePool", "MaxPool", "ReduceMean", "ReduceMax",
                     "Squeeze", "Unsqueeze", "Flatten", "Transpose"}
"""Operators that are as they are for any number of channels."""

BESIDE = frozenset({"Add", "Sub", "Mul", "Div"})
LAYERS = ("Gemm", "MatMul", "Conv")


def change(model: ir.Model, classes: int, report: Report) -> set[str]:
    """Resize the layer that makes the classes, in place; its new numbers are zeros. Returns the names of the initializers that have another shape.

    Raises:
        UsageError: fewer than one class.
        ConversionError: something on the way from the output to that layer fixes the width, or a weight is shared; it is named.
    """
    if classes < 1:
        raise UsageError(f"a model has at least one class; received {classes}")
    layer, between = _layer(model)
    found = parameters.of(model)
    kernel = next((p for p in found if layer in p.readers and p.role == "kernel"), None)
    if kernel is None or (layer.op_type == "Conv" and query.integer(layer, "group", 1) != 1):
        raise ConversionError(f"the classes cannot be changed: {query.label(layer)} ({layer.op_type}) makes them without a weight for each")
    axis = 0 if layer.op_type == "Conv" else len(kernel.shape) - 1
    before = kernel.shape[axis]
    passed = {id(node) for node in between}
    resized = {query.name_of(kernel.value)}
    _resize(kernel, axis, classes, passed | {id(layer)})
    for p in found:
        if p is not kernel and any(id(node) in passed or node is layer for node in p.readers) and math.prod(p.shape) > 1:
            if p.shape[-1] != before or len(p.shape) != 1:
                raise ConversionError(f"the classes cannot be changed: {query.name_of(p.value)} {list(p.shape)} at {p.place} is not one of {before}")
            _resize(p, 0, classes, passed | {id(layer)})
            resized.add(query.name_of(p.value))
    for node in between:
        if query.is_standard(node, "Reshape"):
            _follow(model, node, before, classes)
    reshape(model)
    report.done.append(f"{classes} classes instead of {before}, made by {query.layer_path(layer)} ({layer.op_type})")
    report.numbers["classes"] = {"before": before, "after": classes, "layer": query.layer_path(layer)}
    return resized


def _layer(model: ir.Model) -> tuple[ir.Node, list[ir.Node]]:
    """The layer that makes the first output, and the nodes behind it, the last one first."""
    value, between = model.graph.outputs[0], list[ir.Node]()
    while (node := value.producer()) is not None:
        if query.is_standard(node, *LAYERS):
            return node, between
        source = _through(node)
        if source is None:
            raise ConversionError(f"the classes cannot be changed: between the last layer with weights and output {model.graph.outputs[0].name!r}, "
                                  f"{query.label(node)} ({node.op_type}) fixes the width")
        between.append(node)
        value = source
    raise ConversionError(f"the classes cannot be changed: no {', '.join(LAYERS)} makes output {model.graph.outputs[0].name!r}")


def _through(node: ir.Node) -> ir.Value | None:
    """What lies in front of an operator that any number of classes passes; None where it does not."""
    if not query.is_standard(node):
        return None
    if node.op_type in BLIND:
        return node.inputs[0]
    if node.op_type in BESIDE:
        moving = [v for v in node.inputs if not query.is_constant(v)]
        return moving[0] if len(moving) == 1 else None
    if node.op_type in ("PRelu", "BatchNormalization"):
        return node.inputs[0]
    return node.inputs[0] if node.op_type == "Reshape" and _flattens(node) else None


def _flattens(node: ir.Node) -> bool:
    """Whether the classes go into an axis of free length, or are all that a sample has."""
    sizes, shape = query.int_list(query.input_at(node, 1)), query.shape_of(node.inputs[0]) if node.inputs[0] is not None else None
    if not sizes or shape is None:
        return False
    return sizes[-1] == -1 or (sizes[-1] > 0 and [n for n in shape[1:] if n != 1] == [sizes[-1]] and all(n in (0, 1, -1) for n in sizes[:-1]))


def _follow(model: ir.Model, node: ir.Node, before: int, classes: int) -> None:
    """Let a Reshape to the old number of classes make the new one."""
    sizes = query.int_list(query.input_at(node, 1))
    if sizes is not None and sizes[-1] == before:
        told = edit.add_initializer(model, f"{query.label(node)}/shape", np.array([*sizes[:-1], classes], np.int64))
        edit.set_inputs(node, [node.inputs[0], told])
        edit.drop_unused(model)


def _resize(p: Parameter, axis: int, length: int, known: set[int]) -> None:
    """Zeros of another length along a canonical axis."""
    others = [query.label(node) for node in p.readers if id(node) not in known]
    if others:
        raise ConversionError(f"the classes cannot be changed: {query.name_of(p.value)} is shared with {', '.join(others)}, which keeps its width")
    stored = stored_axis(p, axis)
    shape, dtype = list(query.sizes_of(p.value) or ()), p.value.dtype
    assert dtype is not None
    shape[stored] = length
    edit.resize(p.value, np.zeros(shape, dtype.numpy()))


def stored_axis(p: Parameter, axis: int) -> int:
    """The axis of the initializer that becomes the canonical ``axis``."""
    for step in reversed(p.layout.steps):
        if isinstance(step, Turned):
            axis = step.perm[axis]
        elif isinstance(step, Reshaped):
            long = [i for i, n in enumerate(step.before) if n != 1]
            if [step.before[i] for i in long] != [n for n in step.after if n != 1] or step.after[axis] == 1:
                raise ConversionError(f"{query.name_of(p.value)} {list(step.before)} is reshaped to {list(step.after)} before {p.place} reads it, "
                                      "which fixes its width")
            axis = long[sum(n != 1 for n in step.after[:axis])]
        elif isinstance(step, Halves):
            raise ConversionError(f"{query.name_of(p.value)} at {p.place} belongs to a recurrent layer, whose width is not changed")
    return axis


def reshape(model: ir.Model) -> None:
    """Infer all shapes anew; an output whose shape cannot be told keeps its number of axes."""
    before = [out.shape for out in model.graph.outputs]
    for value in [v for node in model.graph for v in node.outputs]:
        value.shape = None
    io.infer_shapes(model)
    for out, shape in zip(model.graph.outputs, before, strict=True):
        if shape is not None and out.shape is None:
            out.shape = ir.Shape([d if isinstance(d, ir.SymbolicDim) else None for d in shape])
        elif shape is not None and out.shape is not None and len(shape) == len(out.shape):  # a name that the caller knows stays
            out.shape = ir.Shape([old if isinstance(old, ir.SymbolicDim) and not isinstance(new, int) else new
                                  for old, new in zip(shape, out.shape, strict=True)])
