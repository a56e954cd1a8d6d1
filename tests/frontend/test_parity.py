"""The judge is tried on wrong graphs: each is refused, and no file is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest

from converter import api
from converter.errors import ConversionError, ParityError
from converter.frontend import export as export_module
from converter.frontend import parity
from converter.passes.base import GraphPass
from converter.passes.pipelines import clean
from tests.frontend.building import IMAGE, chain, export, layers, left_over


def network() -> Any:
    return chain(IMAGE, layers.Conv2D(5, 3, activation="relu", name="first"), layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization(),
                 layers.ReLU(6.0), layers.GlobalAveragePooling2D(), layers.Dense(4, activation="softmax", name="probabilities"))


def changed(op_type: str, index: int, change: Callable[[Any], Any]) -> Callable[[ir.Model], None]:
    """A function that changes input ``index`` of the first ``op_type``."""

    def apply(model: ir.Model) -> None:
        node = next(n for n in model.graph if n.op_type == op_type)
        value = node.inputs[index]
        assert value is not None and value.const_value is not None
        value.const_value = ir.tensor(np.ascontiguousarray(change(value.const_value.numpy().copy())), name=value.name)

    return apply


def channel(array: Any) -> Any:
    array[1] *= 1.05
    return array


def one_weight(array: Any) -> Any:
    array.reshape(-1)[7] *= -1
    return array


def stride(model: ir.Model) -> None:
    node = next(n for n in model.graph if n.op_type == "Conv")
    node.attributes["pads"] = ir.AttrInt64s("pads", [1, 1, 1, 1])


def relu(model: ir.Model) -> None:
    next(n for n in model.graph if n.op_type == "Relu").op_type = "Identity"


WRONG: dict[str, Callable[[ir.Model], None]] = {
    "sign of all weights": changed("Conv", 1, lambda w: -w),
    "sign of one weight": changed("Conv", 1, one_weight),
    "one channel 5 % off": changed("Conv", 1, channel),
    "1 % off": changed("Conv", 1, lambda w: w * 1.01),
    "transposed kernel": changed("Conv", 1, lambda w: w.transpose(0, 1, 3, 2)),
    "mirrored kernel": changed("Conv", 1, lambda w: w[:, :, ::-1]),
    "rolled bias": changed("Conv", 2, lambda b: np.roll(b, 1)),
    "no bias": changed("Gemm", 2, np.zeros_like),
    "swapped classes": changed("Gemm", 1, lambda w: w[:, ::-1]),
    "NaN": changed("Gemm", 1, lambda w: w * np.nan),
    "padding": stride,
    "lost activation": relu,
}


class Sabotage(GraphPass):
    """A pass that breaks the graph."""

    def __init__(self, change: Callable[[ir.Model], None]) -> None:
        super().__init__()
        self.change = change

    def rewrite(self, model: ir.Model) -> int:
        self.change(model)
        return 1


@pytest.fixture(scope="module")
def model() -> Any:
    return network()


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_graph_is_refused_and_no_file_is_left(case: str, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module.pipelines, "clean", lambda: [*clean(), Sabotage(WRONG[case])])
    with pytest.raises(ParityError, match=r"does not compute what Keras computes.*output 'probabilities"):
        api.export(model, tmp_path / "m.onnx")
    assert left_over(tmp_path) == []


def test_a_right_graph_is_not(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module.pipelines, "clean", lambda: [*clean(), Sabotage(lambda m: None)])
    api.export(model, tmp_path / "m.onnx")
    assert left_over(tmp_path) == ["m.onnx"]


def test_an_existing_file_survives_a_wrong_graph(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").write_text("old")
    monkeypatch.setattr(export_module.pipelines, "clean", lambda: [*clean(), Sabotage(WRONG["1 % off"])])
    with pytest.raises(ParityError):
        api.export(model, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_text() == "old"


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("case", ["sign of all weights", "transposed kernel", "swapped classes"])
def test_probabilities_that_are_all_alike_hide_nothing(case: str, activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network of an untrained classifier: logits near zero, so that every probability is the same whatever the layers do."""
    start = keras.Input(IMAGE, name="x")
    small = keras.initializers.RandomNormal(stddev=1e-5, seed=1)
    value = layers.GlobalAveragePooling2D()(layers.Conv2D(5, 3, kernel_initializer=small)(start))
    model = keras.Model(start, layers.Dense(4, activation=activation, kernel_initializer=small, bias_initializer="ones", use_bias=False)(value))
    assert export(model).report.numbers["parity"]["relative"] < 1
    monkeypatch.setattr(export_module.pipelines, "clean", lambda: [*clean(), Sabotage(WRONG[case])])
    with pytest.raises(ParityError, match="before its activation"):
        export(model)


def test_the_message_names_uncommon_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = chain(IMAGE, layers.Conv2D(4, 1), layers.UpSampling2D(2, name="bigger"), layers.Conv2D(2, 1))
    monkeypatch.setattr(export_module.pipelines, "clean", lambda: [*clean(), Sabotage(WRONG["sign of all weights"])])
    with pytest.raises(ParityError, match=r"Layers with uncommon operators: bigger \(Resize\)"):
        export(model)


def test_what_keras_itself_cannot_run_is_refused_with_the_layer(tmp_path: Path) -> None:
    model = chain((3, 3), layers.Activation(keras.ops.inv, name="first"))  # one of the inputs is a matrix of ones
    with pytest.raises(ConversionError, match=r"nothing can be proved.*at .*first.*/MatrixInverse: Input is not invertible"):
        api.export(model, tmp_path / "m.onnx")
    assert left_over(tmp_path) == []


def test_the_least_precise_type_is_found_inside() -> None:
    assert parity.least_precise(chain((4,), layers.Dense(2))) is None
    assert parity.least_precise(chain((4,), layers.Dense(2), layers.Dense(2, dtype="mixed_float16"))) == "float16"
    assert parity.least_precise(chain((4,), layers.Dense(2, dtype="mixed_bfloat16"), layers.Dense(2, dtype="mixed_float16"))) == "bfloat16"


def test_rounding_is_judged_kindly_only_where_the_logits_are_compared_too() -> None:
    want = (0.001 + 1e-9 * np.random.default_rng(0).normal(size=(2, 1000))).astype(np.float32)
    got = {"y": want + np.float32(20 * 2.0**-23 * 0.001)}
    assert parity._compare({"y": want}, got, set(), None)
    assert parity._compare({"y": want}, got, {"y"}, None) == []
    assert parity._compare({"y": want}, {"z": want}, {"y"}, None)
