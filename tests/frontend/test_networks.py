"""Whole networks: one transpose at the input is all that is left of channels-last, BatchNorm is gone, and the bytes are the same every time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest
from keras.src.applications import convnext as convnext_parts
from keras.src.applications import nasnet as nasnet_parts

from tests.frontend.building import chain, export, layers, operators, stir

L = layers
SIZE = (32, 32, 3)


def block(x: Any, filters: int, stride: int) -> Any:
    """A residual block with BatchNorm, as in ResNet."""
    short = x if stride == 1 else L.BatchNormalization()(L.Conv2D(filters, 1, strides=stride, use_bias=False)(x))
    y = L.ReLU()(L.BatchNormalization()(L.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)))
    y = L.BatchNormalization()(L.Conv2D(filters, 3, padding="same", use_bias=False)(y))
    return L.ReLU()(L.Add()([short, y]))


def residual() -> Any:
    start = keras.Input(SIZE, name="x")
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(8, 7, strides=2, use_bias=False)(L.ZeroPadding2D(3)(start))))
    x = L.MaxPooling2D(3, strides=2, padding="same")(x)
    x = block(block(x, 8, 1), 16, 2)
    return keras.Model(start, L.Dense(5, activation="softmax")(L.GlobalAveragePooling2D()(x)))


def vgg() -> Any:
    return chain(SIZE, L.Conv2D(8, 3, padding="same", activation="relu"), L.MaxPooling2D(), L.Conv2D(8, 3, padding="same", activation="relu"),
                 L.MaxPooling2D(), L.Flatten(), L.Dense(16, activation="relu"), L.Dropout(0.5), L.Dense(5, activation="softmax"))


def squeeze_excite(keepdims: bool) -> Any:
    start = keras.Input(SIZE, name="x")
    x = L.Activation("silu")(L.BatchNormalization()(L.Conv2D(8, 3, strides=2, padding="same")(start)))
    gate = L.GlobalAveragePooling2D(keepdims=keepdims)(x)
    gate = gate if keepdims else L.Reshape((1, 1, 8))(gate)
    gate = L.Conv2D(8, 1, activation="sigmoid")(L.Conv2D(2, 1, activation="silu")(gate))
    x = L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same")(L.Multiply()([x, gate])))
    return keras.Model(start, L.Dense(5)(L.GlobalAveragePooling2D()(x)))


def mobile() -> Any:
    return keras.applications.MobileNetV2(weights=None, input_shape=SIZE, alpha=0.35, classes=5)


def convnext() -> Any:
    """Two blocks and the step between their stages."""
    start = keras.Input((12, 12, 3), name="x")
    x = L.LayerNormalization(epsilon=1e-6)(L.Conv2D(6, 4, strides=4)(convnext_parts.PreStem("stem")(start)))
    x = convnext_parts.ConvNeXtBlock(6, 0.1, 1e-6, "first")(x)
    x = L.Conv2D(8, 2, strides=2)(L.LayerNormalization(epsilon=1e-6)(x))
    x = convnext_parts.ConvNeXtBlock(8, 0.0, 1e-6, "second")(x)
    return keras.Model(start, convnext_parts.Head(5, name="head")(x))


def mobile_gate() -> Any:
    """A block of MobileNetV3 that narrows again: its gate is a hard sigmoid on kept axes."""
    start = keras.Input((12, 12, 3), name="x")
    x = stem = L.BatchNormalization()(L.Conv2D(6, 3, padding="same", use_bias=False)(L.Rescaling(1 / 127.5, -1.0)(start)))
    x = L.ReLU()(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", use_bias=False)(x)))
    gate = L.Conv2D(2, 1, activation="relu")(L.GlobalAveragePooling2D(keepdims=True)(x))
    gate = L.ReLU(6.0)(L.Conv2D(6, 1)(gate) + 3.0) * (1.0 / 6.0)
    x = L.BatchNormalization()(L.Conv2D(6, 1, use_bias=False)(L.Multiply()([x, gate])))
    return keras.Model(start, L.GlobalAveragePooling2D()(L.Add()([stem, x])))


def nasnet() -> Any:
    """A cell of NASNet whose second input is twice as large."""
    start = keras.Input((12, 12, 3), name="x")
    before = L.BatchNormalization()(L.Conv2D(4, 3, padding="same", use_bias=False)(start))
    here = L.BatchNormalization()(L.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(before))
    return keras.Model(start, L.GlobalAveragePooling2D()(nasnet_parts._normal_a_cell(here, before, 4, block_id="cell")[0]))


EXACT: dict[str, tuple[Any, dict[str, int]]] = {
    "MobileNetV3": (mobile_gate, {"Add": 2, "Clip": 1, "Conv": 5, "Flatten": 1, "GlobalAveragePool": 2, "Mul": 3, "Relu": 2, "Transpose": 1}),
    "NASNet": (nasnet, {"Add": 5, "AveragePool": 4, "Concat": 2, "Conv": 25, "Flatten": 1, "GlobalAveragePool": 1, "Pad": 1, "Relu": 9, "Slice": 1,
                        "Transpose": 1}),
}


@pytest.mark.parametrize("name", EXACT)
def test_a_block_has_these_operators_and_each_names_its_layer(name: str) -> None:
    make, counts = EXACT[name]
    exported = export(stir(make()))
    assert operators(exported) == counts
    assert [node.name for node in exported.graph.graph if "converter.layer" not in node.metadata_props] == []


NETWORKS: dict[str, tuple[Any, set[str]]] = {
    "residual": (residual, {"Transpose", "Conv", "Relu", "MaxPool", "Add", "GlobalAveragePool", "Flatten", "Gemm", "Softmax"}),
    "vgg": (vgg, {"Transpose", "Conv", "Relu", "MaxPool", "Reshape", "Flatten", "Gemm", "Softmax"}),
    "convolution as head": (lambda: chain(SIZE, L.Conv2D(4, 3, activation="relu"), L.GlobalAveragePooling2D(keepdims=True), L.Dropout(0.1),
                                          L.Conv2D(5, 1), L.Reshape((5,)), L.Activation("softmax")),
                            {"Transpose", "Conv", "Relu", "GlobalAveragePool", "Reshape", "Softmax"}),
    "squeeze-excite": (lambda: squeeze_excite(False), {"Transpose", "Conv", "Sigmoid", "Mul", "GlobalAveragePool", "Flatten", "Reshape", "Gemm"}),
    "squeeze-excite, axes kept": (lambda: squeeze_excite(True), {"Transpose", "Conv", "Sigmoid", "Mul", "GlobalAveragePool", "Flatten", "Reshape", "Gemm"}),
    "ConvNeXt": (convnext, {"Transpose", "Conv", "ReduceMean", "Sub", "Mul", "Add", "Sqrt", "Div", "Erf", "Neg", "Gelu", "GlobalAveragePool", "Flatten",
                            "LayerNormalization", "Gemm"}),
    "MobileNetV2": (mobile, {"Transpose", "Conv", "Clip", "Add", "GlobalAveragePool", "Flatten", "Gemm", "Softmax"}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_one_transpose_is_left_and_no_batch_norm(name: str) -> None:
    make, known = NETWORKS[name]
    kinds = operators(export(stir(make())))
    assert kinds["Transpose"] == 1
    assert set(kinds) <= known


SCRIPT = """
import sys
import keras
from converter import api
keras.utils.set_random_seed(0)
L = keras.layers
x = start = keras.Input((16, 16, 3), name="x")
for filters in (4, 6):
    x = L.ReLU(6.0)(L.BatchNormalization()(L.Conv2D(filters, 3, padding="same")(x)))
x = L.Add()([L.Conv2D(6, 1)(x), L.SeparableConv2D(6, 3, padding="same")(x)])
y = L.Dense(3, activation="softmax")(L.Flatten()(x))
api.export(keras.Model(start, {"b": y, "a": L.GlobalAveragePooling2D()(x)}), sys.argv[1])
"""


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the order of sets and the state of the process."""
    root = str(Path(__file__).parents[2])
    running = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root}
        running.append(subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / seed)], env=environment, stderr=subprocess.PIPE, text=True))
    for process in running:
        assert process.communicate(timeout=300)[1].count("Traceback") == 0
    digests = {hashlib.sha256((tmp_path / seed).read_bytes()).hexdigest() for seed in ("1", "2")}
    assert len(digests) == 1
