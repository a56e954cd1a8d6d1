"""The short way gives the very bits of the reference evaluator, or leaves it to that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converter.graph import direct, io

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(3, 4)).astype(np.float32), RNG.normal(size=(4,)).astype(np.float32)
SPECIAL = np.float32([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -3.5])
CASES: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [
    ("Reshape", [A, np.array([2, 6])], {}), ("Reshape", [A, np.array([-1])], {}), ("Reshape", [np.float32(3), np.array([1, 1])], {}),
    ("Transpose", [A], {"perm": (1, 0)}), ("Transpose", [A.reshape(1, 3, 4)], {"perm": (2, 0, 1)}),
    *[(op, pair, {}) for op in ("Add", "Sub", "Mul", "Div") for pair in ([A, B], [B, A], [SPECIAL, SPECIAL[::-1]])],
    *[(op, [x], {}) for op in ("Neg", "Sqrt", "Abs") for x in (A, SPECIAL, np.float32(2.0).reshape(()))],
]


@pytest.mark.parametrize(("op_type", "inputs", "attributes"), CASES)
def test_the_same_bits(op_type: str, inputs: list[np.ndarray], attributes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with np.errstate(all="ignore"):
        got = direct.evaluate(op_type, inputs, attributes)
    monkeypatch.setattr(direct, "RULES", {})
    (expected,) = io.evaluate(op_type, inputs, attributes, 18)
    assert got is not None
    assert (got.dtype, got.shape, got.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


@pytest.mark.parametrize(("op_type", "inputs", "attributes"), [
    ("Reshape", [A, np.array([0, -1])], {}), ("Reshape", [A, np.array([3, 4])], {"allowzero": 1}), ("Transpose", [A], {}),
    ("Div", [np.array([7]), np.array([2])], {}), ("Add", [A.astype(np.float64), B.astype(np.float64)], {}), ("Erf", [A], {}), ("Mul", [A, None], {})])
def test_what_is_out_of_the_ordinary_is_left_to_the_reference(op_type: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    assert direct.evaluate(op_type, inputs, attributes) is None
