"""``converter.clone`` and ``converter transfer clone``: files that are written, what goes with what, and what is refused before work is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import converter
from converter.errors import ConversionError, InputError, UsageError
from converter.graph import edit, io
from converter.ship import bundle
from converter.transfer.diff import diff
from converter.verify.session import Session
from tests.frontend.building import layers, stir
from tests.ship.tiny import failed, leftovers, only_json, run


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "model.keras"
    start = keras.Input((6, 6, 3), name="x")
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, name="conv")(start)))
    stir(keras.Model(start, layers.Dense(10, name="head")(layers.Flatten()(x)))).save(path)
    return path


def test_a_keras_model_becomes_a_keras_file_and_a_graph_that_agree(source: Path, tmp_path: Path) -> None:
    out, graph = tmp_path / "fresh.keras", tmp_path / "fresh.onnx"
    report = converter.clone(source, out, onnx=graph, seed=3, classes=4, input_size="8x7")
    x = np.random.default_rng(0).normal(size=(2, 8, 7, 3)).astype(np.float32)
    made = keras.models.load_model(out)
    np.testing.assert_allclose(Session(graph).run({"x": x})["head"], np.asarray(made(x)), atol=1e-5)
    assert made.output.shape == (None, 4) and report.numbers["export"]["parity"]["relative"] < 1e-5
    assert report.numbers["bytes"] == {str(p): p.stat().st_size for p in (graph, out)}
    assert {row["name"] for row in report.numbers["tensors"]} >= {"conv/kernel", "head/bias"} and report.numbers["activations"]["layers"]


def test_the_same_seed_gives_the_same_graph(source: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        converter.clone(source, tmp_path / f"{name}.onnx", seed=seed)
    a, b, c = (io.load(tmp_path / f"{name}.onnx") for name in "abc")
    assert diff(a, b).empty and {d.name for d in diff(a, c).tensors} == {"conv/kernel", "head/kernel"} and not diff(a, c).nodes


def test_a_live_model_stays_compiled_and_as_it_is(tmp_path: Path) -> None:
    model = stir(keras.Sequential([keras.Input((4,)), layers.Dense(3)]))
    model.compile("adam", "mse")
    before = model.get_weights()
    converter.clone(model, tmp_path / "fresh.keras")
    assert model.compiled and all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert not keras.models.load_model(tmp_path / "fresh.keras").compiled


def test_a_bundle_gives_its_float_graph_and_its_ledger_says_what_was_trained(source: Path, quick: None, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(16, 6, 6, 3)).astype(np.float32)
    made = converter.ship(source, tmp_path / "bundle", calib={"x": x})
    report = converter.clone(tmp_path / "bundle", tmp_path / "fresh.onnx", seed=1)
    assert not diff(io.load(made.float_model), io.load(tmp_path / "fresh.onnx")).nodes
    assert {row["rule"] for row in report.numbers["tensors"]} == {"He normal", "Glorot uniform", "0"}
    converter.clone(made.float_model, tmp_path / "same.onnx", seed=1)  # the manifest beside it is found
    assert diff(io.load(tmp_path / "fresh.onnx"), io.load(tmp_path / "same.onnx")).empty
    with pytest.raises(ConversionError, match="this is an integer graph"):
        converter.clone(made.model, tmp_path / "no.onnx")
    assert not (tmp_path / "no.onnx").exists()


def test_a_bundle_that_came_from_a_graph_has_no_ledger_of_variables(shipped: Path, tmp_path: Path) -> None:
    report = converter.clone(shipped, tmp_path / "fresh.onnx")
    assert {row["name"] for row in report.numbers["tensors"]} == {"w1", "b1", "w2", "b2"}
    assert not diff(io.load(bundle.read(shipped).float_model), io.load(tmp_path / "fresh.onnx")).nodes


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"out": "fresh.h5"}, "a clone of a Keras model is written as .keras or .onnx; received .*fresh.h5"),
    ({"out": "a.onnx", "onnx": "b.onnx"}, "a second file is an .onnx file beside a .keras file"),
    ({"out": "a.keras", "onnx": "b.keras"}, "a second file is an .onnx file beside a .keras file"),
    ({"out": "a.keras", "seed": -1}, "a seed is 0 to"), ({"out": "a.keras", "classes": 0}, "at least one class"),
    ({"out": "a.keras", "input_size": "1x2x3"}, "size 1x2x3 fits no input"), ({"out": "a.keras", "input_size": "huge"}, "a size is a number")]


@pytest.mark.parametrize(("given", "says"), REFUSED)
def test_what_does_not_fit_is_refused_and_nothing_is_written(source: Path, tmp_path: Path, given: dict[str, Any], says: str) -> None:
    paths = {key: tmp_path / value for key, value in given.items() if key in ("out", "onnx")}
    with pytest.raises(UsageError, match=says):
        converter.clone(source, **{**given, **paths})
    assert not list(tmp_path.iterdir())


def test_neither_file_is_written_where_one_is_taken(source: Path, tmp_path: Path) -> None:
    taken = tmp_path / "fresh.onnx"
    taken.write_text("mine")
    with pytest.raises(UsageError, match=r"fresh.onnx exists already; pass --force"):
        converter.clone(source, tmp_path / "fresh.keras", onnx=taken)
    assert [p.name for p in tmp_path.iterdir()] == ["fresh.onnx"] and taken.read_text() == "mine"
    converter.clone(source, tmp_path / "fresh.keras", onnx=taken, force=True)
    assert io.load(taken).graph.num_nodes() and not leftovers(tmp_path)


def test_a_graph_that_does_not_run_is_not_written(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[N, 4, 8] x) => (float z) {
        w = Constant <value = float[8, 2] {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}> ()
        p = Constant <value = float[4, 1] {1, 2, 3, 4}> ()
        y = MatMul (x, w)  z = Add (y, p) }"""
    io.save(io.from_text(text), tmp_path / "model.onnx")
    with pytest.raises(ConversionError, match="Add"):
        converter.clone(tmp_path / "model.onnx", tmp_path / "out.onnx", input_size=5)
    assert not (tmp_path / "out.onnx").exists()


