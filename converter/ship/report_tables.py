"""The sections of the report that are tables and lists. Each leaves itself out when its numbers are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from converter.ship.markup import Html, facts, fold, items, path, table, tag
from converter.ship.report_plots import panel
from converter.ship.units import MISSING, count, fixed, general, mapping, number, percent, rows, texts

OPEN_ROWS = 12  # a longer table is folded


def fidelity(report: Mapping[str, Any]) -> Html | None:
    """The integer model against float, as it runs and with the engine's optimisations off, and Keras against float ONNX."""
    numbers = mapping(report.get("numbers"))
    found, parity = mapping(numbers.get("fidelity")), mapping(numbers.get("parity"))
    fused, plain = mapping(found.get("fused")), mapping(found.get("unfused"))
    if not (fused or plain or parity):
        return None
    shown = [[name, say(fused), say(plain)] for name, key, say in _measures() if key in fused or key in plain]
    gap = number(found.get("gap_db"))
    both = min((number(side.get("samples")) or 0 for side in (fused, plain)), default=0)
    last = None if gap is None else tag("p", f"The two differ by {fixed(abs(gap), 2)} dB{f' on the same {count(both)} samples' if both else ''}. "
                                             "A wide gap means that the fused integer kernels do not compute what the graph says.", class_="note")
    columns = table("Integer against float", ["Measure", "As it runs here", "Optimisations off"], shown) if shown else None
    note = "Both columns compare the outputs of the integer model with those of the float model." if shown else None
    return panel("Integer against float", columns, last, _parity(parity), note=note)


def _measures() -> tuple[tuple[str, str, Callable[[Mapping[str, Any]], str]], ...]:
    return (("Signal to noise", "snr_db", lambda side: fixed(side.get("snr_db"), 1, "dB")),
            ("KL divergence", "kl", _kl),
            ("Same answer", "agreement", lambda side: percent(side.get("agreement"))),
            ("Largest difference", "max_abs", lambda side: general(side.get("max_abs"))),
            ("Relative difference", "relative", lambda side: general(side.get("relative"))),
            ("Samples", "samples", lambda side: count(side.get("samples"))))


def _kl(side: Mapping[str, Any]) -> str:
    error = f" ± {general(side['kl_se'], 2)}" if number(side.get("kl_se")) is not None else ""
    return general(side.get("kl"), 2) + error


def _parity(parity: Mapping[str, Any]) -> Html | None:
    if number(parity.get("relative")) is None:
        return None
    where = f" over {count(parity['samples'])} samples" if "samples" in parity else ""
    most = f", largest difference {general(parity['max_abs'])}" if "max_abs" in parity else ""
    return tag("p", tag("b", "Keras against float ONNX: "), f"relative difference {general(parity['relative'])}{most}{where}.", class_="note")


def coverage(report: Mapping[str, Any]) -> Html | None:
    """Which operators run on integer kernels, which do not, and why."""
    found = mapping(mapping(report.get("numbers")).get("coverage"))
    kernels, others, left = mapping(found.get("kernels")), mapping(found.get("others")), rows(found.get("float_nodes"))
    if not (kernels or others or left):
        return None
    floats = {str(node.get("op_type")) for node in left}
    shown = [[path(name), "integer", count(many)] for name, many in _most(kernels)]
    shown += [[path(name), "float" if name in floats else "other", count(many)] for name, many in _most(others)]
    ran = table("Operators of the optimised graph", ["Operator", "Kind", "Count"], shown, left=2) if shown else None
    both = (("In the optimised graph", ran), ("Computed in float", _floats(found, left)))
    blocks = [tag("div", tag("h3", title), block) for title, block in both if block]
    return panel("What runs on integers", tag("div", *blocks, class_="pair"),
                 note="Counted in the graph that the engine really runs on this machine.")


def _floats(found: Mapping[str, Any], left: list[Mapping[str, Any]]) -> Html | None:
    """The compute operators left in float; None where it is not known whether there are any."""
    if left:
        lines = [[path(node.get("layer") or node.get("name", "")), node.get("op_type", ""), node.get("why", "")] for node in left]
        return table("Operators computed in float", ["Layer", "Operator", "Why"], lines, left=3)
    whole = number(found.get("compute"))
    if whole is None or whole != number(found.get("integer")):
        return None
    return tag("p", "Nothing: every compute operator runs on an integer kernel.", class_="note")


def _most(counts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(counts.items(), key=lambda pair: (-(number(pair[1]) or 0.0), pair[0]))


def skipped(report: Mapping[str, Any]) -> Html | None:
    """What was left as it was, and why."""
    found = [[path(entry.get("path", "")), entry.get("reason") or entry.get("why", ""), entry.get("detail", "")]
             for entry in rows(report.get("skipped"))]
    if not found:
        return None
    listed = table("What was left alone", ["Where", "Why", "Detail"], found, left=3)
    shown = listed if len(found) <= OPEN_ROWS else fold(f"All {len(found)} as a table", listed)
    note = "One place was left as it was." if len(found) == 1 else f"{len(found)} places were left as they were."
    return panel("Left alone, and why", shown, note=note)


def done(report: Mapping[str, Any]) -> Html | None:
    """What was done, and the time each step took."""
    lines, seconds = texts(report.get("done")), mapping(mapping(report.get("numbers")).get("seconds"))
    times = [[name, fixed(value, 1)] for name, value in seconds.items() if number(value) is not None]
    if not (lines or times):
        return None
    total = sum(number(value) or 0.0 for value in seconds.values())
    blocks = [tag("div", tag("h3", "Steps"), items(lines, "ol", class_="steps"))] if lines else []
    if times:
        last = [tag("b", "total"), tag("b", fixed(total, 1))]
        blocks.append(tag("div", tag("h3", "Time"), table("Time of each step", ["Step", "Seconds"], [*times, last])))
    return panel("What was done", tag("div", *blocks, class_="pair"))


def reproduce(report: Mapping[str, Any]) -> Html | None:
    """The command, the machine, the versions and what goes in and out."""
    numbers = mapping(report.get("numbers"))
    machine, versions, model = (mapping(numbers.get(key)) for key in ("machine", "versions", "model"))
    command = numbers.get("command")
    installed = ", ".join(f"{name} {value}" for name, value in versions.items())
    about = facts([("Processor", machine.get("processor")), ("CPUs", count(machine["cpus"]) if "cpus" in machine else None),
                   ("Flags", " ".join(texts(machine.get("flags"))) or None), ("Versions", installed or None),
                   ("Inputs", _ports(model.get("inputs"))), ("Outputs", _ports(model.get("outputs")))])
    if not (command or about):
        return None
    typed = tag("pre", tag("code", command), tabindex="0", aria_label="command") if command else None
    return panel("How to reproduce", typed, about)


def _ports(ports: Any) -> str | None:
    named = [f"{port.get('name', MISSING)}: {port.get('dtype', '')} {_shape(port.get('shape'))}".rstrip() for port in rows(ports)]
    return "; ".join(named) or None


def _shape(shape: Any) -> str:
    return f"({', '.join('any' if entry is None else str(entry) for entry in shape)})" if isinstance(shape, list | tuple) else ""
