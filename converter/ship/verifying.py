"""``verify``: any two models on data, with everything that can be measured of the two."""

from __future__ import annotations

from typing import Any

from converter.data import Source, open_source
from converter.progress import Stages
from converter.ship.gates import Gates
from converter.ship.gates import judge as judge_gates
from converter.ship.opening import Opened, open_any
from converter.spec.report import Report, Verdict
from converter.verify import compare
from converter.verify import evidence as ev
from converter.verify.coverage import coverage
from converter.verify.judging import judge
from converter.verify.machine import machine, versions


def verify_models(
    reference: Any, candidate: Any, data: Any, *, metric: str | None, max_drop: float | None, unsafe: bool, stages: Stages
) -> Report:
    """See ``converter.verify``."""
    with stages.stage("load"):
        first, second = open_any(reference, unsafe=unsafe), open_any(candidate, unsafe=unsafe)
        source = open_source(data, list(first.runner.inputs), labels=metric is not None)
    report = Report("verify")
    report.numbers["model"] = {"name": f"{first.name} against {second.name}", "source": first.name}
    if second.path is None:
        _keras_candidate(first, second, source, metric, report, stages)
    else:
        _graph_candidate(first, second, source, metric, max_drop, report, stages)
    report.numbers.update(machine=machine(), versions=versions(), seconds=stages.seconds)
    return report


def _keras_candidate(first: Opened, second: Opened, source: Source, metric: str | None, report: Report, stages: Stages) -> None:
    """A candidate that has no graph to look into: only its outputs."""
    with stages.stage("verify", source.count) as progress:
        judged = judge(first.runner, {"candidate": second.runner}, source, metric=metric, progress=progress)["candidate"]
    report.numbers["fidelity"] = {"fused": judged.to_json()}
    problems = [str(f) for name, seen in judged.fidelity.items() for f in compare.faults(name, seen)]
    report.verdict = Verdict.NO if problems else Verdict.YES
    report.reasons = problems or [f"outputs are {judged.first.snr_db:.1f} dB from the reference's"]


def _graph_candidate(
    first: Opened, second: Opened, source: Source, metric: str | None, max_drop: float | None, report: Report, stages: Stages
) -> None:
    assert second.path is not None
    with stages.stage("verify", source.count) as progress:
        evidence = ev.gather(first.runner, second.path, source, metric=metric, entries=second.entries, progress=progress)
        found = coverage(second.path, entries=second.entries)
    report.numbers.update(fidelity=evidence.to_json(), coverage=found.to_json())
    report.done.append(f"{found.integer} of {found.compute} computing operators run on integer kernels")
    size: dict[str, Any] = {"ratio": 0.0}
    if first.path is not None:
        size = ev.sizes(first.path, second.path)
        with stages.stage("time"):
            report.numbers.update(size=size, latency=ev.latency_json(ev.time_pair(first.path, second.path, source, entries=second.entries)))
    judge_gates(Gates(max_drop, want="nothing"), evidence, size, report.numbers.get("latency"), report)
