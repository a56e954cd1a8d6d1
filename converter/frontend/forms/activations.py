"""Activations as single operators where ONNX has them, else in the form that engines fuse.

    gelu(x)                = Gelu (opset 20), or x (1 + Erf(x / sqrt 2)) / 2
    gelu(x), approximate   = Gelu (opset 20), or x (1 + Tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
    hard_sigmoid(x)        = HardSigmoid = min(max(x / 6 + 1 / 2, 0), 1)         hard_silu = HardSwish (opset 14)
    sparse_sigmoid(x)      = HardSigmoid = min(max(x / 2 + 1 / 2, 0), 1)         silu = x Sigmoid(x)
    celu, elu              = Celu (opset 12), Elu                                soft_shrink, hard_shrink = Shrink (opset 9)
    threshold(x, t, 0)     = ThresholdedRelu (opset 10)                          PReLU = PRelu
    Softmax over several axes = Softmax over one axis that holds them all
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.frontend.forms import FORMS, FUNCTIONS, Form
from converter.frontend.forms.axes import merge_target, merged, ordered, split, split_target
from converter.frontend.marks import Tracing
from converter.graph.build import Builder

GELU_FROM, HARD_SWISH_FROM = 20, 14
LETTERS = "abcdefgh"
Facts = Mapping[str, Any]


def _form(name: str, lower: Callable[[Builder, ir.Value, Facts], ir.Value], **defaults: Any) -> None:
    """Register the function ``name`` of one tensor and of the arguments ``defaults``, in their order."""

    def call(tracing: Tracing, original: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
        facts = {**defaults, **dict(zip(defaults, args, strict=False)), **kwargs}
        tensor = tracing.tf.convert_to_tensor(x)
        if tensor.dtype.name != "float32" or not all(isinstance(fact, bool | int | float) for fact in facts.values()):
            return original(x, *args, **kwargs)
        return tracing.leave(name, [tensor], tensor, **facts)

    FUNCTIONS.add(name, Form(call, lambda build, inputs, facts: [lower(build, inputs[0], facts)]))


def _gelu(build: Builder, x: ir.Value, facts: Facts) -> ir.Value:
    if build.opset >= GELU_FROM:
        return build("Gelu", x, approximate="tanh" if facts["approximate"] else "none")
    if not facts["approximate"]:
        erf = build("Erf", build("Div", x, _number(math.sqrt(2))))
        return build("Mul", build("Mul", x, build("Add", erf, _number(1))), _number(0.5))
    cubic = build("Add", x, build("Mul", build("Pow", x, _number(3)), _number(0.044715)))
    tanh = build("Tanh", build("Mul", cubic, _number(math.sqrt(2 / math.pi))))
    return build("Mul", build("Mul", x, _number(0.5)), build("Add", tanh, _number(1)))


def _number(value: float) -> Any:
    return np.asarray(value, np.float32)


def _hard_sigmoid(build: Builder, x: ir.Value, facts: Facts) -> ir.Value:
    return build("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def _hard_silu(build: Builder, x: ir.Value, facts: Facts) -> ir.Value:
    return build("HardSwish", x) if build.opset >= HARD_SWISH_FROM else build("Mul", x, _hard_sigmoid(build, x, facts))


def _threshold(tracing: Tracing, original: Callable[..., Any], x: Any, threshold: float, default_value: float) -> Any:
    tensor = tracing.tf.convert_to_tensor(x)
    if tensor.dtype.name != "float32" or default_value != 0 or not isinstance(threshold, int | float):
        return original(x, threshold, default_value)
    return tracing.leave("nn.threshold", [tensor], tensor, threshold=threshold)


def _prelu(tracing: Tracing, layer: Any, original: Callable[..., Any], inputs: Any) -> Any:
    if inputs.dtype.name != "float32" or layer.compute_dtype != "float32":
        return original(inputs)
    return tracing.leave("PReLU", [inputs, layer.alpha], layer.compute_output_spec(inputs))


def _softmax(tracing: Tracing, layer: Any, original: Callable[..., Any], inputs: Any, mask: Any = None) -> Any:
    rank = inputs.shape.rank
    axes = [axis % rank for axis in layer.axis] if isinstance(layer.axis, list | tuple) else []
    if len(axes) < 2 or mask is not None or inputs.dtype.name != "float32" or rank > len(LETTERS):
        return original(inputs, mask=mask)
    letters = LETTERS[:rank]
    kept = [c for i, c in enumerate(letters) if i not in axes]
    groups, sizes = [*kept, "".join(letters[axis] for axis in sorted(axes))], dict(zip(letters, inputs.shape, strict=True))
    if merge_target(groups, sizes) is None or split_target(groups, sizes) is None:
        return original(inputs, mask=mask)
    return tracing.leave("Softmax", [inputs], layer.compute_output_spec(inputs), groups=groups, sizes=sizes, letters=letters)


def _lower_softmax(build: Builder, inputs: Sequence[ir.Value], facts: Facts) -> Sequence[ir.Value]:
    groups, sizes, letters = facts["groups"], facts["sizes"], facts["letters"]
    y = split(build, build("Softmax", merged(build, inputs[0], letters, groups, sizes), axis=-1), groups, sizes)
    perm = ordered("".join(groups), letters)
    return [y if perm is None else build("Transpose", y, perm=perm)]


_form("nn.gelu", _gelu, approximate=True)
_form("nn.silu", lambda build, x, facts: build("Mul", x, build("Sigmoid", x)))
_form("nn.hard_sigmoid", _hard_sigmoid)
_form("nn.hard_silu", _hard_silu)
_form("nn.sparse_sigmoid", lambda build, x, facts: build("HardSigmoid", x, alpha=0.5, beta=0.5))
_form("nn.celu", lambda build, x, facts: build("Celu", x, alpha=float(facts["alpha"])), alpha=1.0)
_form("nn.elu", lambda build, x, facts: build("Elu", x, alpha=float(facts["alpha"])), alpha=1.0)
_form("nn.soft_shrink", lambda build, x, facts: build("Shrink", x, lambd=float(facts["threshold"]), bias=float(facts["threshold"])), threshold=0.5)
_form("nn.hard_shrink", lambda build, x, facts: build("Shrink", x, lambd=float(facts["threshold"]), bias=0.0), threshold=0.5)
FUNCTIONS.add("nn.threshold", Form(_threshold, lambda build, x, facts: [build("ThresholdedRelu", x[0], alpha=float(facts["threshold"]))]))
FORMS.add("PReLU", Form(_prelu, lambda build, inputs, facts: [build("PRelu", *inputs)]))
FORMS.add("Softmax", Form(_softmax, _lower_softmax))
