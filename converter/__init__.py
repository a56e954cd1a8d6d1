"""converter: Keras 3 models to verified integer ONNX bundles.

``import converter`` is quick: TensorFlow, ONNX and onnxruntime are imported when a verb needs them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from converter.api import bench, clone, copy_weights, diff, export, graft, inspect, quantize, refit, replay, restore, ship, verify
    from converter.errors import ConversionError, ConverterError, InputError, ParityError, UnsafeError, UsageError, VerdictError
    from converter.ship.bundle import Bundle
    from converter.spec.recipe import Recipe, Rule
    from converter.spec.report import Report

_PLACES: Mapping[str, tuple[str, ...]] = {
    "converter.api": (
        "bench", "clone", "copy_weights", "diff", "export", "graft", "inspect", "quantize", "refit", "replay", "restore", "ship", "verify",
    ),
    "converter.errors": ("ConversionError", "ConverterError", "InputError", "ParityError", "UnsafeError", "UsageError", "VerdictError"),
    "converter.ship.bundle": ("Bundle",),
    "converter.spec.recipe": ("Recipe", "Rule"),
    "converter.spec.report": ("Report",),
}

__all__ = [
    "Bundle", "ConversionError", "ConverterError", "InputError", "ParityError", "Recipe", "Report", "Rule", "UnsafeError", "UsageError",
    "VerdictError", "__version__", "bench", "clone", "copy_weights", "diff", "export", "graft", "inspect", "quantize", "refit", "replay", "restore",
    "ship", "verify",
]


class _Package(ModuleType):
    """``converter.ship`` is the verb, always. A package inside has the same name, and importing it would bind that name to it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    for place, names in _PLACES.items():
        if name in names:
            return getattr(importlib.import_module(place), name)
    raise AttributeError(f"module 'converter' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return list(__all__)
