"""The float twin of an integer graph: its weights are the dequantized ones, its activations are not quantized."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from converter.graph import edit, query
from converter.transfer import parameters


def float_twin(model: ir.Model, without: Collection[str] = ()) -> ir.Model:
    """A copy of ``model`` without QuantizeLinear and DequantizeLinear; a float graph is copied as it is, weights shared.

    Args:
        model: an integer graph, or a float one.
        without: initializers that are biases, which the copy does not have.

    Raises:
        ConversionError: weights lie on a grid that is not known here (see ``parameters.of``).
    """
    copy = model.clone()
    copy.meta.clear()
    for parameter in parameters.of(copy):
        if query.name_of(parameter.value) in without:
            for node in parameter.readers:
                edit.set_inputs(node, node.inputs[:2])
        elif parameter.grid is not None and parameter.grid.codes:
            _dequantize(copy, parameter)
    for node in list(copy.graph):
        if query.is_standard(node, "DequantizeLinear"):
            maker = query.producer_of(node.inputs[0], "QuantizeLinear")
            if maker is not None and maker.inputs[0] is not None:
                edit.replace(node.outputs[0], maker.inputs[0])
    edit.drop_unused(copy)
    return copy


def _dequantize(model: ir.Model, parameter: parameters.Parameter) -> None:
    """Let what reads a parameter through DequantizeLinear read float numbers."""
    codes = query.constant(parameter.value)
    readers = [use.node for use in parameter.value.uses() if query.is_standard(use.node, "DequantizeLinear") and use.idx == 0]
    if codes is None or parameter.grid is None or not readers:
        return
    value = edit.add_initializer(model, f"{parameter.name}/float", parameter.grid.params.dequantize(codes))
    for node in readers:
        edit.replace(node.outputs[0], value)
