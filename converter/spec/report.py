"""The report: one object through the whole road. It renders as JSON and text; HTML is made by ``ship``."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np


class Why(Enum):
    """The closed list of reasons for which something was left as it was."""

    NO_INTEGER_KERNEL = "the target has no integer kernel for this operator"
    NOT_CONSTANT = "its weight is not a constant"
    NOT_TRAINED = "its weight is a constant of the computation (a transform, a window), not a trained one, and need not stand 8 bits"
    NOT_FLOAT = "its values are not float32"
    BY_RECIPE = "the recipe says float"
    NO_GAIN = "no neighbour computes on integers, so codes would only be made and undone"
    NO_DATA = "the calibration data never reached it"
    OVERFLOW = "its bias does not fit 32 bits on the grid of this layer"
    NOT_EXACT = "the rewrite would not be exact here"
    NOT_FUSED = "the engine did not fuse it into an integer kernel"


@dataclass(frozen=True)
class Skip:
    """One refusal: the Keras layer path or node, the reason, and a detail for people."""

    path: str
    why: Why
    detail: str = ""


class Verdict(Enum):
    """What the gates say. UNDECIDED: met as measured, but the samples are too few to be sure."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"


@dataclass
class Report:
    """What a stage did, what it left alone and why, and its numbers.

    Args:
        stage: ``export``, ``quantize``, ``verify`` or ``ship``.
        done: one line each, in order.
        skipped: what was left alone.
        numbers: plain values by name; nested mappings and lists allowed.
        verdict: set by stages that judge.
        reasons: why the verdict is what it is, one sentence each.
        warnings: what the user should know although nothing failed.
    """

    stage: str
    done: list[str] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    verdict: Verdict | None = None
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def absorb(self, other: Report) -> None:
        """Take over what another stage reports; its numbers lie under its stage's name."""
        self.done += other.done
        self.skipped += other.skipped
        self.warnings += other.warnings
        self.numbers[other.stage] = other.numbers
        if other.verdict is not None:
            self.verdict, self.reasons = other.verdict, other.reasons

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"stage": self.stage, "verdict": self.verdict.value if self.verdict else None, "reasons": self.reasons,
                "warnings": self.warnings, "done": self.done,
                "skipped": [{"path": s.path, "why": s.why.name, "reason": s.why.value, "detail": s.detail} for s in self.skipped],
                "numbers": plain(self.numbers)}

    def to_json(self) -> str:
        """The report as JSON text, keys in a fixed order."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    def to_text(self) -> str:
        """The report as plain lines for a log."""
        lines = [f"{self.stage}: {line}" for line in self.done]
        lines += [f"skipped: {s.path}: {s.why.value}{f' ({s.detail})' if s.detail else ''}" for s in self.skipped]
        lines += [f"warning: {w}" for w in self.warnings]
        if self.verdict:
            lines.append(f"verdict: {self.verdict.value}")
        return "\n".join(lines + [f"  {r}" for r in self.reasons])


def plain(value: Any) -> Any:
    """``value`` with numpy scalars and arrays as JSON values; what is not finite becomes its name as text."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        as_it_is = value.dtype.kind in "iub" or (value.dtype.kind == "f" and np.isfinite(value).all())
        return value.tolist() if as_it_is else plain(value.tolist())
    if isinstance(value, list | tuple):
        if set(map(type, value)) <= {str, int, bool}:  # long lists of what JSON has anyway
            return list(value)
        if set(map(type, value)) == {float} and all(map(math.isfinite, value)):
            return list(value)
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
