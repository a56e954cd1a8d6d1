"""TensorFlow operators that tf2onnx does not know and that ONNX can say with others.

    Erfc(x)  = 1 - Erf(x)          (exact GELU)
    Expm1(x) = Exp(x) - 1          (CELU)
    Log1p(x) = Log(1 + x)

Near zero the last two lose digits that the original keeps; what that costs is below float32 rounding of the activations
that use them, and the parity check would see more.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def handlers() -> dict[str, tuple[Any, list[Any]]]:
    """What ``tf2onnx.tfonnx.process_tf_graph`` takes as ``custom_op_handlers``."""
    return {"Erfc": (_erfc, []), "Expm1": (_expm1, []), "Log1p": (_log1p, [])}


def _erfc(graph: Any, node: Any, name: str, args: Any) -> None:
    erf = _make(graph, node, "Erf", [node.input[0]])
    _become(graph, node, "Sub", [_one(graph, node), erf])


def _expm1(graph: Any, node: Any, name: str, args: Any) -> None:
    _become(graph, node, "Sub", [_make(graph, node, "Exp", [node.input[0]]), _one(graph, node)])


def _log1p(graph: Any, node: Any, name: str, args: Any) -> None:
    _become(graph, node, "Log", [_make(graph, node, "Add", [node.input[0], _one(graph, node)])])


def _one(graph: Any, node: Any) -> str:
    from tf2onnx import utils

    dtype = utils.map_onnx_to_numpy_type(graph.get_dtype(node.input[0]))
    return str(graph.make_const(utils.make_name(f"{node.name}/one"), np.array(1, dtype)).output[0])


def _make(graph: Any, node: Any, op_type: str, inputs: list[str]) -> str:
    from tf2onnx import utils

    made = graph.make_node(op_type, inputs, name=utils.make_name(node.name), shapes=[graph.get_shape(node.output[0])],
                           dtypes=[graph.get_dtype(node.output[0])])
    return str(made.output[0])


def _become(graph: Any, node: Any, op_type: str, inputs: list[str]) -> None:
    """Replace ``node`` by another operator that keeps its name and its output."""
    shapes, dtypes, outputs, name = node.output_shapes, node.output_dtypes, node.output, node.name
    graph.remove_node(name)
    graph.make_node(op_type, inputs, name=name, outputs=outputs, shapes=shapes, dtypes=dtypes)
