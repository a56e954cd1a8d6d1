"""``converter ship`` in this process: what it says, where things go, and what a no looks like."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from converter.verify import evidence
from tests.ship import tiny
from tests.ship.tiny import failed, run


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """Latency is measured for a moment only."""
    with pytest.MonkeyPatch.context() as patch:
        tiny.cut_short(patch)
        yield


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return tiny.write_case(tmp_path_factory.mktemp("case"))


def test_ship_says_where_things_are(case: dict[str, Path], tmp_path: Path) -> None:
    result = run(*tiny.ship_arguments(case, tmp_path / "out"))
    assert result.exit_code == 0
    assert result.stdout.endswith(f"bundle: {tmp_path / 'out'}\nreport: {tmp_path / 'out' / 'report.html'}\n")
    assert "\nverdict: yes\n" in result.stdout and re.search(r"^top1 +\d+\.\d\d % +\d+\.\d\d % +drop", result.stdout, re.MULTILINE)
    assert "verify: " in result.stderr and "400 samples" in result.stderr and "converter:" not in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    command = json.loads((tmp_path / "out" / "report.json").read_text())["numbers"]["command"]
    assert command == " ".join(["converter", *tiny.ship_arguments(case, tmp_path / "out")])


def test_ship_quietly(case: dict[str, Path], tmp_path: Path) -> None:
    result = run(*tiny.ship_arguments(case, tmp_path / "out", "--quiet"))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "") and (tmp_path / "out" / "model.onnx").is_file()


def test_ship_as_json(case: dict[str, Path], tmp_path: Path) -> None:
    result = run(*tiny.ship_arguments(case, tmp_path / "out", "--json"))
    told, written = tiny.only_json(result.stdout), json.loads((tmp_path / "out" / "report.json").read_text())
    assert result.exit_code == 0 and result.stderr == "" and told["verdict"] == "yes"
    assert told["numbers"].pop("seconds") and written["numbers"].pop("seconds") and told == written


@pytest.fixture
def bad_labels(case: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """A case whose labels are those of the runner-up, so that the drop is not what was asked for: calibrated far too narrow."""
    np.savez(tmp_path / "calib.npz", x=0.01 * tiny.samples(16))
    return {**case, "calib": tmp_path / "calib.npz"}


@pytest.mark.parametrize("output", [[], ["--json"], ["--quiet"]])
def test_a_verdict_of_no(bad_labels: dict[str, Path], tmp_path: Path, output: list[str]) -> None:
    result = run(*tiny.ship_arguments(bad_labels, tmp_path / "out", "--max-drop", "1", *output))
    assert result.exit_code == 1 and not (tmp_path / "out").exists() and tiny.leftovers(tmp_path) == []
    assert sorted(p.name for p in (tmp_path / "out.report").iterdir()) == ["report.html", "report.json"]
    assert json.loads((tmp_path / "out.report" / "report.json").read_text())["verdict"] == "no"
    assert result.stderr.endswith(f"report: {tmp_path / 'out.report' / 'report.html'}\n")
    if output == ["--json"]:
        assert tiny.only_json(result.stdout)["verdict"] == "no", "one document: the report, no error beside it"
    elif output == ["--quiet"]:
        assert result.stdout == "" and "converter: verdict no, nothing was shipped: " in result.stderr
    else:
        assert "verdict: no" in result.stdout and "converter: nothing was shipped\n" in result.stderr


def test_the_report_goes_where_it_is_sent(bad_labels: dict[str, Path], case: dict[str, Path], tmp_path: Path) -> None:
    assert run(*tiny.ship_arguments(bad_labels, tmp_path / "out", "--max-drop", "1", "--report", tmp_path / "a" / "b")).exit_code == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "calib.npz"] and (tmp_path / "a" / "b" / "report.html").is_file()
    assert run(*tiny.ship_arguments(case, tmp_path / "out", "--report", tmp_path / "c")).exit_code == 0
    beside, inside = (json.loads((tmp_path / place / "report.json").read_text()) for place in ("c", "out"))
    assert beside["numbers"].pop("seconds").keys() - inside["numbers"].pop("seconds").keys() == {"write"} and beside == inside


def test_a_report_that_cannot_be_written_does_not_change_the_verdict(bad_labels: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "out.report").write_text("a file of the user")
    result = run(*tiny.ship_arguments(bad_labels, tmp_path / "out", "--max-drop", "1"))
    assert result.exit_code == 1 and "converter: the report could not be written: " in result.stderr
    assert (tmp_path / "out.report").read_text() == "a file of the user"


def test_a_report_folder_that_is_a_file_is_refused_before_any_work(case: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    failed(run(*tiny.ship_arguments(case, tmp_path / "out", "--report", tmp_path / "notes")), 2, "notes is a file, not a folder")


def test_strict(case: dict[str, Path], tmp_path: Path) -> None:
    with np.load(case["eval"]) as data:
        np.savez(tmp_path / "few.npz", x=data["x"][:20], y=data["y"][:20])
    few = {**case, "eval": tmp_path / "few.npz"}
    loose = run(*tiny.ship_arguments(few, tmp_path / "loose", "--max-drop", "1"))
    assert loose.exit_code == 0 and "verdict: undecided" in loose.stdout and "20 samples cannot decide 1 point" in loose.stdout
    strict = run(*tiny.ship_arguments(few, tmp_path / "strict", "--max-drop", "1", "--strict"))
    assert strict.exit_code == 1 and not (tmp_path / "strict").exists() and (tmp_path / "strict.report").is_dir()


def test_faster_is_a_gate_that_a_tiny_model_misses(case: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slow = evidence.Latency(1, 1, 0.02, 0.03, 1.5, 1.4, 1.6, 9)
    monkeypatch.setattr(evidence, "race", lambda *a, **k: slow)
    result = run(*tiny.ship_arguments(case, tmp_path / "out", "--want", "faster"))
    assert result.exit_code == 1 and "not faster on this CPU: 1.50 times the float latency" in result.stdout
    assert not (tmp_path / "out").exists()
