"""A round trip over node tests of the ONNX backend suite: bytes to graph to bytes, the same protobuf and the same numbers."""

from __future__ import annotations

import importlib
import warnings
from collections import Counter

import numpy as np
import onnx
import onnx.backend.test.case.node as suite
import pytest

from converter.graph import io
from converter.verify.session import Session

MODULES = ("abs", "batch_normalization", "clip", "concat", "constant", "constantofshape", "conv", "convtranspose", "dequantizelinear",
           "dropout", "flatten", "gemm", "if_", "loop", "lstm", "matmul", "maxpool", "pad", "quantizelinear", "reducemean", "split", "squeeze",
           "topk", "where")
NUMBERS = ("Conv", "Gemm", "Pad", "ReduceMean", "Clip", "ConvTranspose", "Squeeze")


def _collect() -> list:
    """The first six cases of every module (importing one makes its cases; making all of the suite takes long)."""
    for module in MODULES:
        importlib.import_module(f"onnx.backend.test.case.node.{module}")
    count, found = Counter[str](), []
    for case in suite._NodeTestCases:
        kind = case.model.graph.node[0].op_type
        if "expanded" not in case.name and count[kind] < 6:
            count[kind] += 1
            found.append(case)
    assert len(count) >= len(MODULES)
    return found


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    CASES = tuple(_collect())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_round_trip(case: object) -> None:
    proto = case.model
    read = io.from_bytes(proto.SerializeToString())
    again = onnx.load_from_string(io.to_bytes(read))
    assert [_bare(n) for n in again.graph.node] == [_bare(n) for n in proto.graph.node]
    assert list(again.graph.input) == list(proto.graph.input) and list(again.graph.output) == list(proto.graph.output)
    assert list(again.opset_import) == list(proto.opset_import)
    onnx.checker.check_model(again)


def _bare(node: onnx.NodeProto) -> tuple:
    attributes = sorted((a.name, a.type, len(a.g.node)) if a.HasField("g") else (a.name, a.type, onnx.helper.get_attribute_value(a).__repr__())
                        for a in node.attribute)
    return node.op_type, node.domain, list(node.input), list(node.output), attributes


@pytest.mark.parametrize("case", [c for c in CASES if c.model.graph.node[0].op_type in NUMBERS],
                         ids=lambda case: case.name)
def test_the_numbers_of_the_suite(case: object) -> None:
    """What is read and written again still computes what the suite says (opsets that onnxruntime knows)."""
    if case.model.opset_import[0].version > 23:
        case.model.opset_import[0].version, case.model.ir_version = 23, 10
    session = Session(io.from_bytes(case.model.SerializeToString()), optimise=False)
    for inputs, outputs in case.data_sets[:1]:
        got = session.run({i.name: np.asarray(x) for i, x in zip(session.inputs, inputs, strict=True)})
        for ours, theirs in zip(got.values(), outputs, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
