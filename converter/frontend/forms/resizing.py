"""Resizing that keeps the aspect ratio crops or pads by numbers, not by tensors, where the size of the image is fixed.

Keras computes the box with tensors and branches on it, so that a size that nobody doubts is hidden: two If and some forty operators on
lengths, behind which nothing is known to have a fixed size. The arithmetic is Keras's (keras.ops.image.resize), in float32 as there:

    crop: side' = max(1, min(side, other * target / other_target))      pad: side' = max(side, other * target / other_target)

and the box begins at half the difference; padding is as wide behind as in front, so an odd difference leaves the image one short.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from converter.frontend.forms import FORMS, Form
from converter.frontend.marks import Tracing

FLAGS = ("crop_to_aspect_ratio", "pad_to_aspect_ratio")


def _call(tracing: Tracing, layer: Any, original: Callable[..., Any], data: Any, *args: Any, **kwargs: Any) -> Any:
    kept = {flag: getattr(layer, flag) for flag in FLAGS}
    if not any(kept.values()) or not isinstance(data, tracing.tf.Tensor) or None in (data.shape[layer.height_axis], data.shape[layer.width_axis]):
        return original(data, *args, **kwargs)
    boxed = _boxed(tracing.tf, layer, data)
    try:
        for flag in FLAGS:
            setattr(layer, flag, False)
        return original(boxed, *args, **kwargs)
    finally:
        for flag, value in kept.items():
            setattr(layer, flag, value)


def _boxed(tf: Any, layer: Any, data: Any) -> Any:
    """``data`` cropped or padded to the aspect ratio of the layer."""
    axes = [axis % data.shape.rank for axis in (layer.height_axis, layer.width_axis)]
    lengths, targets = [int(data.shape[axis]) for axis in axes], (layer.height, layer.width)
    wanted = [int(np.float32(lengths[1 - i] * targets[i]) / np.float32(targets[1 - i])) for i in (0, 1)]
    slices, pads = [slice(None)] * data.shape.rank, [(0, 0)] * data.shape.rank
    for axis, length, want in zip(axes, lengths, wanted, strict=True):
        side = max(min(length, want), 1)
        slices[axis] = slice((length - side) // 2, (length - side) // 2 + side)
        pads[axis] = ((max(length, want) - length) // 2,) * 2
    return data[tuple(slices)] if layer.crop_to_aspect_ratio else tf.pad(data, pads, constant_values=tf.cast(layer.fill_value, data.dtype))


FORMS.add("Resizing", Form(_call))
