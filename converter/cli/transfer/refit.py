"""``converter transfer refit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from converter import console
from converter.cli.base import DATA, common, finish, model_options, refused, verb
from converter.cli.transfer.group import transfer
from converter.errors import VerdictError


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
    from converter.ship import report_files

    report_files.check(report_dir)
    try:
        with console.working(quiet or as_json, debug) as progress:
            made = api.refit(weights, bundle, out, progress=progress, command=click.get_current_context().obj, **options)
    except VerdictError as error:
        if error.report is None:
            raise
        return refused(error, report_dir or out.with_name(f"{out.name}.report"), as_json, quiet)
    if report_dir is not None and made.report is not None:
        report_files.write(made.report, report_dir)
    finish(made.report, as_json, quiet)
    if not (as_json or quiet):
        click.echo(f"bundle: {made.path}\nreport: {made.path / 'report.html'}")
    return 0
