"""Write a solution into a copy of the float graph as QuantizeLinear and DequantizeLinear pairs. Decides nothing."""

from __future__ import annotations

import onnx_ir as ir

from converter.graph import edit, query
from converter.quantize.solve import LayerCodes, Solution
from converter.spec.plan import QuantPlan
from converter.spec.quant import Array, QParams

Written = dict[tuple[str, tuple[int, ...], bytes], ir.Value]


def insert(model: ir.Model, plan: QuantPlan, solution: Solution) -> ir.Model:
    """A copy of ``model`` on integers; ``model`` stays as it is and shares its unquantized weights with the copy."""
    copy = model.clone()
    copy.meta.clear()
    nodes = {node.name: node for node in copy.graph}
    written: Written = {}
    for layer in plan.layers:
        _write_layer(copy, nodes[layer.name], solution.layers[layer.name], written)
    values = {query.name_of(v): v for v in copy.graph.inputs} | {query.name_of(v): v for node in nodes.values() for v in node.outputs}
    grids: dict[int, tuple[ir.Value, ir.Value]] = {}
    for name, params in solution.activations.items():
        _write_pair(copy, values[name], params, plan, grids)
    edit.drop_unused(copy)
    return copy


def _write_layer(model: ir.Model, node: ir.Node, codes: LayerCodes, written: Written) -> None:
    weight, bias = node.inputs[1], query.input_at(node, 2)
    assert weight is not None
    inputs = [node.inputs[0], _dequantized(model, node, codes.weight.codes, codes.weight.params, query.name_of(weight), written)]
    if codes.bias is not None:
        base = query.name_of(bias) if bias is not None else f"{query.layer_path(node)}/bias"
        inputs.append(_dequantized(model, node, codes.bias, codes.bias_params, base, written))
    edit.set_inputs(node, inputs)


def _dequantized(model: ir.Model, node: ir.Node, codes: Array, params: QParams, base: str, written: Written) -> ir.Value:
    """Integer initializer, its grid, and the DequantizeLinear that reads them; ``base`` names all of them."""
    named = (("quantized", codes), ("scale", params.scale), ("zero_point", params.zero_point))
    parts = [_initializer(model, f"{base}/{kind}", array, written) for kind, array in named]
    attributes = {} if params.axis is None else {"axis": params.axis}
    out = edit.insert_before(model, node, "DequantizeLinear", parts, f"{base}/DequantizeLinear", attributes)
    out.type = ir.TensorType(ir.DataType.FLOAT)
    return out


def _initializer(model: ir.Model, base: str, array: Array, written: Written) -> ir.Value:
    """An initializer; the one that is there where two layers share a weight and came to the same numbers."""
    key = (base, array.shape, array.tobytes())
    if key not in written:
        written[key] = edit.add_initializer(model, base, array)
    return written[key]


def _grid(model: ir.Model, params: QParams, base: str) -> tuple[ir.Value, ir.Value]:
    return edit.add_initializer(model, f"{base}/scale", params.scale), edit.add_initializer(model, f"{base}/zero_point", params.zero_point)


def _write_pair(model: ir.Model, value: ir.Value, params: QParams, plan: QuantPlan, grids: dict[int, tuple[ir.Value, ir.Value]]) -> None:
    """Let the readers of ``value`` read it through a pair; all of them, unless no integer node makes it."""
    base, maker = query.name_of(value), value.producer()
    if id(params) not in grids:
        grids[id(params)] = _grid(model, params, base)
    scale, zero = grids[id(params)]
    ours = base in plan.made
    uses = [use for use in value.uses() if ours or (use.node.name or "") in plan.readers]
    was_output = value.is_graph_output() and ours
    if not uses and not was_output:
        return
    codes = _node(model, maker, "QuantizeLinear", [value, scale, zero], base, value, ir.DataType.UINT8)
    real = _node(model, codes.producer(), "DequantizeLinear", [codes, scale, zero], base, value, ir.DataType.FLOAT)
    for use in uses:
        use.node.replace_input_with(use.idx, real)
    if was_output:
        edit.replace_output(value, real)


def _node(
    model: ir.Model, after: ir.Node | None, op_type: str, inputs: list[ir.Value], base: str, like: ir.Value, dtype: ir.DataType
) -> ir.Value:
    name = f"{base}/{op_type}"
    out = edit.insert_first(model, op_type, inputs, name, {}) if after is None else edit.insert_after(model, after, op_type, inputs, name)
    out.shape, out.type = like.shape, ir.TensorType(dtype)
    return out
