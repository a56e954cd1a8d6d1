"""``clone``: the architecture of a model with fresh weights, proved and written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from converter.errors import UsageError
from converter.frontend import keras_source
from converter.frontend.export import export_graph
from converter.frontend.rebuild import rebuild
from converter.graph import io, ledger
from converter.progress import Stages
from converter.ship import atomic, bundle
from converter.spec.bundle import FLOAT, MANIFEST
from converter.spec.report import Report
from converter.spec.sizes import Size
from converter.transfer import liveliness
from converter.transfer.clone import clone


@dataclass(frozen=True)
class Order:
    """What the user ordered.

    Args:
        model: Keras model or ONNX graph.
        out: file to write: ``.keras`` or ``.onnx``.
        onnx: also write this ONNX file, where ``out`` is a Keras file.
        seed, classes, size: see :func:`converter.transfer.clone.clone`.
        force: replace existing files.
        unsafe: load Keras files that hold Python code.
    """

    model: Any
    out: Path
    onnx: Path | None = None
    seed: int = 0
    classes: int | None = None
    size: Size | None = None
    force: bool = False
    unsafe: bool = False


def run(order: Order, stages: Stages) -> Report:
    """Fill the order; nothing is written unless everything could be made."""
    from_keras = keras_source.is_keras(order.model)
    _check_names(order, from_keras)
    for path in filter(None, (order.out, order.onnx)):
        atomic.check_free(path, force=order.force)
    report = _of_keras(order, stages) if from_keras else _of_graph(order, stages)
    report.numbers["seconds"] = stages.seconds
    return report


def _check_names(order: Order, from_keras: bool) -> None:
    known = (".keras", ".onnx") if from_keras else (".onnx",)
    if order.out.suffix not in known:
        raise UsageError(f"a clone of a {'Keras model' if from_keras else 'graph'} is written as {' or '.join(known)}; received {order.out}")
    if order.onnx is not None and (order.onnx.suffix != ".onnx" or order.out.suffix == ".onnx"):
        raise UsageError(f"a second file is an .onnx file beside a .keras file; received {order.out} and {order.onnx}")


def _of_keras(order: Order, stages: Stages) -> Report:
    with stages.stage("load"):
        model = keras_source.open_model(order.model, unsafe=order.unsafe)
    with stages.stage("build"):
        made, report = rebuild(model, seed=order.seed, classes=order.classes, size=order.size)
    target = order.out if order.out.suffix == ".onnx" else order.onnx
    if target is not None:
        exported = export_graph(made, stages)
        report.absorb(exported.report)
        with stages.stage("run"):
            liveliness.prove(exported.graph, report)
    with stages.stage("write"):
        if target is not None:
            _wrote(report, target, atomic.write_file(target, lambda file: io.save(exported.graph, file)))
        if order.out.suffix == ".keras":
            _wrote(report, order.out, atomic.write_file(order.out, made.save))
    return report


def _of_graph(order: Order, stages: Stages) -> Report:
    with stages.stage("load"):
        graph, book = _open(order.model)
    with stages.stage("draw"):
        made, report = clone(graph, seed=order.seed, classes=order.classes, size=order.size, book=book)
    with stages.stage("run"):
        liveliness.prove(made, report)
    with stages.stage("write"):
        _wrote(report, order.out, atomic.write_file(order.out, lambda file: io.save(made, file)))
    return report


def _open(source: Any) -> tuple[ir.Model, ledger.Ledger | None]:
    """The float graph, and, where it lies in a bundle made from Keras, the ledger that says what was trained."""
    if not isinstance(source, str | Path):
        raise UsageError(f"cannot clone a {type(source).__name__}; known: keras.Model, .keras, .h5, module:factory, .onnx, bundle folder")
    path = Path(source)
    folder = path if path.is_dir() else path.parent if path.name == MANIFEST else None
    file = bundle.read(folder).float_model if folder is not None else path
    told = file.parent / MANIFEST
    if folder is None and (file.name != FLOAT or not told.is_file()):
        return io.load(file), None
    manifest = bundle.read(file.parent).manifest
    return io.load(file), ledger.from_json(manifest.folds) if manifest.places else None


def _wrote(report: Report, path: Path, size: int) -> None:
    report.numbers.setdefault("bytes", {})[str(path)] = size
    report.done.append(f"wrote {path}, {size:,} bytes")
