"""Variables that Keras does not know reach the graph as weights under their own names; other resources are refused by name."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from converter.errors import ConversionError
from converter.frontend import captures
from tests.frontend.building import branches, export, layers


class Holds(keras.layers.Layer):
    """Reads variables of TensorFlow: as a whole, by rows, and in a function."""

    def __init__(self) -> None:
        super().__init__(name="holds")
        self.whole = tf.Variable(np.arange(4, dtype=np.float32) + 2, name="whole")
        self.rows = tf.Variable(np.arange(12, dtype=np.float32).reshape(3, 4), name="rows")
        self.inner = tf.function(lambda x: x + self.whole).get_concrete_function(tf.TensorSpec((None, 4)))

    def call(self, x: Any) -> Any:
        rows = tf.nn.embedding_lookup(self.rows, tf.cast(tf.math.argmax(tf.cast(x > 0, tf.int32), axis=1), tf.int32) % 3)
        return self.inner(x) * self.whole + rows


class Looks(keras.layers.Layer):
    """Reads a table."""

    def __init__(self) -> None:
        super().__init__()
        start = tf.lookup.KeyValueTensorInitializer(tf.constant([1], tf.int64), tf.constant([5.0]))
        self.table = tf.lookup.StaticHashTable(start, -1.0)

    def call(self, x: Any) -> Any:
        return self.table.lookup(tf.cast(x, tf.int64))

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


def test_variables_become_weights_under_their_names() -> None:
    exported = export(branches((4,), {"y": [Holds(), layers.Dense(2)]}))
    names = set(exported.graph.graph.initializers)
    assert {"whole", "rows", "dense/kernel"} <= {n if "/" not in n else "dense/" + n.split("/")[-1] for n in names}
    value = exported.graph.graph.initializers["rows"].const_value
    assert value is not None and np.array_equal(value.numpy(), np.arange(12, dtype=np.float32).reshape(3, 4))


def test_a_table_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"1 resources that are no variables.*lookup table"):
        export(branches((4,), {"y": Looks()}))


def test_a_variable_that_is_written_is_refused_with_the_operator() -> None:
    counter = tf.Variable(1.0)

    @tf.function
    def count(x: Any) -> Any:
        return x * counter.assign_add(1.0)

    concrete = count.get_concrete_function(tf.TensorSpec((2,)))
    with pytest.raises(ConversionError, match="a variable is used by AssignAddVariableOp"):
        captures.read_by_value(concrete, [])
