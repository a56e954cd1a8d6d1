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
from converter.frontend import captures, untranslatable
from converter.frontend.keras_source import CallSpec, import_keras, output_names, unique, variable_names
from converter.frontend.marks import Mark, convertible_layers
from converter.frontend.state import Kept, kept_by

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
        kept: what the model keeps between calls, inputs and outputs behind its own.
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
    kept: tuple[Kept, ...] = ()


def trace(model: Any, spec: CallSpec) -> Trace:
    """Trace ``model(inputs, training=False)``.

    Raises:
        ConversionError: the model cannot be traced, or it reads a variable that Keras does not track.
    """
    keras = import_keras()
    import tensorflow as tf

    untranslatable.refuse(model, keras)
    flat = keras.tree.flatten(spec.structure)
    specs = [tf.TensorSpec(t.shape, t.dtype, name=f"input{i}") for i, t in enumerate(flat)]
    _build(model, spec)
    variables, kept = list(model.variables), kept_by(model)
    slots = [tf.TensorSpec(v.shape, v.dtype, name=f"variable{i}") for i, v in enumerate(variables)]
    specs += [tf.TensorSpec(k.variable.shape, k.variable.dtype, name=f"state{i}") for i, k in enumerate(kept)]
    structure: list[Any] = []
    changed: dict[int, str] = {}

    def call(values: list[Any], inputs: list[Any]) -> list[Any]:
        states = [(k.variable, value) for k, value in zip(kept, inputs[len(flat):], strict=True)]
        with keras.StatelessScope(state_mapping=[*zip(variables, values, strict=True), *states]) as scope:
            outputs = model(keras.tree.pack_sequence_as(spec.structure, inputs[:len(flat)]), training=False)
        structure[:] = [outputs]
        changed.update({i: v.path for i, (v, old) in enumerate(zip(variables, values, strict=True)) if scope.get_current_value(v) is not old})
        return [tf.identity(t) for t in [*keras.tree.flatten(outputs), *(scope.get_current_value(k.variable) for k in kept)]]

    with _LOCK, _functions_inlined(tf), convertible_layers(keras, tf) as tracing, _layer_scopes(keras, tf) as paths:
        concrete = _concrete(tf, call, slots, specs, model)
    _refuse_changes(model, concrete, changed)
    traced = _collect(concrete, spec, variables, structure[0], model, tuple(paths), tuple(kept))
    return dataclasses.replace(traced, marks=tuple(tracing.marks))


def _build(model: Any, spec: CallSpec) -> None:
    """Create the variables of a model that was never called (symbolically: nothing is computed)."""
    if model.built:
        return
    try:
        model(spec.structure, training=False)
    except (ValueError, TypeError, NotImplementedError, AttributeError, RuntimeError) as error:
        raise ConversionError(f"Keras model {model.name!r} cannot be built: {type(error).__name__}: {str(error).strip()[:600]}") from error


def _refuse_changes(model: Any, concrete: Any, changed: dict[int, str]) -> None:
    """A variable that changes matters where an output reads it; many layers draw random numbers in inference that they do not use."""
    read = _read_by(concrete.outputs) if changed else set()
    matter = [path for index, path in changed.items() if concrete.inputs[index].name in read]
    if matter:
        raise ConversionError(f"Keras model {model.name!r} changes {len(matter)} of its variables when it is called for inference, which a graph "
                              f"without state cannot: {', '.join(matter[:5])} (a stateful layer, or one that draws random numbers)")


def _read_by(outputs: list[Any]) -> set[str]:
    """Names of all tensors that the outputs are computed from."""
    seen: set[str] = set()
    left = list(outputs)
    while left:
        tensor = left.pop()
        if tensor.name not in seen:
            seen.add(tensor.name)
            left += [*tensor.op.inputs, *(out for op in tensor.op.control_inputs for out in op.outputs)]
    return seen


def _concrete(tf: Any, call: Any, slots: list[Any], specs: list[Any], model: Any) -> Any:
    try:
        return tf.function(call, autograph=False).get_concrete_function(slots, specs)
    except (ValueError, TypeError, NotImplementedError, AttributeError, RuntimeError, tf.errors.OpError) as error:
        raise ConversionError(f"Keras model {model.name!r} cannot be traced: {type(error).__name__}: {str(error).strip()[:600]}") from error


def _collect(
    concrete: Any, spec: CallSpec, variables: list[Any], outputs: Any, model: Any, paths: tuple[str, ...], kept: tuple[Kept, ...],
) -> Trace:
    names = [t.name for t in concrete.inputs]
    count, width = len(variables), len(spec.names) + len(kept)
    captured = dict(zip(names[count + width:], concrete.captured_inputs, strict=True))
    graph, slots = concrete.graph, dict(zip(names[:count], variables, strict=True))
    taken = variable_names(model)
    if any(t.dtype.name == "resource" for t in captured.values()):
        graph, read = captures.read_by_value(concrete, _untracked(model))
        captured = {name: t for name, t in captured.items() if name not in read}
        slots |= read
        taken = unique([*taken, *(v.path for v in read.values())])
    given, made = (*spec.names, *(k.given for k in kept)), (*output_names(model, outputs, spec.names), *(k.left for k in kept))
    return Trace(graph, tuple(names[count:count + width]), given, tuple(t.name for t in concrete.outputs), made, slots,
                 dict(zip(slots, taken, strict=True)), captured, paths, kept=kept)


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
