"""A bundle: what lies in it, that its manifest tells the truth about it, and that the same order gives the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converter
from converter.errors import InputError
from converter.graph import io
from converter.ship.bundle import digest, read
from converter.verify.session import Session
from tests.arrays import load
from tests.ship import tiny

FILES = ["float.onnx", "golden.npz", "manifest.json", "model.onnx", "report.html", "report.json"]
VARYING = {"latency", "seconds"}


def test_layout(shipped: Path) -> None:
    assert sorted(p.name for p in shipped.iterdir()) == FILES
    manifest = read(shipped).manifest
    assert sorted(manifest.files) == [name for name in FILES if name != "manifest.json"]
    for name, told in manifest.files.items():
        assert told == digest(shipped / name) and told["bytes"] == (shipped / name).stat().st_size and len(told["sha256"]) == 64


def test_ends_are_those_of_both_graphs(shipped: Path) -> None:
    manifest = read(shipped).manifest
    for file in ("model.onnx", "float.onnx"):
        session = Session(shipped / file)
        assert [i.name for i in session.inputs] == [i["name"] for i in manifest.inputs] == ["x"]
        assert [o.name for o in session.outputs] == [o["name"] for o in manifest.outputs] == ["y"]
    assert manifest.inputs[0]["shape"][1:] == [tiny.FEATURES] and not isinstance(manifest.inputs[0]["shape"][0], int)
    assert manifest.inputs[0]["dtype"] == "float32" and manifest.inputs[0]["layout"] == "NC"


def constants(path: Path) -> dict[str, np.ndarray]:
    return {name: v.const_value.numpy() for name, v in io.load(path).graph.initializers.items() if v.const_value is not None}


def test_every_activation_grid_is_in_the_deployed_graph(shipped: Path) -> None:
    graph, told = io.load(shipped / "model.onnx"), read(shipped).manifest.tensors
    values = constants(shipped / "model.onnx")
    found = {}
    for node in graph.graph:
        if node.op_type == "QuantizeLinear" and node.inputs[0].name not in values:
            found[node.inputs[0].name] = (float(values[node.inputs[1].name]), int(values[node.inputs[2].name]))
    owners = {name: told[grid["shared_with"]] if "shared_with" in grid else grid for name, grid in told.items()}
    assert found == {name: (grid["scale"], grid["zero_point"]) for name, grid in owners.items()}
    assert all(grid["low"] <= grid["high"] and grid["why"] and grid["dtype"] == "uint8" for grid in told.values() if "shared_with" not in grid)


def test_every_weight_grid_gives_back_the_float_weight(shipped: Path) -> None:
    told, floats = read(shipped).manifest.weights, constants(shipped / "float.onnx")
    codes = {tuple(v.shape): v for v in constants(shipped / "model.onnx").values() if v.dtype == np.int8 and v.ndim == 2}
    for name in ("w1", "w2"):
        scale = np.array(told[name]["scale"], np.float32)
        assert told[name]["axis"] == 1 and scale.shape == (floats[name].shape[1],) and told[name]["dtype"] == "int8"
        assert np.abs(codes[floats[name].shape] * scale - floats[name]).max() <= 2 * scale.max(), "pairs may be moved by a step"
    biases = {name: grid for name, grid in told.items() if grid["dtype"] == "int32"}
    assert sorted(told) == sorted(floats) and len(biases) == 2
    for name, grid in biases.items():
        assert grid["derived_from"][1] in ("w1", "w2") and len(grid["corrected"]) == floats[name].size


def test_float_graph_computes_what_the_model_computes(shipped: Path, case: dict[str, Path]) -> None:
    x = {"x": tiny.samples(5, 9)}
    assert np.allclose(Session(shipped / "float.onnx").run(x)["y"], Session(case["model"]).run(x)["y"], atol=1e-5)


def test_golden_outputs_are_those_of_the_files(shipped: Path) -> None:
    golden = load(shipped / "golden.npz")
    assert sorted(golden) == ["float/y", "input/x", "integer/y"], "an ONNX file has no Keras output"
    assert 1 <= len(golden["input/x"]) <= 8
    for kind, file in (("float", "float.onnx"), ("integer", "model.onnx")):
        assert np.array_equal(Session(shipped / file).run({"x": golden["input/x"]})["y"], golden[f"{kind}/y"])


def test_verdict_gates_and_metrics(shipped: Path) -> None:
    manifest, report = read(shipped).manifest, json.loads((shipped / "report.json").read_text())
    assert manifest.verdict == report["verdict"] == "yes" and list(manifest.reasons) == report["reasons"]
    assert manifest.gates == {"max_drop": 20, "want": "smaller", "strict": False, "metric": "top1"}
    for part in ("accuracy", "fidelity", "size", "latency"):
        assert manifest.metrics[part] == report["numbers"][part]
    assert manifest.target["name"] == "ort-cpu" and manifest.recipe["name"] == "int8"
    assert {"onnxruntime", "numpy", "python"} <= set(manifest.versions) and manifest.machine["architecture"]


def stable(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest without what says when it was made and how long that took."""
    files = {name: told for name, told in manifest["files"].items() if not name.startswith("report.")}
    metrics = {k: v for k, v in manifest["metrics"].items() if k not in VARYING}
    return {**{k: v for k, v in manifest.items() if k not in ("created", "seal")}, "files": files, "metrics": metrics}


def test_two_runs_give_the_same_bytes(shipped: Path, case: dict[str, Path], quick: None, tmp_path: Path) -> None:
    converter.ship(case["model"], tmp_path / "again", calib=case["calib"], eval=case["eval"], metric="top1", max_drop=20)
    for name in ("model.onnx", "float.onnx", "golden.npz"):
        assert (shipped / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    first, second = (stable(json.loads((p / "manifest.json").read_text())) for p in (shipped, tmp_path / "again"))
    assert first == second


def test_the_order_of_the_calibration_data_does_not_matter(shipped: Path, case: dict[str, Path], quick: None, tmp_path: Path) -> None:
    x = tiny.samples(64)
    shuffled = x[np.random.default_rng(3).permutation(64)]
    converter.ship(case["model"], tmp_path / "out", calib=[shuffled[:7], shuffled[7:]], eval=case["eval"], metric="top1", max_drop=20)
    assert (shipped / "model.onnx").read_bytes() == (tmp_path / "out" / "model.onnx").read_bytes()


def test_no_path_of_this_machine_is_in_the_deployed_files(shipped: Path, case: dict[str, Path]) -> None:
    for name in ("model.onnx", "float.onnx", "manifest.json", "golden.npz"):
        assert str(case["model"].parent).encode() not in (shipped / name).read_bytes()


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere is not a bundle: no manifest.json \(no such folder\)"):
        read(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"no manifest.json \(notes.txt\)"):
        read(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)
