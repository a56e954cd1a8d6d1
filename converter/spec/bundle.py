"""The manifest of a bundle: what is in it, what it needs, how it came about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import PurePath
from typing import Any

from converter.errors import InputError, known
from converter.spec.report import plain

SCHEMA = 1
MODEL, FLOAT, MANIFEST, GOLDEN, REPORT_JSON, REPORT_HTML = "model.onnx", "float.onnx", "manifest.json", "golden.npz", "report.json", "report.html"


@dataclass(frozen=True)
class Manifest:
    """Everything a machine that receives the bundle needs to know.

    Args:
        name: of the Keras model or the ONNX graph.
        files: file name to ``{"sha256", "bytes"}``, every file but the manifest.
        target: name, opset, grids and the session options that the engine needs.
        inputs, outputs: ``{"name", "shape", "dtype", "layout"}``.
        preprocessing: what is done to data before it goes in; the graph contains everything the Keras model contained.
        recipe: the recipe as it was used.
        tensors: value name to grid: scale, zero point, axis, dtype, range, and why.
        weights: initializer of the float graph to the integer initializers made of it and their grid.
        folds: the ledger: how every initializer of ``float.onnx`` is computed from the Keras variables.
        places: place of every variable in a Keras weights file (``layers/conv2d/vars/0``) to its name in ``folds``; empty where there are none.
        statistics: channel means of every layer's input, which bias correction used.
        verdict, reasons, gates, metrics: what was asked for and what was measured.
        versions, machine: where it was made.
        created: date and time, ISO 8601, UTC.
        seal: sha256 over everything above but ``versions`` and ``machine``; a slip or an edit shows (it is no signature).
        schema: version of this layout.
    """

    name: str
    files: Mapping[str, Mapping[str, Any]]
    target: Mapping[str, Any]
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]
    preprocessing: str
    recipe: Mapping[str, Any]
    tensors: Mapping[str, Any]
    weights: Mapping[str, Any]
    folds: Mapping[str, Any]
    places: Mapping[str, str]
    statistics: Mapping[str, Any]
    verdict: str
    reasons: tuple[str, ...]
    gates: Mapping[str, Any]
    metrics: Mapping[str, Any]
    versions: Mapping[str, str]
    machine: Mapping[str, Any]
    created: str
    seal: str = ""
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The manifest as JSON text, keys in a fixed order."""
        return json.dumps(plain(self._told()), indent=1, allow_nan=False)

    def _told(self) -> dict[str, Any]:
        """Every field by name; ``asdict`` would copy all that is in them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def sealed(self) -> Manifest:
        """The manifest with its seal, which the last one to change it puts on."""
        return replace(self, seal=self._digest())

    @property
    def intact(self) -> bool:
        """Whether it says what it said when it was sealed."""
        return self.seal == self._digest()

    def _digest(self) -> str:
        told = {k: v for k, v in self._told().items() if k not in ("seal", "versions", "machine")}
        return hashlib.sha256(json.dumps(plain(told), sort_keys=True, allow_nan=False).encode()).hexdigest()


def from_json(text: str, place: str) -> Manifest:
    """What :meth:`Manifest.to_json` wrote.

    Raises:
        InputError: not JSON, not a manifest, or of another schema version.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InputError(f"{place} is not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise InputError(f"{place} is not a manifest of schema {SCHEMA}; its schema is {found!r}")
    names = {f.name for f in fields(Manifest)}
    if set(data) != names:
        raise InputError(f"{place} does not have the keys of a manifest: missing {known(names - set(data))}; unknown {known(set(data) - names)}")
    wrong = [f"{name} is a {type(value).__name__}" for name, value in data.items() if not isinstance(value, _KINDS.get(name, dict))]
    if wrong:
        raise InputError(f"{place} is not a manifest: {'; '.join(wrong)}")
    strange = [name for name, told in data["files"].items() if PurePath(name).name != name or not isinstance(told, dict)]
    if strange:
        raise InputError(f"{place}: files lie beside the manifest and have a digest each; received {known(strange)}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return Manifest(**values)


_KINDS: Mapping[str, type] = {**dict.fromkeys(("name", "preprocessing", "verdict", "created", "seal"), str),
                              **dict.fromkeys(("inputs", "outputs", "reasons"), list), "schema": int}  # every other value is a mapping
