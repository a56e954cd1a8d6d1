"""Values for a while or for good, and archives with other weights in them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from converter.errors import UsageError
from converter.frontend import storing
from converter.frontend.keras_source import variable_names
from tests.frontend.building import chain

L = keras.layers


@pytest.fixture
def model() -> Any:
    return chain((4,), L.Dense(3, name="one"), L.BatchNormalization(name="norm"))


def held(model: Any) -> dict[str, Any]:
    return dict(zip(variable_names(model), model.variables, strict=True))


def test_values_are_put_back_unless_they_are_to_stay(model: Any) -> None:
    before, new = storing.values(held(model)), {"one/bias": np.float32([1, 2, 3])}
    with storing.assigned(held(model), new, keep=False):
        np.testing.assert_array_equal(np.asarray(model.get_layer("one").bias), [1, 2, 3])
    np.testing.assert_array_equal(np.asarray(model.get_layer("one").bias), before["one/bias"])
    with pytest.raises(RuntimeError), storing.assigned(held(model), new, keep=True):
        raise RuntimeError
    np.testing.assert_array_equal(np.asarray(model.get_layer("one").bias), before["one/bias"])
    with storing.assigned(held(model), new, keep=True):
        pass
    np.testing.assert_array_equal(np.asarray(model.get_layer("one").bias), [1, 2, 3])


def test_an_archive_gets_other_weights_and_keeps_the_rest(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "own.keras")
    before, new = storing.values(held(model)), {"one/kernel": np.full((4, 3), 2, np.float32)}
    storing.write(model, tmp_path / "new.keras", new, tmp_path / "own.keras")
    found = storing.values(held(keras.saving.load_model(tmp_path / "new.keras")))
    for name, array in found.items():
        np.testing.assert_array_equal(array, new.get(name, before[name]))
    with zipfile.ZipFile(tmp_path / "own.keras") as own, zipfile.ZipFile(tmp_path / "new.keras") as out:
        assert own.namelist() == out.namelist()
        assert all(own.read(n) == out.read(n) for n in own.namelist() if not n.endswith(".h5"))


def test_bfloat16_is_stored_as_keras_does(tmp_path: Path) -> None:
    import ml_dtypes

    start = keras.Input((2,))
    model = keras.Model(start, L.Dense(2, name="one", dtype="bfloat16")(start))
    model.save(tmp_path / "own.keras")
    storing.write(model, tmp_path / "new.keras", {"one/bias": np.array([0.5, 3], ml_dtypes.bfloat16)}, tmp_path / "own.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "new.keras").get_layer("one").bias.numpy().astype(np.float32), [0.5, 3])


def test_without_an_archive_keras_writes_the_model_as_it_is(model: Any, tmp_path: Path) -> None:
    for name in ("new.keras", "new.weights.h5"):
        storing.write(model, tmp_path / name, {}, None)
    other = keras.saving.load_model(tmp_path / "new.keras")
    other.load_weights(tmp_path / "new.weights.h5")
    np.testing.assert_array_equal(np.asarray(other.get_layer("one").kernel), np.asarray(model.get_layer("one").kernel))


def test_other_formats_are_refused() -> None:
    for name in ("m.h5", "m.onnx", "m"):
        with pytest.raises(UsageError, match=r"written as \.keras"):
            storing.check_format(Path(name))
    storing.check_format(Path("m.keras"))
