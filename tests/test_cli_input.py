"""Bad files through the command line: each one clear message, the right exit code, nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from converter.graph import io
from tests.ship import tiny
from tests.ship.tiny import failed, run


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """Latency is measured for a moment only."""
    with pytest.MonkeyPatch.context() as patch:
        tiny.cut_short(patch)
        yield


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return tiny.write_case(tmp_path_factory.mktemp("case"))


@pytest.fixture(scope="module")
def bundle(case: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "bundle"
    assert run(*tiny.ship_arguments(case, out)).exit_code == 0
    return out


def bad_npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def spoiled(value: float) -> np.ndarray:
    return np.where(np.arange(tiny.FEATURES) == 3, value, tiny.samples(8)).astype(np.float32)


EIGHT = tiny.samples(8)
BAD_DATA: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {  # to calibrate on, to evaluate on, what the message says
    "wrong key": ({"image": EIGHT}, {}, "image"),
    "wrong shape": ({"x": tiny.samples(8, features=5)}, {}, r"wrong shape.*\[8, 5\].*64"),
    "wrong dtype": ({"x": np.zeros((8, 64), np.int64)}, {}, "wrong dtype.*int64"),
    "zero samples": ({"x": tiny.samples(0)}, {}, "no samples"),
    "NaN": ({"x": spoiled(np.nan)}, {}, "NaN"),
    "inf": ({"x": spoiled(np.inf)}, {}, "inf"),
    "pickled objects": ({"x": np.array([{}] * 8, object)}, {}, "object"),
    "text": ({"x": np.array(["a"] * 8)}, {}, "wrong"),
    "no labels": ({}, {"x": EIGHT}, "labels are needed"),
    "labels out of range": ({}, {"x": EIGHT, "y": np.full(8, 10)}, "the label 10 of sample 0 is not one of the 10 classes 0 to 9"),
    "negative labels": ({}, {"x": EIGHT, "y": np.full(8, -2)}, "the label -2 of sample 0"),
    "NaN labels": ({}, {"x": EIGHT, "y": np.full(8, np.nan)}, "NaN|class numbers"),
    "too few labels": ({}, {"x": EIGHT, "y": np.zeros(7, int)}, "different sample counts"),
    "NaN to evaluate on": ({}, {"x": spoiled(np.nan), "y": np.zeros(8, int)}, "NaN"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data(name: str, case: dict[str, Path], tmp_path: Path) -> None:
    calib, labelled, says = BAD_DATA[name]
    bad = {**case, **({"calib": bad_npz(tmp_path / "bad.npz", **calib)} if calib else {"eval": bad_npz(tmp_path / "bad.npz", **labelled)})}
    failed(run(*tiny.ship_arguments(bad, tmp_path / "out")), 2, says if "range" in name or "negative" in name else f"bad.npz.*(?:{says})")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.npz"]


@pytest.mark.parametrize(("name", "data", "says"), [
    ("m.keras", b"", r"not a zip file, or cut short \(0 bytes\)"), ("m.keras", b"PK\x03\x04 and then nothing", "not a zip file, or cut short"),
    ("m.h5", b"no HDF5", "not an HDF5 file, or cut short"), ("m.onnx", b"no ONNX", "m.onnx"), ("m.onnx", b"", "m.onnx"), ("m.txt", b"hello", "m.txt"),
])
def test_what_is_no_model(name: str, data: bytes, says: str, case: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    failed(run(*tiny.ship_arguments({**case, "model": tmp_path / name}, tmp_path / "out")), 2, says)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("data", "says"), [(b"", "empty"), (b"PK\x03\x04", "truncated or damaged"), (b"\x93NUMPY\x01", "single .npy array"),
                                           (b"hello", "not a .npz file")])
def test_what_is_no_npz(data: bytes, says: str, case: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(data)
    failed(run(*tiny.ship_arguments({**case, "calib": tmp_path / "bad.npz"}, tmp_path / "out")), 2, f"bad.npz: .*{says}")


def test_external_data_outside_the_folder_of_the_model(case: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\0" * 4 * tiny.FEATURES * tiny.HIDDEN)
    (tmp_path / "inner").mkdir()
    proto = onnx.load(str(case["model"]))
    for tensor in proto.graph.initializer:
        if tensor.name == "w1":
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="../secret")
    (tmp_path / "inner" / "m.onnx").write_bytes(proto.SerializeToString())
    inner = tmp_path / "inner" / "m.onnx"
    for command in (tiny.ship_arguments({**case, "model": inner}, tmp_path / "out"), ["inspect", inner]):
        failed(run(*command), 2, r"w1.*(outside the folder of the model|escapes model directory).*\.\./secret")


def test_an_integer_model_and_an_old_one_cannot_be_converted(bundle: Path, case: dict[str, Path], tmp_path: Path) -> None:
    failed(run(*tiny.ship_arguments({**case, "model": bundle / "model.onnx"}, tmp_path / "out")), 3, "is quantized already")
    old = io.from_text('<ir_version: 4, opset_import: ["" : 9]>\nm (float[N, 64] x) => (float[N, 64] y) { y = Relu(x) }')
    io.save(old, tmp_path / "old.onnx")
    failed(run(*tiny.ship_arguments({**case, "model": tmp_path / "old.onnx"}, tmp_path / "out")), 3, "has opset 9; integer graphs need 13")
