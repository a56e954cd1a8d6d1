"""Files and protobufs: the only module that sees them. Everything else works on ``onnx_ir`` objects."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import google.protobuf.message
import numpy as np
import onnx
import onnx.checker
import onnx.external_data_helper
import onnx.helper
import onnx.reference
import onnx_ir as ir

from converter.errors import ConversionError, InputError, UnsafeError
from converter.graph import direct
from converter.spec.quant import Array

PROTOBUF_LIMIT = 2**31 - 2**24  # a protobuf message holds 2 GiB; leave room for the graph itself
EXTERNAL_THRESHOLD = 1024
OLDEST_IR = 8  # what every runtime of the last years reads


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
        proto = onnx.load(str(path), format="protobuf", load_external_data=False)
    except google.protobuf.message.DecodeError as error:
        raise InputError(f"{path} is not an ONNX file ({path.stat().st_size} bytes): {_first_line(error)}") from error
    if not proto.HasField("graph") or not proto.graph.output:
        raise InputError(f"{path} is not an ONNX model: it has no graph with outputs ({path.stat().st_size} bytes)")
    for tensor in _external_tensors(proto):
        _check_data_file(tensor, path)
    for tensor in _external_tensors(proto, initializers=False):
        onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
    try:
        model = ir.from_proto(proto)
    except (ir.serde.SerdeError, ValueError) as error:
        raise InputError(f"{path} is not a valid ONNX model ({path.stat().st_size} bytes): {_first_line(error.__cause__ or error)}") from error
    ir.external_data.set_base_dir(model.graph, path.parent)
    return model


def _external_tensors(proto: onnx.ModelProto, *, initializers: bool = True) -> Iterator[onnx.TensorProto]:
    """Every tensor whose numbers lie in another file, in subgraphs, attributes and functions too."""
    main = proto.graph.initializer if initializers else ()
    nodes = [*proto.graph.node, *(node for function in proto.functions for node in function.node)]
    found = [*main, *(t for s in proto.graph.sparse_initializer for t in (s.values, s.indices))]
    while nodes:
        for attribute in nodes.pop().attribute:
            found += [attribute.t, *attribute.tensors, attribute.sparse_tensor.values, attribute.sparse_tensor.indices]
            for graph in (attribute.g, *attribute.graphs):
                nodes += graph.node
                found += graph.initializer
    return (tensor for tensor in found if tensor.data_location == onnx.TensorProto.EXTERNAL)


def _check_data_file(tensor: onnx.TensorProto, path: Path) -> None:
    home, entries = path.parent.resolve(), {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    place = (home / location).resolve()
    if not place.is_relative_to(home):
        raise UnsafeError(f"{path}: tensor {tensor.name} points to data outside the folder of the model: {location}")
    if not place.is_file():
        raise InputError(f"{path}: the data file {location!r} of tensor {tensor.name} is missing")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
    except ValueError as error:
        raise InputError(f"{path}: tensor {tensor.name} does not say where in {location!r} its data lie: {entries}") from error
    if min(offset, length) < 0 or offset + length > place.stat().st_size:
        raise InputError(f"{path}: the data file {location!r} is cut off: tensor {tensor.name} is at {offset} to {offset + length}, "
                         f"the file has {place.stat().st_size} bytes")


def save(model: ir.Model, path: str | Path) -> None:
    """Write ``model`` as one file, one weight after the other; beyond 2 GiB the weights go to ``<name>.data`` beside it.

    A protobuf is written field by field, so that the file needs no second copy of the weights in memory.
    """
    path = Path(path)
    if weight_bytes(model) >= PROTOBUF_LIMIT:
        save_external(model, path)
        return
    with path.open("wb") as file:
        file.writelines(_fields(model))


def _fields(model: ir.Model) -> Iterator[bytes]:
    """The protobuf piece by piece: everything but the graph, the graph without its large weights, and those one by one."""
    tensors = {name: t for name, t in _weights(model) if t.dtype != ir.DataType.STRING
               and (t.nbytes > EXTERNAL_THRESHOLD or isinstance(t, ir.ExternalTensor))}
    body = ir.to_proto(_part(model, keep=lambda name: name not in tensors))
    graph = body.graph.SerializeToString(deterministic=True)
    body.ClearField("graph")
    heads = {name: _initializer_field(name, tensor) for name, tensor in tensors.items()}
    size = len(graph) + sum(len(head) + tensors[name].nbytes for name, head in heads.items())
    yield body.SerializeToString(deterministic=True)
    yield _tag(7) + _varint(size) + graph
    for name, head in heads.items():
        yield head
        yield tensors[name].tobytes()


def _weights(model: ir.Model) -> Iterator[tuple[str, ir.TensorProtocol]]:
    return ((name, value.const_value) for name, value in model.graph.initializers.items() if value.const_value is not None)


def _part(model: ir.Model, keep: Callable[[str], bool], *, as_inputs: bool = False) -> ir.Model:
    """A view of ``model`` with those initializers only whose name is kept; the others are left out, or are inputs."""
    graph = model.graph
    listed = {id(value) for value in graph.inputs}
    dropped = [v for name, v in graph.initializers.items() if not keep(name) and id(v) not in listed] if as_inputs else []
    view = ir.GraphView(
        [*graph.inputs, *dropped], list(graph.outputs), nodes=list(graph), initializers=[v for n, v in graph.initializers.items() if keep(n)],
        name=graph.name, doc_string=graph.doc_string, opset_imports=graph.opset_imports, metadata_props=graph.metadata_props)
    return ir.Model(
        view, ir_version=model.ir_version, producer_name=model.producer_name, producer_version=model.producer_version,  # type: ignore[arg-type]
        domain=model.domain, model_version=model.model_version, doc_string=model.doc_string, functions=list(model.functions.values()),
        metadata_props=model.metadata_props)


def save_external(model: ir.Model, path: Path) -> None:
    """Write ``model`` with its weights in ``<name>.data`` beside it, which a runtime can map into memory."""
    ir.save(model.clone(), path, external_data=f"{path.name}.data", size_threshold_bytes=EXTERNAL_THRESHOLD)


def _initializer_field(name: str, tensor: ir.TensorProtocol) -> bytes:
    """Everything of a GraphProto.initializer field (number 5) up to the raw bytes of the tensor (field 9)."""
    proto = onnx.TensorProto(dims=list(tensor.shape.numpy()), data_type=int(tensor.dtype), name=name, doc_string=tensor.doc_string or None)
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
    """The model as one serialized protobuf, the very bytes that :func:`save` writes; the same model gives the same bytes."""
    return b"".join(_fields(model))


def from_bytes(data: bytes) -> ir.Model:
    """The model in a serialized protobuf, its numbers included."""
    return ir.from_proto(onnx.load_from_string(data))


def from_text(text: str) -> ir.Model:
    """A model in the ONNX text format (``onnx.parser``)."""
    return ir.from_onnx_text(text)


def weight_bytes(model: ir.Model) -> int:
    """Bytes of all initializers."""
    return sum(tensor.nbytes for _, tensor in _weights(model))


def file_bytes(path: str | Path) -> int:
    """Size of an ONNX file together with its external data, in bytes."""
    path = Path(path)
    proto = onnx.load(str(path), format="protobuf", load_external_data=False)
    names = {e.value for t in _external_tensors(proto) for e in t.external_data if e.key == "location"}
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


def ir_version_of(opset: int) -> int:
    """The IR version of the ONNX release that brought this opset."""
    return int(onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)], ignore_unknown=True))


def is_known(op_type: str, domain: str, opset: int) -> bool:
    """Whether ONNX, or onnxruntime's own domain, has the operator at this opset."""
    return domain == "com.microsoft" or (domain in ("", "ai.onnx") and onnx.defs.has(op_type, opset, ""))


