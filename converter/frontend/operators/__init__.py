"""TensorFlow operators that tf2onnx lacks, or says wrongly, one family a file.

tf2onnx passes them on as they are, with what TensorFlow knows about their types and shapes (:func:`handlers`), and once the graph is at
its opset :func:`expand` puts ONNX operators in their place, as :func:`converter.frontend.marks.expand` does for layers. The other way, a
handler that writes nodes into tf2onnx's own graph, would know only opsets up to 18 and would be a second way to write nodes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from converter.errors import ConversionError
from converter.frontend.operators.writer import Writer
from converter.graph import edit, query
from converter.registry import Registry

PREFIX = "TensorFlow"
FACTS = "converter_facts"
Shape = tuple[int | None, ...] | None


class NotInONNXError(ConversionError):
    """Raised by the expansion of an operator for what cannot be said; the text is the reason and the advice."""


@dataclass(frozen=True)
class Operation:
    """A TensorFlow operator.

    Args:
        kind: its type.
        inputs: what it reads.
        types, shapes: of the inputs; a free length is None, and so is a shape of unknown rank.
        out_types, out_shapes: of the outputs.
        attributes: as TensorFlow has them, but for types (types of inputs and outputs are above).
    """

    kind: str
    inputs: tuple[ir.Value, ...]
    types: tuple[ir.DataType, ...]
    shapes: tuple[Shape, ...]
    out_types: tuple[ir.DataType, ...]
    out_shapes: tuple[Shape, ...]
    attributes: dict[str, Any]

    def rank(self, index: int = 0) -> int:
        """Number of axes of an input.

        Raises:
            NotInONNXError: it is not known.
        """
        shape = self.shapes[index]
        if shape is None:
            raise NotInONNXError("a tensor without a known number of axes; give the model's inputs a shape")
        return len(shape)

    def known(self, index: int) -> Any:
        """The numbers of an input, which have to be constant.

        Raises:
            NotInONNXError: they are computed.
        """
        value = self.inputs[index].const_value
        if value is None:
            raise NotInONNXError(f"input {index} has to be constant here; compute it from shapes that are known")
        return value.numpy()


Expansion = Callable[[Writer, Operation], Sequence[ir.Value]]
"""The ONNX values of the outputs; they are cast to the types of the operator's outputs where they differ."""

OPERATORS: Registry[Expansion] = Registry("TensorFlow operator", "converter.frontend.operators")
"""By the type of the operator in TensorFlow."""


def handlers() -> dict[str, tuple[Any, list[Any]]]:
    """What ``tf2onnx.tfonnx.process_tf_graph`` takes as ``custom_op_handlers``."""
    return {name: (_pass_on, [PREFIX + name]) for name in OPERATORS.names()}


def _pass_on(graph: Any, node: Any, name: str, args: Any) -> None:
    """Note on a node of tf2onnx what later is not known any more."""

    def told(names: Sequence[str]) -> list[Any]:
        return [[graph.get_dtype(n), None if (s := graph.get_shape(n)) is None else [None if d < 0 else d for d in s]] for n in names]

    node.set_attr(FACTS, json.dumps([told(node.input), told(node.output)]))


def expand(model: ir.Model) -> list[tuple[ir.Node, str]]:
    """Replace every operator that was passed on, in subgraphs too, in place.

    Returns:
        The nodes that have no ONNX form, and why; they are left as they are.
    """
    refused: list[tuple[ir.Node, str]] = []
    for node in list(model.graph.all_nodes()):
        if FACTS in node.attributes:
            try:
                _expand(model, node)
            except NotInONNXError as error:
                refused.append((node, str(error)))
    return refused


def _expand(model: ir.Model, node: ir.Node) -> None:
    operation = _operation(node)
    build = Writer(model, node)
    made = OPERATORS.get(operation.kind)(build, operation)
    results = [build.cast(value, dtype) for value, dtype in zip(made, operation.out_types, strict=True)]
    edit.replace_node(node, [build("Identity", v) if v in node.inputs or v.is_initializer() else v for v in results])


def _operation(node: ir.Node) -> Operation:
    facts = json.loads(node.attributes[FACTS].as_string())
    (types, shapes), (out_types, out_shapes) = (_pairs(told) for told in facts)
    inputs = tuple(query.inputs_of(node))
    for value, dtype in zip(inputs, types, strict=True):
        value.type = ir.TensorType(dtype) if value.type is None else value.type
    attributes = {name: value for name, value in query.attributes(node).items() if name != FACTS}
    return Operation(node.op_type.removeprefix(PREFIX), inputs, types, shapes, out_types, out_shapes, attributes)


def _pairs(told: list[Any]) -> tuple[tuple[ir.DataType, ...], tuple[Shape, ...]]:
    return tuple(ir.DataType(dtype or 0) for dtype, _ in told), tuple(None if shape is None else tuple(shape) for _, shape in told)
