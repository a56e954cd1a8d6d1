"""One array inside an open .npz: its header, and its rows in order."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib import format as npy

from converter.errors import InputError
from converter.spec.quant import Array

FORTRAN_LIMIT = 64 * 2**20  # bytes; a table that pandas wrote fits, a set of images does not


@dataclass(frozen=True)
class Header:
    """What a member says of itself.

    Args:
        shape: of the array.
        fortran: the first axis runs fastest, so that a row lies scattered over the whole member.
        dtype: of the array, in the byte order of the file.
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * self.dtype.itemsize


class Member:
    """One array in an open archive.

    Args:
        archive: the open file.
        entry: name in the archive, with its suffix.
        where: what messages start with.

    Raises:
        InputError: there is no array of numbers that can be read here.
    """

    def __init__(self, archive: zipfile.ZipFile, entry: str, where: str) -> None:
        self._where = where
        self._info = archive.getinfo(entry)
        if self._info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or self._info.flag_bits & 1:
            raise InputError(f"{where}: numpy.savez and numpy.savez_compressed write files that can be read; received "
                             f"{'an encrypted member' if self._info.flag_bits & 1 else f'compression method {self._info.compress_type}'}")
        self._stream = archive.open(self._info)
        self.header = self._read_header()
        self._start = self._stream.tell()

    def close(self) -> None:
        """Give the file back."""
        self._stream.close()

    def check(self) -> None:
        """Whether the rows can be read, as far as the header and the length tell.

        Raises:
            InputError: the member holds Python objects, or is not as long as its header says.
        """
        if self.header.dtype.hasobject:
            raise InputError(f"{self._where}: Python objects are pickled code and are never loaded, save an array of numbers; received dtype object")
        if self._start + self.header.size != self._info.file_size:
            raise InputError(f"{self._where}: damaged, its header tells of {self._start + self.header.size} bytes; received {self._info.file_size}")
        if self.header.fortran and self.header.size > FORTRAN_LIMIT:
            raise InputError(f"{self._where}: in Fortran order, save it with numpy.ascontiguousarray; received {self.header.size} bytes, "
                             f"of which at most {FORTRAN_LIMIT} are turned in memory")

    def rows(self, size: int) -> Iterator[Array]:
        """The rows in order, ``size`` at a time; arrays ``(rows, ...)`` of the dtype in the file."""
        count, shape = self.header.shape[0], self.header.shape[1:]
        whole = self._read(self.header.size).reshape(self.header.shape, order="F") if self.header.fortran else None
        for start in range(0, count, size):
            stop = min(start + size, count)
            part = self._read((stop - start) * self.header.size // count).reshape(stop - start, *shape) if whole is None else whole[start:stop]
            if stop == count:
                self._stream.read(1)  # nothing is left: zipfile compares the checksum at the end of a stream, which it may see only now
            yield part

    def _read(self, size: int) -> Array:
        data = self._stream.read(size)
        if len(data) != size:
            raise InputError(f"{self._where}: truncated or damaged, {size} bytes more were expected; received {len(data)}")
        return np.frombuffer(data, self.header.dtype)

    def _read_header(self) -> Header:
        try:
            version = npy.read_magic(self._stream)
            if version > (2, 0):  # only the names of fields need a later one
                raise InputError(f"{self._where}: not an array of numbers; received an .npy of version {version[0]}")
            return Header(*(npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(self._stream))
        except ValueError as error:
            self.close()
            raise InputError(f"{self._where}: damaged, or not an array; received a header of which numpy says: {error}") from error
