"""Rows of a table, and axes repeated: Gather and Expand alone.

Keras counts negative indices from the end by hand, which Gather does by itself (ONNX Gather, opset 11); an index beyond the table is
refused by onnxruntime as it is by TensorFlow. ``tf.repeat`` computes with shapes, where a length is added, expanded and merged again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.frontend.forms import FUNCTIONS, Form
from converter.frontend.forms.axes import merge_target
from converter.frontend.marks import Tracing
from converter.graph.build import Builder

REPEAT = "numpy.repeat"
INDICES = ("int32", "int64")
LETTERS = "abcdefgh"


def _take(tracing: Tracing, original: Callable[..., Any], x: Any, indices: Any, axis: int | None = None) -> Any:
    tf = tracing.tf
    if axis is None or isinstance(indices, tf.SparseTensor | tf.RaggedTensor):
        return original(x, indices, axis=axis)
    places = tf.convert_to_tensor(indices)
    if places.dtype.name not in INDICES:
        return original(x, indices, axis=axis)
    return tf.gather(tf.convert_to_tensor(x), places, axis=axis)


def _repeat(tracing: Tracing, original: Callable[..., Any], x: Any, repeats: Any, axis: int | None = None) -> Any:
    tensor = tracing.tf.convert_to_tensor(x)
    rank = tensor.shape.rank
    if axis is None or not isinstance(repeats, int) or rank is None or tensor.dtype.name not in ("float32", "float16", "int32", "int64"):
        return original(x, repeats, axis=axis)
    place, lengths = axis % rank, [*tensor.shape]
    if _target(place, repeats, lengths) is None:
        return original(x, repeats, axis=axis)
    spec = [n if i != place or n is None else n * repeats for i, n in enumerate(lengths)]
    return tracing.leave(REPEAT, [tensor], tracing.keras.KerasTensor(spec, tensor.dtype.name), axis=place, times=repeats, lengths=tuple(lengths))


def _target(axis: int, times: int, lengths: Sequence[int | None]) -> list[int] | None:
    letters = list(LETTERS[:len(lengths)])
    sizes = dict(zip(letters, lengths, strict=True)) | {"z": times}
    letters[axis] += "z"
    return merge_target(letters, sizes) if len(lengths) <= len(LETTERS) and times > 0 else None


def repeated(build: Builder, x: ir.Value, axis: int, times: int, lengths: Sequence[int | None]) -> ir.Value:
    """``x`` with every entry of ``axis`` ``times`` times in a row."""
    target = _target(axis, times, lengths)
    assert target is not None
    spread = [times if i == axis + 1 else 1 for i in range(len(lengths) + 1)]
    return build("Reshape", build("Expand", build("Unsqueeze", x, np.array([axis + 1])), np.array(spread)), np.array(target))


def _lower(build: Builder, inputs: Sequence[ir.Value], facts: Mapping[str, Any]) -> Sequence[ir.Value]:
    return [repeated(build, inputs[0], facts["axis"], facts["times"], facts["lengths"])]


FUNCTIONS.add("numpy.take", Form(_take))
FUNCTIONS.add(REPEAT, Form(_repeat, _lower))
