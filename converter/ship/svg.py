"""A matplotlib figure as markup inside a page: the page's colours and font, no ids that clash, the same bytes every time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from converter.ship.markup import Html, escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Stand-ins that matplotlib accepts as colours; in the page they become CSS variables, which follow the reader's theme.
VARIABLES = ("ink", "muted", "rule", "accent", "soft", "good", "warn", "bad")
INK, MUTED, RULE, ACCENT, SOFT, GOOD, WARN, BAD = (f"#00fe0{at}" for at in range(len(VARIABLES)))

# parse_math off: a dollar sign in a layer's name is a dollar sign. hashsalt: clip paths are named the same in every run.
STYLE: Mapping[Any, Any] = MappingProxyType({
    "svg.fonttype": "none", "svg.hashsalt": "converter", "text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 11,
    "text.color": INK, "axes.edgecolor": RULE, "axes.labelcolor": MUTED, "axes.labelsize": 11, "xtick.color": RULE, "ytick.color": RULE,
    "xtick.labelcolor": MUTED, "ytick.labelcolor": INK, "xtick.labelsize": 11, "ytick.labelsize": 11, "axes.unicode_minus": True,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False, "axes.linewidth": 1.0, "grid.color": RULE,
})


def inline(paint: Callable[[Figure], None], width: float, height: float, name: str, label: str, css: str = "") -> Html:
    """What ``paint`` draws, as one ``<svg>`` element.

    Args:
        paint: draws into an empty figure, in points; one point becomes one CSS pixel.
        width: points.
        height: points.
        name: unlike that of every other figure of the page; the ids begin with it.
        label: what the plot shows, for readers that do not see it.
        css: classes of the element.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # a matplotlibrc of the user must not change the report
        matplotlib.rcParams.update(STYLE)
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's browser has the glyph, only its width is unknown here
        figure = Figure(figsize=(width / 72, height / 72))
        paint(figure)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _embed(stream.getvalue(), width, height, name, label, css)


def _embed(text: str, width: float, height: float, name: str, label: str, css: str) -> Html:
    body = text[text.index(">", text.index("<svg")) + 1:text.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    used = set(re.findall(r"(?:href=\"|url\()#([\w.-]+)", body))
    body = re.sub(r"<[^>]*>", lambda found: _clean(found[0], used, name), body)  # tags only: names of layers stay as they are
    body = re.sub(r">\s*\n\s*<", "><", body)
    return Html(f'<svg class="{escape(f"plot {css}".strip())}" role="img" aria-label="{escape(label)}" viewBox="0 0 {width:g} {height:g}" '
                f'width="{width:g}" height="{height:g}">{body}</svg>')


def _clean(element: str, used: set[str], name: str) -> str:
    element = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", element)
    element = re.sub(r'((?:href="|url\()#)', rf"\g<1>{name}-", element).replace("xlink:href", "href")
    return re.sub(r"#00fe0([0-7])", lambda found: f"var(--{VARIABLES[int(found[1])]})", element)
