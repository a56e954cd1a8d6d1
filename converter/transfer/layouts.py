"""Layouts: how the numbers of an initializer become the one form in which parameters of all graphs are compared, and back.

The form is that of the operator as ONNX describes it, whatever stands between the initializer and the operator: Conv ``(out, in / group,
k...)``, ConvTranspose ``(in, out / group, k...)``, a dense kernel ``(in, out)``, an embedding ``(ids, features)``, recurrent kernels
``(directions, gates * hidden, in)``, a vector ``(channels,)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from converter.spec.quant import Array


class Step(Protocol):
    """One change of layout and the way back."""

    def forward(self, x: Array) -> Array:
        """Nearer to the operator."""
        ...

    def backward(self, y: Array) -> Array:
        """Nearer to the initializer."""
        ...


@dataclass(frozen=True)
class Turned:
    """Axes in another order."""

    perm: tuple[int, ...]

    def forward(self, x: Array) -> Array:
        """``x`` transposed."""
        return x.transpose(self.perm)

    def backward(self, y: Array) -> Array:
        """``y`` transposed back."""
        return y.transpose(tuple(int(i) for i in np.argsort(self.perm)))


@dataclass(frozen=True)
class Reshaped:
    """The same numbers in another shape."""

    before: tuple[int, ...]
    after: tuple[int, ...]

    def forward(self, x: Array) -> Array:
        """``x`` in the shape that the operator reads; other widths are let through, for the comparison of shapes to see them."""
        return x.reshape(self.after)

    def backward(self, y: Array) -> Array:
        """``y`` in the shape of the initializer."""
        return y.reshape(self.before)


@dataclass(frozen=True)
class Scaled:
    """Multiplied by a number that is not 0 (alpha and beta of Gemm)."""

    factor: float

    def forward(self, x: Array) -> Array:
        """``x`` times the factor."""
        return np.asarray(x * x.dtype.type(self.factor))

    def backward(self, y: Array) -> Array:
        """``y`` by the factor."""
        return np.asarray(y / y.dtype.type(self.factor))


@dataclass(frozen=True)
class Halves:
    """The two halves of a recurrent bias ``(directions, 2 * gates * hidden)``, of which only the sum counts for most gates.

    The sum goes into the half of the input; what counts by itself (the candidate of a GRU that resets after its product) stays.

    Args:
        hidden: units.
        apart: how many of the last gates keep two biases.
    """

    hidden: int
    apart: int = 0

    def forward(self, x: Array) -> Array:
        """Sums in the first half, zeros in the second."""
        first, second = (half.copy() for half in np.split(x, 2, axis=1))
        joint = first.shape[1] - self.apart * self.hidden
        first[:, :joint] += second[:, :joint]
        second[:, :joint] = 0
        return np.concatenate([first, second], axis=1)

    def backward(self, y: Array) -> Array:
        """As it is: a sum in one half computes what two halves do."""
        return y


@dataclass(frozen=True)
class Layout:
    """Steps from an initializer to the operator that reads it."""

    steps: tuple[Step, ...] = ()

    def canonical(self, stored: Array) -> Array:
        """The numbers as the operator reads them."""
        for step in self.steps:
            stored = step.forward(stored)
        return stored

    def stored(self, canonical: Array) -> Array:
        """The numbers as the initializer holds them."""
        for step in reversed(self.steps):
            canonical = step.backward(canonical)
        return np.ascontiguousarray(canonical) if canonical.ndim else canonical
