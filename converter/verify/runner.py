"""What can be compared: anything that takes arrays by input name and gives arrays by output name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from converter.spec.quant import Array
from converter.spec.signature import TensorInfo


class Runner(Protocol):
    """A model of any kind that is ready to run."""

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """What it takes."""
        ...

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name."""
        ...


def batch_of(inputs: Iterable[TensorInfo], default: int) -> int:
    """How many samples to run at a time: the batch that the model is fixed to, or ``default``."""
    return next((d for i in inputs if i.shape and isinstance(d := i.shape[0], int)), default)
