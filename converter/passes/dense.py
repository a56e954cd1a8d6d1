"""Dense layers as Gemm, and a Flatten behind a transpose moved into the rows of the weight.

    MatMul(x, W) + b                        =  Gemm(x, W, b)                                       for matrices
    Gemm(Reshape(T_p(x), (n, k)), W, b)     =  Gemm(Reshape(x, (n, k)), W', b)

where ``W'`` are the rows of W in the order in which x, not ``T_p(x)``, lies in memory:
``W' = Reshape(T_p'^-1(Reshape(W, (d1, d2, .., m))), (k, m))`` with d the lengths behind the batch axis of ``T_p(x)``.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.graph import edit, query
from converter.passes.base import GraphPass, Promise


class MatMulToGemm(GraphPass):
    """MatMul of a matrix with a constant matrix becomes Gemm, an Add of a constant vector behind it its bias."""

    promise = Promise.ROUNDING

    def rewrite(self, model: ir.Model) -> int:
        """One walk."""
        count = 0
        for node in model.graph:
            if not query.is_standard(node, "MatMul") or not _matrices(node):
                continue
            reader = query.sole_consumer(node.outputs[0])
            bias = _bias(node, reader) if reader is not None else None
            edit.change_operator(node, "Gemm", [node.inputs[0], node.inputs[1], *([bias] if bias is not None else [])])
            if bias is not None and reader is not None:
                edit.bypass(reader, node.outputs[0])
            count += 1
        return count


def _matrices(node: ir.Node) -> bool:
    source, weight = node.inputs[0], query.constant(node.inputs[1])
    return source is not None and query.rank_of(source) == 2 and weight is not None and weight.ndim == 2 and weight.dtype == np.float32


def _bias(node: ir.Node, reader: ir.Node) -> ir.Value | None:
    """The vector that ``reader`` adds to the product, if that is all it does."""
    weight = query.constant(node.inputs[1])
    if not query.is_standard(reader, "Add") or weight is None:
        return None
    other = reader.inputs[1] if reader.inputs[0] is node.outputs[0] else reader.inputs[0]
    array = query.constant(other)
    return other if array is not None and array.shape == (weight.shape[1],) else None


class FlattenInChannelsFirst(GraphPass):
    """Drop the transpose in front of a Flatten that only a Gemm reads."""

    promise = Promise.ROUNDING  # the same products, summed in another order

    def rewrite(self, model: ir.Model) -> int:
        """One walk over the Gemm nodes."""
        count = sum(_drop_transpose(model, node) for node in model.graph if query.is_standard(node, "Gemm"))
        if count:
            edit.drop_unused(model)
        return count


def _drop_transpose(model: ir.Model, gemm: ir.Node) -> bool:
    flat = gemm.inputs[0]
    reshape = flat.producer() if flat is not None else None
    if flat is None or reshape is None or not query.is_standard(reshape, "Reshape", "Flatten") or query.sole_consumer(flat) is not gemm:
        return False
    turned, weight = reshape.inputs[0], query.constant(gemm.inputs[1])
    transpose = query.producer_of(turned, "Transpose")
    lengths = query.shape_of(turned)[1:] if turned is not None and query.shape_of(turned) else ()  # type: ignore[index]
    if transpose is None or weight is None or not lengths or None in lengths or query.integer(gemm, "transA", 0) or query.integer(gemm, "transB", 0):
        return False
    perm = query.ints(transpose, "perm")
    sizes = [int(d) for d in lengths if d is not None]
    if perm[0] != 0 or int(np.prod(sizes)) != weight.shape[0] or not _keeps_batch(reshape):
        return False
    edit.set_inputs(gemm, [flat, _reordered(model, gemm, perm, sizes), *gemm.inputs[2:]])
    edit.set_inputs(reshape, [transpose.inputs[0], *reshape.inputs[1:]])
    return True


def _keeps_batch(reshape: ir.Node) -> bool:
    if reshape.op_type == "Flatten":
        return query.integer(reshape, "axis", 1) == 1
    target = query.int_list(query.input_at(reshape, 1))
    return target is not None and len(target) == 2 and target[0] in (-1, 0) and not query.integer(reshape, "allowzero", 0)


def _reordered(model: ir.Model, gemm: ir.Node, perm: tuple[int, ...], sizes: list[int]) -> ir.Value:
    weight, array = gemm.inputs[1], query.constant(gemm.inputs[1])
    assert weight is not None and array is not None
    base = query.name_of(weight)
    back = [perm.index(i) - 1 for i in range(1, len(perm))]  # where each axis of x lies behind the batch axis of T_p(x)
    blocks = edit.compute(model, "Reshape", [weight, np.array([*sizes, array.shape[1]])], base)
    turned = edit.compute(model, "Transpose", [blocks], base, perm=(*back, len(sizes)))
    return edit.derive(model, "Reshape", [turned, np.array(array.shape)], base)
