"""Changes of a Keras configuration: another number of classes, another size of the input. What stands in the way is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from converter.errors import ConversionError, UsageError
from converter.frontend.keras_source import import_keras
from converter.spec.report import Report
from converter.spec.sizes import Size

WIDTH: Mapping[str, str] = {"Dense": "units", **{f"{kind}{n}D{more}": "filters" for kind in ("Conv", "SeparableConv") for n in (1, 2, 3)
                                                  for more in ("", "Transpose")}}
"""Layers that make classes, and what their width is called."""

BLIND = frozenset({
    "Activation", "Softmax", "ReLU", "LeakyReLU", "PReLU", "ELU", "Sigmoid", "LogSoftmax", "LogSigmoid", "Relu", "Tanh", "Cast", "Identity",
    "Masking", "Dropout", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization",
    "BatchNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization", "Resizing",
    *(f"{kind}{n}D" for n in (1, 2, 3) for kind in ("SpatialDropout", "GlobalAveragePooling", "GlobalMaxPooling", "AveragePooling", "MaxPooling",
                                                    "UpSampling", "Cropping", "ZeroPadding"))})
"""Layers and operations that are as they are for any number of classes."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    """The layer that makes the classes, where it is, and the reshapes between it and the output."""

    path: Path
    layer: Any
    reshapes: tuple[tuple[Path, Any], ...]


def set_classes(config: dict[str, Any], model: Any, classes: int, report: Report) -> None:
    """Give the first output another width.

    Raises:
        UsageError: fewer than one class.
        ConversionError: a layer between the output and the layer that makes it fixes the width.
    """
    if classes < 1:
        raise UsageError(f"a model has at least one class; received {classes}")
    found = _classifier(model)
    inner = _layer_config(config, found.path, model)
    key = WIDTH[_kind(found.layer)]
    if type(found.layer).__name__ == "TimeDistributed":
        inner = inner["layer"]["config"]
    before = inner[key]
    for path, layer in found.reshapes:
        _reshape(_layer_config(config, path, model), layer, before, classes)
    inner[key] = classes
    name = "/".join(found.path)
    report.done.append(f"{classes} classes instead of {before}, made by {name} ({type(found.layer).__name__})")
    report.numbers["classes"] = {"before": before, "after": classes, "layer": name}


def _reshape(config: dict[str, Any], layer: Any, before: int, classes: int) -> None:
    target = list(config["target_shape"])
    if target[-1] not in (before, -1) or before in target[:-1]:
        raise ConversionError(f"the classes cannot be changed: layer {layer.name} (Reshape) makes {target} of {before} classes")
    target[-1] = classes if target[-1] == before else -1
    config["target_shape"] = target


def _kind(layer: Any) -> str:
    """The name in ``WIDTH`` of what the layer is; empty where it is none of these."""
    layers = import_keras().layers
    inside = layer.layer if type(layer).__name__ == "TimeDistributed" else layer
    return next((name for name in WIDTH if isinstance(inside, getattr(layers, name, ()))), "")


def _classifier(model: Any) -> _Found:
    reshapes: list[tuple[Path, Any]] = []
    for path, layer in _backwards(model, 0, ()):
        if _kind(layer):
            return _Found(path, layer, tuple(reshapes))
        name = type(layer).__name__
        if name == "Reshape":
            reshapes.append((path, layer))
        elif name not in BLIND and not (name == "Flatten" and _one_position(layer)):
            raise ConversionError(f"the classes cannot be changed: layer {'/'.join(path)} ({name}), between the output and the last Dense or Conv, "
                                  "fixes the width")
    raise ConversionError(f"the classes cannot be changed: no Dense or Conv layer makes the first output of {model.name!r}")


def _one_position(layer: Any) -> bool:
    """Whether all that a sample has in front of a Flatten are its classes."""
    return bool(sum(n != 1 for n in layer.input.shape[1:]) <= 1)


def _backwards(model: Any, output: int, prefix: Path) -> Iterator[tuple[Path, Any]]:
    """Layers from an output backwards, along the only path; those of a submodel in its place."""
    keras = import_keras()
    if isinstance(model, keras.Sequential):
        for layer in reversed(model.layers):
            yield from _inside(layer, 0, prefix)
        return
    if not getattr(model, "outputs", None) or not hasattr(model, "operations"):
        raise ConversionError(f"{type(model).__name__} {model.name!r} computes in code of its own, which cannot be changed here; functional and "
                              "sequential models can")
    tensor = model.outputs[output]
    while True:
        history = tensor._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        if node.is_input:
            return
        yield from _inside(history.operation, history.tensor_index, prefix)
        if len(node.input_tensors) != 1:
            raise ConversionError(f"the classes cannot be changed: layer {history.operation.name} joins {len(node.input_tensors)} tensors")
        tensor = node.input_tensors[0]


def _inside(layer: Any, output: int, prefix: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(layer, import_keras().Model):
        yield from _backwards(layer, output, (*prefix, layer.name))
    else:
        yield (*prefix, layer.name), layer


def _layer_config(config: dict[str, Any], path: Path, model: Any) -> dict[str, Any]:
    """The configuration of the layer at ``path``."""
    for name in path:
        layers = config["config"].get("layers") if isinstance(config.get("config"), dict) else None
        found = next((c for c in layers or () if c.get("config", {}).get("name") == name), None)
        if found is None:
            raise ConversionError(f"model {model.name!r} has a configuration of its own, in which layer {'/'.join(path)} is not found")
        config = found
    inner: dict[str, Any] = config["config"]
    return inner


def set_size(config: dict[str, Any], model: Any, size: Size, report: Report) -> None:
    """Give an input another size.

    Raises:
        UsageError: it fits no input, or several.
        ConversionError: the model has no inputs in its configuration.
    """
    shapes = dict(_inputs(config))
    first = any(getattr(layer, "data_format", None) == "channels_first" for layer in model._flatten_layers())
    if not shapes:
        raise ConversionError(f"the input size cannot be changed: {type(model).__name__} {model.name!r} has no input in its configuration")
    axes = {name: _axes(len(shape), first) for name, shape in shapes.items()}
    name = size.choose({n: len(a) for n, a in axes.items()})
    before = list(shapes[name])
    after = size.shape(before, axes[name], f"input {name}")
    _set_shape(config, name, after)
    report.done.append(f"input {name} {after[1:]} instead of {before[1:]}")
    report.numbers["input_size"] = {"input": name, "before": before, "after": after}


def _axes(rank: int, channels_first: bool) -> list[int]:
    if rank < 3:
        return [1] if rank == 2 else []
    return list(range(2, rank)) if channels_first else list(range(1, rank - 1))


def _inputs(config: dict[str, Any]) -> Iterator[tuple[str, list[int | None]]]:
    """Names and shapes, with the batch, of the inputs of a model's own layer list."""
    inner = config.get("config", {})
    for layer in inner.get("layers", ()):
        if layer.get("class_name") == "InputLayer":
            told = layer["config"]
            key = _shape_key(told)
            yield told["name"], list(told[key]) if key != "shape" else [None, *told[key]]
    if inner.get("build_input_shape") and not any(c.get("class_name") == "InputLayer" for c in inner["layers"]):
        yield inner["name"], list(inner["build_input_shape"])


