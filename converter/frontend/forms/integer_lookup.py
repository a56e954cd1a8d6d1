"""IntegerLookup: the table becomes constants, and looking up is arithmetic.

Up to :data:`FEW` keys every id is compared with every key; more keys are sorted, and the place of an id among them is found by bisection:
one round for every bit of the number of keys. LabelEncoder of ai.onnx.ml would be one operator, but of a domain that most engines lack.

Keras does all around the table itself: mask, out-of-vocabulary ids, encodings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from converter.frontend.forms import FORMS, Form
from converter.frontend.forms.categories import as_ids, encode
from converter.frontend.marks import Tracing
from converter.spec.quant import Array

FEW = 256
"""Keys that are compared with every id; more would cost more memory than bisection costs time."""


def _call(tracing: Tracing, layer: Any, original: Callable[..., Any], inputs: Any) -> Any:
    tf, mode = tracing.tf, layer.output_mode
    if layer.sparse or not isinstance(inputs, tf.Tensor):
        return original(inputs)
    with tf.init_scope():  # the table lives outside the graph
        keys, values = (np.asarray(part.numpy()) for part in layer.lookup_table.export())
    table, default = vars(layer.lookup_table), layer._default_value
    table["lookup"] = lambda ids: lookup(tf, ids, keys, values, default)
    try:
        if mode == "int":
            return original(inputs)
        ids = as_ids(layer, original, inputs)
    finally:
        del table["lookup"]
    depth = layer.max_tokens if layer.pad_to_max_tokens else layer._frozen_vocab_size
    encoded = encode(tf, ids, "count" if mode == "tf_idf" else mode, depth, layer._value_dtype)
    return tf.cast(encoded, layer.idf_weights_const.dtype) * layer.idf_weights_const if mode == "tf_idf" else encoded


def lookup(tf: Any, ids: Any, keys: Array, values: Array, default: int) -> Any:
    """The value of every id's key, ``default`` where there is no such key.

    Args:
        tf: the module.
        ids: integer tensor of any shape.
        keys, values: [n], each key once.
        default: as said.
    """
    ids = tf.cast(ids, "int64")
    if len(keys) <= FEW:
        found = tf.equal(tf.expand_dims(ids, -1), keys.astype(np.int64))
        return tf.reduce_sum(tf.cast(found, "int64") * (values.astype(np.int64) - default), -1) + default
    order, bits = np.argsort(keys), len(keys).bit_length()
    beyond = 2**bits - len(keys)
    sorted_keys = np.append(keys[order].astype(np.int64), np.full(beyond, np.iinfo(np.int64).max))
    sorted_values = np.append(values[order].astype(np.int64), np.full(beyond, default))
    at = tf.zeros_like(ids)
    for bit in reversed(range(bits)):  # at becomes the last place whose key is not above the id
        at += tf.cast(tf.gather(sorted_keys, at + 2**bit) <= ids, "int64") * 2**bit
    found = tf.cast(tf.equal(tf.gather(sorted_keys, at), ids), "int64")
    return found * (tf.gather(sorted_values, at) - default) + default


FORMS.add("IntegerLookup", Form(_call))
