"""Give the variables of a Keras model other values, for a while or for good, and write the model."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import UsageError
from converter.frontend import variables
from converter.frontend.trace import Trace
from converter.spec.quant import Array

FORMATS = (".keras", ".weights.h5")


def check_format(path: Path) -> None:
    """Refuse a file that Keras has no format for.

    Raises:
        UsageError: neither ``.keras`` nor ``.weights.h5``.
    """
    if not path.name.endswith(FORMATS):
        raise UsageError(f"a Keras model is written as .keras, its weights alone as .weights.h5; received {path.name}")


def by_name(traced: Trace) -> dict[str, Any]:
    """The variables of a traced model by their unique names."""
    return {traced.variable_names[tensor]: variable for tensor, variable in traced.variables.items()}


def values(held: Mapping[str, Any]) -> dict[str, Array]:
    """What variables hold now, copied."""
    return {name: np.array(variable.numpy() if hasattr(variable, "numpy") else variable) for name, variable in held.items()}


@contextmanager
def assigned(held: Mapping[str, Any], new: Mapping[str, Array], *, keep: bool) -> Iterator[None]:
    """Variables hold ``new`` while the body runs, and afterwards if ``keep`` and it ended well; else they get back what they had.

    Args:
        held: variables by name.
        new: values of some of them.
        keep: whether the change is for good.
    """
    before = values({name: held[name] for name in new})
    ended_well = False
    try:
        for name, array in new.items():
            held[name].assign(array)
        yield
        ended_well = True
    finally:
        if not (keep and ended_well):
            for name, array in before.items():
                held[name].assign(array)


def write(model: Any, path: Path, changed: Mapping[str, Array], source: Any = None) -> None:
    """Write a model to ``path``, ``.keras`` or ``.weights.h5``.

    Args:
        model: which holds the values that are to be written.
        path: a file that does not exist.
        changed: the variables of it that differ from ``source``, by name.
        source: a ``.keras`` file that the model was loaded from; what it has besides weights (how it was compiled, its optimizer) is kept.
    """
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    elif not (isinstance(source, str | Path) and str(source).endswith(".keras") and _with_new_weights(model, path, changed, Path(source))):
        model.save(path)


def _with_new_weights(model: Any, path: Path, changed: Mapping[str, Array], source: Path) -> bool:
    """Copy the archive with other weights in it; False where it does not hold all of ``changed`` as they are."""
    import h5py

    places = {name: place for place, name in variables.places(model).items()}
    with zipfile.ZipFile(source) as archive, tempfile.TemporaryDirectory(prefix="converter-") as folder:
        if not set(changed) <= set(places) or variables.WEIGHTS not in archive.namelist():
            return False
        weights = Path(archive.extract(variables.WEIGHTS, folder))
        with h5py.File(weights, "r+") as file:
            if not all(places[name] in file and file[places[name]].shape == array.shape for name, array in changed.items()):
                return False
            for name, array in changed.items():
                stored = file[places[name]]
                stored[...] = array if stored.dtype == array.dtype else array.view(stored.dtype)
        with zipfile.ZipFile(path, "w") as out:
            for entry in archive.infolist():
                if entry.filename == variables.WEIGHTS:
                    out.write(weights, entry.filename, entry.compress_type)
                else:
                    with archive.open(entry) as held, out.open(entry, "w") as copy:
                        shutil.copyfileobj(held, copy)
    return True
