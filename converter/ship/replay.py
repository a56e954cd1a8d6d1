"""Check a bundle on this machine: its files, its outputs on the golden inputs, and what is different here."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import InputError, known
from converter.ship.bundle import Bundle, digest, read
from converter.spec import bundle as spec
from converter.spec.quant import Array
from converter.spec.report import Report, Verdict
from converter.verify.compare import Fidelity, faults, parity
from converter.verify.machine import machine, saturates, versions
from converter.verify.policy import DEFAULT
from converter.verify.session import Session


def replay(path: str | Path) -> Report:
    """Re-verify the bundle at ``path``; the verdict is no where a file or an output is not what was shipped.

    Raises:
        InputError: not a bundle.
    """
    found = read(path)
    report = Report("replay")
    wrong = _files(found, report)
    if not found.manifest.intact:
        wrong.append(f"{spec.MANIFEST} is not as it was shipped: its seal does not fit what it says")
    if not wrong:
        wrong = _outputs(found, report)
    _surroundings(found, report)
    report.verdict = Verdict.NO if wrong else Verdict.YES
    report.reasons = wrong or ["every file is as shipped, and the golden outputs are reproduced"]
    return report


def whole(path: str | Path) -> Bundle:
    """The bundle at ``path``, once every file in it is known to be as shipped.

    Raises:
        InputError: not a bundle, or a damaged one.
    """
    found = read(path)
    wrong = _files(found, Report("replay")) + ([] if found.manifest.intact else [f"{spec.MANIFEST} is not as it was shipped"])
    if wrong:
        raise InputError(f"{path} is damaged: {'; '.join(wrong)}")
    return found


def golden(found: Bundle) -> dict[str, Array]:
    """The golden inputs and outputs of a bundle, by ``input/<name>``, ``keras/<name>``, ``float/<name>`` and ``integer/<name>``."""
    return _golden(found.path / spec.GOLDEN)


def _files(found: Bundle, report: Report) -> list[str]:
    wrong = []
    for name, told in found.manifest.files.items():
        file = found.path / name
        if not file.is_file():
            wrong.append(f"file {name} is missing")
        elif digest(file) != dict(told):
            wrong.append(f"file {name} is not the one that was shipped (sha256 or length differ)")
    extra = sorted({p.name for p in found.path.iterdir()} - set(found.manifest.files) - {spec.MANIFEST})
    if extra:
        report.warnings.append(f"files that were not shipped: {', '.join(extra)}")
    report.done.append(f"{len(found.manifest.files) - len(wrong)} of {len(found.manifest.files)} files are as shipped")
    return wrong + [f"file {name} was not shipped" for name in (spec.MODEL, spec.FLOAT, spec.GOLDEN) if name not in found.manifest.files]


def _outputs(found: Bundle, report: Report) -> list[str]:
    known_good = golden(found)
    feeds = {k.removeprefix("input/"): v for k, v in known_good.items() if k.startswith("input/")}
    entries = dict(found.manifest.target.get("session_options", {}))
    wrong: list[str] = []
    for kind, file in (("float", found.float_model), ("integer", found.model)):
        for name, value in Session(file, entries=entries).run(feeds).items():
            wrong += _compare(kind, name, known_good.get(f"{kind}/{name}"), value, report)
    return wrong


def _compare(kind: str, name: str, expected: Array | None, got: Array, report: Report) -> list[str]:
    if expected is None or expected.shape != got.shape:
        return [f"golden.npz has no fitting output {kind}/{name}"]
    seen = Fidelity()
    seen.update(expected, got)
    result = seen.result()
    report.numbers.setdefault("golden", {})[f"{kind}/{name}"] = {"snr_db": result.snr_db, "max_abs": result.max_abs, "relative": result.relative}
    same = bool(np.array_equal(expected, got))
    report.done.append(f"{kind} output {name}: " + ("identical to what was shipped" if same else f"{result.snr_db:.1f} dB from what was shipped"))
    if kind == "float":
        return [f"the float graph does not give what was shipped: {failure}" for failure in parity({name: expected}, {name: got})]
    if result.snr_db < DEFAULT.alike_snr_db or faults(name, result):
        return [f"{kind} output {name} is {result.snr_db:.1f} dB from what was shipped; {DEFAULT.alike_snr_db:g} dB and more are rounding"]
    return []


def _golden(file: Path) -> dict[str, Array]:
    try:
        with np.load(file, allow_pickle=False) as data:
            return {k: data[k] for k in data.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{file} cannot be read: {error}") from error


def _surroundings(found: Bundle, report: Report) -> None:
    """Name what differs between the machine that shipped and this one."""
    here, there = versions(), dict(found.manifest.versions)
    for package in ("onnxruntime", "numpy"):
        if here.get(package) != there.get(package):
            report.warnings.append(f"{package} is {here.get(package)} here, {there.get(package)} where it was shipped")
    mine, theirs = machine(), dict(found.manifest.machine)
    if set(mine["flags"]) != set(theirs.get("flags", [])):
        gone, new = set(theirs.get("flags", [])) - set(mine["flags"]), set(mine["flags"]) - set(theirs.get("flags", []))
        report.warnings.append(f"another CPU: without {known(gone)}, with {known(new)} more; "
                               f"integer kernels here {_kernels(mine)}, there {_kernels(theirs)}")
    report.numbers.update(machine=mine, versions=here, shipped_on={"machine": theirs, "versions": there})


def _kernels(info: dict[str, Any]) -> str:
    return "saturate in 16 bits" if saturates(info.get("flags", [])) else "are exact"
