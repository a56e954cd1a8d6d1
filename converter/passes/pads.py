"""Fold a Pad with zeros into the convolution that reads it: ``Conv_p(Pad_q(x)) = Conv_(p+q)(x)`` on the spatial axes.

Exact, since a convolution pads with zeros too. Nothing is padded on the batch or channel axis, and no amount is negative.
"""

from __future__ import annotations

import onnx_ir as ir

from converter.graph import edit, query
from converter.passes.base import GraphPass


class FoldPad(GraphPass):
    """Merge Pad into Conv."""

    def rewrite(self, model: ir.Model) -> int:
        """One walk; a Pad that several convolutions read is folded into each of them."""
        count = 0
        for node in model.graph:
            pad = query.producer_of(node.inputs[0], "Pad") if query.is_standard(node, "Conv") else None
            if pad is not None and (amounts := _zero_pad(pad)) is not None and query.string(node, "auto_pad", "NOTSET") in ("NOTSET", "VALID"):
                spatial = len(amounts) // 2 - 2
                old = query.ints(node, "pads") or (0,) * (2 * spatial)
                added = amounts[2:2 + spatial] + amounts[4 + spatial:]
                edit.set_inputs(node, [pad.inputs[0], *node.inputs[1:]])
                edit.set_attributes(node, auto_pad=None, pads=[a + b for a, b in zip(old, added, strict=True)])
                count += 1
        edit.drop_unused(model)
        return count


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
