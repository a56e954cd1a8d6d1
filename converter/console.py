"""How things look in a terminal: progress bars, and reports as tables. Plain lines where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from converter.progress import SILENT, Listener
from converter.spec.report import Report
from converter.spec.target import Target


@contextmanager
def listener(silent: bool) -> Iterator[Listener]:
    """Progress on standard error: bars on a terminal, a line a stage elsewhere, nothing if ``silent``."""
    if silent:
        yield SILENT
    elif sys.stderr.isatty():
        with _Bars() as bars:
            yield bars
    else:
        yield _Lines()


class _Lines:
    """One line for every finished stage."""

    def begin(self, stage: str, total: int | None) -> None:
        self._count = 0

    def advance(self, steps: int) -> None:
        self._count += steps

    def end(self, stage: str, seconds: float) -> None:
        samples = f", {self._count} samples" if self._count else ""
        sys.stderr.write(f"{stage}: {seconds:.1f} s{samples}\n")
        sys.stderr.flush()


class _Bars:
    """A rich progress display."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._progress = Progress(SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(),
                                  TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))
        self._task: Any = None
        self._known = False

    def __enter__(self) -> _Bars:
        self._progress.__enter__()
        return self

    def __exit__(self, *args: Any) -> None:
        self._progress.__exit__(*args)

    def begin(self, stage: str, total: int | None) -> None:
        self._known = total is not None
        self._task = self._progress.add_task(stage, total=total)

    def advance(self, steps: int) -> None:
        self._progress.advance(self._task, steps)

    def end(self, stage: str, seconds: float) -> None:
        if not self._known:
            self._progress.update(self._task, total=1, completed=1)
        self._progress.stop_task(self._task)


def show(report: Report) -> None:
    """A report on standard output."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True) if not sys.stdout.isatty() else Console(highlight=False)
    rows = _rows(report.numbers)
    for line in report.done:
        console.print(line, markup=False)
    if rows:
        console.print(_table(rows))
    for (why, paths) in _grouped(report).items():
        console.print(f"stays float: {', '.join(paths[:6])}{f' and {len(paths) - 6} more' if len(paths) > 6 else ''}: {why}", markup=False)
    for warning in report.warnings:
        console.print(f"warning: {warning}", markup=False, style="yellow")
    if report.verdict is not None:
        style = {"yes": "bold green", "no": "bold red"}.get(report.verdict.value, "bold yellow")
        console.print(f"verdict: {report.verdict.value}", style=style, markup=False)
        for reason in report.reasons:
            console.print(f"  {reason}", markup=False)


def _grouped(report: Report) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for skip in report.skipped:
        out.setdefault(skip.why.value, []).append(f"{skip.path} ({skip.detail})" if skip.detail else skip.path)
    return out


def _table(rows: list[tuple[str, str, str, str]]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for name in ("float", "integer", "note"):
        table.add_column(name, justify="left" if name == "note" else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _rows(numbers: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """The verdict table: what there is of accuracy, closeness, size, latency and kernels."""
    rows: list[tuple[str, str, str, str]] = []
    if (a := numbers.get("accuracy")) is not None:
        mark = "%" if a["unit"] == "points" else f" {a['unit']}"
        rows.append((a["metric"], f"{a['float_score']:.2f}{mark}", f"{a['integer_score']:.2f}{mark}",
                     f"drop {a['drop']:.2f} [{a['low']:.2f}, {a['high']:.2f}] on {a['samples']} samples"))
    for name, seen in (numbers.get("fidelity") or {}).items():
        if isinstance(seen, dict):
            classes = f"KL {seen['kl']:.5f}, agreement {100 * seen['agreement']:.2f} %" if seen.get("kl") is not None else ""
            rows.append((f"closeness, {name}", "", f"{seen['snr_db']:.1f} dB", classes))
    if (s := numbers.get("size")) is not None and "integer" in s:
        rows.append(("size", f"{s['float'] / 1e6:.2f} MB", f"{s['integer'] / 1e6:.2f} MB", f"{s['ratio']:.3f} of float"))
    if (t := numbers.get("latency")) is not None:
        rows.append((f"latency, {t['threads']} thread", f"{t['float_ms']:.3f} ms", f"{t['integer_ms']:.3f} ms",
                     f"{t['ratio']:.2f} [{t['q1']:.2f}, {t['q3']:.2f}] of float"))
    if (c := numbers.get("coverage")) is not None and c["compute"]:
        rows.append(("integer kernels", "", f"{c['integer']} of {c['compute']}", ", ".join(f"{op} {n}" for op, n in c["kernels"].items())))
    return rows


def targets(found: list[tuple[str, Target]]) -> None:
    """The table of targets."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for name, target in found:
        table = Table(title=f"{name}: {target.summary}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("operator", "role", "fused into it", "note"):
            table.add_column(column)
        for rule in target.rules:
            table.add_row(rule.op_type, rule.role.value, ", ".join(rule.fuses), rule.note)
        console.print(table)


def doctor(found: dict[str, Any]) -> None:
    """What this machine is."""
    from rich.console import Console

    console, machine = Console(highlight=False), found["machine"]
    console.print(f"{machine['processor']} ({machine['architecture']}), {machine['cpus']} CPUs: {' '.join(machine['flags'])}", markup=False)
    kernels = "add pairs of products in 16 bits; converter keeps weights inside that bound" if found["saturating_kernels"] else "are exact"
    console.print(f"integer kernels of onnxruntime here {kernels}", markup=False)
    for package, version in found["versions"].items():
        console.print(f"  {package} {version}", markup=False)
