"""Arrays that the caller holds already: one, a dict of them, or a tuple ``(inputs, labels)``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from converter.data.check import as_array
from converter.data.checked import CheckedSource, check_whole, labels_missing
from converter.data.match import Named, arrange
from converter.spec.signature import TensorInfo


def open_arrays(data: Any, name: str, inputs: Sequence[TensorInfo], required: bool) -> CheckedSource:
    """A source over arrays in memory; batches are views of them where dtype and memory order already fit.

    Raises:
        InputError: the arrays do not fit the model.
    """
    given, labels = arrange(data, inputs, name)
    named = {key: as_array(f"{name}: input {key!r}", value) for key, value in given.items()}
    answers = None if labels_missing(name, labels, required) else as_array(f"{name}: labels", labels)
    count = check_whole(name, inputs, named, answers, required)

    def pieces(size: int) -> Iterator[Named]:
        for start in range(0, count, size):
            part = slice(start, start + size)
            yield {key: array[part] for key, array in named.items()}, _rows(answers, part)

    return CheckedSource(name, tuple(inputs), required, count, pieces)


def _rows(array: Any, part: slice) -> Any:
    """``array[part]``; an array without rows is nobody's labels."""
    return None if array is None or array.ndim == 0 else array[part]
