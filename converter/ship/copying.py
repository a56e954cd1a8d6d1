"""``transfer copy``: weights of one graph into another, matched, converted, proved and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from converter.data import Source, open_source
from converter.errors import InputError, ParityError, UsageError, VerdictError
from converter.frontend import keras_source
from converter.frontend.samples import parity_inputs
from converter.graph import io
from converter.progress import Stages
from converter.ship import atomic, donors, refitting, replay
from converter.spec.report import Report, Verdict
from converter.targets import TARGETS
from converter.transfer import listing, parameters
from converter.transfer.copy import copy, described
from converter.transfer.folded import copy_through
from converter.transfer.match import Matches, match
from converter.transfer.refit import encode_again
from converter.verify import compare
from converter.verify.judging import Judged, judge
from converter.verify.machine import machine, versions
from converter.verify.session import Session


@dataclass(frozen=True)
class Order:
    """What the user ordered; see ``converter.copy_weights``."""

    donor: Any
    recipient: str | Path
    out: Path | None
    by: str = "auto"
    mapping: Mapping[str, str] | None = None
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    factor: float = 1.0
    grid: str = "fresh"
    partial: bool = False
    data: Any = None
    proof: bool = True
    save_map: Path | None = None
    force: bool = False
    unsafe: bool = False
    command: str = ""


def run(order: Order, stages: Stages) -> Report:
    """Fill the order; without ``out``, only what would be done is told."""
    report, into_bundle = Report("copy"), Path(order.recipient).is_dir()
    _check(order, into_bundle)
    donor, recipient = donors.open_graph(order.donor, stages, unsafe=order.unsafe), donors.open_graph(order.recipient, stages)
    with stages.stage("match"):
        donor, found, clean = _matched(order, donor, recipient)
    report.numbers["model"] = {"name": f"{donors.called(order.donor)} into {order.recipient}", "source": donors.called(order.donor)}
    listing.listed(found, report)
    wrong = listing.problems(found)
    if order.out is None:
        report.numbers["whole"] = found.is_whole
        _save_map(order, found, report)
        return report
    if wrong and not order.partial:
        raise InputError(f"not every parameter has a partner, and nothing was written: {'; '.join(wrong)}. A dry run shows all; --partial copies "
                         "what fits")
    if not found.pairs:
        raise InputError(f"nothing of the donor fits the recipient: {'; '.join(wrong) or 'no parameter is selected'}")
    if into_bundle:
        if clean is not None:
            raise InputError(f"the float graph of the bundle is not clean, and only its clean form fits the donor; ship {order.recipient} again")
        made = _into_bundle(order, order.out, donor, recipient, found, report, stages)
        _save_map(order, found, made)
        return made
    _changed(order, donor, recipient, found, report, stages, clean)
    with stages.stage("write"):
        size = atomic.write_file(order.out, lambda file: io.save(recipient, file))
    report.done.append(f"wrote {order.out}, {size:,} bytes")
    _save_map(order, found, report)
    report.numbers.update(bytes=size, seconds=stages.seconds, machine=machine(), versions=versions(), command=order.command)
    return report


def _check(order: Order, into_bundle: bool) -> None:
    """Refuse before any work what cannot be done in the end."""
    if into_bundle and order.grid == "frozen":
        raise UsageError(f"a bundle gets fresh grids for its weights; frozen ones are kept in a file: {Path(order.recipient) / 'model.onnx'}")
    if keras_source.is_keras(order.recipient):
        raise UsageError(f"{order.recipient} is a Keras model; `converter transfer restore` brings weights back to Keras")
    read = {str(Path(place).resolve()) for place in (order.donor, order.recipient, order.data) if isinstance(place, str | Path)}
    for place, folder in ((order.out, into_bundle), (order.save_map, False)):
        if place is None:
            continue
        atomic.check_free(place, force=order.force, folder=folder)
        if str(place.resolve()) in read:
            raise UsageError(f"{place} is read by this command; give another place to write to")
        read.add(str(place.resolve()))


def _matched(order: Order, donor: ir.Model, recipient: ir.Model) -> tuple[ir.Model, Matches, ir.Model | None]:
    """The donor's graph, cleaned where more of it fits then; its match; and the clean form of the recipient where that is what fits."""
    def best(into: ir.Model) -> tuple[ir.Model, Matches]:
        theirs = parameters.of(into)
        return donors.best_match(donor, lambda graph: match(
            parameters.of(graph), theirs, by=order.by, mapping=order.mapping, select=order.select, exclude=order.exclude))

    return donors.best_recipient(recipient, best)


