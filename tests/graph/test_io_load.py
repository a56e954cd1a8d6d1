"""Files that are no models, and models whose numbers lie elsewhere."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.errors import InputError, UnsafeError
from converter.graph import io, query

TEXT = '<ir_version: 10, opset_import: ["" : 18]> g (float[n,2] x) => (float[n,2] y) { y = Add(x, w) }'


def _proto(body: str = TEXT) -> onnx.ModelProto:
    proto = onnx.parser.parse_model(body)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([1, 2]), "w"))
    return proto


def _external(tensor: onnx.TensorProto, location: str, **more: int) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))


def _write(folder: Path, location: str, **more: int) -> Path:
    proto = _proto()
    _external(proto.graph.initializer[0], location, **more)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    return folder / "model.onnx"


@pytest.mark.parametrize("name", ["model.onnx", "model.json", "model.textproto", "model.onnxtxt", "model"])
@pytest.mark.parametrize("content", [b"", b"garbage {{{ \x01", b"\x00" * 100, b"PK\x03\x04" + b"x" * 50, b"{}", bytes(range(256))])
def test_what_is_no_model(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} is not an ONNX (file|model).*\({len(content)} bytes\)|no graph"):
        io.load(tmp_path / name)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.onnx", tmp_path):
        with pytest.raises(InputError, match="no such file"):
            io.load(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    whole = _proto()
    whole.graph.initializer[0].raw_data = np.zeros(2, np.float32).tobytes()
    data = whole.SerializeToString()
    (tmp_path / "model.onnx").write_bytes(data[:int(len(data) * share)])
    with pytest.raises(InputError, match="not"):
        io.load(tmp_path / "model.onnx")


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_file_never_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(_proto().SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        io.load(path)


def test_weights_of_a_size_that_is_not_theirs(tmp_path: Path) -> None:
    proto = _proto()
    proto.graph.initializer[0].data_type = 99
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(InputError, match="not a valid ONNX model"):
        io.load(tmp_path / "model.onnx")


def test_data_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0" * 4 + np.float32([3, 4]).tobytes())
    model = io.load(_write(tmp_path, "w.bin", offset=4, length=8))
    np.testing.assert_array_equal(query.constant(model.graph.initializers["w"]), [3, 4])
    assert io.file_bytes(tmp_path / "model.onnx") == (tmp_path / "model.onnx").stat().st_size + 12


@pytest.mark.parametrize("place", ["../secret.bin", "sub/../../secret.bin", "absolute", "link"])
def test_data_outside_the_folder_is_refused(tmp_path: Path, place: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"\0" * 8)
    (home / "link").symlink_to(secret)
    with pytest.raises(UnsafeError, match="outside the folder"):
        io.load(_write(home, str(secret) if place == "absolute" else place))


@pytest.mark.parametrize(("location", "more", "message"), [
    ("none.bin", {}, "is missing"), ("", {}, "is missing"), ("w.bin", {"offset": 4, "length": 8}, "cut off"), ("w.bin", {"offset": 9}, "cut off"),
    ("w.bin", {"offset": -4, "length": 8}, "cut off"), ("w.bin", {"offset": "x"}, "does not say where"),
])
def test_data_that_are_not_there(tmp_path: Path, location: str, more: dict, message: str) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0" * 8)
    with pytest.raises(InputError, match=message):
        io.load(_write(tmp_path, location, **more))


def test_data_of_attributes_branches_and_functions_are_checked_too(tmp_path: Path) -> None:
    body = TEXT.replace("{ y = Add(x, w) }", """{ c = Constant<value = float[2] {1.0, 2.0}>() b = Constant<value = bool {1}>() z = Add(x, c)
        y = If(b) <then_branch = t () => (float[n,2] p) { p = Add(z, w) }, else_branch = e () => (float[n,2] q) { q = Sub(z, w) }> }""")
    attribute, branch = _proto(body), _proto(body)
    _external(attribute.graph.node[0].attribute[0].t, "../w.bin")
    inner = branch.graph.node[3].attribute[0].g.initializer.add()
    inner.CopyFrom(onnx.numpy_helper.from_array(np.float32([1, 2]), "inner"))
    _external(inner, "../w.bin")
    for proto in (attribute, branch):
        (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
        with pytest.raises(UnsafeError, match="outside the folder"):
            io.load(tmp_path / "model.onnx")


def test_data_of_an_attribute_are_read_at_once(tmp_path: Path) -> None:
    proto = _proto(TEXT.replace("y = Add(x, w)", "c = Constant<value = float[2] {1.0, 2.0}>() a = Add(x, c) y = Add(a, w)"))
    _external(proto.graph.node[0].attribute[0].t, "c.bin", length=8)
    (tmp_path / "c.bin").write_bytes(np.float32([5, 6]).tobytes())
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    model = io.load(tmp_path / "model.onnx")
    (tmp_path / "c.bin").unlink()
    np.testing.assert_array_equal(model.graph[0].attributes["value"].as_tensor().numpy(), [5, 6])
