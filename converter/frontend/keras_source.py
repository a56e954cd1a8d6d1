"""Open a Keras model wherever it lies, and say what goes into it and what comes out under which names."""

from __future__ import annotations

import importlib
import json
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.errors import ConversionError, InputError, UnsafeError, UsageError


def quiet_tensorflow() -> None:
    """Keep TensorFlow's start-up notes out of the user's terminal; what the user has set stays."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def import_keras() -> Any:
    """Keras on its TensorFlow backend.

    Raises:
        UsageError: another backend is configured; tracing needs TensorFlow.
    """
    quiet_tensorflow()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UsageError(f"Keras runs on the backend {keras.backend.backend()!r}; converter needs KERAS_BACKEND=tensorflow")
    return keras


def is_keras(source: object) -> bool:
    """Whether ``source`` looks like a Keras model: a live one, a ``.keras`` or ``.h5`` path, or ``module:factory``."""
    if isinstance(source, str | Path):
        text = str(source)
        return text.endswith((".keras", ".h5", ".hdf5")) or (":" in text and not Path(text).exists() and not text.endswith(".onnx"))
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(source, keras.Model)


def open_model(source: Any, *, unsafe: bool = False) -> Any:
    """The Keras model that ``source`` is or names.

    Args:
        source: a live ``keras.Model``, a ``.keras`` or ``.h5`` file, or ``package.module:factory``.
        unsafe: load files that hold Python code (Lambda layers), which then runs.

    Raises:
        InputError: missing, truncated, or not a Keras model.
        UnsafeError: the file holds code and ``unsafe`` was not given.
    """
    keras = import_keras()
    if isinstance(source, keras.Model):
        return source
    text = str(source)
    if ":" in text and not Path(text).exists():
        return _from_factory(keras, text)
    path = Path(text)
    if not path.exists():
        raise InputError(f"no such file: {path}")
    if path.is_dir():
        raise InputError(f"{path} is a folder; a Keras model is a .keras or .h5 file (a SavedModel has no Keras layers to read)")
    config = _config(path)
    if not unsafe and (found := sorted(_code_layers(config))):
        raise UnsafeError(f"{path} holds Python code in {', '.join(found)}; pass --unsafe (unsafe=True) if you trust its author")
    return _load(keras, path, unsafe)


def _load(keras: Any, path: Path, unsafe: bool) -> Any:
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=not unsafe)
    except (ValueError, TypeError, OSError, KeyError, EOFError, AttributeError, ImportError, zipfile.BadZipFile) as error:
        text = str(error).strip()
        if "register_keras_serializable" in text or "Could not locate" in text:
            raise InputError(f"{path} uses a class that Keras does not know here; import the module that registers it, or pass "
                             f"package.module:factory. Keras says: {text[:300]}") from error
        raise InputError(f"{path} cannot be read as a Keras model: {type(error).__name__}: {text[:300]}") from error


def _from_factory(keras: Any, text: str) -> Any:
    module, _, name = text.partition(":")
    if not module or not name:
        raise UsageError(f"{text!r} is neither a file nor package.module:factory")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        thing: Any = importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"cannot import {module!r} of {text!r}: {error}") from error
    finally:
        sys.path.remove(here)
    for part in name.split("."):
        if not hasattr(thing, part):
            raise InputError(f"{module!r} has no {name!r}; it has {', '.join(n for n in vars(thing) if not n.startswith('_'))[:300]}")
        thing = getattr(thing, part)
    model = thing() if not isinstance(thing, keras.Model) else thing
    if not isinstance(model, keras.Model):
        raise InputError(f"{text} gave a {type(model).__name__}, a keras.Model is needed")
    return model


def _config(path: Path) -> Any:
    """The architecture in a model file as parsed JSON, read without building anything."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "config.json" not in archive.namelist():
                raise InputError(f"{path} is a zip file without config.json, so not a Keras model; it holds {archive.namelist()[:5]}")
            return json.loads(archive.read("config.json"))
    if path.suffix == ".keras":
        raise InputError(f"{path} is not a Keras model: not a zip file, or cut short ({path.stat().st_size} bytes)")
    return _h5_config(path)


def _h5_config(path: Path) -> Any:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
    except OSError as error:
        raise InputError(f"{path} is not a Keras model: not an HDF5 file, or cut short ({path.stat().st_size} bytes)") from error
    if text is None:
        raise InputError(f"{path} holds no model_config: only weights? A whole model is needed (model.save)")
    return json.loads(text)


