"""Any mask is exact: gaps, padding on either side, nothing valid at all."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np

from converter.verify.session import Session
from tests.frontend.building import export, layers, operators, stir

L = layers


def masks() -> Any:
    """Every mask of four steps."""
    return np.array(list(itertools.product([False, True], repeat=4)))


def both(model: Any, feeds: dict[str, Any]) -> tuple[dict[str, int], float]:
    """Operators, and the largest difference to Keras on ``feeds``."""
    exported = export(model)
    got = Session(exported.graph).run(feeds)
    want = exported.runner.run(feeds)  # type: ignore[union-attr]
    return operators(exported), max(float(np.abs(got[name] - want[name]).max()) for name in want)


def test_every_mask_is_exact_in_every_setting() -> None:
    keras.utils.set_random_seed(2)
    x, mask = keras.Input((4, 2), name="x"), keras.Input((4,), dtype="bool", name="mask")
    outputs = {}
    for kind, (whole, back, zero) in zip((L.LSTM, L.GRU, L.SimpleRNN) * 3, itertools.product((False, True), repeat=3), strict=False):
        outputs[f"{whole}_{back}_{zero}"] = kind(3, return_sequences=whole, go_backwards=back, zero_output_for_mask=zero)(x, mask=mask)
    feeds = {"x": np.random.default_rng(0).normal(size=(16, 4, 2)).astype(np.float32), "mask": masks()}
    kinds, error = both(stir(keras.Model([x, mask], outputs)), feeds)
    assert error < 1e-6
    assert "Loop" not in kinds
    assert kinds["TopK"] == 2  # one order forward and one backwards, shared by all


def test_states_start_anywhere_and_stay_where_nothing_is_valid() -> None:
    keras.utils.set_random_seed(2)
    x, mask = keras.Input((None, 2), name="x"), keras.Input((None,), dtype="bool", name="mask")
    h, c = keras.Input((3,), name="h"), keras.Input((3,), name="c")
    outputs = []
    for whole, back in itertools.product((False, True), repeat=2):
        outputs += L.LSTM(3, return_state=True, return_sequences=whole, go_backwards=back)(x, mask=mask, initial_state=[h, c])
        outputs += L.GRU(3, return_state=True, return_sequences=whole, go_backwards=back)(x, mask=mask, initial_state=h)
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(16, 4, 2)), "mask": masks(), "h": rng.normal(size=(16, 3)), "c": rng.normal(size=(16, 3))}
    kinds, error = both(stir(keras.Model([x, mask, h, c], outputs)), {n: v if n == "mask" else v.astype(np.float32) for n, v in feeds.items()})
    assert error < 1e-6
    assert "Loop" not in kinds
