"""Only what Keras itself does not hold still is excused, and only on edges; elsewhere it is told."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from converter.errors import ParityError
from converter.frontend.conditioning import Conditioning
from converter.spec.quant import Array
from converter.verify import compare
from tests.coverage.ops import Call
from tests.frontend.building import export


class Runner:
    """1e3 times the difference of the two halves of the input."""

    def run_with_logits(self, feeds: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        y = (1e3 * (feeds["x"][:, :8].sum(1, keepdims=True) - feeds["x"][:, 8:].sum(1, keepdims=True))).astype(np.float32)
        return {"y": y}, {}


FEEDS, Y = {"x": np.ones((1, 16), np.float32)}, {"y": np.zeros((1, 1), np.float32)}


@pytest.mark.parametrize(("error", "kind", "counts"), [
    (1e-4, "ones", False),          # Keras moves by some 1e-3 when the inputs do by an epsilon
    (1.0, "ones", True),
    (None, "ones", True),           # not a matter of size: a shape, a value that is not finite
])
def test_an_error_counts_where_keras_holds_still(error: float | None, kind: str, counts: bool) -> None:
    runner: Any = Runner()
    failure = compare.Failure("y", "wrong", error, 0.0)
    assert Conditioning(runner).remaining([failure], kind, FEEDS, Y) == ([failure] if counts else [])


@pytest.mark.parametrize(("error", "counts"), [(4e-6, False), (1e-2, True)])
def test_rounding_of_a_large_output_is_excused_where_it_cancels(error: float, counts: bool) -> None:
    runner: Any = Runner()
    still = {"x": np.zeros((1, 16), np.float32)}
    conditioning = Conditioning(runner)
    conditioning.watch("random, batch 1", {"y": np.full((1, 1), 10.0, np.float32)})
    conditioning.watch("wide, batch 1", {"y": np.full((1, 1), 1e6, np.float32)})
    assert bool(conditioning.remaining([compare.Failure("y", "wrong", error, 0.0)], "zeros", still, Y)) == counts


@pytest.mark.parametrize(("scale", "error", "told"), [(1e-6, 1e-4, True), (1e-6, 1.0, False), (1.0, 1.0, False)])
def test_random_input_is_never_excused_but_told_where_keras_moves_as_far(scale: float, error: float, told: bool) -> None:
    """Keras moves by some 1e-3: that explains an error of 1e-4, and none of 1."""
    runner: Any = Runner()
    conditioning = Conditioning(runner)
    feeds = {"x": np.ones((2, 16), np.float32)}
    feeds["x"][1, :8] += np.float32(scale)
    expected = runner.run_with_logits(feeds)[0]
    failures = [compare.Failure("y", "wrong", error, 0.0)]
    assert conditioning.remaining(failures, "random, batch 1", feeds, expected) == failures
    assert ("one epsilon" in conditioning.unsteady(failures, feeds, expected)) == told


def test_a_network_that_keras_cannot_hold_still_is_refused_with_that_reason() -> None:
    keras.utils.set_random_seed(0)
    x = y = keras.Input((16,), name="x")
    for _ in range(8):
        y = Call(lambda y: keras.ops.sin(50 * y))(keras.layers.Dense(64)(y))  # each makes fifty times more of the rounding before it
    with pytest.raises(ParityError, match=r"Keras itself changes by .* when the inputs change by one epsilon.*train the network"):
        export(keras.Model(x, y))
