"""New weights in a shipped bundle: what a fresh ship with the same grids would give, bit for bit; wrong weights change nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import converter
from converter.calibrate import store
from converter.errors import InputError, ParityError, UsageError, VerdictError
from converter.frontend import variables
from converter.quantize import road
from converter.ship import bundle as bundles
from converter.spec.report import Verdict
from tests.frontend.building import left_over, stir

L = keras.layers


def network(width: int = 8, prefix: str = "") -> Any:
    """Every kind of fold: BatchNorm behind and in front, depthwise, transposed, padding, dense."""
    start = keras.Input((12, 12, 3), name="image")
    x = L.Conv2D(width, 3, use_bias=False, name=f"{prefix}stem")(start)
    x = L.BatchNormalization(name=f"{prefix}norm")(x)
    x = L.ReLU(6.0, name=f"{prefix}relu")(x)
    x = L.ZeroPadding2D(1, name=f"{prefix}pad")(x)
    x = L.DepthwiseConv2D(3, strides=2, name=f"{prefix}depth")(x)
    x = L.BatchNormalization(name=f"{prefix}norm2")(x)
    x = L.ReLU(name=f"{prefix}relu2")(x)
    x = L.BatchNormalization(name=f"{prefix}front")(x)
    x = L.Conv2D(8 * width, 1, name=f"{prefix}point")(x)
    x = L.ReLU(name=f"{prefix}relu3")(x)
    x = L.GlobalAveragePooling2D(name=f"{prefix}pool")(x)
    x = L.Dense(256, activation="relu", name=f"{prefix}wide")(x)
    return stir(keras.Model(start, L.Dense(5, name=f"{prefix}head")(x)))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(0.2, 1, (32, 12, 12, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    return network()


@pytest.fixture(scope="module")
def first(model: Any, images: np.ndarray, quick: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refit")
    np.savez(folder / "eval.npz", image=images, y=np.argmax(model.predict(images, verbose=0), axis=-1))
    converter.ship(model, folder / "first", calib={"image": images}, eval=folder / "eval.npz", metric="top1", max_drop=20,
                   statistics=folder / "seen.npz")
    return folder / "first"


def trained(model: Any, size: float = 0.02) -> Any:
    """The model after some steps of another optimizer."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    rng = np.random.default_rng(5)
    for v in copy.variables:
        v.assign(np.asarray(v) * (1 + size * rng.normal(size=v.shape)).astype(np.float32))
    return copy


def test_unchanged_weights_change_no_byte_of_the_graphs(model: Any, first: Path, tmp_path: Path) -> None:
    made = converter.refit(model, first, tmp_path / "again")
    assert (made.path / "model.onnx").read_bytes() == (first / "model.onnx").read_bytes()
    assert (made.path / "float.onnx").read_bytes() == (first / "float.onnx").read_bytes()
    assert made.report is not None and made.report.numbers["changed"] == 0
    assert converter.replay(made.path).verdict is Verdict.YES


