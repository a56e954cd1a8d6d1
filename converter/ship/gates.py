"""What the user asked for against what was measured: the verdict, and a sentence for every reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from converter.errors import UsageError
from converter.spec.report import Report, Verdict
from converter.verify.accuracy import Decision, decide
from converter.verify.evidence import Evidence

WANTS = ("smaller", "faster", "both")


@dataclass(frozen=True)
class Gates:
    """What the user asked for.

    Args:
        max_drop: largest drop of the metric, in points of 100 or in the metric's unit; None asks for none.
        want: ``smaller``, ``faster`` or ``both``.
        strict: too few samples to be sure counts as no.
    """

    max_drop: float | None = None
    want: str = "smaller"
    strict: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"max_drop": self.max_drop, "want": self.want, "strict": self.strict}


def check_limit(max_drop: float | None) -> None:
    """Refuse a limit that no drop can be held against.

    Raises:
        UsageError: it is not a finite number.
    """
    if max_drop is not None and not math.isfinite(max_drop):
        raise UsageError(f"the largest drop must be a finite number, in points of 100 or in the metric's unit; received {max_drop}")


def judge(gates: Gates, evidence: Evidence, size: dict[str, Any], latency: dict[str, Any] | None, report: Report) -> None:
    """Set verdict, reasons and warnings of ``report``, and the accuracy numbers with the decision on them."""
    decision = _accuracy(gates, evidence, report)
    failed = [f"the candidate is wrong: {p}" for p in evidence.problems]
    failed += _want(gates, size, latency, report)
    report.warnings += evidence.findings
    if failed or decision.verdict is Verdict.NO:
        report.verdict = Verdict.NO
        report.reasons = failed + (decision.reasons if decision.verdict is Verdict.NO or not failed else [])
    else:
        report.verdict = decision.verdict
        report.reasons = decision.reasons + _met(gates, size, latency)


def _accuracy(gates: Gates, evidence: Evidence, report: Report) -> Decision:
    seen = evidence.accuracy
    if seen is None:
        return Decision(Verdict.YES, ["no accuracy was asked for; judged by how close the outputs are"], None)
    numbers: dict[str, Any] = {k: getattr(seen, k) for k in ("metric", "unit", "float_score", "integer_score", "drop", "low", "high", "samples",
                                                             "lost", "gained")}
    report.numbers["accuracy"] = {**numbers, "max_drop": gates.max_drop, "needed": None}
    if gates.max_drop is None:
        return Decision(Verdict.YES, [f"no limit on the drop was asked for; measured: {seen.to_text()}"], None)
    decision = decide(seen, gates.max_drop)
    report.numbers["accuracy"].update(decision=decision.verdict.value, needed=decision.needed)
    return decision


def _want(gates: Gates, size: dict[str, Any], latency: dict[str, Any] | None, report: Report) -> list[str]:
    """Reasons for no: the integer model is not smaller, or not faster, than asked for. Slower than float is said in any case."""
    failed = []
    if gates.want in ("smaller", "both") and size["ratio"] >= 1:
        failed.append(f"not smaller: {size['integer']:,} bytes against {size['float']:,} of the float model")
    if latency is not None:
        text = f"{latency['ratio']:.2f} times the float latency (quartiles {latency['q1']:.2f} to {latency['q3']:.2f})"
        if gates.want in ("faster", "both") and latency["ratio"] >= 1:
            failed.append(f"not faster on this CPU: {text}")
        elif latency["ratio"] >= 1:
            report.warnings.append(f"slower than float on this CPU: {text}; small models often are. --want faster makes this a gate")
    return failed


def _met(gates: Gates, size: dict[str, Any], latency: dict[str, Any] | None) -> list[str]:
    out = [f"{size['ratio']:.3f} of the float size"] if gates.want in ("smaller", "both") else []
    if gates.want in ("faster", "both") and latency is not None:
        out.append(f"{latency['ratio']:.2f} times the float latency")
    return out
