"""What every kind of data becomes: a source, which can be read again and again in batches of any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from converter.spec.quant import Array


@dataclass(frozen=True, eq=False)
class Batch:
    """Some samples, one after the other along axis 0 of every array.

    Args:
        inputs: input name to array ``(samples, ...)``, in the order and the dtypes of the model's inputs. C order; the
            arrays may be views of the user's own data and are not to be written to.
        labels: int64 class numbers ``(samples,)``, or int64 ``(samples, k)`` padded with -1 where several answers are
            right, or targets shaped like the output, int64 or float32; None when there are none.

    ``len(batch)`` is the number of samples.
    """

    inputs: dict[str, Array]
    labels: Array | None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


@runtime_checkable
class Source(Protocol):
    """Data that is open: checked as far as its own kind allows without reading it."""

    @property
    def name(self) -> str:
        """What messages call it: a path, ``package.module:factory``, or the kind of the object."""
        ...

    @property
    def count(self) -> int | None:
        """How many samples there are; None when that is known only after reading them."""
        ...

    def batches(self, size: int) -> Iterator[Batch]:
        """All samples from the start, in batches of ``size``; every call starts anew.

        Every batch has exactly ``size`` samples, except the last, which may be shorter, and any batch after which the
        length of a free axis changes.

        Raises:
            InputError: the data cannot be read or does not fit the model.
        """
        ...
