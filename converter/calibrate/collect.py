"""One sweep: run the float graph over the data and gather statistics of every probed tensor."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converter.calibrate.ahead import ahead
from converter.calibrate.probing import Probe, Reduced, Whole, probed
from converter.calibrate.statistics import Observation, Statistics
from converter.data import Batch, Source
from converter.errors import InputError
from converter.graph import query
from converter.spec.quant import Array
from converter.verify.session import Session

ELEMENTS = 16_000_000  # elements of observed tensors in a batch: 64 MB of float32 if all were held at a time
LARGEST_BATCH = 64
MOST_WORKERS = 8


@dataclass(frozen=True)
class Pace:
    """How a sweep goes: samples in a batch, batches under way at a time, and threads inside each of them."""

    batch: int
    workers: int
    threads: int


def collect(
    model: ir.Model, probes: Sequence[Probe], source: Source, *, seen: Mapping[str, Statistics] | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> dict[str, Statistics]:
    """Statistics of every probe over all samples of ``source``.

    Every batch has the same size (the last one is filled up and the filling is not counted), so that a sample meets the
    same kernels wherever it stands in the data. Several batches are under way at a time: two batches on a core each are sooner done
    than one after the other on both, and the statistics of one are counted while the next ones run.

    Args:
        model: the float graph.
        probes: tensors to observe.
        source: the data; read once.
        seen: statistics of an earlier sweep to go on from.
        progress: called with the number of samples of every batch.

    Raises:
        InputError: a tensor becomes NaN or infinite, or there is no sample.
    """
    graph, readers = probed(model, probes)
    pace = pace_of(model, probes)
    session = Session(graph, threads=pace.threads, observing=True)
    totals: dict[str, Statistics] = dict(seen or {})
    count = 0

    def look(batch: Batch) -> tuple[int, list[Observation]]:
        outputs = session.run(filled(batch, pace.batch))
        return len(batch), [_read(reader, outputs, len(batch)) for reader in readers]

    for samples, observations in ahead(look, source.batches(pace.batch), pace.workers):
        for reader, observation in zip(readers, observations, strict=True):
            _add(totals, reader.probe.name, observation)
        count += samples
        progress(samples)
    if count == 0:
        raise InputError(f"{source.name} holds no sample to calibrate with")
    return totals


def _read(reader: Whole | Reduced, outputs: Mapping[str, Array], count: int) -> Observation:
    try:
        return reader.read(outputs, count)
    except InputError as error:
        raise _unusable(reader.probe.name, error) from error


def _add(totals: dict[str, Statistics], name: str, seen: Observation) -> None:
    if name not in totals:
        totals[name] = Statistics(0 if seen.means is None else seen.means.shape[1])
    try:
        totals[name].add(seen)
    except InputError as error:
        raise _unusable(name, error) from error


def _unusable(name: str, error: InputError) -> InputError:
    return InputError(f"tensor {name}: {error}; the model or the calibration data are not usable as they are")


def filled(batch: Batch, size: int) -> dict[str, Array]:
    """The inputs of ``batch``, its last sample repeated up to ``size`` samples."""
    missing = size - len(batch)
    if missing <= 0:
        return batch.inputs
    return {name: np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) for name, x in batch.inputs.items()}


def pace_of(model: ir.Model, probes: Sequence[Probe]) -> Pace:
    """As many samples in a batch as keep the observed tensors under ELEMENTS, from 1 to LARGEST_BATCH; a fixed batch stays as it is.

    As many batches at a time as keep them under twice ELEMENTS, at most one a core; the cores are shared out among them.
    """
    a_sample = max(_observed(model, probes), 1)
    fixed = [shape[0] for v in query.true_inputs(model) if (shape := query.shape_of(v)) and shape[0] is not None]
    batch = int(fixed[0]) if fixed else int(np.clip(ELEMENTS // a_sample, 1, LARGEST_BATCH))
    workers = int(np.clip(2 * ELEMENTS // (a_sample * batch), 1, min(_cores(), MOST_WORKERS)))
    return Pace(batch, workers, max(_cores() // workers, 1))


def _observed(model: ir.Model, probes: Sequence[Probe]) -> int:
    """Elements of all observed tensors of one sample; an axis that is free counts as 64."""
    values = {query.name_of(v): v for node in model.graph for v in node.outputs} | {query.name_of(v): v for v in model.graph.inputs}
    shapes = [query.shape_of(values[p.name]) for p in probes]
    return sum(math.prod(d or 64 for d in shape[1:]) for shape in shapes if shape)


def _cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
