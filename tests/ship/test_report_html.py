"""The page: self-contained, whole with any part missing, every text escaped, the same bytes every time."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from converter.ship import report_html, svg
from converter.ship.markup import Html
from converter.ship.report_html import render
from converter.spec.report import Report, Skip, Verdict, Why

VOID = {"meta", "br", "wbr", "hr", "img"}
HOSTILE = "<script>alert('x')</script>\"&$a_b$ #00fe01"


class Page(HTMLParser):
    """What a reader of the page meets: balanced elements, headings, ids, visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []
        self.words = " ".join("".join(self.text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data if "svg" not in self.open else "")

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.tags if found == name]


def layers(many: int) -> list[dict[str, Any]]:
    return [{"path": f"block_{at}/conv", "op_type": "Conv", "snr_db": 40.0 - at % 7, "saturation": "none", "weight_bits_lost": 0.25,
             "channels": 32} for at in range(many)]


def tensors(many: int) -> list[dict[str, Any]]:
    counts, edges = np.histogram(np.random.default_rng(0).normal(size=4000), bins=512)
    return [{"name": f"t{at}", "path": f"block_{at}/conv", "low": -2.5, "high": 2.5, "scale": 0.02, "zero_point": 128, "observer": "mse",
             "clipped": 0.001, "histogram": {"edges": edges.tolist(), "counts": counts.tolist()}} for at in range(many)]


def full(many: int = 5) -> dict[str, Any]:
    side = {"samples": 93, "snr_db": 21.4, "kl": 0.0052, "kl_se": 0.0011, "agreement": 0.968, "max_abs": 0.9, "relative": 0.085}
    numbers: dict[str, Any] = {
        "model": {"name": "small_net", "source": "small.keras", "target": "ort-cpu", "recipe": "default", "parameters": 4694024,
                  "inputs": [{"name": "image", "shape": [None, 8, 8, 3], "dtype": "float32"}], "outputs": []},
        "parity": {"relative": 1.1e-6, "max_abs": 2e-5, "samples": 16},
        "fidelity": {"fused": side, "unfused": side | {"snr_db": 21.5}, "gap_db": 0.1},
        "accuracy": {"metric": "top1", "unit": "points", "float_score": 90.1, "integer_score": 89.9, "drop": 0.2, "low": -0.3, "high": 0.7,
                     "samples": 2000, "lost": 11, "gained": 7, "max_drop": 1.0, "needed": None},
        "coverage": {"integer": 9, "compute": 10, "kernels": {"QLinearConv": 9}, "others": {"Gemm": 1},
                     "float_nodes": [{"name": "n7", "op_type": "Gemm", "layer": "head/dense", "why": "the recipe says float"}]},
        "latency": {"batch": 1, "threads": 1, "float_ms": 18.12, "integer_ms": 11.81, "ratio": 0.652, "q1": 0.64, "q3": 0.66, "pairs": 200},
        "size": {"float": 18_756_000, "integer": 5_158_000, "ratio": 0.275}, "layers": layers(many), "tensors": tensors(min(many, 8)),
        "seconds": {"export": 2.1, "verify": 6.0}, "machine": {"processor": "Some CPU", "flags": ["avx2"], "cpus": 2},
        "versions": {"onnxruntime": "1.32.0"}, "command": "converter ship small.keras -o out"}
    report = Report("ship", ["exported 5 layers"], [Skip("head/softmax", Why.NO_GAIN, "Softmax")], numbers, Verdict.YES,
                    ["the drop is within the limit"], ["this CPU has no VNNI"])
    return json.loads(report.to_json())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def page() -> str:
    return render(full())


