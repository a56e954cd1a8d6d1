"""Resizes that the ONNX operator Resize (11 to 19) does not compute as TensorFlow does, as products with two constant matrices.

    y[n, i, j, c] = sum_hw A[i, h] x[n, h, w, c] B[j, w]

Every one of them is linear and separable, so A is what TensorFlow's own operator makes of unit vectors. What Resize would do instead:

    lanczos3, lanczos5, gaussian, ..   has no such kernel
    bicubic                            TensorFlow rounds the kernel's argument to 1/1024, which is 3e-4 of the output's range
    antialias                          scales the kernel as TensorFlow does, but only since opset 18, for two kernels, channels first
    area                               has none

Matrices need no layout, run at any opset and in any engine; the sizes must be fixed. Source: tensorflow/core/kernels/image/
scale_and_translate_op.cc, resize_bicubic_op.cc (kTableSize) and resize_area_op.cc.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from converter.frontend.expansions import EXPANSIONS, Site
from converter.spec.quant import Array

Axis = Callable[[int, int, int], Array]
"""``matrix(axis, length, size)``: the matrix [size, length] of axis 0 (height) or 1 (width)."""


def _separable(site: Site, matrix: Axis) -> ir.Value:
    shape, size, build = site.shape(0), site.known(1), site.build
    height, width = (None, None) if shape is None else shape[1:3]
    if height is None or width is None or size is None:
        raise site.refusal("the size of the image before or after it is free; give the model's input a fixed height and width, or use "
                           "interpolation='bilinear' or 'nearest' without antialias, which may be free")
    rows, columns = (int(n) for n in size)
    x = site.floats()
    by_rows = build("MatMul", matrix(0, height, rows), build("Reshape", x, np.array([0, height, -1])), dtype=ir.DataType.FLOAT)
    return build("MatMul", matrix(1, width, columns), build("Reshape", by_rows, np.array([0, rows, width, -1])), dtype=ir.DataType.FLOAT)


def _units(length: int) -> Array:
    """A batch of images one pixel wide: the unit vectors."""
    return np.eye(length, dtype=np.float32)[:, :, None, None]


def _plain(name: str, *flags: str) -> Callable[[Site], ir.Value]:
    """A resize whose result depends on the sizes alone."""

    def expand(site: Site) -> ir.Value:
        import tensorflow as tf

        options = {flag: site.flag(flag) for flag in flags}

        def matrix(axis: int, length: int, size: int) -> Array:
            made = getattr(tf.raw_ops, name)(images=_units(length), size=[size, 1], **options)
            return np.ascontiguousarray(made.numpy()[:, :, 0, 0].T)

        return _separable(site, matrix)

    return expand


def _scale_and_translate(site: Site) -> ir.Value:
    import tensorflow as tf

    scale, shift = site.known(2), site.known(3)
    if scale is None or shift is None:
        raise site.refusal("its scale and translation are computed from the data, or from a size that is free; give the model's input a fixed "
                           "height and width")
    factors, offsets = np.broadcast_to(scale, 2), np.broadcast_to(shift, 2)
    kernel, antialias = site.text("kernel_type"), site.flag("antialias")

    def matrix(axis: int, length: int, size: int) -> Array:
        made = tf.raw_ops.ScaleAndTranslate(images=_units(length), size=[size, 1], scale=[factors[axis], 1.0], translation=[offsets[axis], 0.0],
                                            kernel_type=kernel, antialias=antialias)
        return np.ascontiguousarray(made.numpy()[:, :, 0, 0].T)

    return _separable(site, matrix)


EXPANSIONS.add("ResizeArea", _plain("ResizeArea", "align_corners"))
EXPANSIONS.add("ResizeBicubic", _plain("ResizeBicubic", "align_corners", "half_pixel_centers"))
EXPANSIONS.add("ScaleAndTranslate", _scale_and_translate)
