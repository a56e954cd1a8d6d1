"""Undo the folds: values of the Keras variables for which a graph's initializers have the numbers that are wanted.

The ledger says how every initializer is computed from the variables. It is walked backwards: what only moves numbers is moved back,
a tensor that is computed from several variables is given to one of them (:mod:`converter.transfer.absorbers`), the others keep what
they have. A kernel with BatchNorm behind it is ``kernel * gamma / sqrt(variance + epsilon)``: the kernel takes it up, and gamma and
the moving statistics stay. In the end everything is computed forwards again and held against what was wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from converter.errors import ConversionError, InputError, known
from converter.graph.ledger import Ledger
from converter.spec.quant import Array
from converter.transfer import absorbers, inverse
from converter.transfer.absorbers import Aim
from converter.verify.policy import DEFAULT, Policy

SHOWN = 5  # places that a message lists


@dataclass(frozen=True, eq=False)
class Wanted:
    """The numbers that an initializer is to have.

    Args:
        array: of its shape.
        step: how far apart neighbouring numbers of the grid are that they come from, broadcast to that shape; 0 for float numbers. Where
            one variable is behind tensors on different grids, these may be off by a step.
    """

    array: Array
    step: Array | float = 0.0


@dataclass(frozen=True, eq=False)
class Undone:
    """What was found.

    Args:
        values: new value of every variable, by path; the type of the variable.
        numbers: the initializers that come of them.
        changed: paths of the variables whose value is another now.
        error: largest difference between ``numbers`` and what was wanted, as a share of the largest number of the tensor, by initializer.
    """

    values: dict[str, Array]
    numbers: dict[str, Array]
    changed: tuple[str, ...]
    error: dict[str, float]


def undo(book: Ledger, wanted: Mapping[str, Wanted], variables: Mapping[str, Array], policy: Policy = DEFAULT) -> Undone:
    """Values of ``variables`` for which the initializers are ``wanted``.

    Args:
        book: from the variables to the initializers.
        wanted: by initializer; one that is not there may become anything.
        variables: what they are now, by path.

    Raises:
        InputError: a number that is wanted is NaN, or a tensor has another shape.
        ConversionError: no values give it: the initializer and the variables behind it are named.
    """
    done: dict[str, Array] = {}
    _check(book, wanted, variables, done)
    aimed, loose = _moved_back(book, wanted, done)
    right = {entry for entry, x in aimed.items() if np.array_equal(book.replay(entry, variables, done), x)}
    choice = absorbers.choose(book, {e: x.size for e, x in aimed.items()}, {p: v.size for p, v in variables.items()}, loose)
    values, shapes = dict(variables), {name: x.shape for name, x in done.items()}
    final: dict[str, Array] = {}
    for aim in choice.aims:
        if aim.entry not in right or any(values[path] is not variables[path] for path in book.sources(aim.entry)):
            values[aim.variable] = _solved(book, aim, aimed[aim.entry], values, shapes, final)
    return _compared(book, wanted, variables, values, {aim.variable for aim in choice.aims}, policy)


def _check(book: Ledger, wanted: Mapping[str, Wanted], variables: Mapping[str, Array], done: dict[str, Array]) -> None:
    for name, want in wanted.items():
        now = book.replay(name, variables, done)
        if now.shape != want.array.shape:
            raise InputError(f"tensor {name} is {list(now.shape)}, wanted are numbers {list(want.array.shape)}; it comes from "
                             f"{known(book.sources(name))}")
        if np.isnan(want.array).any():
            raise InputError(f"tensor {name} holds {int(np.isnan(want.array).sum())} NaN; it comes from {known(book.sources(name))}")


def _moved_back(book: Ledger, wanted: Mapping[str, Wanted], done: Mapping[str, Array]) -> tuple[dict[str, Array], list[str]]:
    """The numbers wanted of the entries behind everything that only moves numbers, and the entries that may be off by a step.

    What two tensors want of one entry is taken from the first, those that may be off come last.
    """
    aimed: dict[str, Array] = {}
    loose: list[str] = []
    names = {path: name for name, path in reversed(book.variables.items())}  # one variable may have several
    for name in sorted(wanted, key=lambda n: np.any(wanted[n].step)):
        for entry, array in _behind_moves(book, name, wanted[name].array, done):
            entry = names[book.variables[entry]] if entry in book.variables else entry
            if entry in aimed:
                aimed[entry] = np.where(np.isnan(aimed[entry]), array, aimed[entry])
            else:
                aimed[entry] = array
                loose += [entry] if np.any(wanted[name].step) else []
    return aimed, loose


def _behind_moves(book: Ledger, name: str, array: Array, done: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    stack = [(name, array)]
    while stack:
        entry, array = stack.pop()
        step = book.steps.get(entry)
        if step is None or step.op_type not in inverse.MOVES:
            if entry not in book.constants and book.sources(entry):
                yield entry, array
            continue
        inputs = [done[i] for i in step.inputs]
        stack += [(step.inputs[i], inverse.invert(step, i, array, inputs, book.opset))
                  for i in range(len(inputs)) if inverse.can_invert(step, i)]


def _solved(
    book: Ledger, aim: Aim, wanted: Array, values: dict[str, Array], shapes: Mapping[str, tuple[int, ...]], final: dict[str, Array]
) -> Array:
    """The value of the variable; once more with what was missing, where rounding on the way cost more than it must.

    ``final`` holds entries that cannot change any more; those on other branches are among them, or join them.
    """
    old = values[aim.variable]
    aimed, best, least = wanted.astype(np.float64), old, np.inf
    for _ in range(2):
        found = _backwards(book, aim, aimed, values, shapes, final)
        with np.errstate(over="ignore"):  # is not what was wanted, and seen below
            new = np.where(np.isnan(found), old, found).astype(old.dtype)
        got = book.replay(aim.entry, {**values, aim.variable: new}, dict(final))
        missing = wanted.astype(np.float64) - got
        error = float(np.nanmax(np.abs(missing), initial=0))
        if error >= least:
            break
        best, least, aimed = new, error, aimed + np.where(np.isfinite(missing), missing, 0)
    return np.asarray(best)


def _backwards(
    book: Ledger, aim: Aim, wanted: Array, values: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], final: dict[str, Array]
) -> Array:
    for name, index in aim.route:
        step = book.steps[name]
        inputs = [np.broadcast_to(np.float32(0), shapes[i]) if k == index else book.replay(i, values, final) for k, i in enumerate(step.inputs)]
        found = inverse.invert(step, index, wanted, inputs, book.opset)
        if np.isinf(found).sum() > np.isinf(wanted).sum():
            raise ConversionError(_by_zero(book, aim, step.inputs[1 - index] if len(step.inputs) == 2 else name, values, found))
        wanted = found
    return wanted


def _by_zero(book: Ledger, aim: Aim, other: str, values: Mapping[str, Array], found: Array) -> str:
    """Which variable is 0 where a number other than 0 is wanted."""
    sources = book.sources(other)
    zeros = [f"{path} is 0 at {_places(values[path] == 0)}" for path in sources if (values[path] == 0).any()]
    told = "; ".join(zeros) or f"what comes of {known(sources)} is too small"
    return (f"{aim.variable} cannot take up what the graph has, because it is multiplied by 0: {told}, and the graph has other numbers than 0 "
            f"in {int(np.isinf(found).sum())} places. Set it to 1 in the Keras model before, and let {aim.variable} have the scale")


def _places(mask: Array) -> str:
    places = [tuple(int(i) for i in p) for p in np.argwhere(mask)]
    shown = ", ".join(str(p[0] if len(p) == 1 else list(p)) for p in places[:SHOWN])
    return f"{shown} and {len(places) - SHOWN} more" if len(places) > SHOWN else shown


def _compared(
    book: Ledger, wanted: Mapping[str, Wanted], before: Mapping[str, Array], values: dict[str, Array], takers: set[str], policy: Policy
) -> Undone:
    done: dict[str, Array] = {}
    numbers, error, wrong = dict[str, Array](), dict[str, float](), list[str]()
    for name, want in wanted.items():
        numbers[name] = book.replay(name, values, done)
        off, peak = _off(want.array.astype(np.float64), numbers[name])
        error[name] = float(off.max(initial=0)) / peak if peak else float(off.max(initial=0))
        allowed = want.step + policy.restored_bound(str(numbers[name].dtype)) * peak
        if not (off <= allowed).all() and not (off <= allowed + _grain(book, name, values, takers, done, policy)).all():
            wrong.append(f"{name} {list(off.shape)} would be off by {off.max():.3g}, its largest number is {peak:.3g}, "
                         + (f"it comes from {known(book.sources(name), SHOWN)}" if book.sources(name) else "no variable is behind it"))
    if wrong:
        more = f"; {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ConversionError(f"no values of the Keras variables give {len(wrong)} of {len(wanted)} tensors: {'; '.join(wrong[:SHOWN])}{more}. "
                              "Are both of the same structure, also in what is not trained?")
    changed = tuple(path for path, value in values.items() if not np.array_equal(value, before[path], equal_nan=value.dtype.kind == "f"))
    return Undone(values, numbers, changed, error)


def _off(aimed: Array, got: Array) -> tuple[Array, float]:
    """How far off every number is (0 where both are infinite), and the largest finite number that was wanted."""
    with np.errstate(invalid="ignore"):
        off = np.where(aimed == got, 0, np.abs(aimed - got))
    return off, float(np.abs(aimed[np.isfinite(aimed)]).max(initial=0))


def _grain(
    book: Ledger, name: str, values: Mapping[str, Array], takers: set[str], done: Mapping[str, Array], policy: Policy
) -> Array:
    """How far a tensor moves when the variables that were solved for do, one after the other, by the epsilon of their type.

    It cannot come out more exact than that: a bias behind a large shift of the layer's input is a small difference of large numbers.
    """
    moves = np.zeros(done[name].shape)
    for path in takers.intersection(book.sources(name)):
        epsilon = policy.restored_bound(str(values[path].dtype))
        moved = book.replay(name, {**values, path: (values[path] * (1 + epsilon)).astype(values[path].dtype)}, {})
        moves += np.abs(moved.astype(np.float64) - done[name])
    return np.asarray(moves)
