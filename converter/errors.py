"""Every way in which converter says no; each kind carries the exit code of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar


class ConverterError(Exception):
    """Base of every error that converter raises on purpose.

    The text is one clear message that ends in what was received and what exists.

    Attributes:
        exit_code: the process exit code that the command line returns for this kind.
    """

    exit_code: ClassVar[int] = 2


class UsageError(ConverterError):
    """Wrong use: an unknown name, an option that does not fit, an output path that is taken."""


class InputError(ConverterError):
    """A file or a data set cannot be read, or does not fit the model."""


class UnsafeError(InputError):
    """A file would run code of its author when it is loaded, and nobody said that this is fine."""


class ConversionError(ConverterError):
    """The model cannot be converted; the text names the Keras layer and the operator."""

    exit_code = 3


class ParityError(ConversionError):
    """A converted graph does not compute what its source computes; nothing was written."""


class VerdictError(ConverterError):
    """The verdict is no: a budget is missed or the candidate is wrong. Nothing was shipped.

    Attributes:
        report: the ``converter.spec.report.Report`` that says why, where there is one.
    """

    exit_code = 1
    report: Any = None


def known(names: Iterable[str], limit: int = 20) -> str:
    """``names`` sorted as one phrase for the end of an error message; ``none`` when there are none.

    Example:
        >>> known(["b", "a"])
        'a, b'
    """
    ordered = sorted(names)
    if not ordered:
        return "none"
    rest = len(ordered) - limit
    return ", ".join(ordered[:limit]) + (f" and {rest} more" if rest > 0 else "")
