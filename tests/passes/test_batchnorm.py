"""BatchNormalization as it stands in ONNX files: spelled out, folded with the rest, and left where it is not a constant line."""

from __future__ import annotations

import numpy as np
import pytest

from converter.graph import ledger, query
from converter.passes import base, pipelines
from converter.passes.batchnorm import BatchNormToAffine
from tests.passes.golden import graph, operators, outputs, refuses, rewritten

VECTORS = {"g": (4,), "b": (4,), "m": (4,), "v": np.array([0.5, 1, 2, 3e-4], np.float32)}


@pytest.mark.parametrize("ends", ["[n,4,5,6]", "[n,4,5]", "[n,4]", "[n,4,2,3,2]"])
@pytest.mark.parametrize("attributes", ["", "<epsilon=0.25, momentum=0.5>"])
def test_it_becomes_a_product_and_a_sum(ends: str, attributes: str) -> None:
    text = f"(float{ends} x) => (float{ends} y) {{ y = BatchNormalization{attributes}(x, g, b, m, v) }}"
    assert operators(rewritten(BatchNormToAffine(), text, **VECTORS)) == "Mul Add"


def test_behind_a_convolution_it_is_gone_and_can_be_replayed() -> None:
    body = "(float[n,3,8,8] x) => (float[n,4,6,6] y) { h = Conv(x, w)  y = BatchNormalization(h, g, b, m, v) }"
    model = graph(body, w=(4, 3, 3, 3), **VECTORS)
    before = outputs(model)
    book, first = ledger.of(model), {name: query.constant(v) for name, v in model.graph.initializers.items()}
    base.run(model, pipelines.clean())
    assert operators(model) == "Conv"
    np.testing.assert_allclose(outputs(model)[0], before[0], atol=1e-6 * np.abs(before[0]).max())
    for name, value in model.graph.initializers.items():
        np.testing.assert_array_equal(book.replay(name, first), query.constant(value))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [
    "(float[n,4,5] x, float[4] g) => (float[n,4,5] y) { y = BatchNormalization(x, g, b, m, v) }",
    "(float[n,4,5] x) => (float[n,4,5] y, float[4] k, float[4] l) { y, k, l = BatchNormalization<training_mode=1>(x, g, b, m, v) }",
])
def test_a_scale_that_comes_in_and_training_are_left(text: str) -> None:
    refuses(BatchNormToAffine(), text, **{n: s for n, s in VECTORS.items() if f"float[4] {n}" not in text})
