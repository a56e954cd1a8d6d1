"""Small graphs for the tests of the runtime side."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.data import open_source
from converter.graph import io, query
from converter.progress import SILENT, Stages
from converter.quantize.road import Quantized, quantize_graph
from converter.spec.quant import Array
from converter.spec.recipe import Recipe
from converter.targets import TARGETS

CNN = """
<ir_version: 10, opset_import: ["" : 18]>
cnn (float[batch, 3, 8, 8] image) => (float[batch, 5] scores) {
    hidden = Conv <pads = [1, 1, 1, 1]> (image, kernel, bias)
    active = Relu (hidden)
    pooled = GlobalAveragePool (active)
    flat = Flatten <axis = 1> (pooled)
    scores = Gemm (flat, dense, offset)
}
"""


def cnn(seed: int = 0) -> ir.Model:
    """Conv, Relu, GlobalAveragePool, Flatten, Gemm with random weights; the layers carry Keras paths."""
    rng = np.random.default_rng(seed)
    model = io.from_text(CNN)
    shapes = {"kernel": (8, 3, 3, 3), "bias": (8,), "dense": (8, 5), "offset": (5,)}
    for node in model.graph:
        node.name = f"net/{node.op_type}"
        node.metadata_props[query.LAYER_KEY] = {"Conv": "net/conv", "Gemm": "net/dense"}.get(node.op_type, "net/other")
    values = {v.name: v for node in model.graph for v in node.inputs if v is not None}
    for name, shape in shapes.items():
        values[name].const_value = ir.tensor(rng.normal(0, 0.5, shape).astype(np.float32), name=name)
        values[name].type, values[name].shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(shape)
        model.graph.register_initializer(values[name])
    io.infer_shapes(model)
    return model


def images(count: int, seed: int = 1) -> Array:
    """Random float32 images ``(count, 3, 8, 8)``."""
    return np.random.default_rng(seed).normal(0, 1, (count, 3, 8, 8)).astype(np.float32)


def quantized(model: ir.Model, count: int = 32) -> Quantized:
    """``model`` on integers for ort-cpu, calibrated on random images."""
    source = open_source(images(count), query.signature(model)[0])
    return quantize_graph(model, source, TARGETS.get("ort-cpu"), Recipe(), Stages(SILENT))


