"""Verbs that look and change nothing: verify, replay, inspect, bench, diff."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converter.errors import UsageError
from converter.progress import SILENT, Listener, Stages
from converter.spec.report import Report


def verify(
    reference: Any, candidate: Any, data: Any, *, metric: str | None = None, max_drop: float | None = None, unsafe: bool = False,
    progress: Listener = SILENT,
) -> Report:
    """Compare any two models on data: Keras, ONNX, or a bundle (then its deployed graph).

    The candidate is run fused, as it ships, and unfused; coverage, size and latency are measured where both are graphs.

    Args:
        reference, candidate: live ``keras.Model``, ``.keras``, ``.h5``, ``.onnx``, a bundle folder or ``module:factory``.
        data: as for :func:`quantize`; labels ``y`` are needed for a metric.
        metric: name of a task metric, for example ``top1``.
        max_drop: largest drop of the metric that counts as yes.
        unsafe, progress: as for :func:`export`.

    Returns:
        A report with a verdict: no where the candidate is wrong or the drop is too large.
    """
    from converter.ship.verifying import verify_models

    if max_drop is not None and metric is None:
        raise UsageError(f"a largest drop of {max_drop} was given, but no metric")
    return verify_models(reference, candidate, data, metric=metric, max_drop=max_drop, unsafe=unsafe, stages=Stages(progress))


def replay(bundle: str | Path) -> Report:
    """Check a bundle on this machine: files, golden outputs, and what differs from where it was shipped.

    Returns:
        A report with verdict yes or no.

    Raises:
        InputError: not a bundle.
    """
    from converter.ship.replay import replay as run

    return run(bundle)


def inspect(model: Any, *, unsafe: bool = False) -> Report:
    """What is inside a Keras model, an ONNX file or a bundle: ends, operators, parameters, grids."""
    from converter.ship.inspecting import inspect_model

    return inspect_model(model, unsafe=unsafe)


def bench(models: list[Any], *, data: Any = None, threads: int = 1, seconds: float = 2.0) -> Report:
    """Time models against the first one, interleaved in one process; ratios are what counts."""
    from converter.ship.benching import bench_models

    return bench_models(models, data=data, threads=threads, seconds=seconds)



def diff(first: str | Path, second: str | Path) -> Report:
    """What differs between two graphs, by tensor (shape, codes, scale, signal to noise) and by operator.

    Tensors are paired by name, codes counting as the float tensor that they were made of, then by who reads them, then by equal content.

    Args:
        first, second: ``.onnx`` files, or bundle folders (their deployed graph); float or integer, also one of each.

    Returns:
        A report; ``numbers["empty"]`` says whether there is no difference at all, ``numbers["tensors"]`` and ``numbers["nodes"]`` hold every one.

    Raises:
        UsageError, InputError: it is a Keras model, or cannot be read.
    """
    from converter.ship.diffing import diff_models

    return diff_models(first, second)
