"""Two layers of one kind are one operator; every way to merge, with states and masks."""

from __future__ import annotations

import itertools

import keras
import numpy as np

from converter.frontend.forms import bidirectional
from tests.frontend.building import branches, chain, export, layers, operators, stir
from tests.frontend.forms.test_masked import both, masks

L = layers
KINDS = (L.LSTM, L.GRU, L.SimpleRNN)


def test_every_way_to_merge_is_one_operator() -> None:
    keras.utils.set_random_seed(4)
    cases = {f"{mode}": L.Bidirectional(kind(3, return_sequences=True), merge_mode=mode)
             for mode, kind in zip(("concat", "sum", "ave", "mul", None), itertools.cycle(KINDS), strict=False)}
    cases["last"] = L.Bidirectional(L.GRU(3))
    exported = export(branches((5, 2), cases))
    assert exported.report.numbers["parity"]["relative"] < 1e-5
    kinds = operators(exported)
    assert kinds["LSTM"] + kinds["GRU"] + kinds["RNN"] == len(cases)
    assert not set(kinds) - {"LSTM", "GRU", "RNN", "Transpose", "Squeeze", "Split", "Reshape", "Add", "Mul", "Div"}


def test_masks_and_states_go_both_ways() -> None:
    keras.utils.set_random_seed(4)
    x, mask = keras.Input((4, 2), name="x"), keras.Input((4,), dtype="bool", name="mask")
    start = [keras.Input((3,), name=f"s{i}") for i in range(4)]
    outputs = [*L.Bidirectional(L.LSTM(3, return_state=True, return_sequences=True))(x, mask=mask, initial_state=start),
               *L.Bidirectional(L.GRU(3, return_state=True), merge_mode=None)(x, mask=mask, initial_state=start[:2]),
               L.Bidirectional(L.SimpleRNN(3), merge_mode="sum")(x, mask=mask)]
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(16, 4, 2)).astype(np.float32), **{s.name: rng.normal(size=(16, 3)).astype(np.float32) for s in start}}
    kinds, error = both(stir(keras.Model([x, mask, *start], outputs)), feeds | {"mask": masks()})
    assert error < 1e-6
    assert (kinds["LSTM"], kinds["GRU"], kinds["RNN"], kinds["TopK"]) == (1, 1, 1, 1)


def test_layers_behind_each_other_have_only_the_joining_of_directions_between_them() -> None:
    keras.utils.set_random_seed(4)
    both_ways = [L.Bidirectional(L.LSTM(3, return_sequences=True)), L.Bidirectional(L.LSTM(3))]
    assert operators(export(chain((None, 2), *both_ways))) == {"LSTM": 2, "Reshape": 2, "Transpose": 3}


def test_layers_of_two_kinds_are_two_operators() -> None:
    keras.utils.set_random_seed(4)
    cases = {f"{whole}": L.Bidirectional(L.LSTM(3, return_sequences=whole), backward_layer=L.GRU(2, go_backwards=True, return_sequences=whole))
             for whole in (False, True)}
    exported = export(branches((5, 2), cases))
    assert bidirectional._common(keras, cases["True"]) is None
    assert exported.report.numbers["parity"]["relative"] < 1e-5
    kinds = operators(exported)
    assert (kinds["LSTM"], kinds["GRU"]) == (2, 2)