# --- the command line


def test_the_command_line(source: Path, tmp_path: Path) -> None:
    wanted = "--classes", 5, "--input-size", "9", "--seed", 7
    done = run("transfer", "clone", source, "-o", tmp_path / "a.keras", "--onnx", tmp_path / "a.onnx", *wanted)
    assert done.exit_code == 0 and "5 classes instead of 10, made by head (Dense)" in done.stdout and "conv/kernel" in done.stdout
    told = only_json(run("transfer", "clone", tmp_path / "a.onnx", "-o", tmp_path / "b.onnx", "--json").stdout)
    assert told["stage"] == "clone" and {row["rule"] for row in told["numbers"]["tensors"]} == {"He normal", "Glorot uniform", "0"}
    quiet = run("transfer", "clone", tmp_path / "a.onnx", "-o", tmp_path / "b.onnx", "--force", "--quiet")
    assert quiet.exit_code == 0 and quiet.output == ""


def test_mistakes_on_the_command_line(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(b"\x08\x08\x12" * 9)
    failed(run("transfer", "clone", tmp_path / "no.keras", "-o", out), 2, "no such file: .*no.keras")
    failed(run("transfer", "clone", cut, "-o", out), 2, "cut.onnx is not an ONNX")
    failed(run("transfer", "clone", source, "-o", out, "--classes", "3", "--input-size", "2"), 3, "at layer conv")
    failed(run("transfer", "clone", cut, "-o", tmp_path / "x.keras"), 2, "a clone of a graph is written as .onnx")
    assert not out.exists()


def test_clone_reads_what_a_graph_without_its_data_file_lacks(tmp_path: Path) -> None:
    model = io.from_text('<ir_version: 8, opset_import: ["" : 17]> g (float[N, 8] x) => (float z) { z = Relu (x) }')
    edit.set_inputs(model.graph[0], [edit.add_initializer(model, "w", np.ones((512, 8), np.float32))])
    io.save_external(model, tmp_path / "model.onnx")
    (tmp_path / "model.onnx.data").unlink()
    with pytest.raises(InputError, match=r"the data file 'model.onnx.data' of tensor w is missing"):
        converter.clone(tmp_path / "model.onnx", tmp_path / "out.onnx")
