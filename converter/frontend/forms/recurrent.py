"""LSTM, GRU, SimpleRNN and RNN layers are one operator a cell (ONNX LSTM, GRU, RNN, version 14), in place of a loop.

All of them go through ``RNN.call``, which is what is replaced. A stack of cells is one operator behind the other: a masked step leaves every
state of the stack as it is, so each may be run over the whole sequence on its own. Cells and activations that ONNX's operators
do not have stay the loop that Keras makes.

The operators take time first, so transposes stand around them; those between two layers cancel. A sequence that goes backwards and
is wanted whole is turned around first, since Keras gives the steps in the order in which they are run; else the operator runs in reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.frontend.forms import FORMS, Form, cells
from converter.frontend.forms.cells import Cell
from converter.frontend.forms.masked import Valid
from converter.frontend.marks import Tracing
from converter.graph.build import Builder


@dataclass(frozen=True)
class Run:
    """One recurrent operator.

    Args:
        cells: one a direction; those of two directions are alike.
        sequences: whether the outputs of all steps are wanted, not only the last.
        length: of the time axis, None where it is free.
        backwards: the only direction is from the last step to the first, and so is the order of the outputs.
        masked: there is a mask.
        zero: masked steps give zeros.
        initial: there are initial states.
        concat: outputs of two directions are one tensor, side by side.
    """

    cells: tuple[Cell, ...]
    sequences: bool
    length: int | None
    backwards: bool = False
    masked: bool = False
    zero: bool = False
    initial: bool = False
    concat: bool = False

    @property
    def turned(self) -> bool:
        """Whether the sequence is turned around first, so that the operator may go forward."""
        return self.backwards and (self.sequences or self.masked)

    @property
    def direction(self) -> str:
        """The attribute of the operator."""
        return "bidirectional" if len(self.cells) == 2 else "reverse" if self.backwards and not self.turned else "forward"


def step_mask(tracing: Tracing, mask: Any) -> tuple[Any, bool]:
    """The mask as bool ``(batch, time)``, and whether it could be had: one that differs between features could not."""
    mask = next(iter(tracing.keras.tree.flatten(mask)), None) if mask is not None else None
    if mask is None:
        return None, True
    mask = tracing.tf.cast(mask, "bool")
    if len(mask.shape) == 3 and mask.shape[2] == 1:
        mask = tracing.tf.squeeze(mask, 2)
    return mask, len(mask.shape) == 2


def run(tracing: Tracing, sequence: Any, mask: Any, own: Sequence[Any], states: Sequence[Any], how: Run) -> tuple[list[Any], list[Any]]:
    """Leave the mark of one operator.

    Args:
        tracing: of the model.
        sequence: float32 ``(batch, time, features)``.
        mask: as :func:`step_mask` gives it.
        own: the Keras cells, one a direction.
        states: initial states of each direction; empty for zeros.
        how: what to run.

    Returns:
        The outputs, one or, of two directions that are not side by side, two; and the final states of each direction.
    """
    tf, width, batch = tracing.tf, how.cells[0].units, sequence.shape[0]
    wide = width * len(how.cells) if how.concat else width
    shape = (batch, how.length, wide) if how.sequences else (batch, wide)
    outputs = [tf.TensorSpec(shape, "float32") for _ in range(1 if how.concat else len(how.cells))]
    finals = [tf.TensorSpec((batch, width), "float32") for cell in how.cells for _ in range(cell.states)]
    weights = [variable for cell in own for variable in cells.variables(cell)]
    given = [sequence, *([mask] if how.masked else []), *weights, *(tf.cast(state, "float32") for state in states)]
    made = tracing.leave("RNN", given, [*outputs, *finals], run=how)
    return list(made[:len(outputs)]), list(made[len(outputs):])


def _call(
    tracing: Tracing, layer: Any, original: Callable[..., Any], sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False,
) -> Any:
    keras = tracing.keras
    stack = _stack(keras, layer)
    known = [cells.describe(keras, cell) for cell in stack]
    steps, plain = step_mask(tracing, mask)
    if not stack or None in known or not plain or sequences.dtype.name != "float32" or layer.compute_dtype != "float32":
        return original(sequences, initial_state=initial_state, mask=mask, training=training)
    given = initial_state if initial_state is not None else layer.states if layer.stateful else None
    initial, states, value = keras.tree.flatten(given) if given is not None else [], list[Any](), sequences
    for place, (cell, what) in enumerate(zip(stack, known, strict=True)):
        assert what is not None
        first, final = place == 0, place == len(stack) - 1
        how = Run((what,), layer.return_sequences or not final, sequences.shape[1], layer.go_backwards and first, steps is not None,
                  layer.zero_output_for_mask, bool(initial))
        (value,), finals = run(tracing, value, steps, [cell], initial[len(states):len(states) + what.states], how)
        if first and how.turned and steps is not None:
            steps = tracing.tf.reverse(steps, [1])
        states += finals
    if layer.stateful:
        for variable, state in zip(keras.tree.flatten(layer.states), states, strict=True):
            variable.assign(state)
    return (value, *_structured(layer, states)) if layer.return_state else value


def _stack(keras: Any, layer: Any) -> list[Any]:
    """The cells of a layer that runs them as Keras does, one behind the other; none where it has a loop of its own."""
    kinds = (keras.layers.RNN, keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)
    if getattr(type(layer), "inner_loop", None) not in [kind.inner_loop for kind in kinds]:
        return []
    stacked = type(layer.cell) is keras.layers.StackedRNNCells
    return list(layer.cell.cells) if stacked and len(layer.cell.cells) > 1 else [] if stacked else [layer.cell]


def single_cell(keras: Any, layer: Any) -> Any:
    """The cell of a recurrent layer of Keras's; None for a stack, and for a layer that is run another way than Keras runs it."""
    own, known = _stack(keras, layer), (keras.layers.RNN, keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)
    return own[0] if len(own) == 1 and type(layer) in known else None


