"""One sweep: run the float graph over the data and gather statistics of every probed tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import onnx_ir as ir

from converter.calibrate.probing import Probe, Reduced, Whole, probed
from converter.calibrate.statistics import Statistics
from converter.data import Batch, Source
from converter.errors import InputError
from converter.graph import query
from converter.spec.quant import Array
from converter.verify.session import Session

ELEMENTS = 32_000_000  # elements of observed tensors in a batch: 128 MB of float32 if all were held at a time
LARGEST_BATCH = 64


def collect(
    model: ir.Model, probes: Sequence[Probe], source: Source, *, seen: Mapping[str, Statistics] | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> dict[str, Statistics]:
    """Statistics of every probe over all samples of ``source``.

    Every batch has the same size (the last one is filled up and the filling is not counted), so that a sample meets the
    same kernels wherever it stands in the data.

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
    session = Session(graph, observing=True)
    size = batch_size(model, probes)
    totals: dict[str, Statistics] = dict(seen or {})
    count = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        for batch in source.batches(size):
            outputs = session.run(filled(batch, size))
            list(pool.map(partial(_update, totals, outputs, len(batch)), readers))
            count += len(batch)
            progress(len(batch))
    if count == 0:
        raise InputError(f"{source.name} holds no sample to calibrate with")
    return {name: totals[name] for name in dict.fromkeys([*(seen or {}), *(p.name for p in probes)])}  # threads came in any order


def _update(totals: dict[str, Statistics], outputs: Mapping[str, Array], count: int, reader: Whole | Reduced) -> None:
    name = reader.probe.name
    try:
        seen = reader.read(outputs, count)
        if name not in totals:
            totals[name] = Statistics(0 if seen.means is None else seen.means.shape[1])
        totals[name].add(seen)
    except InputError as error:
        raise InputError(f"tensor {name}: {error}; the model or the calibration data are not usable as they are") from error


def filled(batch: Batch, size: int) -> dict[str, Array]:
    """The inputs of ``batch``, its last sample repeated up to ``size`` samples."""
    missing = size - len(batch)
    if missing <= 0:
        return batch.inputs
    return {name: np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) for name, x in batch.inputs.items()}


def batch_size(model: ir.Model, probes: Sequence[Probe]) -> int:
    """How many samples are run at a time: as many as keep the observed tensors under ELEMENTS, from 1 to LARGEST_BATCH."""
    fixed = [query.shape_of(v) for v in query.true_inputs(model)]
    if any(shape and shape[0] is not None for shape in fixed):
        return next(int(shape[0]) for shape in fixed if shape and shape[0] is not None)
    values = {query.name_of(v): v for node in model.graph for v in node.outputs} | {query.name_of(v): v for v in model.graph.inputs}
    shapes = [query.shape_of(values[p.name]) for p in probes]
    total = sum(math.prod(d or 64 for d in shape[1:]) for shape in shapes if shape)
    return int(np.clip(ELEMENTS // max(total, 1), 1, LARGEST_BATCH))
