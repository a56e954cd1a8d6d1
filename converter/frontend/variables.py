"""Variables of a Keras model by their unique names: of a live model, or read out of a weights file without loading Keras.

Keras stores every variable at a place that follows from the structure of the model (``layers/conv2d/vars/0``), not from names that are
numbered as layers are made. So a place says which variable it is also for a model that was built again by the same code.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import InputError, known
from converter.frontend.archive import HDF5
from converter.frontend.keras_source import variable_names
from converter.spec.quant import Array

WEIGHTS = "model.weights.h5"  # in a .keras archive


def places(model: Any) -> dict[str, str]:
    """Place in a weights file to the unique name of the variable, for every variable of ``model`` that Keras stores as it is."""
    from keras.src.saving import saving_lib

    class Recorder(saving_lib.H5IOStore):  # type: ignore[misc]
        """Takes what a model stores, and stores nothing."""

        def __init__(self) -> None:
            self.groups: dict[str, dict[str, Any]] = {}

        def __bool__(self) -> bool:
            return True

        def make(self, path: str, metadata: Any = None) -> dict[str, Any]:
            return self.groups.setdefault(path, {})

    recorder = Recorder()
    saving_lib._save_state(model, weights_store=recorder, assets_store=None, inner_path="", visited_saveables=set())
    names = {id(v): name for v, name in zip(model.variables, variable_names(model), strict=True)}
    return {f"{group}/vars/{key}".lstrip("/"): names[id(v)]
            for group, entries in recorder.groups.items() for key, v in entries.items() if id(v) in names}


def of_model(model: Any, expected: Mapping[str, str]) -> dict[str, Array]:
    """Values of the variables of a live model, by the names that ``expected`` has for their places.

    Args:
        model: of the structure that ``expected`` was taken from; its layers may have other names.
        expected: place to name, from :func:`places`.

    Raises:
        InputError: the model stores other variables.
    """
    own = dict(zip(variable_names(model), model.variables, strict=True))
    found = places(model)
    _check(set(found), expected, f"Keras model {model.name!r}")
    return {expected[place]: np.asarray(own[name].value) for place, name in found.items() if place in expected}


def of_file(path: str | Path, expected: Mapping[str, str]) -> dict[str, Array]:
    """Values of the variables in a ``.keras`` or ``.weights.h5`` file, by the names that ``expected`` has for their places.

    Raises:
        InputError: not such a file, cut short, or of a model of another structure.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    with _weights(path) as file:
        import h5py

        held: dict[str, Any] = {}
        file.visititems(lambda name, thing: held.update({name: thing}) if isinstance(thing, h5py.Dataset) else None)
        stored = {name for name in held if not name.startswith("optimizer/")}
        _check(stored, expected, str(path))
        return {name: _numbers(held[place]) for place, name in expected.items()}


@contextmanager
def _weights(path: Path) -> Iterator[Any]:
    import h5py

    broken = f"{path} is not a Keras weights file, or is cut short ({path.stat().st_size} bytes)"
    with tempfile.TemporaryDirectory(prefix="converter-") as folder:
        file = path
        if path.suffix not in HDF5:
            try:
                with zipfile.ZipFile(path) as archive:
                    file = Path(archive.extract(WEIGHTS, folder))
            except (zipfile.BadZipFile, KeyError, OSError, EOFError) as error:
                raise InputError(broken) from error
        try:
            opened = h5py.File(file, "r")
        except OSError as error:
            raise InputError(broken) from error
        with opened:
            yield opened


def _numbers(dataset: Any) -> Array:
    """Keras stores bfloat16 as bytes and says so in an attribute."""
    kind = dataset.attrs.get("dtype")
    array = np.asarray(dataset)
    if kind in (None, array.dtype.name):
        return array
    import ml_dtypes

    return array.view(getattr(ml_dtypes, str(kind)))


def _check(found: set[str], expected: Mapping[str, str], place: str) -> None:
    missing, more = [name for key, name in expected.items() if key not in found], sorted(found - set(expected))
    if missing or more:
        raise InputError(f"{place} is not of the structure of the shipped model: {len(missing)} variables are missing ({known(missing)}), "
                         f"{len(more)} are not known ({known(more)})")
