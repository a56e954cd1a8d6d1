"""TimeDistributed runs its layer once, on ``(batch * time, ...)``, where Keras runs it once a step.

That is the same for a layer that looks at each sample alone, as every layer of Keras does in inference. A layer of the user's may not, so it
is run once a step, as Keras does it.

Where a trace does not know the number of steps, Keras 3.15 runs as many as there are samples in the batch: ``TimeDistributed.call`` reads the
number from axis 0 before it brings time there. Called on arrays it is right, and so is what is written here. The reference
knows that (:mod:`converter.frontend.reference`); a layer of the user's is refused there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converter.errors import ConversionError
from converter.frontend.forms import FORMS, Form
from converter.frontend.marks import Tracing


def _call(tracing: Tracing, layer: Any, original: Callable[..., Any], inputs: Any, training: Any = None, mask: Any = None) -> Any:
    inner, tf = layer.layer, tracing.tf
    parts = inner._flatten_layers()
    plain = all(type(part).__module__.partition(".")[0] == "keras" and not getattr(part, "stateful", False) for part in parts)
    if not plain or (mask is not None and len(mask.shape) < 2):
        if inputs.shape[1] is None:
            raise ConversionError(f"{layer.path or layer.name}: TimeDistributed over a layer that is not one of Keras's, with a free number of "
                                  "steps, has no ONNX form. Give the input a fixed number of steps, or apply the layer to the sequence itself")
        return original(inputs, training=training, mask=mask)
    given = {"training": training} if inner._call_has_training_arg else {}
    if inner._call_has_mask_arg and mask is not None:
        given["mask"] = merged(tf, mask)
    made = inner.call(merged(tf, inputs), **given)
    if not isinstance(made, tf.Tensor):
        return original(inputs, training=training, mask=mask)
    return parted(tf, made, inputs)


def merged(tf: Any, value: Any) -> Any:
    """``(batch, time, ...)`` as ``(batch * time, ...)``."""
    return tf.reshape(value, _lengths(tf, value, 2, [-1]))


def parted(tf: Any, value: Any, like: Any) -> Any:
    """``(batch * time, ...)`` with the batch and time of ``like``."""
    output = tf.reshape(value, _lengths(tf, value, 1, list(_ahead(tf, like))))
    output.set_shape([*like.shape[:2], *value.shape[1:]])
    return output


def _ahead(tf: Any, inputs: Any) -> tuple[Any, Any]:
    """Batch and time; -1 for what follows from the rest."""
    if inputs.shape[1] is not None:
        return -1, inputs.shape[1]
    return tf.shape(inputs)[0] if inputs.shape[0] is None else inputs.shape[0], -1


def _lengths(tf: Any, tensor: Any, start: int, ahead: list[Any]) -> Any:
    """``ahead`` and the lengths of the axes of ``tensor`` from ``start`` on, as a shape."""
    dynamic = tf.shape(tensor)
    return tf.stack([*ahead, *(dynamic[axis] if n is None else n for axis, n in enumerate(tensor.shape) if axis >= start)])


FORMS.add("TimeDistributed", Form(_call))
