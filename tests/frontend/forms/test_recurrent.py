"""Recurrent layers arrive as ONNX's recurrent operators, in all their settings; what ONNX does not have stays a loop."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from converter.frontend.forms import recurrent
from tests.frontend.building import branches, chain, export, layers, operators, stir

L = layers


@pytest.fixture(autouse=True)
def seeded() -> None:
    keras.utils.set_random_seed(3)


def proved(model: Any, **options: Any) -> dict[str, int]:
    exported = export(model, **options)
    assert exported.report.numbers["parity"]["relative"] < 1e-5
    return operators(exported)


def settings() -> dict[str, Any]:
    cases: dict[str, Any] = {}
    for name, more in (("LSTM", {}), ("GRU", {}), ("GRU", {"reset_after": False}), ("SimpleRNN", {})):
        kind, tag = getattr(L, name), f"{name}{len(more)}"
        cases |= {f"{tag}_whole": kind(3, return_sequences=True, **more), f"{tag}_bare": kind(3, use_bias=False, go_backwards=True, **more)}
    cases |= {"backwards": L.GRU(3, return_sequences=True, go_backwards=True), "unrolled": L.LSTM(3, unroll=True),
              "dropout": L.SimpleRNN(3, dropout=0.5, recurrent_dropout=0.5), "split": L.LSTM(3, implementation=1)}
    return cases


def test_every_setting_is_one_operator() -> None:
    cases = settings()
    kinds = proved(branches((5, 2), cases))
    assert kinds["LSTM"] + kinds["GRU"] + kinds["RNN"] == len(cases)
    assert set(kinds) == {"LSTM", "GRU", "RNN", "Transpose", "Squeeze", "Slice"}


def test_layers_behind_each_other_have_no_transposes_between_them() -> None:
    kinds = proved(chain((None, 2), L.LSTM(3, return_sequences=True), L.GRU(3, return_sequences=True), L.SimpleRNN(3)))
    assert kinds == {"LSTM": 1, "GRU": 1, "RNN": 1, "Squeeze": 3, "Transpose": 1}


@pytest.mark.parametrize("opset", [13, 23])
def test_states_go_in_and_out_at_any_opset(opset: int) -> None:
    x, h, c = keras.Input((5, 2), name="x"), keras.Input((3,), name="h"), keras.Input((3,), name="c")
    outputs = [*L.LSTM(3, return_state=True)(x, initial_state=[h, c]), *L.GRU(3, return_sequences=True, return_state=True)(x, initial_state=c),
               *L.SimpleRNN(3, return_state=True, go_backwards=True)(x, initial_state=h)]
    kinds = proved(stir(keras.Model([x, h, c], outputs)), opset=opset)
    assert (kinds["LSTM"], kinds["GRU"], kinds["RNN"]) == (1, 1, 1)


def test_cells_and_stacks_of_cells() -> None:
    x, mask = keras.Input((5, 2), name="x"), keras.Input((5,), dtype="bool", name="mask")
    outputs = [L.RNN(cell)(x) for cell in (L.LSTMCell(3), L.GRUCell(3), L.SimpleRNNCell(3))]
    for whole, back, masked in ((False, False, False), (True, True, False), (True, True, True)):
        stack = L.RNN([L.LSTMCell(4), L.GRUCell(3), L.SimpleRNNCell(2)], return_sequences=whole, go_backwards=back, return_state=True)
        outputs.append(stack(x, mask=mask if masked else None))
    kinds = proved(stir(keras.Model([x, mask], outputs)))
    assert kinds["LSTM"] == kinds["GRU"] == kinds["RNN"] == 4
    assert "Loop" not in kinds


class Leaky(keras.layers.Layer):
    """A cell that ONNX does not have."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = self.state_size = units
        self.inner = L.Dense(units)

    def build(self, shape: Any) -> None:
        """The dense layer."""
        self.inner.build(shape)

    def call(self, inputs: Any, states: Any) -> Any:
        """A running mean."""
        state = 0.5 * states[0] + self.inner(inputs)
        return state, [state]


class OwnCell(L.LSTMCell):
    """A class of the user's may do anything."""

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """Half of what it was."""
        h, new = super().call(inputs, states, training=training)
        return h / 2, new


def test_what_onnx_does_not_have_stays_a_loop() -> None:
    kinds = proved(branches((5, 2), {"leaky": L.RNN(Leaky(3)), "own": L.RNN(OwnCell(3)),
                                     "gelu": L.LSTM(3, activation="gelu"), "one": L.RNN(L.StackedRNNCells([L.GRUCell(3)]))}))
    assert kinds["Loop"] == 4


def test_a_run_says_where_it_goes() -> None:
    cell = recurrent.cells.Cell("RNN", 3, ("tanh",), "none")
    assert recurrent.Run((cell,), False, 5, backwards=True).direction == "reverse"
    assert recurrent.Run((cell,), True, 5, backwards=True).direction == "forward"
    assert recurrent.Run((cell, cell), True, 5).direction == "bidirectional"
