"""What a cell is called in ONNX, and that its weights arrive as nothing but initializers."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from converter.frontend.forms import cells
from converter.graph import ledger
from tests.frontend.building import branches, export, layers, operators

L = layers


def test_every_activation_computes_what_keras_computes() -> None:
    """In both places: a wrong number of alphas would move those of the functions behind it."""
    names = list(cells.ACTIVATIONS)
    steps = {f"{gate}_{inner}": L.LSTM(3, activation=inner, recurrent_activation=gate, unroll=True)
             for gate, inner in zip(names, [*names[1:], names[0]], strict=True)}
    steps["gru"] = L.GRU(3, activation="elu", recurrent_activation="hard_sigmoid", unroll=True)
    steps["rnn"] = L.SimpleRNN(3, activation="leaky_relu", unroll=True)
    keras.utils.set_random_seed(1)
    exported = export(branches((3, 2), steps))
    assert exported.report.numbers["parity"]["relative"] < 1e-5
    assert set(operators(exported)) == {"RNN", "LSTM", "GRU", "Squeeze", "Transpose"}


@pytest.mark.parametrize(("cell", "expected"), [
    (L.LSTMCell(3), cells.Cell("LSTM", 3, ("sigmoid", "tanh", "tanh"), "input")),
    (L.GRUCell(3, use_bias=False), cells.Cell("GRU", 3, ("sigmoid", "tanh"), "none", True)),
    (L.GRUCell(3, reset_after=False), cells.Cell("GRU", 3, ("sigmoid", "tanh"), "input")),
    (L.GRUCell(3), cells.Cell("GRU", 3, ("sigmoid", "tanh"), "both", True)),
    (L.SimpleRNNCell(3, activation=None), cells.Cell("RNN", 3, ("linear",), "input")),
    (L.SimpleRNNCell(3, activation=keras.ops.relu), cells.Cell("RNN", 3, ("relu",), "input")),
    (L.LSTMCell(3, activation="gelu"), None), (L.LSTMCell(3, dtype="float16"), None), (L.LSTMCell(3, dtype="mixed_float16"), None),
    (L.StackedRNNCells([L.LSTMCell(3)]), None)])
def test_a_cell_is_described_or_left_alone(cell: Any, expected: cells.Cell | None) -> None:
    assert cells.describe(keras, cell) == expected


def test_weights_keep_their_names_and_can_be_computed_again() -> None:
    keras.utils.set_random_seed(1)
    model = branches((5, 2), {"lstm": L.LSTM(3, name="memory"), "gru": L.GRU(3, name="gated", reset_after=False)})
    exported = export(model)
    names = [v for v in exported.graph.graph.initializers if not v.endswith(("axes", "constant_1"))]
    assert sorted(names) == sorted(f"{layer}/{cell}/{weight}" for layer, cell in (("memory", "lstm_cell"), ("gated", "gru_cell"))
                                   for weight in ("kernel", "recurrent_kernel", "bias"))
    values = {v.path: v.numpy() + 1 for v in model.variables}
    book = ledger.of(exported.graph)
    assert book.replay("memory/lstm_cell/kernel", values)[0, 3:6].tolist() == values["memory/lstm_cell/kernel"][:, 9:].T.tolist()
    assert book.replay("gated/gru_cell/bias", values)[0].tolist() == [*values["gated/gru_cell/bias"].tolist(), *[0.0] * 9]
