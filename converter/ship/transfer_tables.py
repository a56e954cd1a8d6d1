"""Tables of what was transferred and of what differs, for the terminal; the report itself has every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from converter.spec.report import Report

ROWS = 40  # of a table on a terminal
Rows = list[tuple[str, ...]]


def clone_tables(report: Report) -> list[tuple[tuple[str, ...], Rows]]:
    """Heads and rows of the table of ``clone``: what was drawn at random."""
    rows: Rows = [(d["name"], "x".join(map(str, d["shape"])) or "1", d.get("rule", ""), f"{d['std']:.4g}")
                  for d in report.numbers["tensors"] if d["std"]]
    return [(("tensor", "shape", "drawn", "std>"), _shortened(rows))]


def diff_tables(report: Report) -> list[tuple[tuple[str, ...], Rows]]:
    """Heads and rows of the tables of ``diff``."""
    numbers = report.numbers
    return [(("tensor", "what differs", "SNR>"), _shortened([_tensor(d) for d in numbers["tensors"]], _alone(numbers), _renamed(numbers))),
            (("operator", "first>", "second>"), [(kind, str(a), str(b)) for kind, (a, b) in numbers["operators"].items()]),
            (("node", "what differs"), _shortened(_nodes(numbers["nodes"])))]


def _tensor(d: Mapping[str, Any]) -> tuple[str, ...]:
    name = d["name"] if d["name"] == d["other"] else f"{d['name']} = {d['other']}"
    parts = list(d["what"])
    if d["step"]:
        parts.append(f"by up to {d['step']} steps")
    if d["scale"] is not None:
        low, high = d["scale"]
        parts[parts.index("scale")] = f"scale x {low:.4g}" if low == high else f"scale x {low:.4g} to {high:.4g}"
    if d["zero"]:
        parts[parts.index("zero point")] = f"zero point by {d['zero']}"
    return name, ", ".join(parts), "" if d["snr_db"] is None else f"{d['snr_db']:.1f} dB"


def _alone(numbers: Mapping[str, Any]) -> Rows:
    return [(name, f"only in the {side}", "") for side in ("first", "second") for name in numbers[f"only_{side}"]]


def _renamed(numbers: Mapping[str, Any]) -> Rows:
    differ = {d["name"] for d in numbers["tensors"]}
    return [(name, f"is {other} in the second", "") for name, other in numbers["renamed"].items() if name not in differ]


def _nodes(nodes: Sequence[Mapping[str, Any]]) -> Rows:
    """Pairs that differ one by one; nodes that one graph lacks counted by operator."""
    rows = [(n["name"] if n["name"] == n["other"] else f"{n['name']} = {n['other']}", ", ".join(n["what"]))
            for n in nodes if n["name"] and n["other"]]
    alone = Counter((kind, side) for n in nodes for kind, side in zip(n["op_types"], ("first", "second"), strict=True)
                    if not (n["name"] and n["other"]) and kind)
    return [*rows, *((f"{count} x {kind}", f"only in the {side}") for (kind, side), count in sorted(alone.items()))]


def _shortened(*parts: Rows) -> Rows:
    """The first rows, and how many more there are."""
    rows = [row for part in parts for row in part]
    if len(rows) <= ROWS:
        return rows
    return [*rows[:ROWS], (f"{len(rows) - ROWS:,} more rows", "--json has them all", *[""] * (len(rows[0]) - 2))]
