"""Open whatever a user calls a model, ready to run: Keras, ONNX, or a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.errors import UsageError
from converter.frontend import keras_source
from converter.frontend.reference import KerasRunner
from converter.ship.bundle import read
from converter.spec.bundle import MANIFEST
from converter.verify.runner import Runner
from converter.verify.session import Session


@dataclass(frozen=True)
class Opened:
    """A model of any kind.

    Args:
        name: for reports.
        kind: ``keras``, ``onnx`` or ``bundle``.
        runner: gives outputs.
        path: the ONNX file, or None for Keras.
        entries: session options that the bundle's manifest asks for.
        keras: the Keras model, or None.
    """

    name: str
    kind: str
    runner: Runner
    path: Path | None
    entries: dict[str, str]
    keras: Any = None


def open_any(source: Any, *, unsafe: bool = False) -> Opened:
    """Open ``source``.

    Raises:
        UsageError: it is no kind of model.
        InputError: it cannot be read.
    """
    if keras_source.is_keras(source):
        model = keras_source.open_model(source, unsafe=unsafe)
        return Opened(str(model.name), "keras", KerasRunner(model, keras_source.call_spec(model)), None, {}, model)
    if not isinstance(source, str | Path):
        raise UsageError(f"cannot open a {type(source).__name__} as a model; known: keras.Model, .keras, .h5, .onnx, bundle folder, module:factory")
    path = Path(source)
    if path.is_dir() or path.name == MANIFEST:
        bundle = read(path if path.is_dir() else path.parent)
        entries = dict(bundle.manifest.target.get("session_options", {}))
        return Opened(bundle.manifest.name, "bundle", Session(bundle.model, entries=entries), bundle.model, entries)
    from converter.graph import io

    io.load(path)  # says what is wrong with the file in its own words before onnxruntime does
    return Opened(path.name, "onnx", Session(path), path, {})
