"""Which errors on an edge input are rounding in Keras as well, so that they prove nothing.

All ones make a spectrum cancel, and a logarithm behind it makes decibels of what rounding leaves: Keras itself gives other numbers
if the input changes by an epsilon. Random input is never excused.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from converter.errors import InputError
from converter.frontend.reference import KerasRunner
from converter.spec.quant import Array
from converter.verify import compare
from converter.verify.policy import EPSILON, SATURATED

MARGIN, TRIES = 4.0, 3
"""How much further than Keras itself an edge output may move: the largest change of a few tries is not the largest there is."""


class Conditioning:
    """Watches the outputs on random input, and excuses errors on other inputs.

    Args:
        runner: the Keras model.
    """

    def __init__(self, runner: KerasRunner) -> None:
        self._runner, self._peaks = runner, dict[str, float]()

    def watch(self, kind: str, expected: Mapping[str, Array]) -> None:
        """Note how large outputs are on random input."""
        for name, array in expected.items():
            if kind.startswith("random") and compare.is_number(array.dtype) and array.size:
                self._peaks[name] = max(self._peaks.get(name, 0.0), float(np.nanmax(np.abs(array), initial=0.0)))

    def remaining(
        self, failures: list[compare.Failure], kind: str, feeds: Mapping[str, Array], expected: Mapping[str, Array]
    ) -> list[compare.Failure]:
        """The failures that count.

        Excused are errors as large as rounding of an output of the size that this one has on random input, and those that are not beyond
        what Keras changes when every input does by an epsilon; but only on edge inputs, and never a value that is not finite.
        """
        if kind.startswith("random"):
            return failures
        left = [f for f in failures if not self._cancels(f, expected)]
        moves = self._moves(feeds, expected) if any(f.error is not None for f in left) else {}
        return [f for f in left if f.error is None or not f.error <= MARGIN * moves.get(f.output, 0.0)]

    def _cancels(self, failure: compare.Failure, expected: Mapping[str, Array]) -> bool:
        peak = self._peaks.get(failure.output)
        return failure.error is not None and peak is not None and failure.error <= SATURATED.rounding_floor(expected[failure.output].dtype.name, peak)

    def _moves(self, feeds: Mapping[str, Array], expected: Mapping[str, Array]) -> dict[str, float]:
        """Largest change of every output when the inputs change by an epsilon of random sign."""
        rng, moves = np.random.default_rng(0), dict[str, float]()
        for _ in range(TRIES):
            try:
                outputs = self._runner.run({name: _nudged(array, rng) for name, array in feeds.items()})
            except InputError:
                return {}
            for name, array in expected.items():
                if array.dtype.kind == "f" and outputs[name].shape == array.shape:
                    moves[name] = max(moves.get(name, 0.0), float(np.nanmax(np.abs(outputs[name] - array), initial=0.0)))
        return moves


def _nudged(array: Array, rng: np.random.Generator) -> Array:
    epsilon = EPSILON.get(array.dtype.name, 0.0)
    return (array * (1 + epsilon * rng.choice([-1, 1], array.shape))).astype(array.dtype) if array.dtype.kind == "f" else array
