"""Files and protobufs: the only module that sees them. Everything else works on ``onnx_ir`` objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import google.protobuf.message
import numpy as np
import onnx
import onnx.checker
import onnx.reference
import onnx_ir as ir

from converter.errors import ConversionError, InputError, UnsafeError
from converter.spec.quant import Array

PROTOBUF_LIMIT = 2**31 - 2**24  # a protobuf message holds 2 GiB; leave room for the graph itself
EXTERNAL_THRESHOLD = 1024


def load(path: str | Path) -> ir.Model:
    """The model in an ONNX file; external data is read when it is needed.

    Raises:
        InputError: the file is missing, is not ONNX, or its graph has no nodes and no outputs.
        UnsafeError: external data lies outside the folder of the file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    try:
        proto = onnx.load(str(path), load_external_data=False)
    except (google.protobuf.message.DecodeError, ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not an ONNX file ({path.stat().st_size} bytes): {_first_line(error)}") from error
    if not proto.HasField("graph") or not proto.graph.output:
        raise InputError(f"{path} is not an ONNX model: it has no graph with outputs ({path.stat().st_size} bytes)")
    _refuse_foreign_data(proto, path)
    model = ir.from_proto(proto)
    ir.external_data.set_base_dir(model.graph, path.parent)
    return model


def _refuse_foreign_data(proto: onnx.ModelProto, path: Path) -> None:
    home = path.parent.resolve()
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key != "location":
                continue
            place = (home / entry.value).resolve()
            if not place.is_relative_to(home):
                raise UnsafeError(f"{path}: tensor {tensor.name} points to data outside the folder of the model: {entry.value}")
            if not place.is_file():
                raise InputError(f"{path}: the data file {entry.value} of tensor {tensor.name} is missing")


def save(model: ir.Model, path: str | Path) -> None:
    """Write ``model`` as one file, one weight after the other; beyond 2 GiB the weights go to ``<name>.data`` beside it.

    A protobuf is written field by field, so that the file needs no second copy of the weights in memory.
    """
    path = Path(path)
    if weight_bytes(model) >= PROTOBUF_LIMIT:
        save_external(model, path)
        return
    body, tensors = _body_and_tensors(model)
    graph = body.graph.SerializeToString(deterministic=True)
    body.ClearField("graph")
    sizes = [len(_initializer_field(t)) + t.nbytes for t in tensors]
    with path.open("wb") as file:
        file.write(body.SerializeToString(deterministic=True))
        file.write(_tag(7) + _varint(len(graph) + sum(sizes)) + graph)
        for tensor in tensors:
            file.write(_initializer_field(tensor))
            file.write(tensor.tobytes())


def save_external(model: ir.Model, path: Path) -> None:
    """Write ``model`` with its weights in ``<name>.data`` beside it, which a runtime can map into memory."""
    ir.save(model.clone(), path, external_data=f"{path.name}.data", size_threshold_bytes=EXTERNAL_THRESHOLD)


def _body_and_tensors(model: ir.Model) -> tuple[onnx.ModelProto, list[ir.TensorProtocol]]:
    """The protobuf without its large numeric initializers, and those."""
    copy = model.clone()
    tensors = []
    for name, value in list(copy.graph.initializers.items()):
        tensor = value.const_value
        if tensor is not None and tensor.nbytes > EXTERNAL_THRESHOLD and tensor.dtype in _RAW:
            tensors.append(tensor)
            del copy.graph.initializers[name]
    return ir.to_proto(copy), tensors


_RAW = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE, ir.DataType.INT8, ir.DataType.UINT8,
                  ir.DataType.INT32, ir.DataType.INT64, ir.DataType.BOOL})


def _initializer_field(tensor: ir.TensorProtocol) -> bytes:
    """Everything of a GraphProto.initializer field (number 5) up to the raw bytes of the tensor (field 9)."""
    proto = onnx.TensorProto(dims=list(tensor.shape.numpy()), data_type=int(tensor.dtype), name=tensor.name)
    head: bytes = proto.SerializeToString(deterministic=True)
    head += _tag(9) + _varint(tensor.nbytes)
    return _tag(5) + _varint(len(head) + tensor.nbytes) + head


