"""How reports, progress and errors look: on terminals of several widths, and in a log."""

from __future__ import annotations

import re
import sys
import threading

import click
import pytest

from converter import console
from converter.errors import InputError
from converter.spec.report import Report, Skip, Verdict, Why

WIDE = Report("ship", ["23 operators"], [Skip(f"layer{i}", Why.NO_INTEGER_KERNEL, "Tanh") for i in range(8)], {
    "accuracy": {"metric": "top1", "unit": "points", "float_score": 100.0, "integer_score": 91.6, "drop": 8.4, "low": -10.22, "high": 10.45,
                 "samples": 10000},
    "fidelity": {"fused": {"snr_db": 34.9, "kl": 0.00044, "agreement": 1.0, "samples": 10000}, "unfused": {"snr_db": 35.1, "samples": 256},
                 "gap_db": 0.2},
    "size": {"float": 16_000_000, "integer": 4_000_000, "ratio": 0.25},
    "latency": {"threads": 1, "float_ms": 100.192, "integer_ms": 110.245, "ratio": 1.26, "q1": 0.66, "q3": 3.23},
    "coverage": {"integer": 10, "compute": 10, "kernels": {"QLinearConv": 90, "QLinearGlobalAveragePool": 11, "QGemm": 1, "QLinearAdd": 1}},
}, Verdict.NO, ["a reason that is long enough to be wrapped on a terminal of eighty columns, as it has so many, many words"], ["[slow] model"])


def shown(report: Report, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int | None) -> list[str]:
    if width is not None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", str(width))
    console.show(report)
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()


@pytest.mark.parametrize("width", [80, 120, None])
def test_no_row_of_the_verdict_table_is_wrapped(width: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(WIDE, monkeypatch, capsys, width)
    start = next(i for i, line in enumerate(lines) if line.startswith("─"))
    rows = lines[start + 1:lines.index("", start)]
    assert [row.split("  ")[0] for row in rows] == ["top1", "SNR, fused", "SNR, unfused", "size", "latency", "integer kernels"], rows
    assert max(map(len, lines)) <= (width or console.PLAIN_WIDTH)


def test_long_sentences_are_indented_on_a_terminal_and_whole_in_a_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"  {WIDE.reasons[0]}" in [line.rstrip() for line in shown(WIDE, monkeypatch, capsys, None)]
    lines = shown(WIDE, monkeypatch, capsys, 80)
    assert [line[:2] for line in lines[-2:]] == ["  ", "  "] and lines[-1].strip().endswith("words")


def test_brackets_are_text_and_what_is_left_alone_is_grouped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(shown(WIDE, monkeypatch, capsys, None))
    assert "warning: [slow] model" in text
    assert "left alone: layer0 (Tanh), layer1 (Tanh), " in text and "layer5 (Tanh) and 2 more: the target has no integer kernel" in text


def test_progress_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with console.working(silent=False) as heard:
        heard.begin("load", None)
        heard.end("load", 1.25)
        heard.begin("verify", 10)
        heard.advance(6)
        heard.advance(4)
        heard.end("verify", 0.5)
    assert capsys.readouterr().err == "load: 1.2 s\nverify: 0.5 s, 10 samples\n"


def test_progress_bars(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(InputError), console.working(silent=False) as heard:  # noqa: PT012
        heard.begin("load", None)
        heard.end("load", 1.25)
        heard.begin("verify", 10)
        heard.advance(6)
        raise InputError("NaN")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert re.search(r"✓ load +━+ 1\.2 s", text) and re.search(r"verify +[━╸╺]+ stopped", text)


def test_a_verb_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(console.guarded(lambda: 0, [])))
    thread.start()
    thread.join()
    assert codes == [0], "signals can only be set in the main thread"


def test_click_errors_without_a_context() -> None:
    def wrong() -> None:
        raise click.UsageError("odd")

    assert console.guarded(wrong, []) == 2
