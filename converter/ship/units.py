"""Values of a report as people read them.

The values come from JSON, so each may be missing or of another kind than expected. What is missing becomes a dash,
what is not finite a word or a sign.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MISSING = "\u2013"
MINUS = "\u2212"
SPACE = "\u00a0"
RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def number(value: Any) -> float | None:
    """``value`` as a float; None where it is no number. Reports write what is not finite as text: ``"inf"``, ``"nan"``."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def mapping(value: Any) -> Mapping[str, Any]:
    """``value`` where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def rows(value: Any) -> list[Mapping[str, Any]]:
    """The mappings in the list ``value``; none where it is no list."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list | tuple) else []


def texts(value: Any) -> list[str]:
    """The entries of the list ``value`` as text; none where it is no list."""
    return [str(entry) for entry in value] if isinstance(value, list | tuple) else []


def fixed(value: Any, digits: int = 1, unit: str = "") -> str:
    """``value`` with a fixed number of decimals: ``-0.25`` is ``−0.25``; zero has no sign."""
    given = number(value)
    if given is None:
        return MISSING
    if not math.isfinite(given):
        return "not a number" if math.isnan(given) else f"{MINUS if given < 0 else ''}∞{_unit(unit)}"
    text = f"{given:,.{digits}f}"
    if text.startswith("-"):
        text = f"{MINUS}{text[1:]}" if text.strip("-0.") else text[1:]
    return text + _unit(unit)


def general(value: Any, digits: int = 3, unit: str = "") -> str:
    """``value`` with ``digits`` significant digits: ``0.0052``, ``1,234``, ``1.0×10⁻⁶``."""
    given = number(value)
    if given is None or not math.isfinite(given) or given == 0:
        return fixed(value, 0, unit)
    exponent = int(f"{given:.{digits - 1}e}".split("e")[1])  # of the rounded number: 0.9996 is 1.00
    if not -4 <= exponent <= 8:
        mantissa, power = f"{given:.1e}".split("e")
        return f"{mantissa}×10{str(int(power)).translate(RAISED)}".replace("-", MINUS) + _unit(unit)
    return fixed(given, max(digits - 1 - exponent, 0), unit)


def score(value: Any, unit: str) -> str:
    """A score or a difference of scores: two decimals where it is counted in points, else three significant digits."""
    return fixed(value, 2) if unit == "points" else general(value)


def count(value: Any) -> str:
    """A whole number with thousands apart: ``4,694,024``."""
    return fixed(value, 0)


def percent(fraction: Any, digits: int = 1) -> str:
    """A fraction of one as percent: ``0.968`` is ``96.8 %``; a small one that is not zero never reads as zero."""
    given = number(fraction)
    if given is not None and 0 < abs(given) * 100 < 0.5 * 10**-digits:
        return general(given * 100, 1, "%")
    return fixed(None if given is None else given * 100, digits, "%")


def size(length: Any) -> str:
    """Bytes as ``812 B``, ``62.2 KB``, ``4.69 MB`` (steps of 1000)."""
    given = number(length)
    if given is None or abs(given) < 1000 or not math.isfinite(given):
        return fixed(given, 0, "B")
    step = next(step for step in (3, 2, 1) if abs(given) >= 1000**step * 0.9995 or step == 1)
    return general(given / 1000**step, 3, ("KB", "MB", "GB")[step - 1])


def milliseconds(value: Any) -> str:
    """Milliseconds with three digits, short ones in microseconds: ``11.8 ms``, ``52.3 µs``."""
    given = number(value)
    return general(given, 3, "ms") if given is None or given >= 0.1 else general(given * 1000, 3, "µs")


def _unit(unit: str) -> str:
    return f"{SPACE}{unit}" if unit else ""
