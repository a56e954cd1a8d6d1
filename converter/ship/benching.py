"""``bench``: several models against the first one, interleaved."""

from __future__ import annotations

from typing import Any

from converter.data import open_source
from converter.errors import UsageError
from converter.frontend.samples import parity_inputs
from converter.ship.opening import Opened, open_any
from converter.spec.quant import Array
from converter.spec.report import Report
from converter.verify.evidence import head, latency_json
from converter.verify.latency import race
from converter.verify.machine import machine, versions
from converter.verify.session import Session


def bench_models(models: list[Any], *, data: Any, threads: int, seconds: float) -> Report:
    """See ``converter.bench``."""
    if not models:
        raise UsageError("no model to time; give at least one ONNX file or bundle")
    if threads < 1 or not seconds > 0:
        raise UsageError(f"threads must be at least 1 and seconds positive, received {threads} and {seconds}")
    opened = [open_any(m) for m in models]
    if any(o.path is None for o in opened):
        raise UsageError("only ONNX files and bundles can be timed; export the Keras model first (converter export)")
    feeds = _feeds(opened[0], data)
    report = Report("bench")
    base = _session(opened[0], threads)
    report.done.append(f"timed in turn with {opened[0].path}, one sample, {threads} thread" + ("s" if threads > 1 else ""))
    rows = []
    for model in opened if len(opened) == 1 else opened[1:]:
        found = race(base, _session(model, threads), feeds, threads=threads, seconds=seconds)
        rows.append({"model": str(model.path), **latency_json(found)})
    report.numbers.update(base=str(opened[0].path), rows=rows, machine=machine(), versions=versions())
    return report


def _session(model: Opened, threads: int) -> Session:
    assert model.path is not None
    return Session(model.path, threads=threads, entries=model.entries)


def _feeds(model: Opened, data: Any) -> dict[str, Array]:
    """One sample: of the data, or random."""
    if data is not None:
        return head(open_source(data, list(model.runner.inputs)), 1).inputs
    return next(feeds for kind, feeds in parity_inputs(model.runner.inputs) if kind.endswith("batch 1"))
