"""Keras layers that are traced another way than Keras runs them, because what they call has no plain ONNX form.

Only the trace is changed, never the reference it is compared with, so the parity check proves every line here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def convertible_layers(keras: Any, tf: Any) -> Iterator[None]:
    """While it is open, UpSampling2D by nearest neighbours is one resize instead of two repetitions (Tile and Reshape).

    A resize works in any layout, so that no transpose is left around it, and engines have an integer kernel for it.
    """
    layer = keras.layers.UpSampling2D
    original = layer.call

    def call(self: Any, inputs: Any) -> Any:
        if self.interpolation != "nearest" or self.data_format != "channels_last" or inputs.dtype.name != "float32":
            return original(self, inputs)
        known, dynamic = inputs.shape, tf.shape(inputs)
        size = [(dynamic[i + 1] if known[i + 1] is None else known[i + 1]) * factor for i, factor in enumerate(self.size)]
        return tf.raw_ops.ResizeNearestNeighbor(images=inputs, size=tf.stack(size), align_corners=False, half_pixel_centers=False)

    layer.call = call
    try:
        yield
    finally:
        layer.call = original
