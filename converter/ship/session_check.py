"""Whether what onnxruntime runs is the refitted model: a session opened from the written file, against both bundles.

onnxruntime's own way to override initializers ignores names that it does not know, and graphs that were optimised once may hold weights under
other names; so the file itself is opened as a server would, and what it computes is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from converter.errors import ParityError, known
from converter.graph import io
from converter.spec.bundle import MODEL
from converter.spec.quant import Array
from converter.spec.report import Report
from converter.verify.session import Session


def check(folder: Path, old: Path, entries: Mapping[str, str], outputs: Mapping[str, Array], report: Report) -> None:
    """Hold the model in ``folder`` to what was verified, and to the one it replaces.

    Args:
        folder: of the new bundle, before it takes its place.
        old: the model file of the bundle that was refitted.
        entries: session options of the target.
        outputs: ``input/<name>`` and ``integer/<name>``: the golden inputs, and what the new integer graph gave for them.
        report: gets a line, and ``session`` among its numbers.

    Raises:
        ParityError: the file computes something else, or still what the old model computes although codes differ.
    """
    feeds = {name.removeprefix("input/"): x for name, x in outputs.items() if name.startswith("input/")}
    got, before = (Session(path, entries=entries).run(feeds) for path in (folder / MODEL, old))
    wrong = [name for name, y in got.items() if not np.array_equal(y, outputs[f"integer/{name}"], equal_nan=True)]
    if wrong:
        raise ParityError(f"a session on the written model does not give what was verified, in the outputs {known(wrong)}; nothing was written")
    changed = _changed(old, folder / MODEL)
    moved = max((float(np.abs(y.astype(np.float64) - before[name]).max(initial=0)) for name, y in got.items() if name in before), default=0.0)
    if changed and moved == 0.0:
        raise ParityError(f"{changed} tensors of the model are new, and yet a session gives on all golden inputs what it gave before; were they "
                          "refitted into a part that computes nothing?")
    report.numbers["session"] = {"tensors_changed": changed, "largest_change": moved, "outputs_as_verified": True}
    report.done.append(f"a session on the written file gives what was verified; {changed} of its tensors are new, outputs moved by up to {moved:.4g}")


def _changed(old: Path, new: Path) -> int:
    """How many initializers have other numbers."""
    first, second = (io.load(path).graph.initializers for path in (old, new))
    return sum(name not in first or not _same(first[name].const_value, value.const_value) for name, value in second.items())


def _same(a: object, b: object) -> bool:
    return a is not None and b is not None and np.array_equal(a.numpy(), b.numpy(), equal_nan=True)  # type: ignore[attr-defined]
