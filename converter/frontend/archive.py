"""Read a model file's configuration without building anything, and find Python code in it.

Which reader a file gets depends on its name alone, as in Keras: a file that is both a zip archive and an HDF5 file must
not be checked as the one and loaded as the other.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from converter.errors import InputError

HDF5 = (".h5", ".hdf5")
SUFFIXES = (".keras", *HDF5)


def read_config(path: Path) -> Any:
    """The architecture in a model file as parsed JSON.

    Raises:
        InputError: no such file, cut short, or not a Keras model.
    """
    if not path.exists():
        raise InputError(f"no such file: {path}")
    if path.is_dir():
        raise InputError(f"{path} is a folder; a Keras model is a .keras or .h5 file, or the folder of a SavedModel, which holds saved_model.pb")
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path} is not a Keras model by its name; known: {', '.join(SUFFIXES)}, package.module:factory")
    text = _hdf5_config(path) if path.suffix in HDF5 else _zip_config(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a Keras model: its configuration is not JSON ({len(text)} bytes): {str(error)[:100]}") from error


def _zip_config(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "config.json" not in names:
                raise InputError(f"{path} is a zip file without config.json, so not a Keras model; it holds {', '.join(names[:5]) or 'nothing'}")
            return archive.read("config.json")
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:  # odd compression, encrypted
        raise InputError(f"{path} is not a Keras model: not a zip file, or cut short ({path.stat().st_size} bytes)") from error


def _hdf5_config(path: Path) -> str | bytes:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
    except OSError as error:
        raise InputError(f"{path} is not a Keras model: not an HDF5 file, or cut short ({path.stat().st_size} bytes)") from error
    if not isinstance(text, str | bytes):
        raise InputError(f"{path} holds no model_config: only weights? A whole model is needed (model.save)")
    return text


def code_in(config: Any) -> list[str]:
    """Places in a configuration that carry Python code, sorted: Lambda layers, and lambdas anywhere else.

    What the model was compiled with is never loaded, so it does not count.
    """
    inside = {key: value for key, value in config.items() if key != "compile_config"} if isinstance(config, Mapping) else config
    return sorted(set(_code(inside, "the model")))


def _code(config: Any, owner: str) -> Iterator[str]:
    if isinstance(config, Mapping):
        kind, inner = config.get("class_name"), config.get("config")
        name = inner.get("name") if isinstance(inner, Mapping) else None
        if kind == "Lambda":
            yield f"Lambda layer {name!r}"
            return
        if kind == "__lambda__":
            yield f"a lambda of {owner}"
            return
        for value in config.values():
            yield from _code(value, f"{kind} {name!r}" if kind and name else owner)
    elif isinstance(config, list):
        for value in config:
            yield from _code(value, owner)
