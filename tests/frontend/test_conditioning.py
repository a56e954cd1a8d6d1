"""Only what Keras itself does not hold still is excused, and only on edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converter.frontend.conditioning import Conditioning
from converter.spec.quant import Array
from converter.verify import compare


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


@pytest.mark.parametrize(("scale", "error", "counts"), [(1e-6, 1e-4, False), (1e-6, 1.0, True), (1.0, 1e-4, True)])
def test_random_input_is_excused_only_where_keras_itself_is_chaotic(scale: float, error: float, counts: bool) -> None:
    """Keras moves by some 1e-3: much where the samples differ by 1e-2, nothing where they do by 1e4."""
    runner: Any = Runner()
    conditioning = Conditioning(runner)
    feeds = {"x": np.ones((2, 16), np.float32)}
    feeds["x"][1, :8] += np.float32(scale)
    expected = runner.run_with_logits(feeds)[0]
    failure = compare.Failure("y", "wrong", error, 0.0)
    assert bool(conditioning.remaining([failure], "random, batch 1", feeds, expected)) == counts
    assert (conditioning.chaotic.get("y", 0.0) > 0.01) == (not counts)


def test_a_wrong_graph_of_a_network_that_holds_still_is_not_excused() -> None:
    runner: Any = Runner()
    x = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    y = runner.run_with_logits({"x": x})[0]
    failures = compare.parity(y, {"y": y["y"] * np.float32(1.01)})
    assert Conditioning(runner).remaining(failures, "random, batch 3", {"x": x}, y) == failures
