"""``converter transfer clone``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from converter import console
from converter.cli.base import common, finish, model_options, verb
from converter.cli.transfer.group import transfer


@verb("converter transfer clone model.keras -o fresh.keras --seed 1 --classes 5", group=transfer)
@click.argument("model")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="File to write, .keras or .onnx.")
@click.option("--onnx", type=click.Path(path_type=Path), help="Also write this ONNX file beside a .keras file.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same weights.")
@click.option("--classes", type=int, metavar="N", help="Another width of the first output.")
@click.option("--input-size", metavar="HxW", help="Another size of the input: 96, 96x128, any (free), or image=96 for one of several.")
@click.option("--force", is_flag=True, help="Replace existing files.")
@model_options
@common
def clone(model: str, out: Path, as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    """Write the architecture of MODEL with fresh weights.

    A Keras model draws them by its own initializers. A float .onnx file or bundle draws them by operator: variance-scaled kernels, biases 0,
    normalizations neutral; the report has every tensor, drawn or left. What preprocessing was adapted to is kept.
    """
    from converter import api

    with console.working(quiet or as_json, debug) as progress:
        report = api.clone(model, out, progress=progress, **options)
    return finish(report, as_json, quiet)
