"""``graft``: open two graphs, join them, prove the result, write it with a record of what it was made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from converter.data import open_source
from converter.errors import InputError, UsageError
from converter.graph import io, query
from converter.progress import Stages
from converter.ship import atomic, bundle, replay
from converter.spec.bundle import MANIFEST
from converter.spec.report import Report
from converter.transfer import graft_proof
from converter.transfer.graft import Grafted, graft
from converter.verify.compare import Fidelity, is_number
from converter.verify.runner import batch_of
from converter.verify.session import Session

RECORD = "converter.graft"  # key of the metadata of the model
BATCH = 32


@dataclass(frozen=True)
class Order:
    """What the user ordered.

    Args:
        donor, recipient: ``.onnx`` files or folders of bundles, which stand for their integer graphs.
        out: file to write.
        at, donor_at, take, transpose: see :func:`converter.transfer.graft.graft`.
        data: to prove the result on; random inputs otherwise.
        force: replace an existing file.
    """

    donor: Path
    recipient: Path
    out: Path
    at: str
    donor_at: str | None = None
    take: str = "head"
    transpose: str | None = None
    data: Any = None
    force: bool = False


@dataclass(frozen=True)
class Source:
    """A graph that was opened.

    Args:
        path: of the ONNX file.
        name: for the record: of the file, or of the bundle and the file in it.
        model: the graph.
        digest: sha256 of the file, and of each file with weights beside it, by name.
        entries: session options that a bundle asks for.
    """

    path: Path
    name: str
    model: ir.Model
    digest: Mapping[str, str]
    entries: Mapping[str, str]

    @property
    def whole_digest(self) -> tuple[str, ...]:
        """The same for two files of the same content."""
        return tuple(self.digest.values())


def run(order: Order, stages: Stages) -> Report:
    """Fill the order; the file appears only after the graft was proved equal to its parts in sequence.

    Raises:
        InputError: a file is missing or damaged.
        UsageError: the names, the cut or the seam do not fit.
        ConversionError, ParityError: the graphs cannot be joined, or the result is wrong. Nothing was written.
    """
    atomic.check_free(order.out, force=order.force)
    with stages.stage("load"):
        donor, recipient = _open(order.donor, "donor"), _open(order.recipient, "recipient")
    for source in (donor, recipient):
        if order.out.resolve() == source.path.resolve():
            raise UsageError(f"the result cannot replace {source.path}, which it is made from; give another file")
    with stages.stage("graft"):
        made = graft(donor.model, recipient.model, order.at, donor_at=order.donor_at, take=order.take, transpose=order.transpose,
                     same=donor.whole_digest == recipient.whole_digest)
    entries = {**donor.entries, **recipient.entries}
    _prove(order, made, donor, recipient, entries, stages)
    made.model.metadata_props[RECORD] = json.dumps(_record(order, made, donor, recipient), sort_keys=True)
    report = made.report
    with stages.stage("write"):
        size = atomic.write_file(order.out, lambda file: io.save(made.model, file))
    inputs, outputs = query.signature(made.model)
    report.done.append(f"wrote {order.out}, {size:,} bytes")
    report.numbers.update(bytes=size, seconds=stages.seconds, inputs=[i.to_json() for i in inputs], outputs=[o.to_json() for o in outputs],
                          record=_record(order, made, donor, recipient), session_options=entries)
    if entries:
        report.warnings.append(f"a bundle asks for session options, which an ONNX file cannot carry; set them where it is served: {entries}")
    return report


def _open(path: Path, whose: str) -> Source:
    """A file, or the deployed graph of a bundle whose files are as shipped."""
    if path.is_dir() or path.name == MANIFEST:
        found = replay.whole(path if path.is_dir() else path.parent)
        entries = dict(found.manifest.target.get("session_options", {}))
        return _source(found.model, f"{found.path.resolve().name}/{found.model.name}", entries)
    if path.suffix in (".keras", ".h5"):
        raise InputError(f"the {whose} {path} is a Keras file; a graft joins ONNX graphs, so export it first: converter export {path} -o "
                         f"{path.with_suffix('.onnx').name}")
    return _source(path, path.name, {})


def _source(path: Path, name: str, entries: Mapping[str, str]) -> Source:
    model = io.load(path)
    beside = sorted({str(t.location) for v in model.graph.initializers.values() if isinstance(t := v.const_value, ir.ExternalTensor)})
    files = {name: path, **{place: path.parent / place for place in beside}}
    return Source(path, name, model, {key: str(bundle.digest(file)["sha256"]) for key, file in files.items()}, entries)


def _prove(order: Order, made: Grafted, donor: Source, recipient: Source, entries: Mapping[str, str], stages: Stages) -> None:
    report = made.report
    head = donor if made.head.whose == "donor" else recipient
    with stages.stage("cut"):
        unproved = graft_proof.prove_cut(head.model, made.head)
        report.warnings += [unproved] if unproved else []
    inputs = query.signature(made.model)[0]
    if order.data is None:
        cases, count, what = iter(graft_proof.random_feeds(made.model)), None, "random inputs"
    else:
        source = open_source(order.data, inputs)
        cases, count, what = _batches(source, batch_of(inputs, BATCH)), source.count, str(source.name)
    with stages.stage("parity", count) as progress:
        numbers, findings = graft_proof.prove(made, cases, entries, progress)
    report.numbers["parity"] = {"on": what, **numbers}
    report.warnings += findings
    report.numbers["before"] = before = _moved(order, made, recipient, stages) if order.data is not None else {}
    report.done += [f"output {name!r} against the recipient as it was: {seen['snr_db']:.1f} dB"
                    + ("" if seen["agreement"] is None else f", {100 * seen['agreement']:.2f} % agree") for name, seen in before.items()]
    worst = max((seen["relative"] for seen in numbers["unfused"].values()), default=0.0)
    fused = max((seen["relative"] for seen in numbers["fused"].values()), default=0.0)
    report.done.append(f"equal to its parts in sequence on {what}: largest error {worst:.1e} of the range unfused, {fused:.1e} fused")


def _moved(order: Order, made: Grafted, recipient: Source, stages: Stages) -> dict[str, dict[str, Any]]:
    """On the data, how far each output that the recipient has too is from what it was; none where the two take other inputs."""
    old, new = (query.signature(model) for model in (recipient.model, made.model))
    shared = {i.name for i in old[1]} & {i.name for i in new[1]}
    if {i.name for i in old[0]} != {i.name for i in new[0]} or not shared:
        return {}
    source, seen = open_source(order.data, new[0]), {name: Fidelity() for name in sorted(shared)}
    first, second = Session(recipient.path, entries=recipient.entries), Session(made.model, entries={**recipient.entries})
    with stages.stage("compare", source.count) as progress:
        for _, feeds in _batches(source, batch_of(new[0], BATCH)):
            was, now = first.run(feeds), second.run(feeds)
            for name in list(seen):
                if was[name].shape != now[name].shape or not is_number(was[name].dtype):
                    del seen[name]
                else:
                    seen[name].update(was[name], now[name])
            progress(len(next(iter(feeds.values()))))
    results = {name: fidelity.result() for name, fidelity in seen.items()}
    return {name: {"samples": r.samples, "snr_db": r.snr_db, "max_abs": r.max_abs, "agreement": r.agreement} for name, r in results.items()}


def _batches(source: Any, size: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for batch in source.batches(size):
        yield "the data", batch.inputs


def _record(order: Order, made: Grafted, donor: Source, recipient: Source) -> dict[str, Any]:
    """What the graph was made of; a source that was grafted itself brings its own record along."""
    seam = made.report.numbers["seam"]
    sides = {whose: {"file": source.name, "sha256": dict(source.digest), "seam": seam[whose], **_older(source.model)}
             for whose, source in (("donor", donor), ("recipient", recipient))}
    return {"take": order.take, "transpose": order.transpose, **sides}


def _older(model: ir.Model) -> dict[str, Any]:
    told = model.metadata_props.get(RECORD)
    if told is None:
        return {}
    try:
        return {"graft": json.loads(told)}
    except ValueError:
        return {"graft": told}
