"""BatchNormalization in inference, which is two operators on the picture and the rest of it on vectors:

    y = x s + t        s = gamma / Sqrt(variance + epsilon)        t = beta - mean s

Not ONNX BatchNormalization, which wants channels first: as arithmetic it works in any layout, folds into the convolution in front, and every
number of it stays in the ledger. Keras's own code comes to the same by twenty operators of TensorFlow, and networks have hundreds of such layers.
Half precision is widened to float32, as in Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.frontend.forms import FORMS, Form
from converter.frontend.forms.norms import FLOATS
from converter.frontend.marks import Tracing
from converter.graph.build import Builder


def _batch_norm(
    tracing: Tracing, layer: Any, original: Callable[..., Any], inputs: Any, training: bool | None = None, mask: Any = None
) -> Any:
    rank = inputs.shape.rank
    if training or mask is not None or inputs.dtype.name not in FLOATS or rank is None or not -rank <= layer.axis < rank:
        return original(inputs, training=training, mask=mask)
    tf = tracing.tf
    given = [inputs, layer.moving_mean, layer.moving_variance, *([layer.gamma] if layer.scale else []), *([layer.beta] if layer.center else [])]
    wide = [tensor if tensor.dtype == tf.float32 else tf.cast(tensor, tf.float32) for tensor in map(tf.convert_to_tensor, given)]
    made = tracing.leave("BatchNormalization", wide, wide[0], epsilon=layer.epsilon, scale=layer.scale, center=layer.center,
                         behind=rank - 1 - layer.axis % rank)
    return made if layer.compute_dtype == "float32" else tf.cast(made, layer.compute_dtype)


def _lower(build: Builder, inputs: Sequence[ir.Value], facts: Mapping[str, Any]) -> Sequence[ir.Value]:
    x, mean, variance, *weights = inputs
    deviation = build("Sqrt", build("Add", variance, np.asarray(facts["epsilon"], np.float32)))
    s = build("Div", weights.pop(0) if facts["scale"] else np.ones(1, np.float32), deviation)
    shift = build("Mul", mean, s)
    t = build("Sub", weights[0], shift) if facts["center"] else build("Neg", shift)
    if facts["behind"]:
        s, t = (build("Reshape", vector, np.array([-1] + [1] * facts["behind"])) for vector in (s, t))
    return [build("Add", build("Mul", x, s), t)]


FORMS.add("BatchNormalization", Form(_batch_norm, _lower))
