"""The operators that folds are made of, on numpy arrays at once: the reference evaluator takes ten times as long for a small vector.

Each gives the very numbers of the reference evaluator, which is numpy too; a test holds them against each other. Whatever is
out of the ordinary (a length copied by Reshape, whole numbers divided) is left to the reference evaluator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from converter.spec.quant import Array

Attributes = Mapping[str, Any]


def evaluate(op_type: str, inputs: Sequence[Array | None], attributes: Attributes) -> Array | None:
    """The one output, or None where the reference evaluator has to be asked."""
    rule = RULES.get(op_type)
    if rule is None or any(x is None for x in inputs):
        return None
    return rule([x for x in inputs if x is not None], attributes)


def _reshape(inputs: list[Array], attributes: Attributes) -> Array | None:
    data, shape = inputs
    lengths = [int(n) for n in shape]
    return None if attributes or 0 in lengths or 0 in data.shape else np.reshape(data, lengths)


def _transpose(inputs: list[Array], attributes: Attributes) -> Array | None:
    return np.transpose(inputs[0], attributes["perm"]) if set(attributes) == {"perm"} else None


def _pair(function: Callable[[Array, Array], Array]) -> Callable[[list[Array], Attributes], Array | None]:
    def rule(inputs: list[Array], attributes: Attributes) -> Array | None:
        a, b = inputs
        return None if attributes or not a.dtype == b.dtype == np.float32 else function(a, b)

    return rule


def _single(function: Callable[[Array], Array]) -> Callable[[list[Array], Attributes], Array | None]:
    def rule(inputs: list[Array], attributes: Attributes) -> Array | None:
        return None if attributes or len(inputs) != 1 or inputs[0].dtype != np.float32 else np.asarray(function(inputs[0]))

    return rule


RULES: Mapping[str, Callable[[list[Array], Attributes], Array | None]] = {
    "Reshape": _reshape, "Transpose": _transpose,
    "Add": _pair(np.add), "Sub": _pair(np.subtract), "Mul": _pair(np.multiply), "Div": _pair(np.divide),
    "Neg": _single(np.negative), "Sqrt": _single(np.sqrt), "Abs": _single(np.abs),
}
