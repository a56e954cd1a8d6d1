"""ConvLSTM has one convolution in its loop and one in front of it."""

from __future__ import annotations

from typing import Any

import keras

from converter.frontend.forms import conv_lstm
from tests.frontend.building import branches, export, layers, stir

L = layers


def proved(model: Any) -> dict[str, int]:
    """How many convolutions are in the main graph, and in all."""
    exported = export(model)
    assert exported.report.numbers["parity"]["relative"] < 1e-5
    graph = exported.graph.graph
    every = [node.op_type for node in graph.all_nodes()]
    return {"outside": [n.op_type for n in graph].count("Conv"), "all": every.count("Conv"), "loops": every.count("Loop")}


def test_every_setting_has_one_convolution_in_its_loop() -> None:
    keras.utils.set_random_seed(7)
    cases = {"plain": L.ConvLSTM2D(2, 3), "whole": L.ConvLSTM2D(3, 3, strides=2, padding="same", return_sequences=True, go_backwards=True),
             "bare": L.ConvLSTM2D(2, 2, use_bias=False, dilation_rate=2, activation="relu", recurrent_activation="hard_sigmoid", unroll=False)}
    assert proved(branches((3, 6, 5, 2), cases)) == {"outside": 3, "all": 6, "loops": 3}


def test_masks_states_and_free_lengths() -> None:
    keras.utils.set_random_seed(7)
    x, mask = keras.Input((None, 5, 2), name="x"), keras.Input((None,), dtype="bool", name="mask")
    outputs = L.ConvLSTM1D(2, 3, return_state=True, return_sequences=True, zero_output_for_mask=True)(x, mask=mask)
    assert proved(stir(keras.Model([x, mask], outputs))) == {"outside": 2, "all": 3, "loops": 1}  # Keras runs the first step once more, for its shape


def test_every_rank_has_the_form() -> None:
    assert {conv_lstm.FORMS.get(name).call for name in conv_lstm.LAYERS} == {conv_lstm._call}
