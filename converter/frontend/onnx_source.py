"""A float ONNX file from anywhere, cleaned by the same passes and held to what the file itself computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx_ir as ir

from converter.errors import ConversionError, InputError, ParityError
from converter.frontend.export import Exported
from converter.frontend.samples import parity_inputs
from converter.graph import io, ledger, query
from converter.passes import base, pipelines
from converter.progress import Stages
from converter.spec.quant import Array
from converter.spec.report import Report
from converter.verify import compare
from converter.verify.session import Session

OLDEST = 13  # per-channel DequantizeLinear
Case = tuple[str, Mapping[str, Array], Mapping[str, Array]]  # kind of input, feeds, outputs of the file as it is


def open_onnx(path: str | Path, stages: Stages) -> Exported:
    """The clean float graph of an ONNX file.

    Raises:
        InputError: the file cannot be read.
        ConversionError: it is quantized already, or its opset is too old.
        ParityError: cleaning changed what it computes (a fault of ours).
    """
    with stages.stage("load"):
        graph = io.load(path)  # first: it refuses data outside the folder of the file, and says what is wrong in plain words
        original = Session(path)
    _check(graph, path)
    ledger.of(graph)
    with ThreadPoolExecutor(max_workers=1) as pool:
        expected = pool.submit(_cases, original)  # onnxruntime needs no Python, and cleaning nothing else
        with stages.stage("clean"):
            changes = base.run(graph, pipelines.clean())
            io.check(graph)
        with stages.stage("parity"):
            _prove(Session(graph, lean=True), expected.result(), path)
    report = Report("export")
    report.done.append(f"{graph.graph.num_nodes()} operators, opset {query.opset(graph)}, from {Path(path).name}")
    report.numbers.update(operators=graph.graph.num_nodes(), opset=query.opset(graph), passes=changes,
                          parameters=sum(v.const_value.size for v in graph.graph.initializers.values() if v.const_value is not None))
    return Exported(graph, None, report, graph.graph.name or Path(path).stem)


def _check(graph: ir.Model, path: str | Path) -> None:
    if query.opset(graph) < OLDEST:
        raise ConversionError(f"{path} has opset {query.opset(graph)}; integer graphs need {OLDEST} or newer (onnx.version_converter lifts it)")
    codes = [node.name for node in graph.graph if node.op_type in ("QuantizeLinear", "DequantizeLinear") or node.op_type.startswith("QLinear")]
    if codes:
        raise ConversionError(f"{path} is quantized already ({len(codes)} such operators, first {codes[0]!r}); a float model is needed")
    if not graph.graph.num_nodes():
        raise InputError(f"{path} has no operators")


def _cases(original: Session) -> list[Case]:
    """The same inputs for which Keras is asked."""
    return [(kind, feeds, original.run(feeds)) for kind, feeds in parity_inputs(original.inputs)]


def _prove(cleaned: Session, cases: Sequence[Case], path: str | Path) -> None:
    for kind, feeds, expected in cases:
        failures = compare.parity(expected, cleaned.run(feeds))
        if failures:
            raise ParityError(f"cleaning {path} would change what it computes ({kind}): {'; '.join(map(str, failures[:3]))}")