def test_every_part_is_on_the_page_in_words_of_people(page: str) -> None:
    words = Page(page).words
    for text in ("Yes", "Every gate is met.", "the drop is within the limit", "this CPU has no VNNI", "90.10 → 89.90 %",
                 "interval −0.30 to 0.70", "5.16 MB", "from 18.8 MB", "28 % of float", "0.65 × float", "18.1 ms → 11.8 ms",
                 "35 % less time", "9 of 10", "1 left in float", "21.4 dB", "0.0052 ± 0.0011", "96.8 %", "Signal to noise 21.4 dB 21.5 dB",
                 "Gemm float 1", "The two differ by 0.10 dB on the same 93 samples", "relative difference 1.1×10⁻⁶", "block_3/conv", "0.10 % clipped",
                 "head/dense Gemm the recipe says float", "no neighbour computes on integers", "total 8.1", "4,694,024",
                 "converter ship small.keras -o out", "onnxruntime 1.32.0", "image: float32 (any, 8, 8, 3)", "avx2"):
        assert text.replace(" ", "") in words.replace(" ", ""), text


@pytest.mark.parametrize(("verdict", "word", "css"), [("yes", "Yes", "verdict yes"), ("no", "No", "verdict no"),
                                                      ("undecided", "Undecided", "verdict undecided"), (None, "No verdict", "verdict none")])
def test_the_verdict_is_a_word_and_not_only_a_colour(verdict: str | None, word: str, css: str) -> None:
    html = render({"verdict": verdict})
    assert f'<strong class="word">{word}</strong>' in html
    assert f'class="{css}"' in html
    assert html.count('class="verdict') == 1


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    tags = Page(page)
    assert not [name for name, _ in tags.tags if name in ("script", "link", "img", "iframe", "object", "base")]
    for _, attributes in tags.tags:
        for key, value in attributes.items():
            assert key not in ("src", "srcset", "action", "data") and not key.startswith("on")
            if key in ("href", "xlink:href"):
                assert value is not None and value.startswith("#")
    assert not re.search(r"https?://|@import|url\((?!#)", page)
    assert "default-src 'none'" in next(str(a["content"]) for a in tags.named("meta") if a.get("http-equiv"))


def test_headings_are_in_order_and_plots_have_names(page: str) -> None:
    tags = Page(page)
    assert tags.named("html")[0]["lang"] == "en"
    levels = [int(name[1]) for name, _ in tags.tags if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    drawn = tags.named("svg")
    assert len(drawn) == 2 + 2 + 5 + 2
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in drawn)
    assert all(box.get("tabindex") == "0" and box.get("aria-label") for box in tags.named("div") if box.get("class") == "scroll")


