"""Commands that look and change nothing: verify, replay, inspect, bench, targets, doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from converter import console
from converter.cli.base import DATA, common, finish, model_options, verb, verdict_code
from converter.errors import UsageError


@verb("converter verify model.keras bundle/ --data eval.npz --metric top1", DATA)
@click.argument("reference")
@click.argument("candidate")
@click.option("--data", required=True, metavar="DATA", help="What to run both on.")
@click.option("--metric", help="Task metric; needs labels.")
@click.option("--max-drop", type=float, help="Largest drop of the metric.")
@click.option("--strict", is_flag=True, help="Too few samples to be sure counts as no (exit 1).")
@model_options
@common
def verify(reference: str, candidate: str, strict: bool, as_json: bool, quiet: bool, debug: bool, **options: Any) -> int:
    """Compare two models: Keras, ONNX or bundle."""
    from converter import api

    with console.working(quiet or as_json, debug) as progress:
        report = api.verify(reference, candidate, options.pop("data"), progress=progress, **options)
    return finish(report, as_json, quiet, verdict_code(report, strict))


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
    return finish(report, as_json, quiet, verdict_code(report))


@verb("converter inspect bundle/")
@click.argument("model")
@model_options
@common
def inspect(model: str, unsafe: bool, as_json: bool, quiet: bool, debug: bool) -> int:
    """Look inside a Keras file, an ONNX file or a bundle."""
    from converter import api

    with console.working(True, debug):
        report = api.inspect(model, unsafe=unsafe)
    return finish(report, as_json, quiet)


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
    return finish(report, as_json, quiet)


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
