"""Layers and functions that arrive in the graph as one node each, to be replaced by the operator that ONNX has for them.

While a model is traced, such a layer does not run its own code: it leaves one opaque node, a mark, that reads its tensors and
weights and has the shapes of its outputs. For TensorFlow it is a Python function that nobody has registered, since it never runs, for
tf2onnx an operator that it does not know and passes on. :func:`expand` puts the operators in its place, for the opset at hand.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from converter.errors import ConversionError
from converter.frontend.forms import FORMS, FUNCTIONS
from converter.graph import edit
from converter.graph.build import Builder

MARK = "converter_mark"


@dataclass(frozen=True)
class Mark:
    """What an opaque node stands for: the name of a form, and what its ``lower`` needs to know."""

    form: str
    facts: Mapping[str, Any]


class Tracing:
    """Handed to the forms of layers while a model is traced.

    Args:
        keras, tf: the modules.
    """

    def __init__(self, keras: Any, tf: Any) -> None:
        self.keras, self.tf = keras, tf
        self.marks: list[Mark] = []

    def leave(self, form: str, tensors: Sequence[Any], outputs: Any, **facts: Any) -> Any:
        """An opaque node.

        Args:
            form: name of the form whose ``lower`` will replace it.
            tensors: what it reads: tensors, and weights as Keras variables.
            outputs: nested structure of objects with ``shape`` and ``dtype``, as ``layer.compute_output_spec`` gives.
            facts: for ``lower``.

        Returns:
            Tensors in the structure of ``outputs``.
        """
        index = len(self.marks)
        self.marks.append(Mark(form, facts))
        inputs = [self.tf.convert_to_tensor(tensor) for tensor in tensors]
        flat = self.keras.tree.flatten(outputs)
        results = self.tf.raw_ops.PyFuncStateless(input=inputs, token=MARK, Tout=[self.tf.as_dtype(y.dtype) for y in flat], name=f"{MARK}{index}")
        for result, y in zip(results, flat, strict=True):
            result.set_shape(y.shape)
        return self.keras.tree.pack_sequence_as(outputs, results)


@contextlib.contextmanager
def convertible_layers(keras: Any, tf: Any) -> Iterator[Tracing]:
    """While it is open, layers that have a form are traced by it, and so are functions of Keras's backend."""
    tracing = Tracing(keras, tf)
    with contextlib.ExitStack() as stack:
        for name, form in FORMS:
            layer = getattr(keras.layers, name)
            stack.enter_context(_replaced(layer, "call", _layer(tracing, form.call, layer.call)))
        for name, form in FUNCTIONS:
            path, _, function = name.rpartition(".")
            module = getattr(keras.src.backend, path)
            stack.enter_context(_replaced(module, function, _function(tracing, form.call, getattr(module, function))))
        yield tracing


@contextlib.contextmanager
def _replaced(owner: Any, name: str, thing: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, thing)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _layer(tracing: Tracing, call: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)  # Keras looks at the signature of call
    def replaced(self: Any, *args: Any, **kwargs: Any) -> Any:
        return call(tracing, self, functools.partial(original, self), *args, **kwargs)

    return replaced


def _function(tracing: Tracing, call: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def replaced(*args: Any, **kwargs: Any) -> Any:
        return call(tracing, original, *args, **kwargs)

    return replaced


def expand(model: ir.Model, marks: Sequence[Mark]) -> None:
    """Replace every mark of ``model``, those in subgraphs too, in place.

    Raises:
        ConversionError: the operator does not exist at the opset of the model.
    """
    for node in list(model.graph.all_nodes()):
        found = re.search(rf"{MARK}(\d+)", node.name or "") if node.op_type == "PyFuncStateless" else None
        if found:
            mark = marks[int(found[1])]
            lower = (FUNCTIONS if "." in mark.form else FORMS).get(mark.form).lower
            assert lower is not None, mark.form
            made = lower(Builder(model, node), list(node.inputs), mark.facts)
            if len(made) != len(node.outputs):
                raise ConversionError(f"{mark.form} gives {len(made)} outputs in place of {len(node.outputs)}")
            edit.replace_node(node, made)
