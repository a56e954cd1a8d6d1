"""``converter transfer copy`` and ``refit`` as a user types them: tables, exit codes, which stream, and no file where anything is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from converter.graph import io
from tests.frontend.building import left_over
from tests.quantize.graphs import graph, weights
from tests.ship.tiny import failed, run

ENDS = "(float[N,6] x) => (float[N,3] y)"


def model(seed: int, names: str, wide: int = 5, act: str = "Relu") -> io.ir.Model:
    w, b, v, c = (f"{names}{k}" for k in ("1_kernel", "1_bias", "2_kernel", "2_bias"))
    return graph(ENDS, f"[{names}1] h = Gemm(x, {w}, {b})\nr = {act}(h)\n[{names}2] y = Gemm<transB=1>(r, {v}, {c})",
                 **{w: weights(6, wide, seed=seed), b: weights(wide, seed=seed + 1), v: weights(3, wide, seed=seed + 2),
                    c: weights(3, seed=seed + 3)})


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / f"{name}.onnx" for name in ("donor", "recipient", "wide", "tanh")}
    for path, made in zip(found.values(), (model(1, "dense"), model(20, "fc"), model(30, "fc", 7), model(1, "dense", act="Tanh")), strict=True):
        io.save(made, path)
    return {**found, "out": tmp_path / "out.onnx", "map": tmp_path / "map.json"}


def test_a_copy_is_told_in_a_table_and_written(files: dict[str, Path]) -> None:
    result = run("transfer", "copy", files["donor"], files["recipient"], "-o", files["out"])
    assert result.exit_code == 0 and files["out"].is_file()
    text = result.stdout
    assert "to the donor" in text and "SNR, before" in text and "SNR, after" in text
    assert "4 parameters paired (4 by structure)" in text and "4 parameters have new numbers" in text and "wrote" in text
    assert run("inspect", files["out"]).exit_code == 0


def test_a_dry_run_lists_every_pair_and_writes_nothing(files: dict[str, Path]) -> None:
    before = left_over(files["out"].parent)
    result = run("transfer", "copy", files["donor"], files["recipient"], "--dry-run")
    assert result.exit_code == 0 and left_over(files["out"].parent) == before
    for row in ("dense1_kernel", "fc2_bias", "structure", "6 x 5", "as it is"):
        assert row in result.stdout


def test_a_dry_run_that_leaves_something_ends_with_2_and_says_what(files: dict[str, Path]) -> None:
    result = run("transfer", "copy", files["donor"], files["wide"], "--dry-run")
    assert result.exit_code == 2
    assert "dense1_kernel and fc1_kernel stand in the same place, but the donor's is [6, 5], the recipient's [6, 7]" in " ".join(
        (result.stdout + result.stderr).split())
    assert run("transfer", "copy", files["donor"], files["wide"], "--dry-run", "--partial").exit_code == 0
    told = json.loads(run("transfer", "copy", files["donor"], files["wide"], "--dry-run", "--json").stdout)
    assert len(told["numbers"]["differing"]) == 3 and [p["recipient"] for p in told["numbers"]["pairs"]] == ["fc2_bias"]


def test_a_saved_map_gives_the_same_pairs(files: dict[str, Path]) -> None:
    assert run("transfer", "copy", files["donor"], files["recipient"], "--dry-run", "--save-map", files["map"]).exit_code == 0
    result = run("transfer", "copy", files["donor"], files["recipient"], "-o", files["out"], "--by", "map", "--map-file", files["map"], "--json")
    told = json.loads(result.stdout)["numbers"]["pairs"]
    assert result.exit_code == 0 and {p["donor"]: p["recipient"] for p in told} == json.loads(files["map"].read_text())
    assert {p["by"] for p in told} == {"map"} and len(told) == 4


def test_options_reach_the_copy(files: dict[str, Path]) -> None:
    arguments = ("transfer", "copy", files["donor"], files["recipient"], "-o", files["out"], "--json")
    told = json.loads(run(*arguments, "--map", "dense1_*=fc1_*", "--select", "fc1*", "--factor", "0.5").stdout)["numbers"]
    assert told["changed"] == ["fc1_kernel", "fc1_bias"] and told["not_selected"] == ["fc2_kernel", "fc2_bias"]
    a, b, c = (io.load(files[name]).graph.initializers for name in ("donor", "recipient", "out"))
    np.testing.assert_allclose(c["fc1_bias"].const_value.numpy(),  # type: ignore[union-attr]
                               0.5 * (a["dense1_bias"].const_value.numpy() + b["fc1_bias"].const_value.numpy()), rtol=1e-6)  # type: ignore[union-attr]
    assert run(*arguments, "--exclude", "fc2_bias", "--force", "--by", "structure").exit_code == 0


def test_other_activations_need_no_proof(files: dict[str, Path]) -> None:
    arguments = ("transfer", "copy", files["tanh"], files["recipient"], "-o", files["out"])
    failed(run(*arguments), 3, "does not compute what the donor computes: .*--no-proof")
    assert not files["out"].exists()
    assert run(*arguments, "--no-proof").exit_code == 0


def test_wrong_use_and_wrong_input(files: dict[str, Path]) -> None:
    before = left_over(files["out"].parent)
    copy, donor, recipient, out = ["transfer", "copy"], files["donor"], files["recipient"], files["out"]
    failed(run(*copy, donor, recipient), 2, "give either -o, to write, or --dry-run, to look; neither was received")
    failed(run(*copy, donor, recipient, "-o", out, "--dry-run"), 2, "both were received")
    failed(run(*copy, donor.with_name("no.onnx"), recipient, "-o", out), 2, r"no such file: .*no\.onnx")
    failed(run(*copy, donor, recipient, "-o", recipient), 2, "exists already; pass --force")
    failed(run(*copy, donor, recipient, "-o", recipient, "--force"), 2, "is read by this command")
    failed(run(*copy, donor, recipient, "-o", out, "--map", "dense"), 2, "a map is written old=new, received 'dense'")
    failed(run(*copy, donor, recipient, "-o", out, "--map", "zzz=fc1_bias"), 2, "map zzz=fc1_bias matches no parameter of the donor; it has ")
    failed(run(*copy, donor, recipient, "-o", out, "--by", "map"), 2, "needs a map; none was received")
    failed(run(*copy, donor, recipient, "-o", out, "--map-file", files["map"]), 2, r"no such file: .*map\.json")
    failed(run(*copy, donor, recipient, "-o", out, "--select", "zzz"), 2, "pattern 'zzz' matches no parameter; the recipient has fc1_bias")
    failed(run(*copy, donor, recipient, "-o", out, "--factor", "nan"), 2, "the factor must be a finite number, received nan")
    failed(run(*copy, donor, files["wide"], "-o", out), 2, "not every parameter has a partner, and nothing was written: .*; --partial")
    assert left_over(out.parent) == before


@pytest.mark.parametrize(("text", "says"), [("[1]", "must be one object of names .* received a list"), ("{a: 1}", "must be one object of names"),
                                            ("{", "is neither JSON nor YAML")])
def test_a_map_file_of_another_kind_is_refused(text: str, says: str, files: dict[str, Path]) -> None:
    files["map"].write_text(text)
    failed(run("transfer", "copy", files["donor"], files["recipient"], "-o", files["out"], "--map-file", files["map"]), 2, says)


def test_names_that_disagree_are_told_with_the_way_out(files: dict[str, Path]) -> None:
    shifted = graph(ENDS, "h = Gemm(x, dense2_kernel, dense2_bias)\nr = Relu(h)\ny = Gemm<transB=1>(r, dense3_kernel, dense3_bias)",
                    dense2_kernel=weights(6, 5), dense2_bias=weights(5), dense3_kernel=weights(3, 5), dense3_bias=weights(3))
    io.save(shifted, files["recipient"])
    arguments = ("transfer", "copy", files["donor"], files["recipient"], "-o", files["out"])
    failed(run(*arguments), 2, r"names and structure disagree: dense2_kernel \[5, 3\] of the donor is by name dense2_kernel \[6, 5\], by its place "
           r"dense3_kernel \[5, 3\].*--by name or --by structure")
    assert run(*arguments, "--by", "structure").exit_code == 0


# --- refit


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle, its Keras model, the same with other weights, and data."""
    import keras

    folder = tmp_path_factory.mktemp("shipped")
    keras.utils.set_random_seed(0)
    start = keras.Input((64,), name="x")
    net = keras.Model(start, keras.layers.Dense(10)(keras.layers.Dense(64, activation="relu")(start)))
    x = np.random.default_rng(0).normal(size=(32, 64)).astype(np.float32)
    found = {name: folder / file for name, file in (("old", "old.keras"), ("new", "new.weights.h5"), ("data", "data.npz"), ("bundle", "bundle"))}
    net.save(found["old"])
    np.savez(found["data"], x=x)
    assert run("ship", found["old"], "--calib", found["data"], "-o", found["bundle"]).exit_code == 0
    for v in net.variables:
        v.assign(np.asarray(v) * 1.01)
    net.save_weights(found["new"])
    return found


