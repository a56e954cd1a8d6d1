"""Put ONNX operators in the place of the TensorFlow operators that tf2onnx passed on."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError
from converter.frontend.expansions import EXPANSIONS, Ground, Pair, Site, complex_numbers, shape_of
from converter.graph import edit, query

OURS = frozenset({"AdjustSaturation", "Complex", "ComplexAbs", "FFT", "IFFT", "FFT2D", "IFFT2D", "IRFFT", "RFFT", "ResizeArea", "ResizeBicubic"})
"""Operators that tf2onnx has handlers for, or may get some, which ours do better."""


def passed_on() -> dict[str, tuple[Any, list[Any]]]:
    """Handlers for ``tf2onnx.tfonnx.process_tf_graph`` that leave an operator as it is."""
    return {name: (_leave, []) for name in OURS}


def mended() -> dict[str, tuple[Any, list[Any]]]:
    """Handlers that mend what tf2onnx does."""
    return {"ResizeBilinear": (_resize_floats, []), "BiasAdd": (_add_bias, [])}


def _leave(graph: Any, node: Any, name: str, args: Any) -> None:
    pass


def _resize_floats(graph: Any, node: Any, name: str, args: Any) -> None:
    """A resize of whole numbers gives floats in TensorFlow; tf2onnx lets ONNX Resize give whole numbers."""
    if graph.get_dtype(node.input[0]) != ir.DataType.FLOAT:
        graph.insert_new_node_on_input(node, "Cast", node.input[0], to=int(ir.DataType.FLOAT))
    _as_ever(graph, node)


def _add_bias(graph: Any, node: Any, name: str, args: Any) -> None:
    """A bias of channels first; tf2onnx knows the axis only where the bias is a constant, and ours are inputs until they are bound."""
    if node.get_attr_value("data_format", b"").startswith(b"NC"):
        shape = graph.make_const(f"{node.name}/channels_first", np.array([-1] + [1] * (len(graph.get_shape(node.input[0])) - 2), np.int64))
        graph.insert_new_node_on_input(node, "Reshape", [node.input[1], shape.output[0]], input_index=1)
    node.type = "Add"


def _as_ever(graph: Any, node: Any) -> None:
    """What tf2onnx does without us."""
    from tf2onnx.handler import tf_op

    convert, options = tf_op.create_mapping(graph.opset, {})[node.type]
    convert(graph, node, **options)


def expand(model: ir.Model, graph: Any) -> None:
    """Replace every operator that has an expansion, and every other one that reads a complex tensor, in place.

    Args:
        model: as tf2onnx wrote it, lifted to its opset.
        graph: the ``tf.Graph`` it was lowered from.

    Raises:
        ConversionError: an operator cannot be said in ONNX with these settings; its name begins the text.
    """
    ground = Ground(graph, query.opset(model))
    known = set(EXPANSIONS.names())
    dead: list[ir.Node] = []
    for node in list(model.graph.all_nodes()):
        if node.op_type in known:
            made = EXPANSIONS.get(node.op_type)(Site(model, node, ground))
        elif any(complex_numbers.is_complex(value, ground) for value in query.inputs_of(node)):
            made = complex_numbers.apply(Site(model, node, ground))
        elif complex_numbers.becomes_complex(node):
            made = complex_numbers.cast(Site(model, node, ground))
        else:
            continue
        _settle(node, made, ground, dead)
    for node in reversed(dead):
        edit.remove(node)


def _settle(node: ir.Node, made: ir.Value | Pair, ground: Ground, dead: list[ir.Node]) -> None:
    """Let ``made`` be what ``node`` made; a complex result is only noted, since its readers are replaced themselves."""
    output = node.outputs[0]
    shape = shape_of(output, ground)
    for value in made if isinstance(made, Pair) else [made]:
        if shape is not None:
            ground.shapes[value] = shape
    if isinstance(made, Pair):
        if output.is_graph_output():
            raise ConversionError(f"{node.name}: a complex tensor cannot be an output; give its real and its imaginary part instead")
        ground.complexes[output] = made
        dead.append(node)
    else:
        edit.replace_node(node, [made])
