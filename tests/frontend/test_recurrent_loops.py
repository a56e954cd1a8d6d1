"""Loops that look like an LSTM or a GRU stay loops."""

from __future__ import annotations

from typing import Any

import keras

from converter.frontend import recurrent_loops
from tests.frontend.building import branches, export, layers, operators


class OwnCell(layers.LSTMCell):
    """An LSTM cell to tf2onnx, a class that may do anything to us."""


def test_cells_that_look_like_an_lstm_and_precisions_that_it_does_not_have_stay_loops() -> None:
    keras.utils.set_random_seed(8)
    exported = export(branches((4, 2), {"own": layers.RNN(OwnCell(3)), "double": layers.LSTM(3, dtype="float64")}))
    assert operators(exported)["Loop"] == 2
    assert exported.report.numbers["parity"]["relative"] < 1e-5


def test_the_rewriters_are_back_afterwards() -> None:
    from tf2onnx import tfonnx

    before: dict[str, Any] = {name: getattr(tfonnx, name) for name in recurrent_loops.REWRITERS}
    with recurrent_loops.left_alone(tfonnx):
        assert all(getattr(tfonnx, name) is not rewriter for name, rewriter in before.items())
        assert tfonnx.rewrite_gru_tf2(None, [1]) == [1]
    assert {name: getattr(tfonnx, name) for name in recurrent_loops.REWRITERS} == before