def infer_shapes(model: ir.Model) -> None:
    """Fill in shapes and types of all values that ONNX shape inference can tell; weights are left out of the way."""
    proto = onnx.shape_inference.infer_shapes(ir.to_proto(_without_weights(model)), data_prop=True)
    inferred = {info.name: info.type for info in (*proto.graph.output, *proto.graph.value_info)}
    for node in model.graph:
        for value in node.outputs:
            if value.name in inferred and not (value.is_graph_output() and value.shape is not None):  # what the caller was told stays
                _learn(value, inferred[value.name])


def _learn(value: ir.Value, told: onnx.TypeProto) -> None:
    if not told.HasField("tensor_type"):
        value.type = ir.serde.deserialize_type_proto_for_type(told) or value.type
        return
    if value.type is None:
        value.type = ir.TensorType(ir.DataType(told.tensor_type.elem_type))
    if told.tensor_type.HasField("shape"):
        dims = [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in told.tensor_type.shape.dim]
        if value.shape is None or [d if isinstance(d, int) else d.value for d in value.shape] != dims:
            value.shape = ir.Shape(dims)


def _without_weights(model: ir.Model) -> ir.Model:
    """A view whose large initializers are graph inputs of the same name, type and shape."""
    large = {name for name, tensor in _weights(model) if tensor.nbytes > EXTERNAL_THRESHOLD}
    return _part(model, keep=lambda name: name not in large, as_inputs=True)


