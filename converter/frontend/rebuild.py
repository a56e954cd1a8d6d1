"""The same Keras architecture with fresh weights: built again from its configuration, by its own initializers.

What a preprocessing layer has learnt from data (means, vocabularies) is state and no weight: it is carried over.
"""

from __future__ import annotations

import copy
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from converter.errors import ConversionError, InputError, UsageError, known
from converter.frontend import rebuild_edits
from converter.frontend.keras_source import call_spec, import_keras, variable_names
from converter.frontend.seeding import seeded
from converter.spec.report import Report
from converter.spec.sizes import Size

SEEDS = 2**32  # numpy's old generator takes no more
FAILURES = (ValueError, TypeError, KeyError, AttributeError, IndexError, NotImplementedError, RuntimeError, ArithmeticError, ImportError)


def rebuild(model: Any, *, seed: int = 0, classes: int | None = None, size: Size | None = None) -> tuple[Any, Report]:
    """A new model of the architecture of ``model``, which stays as it is, and so do the caller's random numbers.

    Args:
        model: a Keras model that can be built again from its configuration.
        seed: the same one gives the same weights; initializers that have a seed of their own keep it.
        classes: width of the first output.
        size: of an input.

    Returns:
        The model, not compiled, and a report with every variable in ``numbers["tensors"]``.

    Raises:
        UsageError: a seed that is none, or a size that fits no input.
        ConversionError: it cannot be built again; the layer that is in the way is named.
    """
    if not 0 <= seed < SEEDS:
        raise UsageError(f"a seed is 0 to {SEEDS - 1}; received {seed}")
    _check(model)
    report = Report("clone")
    config = _config(model)
    if classes is not None:
        rebuild_edits.set_classes(config, model, classes, report)
    if size is not None:
        rebuild_edits.set_size(config, model, size, report)
    if classes is not None or size is not None:
        rebuild_edits.drop_build_shapes(config)
    depth = rebuild_edits.free_submodels(config, **report.numbers["input_size"]) if size is not None else 0
    for _ in range(depth):  # from the outermost to the innermost
        with seeded(seed), _unfiltered():
            rebuild_edits.settle_submodels(config, _made(copy.deepcopy(config), model))  # Keras takes configurations apart
    with seeded(seed), _unfiltered():
        made = _made(config, model)
        _build(made, model, size)
    _check_same(model, made, changed=classes is not None or size is not None)
    _carry_state(model, made, report)
    _describe(model, made, seed, report)
    return made, report


def _check(model: Any) -> None:
    for layer in model._flatten_layers():
        if getattr(layer, "quantization_mode", None):
            raise ConversionError(f"layer {layer.path or layer.name} is quantized ({layer.quantization_mode}); fresh weights are float: clone the "
                                  "model before it was quantized")
        if type(layer).__name__ == "TFSMLayer":
            raise ConversionError(f"layer {layer.name} holds a TensorFlow graph, whose weights cannot be made anew")


def _config(model: Any) -> dict[str, Any]:
    keras = import_keras()
    from keras.src.saving.serialization_lib import ObjectSharingScope

    try:
        with ObjectSharingScope():  # a layer that is used in several places stays one layer
            keras.saving.serialize_keras_object(model)  # Keras marks what it meets again, and copies some marks away before; so it meets all
            config: dict[str, Any] = keras.saving.serialize_keras_object(model)
    except FAILURES as error:
        raise ConversionError(f"{_named(model)} cannot be cloned: it does not say how it is configured (get_config): {_line(error)}") from error
    config.pop("compile_config", None)
    _share_layers_only(config, {id(layer) for layer in model._flatten_layers()})
    return config


def _share_layers_only(config: Any, layers: set[int]) -> None:
    """Take the marks of sharing off everything but layers: the marks are addresses, and those of what is short-lived are used again."""
    if isinstance(config, dict):
        if config.get("shared_object_id") not in layers:
            config.pop("shared_object_id", None)
        for value in config.values():
            _share_layers_only(value, layers)
    elif isinstance(config, list | tuple):
        for value in config:
            _share_layers_only(value, layers)


def _named(model: Any) -> str:
    return f"model {model.name!r} ({type(model).__name__})"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split(" config={")[0].split("\n\nconfig={")[0].split())[:300]


def _made(config: dict[str, Any], model: Any) -> Any:
    keras = import_keras()
    from keras.src.saving.serialization_lib import ObjectSharingScope

    try:
        with ObjectSharingScope():
            made = keras.saving.deserialize_keras_object(config, custom_objects=_classes(model), safe_mode=False)  # its code is loaded already
    except FAILURES as error:
        place = _failing_layer(error)
        raise ConversionError(f"{_named(model)} cannot be built again from its configuration{f', at layer {place}' if place else ''}: "
                              f"{_line(error)}") from error
    if not isinstance(made, keras.Model):
        raise ConversionError(f"{_named(model)} cannot be cloned: its configuration gives a {type(made).__name__}, no model")
    return made


