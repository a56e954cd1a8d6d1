"""``histogram``: Keras first drops what is out of range, which leaves a vector of a length that depends on the data, perhaps empty.

Here what is out of range gets a bin of its own that is not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converter.frontend.forms import FUNCTIONS, Form
from converter.frontend.marks import Tracing


def _histogram(tracing: Tracing, original: Callable[..., Any], x: Any, bins: int = 10, range: Any = None) -> Any:
    tf = tracing.tf
    x = tf.convert_to_tensor(x)
    if x.shape.rank != 1 or not x.dtype.is_floating:
        return original(x, bins=bins, range=range)
    low, high = (tf.reduce_min(x), tf.reduce_max(x)) if range is None else range
    edges = tf.cast(tf.linspace(low, high, bins + 1), x.dtype)
    index = tf.searchsorted(edges[1:-1], x, side="right")
    index = tf.where(tf.logical_and(x >= low, x <= high), index, bins)
    return tf.reduce_sum(tf.one_hot(index, bins, dtype=x.dtype), 0), edges


FUNCTIONS.add("numpy.histogram", Form(_histogram))
