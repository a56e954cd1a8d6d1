"""Restore: from a float and from an integer graph back into Keras; what is wrong is caught, and nothing is left behind."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import converter
from converter.errors import ConversionError, InputError, ParityError, UsageError
from converter.graph import io, query
from converter.ship import restoring
from tests.frontend.building import chain, left_over, stir
from tests.ship.tiny import failed, run, with_weights

L = keras.layers


def convolutional(prefix: str = "") -> Any:
    """Every kind of fold: BatchNorm behind, in front and by itself, depthwise, separable, transposed, dense."""
    start = keras.Input((12, 12, 3), name="image")
    x = L.Conv2D(8, 3, use_bias=False, name=f"{prefix}stem")(start)
    x = L.ReLU(6.0)(L.BatchNormalization(name=f"{prefix}norm")(x))
    x = L.DepthwiseConv2D(3, depth_multiplier=2, name=f"{prefix}depth")(x)
    x = L.ReLU()(L.BatchNormalization(center=False)(x))
    x = L.Conv2D(16, 1, name=f"{prefix}point")(L.BatchNormalization(name=f"{prefix}front")(x))
    x = L.SeparableConv2D(8, 3, name=f"{prefix}separable")(L.ReLU()(L.BatchNormalization(name=f"{prefix}alone")(L.Add()([x, x]))))
    x = L.Conv2DTranspose(8, 3, strides=2, name=f"{prefix}up")(x)
    x = L.GlobalAveragePooling2D()(L.BatchNormalization(scale=False)(x))
    return stir(keras.Model(start, L.Dense(5, name=f"{prefix}head")(x)))


def recurrent() -> Any:
    return chain((4, 5), L.LSTM(6, return_sequences=True), L.GRU(4, return_sequences=True), L.Bidirectional(L.GRU(3, reset_after=False)), L.Dense(4))


def attention() -> Any:
    start = keras.Input((6,), dtype="int32", name="x")
    x = L.Embedding(11, 8)(start)
    x = L.LayerNormalization()(L.Add()([x, L.MultiHeadAttention(2, 3)(x, x)]))
    x = L.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d")(x)
    return stir(keras.Model(start, L.Dense(3)(L.GlobalAveragePooling1D()(x))))


MODELS: dict[str, Callable[[], Any]] = {"convolutional": convolutional, "recurrent": recurrent, "attention": attention}


def feeds(model: Any, count: int = 8) -> Any:
    shape, rng = (count, *model.inputs[0].shape[1:]), np.random.default_rng(3)
    return rng.integers(0, 11, shape).astype(np.int32) if model.inputs[0].dtype == "int32" else rng.normal(size=shape).astype(np.float32)


def other(model: Any, seed: int = 7) -> Any:
    """A clone with other weights."""
    return stir(keras.models.clone_model(model), seed)


def off(first: Any, second: Any) -> float:
    """Largest difference of two models as a share of the range."""
    x = feeds(first)
    a, b = (np.asarray(m(x, training=False)) for m in (first, second))
    return float(np.abs(a - b).max() / np.ptp(a))


@pytest.fixture(scope="module", params=MODELS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    model, path = MODELS[request.param](), tmp_path_factory.mktemp(request.param) / "float.onnx"
    converter.export(model, path)
    return model, path


@pytest.fixture(scope="module")
def conv(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A model, and a folder with its float and integer graphs and data."""
    model, folder = convolutional(), tmp_path_factory.mktemp("conv")
    np.savez(folder / "x.npz", image=feeds(model, 32))
    converter.export(model, folder / "float.onnx")
    converter.quantize(model, folder / "x.npz", path=folder / "int8.onnx")
    return model, folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The same of a model that takes no time."""
    model, folder = chain((8, 8, 3), L.Conv2D(8, 3, name="stem"), L.BatchNormalization(name="norm"), L.GlobalAveragePooling2D(), L.Dense(5)), \
        tmp_path_factory.mktemp("small")
    np.savez(folder / "x.npz", x=feeds(model, 32))
    converter.export(model, folder / "float.onnx")
    converter.quantize(model, folder / "x.npz", path=folder / "int8.onnx")
    return model, folder


def test_a_clone_predicts_what_the_graph_predicts(exported: tuple[Any, Path], tmp_path: Path) -> None:
    model, path = exported
    clone = other(model)
    before = [np.array(w) for w in clone.get_weights()]
    assert off(model, clone) > 0.1
    report = converter.restore(path, clone, tmp_path / "restored.keras")
    assert off(model, keras.saving.load_model(tmp_path / "restored.keras")) < 1e-5
    assert report.numbers["parity"]["relative"] < 1e-5 and report.numbers["error"] < 1e-6
    if "moving" not in str([v.path for v in model.variables]):  # nothing was folded: bit for bit, gate orders, both biases of a GRU, heads
        restored = keras.saving.load_model(tmp_path / "restored.keras")
        assert all(np.array_equal(a, b) for a, b in zip(model.trainable_variables, restored.trainable_variables, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(before, clone.get_weights(), strict=True)), "the live model has its own values again"
    assert left_over(tmp_path) == ["restored.keras"]


def test_its_own_graph_changes_nothing(exported: tuple[Any, Path]) -> None:
    """Keras to ONNX and back is the identity, bit for bit."""
    model, path = exported
    before = [np.array(w) for w in model.get_weights()]
    assert converter.restore(path, model).numbers["changed"] == []
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_kernels_and_biases_change_and_gamma_and_statistics_stay(conv: tuple[Any, Path]) -> None:
    model, folder = conv
    clone = other(model)
    stays = {v.path: np.array(v) for v in clone.variables if v.path.startswith("norm/") and not v.path.endswith("beta")}
    numbers = converter.restore(folder / "float.onnx", clone).numbers
    changed = {told["name"] for told in numbers["changed"]}
    assert {"stem/kernel", "norm/beta", "alone/gamma", "alone/beta", "point/kernel", "point/bias", "head/kernel"} <= changed
    assert not any("moving" in name or name == "norm/gamma" for name in changed - {n for n in changed if n.startswith("batch")})
    for v in clone.variables:
        if v.path in stays:
            np.testing.assert_array_equal(np.asarray(v), stays[v.path])


def test_an_integer_graph_is_dequantized(conv: tuple[Any, Path], tmp_path: Path) -> None:
    model, folder = conv
    clone = other(model)
    report = converter.restore(folder / "int8.onnx", clone, tmp_path / "restored.keras", data=folder / "x.npz")
    restored = keras.saving.load_model(tmp_path / "restored.keras")
    assert report.numbers["steps"] < 0.1
    assert report.numbers["biases_left_out"] == ["separable"] and "got a bias when they were quantized" in report.warnings[0]
    assert 1e-4 < off(model, restored) < 0.1
    assert report.numbers["fidelity"]["integer"]["snr_db"] > 20
    converter.export(restored, tmp_path / "again.onnx")
    integer, again = io.load(folder / "int8.onnx"), io.load(tmp_path / "again.onnx")
    scale, first, second = (query.constant(integer.graph.initializers[f"head/kernel/{kind}"]) if kind else
                            query.constant(again.graph.initializers["head/kernel"]) for kind in ("scale", "quantized", ""))
    assert scale is not None and first is not None and second is not None
    np.testing.assert_allclose(first * scale.reshape(1, -1), second, rtol=1e-6)


def test_a_bundle_gives_its_float_weights_and_layers_may_have_other_names(quick: None, tmp_path: Path) -> None:
    model = chain((32,), L.Dense(128, name="one"), L.BatchNormalization(), L.ReLU(), L.Dense(64, name="two"))
    converter.ship(model, tmp_path / "bundle", calib={"x": feeds(model, 32)})
    renamed = stir(chain((32,), L.Dense(128, name="two"), L.BatchNormalization(), L.ReLU(), L.Dense(64, name="three")), 9)
    converter.restore(tmp_path / "bundle", renamed, by="structure")
    assert off(model, renamed) < 1e-5


def test_a_file_keeps_what_it_has_besides_weights(small: tuple[Any, Path], tmp_path: Path) -> None:
    model, folder = small
    clone = other(model)
    clone.compile("adam", "mse")
    clone.optimizer.build(clone.trainable_variables)
    clone.save(tmp_path / "own.keras")
    held = (tmp_path / "own.keras").read_bytes()
    converter.restore(folder / "float.onnx", tmp_path / "own.keras", tmp_path / "new.keras")
    assert (tmp_path / "own.keras").read_bytes() == held
    with zipfile.ZipFile(tmp_path / "own.keras") as own, zipfile.ZipFile(tmp_path / "new.keras") as new:
        assert own.read("config.json") == new.read("config.json") and own.namelist() == new.namelist()
    restored = keras.saving.load_model(tmp_path / "new.keras")
    assert restored.optimizer.name == "adam" and off(model, restored) < 1e-5


def test_weights_alone(small: tuple[Any, Path], tmp_path: Path) -> None:
    model, folder = small
    clone = other(model)
    converter.restore(folder / "float.onnx", clone, tmp_path / "new.weights.h5")
    clone.load_weights(tmp_path / "new.weights.h5")
    assert off(model, clone) < 1e-5


def test_a_graph_from_elsewhere(tmp_path: Path) -> None:
    """Names and operators of another exporter: Gemm with transB, a bias that is added, other ends; Keras has a BatchNorm that is folded there."""
    graph = with_weights("""
