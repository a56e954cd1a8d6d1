"""Bidirectional over two layers of one kind is one operator that goes both ways (ONNX LSTM, GRU, RNN with direction bidirectional).

ONNX gives what the way back made in the order of the input, which is what Keras turns it to. Under a mask, Keras gives zeros at masked steps
of both ways, so that one order of the valid steps serves both. Layers of two kinds are two operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converter.frontend.forms import FORMS, Form, cells
from converter.frontend.forms.recurrent import Run, run, single_cell, step_mask
from converter.frontend.marks import Tracing


def _call(
    tracing: Tracing, layer: Any, original: Callable[..., Any], sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = None,
) -> Any:
    keras = tracing.keras
    what, (steps, plain) = _common(keras, layer), step_mask(tracing, mask)
    if what is None or not plain or sequences.dtype.name != "float32":
        return original(sequences, initial_state=initial_state, mask=mask, training=training)
    initial = keras.tree.flatten(initial_state) if initial_state is not None else []
    how = Run((what, what), layer.return_sequences, sequences.shape[1], masked=steps is not None, zero=layer.return_sequences,
              initial=bool(initial), concat=layer.merge_mode == "concat")
    outputs, states = run(tracing, sequences, steps, [layer.forward_layer.cell, layer.backward_layer.cell], initial, how)
    output = _merged(layer.merge_mode, outputs)
    if not layer.return_state:
        return output
    return (*output, *states) if layer.merge_mode is None else (output, *states)


def _common(keras: Any, layer: Any) -> cells.Cell | None:
    """What both layers run, where that is the same and one goes forward, the other back; else None."""
    ahead, back = layer.forward_layer, layer.backward_layer
    found = [cells.describe(keras, single_cell(keras, one)) for one in (ahead, back)]
    if found[0] != found[1] or ahead.go_backwards or not back.go_backwards or layer.stateful:
        return None
    plain = all(one.compute_dtype == "float32" for one in (layer, ahead, back))
    zeros = all(bool(one.zero_output_for_mask) == layer.return_sequences for one in (ahead, back))  # as Keras sets it
    return found[0] if plain and zeros else None


def _merged(mode: str | None, outputs: list[Any]) -> Any:
    if mode == "concat":
        return outputs[0]
    ahead, back = outputs
    if mode is None:
        return ahead, back
    return {"sum": lambda: ahead + back, "ave": lambda: (ahead + back) / 2, "mul": lambda: ahead * back}[mode]()


FORMS.add("Bidirectional", Form(_call))