def test_ids_are_unique_and_every_reference_has_its_target(page: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert ids and len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', page)) <= set(ids)


def test_plots_follow_the_theme_and_are_whole_markup(page: str) -> None:
    drawn = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    colours = {colour for plot in drawn for colour in re.findall(r"(?:fill|stroke): (#\w+)", plot)}
    assert colours <= {"#000000"}  # in the definitions of marks, where the use overrides it
    style = page[page.index("<style>"):page.index("</style>")]
    for plot in drawn:
        ElementTree.fromstring(plot)
        assert "<text" in plot and "<metadata" not in plot
        assert all(f"{name}:" in style for name in re.findall(r"var\((--\w+)\)", plot))


def test_two_runs_give_the_same_bytes_whatever_the_settings_of_matplotlib(page: str) -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": "other", "xtick.major.size": 20}):
        assert render(full()) == page
        assert matplotlib.rcParams["font.size"] == 30


def spoil(value: Any) -> Any:
    """``value`` with every text and every key of the user hostile."""
    if isinstance(value, dict):
        return {key: spoil(v) for key, v in value.items()}
    if isinstance(value, list):
        return [spoil(v) for v in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) else value


def test_every_text_is_escaped() -> None:
    report = spoil(full())
    report["verdict"] = "no"
    report["numbers"]["coverage"]["kernels"] = {HOSTILE: 9}
    report["numbers"]["versions"] = {HOSTILE: HOSTILE}
    report["numbers"]["seconds"] = {HOSTILE: 1.0}
    html = render(report)
    tags = Page(html)
    assert "script" not in {name for name, _ in tags.tags}
    assert tags.words.count("<script>alert('x')</script>") >= 20
    assert "block_0/conv&lt;" in html


@pytest.mark.parametrize("gone", [(), *[(key,) for key in full()], *[("numbers", key) for key in full()["numbers"]]])
def test_any_part_may_be_missing(gone: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svg, "inline", lambda *_, **__: Html("<svg></svg>"))  # drawing is slow and tried by the other tests
    report = full(2)
    inner = report
    for key in gone[:-1]:
        inner = inner[key]
    if gone:
        del inner[gone[-1]]
    assert len(Page(render(report)).named("h1")) == 1


@pytest.mark.parametrize("junk", [None, "nan", "inf", [], {}, 3, "text", True])
def test_any_number_may_be_of_the_wrong_kind(junk: Any) -> None:
    report = full(2)
    for name, part in list(report["numbers"].items()):
        if isinstance(part, dict):
            report["numbers"][name] = dict.fromkeys(part, junk)
        elif isinstance(part, list):
            report["numbers"][name] = [dict.fromkeys(entry, junk) for entry in part]
    Page(render(report))
    Page(render({"numbers": dict.fromkeys(report["numbers"], junk), "skipped": junk, "reasons": junk, "warnings": junk, "done": junk}))


def test_a_section_without_numbers_leaves_itself_out() -> None:
    words = Page(render({"verdict": "no", "reasons": ["missed"]})).words
    assert "missed" in words
    for text in ("accuracy", "Noise", "Ranges", "Size", "What runs", "Left alone", "What was done", "How to reproduce", "Integer against"):
        assert text not in words


def test_fifty_layers_stay_under_half_a_megabyte_and_the_worst_are_named() -> None:
    report = full(50)
    report["numbers"]["layers"][17]["snr_db"] = 12.5
    html = render(report)
    assert len(html.encode()) < 500_000
    wide = next(plot for plot in re.findall(r"<svg .*?</svg>", html, re.DOTALL) if "50 layers" in plot)
    assert "lowest: block_17/conv with 12.5" in wide
    bold = re.findall(r'<text style="[^"]*(?:bold|700)[^"]*var\(--bad\)[^"]*"[^>]*>([^<]*)', wide)
    assert "block_17/conv" in bold and "12.5" in bold and len(bold) == 6
    assert '<ol class="worst"><li><b>block_<wbr>17/<wbr>conv</b>' in html


def test_more_layers_than_fit_are_cut_to_the_noisiest_and_it_says_so() -> None:
    report = full(2)
    report["numbers"] = {"layers": layers(200)}
    report["numbers"]["layers"][150]["snr_db"], report["numbers"]["layers"][151]["snr_db"] = 1.0, 90.0
    html = render(report)
    words = Page(html).words
    assert ">block_150/conv</text>" in html and ">block_151/conv</text>" not in html
    assert "The 80 noisiest of 200 layers are drawn" in words and "All 200 layers as a table" in words


def test_a_worse_latency_is_marked_and_said() -> None:
    report = full(2)
    report["numbers"]["latency"] |= {"float_ms": 0.0072, "integer_ms": 0.0094, "ratio": 1.31}
    html = render(report)
    words = Page(html).words
    assert "31 % more time" in words and "7.20 µs → 9.40 µs" in words
    assert '<p class="value bad">1.31' in html
    assert '<p class="value bad">' not in render(full(2))


def test_histograms_are_those_of_the_noisiest_layers() -> None:
    report = full(8)
    report["numbers"]["layers"][7]["snr_db"] = 3.0
    titles = re.findall(r"histogram of (block_\d)", render(report))
    assert titles[0] == "block_7" and len(titles) == 6


def luminance(colour: str) -> float:
    parts = [int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1, 2])
def test_every_text_has_contrast_in_every_theme(theme: int) -> None:
    style = Path(report_html.__file__).with_name("report.css").read_text(encoding="utf-8")
    blocks = [dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)]
    colours = blocks[theme]
    assert len(blocks) == 3 and set(colours) == set(blocks[0])
    pairs = [(text, ground) for text in ("ink", "muted", "accent", "good", "warn", "bad") for ground in ("panel", "page")]
    pairs += [(tone, f"{tone}-soft") for tone in ("good", "warn", "bad")] + [("ink", f"{tone}-soft") for tone in ("good", "warn", "bad", "none")]
    for text, ground in pairs:
        low, high = sorted((luminance(colours[text]), luminance(colours[ground])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)
