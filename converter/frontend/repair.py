"""Mend what tf2onnx writes in a form that is wrong, or that hides from the passes what it is.

    Conv whose kernel has fewer channels than its input        the groups that this means
    ConvTranspose with pads that sum to less than nothing      the missing rows at the end, as output_padding
    Reshape(x, Concat(d, c1, c2, ..))                          Reshape(x, (-1, c1, c2, ..)), where d is the only unknown
    Transpose(Reshape(x, (n, 1, 1, c)), (0, 3, 1, 2))          Reshape(x, (n, c, 1, 1)), where only axes of length 1 pass others
    Reshape(Transpose(x, (0, 2, 3, 1)), s)                     Reshape(x, s), likewise

The second is what Flatten and Reshape are on a free batch axis, the third the gate of a squeeze-and-excite block, the fourth a
head that is a convolution of one position. Exact: the unknown length is what is left over, and an axis of length 1 moves no number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from converter.frontend.lengths import Lengths
from converter.graph import io, query
from converter.spec.quant import Array


def repair(model: ir.Model) -> None:
    """Rewrite in place; to be called before the graph has a ledger."""
    for node in list(model.graph.all_nodes()):
        if node.op_type == "Cast":
            _known_cast(model, node)
    told = [(out, out.shape) for node in model.graph.all_nodes() for out in node.outputs if out.shape is None or not out.shape.is_static()]
    io.infer_shapes(model)
    known = Lengths()
    for node in list(model.graph.all_nodes()):
        if node.op_type == "Transpose":
            _unit_axes(model, node)
        elif node.op_type == "ConvTranspose":
            _output_padding(node)
        elif node.op_type == "Conv":
            _groups(node)
        elif node.op_type == "Reshape":
            _known_shape(model, node, known)
            _skip_transpose(node)
    for value, shape in told:  # free lengths carry names that are counted over the whole process; they are inferred again with ours
        value.shape = shape and ir.Shape([d if isinstance(d, int) else None for d in shape])


def _known_cast(model: ir.Model, node: ir.Node) -> None:
    """Axes and lengths arrive as constants that are cast to 64 bits, behind which shape inference does not look."""
    source = query.input_at(node, 0)
    if source is None or source.const_value is None or query.integer(node, "to", 0) != ir.DataType.INT64 or node.outputs[0].is_graph_output():
        return
    numbers = source.const_value.numpy()
    if numbers.dtype.kind == "i":
        node.outputs[0].replace_all_uses_with(_constant(model, node, numbers.astype(np.int64)))


def _groups(node: ir.Node) -> None:
    """TensorFlow tells groups by the channels of the kernel alone; tf2onnx reads them in two dimensions only."""
    x, w = (query.shape_of(v) if (v := query.input_at(node, i)) is not None else None for i in (0, 1))
    if x and w and x[1] and w[1] and x[1] != w[1] and x[1] % w[1] == 0 and query.integer(node, "group", 1) == 1:
        node.attributes["group"] = ir.AttrInt64("group", x[1] // w[1])


def _output_padding(node: ir.Node) -> None:
    pads = query.ints(node, "pads")
    if not pads or min(pads) >= 0:
        return
    half = len(pads) // 2
    totals = [a + b for a, b in zip(pads[:half], pads[half:], strict=True)]
    begins = [max(a, 0) if total >= 0 else 0 for a, total in zip(pads[:half], totals, strict=True)]
    ends = [max(total, 0) - begin for begin, total in zip(begins, totals, strict=True)]
    node.attributes["pads"] = ir.AttrInt64s("pads", [*begins, *ends])
    node.attributes["output_padding"] = ir.AttrInt64s("output_padding", [max(-total, 0) for total in totals])


def _known_shape(model: ir.Model, node: ir.Node, known: Lengths) -> None:
    shape = query.input_at(node, 1)
    if shape is None or shape.const_value is not None or query.integer(node, "allowzero", 0):
        return
    lengths = known.of(shape)
    if lengths is None or lengths.count(None) > 1 or any(n is not None and n <= 0 for n in lengths):
        return
    node.replace_input_with(1, _constant(model, node, np.array([-1 if n is None else n for n in lengths], np.int64)))


def _unit_axes(model: ir.Model, node: ir.Node) -> None:
    reshape, perm = query.producer_of(node.inputs[0], "Reshape"), query.ints(node, "perm")
    shape = query.input_at(reshape, 1) if reshape is not None else None
    if reshape is None or shape is None or shape.const_value is None or query.integer(reshape, "allowzero", 0):
        return
    lengths = [int(n) for n in shape.const_value.numpy()]
    if 0 in lengths or not _moves_nothing(perm, lengths):
        return
    node.op_type = "Reshape"
    node.attributes.clear()
    node.resize_inputs(2)
    node.replace_input_with(0, reshape.inputs[0])
    node.replace_input_with(1, _constant(model, node, np.array([lengths[axis] for axis in perm], np.int64)))


def _skip_transpose(node: ir.Node) -> None:
    transpose, shape = query.producer_of(node.inputs[0], "Transpose"), query.input_at(node, 1)
    source = transpose.inputs[0] if transpose is not None else None
    lengths = query.shape_of(source) if source is not None else None
    if transpose is None or lengths is None or shape is None or shape.const_value is None or 0 in shape.const_value.numpy():
        return
    if _moves_nothing(query.ints(transpose, "perm"), lengths):
        node.replace_input_with(0, source)


def _moves_nothing(perm: Sequence[int], lengths: Sequence[int | None]) -> bool:
    """Whether a transpose of a tensor with these lengths leaves the numbers in their order."""
    kept = [axis for axis in perm if lengths[axis] != 1]
    return bool(perm) and kept == sorted(kept)


def _constant(model: ir.Model, node: ir.Node, numbers: Array) -> ir.Value:
    name = f"{node.name}/known"
    value = ir.Value(name=name, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape(numbers.shape), const_value=ir.tensor(numbers, name=name))
    model.graph.register_initializer(value)
    return value
