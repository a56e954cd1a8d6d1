"""Matrix products of any rank as one MatMul: Keras runs them as ``tf.tensordot``, which computes shapes of a free batch at run time."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

from converter.frontend.forms import FUNCTIONS, Form
from converter.frontend.forms.einsum import alike, parse, product
from converter.frontend.marks import Tracing


def _matmul(tracing: Tracing, original: Callable[..., Any], x1: Any, x2: Any) -> Any:
    """The last axis of x1 with the one before the last of x2; leading axes are broadcast."""
    a, b = _tensors(tracing, x1, x2)
    if not alike(a, b) or min(len(a.shape), len(b.shape)) < 1:
        return original(x1, x2)
    if min(len(a.shape), len(b.shape)) > 1:
        return tracing.tf.matmul(a, b)
    made = _contracted(tracing, a, b, [len(a.shape) - 1], [max(len(b.shape) - 2, 0)])
    return original(x1, x2) if made is None else made


def _dot(tracing: Tracing, original: Callable[..., Any], x1: Any, x2: Any) -> Any:
    a, b = _tensors(tracing, x1, x2)
    made = None
    if alike(a, b) and min(len(a.shape), len(b.shape)) > 0:
        made = _contracted(tracing, a, b, [len(a.shape) - 1], [max(len(b.shape) - 2, 0)])
    return original(x1, x2) if made is None else made


def _tensordot(tracing: Tracing, original: Callable[..., Any], x1: Any, x2: Any, axes: Any = 2) -> Any:
    a, b = _tensors(tracing, x1, x2)
    if not alike(a, b):
        return original(x1, x2, axes=axes)
    pair = (list(range(len(a.shape) - axes, len(a.shape))), list(range(axes))) if isinstance(axes, int) else axes
    first, second = ([side] if isinstance(side, int) else list(side) for side in pair)
    made = _contracted(tracing, a, b, [i % len(a.shape) for i in first], [i % len(b.shape) for i in second])
    return original(x1, x2, axes=axes) if made is None else made


def _contracted(tracing: Tracing, a: Any, b: Any, first: list[int], second: list[int]) -> Any | None:
    """The sum over pairs of axes, all others of ``a`` and then all others of ``b`` being kept; None where no MatMul says it."""
    letters = iter(string.ascii_letters)
    one = [next(letters) for _ in a.shape]
    two = [one[first[second.index(axis)]] if axis in second else next(letters) for axis in range(len(b.shape))]
    kept = [c for c in [*one, *two] if (c in one) != (c in two)]
    found = parse(f"{''.join(one)},{''.join(two)}->{''.join(kept)}")
    return None if found is None else product(tracing, found, a, b)


def _tensors(tracing: Tracing, *values: Any) -> list[Any]:
    return [value if isinstance(value, tracing.tf.SparseTensor) else tracing.tf.convert_to_tensor(value) for value in values]


FUNCTIONS.add("numpy.matmul", Form(_matmul))
FUNCTIONS.add("numpy.dot", Form(_dot))
FUNCTIONS.add("numpy.tensordot", Form(_tensordot))