def _save_map(order: Order, found: Matches, report: Report) -> None:
    if order.save_map is not None:
        told = json.dumps({pair.source.name: pair.dest.name for pair in found.pairs}, indent=1) + "\n"

        def write(file: Path) -> None:
            file.write_text(told, encoding="utf-8")

        atomic.write_file(order.save_map, write)
        report.done.append(f"wrote the map {order.save_map}")


def _changed(
    order: Order, donor: ir.Model, recipient: ir.Model, found: Matches, report: Report, stages: Stages, clean: ir.Model | None = None,
) -> None:
    """Copy into ``recipient``, in place, and hold the result to the donor."""
    before = recipient.clone()
    with stages.stage("copy"):
        if clean is None:
            described(copy(recipient, parameters.of(recipient), found.pairs, factor=order.factor, grid=order.grid), report)
        else:
            described(copy_through(recipient, clean, found.pairs, factor=order.factor), report)
            report.done.append("the recipient's BatchNorm and other folds keep their numbers; the weights in front of them took up the rest")
        io.check(recipient)
    with stages.stage("verify"):
        _prove(order, donor, before, recipient, found, report)


def _into_bundle(
    order: Order, out: Path, donor: ir.Model, recipient: ir.Model, found: Matches, report: Report, stages: Stages
) -> Report:
    shipped = replay.whole(order.recipient)
    _changed(order, donor, recipient, found, report, stages)
    with stages.stage("encode"):
        made = encode_again(recipient, shipped.manifest, TARGETS.get(str(shipped.manifest.target["name"])), report)
    again = refitting.Order(order.donor, shipped.path, out, order.data, force=order.force, command=order.command)
    refitting.write_again(again, shipped, replay.golden(shipped), made, stages)
    report.done.append(f"wrote the bundle {out}")
    return report


def _prove(order: Order, donor: ir.Model, before: ir.Model, after: ir.Model, found: Matches, report: Report) -> None:
    """Numbers of the recipient against the donor before and after; where everything was copied, they must agree.

    Raises:
        ParityError: a float recipient with all the donor's weights computes something else: the architectures differ.
        VerdictError: an integer recipient does not follow the donor at all.
    """
    reference, old, new = (Session(graph, lean=True) for graph in (donor, before, after))
    integer = donors.is_integer(after) or donors.is_integer(donor)
    entire = order.proof and found.is_whole and not found.set_aside and order.factor == 1.0
    try:
        judged = judge(reference, {"before": old, "after": new}, _source(order, new))
    except InputError as error:
        if order.data is not None or (entire and not integer):
            raise InputError(f"donor and recipient cannot be compared, and nothing was written: {error}"
                             + ("" if order.data is not None else ". --no-proof copies the weights all the same")) from error
        report.warnings.append(f"donor and recipient cannot be compared: {error}")
        return
    report.numbers["fidelity"] = {name: seen.to_json() for name, seen in judged.items()}
    report.done.append(f"against the donor: {judged['before'].first.snr_db:.1f} dB before, {judged['after'].first.snr_db:.1f} dB after")
    if integer and order.data is None:
        report.warnings.append("compared on random inputs, for which the ranges of an integer graph were not made; --data compares on real ones")
    elif entire:
        _hold(judged["after"], report, integer=integer)


def _hold(seen: Judged, report: Report, *, integer: bool) -> None:
    test = compare.faults if integer else compare.departures
    wrong = [str(failure) for name, result in seen.fidelity.items() for failure in test(name, result)]
    if not wrong:
        return
    text = f"the recipient with all of the donor's weights does not compute what the donor computes: {'; '.join(wrong[:3])}. "
    if not integer:
        raise ParityError(text + "Do the two differ in what has no weights (activations, preprocessing)? --no-proof copies them all the same")
    report.verdict, report.reasons = Verdict.NO, wrong
    refused = VerdictError(text + "Were its activations calibrated for weights like these? Nothing was written")
    refused.report = report
    raise refused


def _source(order: Order, session: Session) -> Source:
    """What to compare on: the user's data, or random inputs."""
    if order.data is not None:
        return open_source(order.data, list(session.inputs))
    return open_source(dict(next(feeds for kind, feeds in parity_inputs(session.inputs) if kind == "random, batch 3")), list(session.inputs))
