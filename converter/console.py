"""How things look in a terminal: progress, reports as tables, errors as one message. Plain lines where there is no terminal."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from converter.errors import ConverterError
from converter.progress import SILENT, Listener

if TYPE_CHECKING:  # reports bring numpy along, which `--help` can do without
    from rich.console import Console

    from converter.spec.report import Report
    from converter.spec.target import Target

PLAIN_WIDTH = 200  # in a log nothing is wrapped
EXIT_PIPE, EXIT_FAULT = 141, 70


class Stopped(KeyboardInterrupt):
    """The process was asked to end."""


def guarded(run: Callable[[], Any], arguments: list[str]) -> int:
    """Run a command and give its exit code; every failure becomes one message on standard error.

    With ``--json`` among the arguments it becomes ``{"error": {"kind", "message", "exit_code"}}`` on standard output as well.
    """
    try:
        with _ended_by_signal():
            outcome = run()
    except BrokenPipeError:  # the reader went away: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_PIPE
    except (ConverterError, click.ClickException, KeyboardInterrupt, click.Abort, MemoryError, OSError) as error:
        return _fail(error, *_expected(error), arguments)
    except RecursionError as error:
        return _fail(error, 3, "the model is nested too deeply to be converted", arguments)
    except Exception as error:
        text = f"a fault of converter itself: {type(error).__name__}: {error}. Please report it, with what --debug shows"
        raise SystemExit(_fail(error, EXIT_FAULT, text, arguments)) from error
    return outcome if isinstance(outcome, int) else 0


def _expected(error: BaseException) -> tuple[int, str]:
    if isinstance(error, ConverterError):
        return error.exit_code, str(error)
    if isinstance(error, click.ClickException):
        return 2, error.format_message()
    if isinstance(error, MemoryError):
        return 2, "out of memory; fewer samples at a time or a smaller model are needed"
    if isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        return 2, f"{error.strerror or error}{place}"
    stopped = isinstance(error, Stopped) or isinstance(error.__cause__, Stopped)
    return (143 if stopped else 130), f"{'terminated' if stopped else 'interrupted'}; no file was left half-written"


def _fail(error: BaseException, code: int, message: str, arguments: list[str]) -> int:
    if "--debug" in arguments:
        traceback.print_exception(error)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        message = f"{message.rstrip('.')}; see {error.ctx.command_path} --help"
    if "--json" in arguments:
        kind = "Interrupted" if code > 128 else type(error).__name__
        click.echo(json.dumps({"error": {"kind": kind, "message": message, "exit_code": code}}, indent=1))
    click.echo(f"converter: {message}", err=True)
    return code


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """SIGTERM, which ``kill`` and schedulers send, ends a run like Ctrl-C does: what was begun is cleared away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def working(silent: bool, debug: bool = False) -> Iterator[Listener]:
    """While a verb works: progress on standard error, bars on a terminal, a line a stage elsewhere, nothing if ``silent``.

    Whatever else is printed meanwhile (by the user's data factory, by a library) goes to standard error, and libraries' warnings are
    shown with ``debug`` only: standard output holds the result and nothing else.
    """
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        if not (debug or sys.warnoptions):
            warnings.simplefilter("ignore")
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
    """A rich progress display: a line a stage, with a bar where the number of steps is known."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._progress = Progress(SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description:<9}"), BarColumn(bar_width=30),
                                  TextColumn("{task.fields[note]}"), console=Console(stderr=True))
        self._task: Any = None
        self._total: int | None = None

    def __enter__(self) -> _Bars:
        self._progress.__enter__()
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is not None and self._task is not None and not self._progress.tasks[self._task].finished:
            self._progress.update(self._task, description="[red]" + self._progress.tasks[self._task].description, note="[red]stopped")
            self._progress.stop_task(self._task)
        self._progress.__exit__(kind, *rest)

    def begin(self, stage: str, total: int | None) -> None:
        self._total = total
        self._task = self._progress.add_task(stage, total=total, note="")

    def advance(self, steps: int) -> None:
        done = int(self._progress.tasks[self._task].completed) + steps
        of = f" of {self._total:,}" if self._total is not None else ""
        self._progress.update(self._task, completed=done, note=f"{done:,}{of}")

    def end(self, stage: str, seconds: float) -> None:
        done = int(self._progress.tasks[self._task].completed)
        note = f"{seconds:.1f} s" + (f", {done:,} samples" if done else "")
        total = max(done, 1)
        self._progress.update(self._task, total=total, completed=total, note=note)


def show(report: Report) -> None:
    """A report on standard output."""
    from rich.padding import Padding
    from rich.text import Text

    from converter.ship.summary import tables

    console = _console()
    for line in report.done:
        console.print(Text(line))
    for table in tables(report):
        console.print("", _table(table.heads, table.rows))
    console.print()
    for why, paths in _grouped(report).items():
        console.print(Text(f"left alone: {', '.join(paths[:6])}{f' and {len(paths) - 6} more' if len(paths) > 6 else ''}: {why}"))
    for warning in report.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))
    if report.verdict is not None:
        style = {"yes": "bold green", "no": "bold red"}.get(report.verdict.value, "bold yellow")
        console.print(Text(f"verdict: {report.verdict.value}", style=style))
    for reason in report.reasons:
        console.print(Padding(Text(reason), (0, 0, 0, 2), expand=False))


def _console() -> Console:
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the process with 1, which means a verdict of no here

    return Output(highlight=False) if sys.stdout.isatty() else Output(highlight=False, width=PLAIN_WIDTH)


def _grouped(report: Report) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for skip in report.skipped:
        out.setdefault(skip.why.value, []).append(f"{skip.path} ({skip.detail})" if skip.detail else skip.path)
    return out


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], title: str | None = None) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold", show_edge=False)
    for head in heads:
        table.add_column(head.removesuffix(">"), justify="right" if head.endswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def targets(found: list[tuple[str, Target]]) -> None:
    """The table of targets."""
    console = _console()
    for name, target in found:
        rows = [(rule.op_type, rule.role.value, ", ".join(rule.fuses), rule.note) for rule in target.rules]
        console.print(_table(("operator", "role", "fused into it", "note"), rows, f"{name}: {target.summary}"))


def doctor(found: dict[str, Any]) -> None:
    """What this machine is."""
    from rich.text import Text

    console, machine = _console(), found["machine"]
    kernels = ("add pairs of products in 16 bits, which overflows with weights from other tools; converter keeps its weights inside that bound"
               if found["saturating_kernels"] else "are exact")
    console.print(Text(f"{machine['processor']} ({machine['architecture']}), {machine['cpus']} CPUs: {' '.join(machine['flags'])}"))
    console.print(Text(f"integer kernels of onnxruntime here {kernels}"))
    console.print(_table(("package", "version"), sorted(found["versions"].items())))
