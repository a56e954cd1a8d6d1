"""The command line: every command is one verb of ``api``, and says what it reports. Only this module and ``console`` print."""

from __future__ import annotations

import json
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


def _model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--unsafe", is_flag=True, help="Load Keras files that hold Python code (Lambda layers); it will run.")(command)


def _as_is(text: str) -> str:
    """Text that click does not wrap: every paragraph marked with a backspace."""
    return "\n\n".join("\b\n" + block for block in text.split("\n\n"))


def verb(example: str, *notes: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A command whose help ends in an example and in notes."""
    return main.command(epilog="\n\n".join([_as_is(f"Example:\n  {example}"), *notes]))


@click.group(cls=Group, invoke_without_command=True, epilog=_as_is(f"Example:\n  {SHIP}\n\n{CODES}"),
             context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="converter")
@click.pass_context
def main(context: click.Context) -> int:
    """Turn a Keras 3 model into a verified integer ONNX bundle."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
    return 2


def _finish(report: Any, as_json: bool, quiet: bool, code: int = 0) -> int:
    if as_json:
        click.echo(report.to_json())
    elif not quiet:
        console.show(report)
    return code


def _verdict_code(report: Any, strict: bool = False) -> int:
    value = report.verdict.value if report.verdict else "yes"
    return int(value == "no" or (strict and value == "undecided"))


@verb(SHIP, DATA)
@click.argument("model")
@click.option("--target", default="ort-cpu", show_default=True, help="Inference target; `converter targets` lists them.")
@click.option("--calib", required=True, metavar="DATA", help="Calibration data; labels are not needed.")
@click.option("--eval", "evaluation", metavar="DATA", help="Evaluation data with labels.")
@click.option("--metric", help="Task metric on the first output: top1, top5, accuracy_binary, mae, mse.")
@click.option("--max-drop", type=float, help="Largest drop of the metric: points of 100 for shares, else the metric's unit.")
@click.option("--want", type=click.Choice(["smaller", "faster", "both"]), default="smaller", show_default=True,
              help="What the integer model must be, or the verdict is no.")
@click.option("--recipe", help="Preset, or a YAML or JSON file.")
@click.option("--tune", metavar="DATA", help="Training data for fine-tuning when accuracy falls short (not available in this version).")
@click.option("--statistics", type=click.Path(path_type=Path), help="Calibration statistics: gone on from if the file exists, and written.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of the bundle.")
@click.option("--report", "report_dir", type=click.Path(path_type=Path), help="Also write report.json and report.html here, whatever the verdict.")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@click.option("--strict", is_flag=True, help="Too few samples to be sure counts as no (exit 1).")
@_model_options
@common
def ship(model: str, evaluation: str | None, report_dir: Path | None, as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    """Export, quantize, verify and ship MODEL as one bundle.

    MODEL is a .keras or .h5 file, module:factory, or a float .onnx file. Nothing appears at -o unless the verdict allows it.
    """
    from converter import api
    from converter.ship import report_files

    out = options.pop("out")
    report_files.check(report_dir)
    try:
        with console.working(quiet or as_json, debug) as progress:
            bundle = api.ship(model, out, eval=evaluation, progress=progress, command=click.get_current_context().obj, **options)
    except VerdictError as error:
        if error.report is None:
            raise
        return _refused(error, report_dir or out.with_name(f"{out.name}.report"), as_json, quiet)
    if report_dir is not None and bundle.report is not None:
        report_files.write(bundle.report, report_dir)
    _finish(bundle.report, as_json, quiet)
    if not (as_json or quiet):
        click.echo(f"bundle: {bundle.path}\nreport: {bundle.path / 'report.html'}")
    return 0


def _refused(error: VerdictError, folder: Path, as_json: bool, quiet: bool) -> int:
    """Say why nothing was shipped; a report that cannot be written does not change the verdict."""
    from converter.ship import report_files

    _finish(error.report, as_json, quiet)
    click.echo(f"converter: {error}" if quiet or as_json else "converter: nothing was shipped", err=True)
    try:
        click.echo(f"report: {report_files.write(error.report, folder)}", err=True)
    except ConverterError as problem:
        click.echo(f"converter: the report could not be written: {problem}", err=True)
    return error.exit_code


@verb("converter export model.keras -o float.onnx")
@click.argument("model")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="ONNX file to write.")
@click.option("--opset", type=int, help="Opset of the default domain, 13 to 23.  [default: 23]")
@click.option("--axis", "axes", multiple=True, metavar="INPUT:AXIS=NAME",
              help="Name a free axis, for example image:1=rows; may be given several times, and with one name for axes of one length.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@_model_options
@common
def export(model: str, out: Path, axes: tuple[str, ...], as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    """Export MODEL to a clean float ONNX file, proved equal to Keras.

    MODEL is a .keras or .h5 file, the folder of a SavedModel, or module:factory.
    """
    from converter import api
    from converter.frontend.axes import read

    with console.working(quiet or as_json, debug) as progress:
        report = api.export(model, out, axes=read(axes), progress=progress, **options)
    return _finish(report, as_json, quiet)


@verb("converter quantize float.onnx --calib calib.npz -o int8.onnx", DATA)
@click.argument("model")
@click.option("--calib", required=True, metavar="DATA", help="Calibration data; labels are not needed.")
@click.option("--target", default="ort-cpu", show_default=True, help="Inference target.")
@click.option("--recipe", help="Preset, or a YAML or JSON file.")
@click.option("--statistics", type=click.Path(path_type=Path), help="Calibration statistics: gone on from if the file exists, and written.")
@click.option("-o", "--out", "path", required=True, type=click.Path(path_type=Path), help="ONNX file to write.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@_model_options
@common
def quantize(model: str, as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    """Make an integer ONNX file of MODEL.

    MODEL is a .keras or .h5 file, module:factory, or a float .onnx file from anywhere.
    """
    from converter import api

    with console.working(quiet or as_json, debug) as progress:
        report = api.quantize(model, options.pop("calib"), progress=progress, **options)
    return _finish(report, as_json, quiet)


@verb("converter verify model.keras bundle/ --data eval.npz --metric top1", DATA)
@click.argument("reference")
@click.argument("candidate")
@click.option("--data", required=True, metavar="DATA", help="What to run both on.")
@click.option("--metric", help="Task metric; needs labels.")
@click.option("--max-drop", type=float, help="Largest drop of the metric.")
@click.option("--strict", is_flag=True, help="Too few samples to be sure counts as no (exit 1).")
@_model_options
@common
def verify(reference: str, candidate: str, strict: bool, as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    """Compare two models: Keras, ONNX or bundle."""
    from converter import api

    with console.working(quiet or as_json, debug) as progress:
        report = api.verify(reference, candidate, options.pop("data"), progress=progress, **options)
    return _finish(report, as_json, quiet, _verdict_code(report, strict))


@verb("converter replay bundle/")
@click.argument("bundle", type=click.Path(path_type=Path))
@common
def replay(bundle: Path, as_json: bool, quiet: bool, debug: bool) -> int:
    """Check a bundle again on this machine.

    Files against their digests, outputs against the golden ones; what differs here (onnxruntime, CPU) is named.
    """
    from converter import api

    with console.working(True, debug):
        report = api.replay(bundle)
    return _finish(report, as_json, quiet, _verdict_code(report))


@verb("converter inspect bundle/")
@click.argument("model")
@_model_options
@common
def inspect(model: str, unsafe: bool, as_json: bool, quiet: bool, debug: bool) -> int:
    """Look inside a Keras file, an ONNX file or a bundle."""
    from converter import api

    with console.working(True, debug):
        report = api.inspect(model, unsafe=unsafe)
    return _finish(report, as_json, quiet)


@verb("converter bench bundle/float.onnx bundle/")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--data", metavar="DATA", help="Take the sample from here; random otherwise.")
@click.option("--threads", type=int, default=1, show_default=True, help="Threads inside an operator.")
@click.option("--seconds", type=float, default=2.0, show_default=True, help="Time for each comparison.")
@common
def bench(models: tuple[str, ...], as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    """Time ONNX files or bundles against the first one.

    Runs are interleaved in one process, so ratios hold on a busy machine where milliseconds do not.
    """
    from converter import api

    with console.working(True, debug):
        report = api.bench(list(models), **options)
    return _finish(report, as_json, quiet)


@verb("converter targets")
@common
def targets(as_json: bool, quiet: bool, debug: bool) -> int:
    """List the targets and what runs on integers there."""
    from converter.targets import TARGETS

    if as_json:
        rows = {name: {**t.to_json(), "summary": t.summary, "operators": [r.op_type for r in t.rules]} for name, t in TARGETS}
        click.echo(json.dumps(rows, indent=1))
    elif not quiet:
        console.targets(list(TARGETS))
    return 0


@verb("converter doctor")
@common
def doctor(as_json: bool, quiet: bool, debug: bool) -> int:
    """Say what this machine is and what its CPU implies for integers."""
    from converter.verify.machine import machine, saturates, versions

    here = machine()
    found = {"machine": here, "versions": versions(), "saturating_kernels": saturates(here["flags"])}
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif not quiet:
        console.doctor(found)
    if "onnxruntime" not in versions():
        raise UsageError("onnxruntime is not installed; versions found: " + ", ".join(versions()))
    return 0
