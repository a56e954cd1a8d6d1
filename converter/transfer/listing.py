"""What a match found, for people: every pair with what would be converted, and what is left."""

from __future__ import annotations

from typing import Any

from converter.errors import known
from converter.spec.report import Report
from converter.transfer.match import Matches, Pair
from converter.transfer.parameters import Grid, Parameter


def listed(found: Matches, report: Report) -> None:
    """Write pairs, differences and both leftovers into ``report``."""
    report.numbers.update(
        pairs=[_pair(pair) for pair in found.pairs],
        differing=[{**_pair(pair), "reason": reason} for pair, reason in found.differing],
        left={side: [_left(p) for p in left if not p.is_number] for side, left in (("donor", found.left_source), ("recipient", found.left_dest))},
        numbers_left=sorted(p.name for p in (*found.left_source, *found.left_dest) if p.is_number),
        not_selected=[p.name for p in found.set_aside])
    ways = {way: sum(pair.by == way for pair in found.pairs) for way in dict.fromkeys(pair.by for pair in found.pairs)}
    report.done.append(f"{len(found.pairs)} parameters paired" + (f" ({', '.join(f'{n} by {way}' for way, n in ways.items())})" if ways else ""))
    if found.set_aside:
        report.done.append(f"{len(found.set_aside)} parameters of the recipient are not selected and stay")
    report.warnings += problems(found)


def problems(found: Matches) -> list[str]:
    """Why a copy would not be whole, a sentence each."""
    texts = [f"{pair.source.name} and {pair.dest.name} stand in the same place, but {reason}" for pair, reason in found.differing]
    for side, left in (("donor", found.left_source), ("recipient", found.left_dest)):
        trained = [f"{p.name} {list(p.shape)}" for p in left if not p.is_number]
        if trained:
            texts.append(f"{len(trained)} parameters of the {side} have no partner: {known(trained)}")
    return texts


def conversion(pair: Pair) -> str:
    """What happens to the numbers on the way."""
    source, dest = pair.source, pair.dest
    parts = [f"from {_kind(source.grid)}"] if source.grid is not None else []
    if source.layout != dest.layout:
        parts.append("another layout")
    if dest.grid is not None:
        parts.append(f"to {_kind(dest.grid)}")
    return ", ".join(parts) or "as it is"


def _kind(grid: Grid) -> str:
    if grid.params.spec.bits == 32:
        return "int32 on the grid of its layer"
    return f"{grid.params.spec.dtype}" + (" per channel" if grid.params.axis is not None else "")


def _pair(pair: Pair) -> dict[str, Any]:
    return {"donor": pair.source.name, "recipient": pair.dest.name, "by": pair.by, "role": pair.dest.role, "layer": pair.dest.place,
            "shape": list(pair.dest.shape), "conversion": conversion(pair)}


def _left(parameter: Parameter) -> dict[str, Any]:
    return {"name": parameter.name, "layer": parameter.place, "role": parameter.role, "shape": list(parameter.shape)}
