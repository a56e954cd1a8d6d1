"""From what the user passed as data to a source: the one place that knows every kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from converter.data.arrays import open_arrays
from converter.data.checked import CheckedSource
from converter.data.factory import is_factory, load_factory, working_directory_first
from converter.data.images import open_images
from converter.data.iterables import KINDS, call, fresh, open_iterable, starter
from converter.data.match import Named, arrange
from converter.data.npz import open_npz
from converter.data.source import Source
from converter.errors import InputError
from converter.spec.signature import TensorInfo

PATHS = "a .npz file, a folder of images in class subfolders, or package.module:factory"


def open_source(data: Any, inputs: Sequence[TensorInfo], *, labels: bool = False) -> Source:
    """``data`` as a source for a model with ``inputs``.

    Arrays go to inputs by name; a single array, or the key ``x``, goes to the only input; arrays in a tuple or a list
    go to the inputs in order, and what follows them is the labels. In dicts and .npz files the labels are ``y``.

    Args:
        data: a path (.npz, or a folder of images in class subfolders), the text ``package.module:factory``, a source,
            an array, a dict of arrays, a tuple ``(x, y)``, a ``tf.data.Dataset``, a ``keras.utils.PyDataset``, another
            iterable of batches that can be read more than once (a list too, which is never ``[x, y]``), or a callable
            that returns any of these or an iterator of batches. A batch is an array, a dict of arrays, or a tuple
            ``(x, y)``.
        inputs: what the model wants. Axis 0 is the batch.
        labels: labels are required. When they are not, they are passed on where they are usable.

    Raises:
        InputError: the data cannot be read or does not fit the model, as far as this is known before reading it; the
            rest is checked batch by batch.
    """
    if not inputs or not all(info.shape for info in inputs):
        raise InputError(f"a model needs inputs with a batch axis; received {', '.join(i.describe() for i in inputs) or 'no inputs'}")
    if isinstance(data, str | Path):
        return _open_path(str(data), inputs, labels)
    if isinstance(data, Source):
        return _reopen(data, inputs, labels)
    return _open_object(data, _kind(data), inputs, labels)


def _open_path(text: str, inputs: Sequence[TensorInfo], required: bool) -> Source:
    path = Path(text)
    if path.is_dir():
        return open_images(path, inputs, required)
    if path.exists() or text.endswith(".npz"):
        return open_npz(path, inputs, required)
    if not is_factory(text):
        raise InputError(f"{text}: no such file or folder; received {text!r}, data is {PATHS}")
    factory = load_factory(text)

    def from_here() -> Any:
        with working_directory_first():  # a factory may import what lies beside it
            return factory()

    with working_directory_first():
        result = call(factory, text)
    return _open_result(from_here, result, text, inputs, required)


def _open_object(data: Any, name: str, inputs: Sequence[TensorInfo], required: bool) -> Source:
    if isinstance(data, Mapping | tuple) or hasattr(data, "__array__"):
        return open_arrays(data, name, inputs, required)
    start = starter(data, name)
    if start is not None:
        return open_iterable(start, name, inputs, required)
    if callable(data):
        return _open_result(data, call(data, name), name, inputs, required)
    raise InputError(f"{name}: not data; received {type(data).__name__}, data is {PATHS}, {KINDS}")


def _open_result(factory: Any, result: Any, name: str, inputs: Sequence[TensorInfo], required: bool) -> Source:
    """A source over what ``factory`` returned: kept where it can be read again, asked for anew where it cannot."""
    if isinstance(result, Iterator):
        return open_iterable(fresh(factory, result, name), name, inputs, required)
    if result is None or (callable(result) and starter(result, name) is None):
        raise InputError(f"{name}: it must return batches; received {type(result).__name__}, data is {KINDS}")
    if isinstance(result, str | Path | Source):
        return open_source(result, inputs, labels=required)
    return _open_object(result, name, inputs, required)


def _reopen(source: Source, inputs: Sequence[TensorInfo], required: bool) -> Source:
    """``source`` itself where it was opened for the same model; else its batches are matched and checked again."""
    if isinstance(source, CheckedSource) and source.inputs == tuple(inputs) and source.required >= required:
        return source

    def pieces(size: int) -> Iterator[Named]:
        for batch in source.batches(size):
            yield arrange(batch.inputs, inputs, source.name)[0], batch.labels

    return CheckedSource(source.name, tuple(inputs), required, source.count, pieces)


def _kind(data: Any) -> str:
    """What messages call an object: its class, or the name of a function."""
    return str(getattr(data, "__name__", type(data).__name__))
