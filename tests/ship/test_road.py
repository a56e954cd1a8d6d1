"""The judge is tried first: a wrong integer model must never be shipped, whatever is wrong with it. Then the right ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import converter
from converter.errors import ConversionError, InputError, UsageError, VerdictError
from converter.graph import io
from converter.quantize import road as quantizing
from converter.ship import atomic
from converter.spec.report import Report, Verdict
from converter.verify import evidence as measuring
from tests.arrays import load
from tests.ship import tiny


def change(model: ir.Model, wanted: Callable[[np.ndarray], bool], edit: Callable[[np.ndarray], object]) -> ir.Model:
    """Edit copies of the constants that ``wanted`` picks."""
    found = 0
    for value in model.graph.initializers.values():
        array = value.const_value.numpy().copy()  # type: ignore[union-attr]
        if wanted(array):
            edit(array)
            value.const_value = ir.tensor(array, name=value.name)
            found += 1
    assert found, "nothing was planted"
    return model


def codes(array: np.ndarray) -> bool:
    return array.dtype == np.int8 and array.ndim == 2


def last_codes(array: np.ndarray) -> bool:
    return codes(array) and array.shape[1] == tiny.CLASSES


def scales(array: np.ndarray) -> bool:
    return array.dtype == np.float32 and array.ndim == 1 and array.size == tiny.CLASSES


def activation_scale(array: np.ndarray) -> bool:
    return array.dtype == np.float32 and array.ndim == 0


def zero(array: np.ndarray) -> None:
    array[...] = 0


def one_channel(array: np.ndarray) -> None:
    array[:, 3] = 0


def negate(array: np.ndarray) -> None:
    array[...] = -array


def roll(array: np.ndarray) -> None:
    array[...] = np.roll(array, 1, axis=1)


def shuffle(array: np.ndarray) -> None:
    np.random.default_rng(0).shuffle(array)


def nan(array: np.ndarray) -> None:
    array[...] = np.nan


def huge(array: np.ndarray) -> None:
    array[...] *= 40


PLANTED = {"all weights zero": (codes, zero), "the last weight zero": (last_codes, zero), "one class zero": (last_codes, one_channel),
           "negated": (last_codes, negate), "rolled classes": (last_codes, roll), "rows shuffled": (codes, shuffle),
           "NaN in a scale": (scales, nan), "activations cut off": (activation_scale, lambda a: np.multiply(a, 0.02, out=a)),
           "activations on a coarse grid": (activation_scale, huge)}


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[np.ndarray], bool], Callable[[np.ndarray], object]], None]:
    def planted(wanted: Callable[[np.ndarray], bool], edit: Callable[[np.ndarray], object]) -> None:
        right = quantizing.insert
        monkeypatch.setattr(quantizing, "insert", lambda *a, **k: change(right(*a, **k), wanted, edit))

    return planted


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_a_no(name: str, plant: Any, case: dict[str, Path], quick: None, tmp_path: Path) -> None:
    plant(*PLANTED[name])
    with pytest.raises(VerdictError, match=r"^verdict no, nothing was shipped: ") as caught:
        converter.ship(case["model"], tmp_path / "out", calib=case["calib"], eval=case["eval"], metric="top1", max_drop=1)
    report = caught.value.report
    assert report.verdict is Verdict.NO and report.reasons and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["all weights zero", "the last weight zero", "negated", "rolled classes", "rows shuffled", "NaN in a scale",
                                  "activations cut off"])
def test_without_labels_it_is_a_no_too(name: str, plant: Any, case: dict[str, Path], quick: None, tmp_path: Path) -> None:
    plant(*PLANTED[name])
    with pytest.raises(VerdictError, match="the candidate is wrong"):
        converter.ship(case["model"], tmp_path / "out", calib=case["calib"])
    assert list(tmp_path.iterdir()) == []


def test_the_report_of_a_no_is_whole(plant: Any, case: dict[str, Path], quick: None, tmp_path: Path) -> None:
    plant(*PLANTED["negated"])
    heard: list[Report] = []
    with pytest.raises(VerdictError) as caught:
        converter.ship(case["model"], tmp_path / "out", calib=case["calib"], eval=case["eval"], metric="top1", max_drop=1, on_report=heard.append)
    told = heard[0].to_dict()
    assert caught.value.report is heard[0] and told["verdict"] == "no"
    assert {"accuracy", "fidelity", "size", "latency", "coverage", "layers", "tensors", "machine", "versions", "seconds"} <= set(told["numbers"])
    assert told["numbers"]["accuracy"]["drop"] > 50


def test_a_right_one_is_shipped(case: dict[str, Path], quick: None, tmp_path: Path) -> None:
    heard: list[Report] = []
    bundle = converter.ship(case["model"], tmp_path / "out", calib=case["calib"], on_report=heard.append)
    assert bundle.path == tmp_path / "out" and bundle.report is heard[0] and heard[0].verdict is Verdict.YES
    assert bundle.model.is_file() and bundle.float_model.is_file() and atomic.MARK not in " ".join(p.name for p in tmp_path.iterdir())


@pytest.mark.parametrize(("want", "ratio", "ships"), [("faster", 1.3, False), ("both", 1.3, False), ("faster", 0.7, True), ("smaller", 1.3, True)])
def test_what_is_wanted_decides(want: str, ratio: float, ships: bool, case: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    latency = measuring.Latency(1, 1, 1.0, ratio, ratio, ratio, ratio, 5)
    monkeypatch.setattr(measuring, "race", lambda *a, **k: latency)
    if not ships:
        with pytest.raises(VerdictError, match=r"not faster on this CPU: 1\.30 times the float latency"):
            converter.ship(case["model"], tmp_path / "out", calib=case["calib"], want=want)
        assert list(tmp_path.iterdir()) == []
        return
    report = converter.ship(case["model"], tmp_path / "out", calib=case["calib"], want=want).report
    assert report is not None and (ratio > 1) == any(w.startswith("slower than float") for w in report.warnings)


def test_a_model_that_grows_is_not_smaller(quick: None, tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]>\nm (float[N, 4] x, float w) => (float[N, 2] y) { y = MatMul(x, w) }'
    model = tiny.with_weights(text, w=(4, 2))
    io.save(model, tmp_path / "m.onnx")
    with pytest.raises(VerdictError, match=r"not smaller: 1,\d+ bytes against \d+ of the float model"):
        converter.ship(tmp_path / "m.onnx", tmp_path / "out", calib={"x": tiny.samples(32, features=4)})
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_strict_makes_too_few_samples_a_no(case: dict[str, Path], quick: None, tmp_path: Path) -> None:
    few = {k: v[:20] for k, v in load(case["eval"]).items()}
    order: dict[str, Any] = {"calib": case["calib"], "eval": few, "metric": "top1", "max_drop": 1}
    loose = converter.ship(case["model"], tmp_path / "loose", **order)
    assert loose.report is not None and loose.report.verdict is Verdict.UNDECIDED and loose.manifest.verdict == "undecided"
    with pytest.raises(VerdictError, match=r"^verdict undecided, nothing was shipped: 20 samples cannot decide 1 point"):
        converter.ship(case["model"], tmp_path / "strict", strict=True, **order)
    assert [p.name for p in tmp_path.iterdir()] == ["loose"]


def test_the_disk_fills_while_the_bundle_is_written(case: dict[str, Path], quick: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(model: ir.Model, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(io, "save", full)
    with pytest.raises(InputError, match=r"cannot write .*out: No space left on device"):
        converter.ship(case["model"], tmp_path / "out", calib=case["calib"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("order", "kind", "says"), [
    ({"target": "abacus"}, UsageError, "unknown target 'abacus'; known: .*ort-cpu"),
    ({"metric": "top7", "eval": "eval"}, UsageError, "unknown metric 'top7'; known: .*top1"),
    ({"metric": "top1"}, UsageError, "the metric top1 needs evaluation data"),
    ({"max_drop": 1.0, "eval": "eval"}, UsageError, "largest drop of 1.0 was given, but no metric"),
    ({"max_drop": 1.0, "metric": "top1"}, UsageError, "largest drop of 1.0 was given, but no evaluation data"),
    ({"max_drop": float("nan"), "metric": "top1", "eval": "eval"}, UsageError, "finite number"),
    ({"want": "cheaper"}, UsageError, "unknown want 'cheaper'; known: both, faster, smaller"),
    ({"recipe": "int2"}, UsageError, "recipe 'int2' is neither a preset nor a file; presets: int8"),
    ({"tune": "data.npz"}, UsageError, "not available in this version"),
    ({"calib": "nowhere.npz"}, InputError, "no such file or folder: nowhere.npz"),
    ({"eval": "nowhere.npz"}, InputError, "no such file or folder: nowhere.npz"),
    ({"model": "nowhere.keras"}, InputError, "no such file or folder: nowhere.keras"),
    ({"model": 3}, UsageError, "cannot take a int as a model; known: keras.Model, .keras"),
    ({"model": "."}, UsageError, r"cannot take the folder \. as a model"),
])
def test_wrong_orders_are_refused_before_any_work(
    order: dict[str, Any], kind: type[Exception], says: str, case: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("converter.frontend.keras_source.import_keras", lambda: pytest.fail("this costs the user seconds"))
    given: dict[str, Any] = {"model": case["model"], "calib": case["calib"], **order}
    given["eval"] = case["eval"] if given.get("eval") == "eval" else given.get("eval")
    with pytest.raises(kind, match=says):
        converter.ship(given.pop("model"), tmp_path / "out", **given)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_names_what_is_beside_it(case: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"beside it: calib\.npz, eval\.npz, model\.onnx$"):
        converter.ship(case["model"].with_name("modell.onnx"), tmp_path / "out", calib=case["calib"])


def test_a_model_that_is_quantized_already(shipped: Path, case: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="is quantized already"):
        converter.ship(shipped / "model.onnx", tmp_path / "out", calib=case["calib"])


def test_no_operator_gains(tmp_path: Path) -> None:
    io.save(io.from_text('<ir_version: 8, opset_import: ["" : 17]>\nm (float[N, 4] x) => (float[N, 4] y) { y = Tanh(x) }'), tmp_path / "m.onnx")
    with pytest.raises((ConversionError, VerdictError)):
        converter.ship(tmp_path / "m.onnx", tmp_path / "out", calib={"x": tiny.samples(8, features=4)})
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
