"""Trace a Keras model without its weights: every variable is an argument of the traced function.

So no weight passes through TensorFlow's protobufs, and the graph that comes out says which variable goes where.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from converter.errors import ConversionError
from converter.frontend import captures
from converter.frontend.keras_source import CallSpec, import_keras, output_names, unique, variable_names
from converter.frontend.marks import Mark, convertible_layers

SCOPE = "keras_layer"
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Trace:
    """A traced model.

    Args:
        graph: ``tf.Graph`` of the function.
        inputs: tensor names of the model's inputs, in the order of the call specification.
        input_names: their Keras names.
        outputs: tensor names of the outputs, flattened.
        output_names: their names.
        variables: tensor name of every variable argument, to the Keras variable.
        variable_names: the same, to the unique name of the variable (its path).
        constants: tensor name of every captured tensor that is no variable, to its value.
        paths: index in the name scope to the path of the Keras layer.
        marks: what the opaque nodes stand for, by their number.
    """

    graph: Any
    inputs: tuple[str, ...]
    input_names: tuple[str, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    variables: dict[str, Any]
    variable_names: dict[str, str]
    constants: dict[str, Any]
    paths: tuple[str, ...]
    marks: tuple[Mark, ...] = ()


def trace(model: Any, spec: CallSpec) -> Trace:
    """Trace ``model(inputs, training=False)``.

    Raises:
        ConversionError: the model cannot be traced, or it reads a variable that Keras does not track.
    """
    keras = import_keras()
    import tensorflow as tf

    _refuse_state(model)
    flat = keras.tree.flatten(spec.structure)
    specs = [tf.TensorSpec(t.shape, t.dtype, name=f"input{i}") for i, t in enumerate(flat)]
    _build(model, spec)
    variables = list(model.variables)
    slots = [tf.TensorSpec(v.shape, v.dtype, name=f"variable{i}") for i, v in enumerate(variables)]
    structure: list[Any] = []
    changed: list[str] = []

    def call(values: list[Any], inputs: list[Any]) -> list[Any]:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))) as scope:
            outputs = model(keras.tree.pack_sequence_as(spec.structure, inputs), training=False)
        structure[:] = [outputs]
        changed[:] = [v.path for v, old in zip(variables, values, strict=True) if scope.get_current_value(v) is not old]
        return [tf.identity(t) for t in keras.tree.flatten(outputs)]

    with _LOCK, _functions_inlined(tf), convertible_layers(keras, tf) as tracing, _layer_scopes(keras, tf) as paths:
        concrete = _concrete(tf, call, slots, specs, model)
    if changed:
        raise ConversionError(f"Keras model {model.name!r} changes {len(changed)} of its variables when it is called for inference, which a graph "
                              f"without state cannot: {', '.join(changed[:5])} (a stateful layer, or one that draws random numbers)")
    traced = _collect(concrete, spec, variables, structure[0], model, tuple(paths))
    return dataclasses.replace(traced, marks=tuple(tracing.marks))


def _build(model: Any, spec: CallSpec) -> None:
    """Create the variables of a model that was never called (symbolically: nothing is computed)."""
    if model.built:
        return
    try:
        model(spec.structure, training=False)
    except (ValueError, TypeError, NotImplementedError, AttributeError, RuntimeError) as error:
        raise ConversionError(f"Keras model {model.name!r} cannot be built: {type(error).__name__}: {str(error).strip()[:600]}") from error


def _refuse_state(model: Any) -> None:
    stateful = [layer.path or layer.name for layer in model._flatten_layers() if getattr(layer, "stateful", False)]
    if stateful:
        raise ConversionError(f"Keras model {model.name!r} keeps state between calls, which a graph cannot, in "
                              f"{', '.join(stateful[:5])} (stateful=True)")


def _concrete(tf: Any, call: Any, slots: list[Any], specs: list[Any], model: Any) -> Any:
    try:
        return tf.function(call, autograph=False).get_concrete_function(slots, specs)
    except (ValueError, TypeError, NotImplementedError, AttributeError, RuntimeError, tf.errors.OpError) as error:
        raise ConversionError(f"Keras model {model.name!r} cannot be traced: {type(error).__name__}: {str(error).strip()[:600]}") from error


def _collect(concrete: Any, spec: CallSpec, variables: list[Any], outputs: Any, model: Any, paths: tuple[str, ...]) -> Trace:
    names = [t.name for t in concrete.inputs]
    count, width = len(variables), len(spec.names)
    captured = dict(zip(names[count + width:], concrete.captured_inputs, strict=True))
    graph, slots = concrete.graph, dict(zip(names[:count], variables, strict=True))
    taken = variable_names(model)
    if any(t.dtype.name == "resource" for t in captured.values()):
        graph, read = captures.read_by_value(concrete, _untracked(model))
        captured = {name: t for name, t in captured.items() if name not in read}
        slots |= read
        taken = unique([*taken, *(v.path for v in read.values())])
    return Trace(graph, tuple(names[count:count + width]), spec.names, tuple(t.name for t in concrete.outputs),
                 tuple(output_names(model, outputs, spec.names)), slots, dict(zip(slots, taken, strict=True)), captured, paths)


def _untracked(model: Any) -> list[Any]:
    """Variables of TensorFlow that layers call functions with: those of SavedModels."""
    kept = [v for layer in model._flatten_layers() for v in getattr(getattr(layer, "captured_variables", None), "things", ())]
    return kept + [v for layer in model._flatten_layers() for v in getattr(getattr(layer, "call_endpoint_fn", None), "variables", ())]


@contextlib.contextmanager
def _functions_inlined(tf: Any) -> Iterator[None]:
    """Run functions inside functions as plain Python, so that what Keras compiles with XLA is part of the graph."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@contextlib.contextmanager
def _layer_scopes(keras: Any, tf: Any) -> Iterator[list[str]]:
    """Put every operation under a name scope that says which layer called it; yields the layer paths by index.

    TensorFlow makes scope names unique by numbers, so they cannot be mapped back to layers; an absolute scope can.
    """
    paths: list[str] = []
    indices: dict[str, int] = {}
    stack: list[str] = []
    original = keras.Layer.__call__

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        stack.append(self.name)
        path = _layer_path(self, stack)
        index = indices.setdefault(path, len(paths))
        if index == len(paths):
            paths.append(path)
        try:
            with tf.name_scope(f"{SCOPE}{index}/"):
                return original(self, *args, **kwargs)
        finally:
            stack.pop()

    keras.Layer.__call__ = call
    try:
        yield paths
    finally:
        keras.Layer.__call__ = original


def _layer_path(layer: Any, stack: list[str]) -> str:
    """The layer's Keras path, or the names of all layers that call it, without the model, where that says more.

    A layer of a functional submodel has a path that does not mention the submodel, so two layers may share it.
    """
    own, called = layer.path or layer.name, "/".join(stack[1:])
    return called if called.endswith(f"/{own}") else own
