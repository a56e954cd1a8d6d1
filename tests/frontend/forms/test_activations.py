"""Activations are one operator where ONNX has one; what has none at an opset is in the form that onnxruntime fuses."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from converter.frontend.forms.activations import GELU_FROM, HARD_SWISH_FROM
from converter.verify.session import Session, optimised
from tests.frontend.building import branches, chain, export, layers, operators
from tests.frontend.forms.inside import calling

L, ops = layers, keras.ops


def every() -> dict[str, Any]:
    """All activations that have a form, in the settings that change them."""
    functions = {
        "gelu": keras.activations.gelu, "tanh": lambda x: ops.gelu(x, approximate=True), "silu": ops.silu,
        "hard sigmoid": ops.hard_sigmoid, "hard silu": ops.hard_silu, "sparse": ops.sparse_sigmoid, "celu": lambda x: ops.celu(x, 0.7),
        "elu": lambda x: ops.elu(x, 0.7), "soft": lambda x: ops.soft_shrink(x, 0.3), "hard": lambda x: ops.hard_shrink(x, 0.7),
        "threshold": lambda x: ops.threshold(x, 0.3, 0), "other": lambda x: ops.threshold(x, 0.3, 2.0),
    }
    axes = {f"axes {axes}": L.Softmax(axis=axes) for axes in ((1, 2), (1, 3), (3, 2))}
    return {name: calling(f) for name, f in functions.items()} | axes | {"prelu": L.PReLU(), "shared": L.PReLU(shared_axes=[1, 2])}


@pytest.mark.parametrize("opset", [13, 20])
def test_every_activation(opset: int) -> None:
    found = operators(export(branches((3, 5, 4), every()), opset=opset))
    single = {"HardSigmoid": 2, "Celu": 1, "Elu": 1, "Shrink": 2, "ThresholdedRelu": 1, "PRelu": 2, "Softmax": 3}
    single |= {"Gelu": 2} if opset >= GELU_FROM else {"Erf": 1}
    single |= {"HardSwish": 1} if opset >= HARD_SWISH_FROM else {"HardSigmoid": 2}
    assert {kind: found.get(kind) for kind in single} == single


def test_onnxruntime_fuses_the_pieces() -> None:
    exported = export(chain((5,), calling(ops.silu), L.Dense(4), calling(lambda x: ops.gelu(x, approximate=False))))
    assert [node.op_type for node in optimised(exported.graph).graph] == ["QuickGelu", "Gemm", "Gelu"]


@pytest.mark.parametrize("approximate", [True, False])
def test_pieces_of_gelu_to_the_last_digits(approximate: bool) -> None:
    model = chain((81,), calling(lambda x: ops.gelu(x, approximate=approximate)))
    x = np.linspace(-4, 4, 81, dtype=np.float32)[None]
    (got,) = Session(export(model, opset=13).graph).run({"x": x}).values()
    assert np.abs(got - np.asarray(model(x))).max() < 1e-6  # a digit off in a constant costs 1e-5
