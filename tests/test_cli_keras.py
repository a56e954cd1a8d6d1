"""The command line on Keras files, in this process: what is refused, what is named, what comes out."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.arrays import load
from tests.ship import tiny
from tests.ship.tiny import failed, run

FACTORY = """
import numpy as np

def model():
    import keras
    print("building")
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((16,)), keras.layers.Dense(256, activation="relu"), keras.layers.Dense(8)])

def data():
    for seed in range(3):
        yield np.random.default_rng(seed).normal(size=(4, 16)).astype(np.float32)

def broken():
    return 3
"""
ODD = """
import keras

class Odd(keras.layers.Layer):
    def call(self, x):
        return keras.ops.linalg.cholesky(x)

def model():
    return keras.Sequential([keras.Input((4, 4)), Odd(name="odd_one")])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """plain.keras, lambda.keras, lambda.h5, odd.keras (an operator without ONNX form), and calib.npz."""
    import keras

    place = tmp_path_factory.mktemp("keras")
    keras.utils.set_random_seed(1)

    def model(*layers: Any) -> Any:
        return keras.Sequential([keras.Input((16,), name="x"), *layers])

    model(keras.layers.Dense(64, activation="relu", name="hidden"), keras.layers.Dense(8, name="head")).save(place / "plain.keras")
    code = model(keras.layers.Dense(8, name="head"), keras.layers.Lambda(lambda v: v * 2, name="mine"))
    code.save(place / "lambda.keras")
    code.save(place / "lambda.h5")
    np.savez(place / "calib.npz", x=tiny.samples(32, features=16))
    return place


def order(folder: Path, name: str, out: Path, *more: str) -> list[Any]:
    return ["ship", folder / name, "--calib", folder / "calib.npz", "-o", out, *more]


@pytest.mark.parametrize("name", ["lambda.keras", "lambda.h5"])
@pytest.mark.parametrize("verb", ["ship", "export", "inspect"])
def test_code_in_a_file_is_refused(folder: Path, name: str, verb: str, tmp_path: Path) -> None:
    arguments = {"ship": order(folder, name, tmp_path / "out"), "export": ["export", folder / name, "-o", tmp_path / "o.onnx"],
                 "inspect": ["inspect", folder / name]}[verb]
    failed(run(*arguments), 2, f"{name} holds Python code in Lambda layer 'mine'; pass --unsafe")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["lambda.keras", "lambda.h5"])
def test_unsafe_lets_it_run(folder: Path, name: str, tmp_path: Path) -> None:
    result = run("export", folder / name, "-o", tmp_path / "o.onnx", "--unsafe")
    assert result.exit_code == 0 and (tmp_path / "o.onnx").is_file() and "equal to Keras" in result.stdout


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file(folder: Path, share: float, tmp_path: Path) -> None:
    data = (folder / "plain.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(data[:int(len(data) * share)])
    order = ["ship", tmp_path / "cut.keras", "--calib", folder / "calib.npz", "-o", tmp_path / "out"]
    failed(run(*order), 2, "cut.keras is not a Keras model: .*cut short")
    assert [p.name for p in tmp_path.iterdir()] == ["cut.keras"]


@pytest.mark.parametrize("damage", ["no config", "config is not JSON", "no weights", "weights of another model"])
def test_a_damaged_file(folder: Path, damage: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(folder / "plain.keras") as source, zipfile.ZipFile(tmp_path / "bad.keras", "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "config.json" and damage.startswith("config"):
                data = b"{"
            if name == "model.weights.h5" and damage.startswith("weights"):
                data = b"\x89HDF\r\n\x1a\n" + bytes(100)
            if (name, damage) not in (("config.json", "no config"), ("model.weights.h5", "no weights")):
                target.writestr(name, data)
    failed(run("export", tmp_path / "bad.keras", "-o", tmp_path / "o.onnx"), 2, "bad.keras")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.keras"]


def test_an_opset_that_is_not_written(folder: Path, tmp_path: Path) -> None:
    failed(run("export", folder / "plain.keras", "-o", tmp_path / "o.onnx", "--opset", 24), 2, "opset 24 is not supported.*: 13 to 23")


def test_a_name_for_an_axis_that_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    failed(run("export", folder / "plain.keras", "-o", tmp_path / "o.onnx", "--axis", "x=rows"), 2, "cannot read --axis x=rows; it is INPUT:AXIS")


def test_ship_shows_nothing_of_tensorflow(folder: Path, tmp_path: Path) -> None:
    result = run(*order(folder, "plain.keras", tmp_path / "out", "--want", "faster", "--json"))
    assert result.exit_code in (0, 1) and tiny.only_json(result.stdout)["numbers"]["model"]["name"]
    again = run(*order(folder, "plain.keras", tmp_path / "out2"))
    assert again.exit_code == 0
    assert all(line.split(":")[0] in ("load", "trace", "lower", "clean", "parity", "plan", "calibrate", "quantize", "verify", "time", "write")
               for line in again.stderr.splitlines()), again.stderr
    golden = load(tmp_path / "out2" / "golden.npz")
    assert {name.split("/")[0] for name in golden} == {"input", "keras", "float", "integer"}


def test_a_factory(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "factory_of_mine.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    result = run("ship", "factory_of_mine:model", "--calib", "factory_of_mine:data", "-o", "out", "--json")
    assert result.exit_code == 0 and tiny.only_json(result.stdout)["verdict"] == "yes" and "building" in result.stderr
    failed(run("export", "factory_of_mine:broken", "-o", "o.onnx"), 2, "gave a int, a keras.Model is needed")
    failed(run("export", "factory_of_mine:nothing", "-o", "o.onnx"), 2, "nothing.*: .*broken, data, model")
    failed(run("export", "no_such_module_here:f", "-o", "o.onnx"), 2, "no_such_module_here.* cannot be imported")


def test_the_layer_that_cannot_be_converted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd_model_of_mine.py").write_text(ODD)
    monkeypatch.chdir(tmp_path)
    failed(run("export", "odd_model_of_mine:model", "-o", "o.onnx"), 3, "odd_one.*Cholesky")
    assert not (tmp_path / "o.onnx").exists()
