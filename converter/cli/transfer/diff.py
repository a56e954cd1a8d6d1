"""``converter transfer diff``."""

from __future__ import annotations

from pathlib import Path

import click

from converter import console
from converter.cli.base import common, finish, verb
from converter.cli.transfer.group import transfer


@verb("converter transfer diff bundle/ bundle2/", group=transfer)
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@common
def diff(first: Path, second: Path, as_json: bool, quiet: bool, debug: bool) -> int:
    """Show what differs between two graphs.

    FIRST and SECOND are .onnx files or bundles, float or integer: tensors by shape, codes, scale and signal to noise; operators, attributes, inputs
    and outputs. The exit code is 0 whether or not they differ.
    """
    from converter import api

    with console.working(True, debug):
        report = api.diff(first, second)
    return finish(report, as_json, quiet)
