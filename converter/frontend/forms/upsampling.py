"""UpSampling2D by nearest neighbours is one resize instead of two repetitions (Tile and Reshape).

A resize works in any layout, so that no transpose is left around it, and engines have an integer kernel for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converter.frontend.forms import FORMS, Form
from converter.frontend.marks import Tracing


def _call(tracing: Tracing, layer: Any, original: Callable[..., Any], inputs: Any) -> Any:
    if layer.interpolation != "nearest" or layer.data_format != "channels_last" or inputs.dtype.name != "float32":
        return original(inputs)
    tf = tracing.tf
    known, dynamic = inputs.shape, tf.shape(inputs)
    size = [(dynamic[i + 1] if known[i + 1] is None else known[i + 1]) * factor for i, factor in enumerate(layer.size)]
    return tf.raw_ops.ResizeNearestNeighbor(images=inputs, size=tf.stack(size), align_corners=False, half_pixel_centers=False)


FORMS.add("UpSampling2D", Form(_call))
