"""The Python face: names, types, what is imported when, and every verb on real models."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converter
from converter.errors import ConversionError, ConverterError, InputError, UsageError, VerdictError
from converter.graph import io
from converter.spec.report import Report, Verdict
from converter.verify.session import Session
from tests.arrays import load
from tests.ship import tiny

VERBS = ("bench", "clone", "copy_weights", "diff", "export", "graft", "inspect", "quantize", "refit", "replay", "restore", "ship", "verify")


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """Latency is measured for a moment only."""
    with pytest.MonkeyPatch.context() as patch:
        tiny.cut_short(patch)
        yield


def fresh(code: str) -> str:
    """What a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code], env=tiny.environment(), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_light() -> None:
    heavy = fresh("import sys, converter; converter.ConverterError; converter.Report; print([m for m in "
                  "('tensorflow', 'keras', 'onnx', 'onnx_ir', 'onnxruntime', 'matplotlib', 'rich', 'click') if m in sys.modules])")
    assert heavy.strip() == "[]"


def test_every_public_name_is_there() -> None:
    assert set(dir(converter)) == set(converter.__all__) and sorted(converter.__all__) == converter.__all__
    for name in converter.__all__:
        thing = getattr(converter, name)
        assert name == "__version__" or inspect.getdoc(thing), name
    with pytest.raises(AttributeError, match=r"module 'converter' has no attribute 'shipp'; it has .*ship"):
        _ = converter.shipp  # type: ignore[attr-defined]


@pytest.mark.parametrize("first", ["converter.ship", "converter.quantize.road", "converter.verify.session"])
def test_a_verb_stays_a_verb_when_the_package_of_its_name_is_imported(first: str) -> None:
    out = fresh(f"import converter, importlib; importlib.import_module({first!r}); from converter.ship import road\n"
                f"print([callable(getattr(converter, n)) for n in {VERBS}], callable(road.ship))")
    assert out.split("]")[0].count("True") == len(VERBS) and out.strip().endswith("True")


@pytest.mark.parametrize("verb", VERBS)
def test_verbs_are_typed_and_documented(verb: str) -> None:
    function = getattr(converter, verb)
    signature = inspect.signature(function)
    assert signature.return_annotation in ("Report", "Bundle")
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())


def test_errors_are_one_family() -> None:
    kinds = {name: getattr(converter, name) for name in converter.__all__ if name.endswith("Error")}
    assert all(issubclass(kind, ConverterError) for kind in kinds.values())
    codes = {name: kind.exit_code for name, kind in kinds.items()}
    assert codes == {"ConversionError": 3, "ConverterError": 2, "InputError": 2, "ParityError": 3, "UnsafeError": 2, "UsageError": 2,
                     "VerdictError": 1}


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_case(tmp_path_factory.mktemp("api"))["model"]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("two") / "two.onnx"
    io.save(tiny.two_ends(), path)
    return path


def both(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"left": tiny.samples(count, seed, 48), "right": tiny.samples(count, seed + 1, 48)}


def test_quantize_gives_a_report_and_a_file(onnx_file: Path, tmp_path: Path) -> None:
    report = converter.quantize(onnx_file, tiny.samples(32), path=tmp_path / "int8.onnx")
    assert isinstance(report, Report) and report.stage == "quantize" and report.verdict is None
    assert report.numbers["bytes"] == (tmp_path / "int8.onnx").stat().st_size < onnx_file.stat().st_size / 2
    assert report.numbers["quantize"]["samples"] == 32 and report.numbers["seconds"]["calibrate"] >= 0
    x = {"x": tiny.samples(4, 5)}
    assert np.abs(Session(tmp_path / "int8.onnx").run(x)["y"] - Session(onnx_file).run(x)["y"]).max() < 0.2


