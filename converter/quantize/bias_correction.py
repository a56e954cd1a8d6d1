"""Bias correction: quantized weights shift the mean of a layer's output; the bias takes the shift back.

With ``W_q`` the dequantized weights and x the layer's input, the expected shift of output channel o is

    E[W_q x - W x] = sum over i, k of (W_q - W)[o, i, k] * share[k] * E[x_i]

where ``share[k]`` is the part of output positions at which kernel position k reads data and not padding. It needs the
channel means of the calibration sweep only. (Nagel et al., Data-Free Quantization, arXiv:1906.04721, section 4.2, with the
measured means in place of the BatchNorm ones.)
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.graph import query
from converter.spec.quant import Array


def shift(node: ir.Node, error: Array, means: Array) -> Array:
    """Expected shift of every output channel.

    Args:
        node: Conv, Gemm or MatMul.
        error: dequantized weight minus float weight, in the layout of the node.
        means: float64 ``(input channels,)``.

    Returns:
        float64 ``(output channels,)``; subtract it from the bias.
    """
    if node.op_type != "Conv":
        return np.asarray((error if not query.integer(node, "transB", 0) else error.T).astype(np.float64).T @ means)
    share = _shares(node, error.shape[2:])
    flat = (error.astype(np.float64) * share).reshape(*error.shape[:2], -1).sum(axis=-1)  # (o, i / group)
    groups = query.integer(node, "group", 1)
    per_group = flat.reshape(groups, -1, flat.shape[1])
    return np.asarray(np.einsum("goi,gi->go", per_group, means.reshape(groups, -1)).reshape(-1))


def _shares(node: ir.Node, kernel: tuple[int, ...]) -> Array:
    """Part of the output positions at which every kernel position reads data, shape of the kernel; 1 along axes of free length."""
    rank = len(kernel)
    source = node.inputs[0]
    sizes = (query.shape_of(source) if source is not None else None) or (None,) * (2 + rank)
    strides, dilations = query.ints(node, "strides", (1,) * rank), query.ints(node, "dilations", (1,) * rank)
    share = np.ones(kernel)
    for axis, size in enumerate(sizes[2:]):
        if size is not None:
            span, step = (kernel[axis] - 1) * dilations[axis] + 1, strides[axis]
            before, after = _padding(node, axis, size, span, step)
            starts = np.arange((size + before + after - span) // step + 1) * step - before
            places = starts[:, None] + np.arange(kernel[axis]) * dilations[axis]
            inside = ((places >= 0) & (places < size)).mean(axis=0)
            share = share * inside.reshape([-1 if a == axis else 1 for a in range(rank)])
    return share


def _padding(node: ir.Node, axis: int, size: int, span: int, step: int) -> tuple[int, int]:
    """Padding before and behind a spatial axis; SAME makes ``ceil(size / step)`` outputs, the odd element at the named end."""
    kind = query.string(node, "auto_pad", "NOTSET")
    if kind in ("NOTSET", "VALID"):
        pads = query.ints(node, "pads") if kind == "NOTSET" else ()
        return (pads[axis], pads[len(pads) // 2 + axis]) if pads else (0, 0)
    total = max((-(-size // step) - 1) * step + span - size, 0)
    return (total // 2, total - total // 2) if kind == "SAME_UPPER" else (total - total // 2, total // 2)
