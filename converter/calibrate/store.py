"""Statistics in a file, so that a sweep can go on later or be shared. Plain arrays in an .npz; nothing is pickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from converter.calibrate.statistics import Statistics
from converter.errors import InputError


def save(path: str | Path, seen: Mapping[str, Statistics]) -> None:
    """Write statistics by tensor name."""
    arrays = {}
    for name, s in seen.items():
        arrays[f"{name}|ends"] = np.array([s.low, s.high], np.float64)
        arrays[f"{name}|samples"] = np.array([s.samples, s.channels], np.int64)
        arrays[f"{name}|patterns"] = np.flatnonzero(s.counts).astype(np.uint16)
        arrays[f"{name}|counts"] = s.counts[np.flatnonzero(s.counts)]
        arrays[f"{name}|limbs"] = s.limbs
    with Path(path).open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load(path: str | Path) -> dict[str, Statistics]:
    """What :func:`save` wrote.

    Raises:
        InputError: missing, cut short, or not a statistics file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:  # np.load by itself leaves a broken file open
            names = [key.removesuffix("|ends") for key in data.files if key.endswith("|ends")]
            return {name: _one({k: data[f"{name}|{k}"] for k in ("ends", "samples", "patterns", "counts", "limbs")}) for name in names}
    except (OSError, ValueError, KeyError, IndexError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is not a statistics file: {error}") from error


def _one(arrays: Mapping[str, np.ndarray]) -> Statistics:
    out = Statistics(int(arrays["samples"][1]), int(arrays["samples"][0]), float(arrays["ends"][0]), float(arrays["ends"][1]))
    out.counts[arrays["patterns"]] = arrays["counts"]
    out.limbs[:] = arrays["limbs"]
    return out
