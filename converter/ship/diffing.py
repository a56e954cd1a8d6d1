"""``diff``: two ONNX files or bundles, opened and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx_ir as ir

from converter.errors import UsageError
from converter.frontend import keras_source
from converter.graph import io
from converter.ship import bundle
from converter.spec.bundle import MANIFEST
from converter.spec.report import Report
from converter.transfer.diff import diff, report


def diff_models(first: Any, second: Any) -> Report:
    """See ``converter.diff``."""
    return report(diff(open_graph(first), open_graph(second)), str(first), str(second))


def open_graph(source: Any) -> ir.Model:
    """The graph in an ONNX file, or the deployed one of a bundle.

    Raises:
        UsageError: it is a Keras model, or no model at all.
        InputError: it cannot be read.
    """
    if keras_source.is_keras(source):
        raise UsageError(f"graphs are compared, and {source if isinstance(source, str | Path) else type(source).__name__} is a Keras model; write it "
                         "as ONNX first (converter export)")
    if not isinstance(source, str | Path):
        raise UsageError(f"cannot compare a {type(source).__name__}; known: .onnx, bundle folder")
    path = Path(source)
    if path.is_dir() or path.name == MANIFEST:
        path = bundle.read(path if path.is_dir() else path.parent).model
    return io.load(path)