def _code_layers(config: Any) -> Iterator[str]:
    """Names of the layers whose configuration carries Python code."""
    if isinstance(config, Mapping):
        inner = config.get("config")
        if config.get("class_name") in ("Lambda", "__lambda__", "function") and _carries_code(config):
            yield f"Lambda layer {inner.get('name')!r}" if isinstance(inner, Mapping) and "name" in inner else "a serialized lambda"
            return
        for value in config.values():
            yield from _code_layers(value)
    elif isinstance(config, list):
        for value in config:
            yield from _code_layers(value)


def _carries_code(config: Mapping[str, Any]) -> bool:
    return config["class_name"] in ("Lambda", "__lambda__")


@dataclass(frozen=True)
class CallSpec:
    """How to call a model.

    Args:
        structure: nested structure of ``keras.KerasTensor``-like specs (shape, dtype), as the model takes it.
        names: name of every input, in flattened order.
    """

    structure: Any
    names: tuple[str, ...]


def call_spec(model: Any, input_spec: Any = None) -> CallSpec:
    """Inputs of ``model`` with their Keras names.

    Args:
        model: a ``keras.Model``, built or not, called or not.
        input_spec: for subclassed models that were never called: a nested structure of objects with ``shape`` and
            ``dtype`` (``keras.KerasTensor``, ``tf.TensorSpec``, ``keras.InputSpec`` or arrays); the batch axis may be None.

    Raises:
        ConversionError: nothing tells the input shape.
    """
    keras = import_keras()
    if input_spec is not None:
        structure = keras.tree.map_structure(
            lambda s: keras.KerasTensor(_free_batch(s.shape), str(keras.backend.standardize_dtype(s.dtype))), input_spec)
        return CallSpec(structure, _structure_names(keras, structure))
    if getattr(model, "inputs", None):
        structure = model.input if hasattr(model, "input") else model.inputs
        return CallSpec(structure, tuple(_input_name(t) for t in keras.tree.flatten(structure)))
    shapes = _built_shapes(model)
    if shapes is None:
        raise ConversionError(f"the input shape of {model.name!r} is unknown: it is a subclassed model that was never called; call it once "
                              "on a batch, or give input_spec (command line: the shape comes from a .keras file saved after a call)")
    structure = _as_tensors(keras, shapes, model.compute_dtype)
    return CallSpec(structure, _structure_names(keras, structure))


def _free_batch(shape: Any) -> tuple[int | None, ...]:
    return (None, *tuple(shape)[1:])


def _input_name(tensor: Any) -> str:
    history = getattr(tensor, "_keras_history", None)
    return str(history.operation.name if history is not None else tensor.name)


def _built_shapes(model: Any) -> Any:
    config = model.get_build_config() if hasattr(model, "get_build_config") else None
    if config and (config.get("input_shape") or config.get("shapes_dict")):
        return config.get("input_shape") or config["shapes_dict"]
    return None


def _as_tensors(keras: Any, shapes: Any, dtype: str) -> Any:
    if isinstance(shapes, Mapping):
        return {key.removesuffix("_shape"): _as_tensors(keras, value, dtype) for key, value in shapes.items()}
    if all(isinstance(d, int) or d is None for d in shapes):
        return keras.KerasTensor(_free_batch(shapes), dtype)
    return [_as_tensors(keras, value, dtype) for value in shapes]


def _structure_names(keras: Any, structure: Any) -> tuple[str, ...]:
    paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
    if len(paths) == 1 and not paths[0]:
        return ("input",)
    return tuple("_".join(str(p) if not isinstance(p, int) else f"input_{p}" if len(path) == 1 else str(p) for p in path) for path in paths)


def output_names(model: Any, outputs: Any) -> list[str]:
    """A unique name for every output: the keys of a dict, else the Keras layer names, else ``output`` with a number."""
    keras = import_keras()
    paths = [path for path, _ in keras.tree.flatten_with_path(outputs)]
    layers = list(getattr(model, "output_names", None) or [])
    if any(isinstance(p, str) for path in paths for p in path):
        names = ["_".join(map(str, path)) for path in paths]
    elif len(layers) == len(paths):
        names = layers
    else:
        names = ["output"] if len(paths) == 1 else [f"output_{i}" for i in range(len(paths))]
    return [n if names.index(n) == i else f"{n}_{i}" for i, n in enumerate(names)]