<ir_version: 8, opset_import: ["" : 17]>
other (float[N, 6] data, float w, float b, float w2, float b2) => (float[N, 3] scores) {
    a = Gemm <transB = 1> (data, w, b)
    r = Relu (a)
    c = MatMul (r, w2)
    scores = Add (c, b2)
}
""", w=(4, 6), b=(4,), w2=(4, 3), b2=(3,))
    io.save(graph, tmp_path / "other.onnx")
    start = keras.Input((6,), name="x")
    model = stir(keras.Model(start, L.Dense(3)(L.ReLU()(L.BatchNormalization()(L.Dense(4)(start))))))
    report = converter.restore(tmp_path / "other.onnx", model)
    assert report.numbers["parity"]["relative"] < 1e-5 and len(report.numbers["changed"]) == 4


def gates(array: Any) -> Any:
    i, f, c, o = np.split(array, 4, axis=-1)
    return np.concatenate([f, i, c, o], axis=-1)


FAULTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "gate order": ("lstm_cell/kernel", gates),
    "gate order of the recurrent kernel": ("lstm_cell/recurrent_kernel", gates),
    "bias halves": ("gru_cell/bias", lambda b: b[::-1] if b.ndim == 2 else np.roll(b, len(b) // 2)),
    "transposed kernel": ("lstm_cell/recurrent_kernel", lambda k: np.concatenate([g.T for g in np.split(k, 4, axis=-1)], axis=-1)),
}


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    model, path = chain((4, 5), L.LSTM(6, return_sequences=True), L.GRU(5)), tmp_path_factory.mktemp("gated") / "float.onnx"
    converter.export(model, path)
    return model, path


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught_and_nothing_is_changed(fault: str, gated: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model, graph = gated
    ending, spoil = FAULTS[fault]
    right = restoring.undo

    def wrong(*args: Any) -> Any:
        made = right(*args)
        path = next(p for p in made.values if p.endswith(ending))
        return dataclasses.replace(made, values={**made.values, path: spoil(made.values[path])})

    monkeypatch.setattr(restoring, "undo", wrong)
    clone = other(model)
    before = [np.array(w) for w in clone.get_weights()]
    with pytest.raises(ParityError, match="does not compute what Keras computes"):
        converter.restore(graph, clone)
    assert all(np.array_equal(a, b) for a, b in zip(before, clone.get_weights(), strict=True))


def test_a_gamma_of_zero_is_refused_by_name(small: tuple[Any, Path]) -> None:
    model, folder = small
    clone = other(model)
    clone.get_layer("norm").gamma.assign(np.zeros(8))
    with pytest.raises(ConversionError, match=r"stem/kernel cannot take up .* norm/gamma is 0 at 0, 1, 2, 3, 4 and 3 more"):
        converter.restore(folder / "float.onnx", clone)


def test_what_fails_while_writing_leaves_nothing(small: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(model: Any, path: Path, *rest: Any) -> None:
        path.write_bytes(b"begun")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(restoring.storing, "write", full)
    clone = other(small[0])
    before = [np.array(w) for w in clone.get_weights()]
    with pytest.raises(InputError, match="No space left"):
        converter.restore(small[1] / "float.onnx", clone, tmp_path / "new.keras")
    assert left_over(tmp_path) == []
    assert all(np.array_equal(a, b) for a, b in zip(before, clone.get_weights(), strict=True))


def test_another_model_is_refused_and_what_does_not_fit_is_named(small: tuple[Any, Path]) -> None:
    _, folder = small
    model = chain((8, 8, 3), L.Conv2D(8, 3, name="stem"), L.GlobalAveragePooling2D())
    with pytest.raises(InputError, match=r"not one of this Keras model: .*parameters of the graph without a partner: .*/kernel \[8, 5\]"):
        converter.restore(folder / "float.onnx", model)
    with pytest.raises(InputError, match=r"but the graph's is \[8, 3, 3, 3\], the Keras model's \[9, 3, 3, 3\]"):
        converter.restore(folder / "float.onnx", chain((8, 8, 3), L.Conv2D(9, 3, name="stem"), L.GlobalAveragePooling2D(), L.Dense(5)))


def test_what_has_no_weights_must_be_the_same_too(tmp_path: Path) -> None:
    converter.export(chain((6,), L.Dense(5, activation="relu"), L.Dense(3)), tmp_path / "float.onnx")
    with pytest.raises(ParityError):
        converter.restore(tmp_path / "float.onnx", chain((6,), L.Dense(5, activation="tanh"), L.Dense(3)))


def test_wrong_use_is_told_before_any_work(small: tuple[Any, Path], tmp_path: Path) -> None:
    model, folder = small
    model.save(tmp_path / "model.keras")
    for graph, onto, out, says in (
        (folder / "float.onnx", tmp_path / "model.keras", None, "where should the restored model go"),
        (folder / "float.onnx", tmp_path / "model.keras", tmp_path / "new.h5", "written as .keras"),
        (folder / "float.onnx", folder / "int8.onnx", tmp_path / "new.keras", "restored into a Keras model"),
        (tmp_path / "model.keras", model, tmp_path / "new.keras", "restored from an ONNX file"),
        (folder / "float.onnx", tmp_path / "model.keras", tmp_path / "model.keras", "exists already"),
    ):
        with pytest.raises(UsageError, match=says):
            converter.restore(graph, onto, out)
    with pytest.raises(UsageError, match="is read by this command"):
        converter.restore(folder / "float.onnx", tmp_path / "model.keras", tmp_path / "model.keras", force=True)


def test_the_command_line(small: tuple[Any, Path], tmp_path: Path) -> None:
    model, folder = small
    other(model).save(tmp_path / "own.keras")
    new = tmp_path / "new.keras"
    done = run("transfer", "restore", folder / "int8.onnx", tmp_path / "own.keras", "-o", new, "--data", folder / "x.npz")
    assert done.exit_code == 0, done.stderr
    assert "changed" in done.stdout and new.is_file()
    failed(run("transfer", "restore", folder / "float.onnx", tmp_path / "own.keras", "-o", new), 2, "exists already")
    failed(run("transfer", "restore", folder / "none.onnx", tmp_path / "own.keras", "-o", tmp_path / "a.keras"), 2, "no such file")
    (tmp_path / "cut.onnx").write_bytes((folder / "float.onnx").read_bytes()[:400])
    failed(run("transfer", "restore", tmp_path / "cut.onnx", tmp_path / "own.keras", "-o", tmp_path / "a.keras"), 2, "not")
    assert left_over(tmp_path) == ["cut.onnx", "new.keras", "own.keras"]
