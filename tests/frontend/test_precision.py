"""Types beside float32: half floats and doubles arrive as they are, bfloat16 is refused.

Of what Keras quantized, int8 stays int8 and is exact, float8 is refused, and fewer bits are said to be unpacked.
"""

from __future__ import annotations

import onnx_ir as ir
import pytest

from converter.errors import ConversionError
from converter.frontend import precision
from converter.graph import query
from tests.frontend.building import branches, chain, export, layers, operators

pytestmark = pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")  # Keras says so of every InputLayer


def test_int8_layers_keep_their_codes_and_compute_what_keras_computes() -> None:
    model = branches((5, 6), {"dense": [layers.Dense(8, activation="relu", name="a"), layers.Dense(3, use_bias=False, name="b")],
                              "einsum": layers.EinsumDense("abc,cde->abde", (5, 2, 4), bias_axes="e", name="c")})
    model.quantize("int8")
    exported = export(model)
    weights = exported.graph.graph.initializers
    assert operators(exported)["MatMulInteger"] == 3
    assert all(weights[name].dtype == ir.DataType.INT8 for name in ("a/kernel", "b/kernel"))
    assert exported.report.numbers["parity"]["relative"] < 1e-6 and exported.report.warnings == []
    assert exported.report.numbers["parameters"] >= 6 * 8 + 8 * 3 + 6 * 8


def test_int8_embeddings_keep_their_codes() -> None:
    model = chain((5,), layers.Embedding(11, 6, name="e"), dtype="int32")
    model.quantize("int8")
    exported = export(model)
    assert exported.graph.graph.initializers["e/embeddings"].dtype == ir.DataType.INT8
    assert exported.report.numbers["parity"]["relative"] == 0


def test_int4_is_exact_and_said_to_be_unpacked() -> None:
    model = chain((6,), layers.Dense(8, name="a"), layers.ReLU())
    model.quantize("int4")
    exported = export(model)
    assert exported.report.warnings == ["weights of fewer than 8 bits are unpacked, in float32 where a product with them is one operator: a (int4)"]


def test_float8_is_refused_with_every_layer() -> None:
    model = chain((6,), layers.Dense(8, name="a"), layers.ReLU(), layers.Dense(3, name="b"))
    assert precision.check(model) == []
    model.quantize("float8")
    with pytest.raises(ConversionError, match=r"computes in float8 in a, b, for which.*int8"):
        export(model)


@pytest.mark.parametrize("policy", ["float16", "mixed_float16", "float64"])
def test_other_floats_arrive_as_keras_has_them(policy: str) -> None:
    steps = {"y": [layers.Dense(8, dtype=policy), layers.LayerNormalization(dtype=policy), layers.ReLU(dtype=policy), layers.Dense(3, dtype=policy)]}
    exported = export(branches((6,), steps))
    assert query.signature(exported.graph)[1][0].dtype == policy.removeprefix("mixed_")
    assert exported.report.numbers["parity"]["relative"] < (1e-2 if "16" in policy else 1e-12)
    assert exported.report.numbers["parameters"] >= 6 * 8 + 8 * 3


def test_bfloat16_is_refused_with_every_layer_and_advice() -> None:
    model = chain((6,), layers.Dense(8, name="a", dtype="mixed_bfloat16"), layers.ReLU(name="r"), layers.Dense(3, name="b", dtype="bfloat16"))
    with pytest.raises(ConversionError, match=r"computes in bfloat16 in a, b, for which.*float32 or mixed_float16"):
        export(model)
