"""Whether an array fits an input of the model; the only place where data is refused for what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converter.errors import InputError
from converter.spec.quant import Array
from converter.spec.signature import TensorInfo

SAME_PREPROCESSING = "the preprocessing must be the same as in training (scaling, mean, channel order)"


def as_array(where: str, value: Any) -> Array:
    """``value`` as an array, without a copy where possible.

    Raises:
        InputError: the rows of a nested list differ in length, or the object has no numbers to give.
    """
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: not an array ({error}); received {type(value).__name__}") from error


def describe(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """Dtype and shape for messages: ``int64 [8, 28, 28]``."""
    return f"{dtype} [{', '.join(map(str, shape))}]"


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether ``dtype`` holds real numbers; bfloat16 is no numpy type of its own and counts too."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def check_layout(where: str, info: TensorInfo, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Whether an array of ``shape`` and ``dtype`` may go to the input ``info``, whatever its values are.

    The number of samples may be anything. Float dtypes may go to a float input, integers and booleans to an integer or
    boolean input; :func:`convert` holds that their values fit.

    Raises:
        InputError: it may not.
    """
    received = f"received {describe(shape, dtype)}, the model wants {info.describe()}"
    if not _fits(info, shape):
        raise InputError(f"{where}: wrong shape{_shape_advice(info, shape)}; {received}")
    if not is_float(dtype) and dtype.kind not in "iub":
        raise InputError(f"{where}: wrong dtype, only numbers can be fed; {received}")
    if info.kind == "f" and not is_float(dtype):
        raise InputError(f'{where}: wrong dtype, convert with .astype("float32"), and {SAME_PREPROCESSING}; {received}')
    if info.kind != "f" and is_float(dtype):
        raise InputError(f"{where}: wrong dtype, real numbers do not go into an integer input; {received}")


def convert(where: str, info: TensorInfo, array: Array, first: int) -> Array:
    """``array`` in the dtype of the input ``info`` and in C order; itself when it is so already.

    Args:
        where: what messages start with.
        info: the input.
        array: ``(samples, ...)``.
        first: number of the first sample, for messages.

    Raises:
        InputError: layout or values do not fit: NaN, inf, beyond the range of the dtype.
    """
    check_layout(where, info, array.shape, array.dtype)
    target = np.dtype(info.dtype)
    if info.kind != "f" and array.size and array.dtype != target:
        _check_range(where, info, array)
    with np.errstate(over="ignore"):  # what does not fit becomes inf, which is refused right below
        result = np.ascontiguousarray(array, target)
    if info.kind == "f":
        _check_finite(where, array, result, first)
    return result


def check_counts(where: str, counts: Sequence[tuple[str, int]]) -> int:
    """The number of samples that all arrays have.

    Raises:
        InputError: they differ.
    """
    if len({n for _, n in counts}) != 1:
        raise InputError(f"{where}: different sample counts; received {', '.join(f'{name} {n}' for name, n in counts)}")
    return counts[0][1]


def usable_labels(where: str, shape: tuple[int, ...], dtype: np.dtype[Any], required: bool) -> bool:
    """Whether an array of this layout can be labels: numbers, one row a sample.

    Raises:
        InputError: it cannot, and labels are required.
    """
    usable = len(shape) > 0 and (is_float(dtype) or dtype.kind in "iub")
    if required and not usable:
        raise InputError(f"{where}: labels are class numbers (n,), class numbers (n, k) padded with -1, or targets shaped like the output; "
                         f"received {describe(shape, dtype)}")
    return usable


def convert_labels(where: str, array: Array, first: int, required: bool) -> Array | None:
    """Labels as int64 or float32; None when they are not usable and not required.

    Raises:
        InputError: labels are required, and they are not numbers, or NaN, or inf.
    """
    if not usable_labels(where, array.shape, array.dtype, required):
        return None
    target = np.float32 if is_float(array.dtype) else np.int64
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(array, target)
    if required and target is np.float32:
        _check_finite(where, array, result, first)
    return result


def _fits(info: TensorInfo, shape: tuple[int, ...]) -> bool:
    """Whether the shape of one sample fits; the batch axis is the business of whoever cuts batches."""
    return len(shape) > 0 and TensorInfo(info.name, (None, *info.shape[1:]), info.dtype).accepts(shape)


def _shape_advice(info: TensorInfo, shape: tuple[int, ...]) -> str:
    if _fits(info, (1, *shape)):
        return ", axis 0 is the batch: .batch(n) a tf.data.Dataset, or array[None]"
    if _fits(info, (*shape, 1)):
        return ", the last axis is missing: array[..., None]"
    return ""


def _check_range(where: str, info: TensorInfo, array: Array) -> None:
    limits = (0, 1) if info.kind == "b" else (int(np.iinfo(info.dtype).min), int(np.iinfo(info.dtype).max))
    low, high = int(array.min()), int(array.max())
    if low < limits[0] or high > limits[1]:
        raise InputError(f"{where}: values do not fit {info.dtype}, which goes from {limits[0]} to {limits[1]}; "
                         f"received {array.dtype} from {low} to {high}")


def _check_finite(where: str, array: Array, result: Array, first: int) -> None:
    finite = np.isfinite(result)
    if finite.all():
        return
    row = int(np.argmin(finite.all(axis=tuple(range(1, finite.ndim)))))
    if np.isnan(result[row]).any():
        found = "NaN"
    else:
        found = "inf" if np.isinf(array[row]).any() else f"a number beyond {result.dtype}"
    raise InputError(f"{where}: every value must be finite; received {found} in sample {first + row}")
