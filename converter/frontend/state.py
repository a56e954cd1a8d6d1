"""State that a model keeps between calls: recurrent layers with stateful=True.

A graph keeps nothing, so what the layer would keep goes in and comes out: input ``<layer>_state_h``, of zeros for the first call, and output
``<layer>_new_state_h``, which the next call takes. An LSTM has ``_c`` as well, and a stack of cells numbers. The batch is that of the layer, fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from converter.errors import ConversionError
from converter.frontend.keras_source import import_keras


@dataclass(frozen=True)
class Kept:
    """A tensor that is kept between calls.

    Args:
        variable: the Keras variable that keeps it, float ``(batch, units)``.
        given: name of the input.
        left: name of the output.
    """

    variable: Any
    given: str
    left: str


def kept_by(model: Any) -> list[Kept]:
    """Everything that a built model keeps between calls, in the order in which Keras walks its layers.

    Raises:
        ConversionError: a layer says that it is stateful and is not a recurrent layer of Keras's.
    """
    keras = import_keras()
    found, refused = list[Kept](), list[str]()
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False):
            if isinstance(layer, keras.layers.RNN):
                found += _of(keras, layer)
            elif not isinstance(layer, keras.layers.Bidirectional):
                refused.append(layer.path or layer.name)
    if refused:
        raise ConversionError(f"Keras model {model.name!r} keeps state between calls, which a graph cannot, in {', '.join(refused[:5])} "
                              "(stateful=True on a layer that is no recurrent layer of Keras). Make the state an input and an output of the model")
    return found


def _of(keras: Any, layer: Any) -> list[Kept]:
    variables = keras.tree.flatten(layer.states) if layer.states is not None else []
    path = layer.path or layer.name
    return [Kept(variable, f"{path}_state_{tag}", f"{path}_new_state_{tag}") for variable, tag in zip(variables, _tags(keras, layer), strict=True)]


def _tags(keras: Any, layer: Any) -> Sequence[str]:
    count = len(keras.tree.flatten(layer.states)) if layer.states is not None else 0
    return ("h", "c")[:count] if count < 3 and not isinstance(layer.cell, keras.layers.StackedRNNCells) else [str(i) for i in range(count)]
