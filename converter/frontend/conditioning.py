"""Which errors on edge inputs are rounding in Keras as well, so that they prove nothing.

All ones make a spectrum cancel, and a logarithm behind it makes decibels of what rounding leaves: Keras itself gives other numbers
if the input changes by an epsilon. On random input nothing is excused. An untrained network that is deep and not held in range by its
normalizations may turn an epsilon into a share of its output there too; then nothing can be proved, and the error says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converter.errors import InputError
from converter.frontend.reference import KerasRunner
from converter.spec.quant import Array
from converter.verify import compare
from converter.verify.policy import DEFAULT, EPSILON, SATURATED

TRIES = 3  # changes of the inputs by an epsilon, of which the largest move counts


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

        Excused on an edge input are errors as large as rounding of an output of the size that this one has on random input, and those that are
        not beyond what Keras changes when every input does by an epsilon; never a value that is not finite.
        """
        if kind.startswith("random"):
            return failures
        left = [f for f in failures if not self._cancels(f, expected)]
        moves = self._moves(feeds, expected) if any(f.error is not None for f in left) else {}
        return [f for f in left if f.error is None or not f.error <= DEFAULT.moved * moves.get(f.output, 0.0)]

    def unsteady(self, failures: Sequence[compare.Failure], feeds: Mapping[str, Array], expected: Mapping[str, Array]) -> str:
        """What to say where Keras itself moves as far as ``failures`` are: nothing where it does not."""
        moves = self._moves(feeds, expected)
        shares = [moves[f.output] / max(float(np.ptp(expected[f.output])), 1e-300)
                  for f in failures if f.error is not None and f.error <= DEFAULT.moved * moves.get(f.output, 0.0)]
        if not shares:
            return ""
        return (f"Keras itself changes by {round(100 * max(shares), 2):g} % of the output's range when the inputs change by one epsilon, so "
                "nothing can be proved with these weights: train the network, or load the weights that are to be shipped")

    def _cancels(self, failure: compare.Failure, expected: Mapping[str, Array]) -> bool:
        peak = self._peaks.get(failure.output)
        return failure.error is not None and peak is not None and failure.error <= SATURATED.rounding_floor(expected[failure.output].dtype.name, peak)

    def _moves(self, feeds: Mapping[str, Array], expected: Mapping[str, Array]) -> dict[str, float]:
        """Largest change of every output when the inputs change by an epsilon of random sign."""
        rng, moves = np.random.default_rng(0), dict[str, float]()
        for _ in range(TRIES):
            try:
                outputs, logits = self._runner.run_with_logits({name: _nudged(array, rng) for name, array in feeds.items()})
            except InputError:
                return {}
            outputs |= {before(name): y for name, y in logits.items()}
            for name, array in expected.items():
                if array.dtype.kind == "f" and name in outputs and outputs[name].shape == array.shape:
                    moves[name] = max(moves.get(name, 0.0), float(np.nanmax(np.abs(outputs[name] - array), initial=0.0)))
        return moves


def before(output: str) -> str:
    """What messages call the value that goes into the activation of an output."""
    return f"{output} before its activation"


def _nudged(array: Array, rng: np.random.Generator) -> Array:
    epsilon = EPSILON.get(array.dtype.name, 0.0)
    steps = epsilon * np.maximum(np.abs(array), 1.0) * rng.choice([-1, 1], array.shape)  # a layer that shifts its input rounds zeros as well
    return (array + steps).astype(array.dtype) if array.dtype.kind == "f" else array