def _structured(layer: Any, states: Sequence[Any]) -> list[Any]:
    """Final states as Keras nests them: flat, or a list for every cell of a stack."""
    own = getattr(layer.cell, "cells", None)
    if own is None:
        return list(states)
    ends = np.cumsum([len(cell.state_size) if isinstance(cell.state_size, list | tuple) else 1 for cell in own])
    return [list(part) for part in (states[start:end] for start, end in zip([0, *ends], ends, strict=False))]


def _lower(build: Builder, inputs: Sequence[ir.Value], facts: Mapping[str, Any]) -> Sequence[ir.Value]:
    how: Run = facts["run"]
    sequence, rest = inputs[0], list(inputs[1:])
    mask = rest.pop(0) if how.masked else None
    count = len(how.cells) * how.cells[0].weights
    weights, states = rest[:count], rest[count:]
    if how.turned:
        sequence, mask = _turned(build, sequence), _turned(build, mask) if mask is not None else None
    valid = Valid(build, mask, how.length) if mask is not None else None
    outputs, finals = _operator(build, how, valid.first(sequence) if valid else sequence, valid, weights, states)
    if valid:
        outputs = [valid.back(y, how.zero) if how.sequences else valid.last(y, how.zero, how.initial) for y in outputs]
        finals = [valid.state(y, initial) for y, initial in zip(finals, states, strict=True)] if states else finals
    return [*outputs, *finals]


def _turned(build: Builder, value: ir.Value) -> ir.Value:
    """The steps from the last to the first."""
    return build("Slice", value, np.array([-1]), np.array([np.iinfo(np.int64).min]), np.array([1]), np.array([-1]))


def _operator(
    build: Builder, how: Run, sequence: ir.Value, valid: Valid | None, weights: Sequence[ir.Value], states: Sequence[ir.Value],
) -> tuple[list[ir.Value], list[ir.Value]]:
    """Outputs and final states of the operator on a sequence whose valid steps are in front, batch first."""
    cell, count = how.cells[0], len(how.cells)
    initial = [_initial(build, states[kind::cell.states]) for kind in range(cell.states)] if states else []
    given = [build("Transpose", sequence, perm=[1, 0, 2]), *cells.pack(build, how.cells, weights), valid.lengths if valid else None, *initial]
    while given[-1] is None:
        given.pop()
    every, *final = build.several(cell.op_type, *given, count=1 + cell.states, **cells.attributes(how.cells, how.direction))
    parts = [_directions(build, value, 0, count) for value in final]
    finals = [part[direction] for direction in range(count) for part in parts]
    if how.sequences:
        whole = [_side_by_side(build, every)] if how.concat else _directions(build, every, 1, count)
        return [build("Transpose", value, perm=[1, 0, 2]) for value in whole], finals
    every.name = ""  # an output that is left out
    return [_joined(build, final[0])] if how.concat else parts[0], finals


def _initial(build: Builder, states: Sequence[ir.Value]) -> ir.Value:
    """``(batch, units)`` of every direction to ``(directions, batch, units)``."""
    stacked = [build("Unsqueeze", state, np.array([0])) for state in states]
    return stacked[0] if len(stacked) == 1 else build("Concat", *stacked, axis=0)


def _directions(build: Builder, value: ir.Value, axis: int, count: int) -> list[ir.Value]:
    """What each direction gave, without the axis of directions."""
    parts = [value] if count == 1 else build.several("Split", value, np.array([1, 1]), count=2, axis=axis)
    return [build("Squeeze", part, np.array([axis])) for part in parts]


def _joined(build: Builder, value: ir.Value) -> ir.Value:
    """``(2, batch, units)`` to ``(batch, 2 * units)``."""
    return build("Reshape", build("Transpose", value, perm=[1, 0, 2]), np.array([0, -1]))


def _side_by_side(build: Builder, value: ir.Value) -> ir.Value:
    """``(time, 2, batch, units)`` to ``(time, batch, 2 * units)``."""
    return build("Reshape", build("Transpose", value, perm=[0, 2, 1, 3]), np.array([0, 0, -1]))


FORMS.add("RNN", Form(_call, _lower))
