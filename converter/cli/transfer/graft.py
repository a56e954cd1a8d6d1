"""``converter transfer graft``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from converter import console
from converter.cli.base import DATA, common, finish, verb
from converter.cli.transfer.group import transfer


@verb("converter transfer graft head.onnx bundle/ --at pool -o grafted.onnx",
      "NAME: a tensor, a node, or a Keras layer, looked for in this order; converter inspect and any viewer of ONNX files show them.", DATA,
      group=transfer)
@click.argument("donor", type=click.Path(path_type=Path))
@click.argument("recipient", type=click.Path(path_type=Path))
@click.option("--at", required=True, metavar="NAME", help="Seam of the recipient.")
@click.option("--donor-at", metavar="NAME", help="Seam of the donor; by default its only input (head) or its only output (backbone).")
@click.option("--take", type=click.Choice(["head", "backbone"]), default="head", show_default=True, help="What is taken from the donor.")
@click.option("--transpose", type=click.Choice(["channels-last", "channels-first"]), help="Transpose at the seam to what the head wants.")
@click.option("--data", metavar="DATA", help="Prove the result on this; on random inputs otherwise.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="ONNX file to write.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@common
def graft(donor: Path, recipient: Path, out: Path, as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    """Put the head of DONOR on the backbone of RECIPIENT, or its backbone under the head.

    Both are ONNX files or bundles, float or integer; they stay as they are. The result is proved equal to running the two parts in sequence.
    """
    from converter import api

    with console.working(quiet or as_json, debug) as progress:
        report = api.graft(donor, recipient, out, progress=progress, **options)
    return finish(report, as_json, quiet)
