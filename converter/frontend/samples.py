"""Inputs to prove parity on: random ones and edges, for any signature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from converter.spec.quant import Array
from converter.spec.signature import TensorInfo

FREE_LENGTH = 32  # a free axis that is not the batch: long enough for strides and windows, short enough to be quick


def parity_inputs(inputs: Sequence[TensorInfo], vocabulary: int = 2, *, whole: bool = False) -> Iterator[tuple[str, dict[str, Array]]]:
    """Named feeds: batch 1 and 3, random values of two spreads, all zeros, all ones.

    Args:
        inputs: of the model.
        vocabulary: integers are drawn from ``[0, vocabulary)``.
        whole: draw the values of float inputs like those of integer ones: they are ids that a layer casts.
    """
    rng = np.random.default_rng(0)
    yield "random, batch 1", {i.name: _random(i, 1, rng, 1.0, vocabulary, whole) for i in inputs}
    yield "random, batch 3", {i.name: _random(i, 3, rng, 1.0, vocabulary, whole) for i in inputs}
    yield "wide, batch 1", {i.name: _random(i, 1, rng, 50.0, vocabulary, whole) for i in inputs}
    yield "zeros", {i.name: np.zeros(_shape(i, 1), i.dtype) for i in inputs}
    yield "ones", {i.name: np.full(_shape(i, 1), 1 if i.kind in "fb" and not whole else min(1, vocabulary - 1), i.dtype) for i in inputs}


def _shape(info: TensorInfo, batch: int) -> tuple[int, ...]:
    first = info.shape[0] if info.shape and isinstance(info.shape[0], int) else batch
    return (first, *(d if isinstance(d, int) else FREE_LENGTH for d in info.shape[1:])) if info.shape else ()


def _random(info: TensorInfo, batch: int, rng: np.random.Generator, spread: float, vocabulary: int, whole: bool) -> Array:
    shape = _shape(info, batch)
    if info.kind == "f" and not whole:
        return np.asarray(rng.normal(0, spread, shape).astype(info.dtype))
    return rng.integers(0, 2 if info.kind == "b" else vocabulary, shape).astype(info.dtype)


def vocabulary(model: Any) -> int:
    """The smallest vocabulary of the model's layers that take ids, so that random ids are valid; 2 where there is none."""
    return min(_vocabularies(model), default=2)


def takes_ids(model: Any) -> bool:
    """Whether a layer of the model looks up ids."""
    return bool(_vocabularies(model))


def _vocabularies(model: Any) -> list[int]:
    """Of embeddings and encodings, or, where there are none, of lookups, which also take ids that they do not know."""
    layers = list(model._flatten_layers())
    sizes = [getattr(layer, name, None) for layer in layers for name in ("input_dim", "num_tokens")]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    return known or [_beyond(layer) for layer in layers if type(layer).__name__ == "IntegerLookup" and not layer.invert]


def _beyond(layer: Any) -> int:
    """One more than the largest key, so that ids in and out of the vocabulary are drawn."""
    keys = [int(key) for key in layer.get_vocabulary(include_special_tokens=False)]
    return max([*keys, 0]) + (2 if layer.num_oov_indices else 1)
