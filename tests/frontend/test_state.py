"""What a model keeps between calls goes into its graph and comes out."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from converter.errors import ConversionError
from converter.frontend import state
from converter.verify.session import Session
from tests.frontend.building import export, layers, operators, stir

L = layers


def model() -> Any:
    keras.utils.set_random_seed(6)
    x = keras.Input((4, 2), batch_size=2, name="x")
    y = L.LSTM(3, stateful=True, return_sequences=True, name="memory")(x)
    y = L.Bidirectional(L.GRU(2, stateful=True, return_sequences=True, name="gru"), name="both")(y)
    return stir(keras.Model(x, L.RNN([L.GRUCell(3), L.LSTMCell(2)], stateful=True, name="stack")(y)))


def test_calls_one_after_the_other_are_what_keras_gives() -> None:
    source = model()
    exported = export(source)
    assert exported.report.numbers["parity"]["relative"] < 1e-5
    assert "Loop" not in operators(exported)
    session = Session(exported.graph)
    kept = state.kept_by(source)
    assert [k.given for k in kept] == ["memory_state_h", "memory_state_c", "both/backward_gru_state_h", "both/forward_gru_state_h",
                                       "stack_state_0", "stack_state_1", "stack_state_2"]
    assert [i.name for i in session.inputs] == ["x", *(k.given for k in kept)]
    assert [o.name for o in session.outputs] == ["stack", *(k.left for k in kept)]
    states = {i.name: np.zeros(i.shape, np.float32) for i in session.inputs[1:]}
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=(2, 4, 2)).astype(np.float32)
        got = session.run({"x": x, **states})
        np.testing.assert_allclose(got["stack"], source(x), atol=1e-6)
        states = {k.given: got[k.left] for k in kept}
    assert "memory_state_h -> memory_new_state_h" in exported.report.done[-2]


def test_an_export_leaves_the_state_of_the_model_as_it_is() -> None:
    source = model()
    source(np.ones((2, 4, 2), np.float32))
    before = [np.array(k.variable) for k in state.kept_by(source)]
    assert all(array.any() for array in before)
    export(source)
    for k, array in zip(state.kept_by(source), before, strict=True):
        np.testing.assert_array_equal(np.array(k.variable), array)


class Counter(keras.layers.Layer):
    """Says that it keeps something."""

    stateful = True

    def call(self, inputs: Any) -> Any:
        """Nothing."""
        return inputs


def test_other_layers_that_keep_state_are_refused() -> None:
    start = keras.Input((3,), name="x")
    with pytest.raises(ConversionError, match=r"keeps state between calls.* in counter .*Make the state an input"):
        export(keras.Model(start, Counter(name="counter")(start)))
