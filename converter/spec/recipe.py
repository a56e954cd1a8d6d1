"""A recipe: what the user wants quantized, and how, as rules of which a later one wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from converter.errors import InputError, UsageError, known

VERSION = 1
FLOAT = "float"
INT8 = "int8"
RANGES = ("minmax", "percentile", "entropy", "mse")


@dataclass(frozen=True)
class Rule:
    """One rule: the nodes that it is about, and what it says of them; None says nothing.

    Args:
        where: glob over ``OpType``, the node name or the Keras layer path, for example ``"Conv"`` or ``"head/*"``.
        weight: ``"int8"`` or ``"float"`` (the node stays float).
        activation: ``"int8"`` or ``"float"``.
        observer: how the range of the node's output is read from the statistics; one of :data:`RANGES`.
    """

    where: str = "*"
    weight: str | None = None
    activation: str | None = None
    observer: str | None = None

    def __post_init__(self) -> None:
        for field, value, allowed in (("weight", self.weight, (INT8, FLOAT)), ("activation", self.activation, (INT8, FLOAT)),
                                      ("observer", self.observer, RANGES)):
            if value is not None and value not in allowed:
                raise UsageError(f"recipe rule for {self.where!r}: {field} {value!r} is unknown; known: {known(allowed)}")


@dataclass(frozen=True)
class Recipe:
    """Rules in order, later ones win, and the switches that hold for the whole graph.

    Args:
        name: what reports call it.
        rules: applied in order.
        bias_correction: put the mean error of quantized weights back through the bias.
        version: schema version of the file.
    """

    name: str = "int8"
    rules: tuple[Rule, ...] = (Rule("*", weight=INT8, activation=INT8, observer="mse"),)
    bias_correction: bool = True
    version: int = VERSION

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain JSON values; what :func:`from_json` reads."""
        return {**asdict(self), "rules": [{k: v for k, v in asdict(r).items() if v is not None} for r in self.rules]}


PRESETS: Mapping[str, Recipe] = {
    "int8": Recipe(),
    "int8-minmax": Recipe("int8-minmax", (Rule("*", weight=INT8, activation=INT8, observer="minmax"),), bias_correction=False),
}


def from_json(data: Any, name: str = "recipe") -> Recipe:
    """A recipe from parsed JSON or YAML.

    Raises:
        UsageError: an unknown key, a value of the wrong kind, or another schema version.
    """
    if not isinstance(data, dict):
        raise UsageError(f"{name}: a recipe is a mapping, received {type(data).__name__}")
    _only(data, {f.name for f in fields(Recipe)}, name)
    if data.get("version", VERSION) != VERSION:
        raise UsageError(f"{name}: recipe version {data['version']!r} is not supported; supported: {VERSION}")
    rules = data.get("rules", [])
    if not isinstance(rules, list) or not all(isinstance(r, dict) for r in rules):
        raise UsageError(f"{name}: rules is a list of mappings, received {rules!r}")
    for rule in rules:
        _only(rule, {f.name for f in fields(Rule)}, f"{name}, rule {rule}")
        if not isinstance(rule.get("where", "*"), str):
            raise UsageError(f"{name}: where is a glob over operators, node names and layer paths, received {rule['where']!r}")
    correction = data.get("bias_correction", True)
    if not isinstance(correction, bool):
        raise UsageError(f"{name}: bias_correction is true or false, received {correction!r}")
    default = Recipe().rules
    return Recipe(str(data.get("name", name)), default + tuple(Rule(**r) for r in rules), correction)


def load(recipe: str | Path | Recipe | None) -> Recipe:
    """A recipe from a preset's name, a JSON or YAML file, or itself; None is the default.

    Raises:
        UsageError: neither a preset nor a file.
        InputError: the file is not JSON or YAML.
    """
    if recipe is None:
        return Recipe()
    if isinstance(recipe, Recipe):
        return recipe
    if str(recipe) in PRESETS:
        return PRESETS[str(recipe)]
    path = Path(recipe)
    if not path.is_file():
        raise UsageError(f"recipe {str(recipe)!r} is neither a preset nor a file; presets: {known(PRESETS)}")
    return from_json(_parse(path), path.stem)


def _parse(path: Path) -> Any:
    import yaml  # costs a tenth of a second that only recipe files should pay; every JSON file is YAML too

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a readable recipe: {error}") from error


def _only(data: Mapping[str, Any], allowed: set[str], place: str) -> None:
    unknown = {str(key) for key in data} - allowed
    if unknown:
        raise UsageError(f"{place}: unknown key {known(unknown)}; known: {known(allowed)}")
