"""Keras layers and functions that are traced another way than Keras runs them, one family a file.

Two reasons: what a layer calls has no ONNX form, or ONNX has an operator for the whole layer that the pieces would hide.
Only the trace is changed, never the reference it is compared with, so the parity check proves every line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from converter.registry import Registry


@dataclass(frozen=True)
class Form:
    """Another way to trace a layer or a function.

    Args:
        call: ``call(tracing, layer, original, *args, **kwargs)`` is traced in place of the layer's ``call``; ``original`` is that, bound to
            the layer, for whatever the form does not cover. ``tracing`` is a :class:`converter.frontend.marks.Tracing`. In the form of
            a function there is no ``layer`` among the arguments.
        lower: ``lower(build, inputs, facts)``: the ONNX values of the outputs of a mark that ``call`` left, given its inputs; None for a
            form that leaves none.
    """

    call: Callable[..., Any]
    lower: Callable[..., Sequence[ir.Value]] | None = None


FORMS: Registry[Form] = Registry("layer form", "converter.frontend.forms")
"""By the name of the class in ``keras.layers``."""

FUNCTIONS: Registry[Form] = Registry("function form", "converter.frontend.forms")
"""By module and name in Keras's backend, for example ``numpy.einsum``: what layers, ``keras.ops`` and activations all come down to."""
