"""Small float graphs as ONNX text for the tests of transfer."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.graph import edit
from tests.ship.tiny import with_weights

CNN = """
<ir_version: 8, opset_import: ["" : 17]>
cnn (float[N, 8, 16, 16] x, float k1, float b1, float g, float s, float m, float v, float k2, float b2, float wd, float bd) => (float[N, 10] y) {
    c = Conv <group = 2, kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, k1, b1)
    n = BatchNormalization (c, g, s, m, v)
    r = Relu (n)
    d = Conv <kernel_shape = [1, 1]> (r, k2, b2)
    f = Flatten (d)
    y = Gemm <transB = 1> (f, wd, bd)
}
"""


def named(model: ir.Model) -> ir.Model:
    """Node names, which the text format does not have."""
    for node in model.graph:
        node.name = node.name or f"{node.outputs[0].name}/{node.op_type}"
    return model


def cnn() -> ir.Model:
    """Grouped convolution, BatchNormalization, Relu, pointwise convolution, flattened into a dense layer."""
    vectors = {"b1": (64,), "g": (64,), "s": (64,), "m": (64,), "v": (64,), "b2": (4,), "bd": (10,)}
    return named(with_weights(CNN, k1=(64, 4, 3, 3), k2=(4, 64, 1, 1), wd=(10, 4 * 256), **vectors))


def graph(text: str, ints: dict[str, list[int]] | None = None, **shapes: tuple[int, ...]) -> ir.Model:
    """A named graph of the text; inputs of the given names become random weights, or the given integers. What nothing reads is dropped."""
    model = with_weights(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}', **shapes)
    for name, held in (ints or {}).items():
        model.graph.inputs.remove(next(v for v in model.graph.inputs if v.name == name))
        value = edit.add_initializer(model, f"{name}/held", np.array(held, np.int64))
        for node in model.graph:
            edit.set_inputs(node, [value if v is not None and v.name == name else v for v in node.inputs])
        edit.rename(model, value, name)
    edit.drop_unused(model)
    return named(model)


def numbers(model: ir.Model, name: str) -> np.ndarray:
    """Those of an initializer."""
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    return tensor.numpy()
