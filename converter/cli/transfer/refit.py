"""``converter transfer refit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from converter.cli.base import DATA, bundled, common, model_options, verb
from converter.cli.transfer.group import transfer


@verb("converter transfer refit retrained.keras bundle/ -o bundle2/", DATA, group=transfer)
@click.argument("weights")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder of the new bundle.")
@click.option("--data", metavar="DATA", help="Judge on this, with labels where the bundle has a metric; else on the golden inputs.")
@click.option("--calib", metavar="DATA", help="Check on this how far the activation ranges have drifted.")
@click.option("--recalibrate", is_flag=True, help="Take new activation ranges from --calib.")
@click.option("--session-check", is_flag=True, help="Prove that a session on the written file is the refitted model, and not the old one.")
@click.option("--report", "report_dir", type=click.Path(path_type=Path), help="Also write report.json and report.html here, whatever the verdict.")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@model_options
@common
def refit(weights: str, bundle: Path, out: Path, report_dir: Path | None, as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    """Put WEIGHTS of the same Keras model into the shipped BUNDLE.

    WEIGHTS is a .keras or .weights.h5 file, or module:factory. Nothing is traced or exported, nor calibrated without --recalibrate;
    BUNDLE stays as it is.
    """
    from converter import api

    command = click.get_current_context().obj
    return bundled(lambda progress: api.refit(weights, bundle, out, progress=progress, command=command, **options),
                   out, report_dir, as_json, quiet, debug)
