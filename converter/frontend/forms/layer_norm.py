"""LayerNormalization over the last axes is one operator (ONNX LayerNormalization, opset 17)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from converter.frontend.forms import FORMS, Form
from converter.frontend.marks import Tracing
from converter.graph.build import Builder


def _call(tracing: Tracing, layer: Any, original: Callable[..., Any], inputs: Any) -> Any:
    rank = len(inputs.shape)
    axes = sorted(axis % rank for axis in ([layer.axis] if isinstance(layer.axis, int) else layer.axis))
    if axes != list(range(axes[0], rank)) or {inputs.dtype.name, layer.compute_dtype} != {"float32"} or not layer.scale:
        return original(inputs)
    weights = [layer.gamma, *([layer.beta] if layer.center else [])]
    return tracing.leave("LayerNormalization", [inputs, *weights], layer.compute_output_spec(inputs), axis=axes[0], epsilon=layer.epsilon)


def _lower(build: Builder, inputs: Sequence[ir.Value], facts: Mapping[str, Any]) -> Sequence[ir.Value]:
    return [build("LayerNormalization", *inputs, axis=facts["axis"], epsilon=facts["epsilon"])]


FORMS.add("LayerNormalization", Form(_call, _lower))
