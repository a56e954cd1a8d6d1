"""``converter transfer restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from converter import console
from converter.cli.base import DATA, common, finish, model_options, verb
from converter.cli.transfer.group import transfer


@verb("converter transfer restore tuned.onnx model.keras -o restored.keras", DATA, group=transfer)
@click.argument("graph", type=click.Path(path_type=Path))
@click.argument("model")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="File to write: .keras, or .weights.h5 for the weights alone.")
@click.option("--by", type=click.Choice(["auto", "name", "structure", "value", "map"]), default="auto", show_default=True,
              help="What pairs tensors: names held against structure, then structure; one of them alone; or equal numbers.")
@click.option("--map", "rules", multiple=True, metavar="OLD=NEW", help="Name in GRAPH to name in MODEL, such as 'old/*=new/*'; goes before --by.")
@click.option("--map-file", type=click.Path(path_type=Path), help="The same from a JSON or YAML file.")
@click.option("--data", metavar="DATA", help="Compare both on this as well; random inputs are always tried.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@model_options
@common
def restore(graph: Path, model: str, out: Path, rules: tuple[str, ...], map_file: Path | None, as_json: bool, quiet: bool, debug: bool,
            **options: Any) -> int:
    """Bring the weights of GRAPH back into the Keras MODEL, folds undone.

    GRAPH is an ONNX file, float or integer (its weights are dequantized), or a bundle (its float graph). MODEL is a Keras file or
    module:factory of the same architecture; it stays as it is.
    """
    from converter import api
    from converter.transfer import naming

    mapping = {**(naming.read_map(map_file) if map_file else {}), **naming.read_rules(rules)}
    with console.working(quiet or as_json, debug) as progress:
        report = api.restore(graph, model, out, mapping=mapping, progress=progress, command=click.get_current_context().obj, **options)
    return finish(report, as_json, quiet)
