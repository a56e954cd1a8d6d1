"""The plots of the report. Each returns one inline SVG; what is drawn follows the numbers, what they mean is said beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.ship import svg
from converter.ship.markup import Html
from converter.ship.units import fixed, number, score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 17.0  # points a layer takes
BINS = 72   # of a drawn histogram, however many were counted


def shorten(path: str, length: int) -> str:
    """``path`` in one line of at most ``length`` characters; the middle gives way, since the end tells most."""
    line = " ".join(path.split())
    if len(line) <= length:
        return line
    head = (length - 1) // 3
    return f"{line[:head]}…{line[head + 1 - length:]}"


def accuracy(drop: float, low: float | None, high: float | None, limit: float | None, unit: str, *, width: int, name: str) -> Html:
    """The measured drop with its interval against the drop that is allowed; right is worse."""
    ends = (drop if low is None else low, drop if high is None else high)
    bound = math.inf if limit is None else limit
    colour = svg.BAD if drop > bound or ends[0] > bound else svg.GOOD if ends[1] <= bound and limit is not None else svg.WARN
    colour = svg.ACCENT if limit is None else colour
    span = (min(0.0, ends[0], bound), max(0.0, ends[1], 0.0 if limit is None else limit))
    pad = (span[1] - span[0]) or 1.0

    def foot(at: float) -> float:
        return 0.3 if abs(at - drop) < 0.12 * pad else 0.0  # the number under the dot stands free

    def paint(figure: Figure) -> None:
        axes = _axes(figure, width, 132, left=4, right=4, top=4, bottom=44)
        axes.set(xlim=(span[0] - 0.22 * pad, span[1] + 0.3 * pad), ylim=(0, 1), yticks=[], xlabel=f"drop in {unit}, right is worse")
        axes.locator_params(axis="x", nbins=5 if width < 500 else 9)
        axes.vlines(0, foot(0), 0.82, color=svg.MUTED, lw=1)
        axes.text(0, 0.86, "float ", ha="right", color=svg.MUTED, size=12)
        if limit is not None:
            axes.axvspan(limit, span[1] + pad, color=svg.BAD, alpha=0.1, lw=0)
            axes.vlines(limit, foot(limit), 0.82, color=svg.BAD, lw=1.5, ls=(0, (4, 2)))
            axes.annotate(f"limit {score(limit, unit)}", (limit, 0.86), (5, 0), textcoords="offset points", color=svg.BAD, size=12)
        axes.hlines(0.5, *ends, color=colour, lw=7, alpha=0.35)
        axes.vlines(ends, 0.38, 0.62, color=colour, lw=2)
        axes.plot([drop], [0.5], "o", color=colour, ms=9)
        axes.text(min(max(drop, span[0] + 0.03 * pad), span[1]), 0.1, score(drop, unit), ha="center", weight="bold", size=13)

    said = f"drop {score(drop, unit)} {unit}, interval {score(ends[0], unit)} to {score(ends[1], unit)}"
    said += "" if limit is None else f", limit {score(limit, unit)}"
    return svg.inline(paint, width, 132, name, said)


def layers(points: Sequence[tuple[str, float]], worst: frozenset[int], output: float | None, *, width: int, name: str) -> Html:
    """Signal to noise of every layer, in the order of the graph from top to bottom.

    Args:
        points: layer path and its signal to noise in dB; infinity is drawn at the right end.
        worst: indices of the layers to highlight.
        output: signal to noise of the model's output in dB, drawn as a line; None leaves it out.
        width: points.
        name: see :func:`converter.ship.svg.inline`.
    """
    narrow = width < 500
    longest = 24 if narrow else 34
    names = [shorten(path, longest) for path, _ in points]
    left, height = 16 + (5.9 if narrow else 6.3) * max(len(text) for text in names), ROW * len(points) + 62
    finite = [v for _, v in points if math.isfinite(v)] + ([output] if output is not None and math.isfinite(output) else [])
    low, high = min([0.0, *finite]), max([1.0, *finite]) * 1.06

    def paint(figure: Figure) -> None:
        axes = _axes(figure, width, height, left=left, right=48, top=24, bottom=38)
        axes.set(xlim=(low * 1.06, high), ylim=(len(points) - 0.4, -0.6), xlabel=f"signal to noise{'' if narrow else ' of the output'}, dB")
        axes.grid(axis="x", lw=0.8)
        axes.set_axisbelow(True)
        _stems(axes, [min(max(v, low), high) for _, v in points], worst)
        axes.set_yticks(range(len(points)), names)
        axes.tick_params(axis="y", length=0, pad=8)
        for row, label in enumerate(axes.get_yticklabels()):
            label.set(color=svg.BAD if row in worst else svg.INK, weight="bold" if row in worst else "normal", size=10 if narrow else 11)
        _column(axes, points, worst)
        if output is not None and math.isfinite(output):
            axes.axvline(output, color=svg.MUTED, lw=1, ls=(0, (4, 3)), zorder=0.9)
            side = "center" if output < high * 0.8 else "right"
            axes.text(output, -0.8, f"model output {fixed(output)}", ha=side, va="bottom", color=svg.MUTED, size=10)

    low_path, low_value = min(points, key=lambda point: point[1])
    return svg.inline(paint, width, height, name, f"signal to noise of {len(points)} layers in the order of the graph; lowest: "
                                                  f"{low_path} with {fixed(low_value)} dB")


def histogram(edges: Sequence[float], counts: Sequence[float], low: float | None, high: float | None, *, name: str, label: str) -> Html:
    """How often each value was seen (logarithmic height) and, shaded, the range that has codes."""
    grid, heights = rebin(np.asarray(edges, np.float64), np.asarray(counts, np.float64), low, high)

    def paint(figure: Figure) -> None:
        axes = _axes(figure, 320, 132, left=6, right=6, top=6, bottom=22)
        axes.set(xlim=(grid[0], grid[-1]), ylim=(0, 1.08), yticks=[])
        if low is not None and high is not None:
            axes.axvspan(low, high, color=svg.ACCENT, alpha=0.12, lw=0)
            axes.vlines([low, high], 0, 1.08, color=svg.ACCENT, lw=1.5)
        axes.stairs(heights, grid, fill=True, color=svg.MUTED, lw=0)
        axes.locator_params(axis="x", nbins=5)
        axes.tick_params(axis="x", labelsize=10)

    return svg.inline(paint, 320, 132, name, label)


def rebin(edges: np.ndarray[Any, Any], counts: np.ndarray[Any, Any], low: float | None, high: float | None) -> tuple[Any, Any]:
    """A histogram on an even grid around what was seen and the range, and heights from 0 to 1 on a logarithmic scale.

    What lies further from the range than its own width is cut off: one stray value must not flatten the picture.
    Counts are spread evenly inside their bin, so bins of any width may come in.

    Returns:
        ``(BINS + 1,)`` edges and ``(BINS,)`` heights, float64.
    """
    near = counts > 0
    if low is not None and high is not None:
        reach = (high - low) or 1.0
        near &= (edges[:-1] <= high + reach) & (edges[1:] >= low - reach)
    seen = np.flatnonzero(near)
    first, last = (edges[seen[0]], edges[seen[-1] + 1]) if seen.size else (edges[0], edges[-1])
    if low is not None and high is not None:
        first, last = min(max(first, low - reach), low), max(min(last, high + reach), high)
    margin = (last - first or 1.0) * 0.03
    grid = np.linspace(first - margin, last + margin, BINS + 1)
    mass = np.diff(np.interp(grid, edges, np.concatenate([[0.0], np.cumsum(counts)])))
    total = counts.sum() or 1.0
    heights = np.log1p(mass / total * 1e5)
    return grid, heights / (heights.max() or 1.0)


def seen(edges: Sequence[float], counts: Sequence[float]) -> tuple[float, float] | None:
    """Lower end of the first and upper end of the last bin that is not empty; ends that are rounding noise become 0."""
    filled = np.flatnonzero(counts)
    if not filled.size:
        return None
    low, high = edges[filled[0]], edges[filled[-1] + 1]
    noise = (high - low) * 1e-6
    return (low if abs(low) > noise else 0.0), (high if abs(high) > noise else 0.0)


def bars(values: Mapping[str, float], texts: Mapping[str, str], worse: bool, *, name: str, label: str) -> Html:
    """Float and integer side by side as horizontal bars; the last one is red where it is the worse one."""
    names = list(values)
    top = max([*values.values(), 1e-12])

    def paint(figure: Figure) -> None:
        axes = _axes(figure, 400, 92, left=66, right=92, top=2, bottom=2)
        colours = [svg.SOFT] * (len(names) - 1) + [svg.BAD if worse else svg.ACCENT]
        axes.barh(range(len(names)), [values[n] for n in names], height=0.62, color=colours)
        axes.set(xlim=(0, top), ylim=(len(names) - 0.5, -0.5), xticks=[])
        axes.set_yticks(range(len(names)), names, size=13)
        axes.tick_params(axis="y", length=0)
        axes.spines["bottom"].set_visible(False)
        for row, key in enumerate(names):
            axes.annotate(texts[key], (values[key], row), (8, 0), textcoords="offset points", va="center", weight="bold", size=13,
                          annotation_clip=False)

    return svg.inline(paint, 400, 92, name, label)


def drawable(histogram_of: Mapping[str, Any]) -> tuple[list[float], list[float]] | None:
    """Edges and counts where they make a histogram: finite, rising, one edge more than counts; else None."""
    edges, counts = ([number(v) for v in histogram_of.get(key) or []] for key in ("edges", "counts"))
    known = [v for v in edges if v is not None and math.isfinite(v)]
    seen = [v for v in counts if v is not None and math.isfinite(v) and v >= 0]
    fits = len(known) == len(edges) == len(counts) + 1 == len(seen) + 1 and len(seen) > 0
    return (known, seen) if fits and all(a < b for a, b in pairwise(known)) else None


def _axes(figure: Figure, width: float, height: float, *, left: float, right: float, top: float, bottom: float) -> Axes:
    return figure.add_axes((left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height))


def _stems(axes: Axes, values: Sequence[float], worst: frozenset[int]) -> None:
    for colour, rows in ((svg.ACCENT, [r for r in range(len(values)) if r not in worst]), (svg.BAD, sorted(worst))):
        shown = [values[row] for row in rows]
        axes.hlines(rows, 0, shown, color=colour, lw=2, alpha=0.45)
        axes.scatter(shown, rows, s=34, color=colour, lw=0, zorder=3, clip_on=False)


def _column(axes: Axes, points: Sequence[tuple[str, float]], worst: frozenset[int]) -> None:
    """The values once more as numbers, one under the other at the right edge."""
    for row, (_, value) in enumerate(points):
        colour, weight = (svg.BAD, "bold") if row in worst else (svg.MUTED, "normal")
        axes.annotate(fixed(value), (1, row), (42, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                      ha="right", va="center_baseline", color=colour, weight=weight, annotation_clip=False)
