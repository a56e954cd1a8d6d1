"""The sections of the report that are plots, with the words beside them. Each leaves itself out when its numbers are missing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from converter.ship import plots
from converter.ship.markup import Html, facts, fold, path, table, tag
from converter.ship.units import count, fixed, general, mapping, milliseconds, number, percent, rows, size

WIDE, NARROW = 690, 320
MOST_LAYERS = 80
MOST_TENSORS = 6
METRICS = (("top1", "Top-1 accuracy"), ("top5", "Top-5 accuracy"), ("accuracy", "Accuracy"), ("mse", "Mean squared error"),
           ("mae", "Mean absolute error"), ("auc", "Area under the curve"))


def panel(title: str, *children: object, note: str | None = None, css: str = "") -> Html:
    """A section with its heading and one sentence on how to read it."""
    return tag("section", tag("h2", title), tag("p", note, class_="lead") if note else None, *children, class_=f"panel {css}".strip())


def metric(accuracy_of: Mapping[str, Any]) -> str:
    """The name of the metric for people."""
    given = str(accuracy_of.get("metric") or "Accuracy")
    return next((name for key, name in METRICS if key == given), given)


def speed(ratio: float) -> str:
    """A ratio of times in words: 0.65 is ``35 % less time``."""
    change = percent(abs(1 - ratio), 0)
    return "as fast as float" if abs(1 - ratio) < 0.005 else f"{change} {'less' if ratio < 1 else 'more'} time"


def accuracy(report: Mapping[str, Any]) -> Html | None:
    """The drop with its interval against the limit."""
    found = mapping(mapping(report.get("numbers")).get("accuracy"))
    drop = number(found.get("drop"))
    if drop is None or not math.isfinite(drop):
        return None
    low, high, limit = (_finite(found.get(key)) for key in ("low", "high", "max_drop"))
    unit = str(found.get("unit") or "score")
    shown = _figure(lambda width, name: plots.accuracy(drop, low, high, limit, unit, width=width, name=name), "accuracy")
    needed = number(found.get("needed"))
    beside = facts([("Samples", _given(found, "samples", count)), ("Right in float, wrong in integer", _given(found, "lost", count)),
                    ("Wrong in float, right in integer", _given(found, "gained", count)),
                    ("Samples needed to decide", count(needed) if needed is not None else None)])
    return panel(f"{metric(found)} against the limit" if limit is not None else metric(found), _beside(shown, beside),
                 note="The dot is the measured difference between the float and the integer model on the same samples; the bar is its interval.")


def layers(report: Mapping[str, Any]) -> Html | None:
    """Signal to noise of every layer; the worst ones named, and all of them in a table."""
    numbers = mapping(report.get("numbers"))
    found = [entry for entry in rows(numbers.get("layers")) if not math.isnan(_snr(entry))]
    if not found:
        return None
    kept = sorted(sorted(range(len(found)), key=lambda at: _snr(found[at]))[:MOST_LAYERS])
    points = [(str(found[at].get("path", "")), _snr(found[at])) for at in kept]
    ranked = sorted(range(len(points)), key=lambda at: points[at][1])
    worst = frozenset(ranked[:3 if len(points) > 8 else 1]) if len(points) > 1 else frozenset()
    output = number(mapping(mapping(numbers.get("fidelity")).get("fused")).get("snr_db"))
    shown = _figure(lambda width, name: plots.layers(points, worst, output, width=width, name=name), "layers")
    left = "" if len(kept) == len(found) else f" The {len(kept)} noisiest of {len(found)} layers are drawn; the table has all."
    whole = fold(f"All {len(found)} layers as a table", _layer_table(found)) if len(found) > 1 else _layer_table(found)
    return panel("Noise by layer", _beside(shown, _worst([found[kept[at]] for at in ranked[:5]])), whole,
                 note=f"In the order of the graph, first layer on top. Further right is closer to float; 6 dB are one bit.{left}")


def _worst(entries: Sequence[Mapping[str, Any]]) -> Html:
    lines = [tag("li", tag("b", path(entry.get("path", ""))), tag("span", ", ".join(_remarks(entry)), class_="note")) for entry in entries]
    return tag("div", tag("h3", "Noisiest layers" if len(lines) > 1 else "The layer"), tag("ol", *lines, class_="worst"))


def _remarks(entry: Mapping[str, Any]) -> list[str]:
    lost, held = number(entry.get("weight_bits_lost")), str(entry.get("saturation") or "none")
    remarks = [f"{fixed(entry.get('snr_db'))} dB", *([str(entry["op_type"])] if entry.get("op_type") else [])]
    remarks += [f"{fixed(lost, 2)} weight bits lost"] if lost else []
    return remarks + (["weight pairs moved" if held == "moved" else f"weights {held}"] if held != "none" else [])


def _layer_table(entries: Sequence[Mapping[str, Any]]) -> Html:
    heads = ["Layer", "Operator", "Saturation", "dB", "Channels", "Weight bits lost"]
    lines = ([path(entry.get("path", "")), entry.get("op_type", ""), entry.get("saturation", ""), fixed(entry.get("snr_db")),
              count(entry.get("channels")), fixed(entry.get("weight_bits_lost"), 2)] for entry in entries)
    return table("Signal to noise of every layer", heads, lines, left=3)


def tensors(report: Mapping[str, Any]) -> Html | None:
    """Histograms of the tensors of the noisiest layers with the range that was chosen."""
    numbers = mapping(report.get("numbers"))
    noise = {str(entry.get("path")): _snr(entry) for entry in rows(numbers.get("layers"))}
    usable = [(entry, counted) for entry in rows(numbers.get("tensors")) if (counted := plots.drawable(mapping(entry.get("histogram"))))]
    if not usable:
        return None
    usable.sort(key=lambda pair: (_known(noise.get(str(pair[0].get("path")))), -(number(pair[0].get("clipped")) or 0.0)))
    drawn = [_tensor(entry, counted, at) for at, (entry, counted) in enumerate(usable[:MOST_TENSORS])]
    note = "What calibration saw, height on a logarithmic scale. Shaded: the range that has codes; what lies outside is clipped."
    title = "Ranges of the noisiest activations" if len(usable) > MOST_TENSORS else "Ranges of the activations"
    return panel(title, tag("div", *drawn, class_="grid"), note=note)


def _tensor(entry: Mapping[str, Any], counted: tuple[list[float], list[float]], at: int) -> Html:
    low, high = _finite(entry.get("low")), _finite(entry.get("high"))
    title = str(entry.get("path") or entry.get("name") or "")
    ends = f"{general(low)} to {general(high)}"
    seen = plots.seen(*counted)
    notes = [ends, f"seen {general(seen[0])} to {general(seen[1])}" if seen else "", _said("scale {}", entry, "scale", general),
             _said("zero at {}", entry, "zero_point", count), _said("{} clipped", entry, "clipped", lambda share: percent(share, 2)),
             str(entry.get("observer") or "")]
    drawing = plots.histogram(*counted, low, high, name=f"tensor-{at}", label=f"histogram of {title}, range {ends}")
    return tag("figure", tag("h3", path(title)), drawing, tag("figcaption", " · ".join(note for note in notes if note), class_="note"))


def size_and_latency(report: Mapping[str, Any]) -> Html | None:
    """Float beside integer: bytes and milliseconds."""
    numbers = mapping(report.get("numbers"))
    if report.get("stage") == "refit":  # the file is as large as it was; what is left to say is in the table above
        return None
    kept = [block for block in (_size(mapping(numbers.get("size"))), _latency(mapping(numbers.get("latency")))) if block]
    return panel("Size and speed", tag("div", *kept, class_="pair")) if kept else None


def _size(found: Mapping[str, Any]) -> Html | None:
    before, after = _finite(found.get("float")), _finite(found.get("integer"))
    if before is None or after is None:
        return None
    note = f"The file holds {percent(after / before)} of the bytes of the float model." if before else ""
    return _pair("File", {"float": before, "integer": after}, size, note, "size")


def _latency(found: Mapping[str, Any]) -> Html | None:
    before, after, ratio = (_finite(found.get(key)) for key in ("float_ms", "integer_ms", "ratio"))
    if before is None or after is None:
        return None
    quartiles = f"quartiles {fixed(found['q1'], 2)} to {fixed(found['q3'], 2)}" if "q1" in found and "q3" in found else ""
    parts = [f"ratio {fixed(ratio, 2)}" if ratio is not None else "", quartiles, _said("{} interleaved pairs", found, "pairs", count),
             _said("batch {}", found, "batch", count), _said("threads {}", found, "threads", count)]
    return _pair("One run", {"float": before, "integer": after}, milliseconds, _sentence(parts), "latency")


def _sentence(parts: Sequence[str]) -> str:
    line = ", ".join(part for part in parts if part)
    return line[:1].upper() + line[1:]


def _pair(title: str, values: Mapping[str, float], say: Callable[[Any], str], note: str, name: str) -> Html:
    said = {key: say(value) for key, value in values.items()}
    label = f"{title}: " + ", ".join(f"{key} {text}" for key, text in said.items())
    worse = values["integer"] > values["float"]
    caption = tag("figcaption", note, class_="note") if note else None
    return tag("figure", tag("h3", title), plots.bars(values, said, worse, name=name, label=label), caption)


def _figure(draw: Callable[[int, str], Html], name: str) -> Html:
    """One plot at two widths; the style sheet shows the one that fits the screen."""
    return tag("figure", tag("div", draw(WIDE, f"{name}-wide"), class_="wide"), tag("div", draw(NARROW, f"{name}-narrow"), class_="narrow"))


def _beside(left: Html, right: Html | None) -> Html:
    return tag("div", left, tag("div", right, class_="aside"), class_="beside") if right else left


def _given(found: Mapping[str, Any], key: str, say: Callable[[Any], str]) -> str | None:
    return say(found[key]) if number(found.get(key)) is not None else None


def _said(phrase: str, found: Mapping[str, Any], key: str, say: Callable[[Any], str]) -> str:
    """``phrase`` with the value in it; nothing where there is no value."""
    return phrase.format(say(found[key])) if number(found.get(key)) is not None else ""


def _finite(value: Any) -> float | None:
    given = number(value)
    return given if given is not None and math.isfinite(given) else None


def _known(value: float | None) -> float:
    """A key for sorting: what is unknown comes last."""
    return math.inf if value is None or math.isnan(value) else value


def _snr(entry: Mapping[str, Any]) -> float:
    given = number(entry.get("snr_db"))
    return math.nan if given is None else given
