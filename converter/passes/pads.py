"""Fold a Pad with zeros into the convolution or the pooling that reads it, on the spatial axes.

    Conv_p(Pad_q(x))         = Conv_(p+q)(x)
    AveragePool(Pad_q(x))    = AveragePool_q(x), padding counted
    MaxPool(Pad_q(x))        = MaxPool_q(x)          for x >= 0 and amounts below the window's size

Exact: a convolution and an average pad with zeros too. A maximum leaves padding out, which is the same where no number is below zero and
every window has a number of x in it. Nothing is padded on the batch or channel axis, and no amount is negative.
"""

from __future__ import annotations

import onnx_ir as ir

from converter.graph import edit, query
from converter.passes.base import GraphPass

POOLS = ("AveragePool", "MaxPool")
KEEPS_SIGN = ("MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Add", "Mul")


class FoldPad(GraphPass):
    """Merge Pad into Conv, AveragePool and MaxPool."""

    def rewrite(self, model: ir.Model) -> int:
        """One walk; a Pad that several nodes read is folded into each of them that can take it."""
        count = sum(_fold(node) for node in model.graph if query.is_standard(node, "Conv", *POOLS))
        if count:
            edit.drop_unused(model)
        return count


def _fold(node: ir.Node) -> bool:
    pad = query.producer_of(node.inputs[0], "Pad")
    amounts = _zero_pad(pad) if pad is not None else None
    if pad is None or amounts is None or query.string(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return False
    spatial = len(amounts) // 2 - 2
    old, added = query.ints(node, "pads") or (0,) * (2 * spatial), amounts[2:2 + spatial] + amounts[4 + spatial:]
    if node.op_type in POOLS and not _pool_takes(node, pad.inputs[0], old, added):
        return False
    edit.set_inputs(node, [pad.inputs[0], *node.inputs[1:]])
    edit.set_attributes(node, auto_pad=None, pads=[a + b for a, b in zip(old, added, strict=True)])
    if node.op_type == "AveragePool":
        edit.set_attributes(node, count_include_pad=1)
    return True


def _pool_takes(node: ir.Node, source: ir.Value | None, old: tuple[int, ...], added: tuple[int, ...]) -> bool:
    """Whether a pooling that does not pad yet computes the same with these amounts of its own."""
    window = query.ints(node, "kernel_shape") * 2
    plain = not any(old) and not query.integer(node, "ceil_mode", 0) and set(query.ints(node, "dilations", (1,))) == {1}
    fits = all(amount < size for amount, size in zip(added, window, strict=True)) and not any(out.uses() for out in node.outputs[1:])
    return plain and fits and (node.op_type == "AveragePool" or _is_positive(source, 4))


def _is_positive(value: ir.Value | None, depth: int) -> bool:
    """Whether no number of ``value`` is below zero, as far as the operators behind it tell."""
    node = value.producer() if value is not None else None
    if node is None or not query.is_standard(node) or depth == 0:
        return False
    if node.op_type == "Clip":
        low = query.scalar(query.input_at(node, 1))
        return low is not None and low >= 0
    if node.op_type in KEEPS_SIGN:
        return all(_is_positive(v, depth - 1) for v in query.inputs_of(node))
    return node.op_type in ("Relu", "Sigmoid", "Softmax", "HardSigmoid")


def _zero_pad(pad: ir.Node) -> tuple[int, ...] | None:
    """The amounts of a constant Pad with zeros on spatial axes only, else None."""
    amounts, value = query.int_list(query.input_at(pad, 1)), query.input_at(pad, 2)
    if amounts is None or query.string(pad, "mode", "constant") != "constant" or query.input_at(pad, 3) is not None:
        return None
    if value is not None and query.scalar(value) != 0:
        return None
    half = len(amounts) // 2
    outside = amounts[:2] + amounts[half:half + 2]
    return amounts if half > 2 and not any(outside) and min(amounts) >= 0 else None
