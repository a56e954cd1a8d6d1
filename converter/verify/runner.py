"""What can be compared: anything that takes arrays by input name and gives arrays by output name."""

from __future__ import annotations

from collections.abc import Mapping
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
