"""``inspect``: what is inside a model, without running it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import onnx_ir as ir

from converter.graph import io, query
from converter.ship.bundle import read
from converter.ship.opening import Opened, open_any
from converter.spec.bundle import Manifest
from converter.spec.report import Report
from converter.verify.session import operators


def inspect_model(source: Any, *, unsafe: bool) -> Report:
    """See ``converter.inspect``."""
    opened = open_any(source, unsafe=unsafe)
    report = Report("inspect")
    report.numbers["model"] = {"name": opened.name, "kind": opened.kind}
    if opened.path is None:
        _keras(opened, report)
        return report
    if opened.kind == "bundle":
        _manifest(read(opened.path.parent).manifest, report)
    _graph(io.load(opened.path), opened.path, report)
    return report


def _keras(opened: Opened, report: Report) -> None:
    model = opened.keras
    layers = list(model._flatten_layers(include_self=False, recursive=True))
    report.numbers.update(inputs=[i.to_json() for i in opened.runner.inputs], layers=len(layers), parameters=int(model.count_params()),
                          unit="layer", operators=dict(sorted(Counter(type(layer).__name__ for layer in layers).items())))
    report.done.append(f"Keras model {opened.name!r}: {len(layers)} layers, {int(model.count_params()):,} parameters")


def _manifest(manifest: Manifest, report: Report) -> None:
    """What the bundle says of itself; whether it is true, ``replay`` tells."""
    made_with = [f"{package} {manifest.versions[package]}" for package in ("onnxruntime", "converter") if package in manifest.versions]
    report.done.append(f"bundle of {manifest.name!r} for {manifest.target.get('name')}, made {manifest.created} with {' and '.join(made_with)}")
    report.done.append(f"verdict when it was shipped: {manifest.verdict}; " + "; ".join(map(str, manifest.reasons)))
    report.numbers["bundle"] = {"target": manifest.target, "recipe": manifest.recipe, "verdict": manifest.verdict, "gates": manifest.gates,
                                "metrics": manifest.metrics, "created": manifest.created, "files": manifest.files}


def _graph(graph: ir.Model, file: Path, report: Report) -> None:
    inputs, outputs = query.signature(graph)
    counts = operators(graph)
    weights = [v.const_value for v in graph.graph.initializers.values() if v.const_value is not None]
    dtypes: Counter[str] = Counter()
    for tensor in weights:
        dtypes[tensor.dtype.name.lower()] += tensor.nbytes
    report.numbers.update(inputs=[i.to_json() for i in inputs], outputs=[o.to_json() for o in outputs], opset=query.opset(graph),
                          unit="operator", operators=dict(sorted(counts.items())), weight_bytes=dict(sorted(dtypes.items())),
                          parameters=sum(tensor.size for tensor in weights), bytes=io.file_bytes(file))
    pairs = counts["QuantizeLinear"]
    kind = f"integer graph, {pairs} quantized activations" if pairs or counts["DequantizeLinear"] else "float graph"
    report.done.append(f"{kind}: {sum(counts.values())} operators, opset {query.opset(graph)}, {report.numbers['bytes']:,} bytes")
