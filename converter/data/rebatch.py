"""From pieces of any length to batches of one length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from converter.data.source import Batch


def part(batch: Batch, start: int, stop: int) -> Batch:
    """Samples ``start`` to ``stop`` (not included) as views; ``batch`` itself when that is all of it."""
    if start == 0 and stop >= len(batch):
        return batch
    return Batch({name: array[start:stop] for name, array in batch.inputs.items()},
                 None if batch.labels is None else batch.labels[start:stop])


def join(parts: list[Batch]) -> Batch:
    """The samples of ``parts``, which all have the same layout, in one batch."""
    if len(parts) == 1:
        return parts[0]
    labels = [p.labels for p in parts if p.labels is not None]
    return Batch({name: np.concatenate([p.inputs[name] for p in parts]) for name in parts[0].inputs},
                 np.concatenate(labels) if labels else None)


def rebatch(pieces: Iterable[Batch], size: int) -> Iterator[Batch]:
    """The samples of ``pieces`` in order, in batches of ``size``; the last one is shorter when they do not fill it.

    Samples of different layout (the length of a free axis, labels or none) cannot share a batch: where the layout
    changes, a batch ends early. What is held is one piece and less than one batch.
    """
    held: list[Batch] = []
    room = size
    for piece in pieces:
        if held and _layout(held[0]) != _layout(piece):
            yield join(held)
            held, room = [], size
        start = 0
        while len(piece) - start >= room:
            yield join([*held, part(piece, start, start + room)])
            start += room
            held, room = [], size
        if start < len(piece):
            held.append(part(piece, start, len(piece)))
            room -= len(piece) - start
    if held:
        yield join(held)


def _layout(batch: Batch) -> tuple[object, ...]:
    """What two batches must have in common to be joined: all shapes but the number of samples, and the labels' dtype."""
    labels = None if batch.labels is None else (batch.labels.shape[1:], batch.labels.dtype)
    return labels, *(array.shape[1:] for array in batch.inputs.values())