def evaluate(op_type: str, inputs: Sequence[Array | None], attributes: Mapping[str, Any], opset: int) -> list[Array]:
    """Outputs of one operator of the default domain on numpy arrays, by the ONNX reference evaluator."""
    return [np.asarray(y) for y in _outputs(op_type, inputs, attributes, opset)]


def try_evaluate(op_type: str, inputs: Sequence[Array | None], attributes: Mapping[str, Any], opset: int) -> Array | None:
    """The one numeric output of an operator, or None where the reference evaluator cannot compute it, or it is no such tensor."""
    try:
        (result,) = _outputs(op_type, inputs, attributes, opset)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return None
    return np.asarray(result) if isinstance(result, np.ndarray | np.generic) and result.dtype.kind not in "OSU" else None


def _outputs(op_type: str, inputs: Sequence[Array | None], attributes: Mapping[str, Any], opset: int) -> Sequence[Any]:
    with np.errstate(all="ignore"):
        quick = direct.evaluate(op_type, inputs, attributes)
    if quick is not None:
        return [quick]
    names = tuple("" if x is None else f"i{k}" for k, x in enumerate(inputs))
    operator = _operator(op_type, names, tuple((name, type(x), _hashable(x)) for name, x in sorted(attributes.items())), opset)
    ordered = [x if x is None else np.asarray(x, order="C") for x in inputs]  # sums follow the order in memory: the same numbers, the same sum
    with np.errstate(all="ignore"):  # a weight may be infinite; what comes of it is IEEE arithmetic, as in any runtime
        return operator(*ordered)


def _hashable(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return onnx.numpy_helper.from_array(value).SerializeToString()
    return tuple(value) if isinstance(value, list | tuple) else value


@functools.lru_cache(maxsize=256)
def _operator(
    op_type: str, names: tuple[str, ...], attributes: tuple[tuple[str, type, Any], ...], opset: int
) -> Callable[..., tuple[Any, ...]]:
    """The one operator of an evaluator for one node, ready to run; making it takes longer than running it."""
    plain = {name: onnx.TensorProto.FromString(value) if kind is np.ndarray else value for name, kind, value in attributes}
    outputs = [f"o{k}" for k in range(_output_count(op_type, plain))]
    evaluator = onnx.reference.ReferenceEvaluator(onnx.helper.make_node(op_type, list(names), outputs, **plain), opsets={"": opset})
    run: Callable[..., tuple[Any, ...]] = evaluator.rt_nodes_[0].run
    return run


def _output_count(op_type: str, attributes: Mapping[str, Any]) -> int:
    return int(attributes.get("num_outputs", len(attributes.get("split", [0])))) if op_type == "Split" else 1


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
