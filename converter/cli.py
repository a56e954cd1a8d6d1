"""The command line. The only module that prints; everything it says, it says for the verbs in ``api``."""

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
from converter.errors import ConverterError, UsageError, VerdictError

DATA = "DATA: file.npz (a key for every model input, or x; labels in y), a folder of images in class subfolders, or module:factory."


class Group(click.Group):
    """Turns every expected failure into one message and its exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; 0 done, 1 verdict no, 2 wrong use or unreadable input, 3 cannot be converted, 130 interrupted."""
        kwargs["standalone_mode"] = False
        try:
            outcome = super().main(*args, **kwargs)
            sys.exit(outcome if isinstance(outcome, int) else 0)
        except ConverterError as error:
            if "--debug" in sys.argv:
                raise
            code, message = error.exit_code, str(error)
        except click.ClickException as error:
            code, message = 2, error.format_message()
        except (KeyboardInterrupt, click.exceptions.Abort):
            code, message = 130, "interrupted; nothing was written"
        except MemoryError:
            code, message = 2, "out of memory; fewer samples at a time or a smaller model are needed"
        except BrokenPipeError:
            os._exit(141)  # the reader went away; there is nobody to tell
        click.echo(f"converter: {message}", err=True)
        sys.exit(code)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that every command has."""
    for option in (click.option("--debug", is_flag=True, help="Show the traceback of an error."),
                   click.option("--quiet", is_flag=True, help="Say nothing but errors."),
                   click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output, and nothing else there.")):
        command = option(command)
    return command


def _model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--unsafe", is_flag=True, help="Load Keras files that hold Python code (Lambda layers); it will run.")(command)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="converter")
def main() -> None:
    r"""Turn a Keras 3 model into a verified integer ONNX bundle.

    \b
    converter ship model.keras --target ort-cpu --calib calib.npz --eval eval.npz \\
        --metric top1 --max-drop 1.0 -o bundle/
    """


def _finish(report: Any, as_json: bool, quiet: bool, code: int = 0) -> int:
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=1))
    elif not quiet:
        console.show(report)
    return code


def _verdict_code(report: Any, strict: bool = False) -> int:
    value = report.verdict.value if report.verdict else "yes"
    return int(value == "no" or (strict and value == "undecided"))


@main.command(epilog=DATA)
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
    r"""Export, quantize, verify and ship MODEL as one bundle.

    MODEL is a .keras or .h5 file, module:factory, or a float .onnx file. Nothing appears at -o unless the verdict allows it.

    \b
    Example:
      converter ship model.keras --target ort-cpu --calib calib.npz --eval eval.npz --metric top1 --max-drop 1.0 -o bundle/
    """
    from converter import api
    from converter.ship import report_files

    out = options.pop("out")
    try:
        with console.listener(quiet or as_json) as progress:
            bundle = api.ship(model, out, eval=evaluation, progress=progress, command=shlex.join(["converter", *sys.argv[1:]]), **options)
    except VerdictError as error:
        if error.report is not None:
            place = report_files.write(error.report, report_dir or out.with_name(f"{out.name}.report"))
            _finish(error.report, as_json, quiet)
            click.echo(f"report: {place}", err=True)
        raise
    if report_dir is not None and bundle.report is not None:
        report_files.write(bundle.report, report_dir)
    _finish(bundle.report, as_json, quiet)
    if not (as_json or quiet):
        click.echo(f"bundle: {bundle.path}\nreport: {bundle.path / 'report.html'}")
    return 0


@main.command()
@click.argument("model")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="ONNX file to write.")
@click.option("--opset", type=int, help="Opset of the default domain, 13 to 18.  [default: 18]")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@_model_options
@common
def export(model: str, out: Path, as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    r"""Export MODEL (.keras, .h5 or module:factory) to a clean float ONNX file, proved equal to Keras.

    \b
    Example:
      converter export model.keras -o float.onnx
    """
    from converter import api

    with console.listener(quiet or as_json) as progress:
        report = api.export(model, out, progress=progress, **options)
    return _finish(report, as_json, quiet)


@main.command(epilog=DATA)
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
    r"""Make an integer ONNX file of MODEL: Keras, or a float .onnx file from anywhere.

    \b
    Example:
      converter quantize float.onnx --calib calib.npz --target ort-cpu -o int8.onnx
    """
    from converter import api

    with console.listener(quiet or as_json) as progress:
        report = api.quantize(model, options.pop("calib"), progress=progress, **options)
    return _finish(report, as_json, quiet)


@main.command(epilog=DATA)
@click.argument("reference")
@click.argument("candidate")
@click.option("--data", required=True, metavar="DATA", help="What to run both on.")
@click.option("--metric", help="Task metric; needs labels.")
@click.option("--max-drop", type=float, help="Largest drop of the metric.")
@click.option("--strict", is_flag=True, help="Too few samples to be sure counts as no (exit 1).")
@_model_options
@common
def verify(reference: str, candidate: str, strict: bool, as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    r"""Compare CANDIDATE with REFERENCE: any two of Keras, ONNX and bundle.

    \b
    Example:
      converter verify model.keras bundle/ --data eval.npz --metric top1
    """
    from converter import api

    with console.listener(quiet or as_json) as progress:
        report = api.verify(reference, candidate, options.pop("data"), progress=progress, **options)
    return _finish(report, as_json, quiet, _verdict_code(report, strict))


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@common
def replay(bundle: Path, as_json: bool, quiet: bool, debug: bool) -> int:
    r"""Re-verify BUNDLE on this machine: files, golden outputs, versions and CPU.

    \b
    Example:
      converter replay bundle/
    """
    from converter import api

    report = api.replay(bundle)
    return _finish(report, as_json, quiet, _verdict_code(report))


@main.command()
@click.argument("model")
@_model_options
@common
def inspect(model: str, unsafe: bool, as_json: bool, quiet: bool, debug: bool) -> int:
    r"""Look inside MODEL: a Keras file, an ONNX file or a bundle.

    \b
    Example:
      converter inspect bundle/
    """
    from converter import api

    return _finish(api.inspect(model, unsafe=unsafe), as_json, quiet)


@main.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--data", metavar="DATA", help="Take the sample from here; random otherwise.")
@click.option("--threads", type=int, default=1, show_default=True, help="Threads inside an operator.")
@click.option("--seconds", type=float, default=2.0, show_default=True, help="Time for each comparison.")
@common
def bench(models: tuple[str, ...], as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    r"""Time MODELs (ONNX files or bundles) against the first one, interleaved in one process.

    \b
    Example:
      converter bench bundle/float.onnx bundle/
    """
    from converter import api

    return _finish(api.bench(list(models), **options), as_json, quiet)


@main.command()
@common
def targets(as_json: bool, quiet: bool, debug: bool) -> int:
    r"""List the inference targets and what runs on integers there.

    \b
    Example:
      converter targets
    """
    from converter.targets import TARGETS

    if as_json:
        rows = {name: {**t.to_json(), "summary": t.summary, "operators": [r.op_type for r in t.rules]} for name, t in TARGETS}
        click.echo(json.dumps(rows, indent=1))
    elif not quiet:
        console.targets(list(TARGETS))
    return 0


@main.command()
@common
def doctor(as_json: bool, quiet: bool, debug: bool) -> int:
    r"""Say what this machine is: versions, CPU flags, and what they imply for integer kernels.

    \b
    Example:
      converter doctor
    """
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
