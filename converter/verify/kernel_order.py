"""In which order the integer kernels of onnxruntime's CPU provider walk the products of one output element.

A convolution becomes a matrix product: a row holds the input codes under the kernel window, channels last (kernel
depth, height, width, then input channel), a column the weight codes of one output channel in the same order. MLAS packs
that K axis in fours from its beginning (``qgemm_kernel_avx2.cpp``, ``convsym.cpp``; blocks of 128 or 384 are multiples
of four; the rest is filled with zeros), so the neighbours that meet in 16 bits are always ``(2j, 2j + 1)`` of the row.
Kernels that read their weights channel by channel (depthwise) form no pairs at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from converter.errors import known

Array = NDArray[Any]

_RANKS: Mapping[str, str] = {"Conv": "(O, I / group, k...)", "Gemm": "(K, N), or (N, K) with transB", "MatMul": "(K, N)", "ConvTranspose": "any"}


@dataclass(frozen=True, eq=False)
class Layer:
    """One integer layer as its kernel sees it.

    Args:
        op_type: ``Conv``, ``Gemm`` or ``MatMul`` of the default ONNX domain.
        codes: int8 weight codes; Conv ``(O, I / group, k...)``, Gemm ``(K, N)``, or ``(N, K)`` if ``transposed``, MatMul ``(K, N)``.
        group: of a Conv.
        transposed: attribute transB of a Gemm.
        strides, dilations: of a Conv, one number for every spatial axis; empty means ones.
        pads: of a Conv, ONNX order (every begin, then every end), auto_pad resolved; empty means zeros.
        zero_point: code of the activation 0, which is also what padding holds.
    """

    op_type: str
    codes: Array
    group: int = 1
    transposed: bool = False
    strides: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    zero_point: int = 0

    @property
    def kernel(self) -> tuple[int, ...]:
        """Spatial shape of a Conv's kernel; empty for the others."""
        return tuple(self.codes.shape[2:])


def k_order(op_type: str, codes: Array, *, group: int = 1, transposed: bool = False) -> Array | None:
    """The weight codes of every output channel in the order in which the kernel walks them.

    Args:
        op_type: ``Conv``, ``Gemm``, ``MatMul`` or ``ConvTranspose``.
        codes: weight codes, shaped as in :class:`Layer`.
        group: of a Conv.
        transposed: attribute transB of a Gemm.

    Returns:
        ``(channels, K)``, dtype of ``codes``; None where no two products meet before 32 bits: a depthwise Conv with one
        output for every input channel (it has a kernel of its own) and ConvTranspose (float in onnxruntime).

    Raises:
        ValueError: the operator is unknown, or the shape does not fit it.
    """
    if op_type == "ConvTranspose" or (op_type == "Conv" and _depthwise(codes, group)):
        return None
    rows = weight_rows(op_type, codes, transposed=transposed)
    if op_type == "Conv" and len(rows) % group:
        raise ValueError(f"output channels must be a multiple of group {group}, received {len(rows)}")
    return rows


def weight_rows(op_type: str, codes: Array, *, transposed: bool = False) -> Array:
    """As :func:`k_order`, also for layers whose kernel forms no pairs; ``(channels, K)``, dtype of ``codes``.

    Raises:
        ValueError: the operator is unknown, or the shape does not fit it.
    """
    if op_type == "Conv" and codes.ndim >= 3:
        return np.moveaxis(codes, 1, -1).reshape(len(codes), -1)
    if op_type in ("Gemm", "MatMul") and codes.ndim == 2:
        return codes if transposed else codes.T
    raise ValueError(f"no K order for a weight of {op_type} with shape {codes.shape}; known: "
                     + known(f"{name} {shape}" for name, shape in _RANKS.items()))


def input_rows(layer: Layer, x: Array) -> tuple[Array, tuple[int, ...]]:
    """The input codes that meet the weights of :func:`weight_rows`.

    Args:
        layer: a Conv, Gemm or MatMul.
        x: uint8 codes; Conv ``(n, channels, spatial...)``, the others ``(..., K)``.

    Returns:
        ``(group, m, K)`` uint8, and the shape that a group's ``m`` axis unfolds to.

    Raises:
        ValueError: the input does not fit the layer.
    """
    if layer.op_type != "Conv":
        return x.reshape(1, -1, x.shape[-1]), x.shape[:-1]
    if x.ndim != layer.codes.ndim or x.shape[1] != layer.group * layer.codes.shape[1]:
        raise ValueError(f"a weight of shape {layer.codes.shape} in {layer.group} groups takes an input of rank {layer.codes.ndim} with "
                         f"{layer.group * layer.codes.shape[1]} channels, received shape {x.shape}")
    rows = [conv_rows(part, layer.kernel, strides=layer.strides, pads=layer.pads, dilations=layer.dilations, pad_value=layer.zero_point)
            for part in np.split(x, layer.group, axis=1)]
    return np.stack([r for r, _ in rows]), rows[0][1]


def conv_rows(x: Array, kernel: tuple[int, ...], *, strides: tuple[int, ...] = (), pads: tuple[int, ...] = (),
              dilations: tuple[int, ...] = (), pad_value: int = 0) -> tuple[Array, tuple[int, ...]]:
    """The windows of a convolution as rows in K order (im2col, channels last), any number of spatial axes.

    Args:
        x: codes ``(n, channels, spatial...)``.
        kernel: window, one number for every spatial axis.
        strides, dilations: one number for every spatial axis; empty means ones.
        pads: ONNX order (every begin, then every end); empty means zeros.
        pad_value: code that padding holds, the zero point of the input.

    Returns:
        ``(n * positions, prod(kernel) * channels)`` of the dtype of ``x``, and ``(n, positions...)``.
    """
    rank = len(kernel)
    strides, dilations, pads = strides or (1,) * rank, dilations or (1,) * rank, pads or (0,) * 2 * rank
    padded = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)], constant_values=pad_value)
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    windows = sliding_window_view(padded, extent, axis=tuple(range(2, 2 + rank)))
    steps: tuple[slice, ...] = tuple(slice(None, None, step) for step in (1, 1, *strides, *dilations))
    rows = np.moveaxis(windows[steps], 1, -1)
    shape = (len(x), *rows.shape[1:1 + rank])
    return rows.reshape(prod(shape), -1), shape


def _depthwise(codes: Array, group: int) -> bool:
    """One input and one output channel in every group: onnxruntime multiplies each channel by itself, in 32 bits."""
    return codes.ndim >= 3 and codes.shape[1] == 1 and len(codes) == group
