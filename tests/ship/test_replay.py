"""Replay on a spoiled bundle: each kind of damage is named as what it is, and nothing else is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converter
from converter.errors import InputError
from converter.ship import replay as module
from converter.ship.bundle import digest, read
from converter.spec.report import Report, Verdict


def edit(bundle: Path, change: Callable[[dict[str, Any]], object], *, sealed: bool = False) -> None:
    """Change the manifest as parsed JSON, as with an editor; ``sealed`` puts a new seal on it."""
    file = bundle / "manifest.json"
    told = json.loads(file.read_text())
    change(told)
    file.write_text(json.dumps(told))
    if sealed:
        file.write_text(read(bundle).manifest.sealed().to_json())


def replaced(bundle: Path, name: str, data: bytes) -> None:
    """Another file of a consistent bundle, as an attacker or a careless tool would leave it."""
    (bundle / name).write_bytes(data)
    edit(bundle, lambda told: told["files"].update({name: digest(bundle / name)}), sealed=True)


def refused(report: Report, says: str) -> None:
    assert report.verdict is Verdict.NO and len(report.reasons) == 1, report.reasons
    assert re.search(says, report.reasons[0]), report.reasons


def test_an_intact_bundle(shipped: Path) -> None:
    report = converter.replay(shipped)
    assert report.verdict is Verdict.YES and report.warnings == []
    assert report.done == ["5 of 5 files are as shipped", "float output y: identical to what was shipped",
                           "integer output y: identical to what was shipped"]


@pytest.mark.parametrize("name", ["model.onnx", "float.onnx", "golden.npz", "report.json", "report.html"])
def test_a_flipped_bit(copied: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / name).write_bytes(data)
    report = converter.replay(copied)
    refused(report, rf"^file {name} is not the one that was shipped \(sha256 or length differ\)$")
    assert report.done == ["4 of 5 files are as shipped"], "nothing is run of a bundle that is not whole"


@pytest.mark.parametrize("name", ["model.onnx", "float.onnx", "golden.npz", "report.html"])
def test_a_missing_file(copied: Path, name: str) -> None:
    (copied / name).unlink()
    refused(converter.replay(copied), f"^file {name} is missing$")


def test_a_cut_file(copied: Path) -> None:
    (copied / "model.onnx").write_bytes((copied / "model.onnx").read_bytes()[:-1])
    refused(converter.replay(copied), "model.onnx is not the one that was shipped")


def test_a_file_that_was_not_shipped_is_only_mentioned(copied: Path) -> None:
    (copied / "notes.txt").write_text("mine")
    (copied / "more").mkdir()
    report = converter.replay(copied)
    assert report.verdict is Verdict.YES and report.warnings == ["files that were not shipped: more, notes.txt"]


@pytest.mark.parametrize("change", [
    lambda told: told.update(verdict="no"), lambda told: told["gates"].update(max_drop=0.1), lambda told: told["tensors"]["x"].update(scale=1.0),
    lambda told: told["target"]["session_options"].update({"session.x64quantprecision": "1"}), lambda told: told.update(created="2020-01-01"),
])
def test_a_tampered_manifest(copied: Path, change: Callable[[dict[str, Any]], object]) -> None:
    edit(copied, change)
    refused(converter.replay(copied), "^manifest.json is not as it was shipped: its seal does not fit what it says$")


@pytest.mark.parametrize("name", ["model.onnx", "float.onnx", "golden.npz"])
def test_a_file_struck_off_the_list(copied: Path, name: str) -> None:
    edit(copied, lambda told: told["files"].pop(name), sealed=True)
    report = converter.replay(copied)
    refused(report, f"^file {name} was not shipped$")
    assert report.warnings == [f"files that were not shipped: {name}"]


def test_another_onnxruntime(copied: Path) -> None:
    edit(copied, lambda told: told["versions"].update(onnxruntime="1.0.0"))
    report = converter.replay(copied)
    assert report.verdict is Verdict.YES and len(report.warnings) == 1
    assert re.fullmatch(r"onnxruntime is \d\S+ here, 1.0.0 where it was shipped", report.warnings[0])


def test_another_cpu(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(copied, lambda told: told["machine"].update(flags=["avx2", "avx512_vnni"]))
    monkeypatch.setattr(module, "machine", lambda: {"flags": ["avx2", "fma"]})
    report = converter.replay(copied)
    assert report.verdict is Verdict.YES
    assert report.warnings == ["another CPU: without avx512_vnni, with fma more; integer kernels here saturate in 16 bits, there are exact"]


def test_a_manifest_of_another_machine_without_flags(copied: Path) -> None:
    edit(copied, lambda told: told.update(machine={}, versions={}))
    report = converter.replay(copied)
    assert report.verdict is Verdict.YES
    assert [w.split()[0] for w in report.warnings] == ["onnxruntime", "numpy", "another"]


def golden(bundle: Path) -> dict[str, np.ndarray]:
    with np.load(bundle / "golden.npz") as data:
        return {k: data[k] for k in data.files}


def test_other_outputs_than_the_golden_ones(copied: Path, tmp_path: Path) -> None:
    told = golden(copied)
    np.savez(tmp_path / "g.npz", **{**told, "integer/y": told["integer/y"] * 1.5})
    replaced(copied, "golden.npz", (tmp_path / "g.npz").read_bytes())
    refused(converter.replay(copied), r"^integer output y is 9\.\d dB from what was shipped; 30 dB and more are rounding$")


def test_outputs_that_differ_by_rounding_are_said_to(copied: Path, tmp_path: Path) -> None:
    told = golden(copied)
    np.savez(tmp_path / "g.npz", **{**told, "integer/y": told["integer/y"] * np.float32(1.001)})
    replaced(copied, "golden.npz", (tmp_path / "g.npz").read_bytes())
    report = converter.replay(copied)
    assert report.verdict is Verdict.YES and report.done[-1] == "integer output y: 60.0 dB from what was shipped"


def test_a_golden_file_without_an_output(copied: Path, tmp_path: Path) -> None:
    told = golden(copied)
    np.savez(tmp_path / "g.npz", **{k: v for k, v in told.items() if k != "float/y"})
    replaced(copied, "golden.npz", (tmp_path / "g.npz").read_bytes())
    refused(converter.replay(copied), "^golden.npz has no fitting output float/y$")


def test_another_model_under_the_same_name(copied: Path) -> None:
    replaced(copied, "float.onnx", (copied / "model.onnx").read_bytes())
    refused(converter.replay(copied), r"^the float graph does not give what was shipped: output 'y': largest error .* is rounding$")


def test_the_integer_graph_is_not_taken_for_the_float_one_or_the_other_way_round(copied: Path) -> None:
    replaced(copied, "model.onnx", (copied / "float.onnx").read_bytes())
    report = converter.replay(copied)
    assert "integer output y: identical" not in "".join(report.done)


def test_golden_data_is_never_unpickled(copied: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", **{"input/x": np.array([{"a": 1}], object)})
    replaced(copied, "golden.npz", (tmp_path / "g.npz").read_bytes())
    with pytest.raises(InputError, match=r"golden\.npz cannot be read: Object arrays cannot be loaded"):
        converter.replay(copied)


@pytest.mark.parametrize("data", [b"", b"PK", b"\x93NUMPY"])
def test_a_golden_file_that_is_none(copied: Path, data: bytes) -> None:
    replaced(copied, "golden.npz", data)
    with pytest.raises(InputError, match=r"golden\.npz cannot be read"):
        converter.replay(copied)


def test_a_model_that_is_none(copied: Path) -> None:
    replaced(copied, "model.onnx", b"not ONNX")
    with pytest.raises(InputError, match=r"onnxruntime .* cannot load .*model\.onnx"):
        converter.replay(copied)


@pytest.mark.parametrize("what", ["nothing", "file", "folder"])
def test_what_is_no_bundle(tmp_path: Path, what: str) -> None:
    place = tmp_path / "b"
    if what == "file":
        place.touch()
    elif what == "folder":
        place.mkdir()
    with pytest.raises(InputError, match=r"b is not a bundle: no manifest\.json"):
        converter.replay(place)