def test_refit_writes_a_bundle_that_replays(shipped: dict[str, Path], tmp_path: Path) -> None:
    result = run("transfer", "refit", shipped["new"], shipped["bundle"], "-o", tmp_path / "out", "--calib", shipped["data"], "--session-check",
                 "--report", tmp_path / "report")
    assert result.exit_code == 0, result.stderr
    assert "tensors have new values" in result.stdout and "activation ranges checked on 32 samples" in result.stdout
    assert "a session on the written file gives what was verified" in result.stdout and f"bundle: {tmp_path / 'out'}" in result.stdout
    assert run("replay", tmp_path / "out").exit_code == 0 and (tmp_path / "report" / "report.html").is_file()
    told = json.loads(run("transfer", "refit", shipped["new"], shipped["bundle"], "-o", tmp_path / "again", "--json").stdout)
    assert told["stage"] == "refit" and told["numbers"]["changed"] > 0 and "drift" not in told["numbers"]


def test_refit_that_is_refused_leaves_nothing(shipped: dict[str, Path], tmp_path: Path) -> None:
    before = left_over(tmp_path)
    for arguments, text in (((shipped["data"], shipped["bundle"]), "data.npz"), ((shipped["new"], tmp_path / "none"), "is not a bundle"),
                            ((shipped["new"], shipped["bundle"], "--recalibrate"), "calibration data are needed")):
        failed(run("transfer", "refit", *arguments, "-o", tmp_path / "out"), 2, text)
    assert left_over(tmp_path) == before
