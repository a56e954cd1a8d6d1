"""Recipes: what they say, what they refuse, and that what is written reads back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from converter.errors import InputError, UsageError
from converter.spec.recipe import PRESETS, VERSION, Recipe, Rule, from_json, load

DEFAULT = Recipe().rules


def test_the_default_is_mse_on_everything_with_bias_correction() -> None:
    assert load(None) == Recipe() == PRESETS["int8"]
    assert list(DEFAULT) == [Rule("*", "int8", "int8", "mse")]
    assert Recipe().bias_correction


def test_a_recipe_is_itself_and_a_preset_its_name() -> None:
    mine = Recipe("mine")
    assert load(mine) is mine
    assert load("int8-minmax").rules[0].observer == "minmax"
    assert not load("int8-minmax").bias_correction


YAML = """
name: mixed
bias_correction: false
rules:
  - {where: "head/*", weight: float}
  - where: Conv
    observer: entropy
"""


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_files_add_their_rules_behind_the_default_ones(tmp_path: Path, suffix: str) -> None:
    rules = [{"where": "head/*", "weight": "float"}, {"where": "Conv", "observer": "entropy"}]
    path = tmp_path / f"mixed.{suffix}"
    path.write_text(YAML if suffix == "yaml" else json.dumps({"name": "mixed", "bias_correction": False, "rules": rules}), encoding="utf-8")
    assert load(path) == load(str(path)) == Recipe("mixed", (*DEFAULT, Rule("head/*", weight="float"), Rule("Conv", observer="entropy")), False)


def test_a_file_without_a_name_is_called_after_the_file(tmp_path: Path) -> None:
    path = tmp_path / "careful.yaml"
    path.write_text("bias_correction: true\n", encoding="utf-8")
    assert load(path).name == "careful"


def test_what_is_written_into_a_manifest_is_plain_and_reads_back() -> None:
    recipe = Recipe("r", (*DEFAULT, Rule("a", observer="minmax")), bias_correction=False)
    data = json.loads(json.dumps(recipe.to_json()))
    assert data == {"name": "r", "version": VERSION, "bias_correction": False,
                    "rules": [{"where": "*", "weight": "int8", "activation": "int8", "observer": "mse"}, {"where": "a", "observer": "minmax"}]}
    again = from_json(data)
    assert (again.name, again.bias_correction, again.rules[-2:]) == ("r", False, recipe.rules)


@pytest.mark.parametrize(("data", "text"), [
    ([], "a recipe is a mapping, received list"),
    (None, "a recipe is a mapping, received NoneType"),
    ({"rule": []}, "unknown key rule; known: bias_correction, name, rules, version"),
    ({"version": 2}, "recipe version 2 is not supported; supported: 1"),
    ({"rules": {"where": "*"}}, "rules is a list of mappings, received {'where'"),
    ({"rules": ["Conv"]}, "rules is a list of mappings"),
    ({"rules": [{"where": "*", "wheight": "int8"}]}, "unknown key wheight; known: activation, observer, weight, where"),
    ({"rules": [{"where": "Conv", "weight": "int4"}]}, "recipe rule for 'Conv': weight 'int4' is unknown; known: float, int8"),
    ({"rules": [{"activation": "bf16"}]}, "activation 'bf16' is unknown; known: float, int8"),
    ({"rules": [{"observer": "max"}]}, "observer 'max' is unknown; known: entropy, minmax, mse, percentile"),
    ({"rules": [{"where": 3}]}, "where"),
    ({"rules": [{"weight": ["int8"]}]}, "weight"),
    ({"bias_correction": "no"}, "bias_correction is true or false, received 'no'"),
    ({1: 2}, "unknown key 1"),
])
def test_mistakes_are_usage_errors_that_say_what_is_known(data: object, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_json(data, "mine")
    assert text in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"rules: [", b"a: b: c"])
def test_a_file_that_is_not_yaml_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a readable recipe"):
        load(path)


def test_a_name_that_is_neither_preset_nor_file_is_refused() -> None:
    with pytest.raises(UsageError, match="recipe 'int4' is neither a preset nor a file; presets: int8, int8-minmax"):
        load("int4")
