"""TensorFlow operators to ONNX operators: tf2onnx without its optimizer, and a check that nothing was left over."""

from __future__ import annotations

import logging
import re
import warnings
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError, UsageError
from converter.frontend import amended, expand, kernels, lift, marks, operators, refusal, repair
from converter.frontend.trace import SCOPE, Trace
from converter.graph import io

OPSETS = range(13, 24)
NEWEST_OF_TF2ONNX = 18
DEFAULT_OPSET = 23
"""The newest: onnxruntime reads it, and no integer kernel is lost (see ``converter.targets.ort_cpu``)."""
PLAIN = frozenset({
    "Add", "AddV2", "AvgPool", "BiasAdd", "Cast", "ConcatV2", "Const", "Conv2D", "DepthwiseConv2dNative", "ExpandDims", "Identity", "MatMul", "Max",
    "MaxPool", "Maximum", "Mean", "Minimum", "Mul", "Neg", "Pack", "Pad", "Placeholder", "Relu", "Relu6", "Reshape", "Rsqrt", "Shape", "Sigmoid",
    "Softmax", "Split", "Square", "Squeeze", "StridedSlice", "Sub", "Sum", "Tanh", "Tile", "Transpose"})
"""TensorFlow operators that tf2onnx has no trouble with."""

SHAPED = frozenset({"PyFuncStateless", "Reshape"})
"""TensorFlow operators whose output has the same name and shape in ONNX, and whose shape ONNX shape inference may not see."""


def lower(traced: Trace, opset: int) -> ir.Model:
    """The traced graph as ONNX; variables and captured tensors are still inputs, named as in the trace.

    Raises:
        UsageError: the opset is not supported.
        ConversionError: an operator has no ONNX form; the text names the Keras layer and every such operator.
    """
    if opset not in OPSETS:
        raise UsageError(f"opset {opset} is not supported for export; supported: {OPSETS.start} to {OPSETS.stop - 1}")
    model = io.from_bytes(_convert(traced, min(opset, NEWEST_OF_TF2ONNX)))
    _tell_shapes(model, traced)
    repair.repair(model)
    lift.lift(model, opset)
    try:
        expand.expand(model, traced.graph)
    except ConversionError as error:
        raise ConversionError(_with_layers(str(error), traced)) from error
    marks.expand(model, traced.marks)
    reasons = {id(node): reason for node, reason in operators.expand(model)}
    kernels.widen(model)
    left = [node for node in model.graph.all_nodes() if not io.is_known(node.op_type, node.domain, opset)]
    if left:
        raise ConversionError(refusal.text([(layer_of(node.name or "", traced) or str(node.name), node.op_type.removeprefix(operators.PREFIX),
                                             reasons.get(id(node), "")) for node in left]))
    return model


def _tell_shapes(model: ir.Model, traced: Trace) -> None:
    """Write the shapes that TensorFlow knows and ONNX shape inference cannot tell: of marks, and behind a Reshape to a computed shape."""
    values = {out.name: out for node in model.graph for out in node.outputs}
    for op in traced.graph.get_operations():
        for tensor in op.outputs if op.type in SHAPED else ():
            value = values.get(tensor.name)
            if value is not None and value.shape is None and tensor.shape.rank is not None:
                value.shape = ir.Shape(tensor.shape.as_list())
                if tensor.dtype.is_floating or tensor.dtype.is_integer:  # a shape without a type is not read
                    value.type = value.type or ir.TensorType(ir.DataType.from_numpy(np.dtype(tensor.dtype.as_numpy_dtype)))


def _convert(traced: Trace, opset: int) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # tf2onnx still asks numpy for np.object
        warnings.simplefilter("ignore", DeprecationWarning)
        from tf2onnx import tfonnx

        logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
        inputs = [*traced.inputs, *traced.variables, *traced.constants]
        try:
            with amended.amended({kind for _, kind in refusal.operations_of(traced.graph)}):
                lowered = tfonnx.process_tf_graph(traced.graph, opset=opset, input_names=inputs, output_names=list(traced.outputs),
                                                  custom_op_handlers={**expand.mended(), **operators.handlers(), **expand.passed_on()})
                return bytes(lowered.make_model("converter").SerializeToString())
        except (ValueError, TypeError, KeyError, NotImplementedError, AssertionError, AttributeError, IndexError, RuntimeError) as error:
            raise ConversionError(_refused(str(error), traced, opset)) from error


def _refused(said: str, traced: Trace, opset: int) -> str:
    """Why tf2onnx failed: operators that nobody knows, or else what it says itself and where it may have been."""
    left = [(layer_of(name, traced) or name, kind, "") for name, kind in refusal.unknown(traced.graph, opset, operators.OPERATORS.names())]
    words = f"tf2onnx cannot convert this model: {_with_layers(said, traced)[:600]}"
    return f"{refusal.text(left)}. {words}" if left else f"{words}{_suspects(traced)}"


def _suspects(traced: Trace) -> str:
    """Layers with operators that are not the common ones, as the end of a message: tf2onnx seldom says where it failed."""
    found: dict[str, None] = {}
    for op in traced.graph.get_operations():
        path = layer_of(op.name, traced)
        if path and op.type not in PLAIN:
            found[f"{path}: {op.type}"] = None
    return f". Layers with uncommon operators (Keras layer: TensorFlow operator): {'; '.join(list(found)[:8])}" if found else ""


def layer_of(name: str, traced: Trace) -> str | None:
    """Path of the Keras layer whose scope an operation name carries, or None."""
    found = re.findall(rf"{SCOPE}(\d+)/", name)
    return traced.paths[int(found[-1])] if found else None


def _with_layers(text: str, traced: Trace) -> str:
    """``text`` with scopes and arguments of ours replaced by the paths of the Keras layers and variables."""

    def path(match: Any) -> str:
        return f"layer {traced.paths[int(match[1])]!r}, "

    for tensor, variable in traced.variable_names.items():
        text = text.replace(f"'{tensor.removesuffix(':0')}'", repr(variable))
    return re.sub(rf"{SCOPE}(\d+)/", path, text.strip())
