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
    """Part of the output positions at which every kernel position reads data, shape of the kernel; 1 where sizes are free."""
    source = node.inputs[0]
    shape, out = query.shape_of(source) if source is not None else None, query.shape_of(node.outputs[0])
    if shape is None or out is None or None in shape[2:] or None in out[2:] or query.string(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return np.ones(kernel)
    rank = len(kernel)
    pads, strides = query.ints(node, "pads", (0,) * (2 * rank)), query.ints(node, "strides", (1,) * rank)
    dilations = query.ints(node, "dilations", (1,) * rank)
    share = np.ones(kernel)
    for axis in range(rank):
        starts = np.arange(int(out[2 + axis] or 1)) * strides[axis] - pads[axis]
        places = starts[:, None] + np.arange(kernel[axis]) * dilations[axis]
        inside = ((places >= 0) & (places < int(shape[2 + axis] or 1))).mean(axis=0)
        share = share * inside.reshape([-1 if a == axis else 1 for a in range(rank)])
    return share
