"""Targets are data; and what every target there is must say of itself."""

from __future__ import annotations

import json

import pytest

from converter.errors import UsageError
from converter.spec.target import OpRule, Role, Target
from converter.targets import TARGETS


def test_a_rule_is_found_by_operator() -> None:
    target = Target("t", "", 18, (OpRule("Conv", Role.COMPUTE, weight=True), OpRule("MaxPool", Role.PASS)))
    conv = target.rule("Conv")
    assert conv is not None and conv.weight
    assert target.rule("Tanh") is None


@pytest.mark.parametrize("name", TARGETS.names())
def test_contract(name: str) -> None:
    target = TARGETS.get(name)
    assert target.name == name and target.summary
    operators = [rule.op_type for rule in target.rules]
    assert len(operators) == len(set(operators))
    assert all(rule.note for rule in target.rules), "a rule says what was measured"
    assert not any(rule.fuses for rule in target.rules if rule.role is not Role.COMPUTE)
    assert any(rule.weight for rule in target.rules) and target.integer_kernels
    assert json.loads(json.dumps(target.to_json()))["name"] == name


def test_ort_cpu_is_there_and_another_name_is_a_usage_error() -> None:
    assert "ort-cpu" in TARGETS.names()
    with pytest.raises(UsageError, match="unknown target 'ort-gpu'; known: ort-cpu"):
        TARGETS.get("ort-gpu")
