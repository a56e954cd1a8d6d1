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

    def run(self, feeds: dict[str, Array]) -> dict[str, Array]:
        return {"y": (1e3 * (feeds["x"][:, :8].sum(1, keepdims=True) - feeds["x"][:, 8:].sum(1, keepdims=True))).astype(np.float32)}


FEEDS, Y = {"x": np.ones((1, 16), np.float32)}, {"y": np.zeros((1, 1), np.float32)}


@pytest.mark.parametrize(("error", "kind", "counts"), [
    (1e-4, "ones", False),          # Keras moves by some 1e-3 when the inputs do by an epsilon
    (1.0, "ones", True),
    (1e-4, "random, batch 1", True),
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
