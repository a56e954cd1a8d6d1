"""Data that comes in batches of its own: tf.data.Dataset, keras.utils.PyDataset, and whatever a callable returns.

Neither library is imported: what the object can do tells what it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from converter.data.check import as_array
from converter.data.checked import CheckedSource
from converter.data.match import Named, arrange
from converter.errors import InputError
from converter.spec.quant import Array
from converter.spec.signature import TensorInfo

KINDS = "a tf.data.Dataset, a keras.utils.PyDataset, a generator, an array, a dict of arrays, or a tuple (x, y)"


def open_iterable(start: Callable[[], Iterable[Any]], name: str, inputs: Sequence[TensorInfo], required: bool) -> CheckedSource:
    """A source over batches of any length; ``start`` is called for every pass.

    Every array is copied once, because a generator may fill the same buffer again for its next batch.
    """

    def pieces(_: int) -> Iterator[Named]:
        for element in start():
            named, labels = arrange(element, inputs, name)
            yield {key: _owned(f"{name}: input {key!r}", value) for key, value in named.items()}, _owned_labels(labels)

    return CheckedSource(name, tuple(inputs), required, None, pieces)


def starter(data: Any, name: str) -> Callable[[], Iterable[Any]] | None:
    """How a pass over ``data`` is started, or None when it is nothing that gives batches.

    Raises:
        InputError: the data has no end, or can be read only once.
    """
    if hasattr(data, "as_numpy_iterator"):
        _refuse_endless(name, int(data.cardinality()) == -1, ".take(n) or no .repeat()")
        return data.as_numpy_iterator  # type: ignore[no-any-return]
    if hasattr(type(data), "num_batches"):
        _refuse_endless(name, data.num_batches is None, "num_batches, a number")
        return lambda: (data[index] for index in range(data.num_batches))
    if isinstance(data, Iterator):
        raise InputError(f"{name}: an iterator can be read only once, pass the function that makes it; received {type(data).__name__}")
    if isinstance(data, Iterable):
        return lambda: iter(data)
    if hasattr(type(data), "__getitem__") and hasattr(type(data), "__len__"):
        return lambda: (data[index] for index in range(len(data)))
    return None


def call(factory: Callable[[], Any], name: str) -> Any:
    """What ``factory`` returns.

    Raises:
        InputError: it cannot be called without arguments. What it raises itself is passed on.
    """
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise InputError(f"{name}: it is called without arguments, and {error}; received {factory!r}") from error
    except ValueError:  # some callables that are written in C have no signature to look at
        pass
    return factory()


def fresh(factory: Callable[[], Any], first: Any, name: str) -> Callable[[], Iterable[Any]]:
    """A start for a factory of iterators, of which ``first`` is one: every pass calls it again.

    Raises:
        InputError: when started, if the factory gives the same iterator again, or something else.
    """

    def start() -> Iterable[Any]:
        again = factory()
        if again is first or not isinstance(again, Iterator):
            raise InputError(f"{name}: every call must make a new iterator; received "
                             f"{'the same one twice' if again is first else type(again).__name__}")
        return again

    return start


def _refuse_endless(name: str, endless: bool, remedy: str) -> None:
    if endless:
        raise InputError(f"{name}: it has no end, give it one with {remedy}; received infinite data")


def _owned(where: str, value: Any) -> Array:
    return np.array(as_array(where, value))


def _owned_labels(labels: Any) -> Any:
    return labels.copy() if isinstance(labels, np.ndarray) else labels