def _shape_key(config: Mapping[str, Any]) -> str:
    return next(key for key in ("batch_shape", "batch_input_shape", "shape") if config.get(key) is not None)


def _set_shape(config: dict[str, Any], name: str, shape: list[Any]) -> None:
    """Give the input ``name`` of a model's own layer list another shape; the batch stays."""
    inner = config["config"]
    if inner.get("build_input_shape") and name == inner["name"]:
        inner["build_input_shape"] = [inner["build_input_shape"][0], *shape[1:]]
    for layer in inner["layers"]:
        told = layer["config"]
        if layer.get("class_name") == "InputLayer" and told["name"] == name:
            key = _shape_key(told)
            told[key] = shape[1:] if key == "shape" else [told[key][0], *shape[1:]]


def free_submodels(config: dict[str, Any], before: list[Any], after: list[Any], **more: Any) -> int:
    """Free the lengths of the inputs of submodels, whose size follows from what is in front of them; how deep they are nested.

    A submodel whose input was shaped like that of the model gets the new one at once: it may hold a dense layer, which needs to know.
    """
    depth = 0
    for submodel in _submodels(config):
        for name, shape in list(_inputs(submodel)):
            if shape[1:] == before[1:]:
                _set_shape(submodel, name, after)
            elif len(shape) > 2:  # a vector has no size, and its length is what a dense layer takes
                depth = max(depth, 1)
                _set_shape(submodel, name, [shape[0], *[None] * (len(shape) - 2), shape[-1]])
        inside = free_submodels(submodel, before, after)
        depth = max(depth, inside + 1 if inside else 0)
    return depth


def settle_submodels(config: dict[str, Any], made: Any) -> None:
    """Give the inputs of submodels the shapes that arrive there.

    Args:
        config: whose submodels were freed.
        made: the model that was built from it.
    """
    for submodel in _submodels(config):
        layer = made.get_layer(submodel["config"]["name"])
        calls = [node for node in layer._inbound_nodes if node.input_tensors]
        names = [name for name, _ in _inputs(submodel)]
        for name, tensor in zip(names, calls[0].input_tensors if calls else (), strict=False):
            _set_shape(submodel, name, list(tensor.shape))
        settle_submodels(submodel, layer)


def _submodels(config: dict[str, Any]) -> list[dict[str, Any]]:
    inner = config.get("config")
    layers = inner.get("layers", ()) if isinstance(inner, dict) else ()
    return [layer for layer in layers if isinstance(layer.get("config"), dict) and isinstance(layer["config"].get("layers"), list)
            and "name" in layer["config"]]


def drop_build_shapes(config: Any) -> None:
    """Let every layer find its shapes when it is called, not in what it was built for before."""
    if isinstance(config, dict):
        config.pop("build_config", None)
        for value in config.values():
            drop_build_shapes(value)
    elif isinstance(config, list):
        for value in config:
            drop_build_shapes(value)
