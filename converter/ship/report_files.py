"""The report as files, for a verdict of no, where there is no bundle to hold them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from converter.errors import UsageError
from converter.ship.atomic import check_free, write_file
from converter.spec.bundle import REPORT_HTML, REPORT_JSON
from converter.spec.report import Report


def check(folder: Path | None) -> None:
    """Refuse a folder that no report can be written into, before any work is done; None is no folder.

    Raises:
        UsageError, InputError: it is a file, or cannot be written to.
    """
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder; {REPORT_JSON} and {REPORT_HTML} go into a folder")
    check_free(folder / REPORT_HTML, force=True)


def write(report: Report, folder: Path) -> Path:
    """Write ``report.json`` and ``report.html`` into ``folder``; returns the path of the latter."""
    from converter.ship import report_html

    for name, text in ((REPORT_JSON, report.to_json()), (REPORT_HTML, report_html.render(report.to_dict()))):
        write_file(folder / name, partial(_fill, text))
    return folder / REPORT_HTML


def _fill(text: str, file: Path) -> None:
    file.write_text(text, encoding="utf-8")