def _classes(model: Any) -> dict[str, Any]:
    """The classes of all layers that do not come from Keras, by the names under which a configuration looks for them."""
    keras = import_keras()
    found: dict[str, Any] = {}
    for layer in model._flatten_layers():
        kind = type(layer)
        if not kind.__module__.startswith("keras."):
            found |= {kind.__name__: kind, keras.saving.get_registered_name(kind): kind}
    return found


@contextmanager
def _unfiltered() -> Iterator[None]:
    """Keras leaves its own frames in tracebacks, from which the layer is read that failed."""
    keras = import_keras()
    was = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    try:
        yield
    finally:
        if was:
            keras.config.enable_traceback_filtering()


def _failing_layer(error: BaseException) -> str:
    """Name of the innermost operation in whose code ``error`` was raised."""
    keras, name = import_keras(), ""
    trace = error.__traceback__
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        if isinstance(owner, keras.Operation) and not isinstance(owner, keras.Model):
            name = str(owner.name)
        trace = trace.tb_next
    return name


def _build(made: Any, model: Any, size: Size | None) -> None:
    """Give a subclassed model the weights that it makes when it is called."""
    if len(made.variables) >= len(model.variables) or size is not None:
        return
    try:
        made(call_spec(model).structure)
    except FAILURES as error:
        raise ConversionError(f"{_named(model)} cannot be cloned: built from its configuration, it cannot be called: {_line(error)}") from error


def _check_same(model: Any, made: Any, *, changed: bool) -> None:
    """The new model has the variables of the old one: as many (what was shared still is), and of the same shapes."""
    old, new = ([tuple(v.shape) for v in m.variables] for m in (model, made))
    if len(old) == len(new) and (changed or Counter(old) == Counter(new)):
        return
    counts = [Counter({layer.name: len(layer.variables) for layer in m._flatten_layers(include_self=False, recursive=False)}) for m in (model, made)]
    differ = [f"{name} ({counts[0][name]} variables, built anew {counts[1][name]})" for name in {*counts[0], *counts[1]}
              if counts[0][name] != counts[1][name]]
    raise ConversionError(f"{_named(model)} cannot be cloned: built from its configuration, it has {len(new)} variables instead of {len(old)}, or "
                          f"other shapes; layers that differ: {known(differ)}. Layers that its own code makes or shares must be in its configuration")


def _carry_state(model: Any, made: Any, report: Report) -> None:
    """What was adapted to data goes over: statistics, bins, vocabularies."""
    pairs = [(a, b) for a, b in zip(_adapted(model), _adapted(made), strict=True) if a.built or a.variables or hasattr(a, "get_vocabulary")]
    for old, new in pairs:
        try:
            store: dict[str, Any] = {}
            old.save_own_variables(store)
            if store:
                new.load_own_variables(store)
            with tempfile.TemporaryDirectory(prefix="converter-") as folder:
                if hasattr(old, "save_assets"):
                    old.save_assets(folder)
                    new.load_assets(folder)
        except FAILURES as error:
            raise InputError(f"what layer {old.name} was adapted to does not fit the new model: {_line(error)}") from error
    if pairs:
        report.done.append(f"kept what preprocessing was adapted to: {', '.join(str(old.name) for old, _ in pairs)}")
        report.numbers["kept"] = [str(old.name) for old, _ in pairs]


def _adapted(model: Any) -> list[Any]:
    return [layer for layer in model._flatten_layers() if hasattr(layer, "adapt") and not isinstance(layer, import_keras().Model)]


def _describe(model: Any, made: Any, seed: int, report: Report) -> None:
    kept = {id(v) for layer in _adapted(made) for v in layer.variables}
    rows: list[dict[str, Any]] = []
    constant = []
    for name, variable, twin in zip(variable_names(made), made.variables, model.variables, strict=True):
        if id(variable) in kept or "seed_generator" in name:
            continue
        numbers = np.asarray(variable)
        rows.append({"name": name, "shape": list(numbers.shape), "std": float(np.std(numbers.astype(np.float64))) if numbers.size else 0.0})
        if rows[-1]["std"] and np.array_equal(np.asarray(twin), numbers):
            constant.append(name)
    count = sum(int(np.prod(row["shape"])) for row in rows)
    report.done.append(f"{len(rows)} variables, {count:,} numbers, drawn anew by the initializers of {_named(model)} with seed {seed}")
    if constant:
        report.warnings.append(f"{len(constant)} variables are what they were, their initializers being constants or having a seed of their own: "
                               f"{known(constant)}")
    report.numbers.update(seed=seed, tensors=rows, unchanged=constant)