def test_new_weights_give_what_a_fresh_ship_with_the_same_statistics_gives(
    model: Any, first: Path, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = trained(model)
    made = converter.refit(new, first, tmp_path / "refit")
    monkeypatch.setattr(road, "collect", lambda *a, **k: store.load(first.parent / "seen.npz"))
    fresh = converter.ship(new, tmp_path / "fresh", calib={"image": images})
    assert (made.path / "float.onnx").read_bytes() == (fresh.path / "float.onnx").read_bytes()
    assert (made.path / "model.onnx").read_bytes() == (fresh.path / "model.onnx").read_bytes()
    ours, theirs = (bundles.read(b.path).manifest for b in (made, fresh))
    assert ours.weights == theirs.weights
    before, after = bundles.read(first).manifest, bundles.read(made.path).manifest
    assert before.tensors == after.tensors and before.folds == after.folds
    assert before.weights != after.weights
    assert converter.replay(made.path).verdict is Verdict.YES
    again = converter.refit(new, made.path, tmp_path / "twice")
    assert (again.path / "model.onnx").read_bytes() == (made.path / "model.onnx").read_bytes()


def test_calibrated_again_it_is_what_a_fresh_ship_gives(model: Any, first: Path, images: np.ndarray, tmp_path: Path) -> None:
    new, other = trained(model, 0.2), {"image": images[::-1] * 1.5}
    made = converter.refit(new, first, tmp_path / "refit", calib=other, recalibrate=True, session_check=True)
    fresh = converter.ship(new, tmp_path / "fresh", calib=other)
    assert (made.path / "model.onnx").read_bytes() == (fresh.path / "model.onnx").read_bytes()
    ours, theirs = (bundles.read(b.path).manifest for b in (made, fresh))
    assert (ours.weights, ours.tensors, ours.statistics) == (theirs.weights, theirs.tensors, theirs.statistics)
    assert made.report is not None and len(made.report.numbers["drift"]) > 3 and not any("recalibrate" in w for w in made.report.warnings)
    assert converter.replay(made.path).verdict is Verdict.YES


def test_drift_is_told_and_changes_nothing(model: Any, first: Path, images: np.ndarray, tmp_path: Path) -> None:
    plain = converter.refit(model, first, tmp_path / "plain", calib={"image": images})
    assert plain.report is not None and all(d["outside"] < 0.01 and d["used"] > 0.9 for d in plain.report.numbers["drift"])
    assert not any("ranges do not fit" in w for w in plain.report.warnings)
    new = trained(model)
    new.get_layer("wide").kernel.assign(new.get_layer("wide").kernel * 1.5)
    without, told = (converter.refit(new, first, tmp_path / f"out{i}", calib=calib) for i, calib in enumerate((None, {"image": images})))
    assert (without.path / "model.onnx").read_bytes() == (told.path / "model.onnx").read_bytes()
    assert told.report is not None and without.report is not None and "drift" not in without.report.numbers
    assert any("activation ranges do not fit the new weights: wide" in w for w in told.report.warnings), told.report.warnings


def test_calibrating_again_needs_data(model: Any, first: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="calibration data are needed"):
        converter.refit(model, first, tmp_path / "out", recalibrate=True)


def test_a_session_check_that_fails_leaves_nothing(model: Any, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = converter.refit(model, first, tmp_path / "same", session_check=True)
    assert made.report is not None and made.report.numbers["session"]["tensors_changed"] == 0
    before, save = left_over(tmp_path), bundles.io.save
    old = bundles.io.load(first / "model.onnx")
    monkeypatch.setattr(bundles.io, "save", lambda graph, path: save(old if path.name == "model.onnx" else graph, path))
    with pytest.raises(ParityError, match="does not give what was verified"):
        converter.refit(trained(model, 0.2), first, tmp_path / "out", session_check=True)
    assert left_over(tmp_path) == before


@pytest.mark.parametrize("kind", ["keras", "weights.h5"])
def test_a_file_is_read_without_keras_and_gives_the_same(kind: str, model: Any, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = trained(model)
    (new.save if kind == "keras" else new.save_weights)(tmp_path / f"new.{kind}")
    live = converter.refit(new, first, tmp_path / "live")
    monkeypatch.setattr("converter.frontend.keras_source.open_model", lambda *a, **k: pytest.fail("Keras was loaded"))
    stored = converter.refit(tmp_path / f"new.{kind}", first, tmp_path / "stored")
    assert (live.path / "model.onnx").read_bytes() == (stored.path / "model.onnx").read_bytes()


def test_layers_may_have_other_names(model: Any, first: Path, tmp_path: Path) -> None:
    renamed = network(prefix="other_")
    renamed.set_weights(model.get_weights())
    made = converter.refit(renamed, first, tmp_path / "out")
    assert (made.path / "model.onnx").read_bytes() == (first / "model.onnx").read_bytes()


def test_places_are_those_of_the_weights_file(model: Any, tmp_path: Path) -> None:
    places = variables.places(model)
    model.save_weights(tmp_path / "m.weights.h5")
    found = variables.of_file(tmp_path / "m.weights.h5", places)
    assert found.keys() == {v.path for v in model.variables}
    for v in model.variables:
        np.testing.assert_array_equal(found[v.path], np.asarray(v))


def wider(model: Any, folder: Path) -> Any:
    return network(9)


def deeper(model: Any, folder: Path) -> Any:
    return keras.Sequential([*model.layers, L.Dense(5), L.Dense(5)])


def spoilt(model: Any, folder: Path) -> Any:
    new = trained(model)
    new.get_layer("stem").kernel.assign(np.full(new.get_layer("stem").kernel.shape, np.nan))
    return new


def cut(model: Any, folder: Path) -> Path:
    model.save_weights(folder / "cut.weights.h5")
    data = (folder / "cut.weights.h5").read_bytes()
    (folder / "cut.weights.h5").write_bytes(data[: len(data) // 2])
    return folder / "cut.weights.h5"


def not_a_zip(model: Any, folder: Path) -> Path:
    (folder / "m.keras").write_bytes(b"no")
    return folder / "m.keras"


def missing(model: Any, folder: Path) -> Path:
    return folder / "nothing.keras"


NOT_COMPUTED = r"tensor .* (would become float32 \[9|cannot be computed from these weights).*it comes from "
WRONG: dict[str, tuple[Callable[[Any, Path], Any], str]] = {
    "wider": (wider, NOT_COMPUTED), "deeper": (deeper, r"0 variables are missing .*4 are not known \(.*vars"),
    "NaN": (spoilt, "would hold NaN or infinite values; it comes from .*stem/kernel"),
    "cut short": (cut, "is not a Keras weights file, or is cut short"), "no zip": (not_a_zip, "is not a Keras weights file"),
    "missing": (missing, "no such file")}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_weights_are_refused_and_nothing_is_written(case: str, model: Any, first: Path, tmp_path: Path) -> None:
    make, text = WRONG[case]
    weights = make(model, tmp_path)
    before = left_over(tmp_path)
    with pytest.raises(InputError, match=text):
        converter.refit(weights, first, tmp_path / "out")
    assert left_over(tmp_path) == before


def test_another_activation_of_the_same_weights_is_found(model: Any, first: Path, tmp_path: Path) -> None:
    def other_relu(layer: Any) -> Any:
        return L.ReLU(0.1) if layer.name == "relu" else layer.__class__.from_config(layer.get_config())

    other = keras.models.clone_model(model, clone_function=other_relu)
    other.set_weights(model.get_weights())
    with pytest.raises(ParityError, match="does not compute what the Keras model computes"):
        converter.refit(other, first, tmp_path / "out")


def test_weights_far_from_the_calibrated_ranges_are_refused_by_the_judge(model: Any, first: Path, tmp_path: Path) -> None:
    new = trained(model)
    new.get_layer("point").kernel.assign(new.get_layer("point").kernel * 500)
    with pytest.raises(VerdictError, match="does not follow the reference") as caught:
        converter.refit(new, first, tmp_path / "out")
    assert caught.value.report is not None
    assert left_over(tmp_path) == []


def test_a_damaged_bundle_and_the_bundle_itself_as_target_are_refused(model: Any, first: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(first, tmp_path / "copy"))
    (copy / "float.onnx").write_bytes((copy / "float.onnx").read_bytes()[:-1])
    with pytest.raises(InputError, match=r"is damaged: file float\.onnx is not the one"):
        converter.refit(model, copy, tmp_path / "out")
    with pytest.raises(UsageError, match="cannot replace the one it is made from"):
        converter.refit(model, first, first, force=True)


def test_labels_are_judged_by_the_gate_of_the_bundle(model: Any, first: Path, tmp_path: Path) -> None:
    made = converter.refit(model, first, tmp_path / "out", data=first.parent / "eval.npz")
    assert made.manifest.metrics["accuracy"]["max_drop"] == 20
    assert made.report is not None and not any("golden inputs" in w for w in made.report.warnings)


def test_a_bundle_of_an_onnx_file_has_no_keras_variables(case: dict[str, Path], shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="was not made from a Keras model"):
        converter.refit(case["model"], shipped, tmp_path / "out")
