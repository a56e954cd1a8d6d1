"""What is written is read again, by us, by onnx and by onnxruntime; the same model gives the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from converter.errors import ConversionError
from converter.graph import edit, io, query
from converter.verify.session import Session

SIZES = [(), (1,), (0,), (0, 3), (3,), (256,), (257,), (7, 5, 9), (40, 40)]
TYPES = ["float32", "float16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"]


def _model(arrays: dict[str, np.ndarray]) -> ir.Model:
    """A model that gives every array as an output."""
    model = io.from_text('<ir_version: 10, opset_import: ["" : 18]> g (float[n] x) => (float[n] y) { y = Identity(x) }')
    for name, array in arrays.items():
        value = edit.add_initializer(model, name, array)
        out = ir.Value(name=f"{name}/out", type=value.type, shape=value.shape)
        model.graph.append(ir.node("Identity", [value], outputs=[out]))
        model.graph.outputs.append(out)
    return model


def _arrays(rng: np.random.Generator, dtype: str) -> dict[str, np.ndarray]:
    return {f"{dtype}_{'x'.join(map(str, shape))}": np.asarray(rng.integers(0, 100, shape)).astype(dtype) for shape in SIZES}


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_and_size(tmp_path: Path, rng: np.random.Generator, dtype: str) -> None:
    arrays = _arrays(rng, dtype)
    path = tmp_path / "model.onnx"
    io.save(_model(arrays), path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    read = io.load(path)
    results = Session(path).run({"x": np.zeros(1, np.float32)})
    for name, array in arrays.items():
        for got in (query.constant(read.graph.initializers[name]), results[f"{name}/out"]):
            assert got.dtype == array.dtype and got.shape == array.shape and got.tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", [ir.DataType.BFLOAT16, ir.DataType.FLOAT8E4M3FN, ir.DataType.INT4, ir.DataType.UINT4])
@pytest.mark.parametrize("size", [3, 5001])
def test_types_that_numpy_lacks(tmp_path: Path, dtype: ir.DataType, size: int) -> None:
    model = _model({})
    tensor = ir.Tensor(np.arange(size).astype(np.float32).astype(dtype.numpy()) if size < 8 else np.ones(size, dtype.numpy()), dtype=dtype, name="w")
    model.graph.register_initializer(ir.Value(name="w", type=ir.TensorType(dtype), shape=ir.Shape([size]), const_value=tensor))
    io.save(model, tmp_path / "model.onnx")
    read = io.load(tmp_path / "model.onnx").graph.initializers["w"].const_value
    assert read.dtype == dtype and read.tobytes() == tensor.tobytes()
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"))


def test_text_is_written(tmp_path: Path) -> None:
    model = _model({})
    tensor = ir.tensor(["a" * 600, "b" * 700], name="w")
    model.graph.register_initializer(ir.Value(name="w", type=ir.TensorType(ir.DataType.STRING), shape=ir.Shape([2]), const_value=tensor))
    io.save(model, tmp_path / "model.onnx")
    assert list(io.load(tmp_path / "model.onnx").graph.initializers["w"].const_value.numpy()) == [b"a" * 600, b"b" * 700]


def test_the_same_bytes_twice_and_after_reading(tmp_path: Path, rng: np.random.Generator) -> None:
    model = _model(_arrays(rng, "float32"))
    for name in ("one", "two"):
        io.save(model, tmp_path / name)
    data = (tmp_path / "one").read_bytes()
    assert data == (tmp_path / "two").read_bytes() == io.to_bytes(model)
    assert io.to_bytes(io.load(tmp_path / "one")) == data


def test_everything_of_the_protobuf_is_kept(tmp_path: Path, rng: np.random.Generator) -> None:
    """Fields of the model, the graph and the nodes are those that onnx_ir itself would write."""
    text = '''<ir_version: 10, opset_import: ["" : 18, "mine" : 1], producer_name: "p", producer_version: "1", domain: "d", model_version: 3,
            doc_string: "t">
        g (float[n,2] x) => (float[n,2] y) { y = mine.Twice(x) }
        <opset_import: ["" : 18], domain: "mine"> Twice (a) => (b) { b = Add(a, a) }'''
    model = io.from_text(text)
    edit.add_initializer(model, "large", rng.normal(size=2000).astype(np.float32))
    edit.add_initializer(model, "small", np.float32([1]))
    model.metadata_props["k"], model.graph.metadata_props["g"], model.graph[0].metadata_props["layer"] = "v", "h", "dense"
    model.graph.doc_string = "graph"
    ours, theirs = onnx.load_from_string(io.to_bytes(model)), ir.to_proto(model)
    kept = {t.name: onnx.numpy_helper.to_array(t).tobytes() for t in ours.graph.initializer}
    assert kept == {t.name: onnx.numpy_helper.to_array(t).tobytes() for t in theirs.graph.initializer}
    for proto in (ours, theirs):
        proto.graph.ClearField("initializer")
        infos = sorted(proto.graph.value_info, key=lambda info: info.name)
        proto.graph.ClearField("value_info")
        proto.graph.value_info.extend(info for info in infos if info.name not in kept)
    assert ours == theirs
    assert len(model.graph.initializers) == 2, "saving left the model as it was"


def test_an_input_with_a_large_default(tmp_path: Path) -> None:
    model = io.from_bytes(_with_default().SerializeToString())
    io.save(model, tmp_path / "model.onnx")
    session = Session(tmp_path / "model.onnx")
    np.testing.assert_array_equal(session.run({"x": np.zeros(1000, np.float32)})["y"], np.ones(1000))
    io.check(model)
    io.infer_shapes(model)
    assert [query.name_of(v) for v in model.graph.inputs] == ["x", "w"] and list(model.graph.initializers) == ["w"]


def _with_default() -> onnx.ModelProto:
    proto = onnx.parser.parse_model('<ir_version: 10, opset_import: ["" : 18]> g (float[1000] x, float[1000] w) => (float[1000] y) { y = Add(x, w) }')
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(1000, np.float32), "w"))
    return proto


@pytest.mark.parametrize("size", [3, 3000])
def test_numbers_of_another_file_come_along(tmp_path: Path, size: int) -> None:
    """However small: the new file stands alone, and so do the bytes."""
    array = np.arange(size, dtype=np.float32)
    (tmp_path / "a").mkdir()
    proto = ir.to_proto(_model({"w": array}))
    onnx.save(proto, tmp_path / "a" / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    model = io.load(tmp_path / "a" / "m.onnx")
    io.save(model, tmp_path / "b.onnx")
    data = io.to_bytes(model)
    (tmp_path / "a").rename(tmp_path / "gone")
    for read in (io.load(tmp_path / "b.onnx"), io.from_bytes(data)):
        np.testing.assert_array_equal(query.constant(read.graph.initializers["w"]), array)


def test_beyond_the_limit_the_weights_go_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    arrays = _arrays(rng, "float32")
    model = _model(arrays)
    monkeypatch.setattr(io, "PROTOBUF_LIMIT", 5000)
    assert io.weight_bytes(model) == sum(a.nbytes for a in arrays.values()) > 5000
    io.save(model, tmp_path / "model.onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    read = io.load(tmp_path / "model.onnx")
    whole = io.load_whole(tmp_path / "model.onnx")
    results = Session(tmp_path / "model.onnx").run({"x": np.zeros(1, np.float32)})
    for name, array in arrays.items():
        for got in (query.constant(read.graph.initializers[name]), query.constant(whole.graph.initializers[name]), results[f"{name}/out"]):
            assert got.tobytes() == array.tobytes()
    assert io.file_bytes(tmp_path / "model.onnx") == sum(p.stat().st_size for p in tmp_path.iterdir())


@pytest.mark.parametrize(("text", "message"), [("y = NoSuch(x)", "NoSuch"), ("y = Add(x)", "Add"), ("y = Relu(z)", "z")])
def test_the_checker_speaks(text: str, message: str) -> None:
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 18]> g (float[n] x) => (float[n] y) {{ {text} }}')
    model = io.from_bytes(proto.SerializeToString())
    with pytest.raises(ConversionError, match=message):
        io.check(model)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**14 - 1, 2**14, 2**31, 2**35])
def test_varint(number: int) -> None:
    value = 0
    data = io._varint(number)
    for place, byte in enumerate(data):
        value |= (byte & 127) << 7 * place
        assert (byte > 127) == (place < len(data) - 1)
    assert value == number
    if number < 2**31:
        assert onnx.TensorProto.FromString(b"\x10" + data).data_type == number


def test_known_operators() -> None:
    assert io.is_known("Conv", "", 18) and io.is_known("Conv", "ai.onnx", 18) and io.is_known("Anything", "com.microsoft", 18)
    assert not io.is_known("Conv", "other", 18) and not io.is_known("NoSuch", "", 18) and not io.is_known("Gelu", "", 18)


@pytest.mark.parametrize(("opset", "attributes", "inputs"), [(13, {"axes": [1]}, []), (18, {}, [np.int64([1])])])
def test_evaluate_knows_the_opset(opset: int, attributes: dict, inputs: list) -> None:
    x = np.float32([[1, 2], [3, 5]])
    np.testing.assert_array_equal(io.evaluate("ReduceMean", [x, *inputs], {**attributes, "keepdims": 0}, opset)[0], [1.5, 4])
    np.testing.assert_array_equal(io.evaluate("Clip", [x, None, np.float32(2)], {}, opset)[0], [[1, 2], [2, 2]])
    a, b = io.evaluate("Split", [x], {"num_outputs": 2} if opset == 18 else {"axis": 0}, 18) if opset == 18 else (x[:1], x[1:])
    np.testing.assert_array_equal(np.concatenate([a, b]), x)
