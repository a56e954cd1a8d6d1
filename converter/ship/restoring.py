"""``transfer restore``: weights of a graph back into the Keras model that has its architecture, folds undone, proved and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from converter.data import open_source
from converter.errors import InputError, ParityError, UsageError, known
from converter.frontend import keras_source, parity, precision, storing
from converter.frontend.export import to_graph
from converter.frontend.reference import KerasRunner
from converter.graph import edit, ledger, query
from converter.progress import Stages
from converter.ship import atomic, donors
from converter.spec.report import Report
from converter.transfer import parameters
from converter.transfer.match import match
from converter.transfer.parameters import Parameter
from converter.transfer.restore import added_biases, described, desired
from converter.transfer.twin import float_twin
from converter.transfer.undo import undo
from converter.verify import compare
from converter.verify.judging import Judged, judge
from converter.verify.machine import machine, versions
from converter.verify.policy import DEFAULT
from converter.verify.session import Session


@dataclass(frozen=True)
class Order:
    """What the user ordered; see ``converter.restore``."""

    graph: str | Path
    model: Any
    out: Path | None = None
    by: str = "auto"
    mapping: Mapping[str, str] | None = None
    data: Any = None
    force: bool = False
    unsafe: bool = False
    command: str = ""


def run(order: Order, stages: Stages) -> Report:
    """Fill the order; without ``out``, the live model has the new values afterwards."""
    _check(order)
    report = Report("restore")
    given = donors.open_graph(order.graph, stages)
    with stages.stage("load"):
        model = keras_source.open_model(order.model, unsafe=order.unsafe)
        spec = keras_source.call_spec(model)
        report.warnings += precision.check(model)
    exported, traced, _ = to_graph(model, spec, stages)
    theirs = parameters.of(exported)
    with stages.stage("match"):
        extra = _added(parameters.of(given), theirs, report) if donors.is_integer(given) else frozenset()
        graph, found = donors.best_match(given, lambda g: match(
            [p for p in parameters.of(g) if query.name_of(p.value) not in extra], theirs, by=order.by, mapping=order.mapping))
        wanted = desired(graph, exported, found)
    held, book = storing.by_name(traced), ledger.of(exported)
    with stages.stage("undo"):
        made = undo(book, wanted, storing.values(held))
        described(made, wanted, book, report)
    new = {path: made.values[path] for path in made.changed}
    with storing.assigned(held, new, keep=order.out is None):
        with stages.stage("verify"):
            _prove(order, given, _renamed(float_twin(given, extra), exported), model, KerasRunner(model, spec), report)
        if order.out is not None:
            out = order.out
            with stages.stage("write"):
                size = atomic.write_file(out, lambda file: storing.write(model, file, new, order.model))
            report.done.append(f"wrote {out}, {size:,} bytes")
            report.numbers["bytes"] = size
    report.numbers.update(model={"name": str(model.name), "source": str(order.graph)}, seconds=stages.seconds, machine=machine(),
                          versions=versions(), command=order.command)
    return report


def _check(order: Order) -> None:
    """Refuse before any work what cannot be done in the end."""
    if keras_source.is_keras(order.graph) or not isinstance(order.graph, str | Path):
        raise UsageError(f"weights are restored from an ONNX file or a bundle folder; received {order.graph}. Between Keras models, Keras moves "
                         "them: model.set_weights(other.get_weights())")
    if not keras_source.is_keras(order.model):
        raise UsageError(f"weights are restored into a Keras model; received {order.model}; known: keras.Model, .keras, .h5, SavedModel folder, "
                         "module:factory. `converter transfer copy` moves them between graphs")
    if order.out is None:
        if isinstance(order.model, str | Path):
            raise UsageError(f"where should the restored model go? {order.model} is not changed: give out; only a live keras.Model is changed itself")
        return
    storing.check_format(order.out)
    atomic.check_free(order.out, force=order.force)
    if order.out.resolve() in (Path(order.graph).resolve(), *((Path(order.model).resolve(),) if isinstance(order.model, str | Path) else ())):
        raise UsageError(f"{order.out} is read by this command; give another place to write to")


def _added(given: Sequence[Parameter], theirs: Sequence[Parameter], report: Report) -> frozenset[str]:
    """Initializers of the graph that are biases of layers without one in Keras; that they are left out is said."""
    extra = added_biases(given, theirs)
    if extra:
        places = list(dict.fromkeys(p.place for p in extra))
        report.warnings.append(f"{len(extra)} layers got a bias when they were quantized, which they do not have in Keras; it is left out: "
                               f"{known(places, 5)}")
    report.numbers["biases_left_out"] = [p.place for p in extra]
    return frozenset(query.name_of(p.value) for p in extra)


def _prove(order: Order, given: ir.Model, twin: ir.Model, model: Any, runner: KerasRunner, report: Report) -> None:
    """The Keras model, which has the new values now, computes what the graph computes (an integer one, but for its activations).

    Args:
        order, given: the order and its graph.
        twin: its float twin, with the names of Keras.
        model, runner: Keras.
        report: what was measured goes there.

    Raises:
        ParityError: it does not.
    """
    integer = donors.is_integer(given)
    report.numbers["parity"] = seen = parity.prove(twin, runner, model)
    subject = "its float twin (weights dequantized, activations not quantized)" if integer else "the graph"
    report.done.append(f"equal to {subject}: largest error {seen['relative']:.1e} of the output range")
    if seen["relative"] > DEFAULT.parity_expected:
        report.warnings.append(f"{seen['relative']:.1e} of the output range is more than rounding in another order usually costs")
    if not seen["varies"]:
        report.warnings.append("no output depends on the input, for the inputs that were tried: being equal proves little")
    if order.data is not None:
        references = {"twin" if integer else "graph": Session(twin, lean=True), **({"integer": Session(given)} if integer else {})}
        judged = judge(runner, references, open_source(order.data, list(runner.inputs)))
        report.numbers["fidelity"] = {name: found.to_json() for name, found in judged.items()}
        _hold(next(iter(judged.values())), report)
        if integer:
            report.done.append(f"the integer graph follows the restored model with {judged['integer'].first.snr_db:.1f} dB")


def _hold(seen: Judged, report: Report) -> None:
    wrong = [str(failure) for name, result in seen.fidelity.items() for failure in compare.departures(name, result)]
    if wrong:
        raise ParityError(f"on the data the restored model does not compute what the graph computes: {'; '.join(wrong[:3])}")
    report.done.append(f"on the data: {seen.first.snr_db:.1f} dB, {seen.first.samples:,} samples")


def _renamed(graph: ir.Model, exported: ir.Model) -> ir.Model:
    """``graph`` with the input and output names of ``exported``: those of Keras; by name, or by their order where names differ."""
    wanted: dict[str, str] = {}
    for kind, own, theirs in (("inputs", query.true_inputs(graph), query.true_inputs(exported)),
                              ("outputs", list(graph.graph.outputs), list(exported.graph.outputs))):
        old, new = [query.name_of(v) for v in own], [query.name_of(v) for v in theirs]
        if len(old) != len(new):
            raise InputError(f"the graph has other {kind} than the Keras model: {', '.join(old)}; the model has {', '.join(new)}")
        wanted |= dict(zip(old, old if set(old) == set(new) else new, strict=True))
    edit.rename_ends(graph, wanted)
    return graph
