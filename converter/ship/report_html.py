"""The report as one HTML file: no network, no script, light and dark, for a screen, a phone and paper."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from converter.ship import report_plots, report_tables
from converter.ship.markup import Html, items, join, tag
from converter.ship.units import count, fixed, general, mapping, milliseconds, number, percent, score, size, texts

# Nothing is loaded, whatever a name in the report may contain.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
VERDICTS = (("yes", "✓", "Yes", "Every gate is met."),
            ("undecided", "?", "Undecided", "The gates are met as measured, but the samples are too few to be sure."),
            ("no", "✕", "No", "A gate is missed; nothing was shipped."),
            ("none", "–", "No verdict", "Nothing was judged."))
SECTIONS = (report_plots.accuracy, report_tables.fidelity, report_plots.layers, report_plots.tensors, report_plots.size_and_latency,
            report_tables.coverage, report_tables.skipped, report_tables.done, report_tables.reproduce)


def render(report: dict[str, Any]) -> str:
    """The page of a ship report.

    Args:
        report: what ``spec.report.Report.to_dict`` returns for the stage ``ship``. Any part may be missing; a section
            whose numbers are missing leaves itself out. Every text is escaped.

    Returns:
        A whole HTML document that refers to nothing outside itself; the same bytes for the same report.
    """
    model = mapping(mapping(report.get("numbers")).get("model"))
    name = str(model.get("name") or "model")
    head = tag("head", tag("meta", charset="utf-8"), tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
               tag("meta", name_="viewport", content="width=device-width, initial-scale=1"), tag("meta", name_="color-scheme", content="light dark"),
               tag("title", f"{_verdict(report)[2]}: {name}, converter report"), tag("style", Html(_style())))
    main = tag("main", _head(report, name, model), _warnings(report), _cards(mapping(report.get("numbers"))), *(make(report) for make in SECTIONS))
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', main), lang='en')}\n"


def _style() -> str:
    return files("converter.ship").joinpath("report.css").read_text(encoding="utf-8")


def _verdict(report: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return next((entry for entry in VERDICTS if entry[0] == report.get("verdict")), VERDICTS[-1])


def _head(report: Mapping[str, Any], name: str, model: Mapping[str, Any]) -> Html:
    kind, sign, word, meaning = _verdict(report)
    about = [("Target", model.get("target")), ("Recipe", model.get("recipe")), ("Source", model.get("source")),
             ("Parameters", count(model["parameters"]) if number(model.get("parameters")) is not None else None)]
    line = [tag("span", f"{key} ", tag("b", value)) for key, value in about if isinstance(value, str) and value]
    verdict = tag("div", tag("span", sign, class_="sign", aria_hidden="true"),
                  tag("div", tag("p", tag("strong", word, class_="word"), tag("span", meaning, class_="meaning"), class_="call"),
                      items(texts(report.get("reasons"))) if texts(report.get("reasons")) else None), class_=f"verdict {kind}")
    return tag("header", tag("p", "converter report", class_="kicker"), tag("h1", name), tag("p", *line, class_="about") if line else None, verdict)


def _warnings(report: Mapping[str, Any]) -> Html | None:
    found = texts(report.get("warnings"))
    title = "One warning" if len(found) == 1 else f"{len(found)} warnings"
    return tag("section", tag("h2", title), items(found), class_="panel warnings") if found else None


def _cards(numbers: Mapping[str, Any]) -> Html | None:
    made = (_accuracy_card(numbers), _size_card(numbers), _latency_card(numbers), _coverage_card(numbers), _fidelity_card(numbers))
    kept = [card for card in made if card is not None]
    return tag("section", tag("h2", "Key figures", class_="unseen"), tag("div", *kept, class_="cards"), class_="figures") if kept else None


def _card(title: str, value: object, unit: str, *notes: str | None, bad: bool = False, css: str = "card") -> Html:
    shown = tag("p", value, tag("small", f" {unit}") if unit else None, class_="value bad" if bad else "value")
    return tag("div", tag("h3", title), shown, *(tag("p", note, class_="note") for note in notes if note), class_=css)


def _arrow(before: str, after: str) -> Html:
    return join((tag("span", before, class_="from"), tag("span", " → ", class_="arrow", aria_label="becomes"), after))


def _accuracy_card(numbers: Mapping[str, Any]) -> Html | None:
    found = mapping(numbers.get("accuracy"))
    if number(found.get("integer_score")) is None:
        return None
    unit = str(found.get("unit") or "")
    points = unit == "points"
    before, after = (fixed(found.get(key), 2) if points else general(found.get(key), 4) for key in ("float_score", "integer_score"))
    note = f"drop {score(found.get('drop'), unit)} {unit}"
    if number(found.get("low")) is not None and number(found.get("high")) is not None:
        note += f", interval {score(found['low'], unit)} to {score(found['high'], unit)}"
    return _card(report_plots.metric(found), _arrow(before, after), "%" if points else "", note, css="card two")


def _size_card(numbers: Mapping[str, Any]) -> Html | None:
    found = mapping(numbers.get("size"))
    if number(found.get("integer")) is None:
        return None
    value, _, unit = size(found["integer"]).partition("\u00a0")
    ratio = number(found.get("ratio"))
    return _card("Size", value, unit, f"from {size(found.get('float'))}", f"{percent(ratio, 0)} of float" if ratio is not None else None,
                 bad=ratio is not None and ratio >= 1)


def _latency_card(numbers: Mapping[str, Any]) -> Html | None:
    found = mapping(numbers.get("latency"))
    ratio = number(found.get("ratio"))
    if ratio is None:
        return None
    known = number(found.get("integer_ms")) is not None
    times = f"{milliseconds(found.get('float_ms'))} → {milliseconds(found['integer_ms'])}" if known else None
    return _card("Latency", fixed(ratio, 2), "× float", times, report_plots.speed(ratio), bad=ratio > 1)


def _coverage_card(numbers: Mapping[str, Any]) -> Html | None:
    found = mapping(numbers.get("coverage"))
    done, whole = number(found.get("integer")), number(found.get("compute"))
    if done is None or whole is None:
        return None
    return _card("Integer kernels", count(done), f"of {count(whole)}", "compute operators",
                 f"{count(whole - done)} left in float" if done < whole else None, bad=done == 0 < whole)


def _fidelity_card(numbers: Mapping[str, Any]) -> Html | None:
    found = mapping(mapping(numbers.get("fidelity")).get("fused"))
    if number(found.get("snr_db")) is None:
        return None
    kl = f"KL {general(found['kl'], 2)}" if number(found.get("kl")) is not None else None
    same = f"same answer on {percent(found['agreement'])}" if number(found.get("agreement")) is not None else None
    return _card("Signal to noise", fixed(found["snr_db"]), "dB", kl, same)
