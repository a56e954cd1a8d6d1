"""HTML that escapes by type: plain text is escaped, only what was built here counts as markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

VOID = frozenset({"meta", "br", "hr", "img"})


class Html(str):
    """Text that is markup already; ``tag`` leaves it as it is."""

    __slots__ = ()


def escape(text: object) -> Html:
    """``text`` as markup; what is :class:`Html` already is returned unchanged."""
    return text if isinstance(text, Html) else Html(html.escape(str(text), quote=True))


def join(parts: Iterable[object]) -> Html:
    """The parts one after another; None is left out."""
    return Html("".join(escape(part) for part in parts if part is not None))


def tag(name: str, *children: object, **attributes: str | None) -> Html:
    """One element.

    Args:
        name: the element's name.
        children: text (escaped) or markup; None is left out.
        attributes: text (escaped); a trailing underscore is dropped and an inner one becomes a hyphen, None is left out.

    Example:
        >>> tag("p", "a < b", class_="note")
        '<p class="note">a &lt; b</p>'
    """
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items() if value is not None)
    return Html(f"<{name}{given}>" if name in VOID else f"<{name}{given}>{join(children)}</{name}>")


def path(text: object) -> Html:
    """A path or a name that may break across lines: after a slash or an underscore, before a capital inside a word."""
    return Html(re.sub(r"([/_](?=.)|[a-z](?=[A-Z]))", r"\1<wbr>", escape(text)))


def items(texts: Iterable[object], kind: str = "ul", **attributes: str | None) -> Html:
    """A list with one item a text."""
    return tag(kind, *(tag("li", text) for text in texts), **attributes)


def facts(pairs: Iterable[tuple[str, object | None]]) -> Html | None:
    """A list of names and values; a pair without a value is left out, and so is an empty list."""
    kept = [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs if value is not None]
    return tag("dl", *kept, class_="facts") if kept else None


def table(label: str, heads: Sequence[str], rows: Iterable[Sequence[object]], left: int = 1) -> Html:
    """A table in a box of its own that scrolls sideways where the page is too narrow for it.

    Args:
        label: what the table is about, for readers that do not see it.
        heads: one a column.
        rows: cells, as many as heads; the first one names its row.
        left: how many columns hold text and stand on the left; the others hold numbers and stand on the right.
    """
    sides = ["text" if at < left else "number" for at in range(len(heads))]
    head = tag("tr", *(tag("th", text, scope="col", class_=side) for text, side in zip(heads, sides, strict=True)))
    body = [tag("tr", *(tag("th" if at == 0 else "td", cell, scope="row" if at == 0 else None, class_=side)
                        for at, (cell, side) in enumerate(zip(row, sides, strict=True)))) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="scroll", role="region", aria_label=label, tabindex="0")


def fold(summary: str, *children: object) -> Html:
    """Something that is shown when asked for."""
    return tag("details", tag("summary", summary), *children)
