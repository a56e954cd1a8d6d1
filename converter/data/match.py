"""Which array goes to which input of the model: by name where there are names, else in order; and which are the labels.

The conventions are those of ``keras.Model.fit``: a tuple or a list is ``(inputs, labels, sample weights)``, of which
``inputs`` is an array, a dict, or a list of arrays. Sample weights are not used, as Keras' own ``metrics`` do not
use them. A dict may carry its labels under ``y``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from converter.errors import InputError, known
from converter.spec.signature import TensorInfo

ANY_INPUT = "x"
LABELS = "y"
Named = tuple[dict[str, Any], Any]


def arrange(element: Any, inputs: Sequence[TensorInfo], where: str) -> Named:
    """Input name to array for every one of ``inputs``, in their order, and what stands where the labels stand, or None.

    Arrays are passed through unseen: headers, keys or tensors do as well.

    Raises:
        InputError: a name is missing, or the number of arrays is wrong.
    """
    if isinstance(element, Mapping):
        named = _by_name(element, inputs, where)
        return named, element.get(LABELS) if LABELS not in named else None
    if isinstance(element, tuple | list):
        return _from_sequence(element, inputs, where)
    return _in_order([element], inputs, where), None


def wanted(inputs: Sequence[TensorInfo]) -> str:
    """The model's inputs for the end of a message."""
    return f"the model wants {' and '.join(info.describe() for info in inputs)}"


def _from_sequence(element: Sequence[Any], inputs: Sequence[TensorInfo], where: str) -> Named:
    if not element:
        raise InputError(f"{where}: received an empty {type(element).__name__}; {wanted(inputs)}")
    head, width = element[0], 1
    if isinstance(head, Mapping):
        named = _by_name(head, inputs, where)
    elif isinstance(head, tuple | list):
        named = _in_order(head, inputs, where)
    else:  # arrays side by side: with several inputs the first can never be all of them, so they are taken in order
        width = len(inputs)
        named = _in_order(element[:width], inputs, where)
    rest = element[width:]
    if len(rest) > 2:
        raise InputError(f"{where}: a tuple is (inputs, labels, sample weights); received {len(element)} values; {wanted(inputs)}")
    return named, rest[0] if rest else None


def _by_name(arrays: Mapping[Any, Any], inputs: Sequence[TensorInfo], where: str) -> dict[str, Any]:
    names = [info.name for info in inputs]
    missing = [name for name in names if name not in arrays]
    if not missing:
        return {name: arrays[name] for name in names}
    if len(names) == 1 and ANY_INPUT in arrays:
        return {names[0]: arrays[ANY_INPUT]}
    advice = f" (or {ANY_INPUT!r})" if len(names) == 1 else ""
    raise InputError(f"{where}: no key {known(map(repr, missing))}{advice}; received the keys {known(map(repr, arrays))}; {wanted(inputs)}")


def _in_order(arrays: Sequence[Any], inputs: Sequence[TensorInfo], where: str) -> dict[str, Any]:
    if len(arrays) != len(inputs):
        raise InputError(f"{where}: a model of {len(inputs)} inputs needs as many arrays; received {len(arrays)}; {wanted(inputs)}")
    return {info.name: array for info, array in zip(inputs, arrays, strict=True)}
