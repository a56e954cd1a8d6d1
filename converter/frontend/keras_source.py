"""Open a Keras model wherever it lies, and say what goes into it and what comes out under which names."""

from __future__ import annotations

import os
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.data import factory
from converter.errors import ConversionError, InputError, UnsafeError, UsageError
from converter.frontend import archive, saved_model
from converter.frontend.native_notes import held_back

DEEP = 20_000  # frames; Keras takes two or three a layer to find the order of layers


def quiet_tensorflow() -> None:
    """Keep TensorFlow's start-up notes out of the user's terminal; what the user has set stays."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def import_keras() -> Any:
    """Keras on its TensorFlow backend.

    Raises:
        UsageError: another backend is configured, or cannot be imported; tracing needs TensorFlow.
    """
    quiet_tensorflow()
    try:
        with held_back() if "tensorflow" not in sys.modules else nullcontext():
            import keras
    except ImportError as error:
        raise UsageError(f"Keras cannot be imported with KERAS_BACKEND={os.environ['KERAS_BACKEND']}: {error}; "
                         "converter needs KERAS_BACKEND=tensorflow") \
            from error

    if keras.backend.backend() != "tensorflow":
        raise UsageError(f"Keras runs on the backend {keras.backend.backend()!r}; converter needs KERAS_BACKEND=tensorflow")
    return keras


def is_keras(source: object) -> bool:
    """Whether ``source`` looks like a Keras model: a live one, a ``.keras`` or ``.h5`` path, a SavedModel folder, or ``module:factory``."""
    if isinstance(source, str | Path):
        text = str(source)
        if saved_model.is_saved_model(text):
            return True
        return text.endswith((".keras", ".h5", ".hdf5")) or (":" in text and not Path(text).exists() and not text.endswith(".onnx"))
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(source, keras.Model)


def open_model(source: Any, *, unsafe: bool = False) -> Any:
    """The Keras model that ``source`` is or names.

    Args:
        source: a live ``keras.Model``, a ``.keras`` or ``.h5`` file, the folder of a SavedModel, or ``package.module:factory``.
        unsafe: load files that hold Python code (Lambda layers), which then runs.

    Raises:
        InputError: missing, truncated, or not a Keras model.
        UnsafeError: the file holds code and ``unsafe`` was not given.
    """
    keras = import_keras()
    if isinstance(source, keras.Model):
        return source
    text = str(source)
    if factory.is_factory(text) and not Path(text).exists():
        return _from_factory(keras, text)
    path = Path(text)
    if saved_model.is_saved_model(path):
        return saved_model.open_saved_model(path, unsafe=unsafe)
    found = archive.code_in(archive.read_config(path))
    if found and not unsafe:
        raise UnsafeError(f"{path} holds Python code in {', '.join(found)}; pass --unsafe (unsafe=True) if you trust its author")
    return _load(keras, path, unsafe)


def _load(keras: Any, path: Path, unsafe: bool) -> Any:
    try:
        with _deep():
            return keras.saving.load_model(path, compile=False, safe_mode=not unsafe)
    except (ValueError, TypeError, OSError, KeyError, EOFError, AttributeError, ImportError, RuntimeError, IndexError, RecursionError,
            zipfile.BadZipFile, zlib.error) as error:
        text = " ".join(str(error).split())
        if "safe_mode" in text:
            raise UnsafeError(f"{path} holds Python code; pass --unsafe (unsafe=True) if you trust its author. Keras says: {text[:300]}") from error
        if "register_keras_serializable" in text or "Could not locate" in text:
            raise InputError(f"{path} uses a class that Keras does not know here; import the module that registers it, or pass "
                             f"package.module:factory. Keras says: {text[:300]}") from error
        raise InputError(f"{path} cannot be read as a Keras model: {type(error).__name__}: {text[:300]}") from error


@contextmanager
def _deep() -> Iterator[None]:
    """Let Python recurse as deep as Keras does on a chain of thousands of layers; the configuration was parsed at the usual limit before."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, DEEP))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _from_factory(keras: Any, text: str) -> Any:
    thing: Any = factory.load_factory(text)
    model = thing if isinstance(thing, keras.Model) else thing()
    if not isinstance(model, keras.Model):
        raise InputError(f"{text} gave a {type(model).__name__}, a keras.Model is needed")
    return model


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
        input_spec: for subclassed models that were never called, or to free the batch of a Sequential that was called without an Input (Keras
            fixes it to that of the call): a nested structure of objects with ``shape`` and
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
        structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
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


def output_names(model: Any, outputs: Any, taken: Sequence[str] = ()) -> list[str]:
    """A unique name for every output: the keys of a dict, else the Keras layer names, else ``output`` with a number.

    Args:
        model: that gave the outputs.
        outputs: what it gave, nested as it comes.
        taken: names of the inputs; an output that would be called the same gets a number, since a graph has every name once.
    """
    keras = import_keras()
    paths = [path for path, _ in keras.tree.flatten_with_path(outputs)]
    layers = [model.layers[-1].name] if isinstance(model, keras.Sequential) else list(getattr(model, "output_names", None) or [])
    if any(isinstance(p, str) for path in paths for p in path):
        names = ["_".join(map(str, path)) for path in paths]
    elif len(layers) == len(paths):
        names = layers
    else:
        names = ["output"] if len(paths) == 1 else [f"output_{i}" for i in range(len(paths))]
    return unique(names, taken)


def variable_names(model: Any) -> list[str]:
    """A unique name for every entry of ``model.variables``: its Keras path, put below the path of its submodel where two variables share one.

    A submodel that was built by itself gives its variables paths that do not mention it.
    """
    variables = list(model.variables)
    counts = Counter(v.path for v in variables)
    places = dict(_places(model, "")) if len(counts) < len(variables) else {}
    return unique([v.path if counts[v.path] == 1 else places.get(id(v), v.path) for v in variables])


def _places(layer: Any, prefix: str) -> Iterator[tuple[int, str]]:
    """Every variable by identity, with the names of all layers above it; the first place wins, as in ``model.variables``."""
    for child in reversed(layer._layers):
        yield from _places(child, f"{prefix}{child.name}/")
    for variable in [*layer._trainable_variables, *layer._non_trainable_variables]:
        yield id(variable), f"{prefix}{variable.name}"


def unique(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """``names``, each with a number behind it where it occurred before or is in ``taken``."""
    wanted, given = {*names}, {*taken}
    result: list[str] = []
    for name in names:
        free, count = name, 0
        while free in given or (free != name and free in wanted):
            count += 1
            free = f"{name}_{count}"
        given.add(free)
        result.append(free)
    return result
