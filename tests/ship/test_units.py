"""Numbers and markup: they read well, and text never becomes markup."""

from __future__ import annotations

import pytest

from converter.ship import units
from converter.ship.markup import Html, path, tag


@pytest.mark.parametrize(("said", "text"), [
    (units.fixed(-0.25, 2), "−0.25"), (units.fixed(-0.001, 1), "0.0"), (units.fixed("inf", 1, "dB"), "∞ dB"), (units.fixed("-inf"), "−∞"),
    (units.fixed("nan"), "not a number"), (units.fixed(None), "–"), (units.fixed(True), "–"), (units.general(0), "0"),
    (units.general(0.0052, 2), "0.0052"), (units.general(1234.5), "1,234"), (units.general(-1.04e-6), "−1.0×10⁻⁶"),
    (units.general(0.99996), "1.00"), (units.general(9.996), "10.0"), (units.count(4694024), "4,694,024"),
    (units.percent(0.968), "96.8 %"), (units.percent(0), "0.0 %"), (units.percent(0.00001), "0.001 %"), (units.size(812), "812 B"),
    (units.size(62186), "62.2 KB"), (units.size(999_990), "1.00 MB"), (units.size(4_694_024), "4.69 MB"), (units.size(2.5e9), "2.50 GB"),
    (units.milliseconds(11.81), "11.8 ms"), (units.milliseconds(0.0523), "52.3 µs"), (units.milliseconds(None), "–"),
    (units.score(7.8, "points"), "7.80"), (units.score(0.00123, "mse"), "0.00123")])
def test_numbers_read_well(said: str, text: str) -> None:
    assert said.replace("\u00a0", " ") == text


def test_markup_escapes_text_and_keeps_markup() -> None:
    assert tag("p", "a < b", Html("<b>c</b>"), None, title='"', class_="x", id=None) == '<p title="&quot;" class="x">a &lt; b<b>c</b></p>'
    assert path("a_b/<c>QLinear") == "a_<wbr>b/<wbr>&lt;c&gt;QLinear"
    assert path("tooLong") == "too<wbr>Long"
