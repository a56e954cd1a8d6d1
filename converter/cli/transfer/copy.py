"""``converter transfer copy``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from converter import console
from converter.cli.base import DATA, common, finish, model_options, verb
from converter.cli.transfer.group import transfer
from converter.errors import UsageError


@verb("converter transfer copy retrained.onnx shipped.onnx -o new.onnx", DATA, group=transfer)
@click.argument("donor")
@click.argument("recipient", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="ONNX file to write; a folder where RECIPIENT is a bundle.")
@click.option("--dry-run", is_flag=True, help="Only list the pairs, what would be converted, and what is left (exit 2 if something is).")
@click.option("--by", type=click.Choice(["auto", "name", "structure", "value", "map"]), default="auto", show_default=True,
              help="What pairs parameters: names held against structure, then structure; one of them alone; or equal numbers.")
@click.option("--map", "rules", multiple=True, metavar="OLD=NEW", help="Donor's name to recipient's, such as 'old/*=new/*'; goes before --by.")
@click.option("--map-file", type=click.Path(path_type=Path), help="The same from a JSON or YAML file, as --save-map writes it.")
@click.option("--save-map", type=click.Path(path_type=Path), help="Write the pairs to this JSON file.")
@click.option("--select", multiple=True, metavar="GLOB", help="Copy only what matches, by name or layer path.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out what matches.")
@click.option("--factor", type=float, default=1.0, show_default=True, help="Share of the donor; the rest is the recipient's own.")
@click.option("--grid", type=click.Choice(["fresh", "frozen"]), default="fresh", show_default=True,
              help="Integer weights get a scale for their new numbers, or keep the one that is there (clipping is counted).")
@click.option("--partial", is_flag=True, help="Copy what fits, though something has no partner.")
@click.option("--data", metavar="DATA", help="Compare with the donor on this; on random inputs otherwise.")
@click.option("--no-proof", is_flag=True, help="Do not require that the result computes what the donor computes.")
@click.option("--force", is_flag=True, help="Replace an existing file or bundle.")
@model_options
@common
def copy(donor: str, recipient: Path, out: Path | None, dry_run: bool, rules: tuple[str, ...], map_file: Path | None, no_proof: bool,
         as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    """Copy the weights of DONOR into the graph RECIPIENT.

    DONOR is a Keras or ONNX file, a bundle (its float graph) or module:factory; RECIPIENT an ONNX file, float or integer, from anywhere, or a
    bundle. Layouts and grids are converted, and the result is held to the donor.
    """
    from converter import api
    from converter.transfer import naming

    if dry_run == (out is not None):
        raise UsageError("give either -o, to write, or --dry-run, to look; " + ("both were received" if dry_run else "neither was received"))
    mapping = {**(naming.read_map(map_file) if map_file else {}), **naming.read_rules(rules)}
    with console.working(quiet or as_json, debug) as progress:
        report = api.copy_weights(donor, recipient, out, mapping=mapping, proof=not no_proof, command=click.get_current_context().obj,
                                  progress=progress, **options)
    return finish(report, as_json, quiet, 2 if dry_run and not report.numbers["whole"] and not options["partial"] else 0)
