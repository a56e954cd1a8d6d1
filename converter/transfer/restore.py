"""The numbers that a graph wants the initializers of an exported Keras model to have, and the model's variables that give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from converter.errors import InputError, known
from converter.graph import ledger, query
from converter.spec.quant import Array
from converter.spec.report import Report
from converter.transfer import listing
from converter.transfer.match import Matches, Pair, match
from converter.transfer.parameters import Parameter
from converter.transfer.undo import Undone, Wanted


def desired(given: ir.Model, exported: ir.Model, found: Matches) -> dict[str, Wanted]:
    """The numbers of ``given`` for the initializers of ``exported``, by their names there.

    Args:
        given: a graph, float or integer (its weights are dequantized).
        exported: the clean float graph of a Keras model, with its ledger.
        found: the parameters of ``given`` paired with those of ``exported``.

    Raises:
        InputError: something on either side has no partner, or another shape; it is named.
    """
    wrong = listing.problems(found)
    wanted = {query.name_of(pair.dest.value): _wanted(pair) for pair in found.pairs}
    told = {query.name_of(p.value) for p in (*(p for p in found.left_dest if not p.is_number), *(pair.dest for pair, _ in found.differing))}
    lost, book = list[str](), ledger.of(exported)
    for name in exported.graph.initializers:
        if name not in wanted and name not in told and book.sources(name):
            array = _by_name(given, exported, name)
            if array is None:
                lost.append(f"{name} (from {known(book.sources(name), 5)})")
            else:
                wanted[name] = Wanted(array)
    if lost:
        wrong.append(f"{len(lost)} tensors of the Keras model are not found in the graph: {known(lost)}")
    if wrong:
        raise InputError(f"the graph is not one of this Keras model: {'; '.join(_sides(text) for text in wrong)}")
    return wanted


def added_biases(given: Sequence[Parameter], ours: Sequence[Parameter]) -> list[Parameter]:
    """Biases of integer layers that have none in the Keras model: a quantizer adds them to take back the mean error of its weights.

    Args:
        given: parameters of an integer graph.
        ours: those of the exported Keras model.
    """
    extra = [p for p in given if p.role == "bias" and p.grid is not None and p.grid.params.spec.bits == 32]
    if not extra:
        return []
    kernels = match([p for p in given if p.role != "bias"], [p for p in ours if p.role != "bias"]).pairs
    biased = {id(p.node) for p in ours if p.role == "bias"}
    bare = {id(pair.source.node) for pair in kernels if pair.dest.role == "kernel" and id(pair.dest.node) not in biased}
    return [p for p in extra if id(p.node) in bare]


def _sides(text: str) -> str:
    """What matching calls donor and recipient is the graph and the Keras model here."""
    return text.replace("of the donor", "of the graph").replace("of the recipient", "of the Keras model").replace(
        "the donor's", "the graph's").replace("the recipient's", "the Keras model's")


def _by_name(given: ir.Model, exported: ir.Model, name: str) -> Array | None:
    """Numbers that are no parameter of an operator (whole numbers, what a subgraph reads) are found by name and shape only."""
    theirs, ours = (query.constant(model.graph.initializers.get(name)) for model in (given, exported))
    fits = theirs is not None and ours is not None and (theirs.shape, theirs.dtype) == (ours.shape, ours.dtype)
    return theirs if fits else None


def _wanted(pair: Pair) -> Wanted:
    """Stored numbers as they are where both graphs hold them alike, so that what a layout makes one (two biases of a gate) stays two."""
    source = pair.source
    held = source.value.const_value
    assert held is not None
    stored = held.numpy()
    if source.grid is None or not source.grid.codes:
        return Wanted(_laid_out(pair, stored))
    params = source.grid.params
    step = np.abs(params.dequantize(np.ones(stored.shape, np.int8)) - params.dequantize(np.zeros(stored.shape, np.int8)))
    return Wanted(_laid_out(pair, params.dequantize(stored)), np.abs(_laid_out(pair, step)))


def _laid_out(pair: Pair, numbers: Array) -> Array:
    shape = query.sizes_of(pair.dest.value)
    assert shape is not None
    if pair.source.layout == pair.dest.layout and numbers.shape == shape:
        return numbers
    return pair.dest.layout.stored(pair.source.layout.canonical(numbers)).reshape(shape)


def described(made: Undone, wanted: Mapping[str, Wanted], book: ledger.Ledger, report: Report) -> None:
    """Write into ``report`` which variables changed, which did not, and which no tensor depends on."""
    read = {path for name in wanted for path in book.sources(name)}
    changed = set(made.changed)
    kept, unused = [p for p in made.values if p in read - changed], [p for p in made.values if p not in read]
    steps = [_in_steps(made.numbers[name], want) for name, want in wanted.items() if np.any(want.step)]
    report.numbers.update(
        changed=[{"name": p, "shape": list(made.values[p].shape)} for p in made.values if p in changed], kept=kept, unused=unused,
        tensors=len(wanted), error=max(made.error.values(), default=0.0), **({"steps": max(steps)} if steps else {}))
    report.done.append(f"{len(changed)} of {len(made.values)} variables have new values, {len(kept)} keep theirs"
                       + (f", {len(unused)} have no part in the graph" if unused else ""))
    report.done.append(f"{len(wanted)} tensors come out within {report.numbers['error']:.1e} of their largest number"
                       + (f", {max(steps):.1e} steps of their grids" if steps else ""))


def _in_steps(numbers: Array, want: Wanted) -> float:
    return float(np.max(np.abs(numbers.astype(np.float64) - want.array) / want.step, initial=0))
