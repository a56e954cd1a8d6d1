"""What goes into a model and what comes out: names, shapes and dtypes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TensorInfo:
    """One input or output.

    Args:
        name: name in the graph.
        shape: one entry an axis; None or a text where the length is free.
        dtype: numpy name of the element type.
    """

    name: str
    shape: tuple[int | str | None, ...]
    dtype: str

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of ``shape`` fits."""
        return len(shape) == len(self.shape) and all(not isinstance(d, int) or d == n for d, n in zip(self.shape, shape, strict=True))

    def describe(self) -> str:
        """Name, dtype and shape for messages: ``image float32 [?, 28, 28, 1]``."""
        return f"{self.name} {self.dtype} [{', '.join('?' if not isinstance(d, int) else str(d) for d in self.shape)}]"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"name": self.name, "shape": list(self.shape), "dtype": self.dtype}

    @property
    def kind(self) -> str:
        """Numpy kind letter of the dtype: ``f``, ``i``, ``u`` or ``b``."""
        return str(np.dtype(self.dtype).kind) if self.dtype != "bfloat16" else "f"
