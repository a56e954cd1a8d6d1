"""Copy into a float graph through its clean form: BatchNorm that the recipient still has as operators takes part in the fold and is kept.

The clean form has the layers of the donor; its ledger says how its numbers come out of the recipient's initializers. They get theirs there, and
are carried back to the initializers (``transfer.undo``): a kernel takes up what BatchNorm would have scaled, and the statistics stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from converter.graph import edit, ledger, query
from converter.spec.quant import Array
from converter.transfer import parameters
from converter.transfer.copy import Moved, copy
from converter.transfer.match import Pair
from converter.transfer.undo import Wanted, undo


def copy_through(recipient: ir.Model, clean: ir.Model, pairs: Sequence[Pair], *, factor: float = 1.0) -> Moved:
    """Give ``recipient`` initializers with which its clean form has the numbers of the donor, in place.

    Args:
        recipient: a float graph.
        clean: its clean form, with the ledger that leads there; it gets the donor's numbers.
        pairs: parameters of the donor and of ``clean``.
        factor: share of the donor.

    Raises:
        ConversionError: no initializers give these numbers; what is in the way is named.
    """
    moved = copy(clean, parameters.of(clean), pairs, factor=factor)
    book, own = ledger.of(clean), _numbers(recipient)
    wanted = {name: Wanted(x) for name, x in _numbers(clean).items() if x.dtype.kind == "f" and book.sources(name)}
    made = undo(book, wanted, own)
    for name in made.changed:
        edit.set_numbers(recipient.graph.initializers[name], made.values[name])
    moved.changed = list(made.changed)
    moved.unchanged = [name for name in own if name not in made.changed and own[name].dtype.kind == "f"]
    return moved


def _numbers(model: ir.Model) -> dict[str, Array]:
    return {name: array for name, value in model.graph.initializers.items() if (array := query.constant(value)) is not None}
