"""Normalizations as the operators that engines have kernels for.

    LayerNormalization   over the last axes: ONNX LayerNormalization (opset 17), for any others between two transposes
    RMSNormalization     likewise; ONNX RMSNormalization (opset 23), below it x / Sqrt(mean(x^2) + e) * w
    GroupNormalization   InstanceNormalization of (batch, groups, rest), then gain and bias

ONNX GroupNormalization (opset 21) has no kernel in onnxruntime 1.32 on the CPU, which takes it apart into 29 operators that compute
shapes; InstanceNormalization has one. The pieces below these opsets are
in the form that onnxruntime fuses. Half precision is widened to float32, as in Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.frontend.forms import FORMS, Form
from converter.frontend.marks import Tracing
from converter.graph.build import Builder

FLOATS = ("float16", "bfloat16", "float32")
LAYER_FROM, RMS_FROM, AXES_AS_INPUT = 17, 23, 18


def _axes(layer: Any, rank: int) -> list[int] | None:
    """The axes counted from the front; None where Keras sorted them in another order, in which the weights lie then."""
    axes = [axis % rank for axis in ([layer.axis] if isinstance(layer.axis, int) else layer.axis)]
    return axes if axes == sorted(axes) else None


def _layer_norm(tracing: Tracing, layer: Any, original: Callable[..., Any], inputs: Any) -> Any:
    axes = _axes(layer, len(inputs.shape))
    if inputs.dtype.name not in FLOATS or layer.rms_scaling or axes is None:
        return original(inputs)
    return _left(tracing, "LayerNormalization", layer, inputs, [layer.gamma, layer.beta], axes=axes, scale=layer.gamma is not None,
                 lengths=[inputs.shape[axis] for axis in axes])


def _left(tracing: Tracing, form: str, layer: Any, x: Any, weights: Sequence[Any], **facts: Any) -> Any:
    """A mark that computes in float32, as Keras does in its wider types; ``weights`` may have gaps."""
    tf = tracing.tf
    wide = [tf.cast(tf.convert_to_tensor(y), "float32") for y in (x, *weights) if y is not None]
    made = tracing.leave(form, wide, tracing.keras.KerasTensor(x.shape, "float32"), epsilon=layer.epsilon, rank=len(x.shape), **facts)
    return tf.cast(made, layer.compute_dtype)


def _lower_layer_norm(build: Builder, inputs: Sequence[ir.Value], facts: Mapping[str, Any]) -> Sequence[ir.Value]:
    x, *weights = inputs
    if not facts["scale"]:
        weights.insert(0, build.constant(np.ones(facts["lengths"], np.float32)))
    first = facts["rank"] - len(facts["axes"])
    if build.opset < LAYER_FROM:
        return [_around(build, x, facts, lambda y: _layer_norm_in_pieces(build, y, weights, list(range(first, facts["rank"])), facts["epsilon"]))]
    return [_around(build, x, facts, lambda y: build("LayerNormalization", y, *weights, axis=first, epsilon=facts["epsilon"]))]


def _layer_norm_in_pieces(build: Builder, x: ir.Value, weights: Sequence[ir.Value], axes: list[int], epsilon: float) -> ir.Value:
    """The form that onnxruntime fuses."""
    apart = build("Sub", x, _mean(build, x, axes))
    variance = _mean(build, _squared(build, apart), axes)
    y = build("Div", apart, build("Sqrt", build("Add", variance, np.asarray(epsilon, np.float32))))
    return _scaled(build, y, weights)


def _rms_norm(tracing: Tracing, layer: Any, original: Callable[..., Any], x: Any) -> Any:
    rank = len(x.shape)
    axes = _axes(layer, rank)
    if x.dtype.name not in FLOATS or axes != list(range(rank - len(layer.axis), rank)):
        return original(x)  # Keras broadcasts the scale against the last axes, wherever the normalized ones are
    return _left(tracing, "RMSNormalization", layer, x, [layer.scale], axes=axes)


def _lower_rms_norm(build: Builder, inputs: Sequence[ir.Value], facts: Mapping[str, Any]) -> Sequence[ir.Value]:
    x, scale = inputs
    if build.opset >= RMS_FROM:
        return [build("RMSNormalization", x, scale, axis=facts["axes"][0], epsilon=facts["epsilon"])]
    power = build("Add", _mean(build, _squared(build, x), facts["axes"]), np.asarray(facts["epsilon"], np.float32))
    return [build("Mul", build("Div", x, build("Sqrt", power)), scale)]


def _group_norm(tracing: Tracing, layer: Any, original: Callable[..., Any], inputs: Any) -> Any:
    rank = len(inputs.shape)
    channels = inputs.shape[layer.axis]
    if inputs.dtype.name not in FLOATS or rank < 3 or channels is None or layer.axis < -1:
        return original(inputs)
    return _left(tracing, "GroupNormalization", layer, inputs, [layer.gamma, layer.beta], axis=layer.axis % rank, groups=layer.groups,
                 channels=channels, scale=layer.gamma is not None, lengths=tuple(inputs.shape))


def _lower_group_norm(build: Builder, inputs: Sequence[ir.Value], facts: Mapping[str, Any]) -> Sequence[ir.Value]:
    x, *weights = inputs
    rank, axis, groups = facts["rank"], facts["axis"], facts["groups"]
    order = [0, axis, *(i for i in range(1, rank) if i != axis)]
    x = x if order == list(range(rank)) else build("Transpose", x, perm=order)
    flat = build("Reshape", x, np.array([0, groups, -1]))
    y = build("InstanceNormalization", flat, np.ones(groups, np.float32), np.zeros(groups, np.float32), epsilon=facts["epsilon"])
    y = _shaped_like(build, y, x, [facts["lengths"][i] for i in order])
    column = np.array([facts["channels"], *[1] * (rank - 2)])
    weights = [build("Reshape", w, column) for w in weights]
    y = build("Mul", y, weights.pop(0)) if facts["scale"] else y
    y = build("Add", y, weights.pop(0)) if weights else y
    return [y if order == list(range(rank)) else build("Transpose", y, perm=[order.index(i) for i in range(rank)])]


def _shaped_like(build: Builder, y: ir.Value, x: ir.Value, lengths: Sequence[int | None]) -> ir.Value:
    """``y`` with the lengths of ``x``, of which all but the batch and one other are known, or else are read from it."""
    known = [0, *(-1 if n is None else n for n in lengths[1:])]
    return build("Reshape", y, np.array(known) if known.count(-1) < 2 else build("Shape", x, dtype=ir.DataType.INT64))


def _around(build: Builder, x: ir.Value, facts: Mapping[str, Any], over_last: Callable[[ir.Value], ir.Value]) -> ir.Value:
    """``over_last`` between two transposes that bring the axes in question to the end, where they are not there."""
    order = [i for i in range(facts["rank"]) if i not in facts["axes"]] + facts["axes"]
    if order == sorted(order):
        return over_last(x)
    return build("Transpose", over_last(build("Transpose", x, perm=order)), perm=[order.index(i) for i in range(len(order))])


def _mean(build: Builder, x: ir.Value, axes: Sequence[int]) -> ir.Value:
    if build.opset < AXES_AS_INPUT:
        return build("ReduceMean", x, axes=list(axes), keepdims=1)
    return build("ReduceMean", x, np.array(axes), keepdims=1)


def _squared(build: Builder, x: ir.Value) -> ir.Value:
    return build("Pow", x, np.asarray(2, np.float32))  # not Mul: onnxruntime looks for Pow


def _scaled(build: Builder, y: ir.Value, weights: Sequence[ir.Value]) -> ir.Value:
    for op_type, weight in zip(("Mul", "Add"), weights, strict=False):
        y = build(op_type, y, weight)
    return y


FORMS.add("LayerNormalization", Form(_layer_norm, _lower_layer_norm))
FORMS.add("RMSNormalization", Form(_rms_norm, _lower_rms_norm))
FORMS.add("GroupNormalization", Form(_group_norm, _lower_group_norm))
