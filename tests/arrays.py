"""Arrays of an ``.npz`` file, the file closed: one that the collector closes later is an error in whatever test runs then."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def load(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays by name."""
    with np.load(path) as file:
        return dict(file)
