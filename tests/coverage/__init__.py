"""One case, at least, for everything public in Keras: the tests and ``scripts/keras_coverage.py`` walk the same list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """A model to export.

    Args:
        build: makes the model.
        refused: text of the refusal where ONNX cannot say what the model does; empty for a model that must be exported.
    """

    build: Callable[[], Any]
    refused: str = ""
