"""TensorFlow operators that are written in ONNX after tf2onnx has passed them on, one family a file.

Here, unlike in a handler of tf2onnx, the opset is the final one, shapes are those that TensorFlow knows, and a complex tensor
may be a pair of real ones. The parity check proves every line: the reference runs the operator itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError
from converter.graph import io, query
from converter.graph.build import Builder
from converter.registry import Registry
from converter.spec.quant import Array

Shape = tuple[int | None, ...]


class Pair(NamedTuple):
    """A complex tensor: two real ones of its shape, which ONNX has operators for."""

    real: ir.Value
    imag: ir.Value


@dataclass
class Ground:
    """What all sites of one model share.

    Args:
        graph: the ``tf.Graph`` that the model was lowered from.
        opset: of the model.
        complexes: the pair that stands for a complex value.
        shapes: shapes of the values that took the place of TensorFlow's.
    """

    graph: Any
    opset: int
    complexes: dict[ir.Value, Pair] = field(default_factory=dict)
    shapes: dict[ir.Value, Shape] = field(default_factory=dict)


class Site:
    """An operator that is to be replaced, and what is known about its inputs.

    Args:
        model: the lowered model.
        node: the operator.
        ground: what is known about the rest.
    """

    def __init__(self, model: ir.Model, node: ir.Node, ground: Ground) -> None:
        self.model, self.node, self.ground, self.build = model, node, ground, Builder(model, node)

    def value(self, index: int) -> ir.Value:
        """An input."""
        value = query.input_at(self.node, index)
        assert value is not None, self.node.op_type
        return value

    def shape(self, index: int) -> Shape | None:
        """Shape of an input as TensorFlow knows it; None where not even the rank is known."""
        return shape_of(self.value(index), self.ground)

    def known(self, index: int) -> Array | None:
        """Numbers of an input that do not depend on the data, or None; lengths that are fixed count as known."""
        low, high = (_evaluate(self.value(index), self.ground, length) for length in (7, 11))
        return low if low is not None and high is not None and np.array_equal(low, high) else None

    def text(self, name: str) -> str:
        """A text attribute."""
        value = self.node.attributes[name].value
        return value.decode() if isinstance(value, bytes) else str(value)

    def flag(self, name: str) -> bool:
        """An attribute that is true or false; false where it is absent."""
        return bool(query.integer(self.node, name, 0))

    def floats(self, index: int = 0) -> ir.Value:
        """An input as float32."""
        value = self.value(index)
        return value if self.dtype(index) == "float32" else self.build("Cast", value, to=ir.DataType.FLOAT, dtype=ir.DataType.FLOAT)

    def dtype(self, index: int = 0) -> str:
        """Type of an input as TensorFlow or the graph knows it; float32 where neither does."""
        value = self.value(index)
        tensor = _tensor(value, self.ground)
        if tensor is not None:
            return str(tensor.dtype.name)
        return "float32" if value.dtype is None else str(value.dtype.numpy())

    def refusal(self, reason: str) -> ConversionError:
        """The error to raise; the caller puts the Keras layer for the name of the node."""
        return ConversionError(f"{self.node.name}: {self.node.op_type} has no ONNX form here: {reason}")


Expansion = Callable[[Site], "ir.Value | Pair"]
DEEPEST = 40  # steps from a size back to what it is computed from; a chain that is longer comes from the data
EXPANSIONS: Registry[Expansion] = Registry("expansion", "converter.frontend.expansions")
"""By the name of the TensorFlow operator."""


def shape_of(value: ir.Value, ground: Ground) -> Shape | None:
    """Shape of a value as TensorFlow knows it."""
    if value in ground.shapes:
        return ground.shapes[value]
    tensor = _tensor(value, ground)
    if tensor is not None and tensor.shape.rank is not None:
        return tuple(tensor.shape.as_list())
    return query.shape_of(value)


def _tensor(value: ir.Value, ground: Ground) -> Any:
    """The tensor of TensorFlow that the value is named after, or None."""
    try:
        return ground.graph.get_tensor_by_name(value.name)
    except (KeyError, ValueError):
        return None


def _evaluate(value: ir.Value, ground: Ground, length: int, depth: int = 0) -> Array | None:
    """What ``value`` is if every free length is ``length``; None where it depends on more than lengths.

    What is the same for two lengths does not depend on them.
    """
    if value.const_value is not None:
        return value.const_value.numpy()
    node = value.producer()
    if node is None or len(node.outputs) != 1 or depth > DEEPEST:
        return None
    if node.op_type == "Shape":
        shape = None if node.inputs[0] is None else shape_of(node.inputs[0], ground)
        return None if shape is None else np.array([length if n is None else n for n in shape], np.int64)
    arrays: list[Array] = []
    for source in node.inputs:
        array = None if source is None else _evaluate(source, ground, length, depth + 1)
        if array is None:
            return None
        arrays.append(array)
    return io.try_evaluate(node.op_type, arrays, query.attributes(node), ground.opset) if arrays else None
