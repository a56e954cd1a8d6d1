"""The road as commands: ship, export, quantize."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from converter import console
from converter.cli.base import DATA, SHIP, bundled, common, finish, model_options, verb


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
@model_options
@common
def ship(model: str, evaluation: str | None, report_dir: Path | None, as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    """Export, quantize, verify and ship MODEL as one bundle.

    MODEL is a .keras or .h5 file, module:factory, or a float .onnx file. Nothing appears at -o unless the verdict allows it.
    """
    from converter import api

    out, command = options.pop("out"), click.get_current_context().obj
    return bundled(lambda progress: api.ship(model, out, eval=evaluation, progress=progress, command=command, **options),
                   out, report_dir, as_json, quiet, debug)


@verb("converter export model.keras -o float.onnx")
@click.argument("model")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="ONNX file to write.")
@click.option("--opset", type=int, help="Opset of the default domain, 13 to 23.  [default: 23]")
@click.option("--axis", "axes", multiple=True, metavar="INPUT:AXIS=NAME",
              help="Name a free axis, for example image:1=rows; may be given several times, and with one name for axes of one length.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@model_options
@common
def export(model: str, out: Path, axes: tuple[str, ...], as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    """Export MODEL to a clean float ONNX file, proved equal to Keras.

    MODEL is a .keras or .h5 file, the folder of a SavedModel, or module:factory.
    """
    from converter import api
    from converter.frontend.axes import read

    with console.working(quiet or as_json, debug) as progress:
        report = api.export(model, out, axes=read(axes), progress=progress, **options)
    return finish(report, as_json, quiet)


@verb("converter quantize float.onnx --calib calib.npz -o int8.onnx", DATA)
@click.argument("model")
@click.option("--calib", required=True, metavar="DATA", help="Calibration data; labels are not needed.")
@click.option("--target", default="ort-cpu", show_default=True, help="Inference target.")
@click.option("--recipe", help="Preset, or a YAML or JSON file.")
@click.option("--statistics", type=click.Path(path_type=Path), help="Calibration statistics: gone on from if the file exists, and written.")
@click.option("-o", "--out", "path", required=True, type=click.Path(path_type=Path), help="ONNX file to write.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@model_options
@common
def quantize(model: str, as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    """Make an integer ONNX file of MODEL.

    MODEL is a .keras or .h5 file, module:factory, or a float .onnx file from anywhere.
    """
    from converter import api

    with console.working(quiet or as_json, debug) as progress:
        report = api.quantize(model, options.pop("calib"), progress=progress, **options)
    return finish(report, as_json, quiet)
