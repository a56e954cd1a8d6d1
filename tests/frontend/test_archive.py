"""Model files that are not what they seem: code inside, cut short, not a model. Each refused in one clear message."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import pytest

from converter import api
from converter.errors import InputError, UnsafeError
from converter.frontend.archive import code_in, read_config
from converter.frontend.keras_source import open_model
from tests.frontend.building import chain, layers, left_over

OPAQUE = lambda x: x * 2  # noqa: E731  (a lambda is what is tested)


def lambda_layer() -> Any:
    return layers.Lambda(OPAQUE, output_shape=(4,), name="trick")


def plain() -> Any:
    return chain((4,), lambda_layer(), layers.Dense(2))


def nested() -> Any:
    return chain((4,), chain((4,), chain((4,), lambda_layer()), layers.Dense(4)), layers.Dense(2))


def time_distributed() -> Any:
    return chain((3, 4), layers.TimeDistributed(lambda_layer()))


@pytest.mark.parametrize(("make", "suffix"), [(plain, ".keras"), (plain, ".h5"), (nested, ".keras"), (nested, ".h5"), (time_distributed, ".keras"),
                                              (time_distributed, ".h5")])
@pytest.mark.filterwarnings("ignore:.*(HDF5 file|includes a `lambda`).*:UserWarning")
def test_code_in_a_file_is_refused_unless_it_is_trusted(make: Any, suffix: str, tmp_path: Path) -> None:
    path, out = tmp_path / f"m{suffix}", tmp_path / "out"
    out.mkdir()
    model = make()
    model.save(path)
    with pytest.raises(UnsafeError, match=r"Python code in .*(trick|sly).*--unsafe"):
        api.export(path, out / "m.onnx")
    assert left_over(out) == []
    assert open_model(path, unsafe=True).name == model.name


@pytest.mark.filterwarnings("ignore:.*(HDF5 file|includes a `lambda`).*:UserWarning")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_as_an_activation_is_refused(suffix: str, tmp_path: Path) -> None:
    """Keras writes only the code, not what it is, and cannot read it back, trusted or not."""
    chain((4,), layers.Dense(3, activation=OPAQUE)).save(tmp_path / f"m{suffix}")
    with pytest.raises(InputError, match="cannot be read as a Keras model"):
        open_model(tmp_path / f"m{suffix}", unsafe=True)


@pytest.mark.filterwarnings("ignore:.*includes a `lambda`.*:UserWarning")
def test_what_a_model_was_compiled_with_is_not_loaded_so_it_may_hold_code(tmp_path: Path) -> None:
    model = chain((4,), layers.Dense(2))
    model.compile(loss=lambda y, z: keras.ops.mean(y - z))
    model.save(tmp_path / "m.keras")
    assert open_model(tmp_path / "m.keras").name == model.name


def test_code_is_found_wherever_it_is_and_named() -> None:
    lamb = {"class_name": "Lambda", "config": {"name": "l"}}
    assert code_in({"config": {"layers": [{"class_name": "Dense", "config": {"name": "d", "activation": {"class_name": "__lambda__", "config": {}}}}]}}) \
        == ["a lambda of Dense 'd'"]
    assert code_in({"class_name": "Bidirectional", "config": {"name": "b", "layer": lamb, "backward_layer": {"config": {"x": lamb}}}}) == ["Lambda layer 'l'"]
    assert code_in([{"a": [[lamb]]}, lamb]) == ["Lambda layer 'l'"]
    assert code_in({"class_name": "Dense", "config": {"name": "Lambda"}}) == []
    assert code_in({"compile_config": {"loss": {"class_name": "__lambda__"}}}) == []
    assert code_in({"config": {"compile_config": lamb}}) != []  # only at the top it is what the model was compiled with


def test_the_reader_depends_on_the_name_alone(tmp_path: Path) -> None:
    """A file that is HDF5 with a Lambda, and a zip archive with a harmless configuration at its end."""
    path = tmp_path / "m.h5"
    config = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda", "config": {"name": "hidden"}}]}}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", "{}")
    assert zipfile.is_zipfile(path)
    with pytest.raises(UnsafeError, match="hidden"):
        open_model(path)


def write_zip(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_json", ".json"), data)


def write_h5(path: Path, config: Any) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config


BAD: dict[str, tuple[str, Any, str]] = {
    "missing": ("m.keras", lambda p: None, "no such file"),
    "folder": ("m.keras", lambda p: p.mkdir(), "is a folder"),
    "empty": ("m.keras", lambda p: p.write_bytes(b""), "not a zip file, or cut short"),
    "text": ("m.keras", lambda p: p.write_text("hello"), "not a zip file, or cut short"),
    "pickle": ("m.keras", lambda p: p.write_bytes(pickle.dumps({"a": 1})), "not a zip file, or cut short"),
    "no config": ("m.keras", lambda p: write_zip(p, other_json=b"{}"), "without config.json.*other.json"),
    "pickled config": ("m.keras", lambda p: write_zip(p, config_json=pickle.dumps({"a": 1})), "configuration is not JSON"),
    "no JSON": ("m.keras", lambda p: write_zip(p, config_json=b"{'a': 1}"), "configuration is not JSON"),
    "deep JSON": ("m.keras", lambda p: write_zip(p, config_json=b"[" * 100_000), "configuration is not JSON"),
    "JSON, no model": ("m.keras", lambda p: write_zip(p, config_json=b"{}"), "cannot be read as a Keras model"),
    "JSON list": ("m.keras", lambda p: write_zip(p, config_json=b"[1]"), "cannot be read as a Keras model"),
    "unknown class": ("m.keras", lambda p: write_zip(p, config_json=b'{"module": null, "class_name": "Nope", "config": {}, "registered_name": "Nope"}',
                                                     metadata_json=b"{}"), "a class that Keras does not know|cannot be read as a Keras model"),
    "empty h5": ("m.h5", lambda p: p.write_bytes(b""), "not an HDF5 file, or cut short"),
    "text h5": ("m.h5", lambda p: p.write_text("hello"), "not an HDF5 file, or cut short"),
    "folder h5": ("m.h5", lambda p: p.mkdir(), "is a folder"),
    "h5 without a model": ("m.h5", lambda p: h5py.File(p, "w").close(), "holds no model_config: only weights"),
    "h5 with a number": ("m.h5", lambda p: write_h5(p, 3), "holds no model_config"),
    "h5 with a pickle": ("m.h5", lambda p: write_h5(p, "gASVBQAAAAAAAAB9lC4="), "configuration is not JSON"),
    "h5 of nothing": ("m.h5", lambda p: write_h5(p, "{}"), "cannot be read as a Keras model"),
    "other name": ("m.model", lambda p: p.write_text("hello"), "not a Keras model by its name; known: .keras, .h5"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("unsafe", [False, True])
def test_bad_files_are_refused_in_one_message(case: str, unsafe: bool, tmp_path: Path) -> None:
    name, write, text = BAD[case]
    write(tmp_path / name)
    with pytest.raises(InputError, match=text) as caught:
        open_model(str(tmp_path / name), unsafe=unsafe)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:.*HDF5 file.*:UserWarning")
def test_a_file_that_is_cut_short_is_refused(suffix: str, share: float, tmp_path: Path) -> None:
    path, out = tmp_path / f"m{suffix}", tmp_path / "out"
    out.mkdir()
    chain((4,), layers.Dense(64), layers.Dense(2)).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=r"not a Keras model|cannot be read|only weights"):
        api.export(path, out / "m.onnx")
    assert left_over(out) == []


def test_a_weights_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    chain((4,), layers.Dense(2)).save_weights(path)
    with pytest.raises(InputError, match="only weights"):
        open_model(path)


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("config.json", '{"class_name": "Functional"}')
    path.write_bytes(path.read_bytes().replace(b"Functional", b"Funktional"))
    with pytest.raises(InputError, match="cut short"):
        read_config(path)
