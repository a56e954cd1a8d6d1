"""Where the largest number is, and signs: Keras reads bits to tell -0 from 0.

``argmax`` and ``argmin`` of Keras hold -0 for less than 0, ONNX ArgMax and ArgMin hold them for equal and give the first: they differ only
where the extreme value of a row is a zero of both signs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converter.frontend.forms import FUNCTIONS, Form
from converter.frontend.marks import Tracing


def _extreme(find: str) -> Callable[..., Any]:
    def function(tracing: Tracing, original: Callable[..., Any], x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        tf = tracing.tf
        x = tf.convert_to_tensor(x)
        if not x.dtype.is_floating or x.shape.rank in (None, 0):
            return original(x, axis=axis, keepdims=keepdims)
        rank = x.shape.rank
        found = getattr(tf, find)(tf.reshape(x, [-1]) if axis is None else x, axis=0 if axis is None else axis, output_type=tf.int32)
        if not keepdims:
            return found
        return tf.reshape(found, [1] * rank) if axis is None else tf.expand_dims(found, axis)

    return function


def _signbit(tracing: Tracing, original: Callable[..., Any], x: Any) -> Any:
    tf = tracing.tf
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        return original(x)
    return tf.logical_or(tf.less(x, 0), tf.logical_and(tf.equal(x, 0), tf.less(tf.math.reciprocal(x), 0)))


FUNCTIONS.add("numpy.argmax", Form(_extreme("argmax")))
FUNCTIONS.add("numpy.argmin", Form(_extreme("argmin")))
FUNCTIONS.add("numpy.signbit", Form(_signbit))
