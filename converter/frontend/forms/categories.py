"""CategoryEncoding and Discretization: ids are compared with 0, 1, .., depth - 1, once for every id.

    hot[.., i] = (id = i)      multi_hot = max of hot over axis 1      count = sum of hot over axis 1, weighed where there are weights

Keras counts with a bincount instead, which ONNX says with Unique, Compress and ScatterND (30 operators), and whose shape depends on the data.
An id out of range is hot nowhere, as in ``tf.one_hot``; ONNX OneHot (11) would count negative ones from the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converter.frontend.forms import FORMS, Form
from converter.frontend.marks import Tracing


def encode(tf: Any, ids: Any, mode: str, depth: int, dtype: str, weights: Any = None) -> Any:
    """What ``keras.src.utils.numerical_utils.encode_categorical_inputs`` gives for integers, but never sparse.

    Args:
        tf: the module.
        ids: integer tensor.
        mode: ``"one_hot"``, ``"multi_hot"`` or ``"count"``.
        depth: length of the last axis of the result.
        dtype: of the result, unless there are weights.
        weights: of every id, for ``"count"``.
    """
    ids = tf.expand_dims(ids, -1) if ids.shape.rank == 0 else ids
    if mode == "one_hot" and ids.shape.rank > 1 and ids.shape[-1] == 1:
        ids = tf.squeeze(ids, -1)
    hot = tf.cast(tf.equal(tf.expand_dims(ids, -1), tf.range(depth, dtype=ids.dtype)), dtype if weights is None else weights.dtype)
    if mode == "one_hot":
        return hot
    axis = 1 if ids.shape.rank > 1 else 0
    if mode == "multi_hot":
        return tf.reduce_max(hot, axis)
    return tf.reduce_sum(hot if weights is None else hot * tf.expand_dims(weights, -1), axis)


def _category(tracing: Tracing, layer: Any, original: Callable[..., Any], inputs: Any, count_weights: Any = None) -> Any:
    weighed = count_weights is not None
    if layer.sparse or not isinstance(inputs, tracing.tf.Tensor) or (weighed and layer.output_mode != "count"):
        return original(inputs, count_weights=count_weights)
    weights = tracing.tf.convert_to_tensor(count_weights, layer.compute_dtype) if weighed else None
    return encode(tracing.tf, tracing.tf.cast(inputs, "int64"), layer.output_mode, layer.num_tokens, layer.dtype, weights)


def _discretization(tracing: Tracing, layer: Any, original: Callable[..., Any], inputs: Any) -> Any:
    mode = layer.output_mode
    if layer.sparse or mode == "int":
        return original(inputs)
    ids = as_ids(layer, original, inputs)
    return encode(tracing.tf, tracing.tf.cast(ids, "int32"), mode, len(layer.bin_boundaries) + 1, layer.output_dtype)


def as_ids(layer: Any, original: Callable[..., Any], inputs: Any) -> Any:
    """What the layer would give with ``output_mode="int"``."""
    mode = layer.output_mode
    layer.output_mode = "int"
    try:
        return original(inputs)
    finally:
        layer.output_mode = mode


FORMS.add("CategoryEncoding", Form(_category))
FORMS.add("Discretization", Form(_discretization))