def _tag(field: int) -> bytes:
    return _varint(field << 3 | 2)  # wire type 2: a length, then that many bytes


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def load_whole(path: str | Path) -> ir.Model:
    """The model in an ONNX file with everything in memory, so that the file may go away; operators may be of any domain."""
    return ir.from_proto(onnx.load(str(path)))


def to_bytes(model: ir.Model) -> bytes:
    """The model as one serialized protobuf; the same model gives the same bytes."""
    data: bytes = ir.to_proto(model).SerializeToString(deterministic=True)
    return data


def from_bytes(data: bytes) -> ir.Model:
    """The model in a serialized protobuf."""
    return ir.from_proto(onnx.load_from_string(data))


def from_text(text: str) -> ir.Model:
    """A model in the ONNX text format (``onnx.parser``)."""
    return ir.from_onnx_text(text)


def weight_bytes(model: ir.Model) -> int:
    """Bytes of all initializers."""
    return sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value is not None)


def file_bytes(path: str | Path) -> int:
    """Size of an ONNX file together with its external data, in bytes."""
    path = Path(path)
    proto = onnx.load(str(path), load_external_data=False)
    names = {e.value for t in proto.graph.initializer for e in t.external_data if e.key == "location"}
    beside = sum((path.parent / str(name)).stat().st_size for name in names)
    return path.stat().st_size + beside


def check(model: ir.Model) -> None:
    """Run the ONNX checker on ``model`` without its large weights.

    Raises:
        ConversionError: the model is not valid ONNX; the checker's own text is quoted.
    """
    proto = ir.to_proto(_without_weights(model))
    try:
        onnx.checker.check_model(proto, full_check=False)
    except onnx.checker.ValidationError as error:
        raise ConversionError(f"the graph is not valid ONNX: {_first_line(error)}") from error


def is_known(op_type: str, domain: str, opset: int) -> bool:
    """Whether ONNX, or onnxruntime's own domain, has the operator at this opset."""
    return domain == "com.microsoft" or (domain in ("", "ai.onnx") and onnx.defs.has(op_type, opset, ""))


def infer_shapes(model: ir.Model) -> None:
    """Fill in shapes and types of all values that ONNX shape inference can tell; weights are left out of the way."""
    proto = onnx.shape_inference.infer_shapes(ir.to_proto(_without_weights(model)), data_prop=True)
    inferred = {info.name: info for info in proto.graph.value_info}
    for node in model.graph:
        for value in node.outputs:
            if value.name in inferred:
                told = ir.from_proto(inferred[value.name])
                value.shape, value.type = told.shape or value.shape, told.type or value.type


def _without_weights(model: ir.Model) -> ir.Model:
    """A copy whose large initializers are graph inputs of the same name, type and shape."""
    copy = model.clone()
    for name, value in list(copy.graph.initializers.items()):
        if value.const_value is not None and value.const_value.nbytes > EXTERNAL_THRESHOLD:
            del copy.graph.initializers[name]
            if not value.is_graph_input():
                copy.graph.inputs.append(value)
    return copy


def evaluate(op_type: str, inputs: Sequence[Array | None], attributes: Mapping[str, Any], opset: int) -> list[Array]:
    """Outputs of one operator of the default domain on numpy arrays, by the ONNX reference evaluator."""
    names = ["" if x is None else f"i{k}" for k, x in enumerate(inputs)]
    count = _output_count(op_type, attributes)
    node = onnx.helper.make_node(op_type, names, [f"o{k}" for k in range(count)], **attributes)
    runner = onnx.reference.ReferenceEvaluator(node, opsets={"": opset})
    feeds = {name: x for name, x in zip(names, inputs, strict=True) if x is not None}
    return [np.asarray(y) for y in runner.run(None, feeds)]


def _output_count(op_type: str, attributes: Mapping[str, Any]) -> int:
    return int(attributes.get("num_outputs", len(attributes.get("split", [0])))) if op_type == "Split" else 1


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
