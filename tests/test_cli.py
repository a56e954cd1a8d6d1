"""The command line in this process: help, exit codes, what goes to which stream, JSON."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from converter import __version__, api, cli, console
from converter.errors import ConversionError, InputError, UsageError
from converter.spec.report import Report, Verdict
from converter.verify import machine
from converter.verify.metrics import METRICS
from tests.ship import tiny
from tests.ship.tiny import failed, run

COMMANDS = ["bench", "doctor", "export", "inspect", "quantize", "replay", "ship", "targets", "transfer", "verify"]
TRANSFER = sorted(cli.transfer.transfer.commands)
VERBS = [*(name for name in COMMANDS if name != "transfer"), *(f"transfer {name}" for name in TRANSFER)]


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """Latency is measured for a moment only."""
    with pytest.MonkeyPatch.context() as patch:
        tiny.cut_short(patch)
        yield


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return tiny.write_case(tmp_path_factory.mktemp("case"))


@pytest.fixture(scope="module")
def bundle(case: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "bundle"
    assert run(*tiny.ship_arguments(case, out)).exit_code == 0
    return out


# --- help


@pytest.mark.parametrize("command", VERBS)
def test_every_command_has_help_with_an_example_and_the_common_options(command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0 and result.stderr == ""
    assert f"Example:\n    converter {command}" in result.stdout
    assert all(option in result.stdout for option in ("--json", "--quiet", "--debug", '{"error":'))
    assert max(map(len, result.stdout.splitlines())) <= 80 and "\\b" not in result.stdout and "\b" not in result.stdout


def test_the_group_lists_its_commands_in_whole_sentences() -> None:
    result = run("--help")
    assert result.exit_code == 0 and sorted(cli.main.commands) == COMMANDS
    lines = dict(re.findall(r"^  (\w+) +(\S.*)$", result.stdout[result.stdout.index("Commands:"):result.stdout.index("Example:")], re.MULTILINE))
    assert sorted(lines) == COMMANDS and all(line.endswith(".") and not line.endswith("...") for line in lines.values()), lines
    assert re.search(r"Exit codes:\n +0 +done\n +1 +the verdict is no.*\n +2 +.*\n +3 +.*\n +70 +.*\n +130 ", result.stdout)
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_transfer_lists_its_verbs_and_is_wrong_use_without_one() -> None:
    result = run("transfer")
    assert result.exit_code == 2 and result.stdout == "" and all(re.search(rf"^  {name} +\S.*\.$", result.stderr, re.MULTILINE) for name in TRANSFER)
    assert "no such command: moev; known: " + ", ".join(TRANSFER) in run("transfer", "moev").stderr


def test_metrics_in_the_help_are_those_that_exist() -> None:
    text = " ".join(run("ship", "--help").stdout.split())
    assert all(name in text for name in METRICS.names())


def test_no_command_is_wrong_use_and_shows_the_help() -> None:
    result = run()
    assert result.exit_code == 2 and "Commands:" in result.stderr and result.stdout == ""


def test_version() -> None:
    assert run("--version").stdout == f"converter, version {__version__}\n"


@pytest.mark.parametrize(("arguments", "says"), [
    (["shipp"], "no such command: shipp; known: bench, doctor, .*, verify"), (["ship"], "Missing argument 'MODEL'; see converter ship --help"),
    (["ship", "m"], "Missing option '--calib'"), (["ship", "m", "--calib", "c", "-o", "o", "--max-drop", "much"], "'much' is not a valid float"),
    (["ship", "m", "--calib", "c", "-o", "o", "--want", "all"], "'all' is not one of 'smaller', 'faster', 'both'"),
    (["replay", "b", "--nothing"], "No such option.*--nothing.*see converter replay --help"), (["--nothing"], "No such option"),
    (["bench"], "Missing argument 'MODEL...'"), (["export", "m", "-o", "o", "--opset", "x"], "'x' is not a valid integer"),
])
def test_wrong_use(arguments: list[str], says: str) -> None:
    failed(run(*arguments), 2, says)


# --- what a verb raises becomes an exit code


@pytest.mark.parametrize(("error", "code", "kind", "says"), [
    (UsageError("wrong"), 2, "UsageError", "^converter: wrong$"), (InputError("bad"), 2, "InputError", "bad"),
    (ConversionError("layer a: Erfc"), 3, "ConversionError", "layer a: Erfc"), (MemoryError(), 2, "MemoryError", "out of memory"),
    (KeyboardInterrupt(), 130, "Interrupted", "^converter: interrupted; no file was left half-written$"),
    (console.Stopped(), 143, "Interrupted", "terminated"), (OSError(28, "No space left on device", "f"), 2, "OSError", "No space left on device: f"),
    (RecursionError("deep"), 3, "RecursionError", "nested too deeply"),
    (ZeroDivisionError("division by zero"), 70, "ZeroDivisionError", "a fault of converter itself: ZeroDivisionError: division by zero"),
])
def test_errors(error: BaseException, code: int, kind: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(bundle: Path) -> Report:
        raise error

    monkeypatch.setattr(api, "replay", fail)
    failed(run("replay", "b"), code, says)
    assert "Traceback" not in run("replay", "b").stderr
    debug = run("replay", "b", "--debug")
    assert debug.exit_code == code and "Traceback" in debug.stderr and type(error).__name__ in debug.stderr
    as_json = run("replay", "b", "--json")
    told = tiny.only_json(as_json.stdout)["error"]
    assert as_json.exit_code == told["exit_code"] == code and told["kind"] == kind
    assert re.search(says.strip("^$").removeprefix("converter: "), told["message"])


def test_wrong_use_as_json() -> None:
    result = run("ship", "--json")
    assert tiny.only_json(result.stdout) == {"error": {"kind": "MissingParameter", "exit_code": 2,
                                                       "message": "Missing argument 'MODEL'; see converter ship --help"}}


@pytest.mark.parametrize(("verdict", "strict", "code"), [("yes", [], 0), ("no", [], 1), ("undecided", [], 0), ("undecided", ["--strict"], 1),
                                                         ("yes", ["--strict"], 0), (None, [], 0)])
@pytest.mark.parametrize("output", [[], ["--json"], ["--quiet"]])
def test_verify_exits_with_its_verdict(verdict: str | None, strict: list[str], code: int, output: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report("verify", verdict=None if verdict is None else Verdict(verdict), reasons=["because"])
    monkeypatch.setattr(api, "verify", lambda *a, **k: report)
    result = run("verify", "a", "b", "--data", "d", *strict, *output)
    assert result.exit_code == code and result.stderr == ""
    if output == ["--json"]:
        assert tiny.only_json(result.stdout) == report.to_dict()
    else:
        assert ("because" in result.stdout) == (not output)


def test_what_the_users_code_prints_does_not_spoil_the_json(monkeypatch: pytest.MonkeyPatch) -> None:
    def chatty(*a: Any, **k: Any) -> Report:
        print("loading my data")  # noqa: T201
        return Report("verify")

    monkeypatch.setattr(api, "verify", chatty)
    result = run("verify", "a", "b", "--data", "d", "--json")
    assert tiny.only_json(result.stdout)["stage"] == "verify" and result.stderr == "loading my data\n"


def test_warnings_of_libraries_are_for_debug_only(monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    def warn(*a: Any, **k: Any) -> Report:
        warnings.warn("numpy changed its mind", DeprecationWarning, stacklevel=1)
        return Report("verify")

    monkeypatch.setattr(api, "verify", warn)
    monkeypatch.setattr(sys, "warnoptions", [])
    assert run("verify", "a", "b", "--data", "d").exit_code == 0
    assert run("verify", "a", "b", "--data", "d", "--debug").exit_code == 70, "under pytest a warning that is let through is an error"


def test_completion_is_left_to_click(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cli.COMPLETION, "bash_source")
    assert "_converter_completion" in run().stdout


# --- the other commands


def test_quantize_and_export_refuse_what_is_there(case: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "int8.onnx"
    out.write_text("mine")
    failed(run("quantize", case["model"], "--calib", case["calib"], "-o", out), 2, "int8.onnx exists already; pass --force")
    failed(run("export", "m.keras", "-o", out), 2, "int8.onnx exists already; pass --force")
    assert out.read_text() == "mine"
    result = run("quantize", case["model"], "--calib", case["calib"], "-o", out, "--force")
    assert result.exit_code == 0 and out.stat().st_size > 1000 and "wrote" in result.stdout


def test_replay_names_a_flipped_bit(bundle: Path, tmp_path: Path) -> None:
    assert run("replay", bundle).exit_code == 0
    copy = Path(shutil.copytree(bundle, tmp_path / "b"))
    data = bytearray((copy / "model.onnx").read_bytes())
    data[-5] ^= 4
    (copy / "model.onnx").write_bytes(data)
    result = run("replay", copy)
    assert result.exit_code == 1 and "file model.onnx is not the one that was shipped" in result.stdout
    assert tiny.only_json(run("replay", copy, "--json").stdout)["verdict"] == "no"


def test_inspect(bundle: Path, case: dict[str, Path]) -> None:
    text = run("inspect", bundle).stdout
    assert "bundle of 'mlp' for ort-cpu, made " in text and re.search(r"^input +x +float32 +N x 64 *$", text, re.MULTILINE)
    assert re.search(r"^QuantizeLinear +\d+ *$", text, re.MULTILINE) and re.search(r"^int8 +7,\d+ *$", text, re.MULTILINE)
    assert tiny.only_json(run("inspect", case["model"], "--json").stdout)["numbers"]["operators"] == {"Gemm": 2, "Relu": 1}


def test_bench(bundle: Path) -> None:
    result = run("bench", bundle / "float.onnx", bundle, "--seconds", "0.01")
    assert result.exit_code == 0 and re.search(r"^model +ms +base ms +ratio +quartiles", result.stdout, re.MULTILINE)
    assert re.search(r"model\.onnx +\d\.\d{3} +\d\.\d{3} +\d+\.\d{3} +\d+\.\d{3} to \d+\.\d{3}", result.stdout)
    failed(run("bench", bundle, "--threads", 0), 2, "threads must be at least 1")


def test_targets_and_doctor() -> None:
    assert re.search(r"^Conv +compute +Relu, Clip", run("targets").stdout, re.MULTILINE)
    assert "Conv" in tiny.only_json(run("targets", "--json").stdout)["ort-cpu"]["operators"]
    text = run("doctor").stdout
    assert re.search(r"^onnxruntime +\d", text, re.MULTILINE) and "integer kernels of onnxruntime here" in text
    assert set(tiny.only_json(run("doctor", "--json").stdout)) == {"machine", "versions", "saturating_kernels"}
    assert run("targets", "--quiet").output == run("doctor", "--quiet").output == ""


def test_doctor_without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "versions", lambda: {"python": "3.11"})
    result = run("doctor")
    assert result.exit_code == 2 and "onnxruntime is not installed; versions found: python" in result.stderr
