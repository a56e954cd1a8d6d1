"""The road: export, quantize, ship."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.errors import UsageError, VerdictError
from converter.progress import SILENT, Listener, Stages
from converter.spec.recipe import Recipe, load
from converter.spec.report import Report

if TYPE_CHECKING:
    from converter.ship.bundle import Bundle


def export(
    model: Any, path: str | Path, *, input_spec: Any = None, opset: int | None = None, axes: Mapping[str, str] | None = None, unsafe: bool = False,
    force: bool = True, progress: Listener = SILENT,
) -> Report:
    """Write a Keras model as a clean float ONNX file, proved equal to Keras.

    Args:
        model: a live ``keras.Model``, a ``.keras`` or ``.h5`` file, the folder of a SavedModel, or ``"package.module:factory"``.
        path: file to write; it appears only after the ONNX checker, onnxruntime and numeric parity have passed.
        input_spec: nested structure of objects with ``shape`` and ``dtype``, for subclassed models that were never called.
        opset: of the default ONNX domain, 13 to 23; 23 by default.
        axes: names of free axes of inputs by ``input:axis``, for example ``{"image:1": "rows"}``; by default ``batch`` and, for example,
            ``image_height``. One name for axes of several inputs says that they have one length.
        unsafe: load files that hold Python code (Lambda layers).
        force: replace an existing file.
        progress: hears about the stages.

    Returns:
        What was done, with the measured parity in ``numbers["parity"]``.

    Raises:
        InputError: the model cannot be read, or the file cannot be written.
        ConversionError: the model cannot be converted; layer and operator are named.

    Example:
        >>> converter.export("model.keras", "model.onnx")  # doctest: +SKIP
    """
    from converter.frontend.export import export_graph
    from converter.graph import io
    from converter.ship import atomic

    stages = Stages(progress)
    atomic.check_free(path, force=force)
    exported = export_graph(model, stages, input_spec=input_spec, opset=opset, unsafe=unsafe, axes=axes)
    with stages.stage("write"):
        size = atomic.write_file(path, lambda file: io.save(exported.graph, file))
    _written(exported.report, path, size)
    exported.report.numbers["seconds"] = stages.seconds
    return exported.report


def quantize(
    model: Any, calib: Any, *, target: str = "ort-cpu", recipe: str | Path | Recipe | None = None, path: str | Path | None = None,
    statistics: str | Path | None = None, unsafe: bool = False, force: bool = True, progress: Listener = SILENT,
) -> Report:
    """Make an integer ONNX file of a Keras model or a float ONNX file.

    Args:
        model: as for :func:`export`, or the path of a float ``.onnx`` file.
        calib: data: an ``.npz``, an image folder, ``"package.module:factory"``, arrays, or anything that gives batches.
        target: name of the inference target.
        recipe: a preset's name, a YAML or JSON file, or a ``Recipe``.
        path: file to write; None writes none.
        statistics: file with calibration statistics: gone on from if it exists, and written.
        unsafe, force, progress: as for :func:`export`.

    Returns:
        What runs on integers, what stayed float and why.

    Raises:
        UsageError, InputError, ConversionError.
    """
    from converter.graph import io
    from converter.quantize.road import quantize_graph
    from converter.ship import atomic

    order, stages = _order(model, path or "", target, recipe, calib, unsafe=unsafe), Stages(progress)
    if path is not None:
        atomic.check_free(path, force=force)
    exported, source = _float_and_data(order, calib, stages)
    quantized = quantize_graph(exported.graph, source, order.target, order.recipe, stages, statistics=statistics)
    report = Report("quantize")
    report.absorb(exported.report)
    report.absorb(quantized.report)
    if path is not None:
        with stages.stage("write"):
            size = atomic.write_file(path, lambda file: io.save(quantized.graph, file))
        _written(report, path, size)
    report.numbers["seconds"] = stages.seconds
    return report


def _written(report: Report, path: str | Path, size: int) -> None:
    report.numbers["bytes"] = size
    report.done.append(f"wrote {path}, {size:,} bytes")


def _order(model: Any, out: str | Path, target: str, recipe: str | Path | Recipe | None, calib: Any, **more: Any) -> Any:
    from converter.ship.road import Order
    from converter.targets import TARGETS

    return Order(model, Path(out), TARGETS.get(target), load(recipe), calib, **more)


def _float_and_data(order: Any, calib: Any, stages: Stages) -> tuple[Any, Any]:
    from converter.data import open_source
    from converter.graph import query
    from converter.ship.road import open_float

    exported = open_float(order.model, stages, order)
    return exported, open_source(calib, query.signature(exported.graph)[0])


def ship(
    model: Any, out: str | Path, *, target: str = "ort-cpu", calib: Any, eval: Any = None, metric: str | None = None, max_drop: float | None = None,
    recipe: str | Path | Recipe | None = None, tune: Any = None, want: str = "smaller", strict: bool = False, force: bool = False,
    unsafe: bool = False, statistics: str | Path | None = None, input_spec: Any = None, on_report: Any = None, command: str = "",
    progress: Listener = SILENT,
) -> Bundle:
    """Export, quantize, verify and ship a model as one bundle; nothing is written unless the verdict allows it.

    Args:
        model: as for :func:`quantize`.
        out: folder of the bundle.
        target: name of the inference target.
        calib: calibration data, no labels needed.
        eval: evaluation data with labels, needed for a metric.
        metric: name of the task metric, for example ``top1``.
        max_drop: largest drop, in points of 100 for shares, else in the metric's unit.
        recipe: preset, file or ``Recipe``.
        tune: training data for fine-tuning; not available yet.
        want: ``smaller``, ``faster`` or ``both``: what the integer model must be, or the verdict is no.
        strict: an undecided verdict (too few samples to be sure) counts as no.
        force: replace an existing bundle.
        unsafe, statistics, input_spec, progress: as for :func:`export` and :func:`quantize`.
        on_report: called with the report whatever the verdict.
        command: noted in the report as the way to run this again.

    Returns:
        The bundle, with its report.

    Raises:
        VerdictError: the verdict is no; its ``report`` attribute says why. Nothing was written.
        UsageError, InputError, ConversionError.
    """
    from converter.ship import road
    from converter.ship.gates import Gates

    if tune is not None:
        raise UsageError("fine-tuning (tune) is not available in this version; leave it out")
    reports: list[Report] = []

    def heard(report: Report) -> None:
        reports.append(report)
        if on_report is not None:
            on_report(report)

    order = _order(model, out, target, recipe, calib, eval=eval, metric=metric, gates=Gates(max_drop, want, strict), force=force, unsafe=unsafe,
                   statistics=None if statistics is None else Path(statistics), command=command, on_report=heard, input_spec=input_spec)
    try:
        return road.ship(order, Stages(progress))
    except VerdictError as error:
        error.report = reports[-1] if reports else None
        raise
