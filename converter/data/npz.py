"""A .npz file as a stream: rows are read out of the zip as they are needed.

``numpy.load`` reads a member whole, and unpickles when asked to. Here the header of a member is parsed by
``numpy.lib.format`` and the rest is read row by row; a member of Python objects is refused by name.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

from converter.data.check import describe, usable_labels
from converter.data.checked import CheckedSource, check_whole
from converter.data.match import Named, arrange
from converter.data.member import Header, Member
from converter.errors import InputError
from converter.spec.quant import Array
from converter.spec.signature import TensorInfo

SUFFIX = ".npy"


def open_npz(path: Path, inputs: Sequence[TensorInfo], required: bool) -> CheckedSource:
    """A source over a .npz file: a key for every input (or ``x`` for the only one), labels in ``y``.

    Raises:
        InputError: the file is missing, not a .npz, damaged, or does not fit the model.
    """
    name = str(path)
    with _opened(path) as archive:
        entries = {entry.removesuffix(SUFFIX): entry for entry in archive.namelist() if entry.endswith(SUFFIX)}
        named, labels = arrange({key: key for key in entries}, inputs, name)
        headers = {stored: _header(archive, stored, name) for stored in named.values()}
        answers = None if labels is None else _label_header(archive, labels, name, required)
    count = check_whole(name, inputs, {key: headers[stored] for key, stored in named.items()}, answers, required)
    if answers is not None:
        headers[labels] = answers
    return CheckedSource(name, tuple(inputs), required, count, partial(_pieces, path, headers, named, labels if answers else None))


def _header(archive: zipfile.ZipFile, key: str, name: str) -> Header:
    with closing(Member(archive, key + SUFFIX, f"{name}: key {key!r}")) as member:
        member.check()
        return member.header


def _label_header(archive: zipfile.ZipFile, key: str, name: str, required: bool) -> Header | None:
    """The header of the labels; None when they are not required and nothing that could be labels."""
    with closing(Member(archive, key + SUFFIX, f"{name}: key {key!r}")) as member:
        if not required and not usable_labels(name, member.header.shape, member.header.dtype, required):
            return None
        member.check()
        return member.header


def _pieces(path: Path, headers: dict[str, Header], named: dict[str, str], labels: str | None, size: int) -> Iterator[Named]:
    with _opened(path) as archive, ExitStack() as stack:
        streams = {key: _rows(archive, key, header, size, stack, path) for key, header in headers.items()}
        for parts in zip(*streams.values(), strict=True):
            row = dict(zip(streams, parts, strict=True))
            yield {name: row[key] for name, key in named.items()}, None if labels is None else row[labels]


def _rows(archive: zipfile.ZipFile, key: str, header: Header, size: int, stack: ExitStack, path: Path) -> Iterator[Array]:
    """The rows of one member, which is given back with ``stack``."""
    if key + SUFFIX in archive.namelist():
        member = stack.enter_context(closing(Member(archive, key + SUFFIX, f"{path}: key {key!r}")))
        if member.header == header:
            return member.rows(size)
    raise InputError(f"{path}: changed since it was opened; received another {key!r}, it was {describe(header.shape, header.dtype)}")


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, open; whatever is wrong with it becomes an InputError."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; received {str(path)!r}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read; received {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {_diagnosis(path)}; received {error}") from error


def _diagnosis(path: Path) -> str:
    """What a file that is no good zip probably is, from its first bytes."""
    with path.open("rb") as file:
        head = file.read(6)
    if head.startswith(b"PK"):
        return "truncated or damaged, write it again with numpy.savez"
    if head == b"\x93NUMPY":
        return "a single .npy array, save it with numpy.savez(path, x=...)"
    return f"not a .npz file, which numpy.savez writes ({'empty' if not head else f'it starts with {head!r}'})"
