"""One step of the ledger backwards: what an input must be for the output to be what is wanted, all other inputs known.

NaN stands for a number that nobody asked for (a part of a tensor that another initializer is made of): it goes through every
step as it is, and the variable keeps what it has there. Where several numbers of the output come from one of the input
(broadcasting, Expand, Tile), the input is the one with the least squared error in the output; whether that was good enough is seen
when everything is computed forwards again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from converter.graph import io
from converter.graph.ledger import Step
from converter.spec.quant import Array

SHAPES = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Cast"})
MOVES = frozenset({*SHAPES, "Transpose", "Concat", "Slice", "Gather", "Pad", "Expand", "Tile", "DepthToSpace", "SpaceToDepth", "Trilu"})
"""Operators that only move numbers; their first input is what they move, of Concat every input."""

Pair = tuple[Array, Array]
"""What the input must be, in the shape of the output, and the weight of its error: the squared slope of the output."""


def can_invert(step: Step, index: int) -> bool:
    """Whether input ``index`` of ``step`` follows from the output and the other inputs."""
    if step.op_type in MOVES:
        return index == 0 or step.op_type == "Concat"
    return step.op_type in SINGLE or (step.op_type in DOUBLE and len(step.inputs) == 2) or (step.op_type in BOUNDS and index == 0)


def is_sum(step: Step) -> bool:
    """Whether the output moves by as much as the input does."""
    return step.op_type in MOVES or step.op_type in ("Add", "Sub", "Neg")


def is_linear(step: Step, index: int) -> bool:
    """Whether the output is an affine function of the input."""
    return is_sum(step) or step.op_type == "Mul" or (step.op_type == "Div" and index == 0)


def invert(step: Step, index: int, wanted: Array, inputs: Sequence[Array], opset: int) -> Array:
    """Input ``index`` for which the output is ``wanted``.

    Args:
        step, index: which ``can_invert``.
        wanted: of the shape of the output; NaN where nothing is asked for.
        inputs: what they are now; of input ``index`` only the shape counts.
        opset: of the ledger.

    Returns:
        Of the shape of input ``index``, float64 (the type of ``wanted`` where numbers are only moved). Infinite where a finite number is wanted
        and no finite one gives it: something was multiplied by 0.
    """
    shape = inputs[index].shape
    if step.op_type in SHAPES:
        return wanted.reshape(shape)
    if step.op_type == "Transpose":
        perm = step.attributes.get("perm") or tuple(reversed(range(wanted.ndim)))
        return wanted.transpose(tuple(int(i) for i in np.argsort(perm)))
    if step.op_type in MOVES:
        return _moved(step, index, wanted, inputs, opset)
    wanted = wanted.astype(np.float64)
    with np.errstate(all="ignore"):
        if step.op_type in BOUNDS:
            return _narrowed((wanted, np.ones_like(wanted)), shape)
        if step.op_type in SINGLE:
            return SINGLE[step.op_type](wanted)
        return _narrowed(DOUBLE[step.op_type](wanted, inputs[1 - index].astype(np.float64), index), shape)


def _moved(step: Step, index: int, wanted: Array, inputs: Sequence[Array], opset: int) -> Array:
    """Let the operator move positions (from 1 on; it fills with 0), which says where every number came from."""
    x = inputs[index]
    every = len(inputs) if step.op_type == "Concat" else 1
    marks = [np.zeros(a.shape, np.int64) if i < every else a for i, a in enumerate(inputs)]
    if step.op_type == "Pad" and len(inputs) > 2:
        marks[2] = np.zeros(inputs[2].shape, np.int64)
    marks[index] = np.arange(1, x.size + 1).reshape(x.shape)
    came = io.evaluate(step.op_type, marks, step.attributes, opset)[0].reshape(-1)
    told = (came > 0) & ~np.isnan(wanted.reshape(-1))
    places, numbers = came[told] - 1, wanted.reshape(-1)[told]
    counts = np.bincount(places, minlength=x.size)
    with np.errstate(invalid="ignore"):
        if counts.max(initial=0) > 1:
            return np.asarray(np.bincount(places, numbers, x.size) / counts).reshape(x.shape)
    out = np.full(x.size, np.nan, wanted.dtype)
    out[places] = numbers
    return out.reshape(x.shape)


def _narrowed(pair: Pair, shape: tuple[int, ...]) -> Array:
    """The mean over the axes along which an input of ``shape`` was broadcast, errors weighted."""
    numbers, weights = pair
    if numbers.shape == shape:
        return numbers
    lengths = (1,) * (numbers.ndim - len(shape)) + shape
    axes = tuple(i for i, (n, m) in enumerate(zip(lengths, numbers.shape, strict=True)) if n != m)
    told = np.broadcast_to(~np.isnan(numbers), numbers.shape)
    top = np.where(told & (weights > 0), numbers * weights, 0).sum(axis=axes, keepdims=True)
    return np.asarray(top / np.where(told, weights, 0).sum(axis=axes, keepdims=True)).reshape(shape)


def _sum(wanted: Array, other: Array, index: int) -> Pair:
    return wanted - other, np.ones_like(wanted)


def _difference(wanted: Array, other: Array, index: int) -> Pair:
    return (wanted + other if index == 0 else other - wanted), np.ones_like(wanted)


def _product(wanted: Array, other: Array, index: int) -> Pair:
    return wanted / other, np.broadcast_to(np.square(other), wanted.shape)


def _quotient(wanted: Array, other: Array, index: int) -> Pair:
    if index == 0:
        return wanted * other, np.broadcast_to(1 / np.square(other), wanted.shape)
    return other / wanted, np.ones_like(wanted)


SINGLE: Mapping[str, Callable[[Array], Array]] = {"Neg": np.negative, "Reciprocal": np.reciprocal, "Sqrt": np.square, "Exp": np.log, "Log": np.exp}
DOUBLE: Mapping[str, Callable[[Array, Array, int], Pair]] = {"Add": _sum, "Sub": _difference, "Mul": _product, "Div": _quotient}
BOUNDS = frozenset({"Max", "Clip", "Relu"})
"""What lets through a number that is inside its bound (the least deviation of Normalization); what is outside is seen in the end."""
