"""The one implementation of a source: whatever the pieces come from, they are checked and cut to size here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from converter.data.check import as_array, check_counts, check_layout, convert, convert_labels, usable_labels
from converter.data.match import LABELS, Named, wanted
from converter.data.rebatch import rebatch
from converter.data.source import Batch
from converter.errors import InputError, UsageError
from converter.spec.signature import TensorInfo


@dataclass(frozen=True)
class CheckedSource:
    """A source over pieces of any length.

    Args:
        name: what messages call it.
        inputs: what the model wants.
        required: labels must be there.
        count: number of samples, or None.
        pieces: gives, for a batch size that it may heed or not, input name to array and the labels, piece by piece;
            every call starts anew.
    """

    name: str
    inputs: tuple[TensorInfo, ...]
    required: bool
    count: int | None
    pieces: Callable[[int], Iterator[Named]]

    def batches(self, size: int) -> Iterator[Batch]:
        """See :class:`converter.data.source.Source`."""
        if size < 1:
            raise UsageError(f"{self.name}: the batch size must be at least 1, received {size}")
        self._check_batch_axis(size)
        return self._cut(size)

    def _cut(self, size: int) -> Iterator[Batch]:
        for batch in rebatch(self._checked(size), size):
            self._check_batch_axis(len(batch))
            yield batch

    def _check_batch_axis(self, size: int) -> None:
        for info in self.inputs:
            if isinstance(info.shape[0], int) and info.shape[0] != size:
                raise InputError(f"{self.name}: the model's batch size is fixed: read batches of {info.shape[0]} and limit the samples to "
                                 f"a multiple of it, or export the model with a free batch axis; received a batch of {size}, {wanted([info])}")

    def _checked(self, size: int) -> Iterator[Batch]:
        first = 0
        for named, labels in self.pieces(size):
            batch = check_piece(self, named, labels, first)
            first += len(batch)
            if len(batch):
                yield batch
        if not first:
            raise InputError(f"{self.name}: received no samples; {wanted(self.inputs)}")


def check_piece(source: CheckedSource, named: Mapping[str, Any], labels: Any, first: int) -> Batch:
    """One piece, whose first sample has the number ``first``, as a batch.

    Raises:
        InputError: it does not fit the model.
    """
    arrays = {}
    for info in source.inputs:
        where = _place(source.name, info, first)
        arrays[info.name] = convert(where, info, as_array(where, named[info.name]), first)
    checked = None
    if not labels_missing(source.name, labels, source.required):
        where = f"{source.name}: labels {LABELS!r}"
        checked = convert_labels(where, as_array(where, labels), first, source.required)
    counts = [(name, len(array)) for name, array in arrays.items()]
    check_counts(source.name, counts if checked is None else [*counts, (LABELS, len(checked))])
    return Batch(arrays, checked)


def check_whole(name: str, inputs: Sequence[TensorInfo], named: Mapping[str, Any], labels: Any, required: bool) -> int:
    """What can be known before any value is read; ``named`` and ``labels`` have a ``shape`` and a ``dtype``.

    Returns:
        The number of samples, at least 1.

    Raises:
        InputError: the data does not fit the model.
    """
    for info in inputs:
        check_layout(_place(name, info, 0), info, named[info.name].shape, named[info.name].dtype)
    counts = [(key, int(array.shape[0])) for key, array in named.items()]
    if not labels_missing(name, labels, required) and usable_labels(f"{name}: labels {LABELS!r}", labels.shape, labels.dtype, required):
        counts.append((LABELS, int(labels.shape[0])))
    count = check_counts(name, counts)
    if count == 0:
        raise InputError(f"{name}: received no samples; {wanted(inputs)}")
    return count


def labels_missing(name: str, labels: Any, required: bool) -> bool:
    """Whether there are no labels in one array.

    Raises:
        InputError: there are none, and they are required.
    """
    several = isinstance(labels, Mapping) or (isinstance(labels, tuple | list) and any(getattr(item, "shape", ()) for item in labels))
    if required and labels is None:
        raise InputError(f"{name}: labels are needed here: the key {LABELS!r}, or the second of a tuple; received inputs alone")
    if required and several:
        raise InputError(f"{name}: labels must be one array; received {len(labels)} in a {type(labels).__name__}")
    return labels is None or several


def _place(name: str, info: TensorInfo, first: int) -> str:
    return f"{name}: input {info.name!r}" + (f" from sample {first} on" if first else "")
