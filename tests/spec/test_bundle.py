"""The manifest: what is written is what is read, an edit shows, and what is no manifest is refused with its name."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.errors import InputError
from converter.spec.bundle import SCHEMA, Manifest, from_json

MANIFEST = Manifest(
    name="m", files={"model.onnx": {"sha256": "ab", "bytes": 3}}, target={"name": "ort-cpu", "session_options": {}},
    inputs=({"name": "x", "shape": [None, 4], "dtype": "float32", "layout": "NC"},), outputs=(), preprocessing="none", recipe={"rules": []},
    tensors={"t": {"scale": np.float32(0.1), "zero_point": 3}}, weights={"w": {"scale": np.array([0.5, 0.25], np.float32)}}, folds={},
    places={"layers/dense/vars/0": "dense/kernel"},
    statistics={"t": {"samples": 2, "means": np.array([0.1, 1e-300])}}, verdict="yes", reasons=("good", "small"), gates={"max_drop": None},
    metrics={"latency": float("inf")}, versions={"onnxruntime": "1.0"}, machine={"flags": ["avx2"]}, created="2024-01-01T00:00:00+00:00")


def test_it_comes_back_as_it_was_written() -> None:
    text = MANIFEST.sealed().to_json()
    back = from_json(text, "m.json")
    assert back.to_json() == text and back.intact
    assert back.reasons == ("good", "small") and back.inputs == MANIFEST.inputs
    assert back.tensors["t"]["scale"] == float(np.float32(0.1)) and back.weights["w"]["scale"] == [0.5, 0.25]
    assert back.metrics["latency"] == "inf", "JSON has no infinity"
    assert back.statistics["t"]["means"] == [0.1, 1e-300]


def test_numbers_are_written_exactly() -> None:
    scale = np.float32(0.012345679)
    back = from_json(replace(MANIFEST, tensors={"t": {"scale": scale}}).to_json(), "m.json")
    assert np.float32(back.tensors["t"]["scale"]) == scale


@pytest.mark.parametrize("change", [
    {"verdict": "no"}, {"files": {}}, {"tensors": {"t": {"scale": 0.2, "zero_point": 3}}}, {"reasons": ("good",)}, {"created": "2025"},
    {"target": {"name": "ort-cpu", "session_options": {"session.x64quantprecision": "1"}}}, {"seal": ""}, {"name": "n"},
])
def test_an_edit_breaks_the_seal(change: dict[str, Any]) -> None:
    assert not replace(MANIFEST.sealed(), **change).intact


@pytest.mark.parametrize("change", [{"versions": {"onnxruntime": "2.0"}}, {"machine": {"flags": []}}])
def test_where_it_was_made_is_not_under_the_seal(change: dict[str, Any]) -> None:
    assert replace(MANIFEST.sealed(), **change).intact, "replay names such a difference as what it is"


def edited(**change: Any) -> str:
    return json.dumps({**json.loads(MANIFEST.to_json()), **change})


def without(key: str) -> str:
    return json.dumps({k: v for k, v in json.loads(MANIFEST.to_json()).items() if k != key})


@pytest.mark.parametrize(("text", "says"), [
    ("", "m.json is not JSON"), ("{", "m.json is not JSON"), ("[]", f"not a manifest of schema {SCHEMA}; its schema is 'list'"),
    ("{}", "its schema is None"), (edited(schema=99), "its schema is 99"), (without("files"), "missing files; unknown none"),
    (edited(extra=1), "missing none; unknown extra"), (edited(files=[]), "not a manifest: files is a list"),
    (edited(reasons="good", name=3), "name is a int; reasons is a str"), (edited(versions=None), "versions is a NoneType"),
    (edited(files={"../model.onnx": {}}), r"files lie beside the manifest.*received \.\./model.onnx"),
    (edited(files={"/etc/passwd": {}}), "received /etc/passwd"), (edited(files={"a": 1}), "a digest each; received a"),
])
def test_what_is_no_manifest_is_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        from_json(text, "m.json")


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))


@settings(max_examples=40)
@given(st.sampled_from(sorted(json.loads(MANIFEST.to_json()))), JSON)
def test_any_value_anywhere_is_read_or_refused(key: str, value: Any) -> None:
    with contextlib.suppress(InputError):
        assert isinstance(from_json(edited(**{key: value}), "m.json").to_json(), str)
