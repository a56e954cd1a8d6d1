"""Everything that is measured of a candidate against a reference on the runtime, as numbers for a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from converter.data import Batch, Source, limit
from converter.graph import io
from converter.verify import compare
from converter.verify.accuracy import Accuracy
from converter.verify.judging import Judged, judge
from converter.verify.latency import Latency, race
from converter.verify.policy import DEFAULT
from converter.verify.runner import Runner, batch_of
from converter.verify.session import Session

THREADS = 1  # what is compared is arithmetic, not how a machine shares its cores

UNFUSED_SAMPLES = 256  # node by node a graph is several times slower, and what it is looked at for shows in a few samples

Model = ir.Model | str | Path


@dataclass(frozen=True)
class Evidence:
    """Numbers on a candidate.

    Args:
        fused: against the reference, run as it ships.
        unfused: the same graph with every node run by itself, on the first samples.
        gap_db: SNR of the unfused graph minus that of the fused one.
        problems: faults that no rounding explains; the candidate must not ship.
        findings: worth a warning.
    """

    fused: Judged
    unfused: Judged
    gap_db: float
    problems: list[str]
    findings: list[str]

    @property
    def accuracy(self) -> Accuracy | None:
        """Of the fused graph."""
        return self.fused.accuracy

    def to_json(self) -> dict[str, Any]:
        """Plain values, as reports have them."""
        return {"fused": self.fused.to_json(), "unfused": self.unfused.to_json(), "gap_db": self.gap_db}


def gather(
    reference: Runner, candidate: Model, source: Source, *, metric: str | None = None, entries: Mapping[str, str] | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Evidence:
    """Run the candidate beside the reference on all of ``source``; unfused on the first UNFUSED_SAMPLES, where the gap is measured too."""
    runners = {"fused": Session(candidate, entries=entries), "unfused": Session(candidate, optimise=False)}
    fused = judge(reference, {"fused": runners["fused"]}, source, metric=metric, progress=progress)["fused"]
    both = judge(reference, runners, limit(source, UNFUSED_SAMPLES))
    unfused = both["unfused"]
    gap = compare.fused_gap(both["fused"].first.snr_db, unfused.first.snr_db)
    problems = [str(f) for name, seen in fused.fidelity.items() for f in compare.faults(name, seen)]
    findings = []
    if DEFAULT.is_finding(gap):
        findings.append(f"the fused graph is {gap:+.1f} dB from the unfused one on this CPU: its kernels do something else than the graph says")
    return Evidence(fused, unfused, gap, problems, findings)


def time_pair(reference: Model, candidate: Model, source: Source, *, entries: Mapping[str, str] | None = None, seconds: float = 2.0,
              threads: int = THREADS) -> Latency:
    """Latency of the candidate against the reference on one sample; both sessions are opened for it."""
    first = Session(reference, threads=threads)
    second = Session(candidate, threads=threads, entries=entries)
    return race(first, second, head(source, batch_of(first.inputs, 1)).inputs, threads=threads, seconds=seconds)


def head(source: Source, count: int) -> Batch:
    """The first ``count`` samples (or fewer, where there are fewer) as one batch."""
    return next(iter(limit(source, count).batches(count)))


def sizes(reference: Model, candidate: Model) -> dict[str, Any]:
    """Bytes of both as files, and the candidate's share."""
    first, second = _bytes(reference), _bytes(candidate)
    return {"float": first, "integer": second, "ratio": second / first}


def _bytes(model: Model) -> int:
    return io.file_bytes(model) if isinstance(model, str | Path) else len(io.to_bytes(model))


def latency_json(latency: Latency) -> dict[str, Any]:
    """Plain values."""
    return asdict(latency)
