"""Write a bundle, and read one back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.errors import InputError, known
from converter.graph import io, ledger, query
from converter.quantize.road import Quantized
from converter.ship import report_html
from converter.ship.atomic import new_folder
from converter.spec import bundle as spec
from converter.spec.bundle import Manifest
from converter.spec.plan import Shared
from converter.spec.quant import Array, QParams
from converter.spec.report import Report


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk.

    Args:
        path: its folder.
        manifest: what ``manifest.json`` says.
        report: of the run that shipped it; None for one that was opened.
    """

    path: Path
    manifest: Manifest
    report: Report | None = None

    @property
    def model(self) -> Path:
        """The deployed graph."""
        return self.path / spec.MODEL

    @property
    def float_model(self) -> Path:
        """Its float twin."""
        return self.path / spec.FLOAT


def write(
    path: str | Path, *, integer: ir.Model, float_graph: ir.Model, manifest: Manifest, golden: Mapping[str, Array], report: Report,
    force: bool = False, check: Callable[[Path], None] = lambda folder: None,
) -> Bundle:
    """Write the bundle to ``path``: whole, or not at all.

    ``check`` is called with the folder once both models are in it, and before it takes its place; what it raises leaves nothing behind.

    Raises:
        UsageError: ``path`` exists and ``force`` was not given.
        InputError: it cannot be written.
    """
    with new_folder(path, force=force) as folder:
        io.save(integer, folder / spec.MODEL)
        io.save(float_graph, folder / spec.FLOAT)
        check(folder)
        with (folder / spec.GOLDEN).open("wb") as file:
            np.savez_compressed(file, **golden)  # type: ignore[arg-type]
        (folder / spec.REPORT_JSON).write_text(report.to_json(), encoding="utf-8")
        (folder / spec.REPORT_HTML).write_text(report_html.render(report.to_dict()), encoding="utf-8")
        manifest = replace(manifest, files=_digests(folder)).sealed()
        (folder / spec.MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return Bundle(Path(path), manifest, report)


def read(path: str | Path) -> Bundle:
    """The bundle in a folder; its files are not checked (see ``replay``).

    Raises:
        InputError: not a bundle.
    """
    path = Path(path)
    file = path / spec.MANIFEST
    if not file.is_file():
        there = known(p.name for p in path.iterdir()) if path.is_dir() else "no such folder"
        raise InputError(f"{path} is not a bundle: no {spec.MANIFEST} ({there})")
    try:
        return Bundle(path, spec.from_json(file.read_text(encoding="utf-8"), str(file)))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error


def digest(path: Path) -> dict[str, Any]:
    """``{"sha256", "bytes"}`` of a file."""
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


def _digests(folder: Path) -> dict[str, Any]:
    return {file.name: digest(file) for file in sorted(folder.iterdir()) if file.name != spec.MANIFEST}


def tensors(quantized: Quantized) -> dict[str, Any]:
    """Value name to its grid and the reason for it."""
    out: dict[str, Any] = {}
    for name, params in quantized.solution.activations.items():
        entry = quantized.plan.entries[name]
        if isinstance(entry, Shared):
            out[name] = {"shared_with": quantized.plan.owner(name), "why": "an operator that only moves codes"}
            continue
        low, high = quantized.solution.ranges.get(name, (None, None))
        out[name] = {**_grid(params), "low": low, "high": high, "why": f"range by {getattr(entry, 'observer', None) or 'the engine'}"}
    return out


def weights(quantized: Quantized) -> dict[str, Any]:
    """Float initializer to the grid of the integer ones made of it."""
    out = {}
    for layer in quantized.plan.layers:
        codes = quantized.solution.layers[layer.name]
        out[layer.weight] = {"layer": layer.path, "node": layer.name, **_grid(codes.weight.params), "pairs_moved": codes.weight.moved,
                             "why": "largest weight of the channel, inside the pair bound of saturating kernels"}
        if codes.bias is not None:
            out[layer.bias or f"{layer.path}/bias"] = {"layer": layer.path, "node": layer.name, "dtype": "int32", "axis": 0,
                                                       "derived_from": [layer.source, layer.weight], "corrected": short(codes.corrected)}
    return out


def _grid(params: QParams) -> dict[str, Any]:
    zero = params.zero_point
    return {"dtype": params.spec.dtype.name, "axis": params.axis, "scale": params.scale, "zero_point": int(zero) if zero.ndim == 0 else 0}


def short(values: Array) -> list[float]:
    """Nine digits are all that float32 holds."""
    return [float(f"{v:.9g}") for v in values]


def folds(model: ir.Model) -> dict[str, Any]:
    """The ledger of everything that ``float.onnx`` holds."""
    return ledger.of(model).to_json(sorted(model.graph.initializers))


def statistics(quantized: Quantized) -> dict[str, Any]:
    """Channel means of the layers' inputs, float64."""
    sources = dict.fromkeys(x.source for x in quantized.plan.layers)
    return {name: {"samples": quantized.seen[name].samples, "means": quantized.seen[name].means} for name in sources if name in quantized.seen}


def ends(model: ir.Model) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """Inputs and outputs as the manifest has them."""
    inputs, outputs = query.signature(model)
    return tuple(_end(i.to_json()) for i in inputs), tuple(_end(o.to_json()) for o in outputs)


def _end(info: dict[str, Any]) -> dict[str, Any]:
    """With the layout: ours are channels-last, as in Keras."""
    layouts = {2: "NC", 3: "NLC", 4: "NHWC", 5: "NDHWC"}
    return {**info, "layout": layouts.get(len(info["shape"]), "")}
