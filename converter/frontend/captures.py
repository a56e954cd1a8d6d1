"""Variables of TensorFlow that a traced function reads by handle: those of a SavedModel, and any ``tf.Variable`` that Keras does not track.

Their handles become plain tensors, so that they reach ONNX like every other weight, and no number of theirs passes through a protobuf:

    ReadVariableOp(handle)            Identity(tensor)
    ResourceGather(handle, indices)   GatherV2(tensor, indices, axis 0)

Calls of functions are inlined first, since a handle may be read in any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from converter.errors import ConversionError

AXIS = "converter_axis"
READS = ("ReadVariableOp", "ResourceGather", "Identity")


@dataclass(frozen=True)
class Captured:
    """A variable of TensorFlow, with the face of a Keras variable.

    Args:
        path: its name in TensorFlow, without the number of the output.
        value: its handle's owner, which TensorFlow converts to a tensor.
    """

    path: str
    value: Any


def read_by_value(concrete: Any, known: list[Any]) -> tuple[Any, dict[str, Captured]]:
    """The graph of ``concrete`` with tensors in place of the handles of variables.

    Args:
        concrete: a ``tf.ConcreteFunction``.
        known: variables whose handles may be read beside those that ``concrete`` lists.

    Returns:
        A ``tf.Graph`` whose operations are called as before, and the variable of every tensor name that was a handle.

    Raises:
        ConversionError: a handle is no variable's (a table, an iterator), or is written to; the operator is named.
    """
    import tensorflow as tf

    by_handle = {id(v.handle): v for v in [*known, *concrete.graph.variables]}
    pairs = zip(concrete.inputs[len(concrete.inputs) - len(concrete.captured_inputs):], concrete.captured_inputs, strict=True)
    handles = {inner.name.split(":")[0]: outer for inner, outer in pairs if outer.dtype == tf.resource}
    found = {name: by_handle.get(id(handle)) for name, handle in handles.items()}
    strangers = sorted(name for name, variable in found.items() if variable is None)
    if strangers:
        raise ConversionError(f"the model reads {len(strangers)} resources that are no variables, which ONNX does not have: "
                              f"{', '.join(strangers[:5])} (a lookup table or an iterator); look the values up outside the model")
    definition = _inlined(concrete)
    _rewrite(definition, {name: v for name, v in found.items() if v is not None})
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(definition, name="")
    return graph, {f"{name}:0": Captured(v.name.split(":")[0], v) for name, v in found.items() if v is not None}


def _inlined(concrete: Any) -> Any:
    """The definition of the graph in which no function is called but by control flow."""
    from tensorflow.python.framework import convert_to_constants

    return convert_to_constants._run_inline_graph_optimization(concrete, lower_control_flow=False, aggressive_inlining=True)


def _rewrite(definition: Any, variables: dict[str, Any]) -> None:
    """Turn handles into tensors and reads of them into what reads a tensor, in place."""
    aliases = {name: name for name in variables}
    _axis(definition)
    for node in definition.node:  # sorted: what makes a value comes first
        name = node.name
        source = aliases.get(node.input[0].split(":")[0]) if node.input else None
        if name in variables:
            _placeholder(node, variables[name])
        elif any(i.split(":")[0] in aliases for i in node.input):  # "^name" only waits for it
            if node.op not in READS or source is None:
                raise ConversionError(f"a variable is used by {node.op} at {name}, which a graph without state cannot")
            if node.op == "Identity":
                aliases[name] = source
            _as_value(node, variables[source])


def _axis(definition: Any) -> None:
    import tensorflow as tf

    node = definition.node.add(name=AXIS, op="Const")
    node.attr["dtype"].type = tf.int32.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0, tf.int32))


def _placeholder(node: Any, variable: Any) -> None:
    node.attr["dtype"].type = variable.dtype.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(variable.shape.as_proto())
    for name in [name for name in node.attr if name not in ("dtype", "shape")]:
        del node.attr[name]


def _as_value(node: Any, variable: Any) -> None:
    """What the operator is when its first input is a tensor."""
    kind = variable.dtype.as_datatype_enum
    if node.op in ("ReadVariableOp", "Identity"):
        node.op = "Identity"
        _only(node, "T", kind)
    elif node.op == "ResourceGather":
        indices = node.attr["Tindices"].type
        node.op = "GatherV2"
        node.input.insert(2, AXIS)
        _only(node, "Tparams", kind)
        node.attr["Tindices"].type = indices
        node.attr["Taxis"].type = 3  # DT_INT32


def _only(node: Any, name: str, kind: int) -> None:
    for other in list(node.attr):
        del node.attr[other]
    node.attr[name].type = kind
