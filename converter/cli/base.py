"""The command group, and what every command shares: options, help texts, how a command ends."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from converter import __version__, console
from converter.errors import ConverterError, UsageError, VerdictError, known

DATA = "DATA: file.npz (a key for every model input, or x; labels in y), a folder of images in class subfolders, or module:factory."
COMPLETION = "_CONVERTER_COMPLETE"
SHIP = """converter ship model.keras --calib calib.npz --eval eval.npz \\
      --metric top1 --max-drop 1.0 -o bundle/"""
CODES = """Exit codes:
  0    done
  1    the verdict is no, nothing was shipped
  2    wrong use, or input that cannot be read
  3    the model cannot be converted
  70   a fault of converter itself
  130  interrupted"""


class Group(click.Group):
    """Commands whose every failure is one message and its exit code."""

    def main(self, *args: Any, **more: Any) -> Any:
        """Run a command and end the process with its exit code, see the help of ``converter``."""
        chosen = args[0] if args else more.pop("args", None)
        given = list(sys.argv[1:] if chosen is None else chosen)
        if COMPLETION in os.environ:
            return super().main(given, "converter", COMPLETION)
        sys.exit(console.guarded(lambda: self._run(given), given))

    def _run(self, arguments: list[str]) -> Any:
        try:
            with self.make_context("converter", list(arguments), obj=shlex.join(["converter", *arguments])) as context:
                return self.invoke(context)
        except click.exceptions.Exit as asked:  # --help and --version
            return asked.exit_code

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that the first argument names; the known ones are listed where there is none."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise UsageError(f"no such command: {args[0]}; known: {known(self.commands)}")
        return super().resolve_command(ctx, args)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that every command has."""
    for option in (click.option("--debug", is_flag=True, help="Show the traceback of an error, and warnings of libraries."),
                   click.option("--quiet", is_flag=True, help="Say nothing but errors."),
                   click.option("--json", "as_json", is_flag=True,
                                help="Print one JSON document on standard output and nothing else there: the report, or "
                                     '{"error": {"kind", "message", "exit_code"}}.')):
        command = option(command)
    return command


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that may load a Keras model."""
    return click.option("--unsafe", is_flag=True, help="Load Keras files that hold Python code (Lambda layers); it will run.")(command)


def as_is(text: str) -> str:
    """Text that click does not wrap: every paragraph marked with a backspace."""
    return "\n\n".join("\b\n" + block for block in text.split("\n\n"))


def verb(example: str, *notes: str, group: click.Group | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """A command of ``group`` (of ``converter`` itself by default) whose help ends in an example and in notes."""
    return (group or main).command(epilog="\n\n".join([as_is(f"Example:\n  {example}"), *notes]))


@click.group(cls=Group, invoke_without_command=True, epilog=as_is(f"Example:\n  {SHIP}\n\n{CODES}"),
             context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="converter")
@click.pass_context
def main(context: click.Context) -> int:
    """Turn a Keras 3 model into a verified integer ONNX bundle."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
    return 2


def finish(report: Any, as_json: bool, quiet: bool, code: int = 0) -> int:
    """Show ``report`` and give the exit code."""
    if as_json:
        click.echo(report.to_json())
    elif not quiet:
        console.show(report)
    return code


def verdict_code(report: Any, strict: bool = False) -> int:
    """The exit code of a verdict: 1 for no, and with ``strict`` for undecided."""
    value = report.verdict.value if report.verdict else "yes"
    return int(value == "no" or (strict and value == "undecided"))


def bundled(make: Callable[[Any], Any], out: Path, report_dir: Path | None, as_json: bool, quiet: bool, debug: bool) -> int:
    """Let ``make``, which is given a listener, make a bundle; show its report, or why there is none, and give the exit code."""
    from converter.ship import report_files

    report_files.check(report_dir)
    try:
        with console.working(quiet or as_json, debug) as progress:
            bundle = make(progress)
    except VerdictError as error:
        if error.report is None:
            raise
        return _refused(error, report_dir or out.with_name(f"{out.name}.report"), as_json, quiet)
    if report_dir is not None and bundle.report is not None:
        report_files.write(bundle.report, report_dir)
    finish(bundle.report, as_json, quiet)
    if not (as_json or quiet):
        click.echo(f"bundle: {bundle.path}\nreport: {bundle.path / 'report.html'}")
    return 0


def _refused(error: VerdictError, folder: Path, as_json: bool, quiet: bool) -> int:
    """Say why nothing was shipped; a report that cannot be written does not change the verdict."""
    from converter.ship import report_files

    finish(error.report, as_json, quiet)
    click.echo(f"converter: {error}" if quiet or as_json else "converter: nothing was shipped", err=True)
    try:
        click.echo(f"report: {report_files.write(error.report, folder)}", err=True)
    except ConverterError as problem:
        click.echo(f"converter: the report could not be written: {problem}", err=True)
    return error.exit_code
