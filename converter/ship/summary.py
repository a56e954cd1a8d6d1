"""A report in the few rows that fit on a terminal: tables of short texts, by what the report holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from converter.ship.transfer_tables import clone_tables, diff_tables
from converter.spec.report import Report

NOTE = 36  # columns that a note has beside three columns of numbers, on a terminal of 80


@dataclass(frozen=True)
class Table:
    """A table for people.

    Args:
        heads: of the columns; those that end in ``>`` are flushed right, without the mark.
        rows: one text for every column.
    """

    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]


def tables(report: Report) -> list[Table]:
    """The tables of a report, those without rows left out; the whole numbers are in the report itself."""
    numbers = report.numbers
    copied = report.stage == "copy"
    found = [Table(("", "", "to the donor>", "note") if copied else ("", "float>", "integer>", "note"), _verdict(numbers))]
    if report.stage == "bench":
        found.append(Table(("model", "ms>", "base ms>", "ratio>", "quartiles"), [_raced(row) for row in numbers.get("rows", [])]))
    if report.stage == "export":
        found += [Table(("operator", "count>"), [(str(k), f"{v:,}") for k, v in _most(numbers.get("kinds"))]),
                  Table(("", "", "", ""), _exported(numbers))]
    if report.stage == "restore":
        found += [Table(("variables", "count>", "which"), _restored(numbers))]
    if copied and "changed" not in numbers:
        found += [Table(("donor", "recipient", "by", "shape", "conversion"), [_paired(pair) for pair in numbers.get("pairs", [])])]
    if report.stage == "inspect":
        found += [Table(("", "name", "type", "shape"), [*_ends("input", numbers.get("inputs")), *_ends("output", numbers.get("outputs"))]),
                  Table((str(numbers.get("unit", "operator")), "count>"), [(str(k), f"{v:,}") for k, v in _most(numbers.get("operators"))]),
                  Table(("weights", "bytes>"), [(str(k), f"{v:,}") for k, v in _most(numbers.get("weight_bytes"))])]
    if report.stage in ("clone", "diff"):
        found += [Table(heads, rows) for heads, rows in (clone_tables if report.stage == "clone" else diff_tables)(report)]
    return [table for table in found if table.rows]


def _restored(numbers: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What came of the variables of a Keras model."""
    lists = (("changed", [told["name"] for told in numbers["changed"]]), ("kept", numbers["kept"]), ("not in the graph", numbers["unused"]))
    return [(label, f"{len(names):,}", ", ".join(names[:2]) + (", ..." if len(names) > 2 else "")) for label, names in lists if names]


def _paired(pair: Mapping[str, Any]) -> tuple[str, ...]:
    return str(pair["donor"]), str(pair["recipient"]), str(pair["by"]), " x ".join(map(str, pair["shape"])), str(pair["conversion"])


def _exported(numbers: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Ends, versions and parity of an exported graph."""
    rows = [*_ends("input", numbers.get("inputs")), *_ends("output", numbers.get("outputs"))]
    facts = (("parameters", "parameters"), ("opset", "opset"), ("IR version", "ir_version"), ("bytes", "bytes"))
    rows += [(label, f"{numbers[key]:,}", "", "") for label, key in facts if key in numbers]
    parity = numbers.get("parity")
    if isinstance(parity, Mapping):
        rows.append(("parity", f"{parity['relative']:.1e}", "of the range", f"{parity['samples']} samples"))
    return rows


def _verdict(numbers: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What there is of accuracy, closeness, size, latency and kernels."""
    parts = (("accuracy", _accuracy), ("fidelity", _fidelity), ("size", _size), ("latency", _latency), ("coverage", _coverage))
    return [row for key, rows in parts if isinstance(numbers.get(key), Mapping) for row in rows(numbers[key])]


def _accuracy(a: Mapping[str, Any]) -> list[tuple[str, ...]]:
    mark = " %" if a["unit"] == "points" else f" {a['unit']}"
    note = f"drop {a['drop']:.2f} [{a['low']:.2f}, {a['high']:.2f}] of {a['samples']:,}"
    return [(a["metric"], f"{a['float_score']:.2f}{mark}", f"{a['integer_score']:.2f}{mark}", note)]


def _fidelity(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, seen in found.items():
        if isinstance(seen, Mapping):
            classes = f"KL {seen['kl']:.5f}, {100 * seen['agreement']:.2f} % agree of" if seen.get("kl") is not None else "on"
            rows.append((f"SNR, {name}", "", f"{seen['snr_db']:.1f} dB", f"{classes} {seen['samples']:,}"))
    return rows


def _size(s: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [("size", f"{s['float'] / 1e6:.2f} MB", f"{s['integer'] / 1e6:.2f} MB", f"{s['ratio']:.3f} of float")] if "integer" in s else []


def _latency(t: Mapping[str, Any]) -> list[tuple[str, ...]]:
    threads = f"{t['threads']} thread" + ("s" if t["threads"] != 1 else "")
    note = f"{t['ratio']:.2f} [{t['q1']:.2f}, {t['q3']:.2f}] of float, {threads}"
    return [("latency", f"{t['float_ms']:.3f} ms", f"{t['integer_ms']:.3f} ms", note)]


def _coverage(c: Mapping[str, Any]) -> list[tuple[str, ...]]:
    if not c["compute"]:
        return []
    kernels = [f"{op} {n}" for op, n in _most(c["kernels"])]
    whole = ", ".join(kernels)
    shorter = (f"{', '.join(kernels[:n])}, {len(kernels) - n} more kinds" for n in range(len(kernels) - 1, 0, -1))
    note = next((text for text in (whole, *shorter) if len(text) <= NOTE), f"{len(kernels)} kinds")
    return [("integer kernels", "", f"{c['integer']} of {c['compute']}", note)]


def _raced(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (str(row["model"]), f"{row['integer_ms']:.3f}", f"{row['float_ms']:.3f}", f"{row['ratio']:.3f}", f"{row['q1']:.3f} to {row['q3']:.3f}")


def _ends(kind: str, found: Any) -> list[tuple[str, ...]]:
    return [(kind, str(end["name"]), str(end["dtype"]), " x ".join("any" if d is None else str(d) for d in end["shape"])) for end in found or ()]


def _most(counts: Any) -> list[tuple[str, int]]:
    return sorted((counts or {}).items(), key=lambda pair: (-pair[1], pair[0]))
