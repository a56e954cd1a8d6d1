"""``inspect``: what is inside a model, without running it."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from converter.graph import io, query
from converter.ship.opening import open_any
from converter.spec.report import Report
from converter.verify.session import operators


def inspect_model(source: Any, *, unsafe: bool) -> Report:
    """See ``converter.inspect``."""
    opened = open_any(source, unsafe=unsafe)
    report = Report("inspect")
    report.numbers["model"] = {"name": opened.name, "kind": opened.kind}
    if opened.path is None:
        _keras(opened, report)
    else:
        _graph(io.load(opened.path), report)
        report.numbers["bytes"] = io.file_bytes(opened.path)
    return report


def _keras(opened: Any, report: Report) -> None:
    model = opened.keras
    layers = list(model._flatten_layers(include_self=False, recursive=True))
    kinds: dict[str, int] = {}
    for layer in layers:
        kinds[type(layer).__name__] = kinds.get(type(layer).__name__, 0) + 1
    report.numbers.update(inputs=[i.to_json() for i in opened.runner.inputs], layers=len(layers), parameters=int(model.count_params()),
                          operators=dict(sorted(kinds.items())))
    report.done.append(f"{len(layers)} layers, {int(model.count_params()):,} parameters")


def _graph(graph: ir.Model, report: Report) -> None:
    inputs, outputs = query.signature(graph)
    counts = operators(graph)
    dtypes: dict[str, int] = {}
    for value in graph.graph.initializers.values():
        tensor = value.const_value
        if tensor is not None:
            dtypes[tensor.dtype.name.lower()] = dtypes.get(tensor.dtype.name.lower(), 0) + tensor.nbytes
    report.numbers.update(inputs=[i.to_json() for i in inputs], outputs=[o.to_json() for o in outputs], opset=query.opset(graph),
                          operators=dict(sorted(counts.items())), weight_bytes=dtypes,
                          parameters=sum(v.const_value.size for v in graph.graph.initializers.values() if v.const_value is not None))
    pairs = counts["QuantizeLinear"]
    kind = f"integer graph, {pairs} quantized activations" if pairs or counts["DequantizeLinear"] else "float graph"
    report.done.append(f"{kind}: {sum(counts.values())} operators, opset {query.opset(graph)}")