def test_quantize_without_a_path_writes_nothing(onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "bytes" not in converter.quantize(onnx_file, tiny.samples(16)).numbers
    assert list(tmp_path.iterdir()) == []


def test_quantize_takes_up_statistics(onnx_file: Path, tmp_path: Path) -> None:
    saved = tmp_path / "seen.npz"
    converter.quantize(onnx_file, tiny.samples(16), statistics=saved)
    assert saved.is_file()
    again = converter.quantize(onnx_file, tiny.samples(16, 1), statistics=saved)
    assert again.numbers["quantize"]["samples"] == 32


@pytest.mark.parametrize("calib", [both(24), [both(12), both(12, 5)], lambda: iter([both(24)])], ids=["dict", "list of batches", "callable"])
def test_two_inputs_and_two_outputs(two: Path, calib: Any, tmp_path: Path) -> None:
    bundle = converter.ship(two, tmp_path / "out", calib=calib)
    assert [i["name"] for i in bundle.manifest.inputs] == ["left", "right"] and [o["name"] for o in bundle.manifest.outputs] == ["sum", "side"]
    golden = load(bundle.path / "golden.npz")
    assert sorted(golden) == ["float/side", "float/sum", "input/left", "input/right", "integer/side", "integer/sum"]
    assert bundle.report is not None and set(bundle.report.numbers["fidelity"]["fused"]["outputs"]) == {"sum", "side"}
    assert converter.replay(bundle.path).verdict is Verdict.YES


def test_verbs_can_be_called_again_and_again(onnx_file: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert converter.ship(onnx_file, tmp_path / name, calib=tiny.samples(16)).path == tmp_path / name
        assert converter.verify(tmp_path / name / "float.onnx", tmp_path / name, tiny.samples(8)).verdict is Verdict.YES


def test_verify_bundle_against_onnx(onnx_file: Path, tmp_path: Path) -> None:
    bundle = converter.ship(onnx_file, tmp_path / "out", calib=tiny.samples(32))
    x = tiny.samples(64, 3)
    y = Session(onnx_file).run({"x": x})["y"].argmax(-1)
    report = converter.verify(onnx_file, bundle.path, (x, y), metric="top1", max_drop=20)
    assert report.stage == "verify" and report.verdict in (Verdict.YES, Verdict.UNDECIDED) and report.numbers["accuracy"]["samples"] == 64
    assert {"fidelity", "coverage", "size", "latency", "machine", "versions"} <= set(report.numbers)
    wrong = converter.verify(onnx_file, bundle.path, (x, (y + 1) % tiny.CLASSES), metric="top1", max_drop=0)
    assert wrong.numbers["accuracy"]["float_score"] == 0


def test_verify_finds_another_model(onnx_file: Path, tmp_path: Path) -> None:
    other = tiny.mlp()
    weight = other.graph.initializers["w2"]
    weight.const_value = tiny.ir.tensor(-weight.const_value.numpy(), name="w2")  # type: ignore[union-attr]
    io.save(other, tmp_path / "other.onnx")
    report = converter.verify(onnx_file, tmp_path / "other.onnx", tiny.samples(32))
    assert report.verdict is Verdict.NO and report.reasons[0].startswith("the candidate is wrong")


def test_verify_wants_a_metric_for_a_limit(onnx_file: Path) -> None:
    with pytest.raises(UsageError, match=r"largest drop of 1\.0 was given, but no metric"):
        converter.verify(onnx_file, onnx_file, tiny.samples(4), max_drop=1.0)


def test_inspect_and_bench(onnx_file: Path, tmp_path: Path) -> None:
    found = converter.inspect(onnx_file)
    assert found.numbers["operators"] == {"Gemm": 2, "Relu": 1} and found.numbers["model"]["kind"] == "onnx"
    assert found.numbers["parameters"] == sum(v.const_value.size for v in tiny.mlp().graph.initializers.values())  # type: ignore[union-attr]
    assert found.numbers["weight_bytes"] == {"float": 4 * found.numbers["parameters"]} and "float graph" in found.done[0]
    bundle = converter.ship(onnx_file, tmp_path / "out", calib=tiny.samples(16))
    inside = converter.inspect(bundle.path)
    assert inside.numbers["bundle"]["verdict"] == "yes" and "integer graph, 2 quantized activations" in inside.done[-1]
    timed = converter.bench([onnx_file, bundle.path], data=tiny.samples(4), seconds=0.01)
    assert len(timed.numbers["rows"]) == 1 and timed.numbers["rows"][0]["ratio"] > 0
    assert len(converter.bench([onnx_file], seconds=0.01).numbers["rows"]) == 1


@pytest.mark.parametrize(("models", "more", "says"), [
    ([], {}, "no model to time"), (["m"], {"threads": 0}, "threads must be at least 1"), (["m"], {"seconds": 0.0}, "seconds positive"),
    (["m"], {"seconds": float("nan")}, "seconds positive"),
])
def test_bench_refuses(models: list[str], more: dict[str, Any], says: str, onnx_file: Path) -> None:
    with pytest.raises(UsageError, match=says):
        converter.bench([onnx_file for _ in models], **more)


@pytest.fixture(scope="module")
def keras_model() -> Any:
    """Two inputs and two outputs, a convolution with BatchNorm among them, never called."""
    import keras

    keras.utils.set_random_seed(1)
    image, extra = keras.Input((8, 8, 3), name="image"), keras.Input((16,), name="extra")
    x = keras.layers.Conv2D(32, 3, padding="same", use_bias=False, name="conv")(image)
    x = keras.layers.ReLU(6.0, name="relu")(keras.layers.BatchNormalization(name="bn")(x))
    x = keras.layers.Conv2D(32, 3, strides=2, name="conv2")(x)
    x = keras.layers.Concatenate(name="both")([keras.layers.GlobalAveragePooling2D(name="pool")(x), extra])
    return keras.Model([image, extra], [keras.layers.Dense(10, name="classes")(x), keras.layers.Dense(3, name="box")(x)], name="twins")


def inputs(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    return {"image": rng.normal(0, 1, (count, 8, 8, 3)).astype(np.float32), "extra": rng.normal(0, 1, (count, 16)).astype(np.float32)}


def test_ship_a_live_keras_model(keras_model: Any, tmp_path: Path) -> None:
    x = inputs(32)
    labels = keras_model.predict(x, verbose=0)[0].argmax(-1)
    bundle = converter.ship(keras_model, tmp_path / "out", calib=x, eval={**x, "y": labels}, metric="top1", max_drop=30)
    golden = load(bundle.path / "golden.npz")
    outputs = [f"{kind}/{name}" for kind in ("keras", "float", "integer") for name in ("classes", "box")]
    assert sorted(golden) == sorted(["input/image", "input/extra", *outputs])
    for name in ("classes", "box"):
        assert np.allclose(golden[f"keras/{name}"], golden[f"float/{name}"], atol=1e-4)
        assert 0 < np.abs(golden[f"float/{name}"] - golden[f"integer/{name}"]).max() < 0.3
    assert bundle.manifest.name == "twins" and {"conv/kernel", "conv2/kernel", "classes/kernel"} <= set(bundle.manifest.weights)
    assert bundle.report is not None and bundle.report.numbers["model"]["source"] == "live keras.Model 'twins'"
    assert converter.replay(bundle.path).verdict is Verdict.YES
    against = converter.verify(keras_model, bundle.path, x)
    assert against.verdict is Verdict.YES and against.numbers["fidelity"]["fused"]["snr_db"] > 20


def test_export_a_live_keras_model(keras_model: Any, tmp_path: Path) -> None:
    report = converter.export(keras_model, tmp_path / "float.onnx")
    assert report.stage == "export" and report.numbers["parity"]["relative"] < 1e-4 and report.numbers["bytes"] > 1000
    x = inputs(3)
    expected = keras_model.predict(x, verbose=0)
    got = Session(tmp_path / "float.onnx").run(x)
    assert np.allclose(got["classes"], expected[0], atol=1e-4) and np.allclose(got["box"], expected[1], atol=1e-4)


@pytest.mark.parametrize("opset", [12, 24, 0])
def test_export_refuses_an_opset_it_does_not_write(keras_model: Any, opset: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"opset {opset} is not supported for export; supported: 13 to 23"):
        converter.export(keras_model, tmp_path / "float.onnx", opset=opset)
    assert list(tmp_path.iterdir()) == []


def test_export_a_model_whose_shape_nobody_knows(tmp_path: Path) -> None:
    import keras

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    with pytest.raises(ConversionError, match=r"input shape of .* is unknown"):
        converter.export(Own(), tmp_path / "float.onnx")
    report = converter.export(Own(), tmp_path / "float.onnx", input_spec=keras.KerasTensor((None, 5)))
    assert report.numbers["parameters"] == 12


def test_verify_two_keras_models(keras_model: Any) -> None:
    assert converter.verify(keras_model, keras_model, inputs(8)).verdict is Verdict.YES


def test_a_verdict_error_carries_its_report(onnx_file: Path, tmp_path: Path) -> None:
    x = tiny.samples(64, 4)
    y = Session(onnx_file).run({"x": x})["y"].argmax(-1)
    with pytest.raises(VerdictError) as caught:
        converter.ship(onnx_file, tmp_path / "out", calib=0.01 * tiny.samples(16), eval=(x, y), metric="top1", max_drop=0)
    assert isinstance(caught.value.report, Report) and caught.value.report.verdict is Verdict.NO
    assert caught.value.exit_code == 1 and list(tmp_path.iterdir()) == []


def test_data_that_does_not_fit(onnx_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="wrong shape"):
        converter.ship(onnx_file, tmp_path / "out", calib=tiny.samples(4, features=3))
    with pytest.raises(UsageError, match="cannot open a int as a model"):
        converter.verify(3, onnx_file, tiny.samples(4))
