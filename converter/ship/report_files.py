"""The report as files, for a verdict of no, where there is no bundle to hold them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from converter.ship import report_html
from converter.ship.atomic import write_file
from converter.spec.bundle import REPORT_HTML, REPORT_JSON
from converter.spec.report import Report


def write(report: Report, folder: Path) -> Path:
    """Write ``report.json`` and ``report.html`` into ``folder``; returns the path of the latter."""
    for name, text in ((REPORT_JSON, report.to_json()), (REPORT_HTML, report_html.render(report.to_dict()))):
        write_file(folder / name, partial(_fill, text))
    return folder / REPORT_HTML


def _fill(text: str, file: Path) -> None:
    file.write_text(text, encoding="utf-8")
