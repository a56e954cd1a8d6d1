"""Names of the free axes of a graph's inputs and outputs.

The first axis is ``batch``. Any other is called after its input and what Keras means by its place, channels last: ``<input>_length`` in (batch,
length) and (batch, length, features), ``<input>_height`` and ``<input>_width`` in images, ``<input>_depth`` before them in volumes,
``<input>_channels`` at the end; ``<input>_<number>`` beyond five axes. The caller may say better ones, and say by one name that axes of several
inputs have one length. An axis of an output has the name of the input's axis whose length it always has, where ONNX shape inference can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from converter.errors import UsageError, known
from converter.graph import io, query

BATCH = "batch"
PLACES: Mapping[int, tuple[str, ...]] = {2: ("length",), 3: ("length", "channels"), 4: ("height", "width", "channels"),
                                         5: ("depth", "height", "width", "channels")}


def read(texts: Sequence[str]) -> dict[str, str]:
    """``image:1=rows`` as ``{"image:1": "rows"}``, for every text.

    Raises:
        UsageError: a text is not of that form.
    """
    pairs = [text.rpartition("=") for text in texts]
    wrong = [text for text, (key, _, name) in zip(texts, pairs, strict=True) if ":" not in key or not name]
    if wrong:
        raise UsageError(f"cannot read --axis {wrong[0]}; it is INPUT:AXIS=NAME, for example image:1=rows")
    return {key: name for key, _, name in pairs}


def name_axes(model: ir.Model, given: Mapping[str, str] | None = None) -> None:
    """Name the free axes of ``model``, in place.

    Args:
        model: with named inputs and outputs.
        given: name of a free axis by ``input:axis``, for example ``{"image:1": "rows"}``.

    Raises:
        UsageError: an entry of ``given`` is no free axis of an input, or two axes of one input would have one name.
    """
    wanted = {key: _checked(key, name) for key, name in (given or {}).items()}
    free = {f"{value.name}:{axis}" for value in model.graph.inputs for axis in _free(value)}
    strange = wanted.keys() - free
    if strange:
        raise UsageError(f"{known(strange)} is no free axis of an input; free are {known(free)}")
    for value in model.graph.inputs:
        _rename(value, {axis: wanted.get(f"{value.name}:{axis}") or _default(value, axis) for axis in _free(value)})
        if len(set(names_of(value))) < len(names_of(value)):
            raise UsageError(f"two axes of the input {value.name!r} have one name: {', '.join(names_of(value))}")
    _follow(model, wanted.get(f"{model.graph.inputs[0].name}:0", BATCH) if model.graph.inputs else BATCH)


def names_of(value: ir.Value) -> list[str]:
    """The names of the free axes of ``value``, in order."""
    return [str(d.value) for d in value.shape or () if not isinstance(d, int) and d.value is not None]


def _checked(key: str, name: str) -> str:
    if not name.isidentifier():
        raise UsageError(f"{name!r} cannot be the name of the axis {key}: letters, digits and _ only, and no digit in front")
    return name


def _free(value: ir.Value) -> list[int]:
    return [axis for axis, d in enumerate(value.shape or ()) if not isinstance(d, int)]


def _default(value: ir.Value, axis: int) -> str:
    places: Sequence[str] = PLACES.get(query.rank_of(value) or 0, ())
    return BATCH if axis == 0 else f"{value.name}_{places[axis - 1] if places else axis}"


def _rename(value: ir.Value, names: Mapping[int, str]) -> None:
    if value.shape is not None:
        value.shape = ir.Shape([names.get(axis, d if isinstance(d, int) else None) for axis, d in enumerate(value.shape)])


def _follow(model: ir.Model, batch: str) -> None:
    """Name the axes of the outputs: those that only the batch is free in need no inference."""
    outputs = [value for value in model.graph.outputs if _free(value)]
    found = _inferred(model, outputs) if any(axis for value in outputs for axis in _free(value)) else {}
    known_names = {name for value in model.graph.inputs for name in names_of(value)}
    for value in outputs:
        told = found.get(query.name_of(value), {})
        _rename(value, {axis: told[axis] if told.get(axis) in known_names else batch if axis == 0 else _default(value, axis)
                        for axis in _free(value)})


def _inferred(model: ir.Model, outputs: Sequence[ir.Value]) -> dict[str, dict[int, str]]:
    """What shape inference calls the axes of ``outputs``, by output and axis."""
    kept = {id(value): value.shape for value in outputs}
    for value in outputs:
        value.shape = None
    io.infer_shapes(model)
    found = {query.name_of(v): {i: str(d.value) for i, d in enumerate(v.shape or ()) if not isinstance(d, int) and d.value} for v in outputs}
    for value in outputs:
        value.shape = kept[id(value)]
    return found
