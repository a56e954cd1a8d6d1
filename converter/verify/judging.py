"""Stream data through a reference and several candidates at once, and say how close they are and how well they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from converter.data import Batch, Source
from converter.errors import InputError
from converter.spec.quant import Array
from converter.verify.accuracy import Accuracy, PairedAccuracy
from converter.verify.compare import Fidelity, FidelityResult
from converter.verify.metrics import METRICS
from converter.verify.runner import Runner, batch_of

BATCH = 32


@dataclass(frozen=True)
class Judged:
    """What one candidate did on the data.

    Args:
        fidelity: by output name, against the reference.
        accuracy: of the first output against the reference's, where a metric was asked for.
    """

    fidelity: dict[str, FidelityResult]
    accuracy: Accuracy | None

    @property
    def first(self) -> FidelityResult:
        """The first output's."""
        return next(iter(self.fidelity.values()))

    def to_json(self) -> dict[str, Any]:
        """Plain values of the first output, and of all where there are several."""
        out = asdict(self.first)
        return {**out, "outputs": {n: asdict(f) for n, f in self.fidelity.items()}} if len(self.fidelity) > 1 else out


def judge(
    reference: Runner, candidates: Mapping[str, Runner], source: Source, *, metric: str | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> dict[str, Judged]:
    """Compare every candidate with the reference on all of ``source``, batch by batch; nothing is held.

    Outputs are matched by name, or by position where all names differ.

    Raises:
        InputError: the data has no labels but a metric was asked for, or outputs do not fit.
        UsageError: unknown metric.
    """
    fidelity: dict[str, dict[str, Fidelity]] = {name: {} for name in candidates}
    paired = {name: PairedAccuracy(METRICS.get(metric)) for name in candidates} if metric else {}
    count = 0
    infos = [i for runner in (reference, *candidates.values()) for i in runner.inputs]
    for batch in source.batches(batch_of(infos, BATCH)):
        expected = reference.run(_fit(batch.inputs, reference))
        for name, candidate in candidates.items():
            got = _aligned(expected, candidate.run(_fit(batch.inputs, candidate)))
            for output, value in expected.items():
                fidelity[name].setdefault(output, Fidelity()).update(value, got[output])
            if metric:
                _score(paired[name], expected, got, batch, source)
        count += len(batch)
        progress(len(batch))
    if not count:
        raise InputError(f"{source.name} holds no sample")
    return {n: Judged({o: f.result() for o, f in fs.items()}, paired[n].result() if metric else None) for n, fs in fidelity.items()}


def _score(paired: PairedAccuracy, expected: dict[str, Array], got: dict[str, Array], batch: Batch, source: Source) -> None:
    if batch.labels is None:
        raise InputError(f"{source.name} has no labels `y`, so no metric can be computed")
    first = next(iter(expected))
    paired.update(expected[first], got[first], batch.labels)


def _fit(inputs: Mapping[str, Array], runner: Runner) -> dict[str, Array]:
    """``inputs`` under the names that ``runner`` takes: by name, or by position where no name fits."""
    names = [i.name for i in runner.inputs]
    if all(name in inputs for name in names):
        return {name: inputs[name] for name in names}
    if len(names) == len(inputs):
        return dict(zip(names, inputs.values(), strict=True))
    raise InputError(f"the models take different inputs: {names} and {list(inputs)}")


def _aligned(expected: Mapping[str, Array], got: Mapping[str, Array]) -> dict[str, Array]:
    if all(name in got for name in expected):
        return dict(got)
    if len(expected) == len(got):
        return dict(zip(expected, got.values(), strict=True))
    raise InputError(f"the models have different outputs: {list(expected)} and {list(got)}")
