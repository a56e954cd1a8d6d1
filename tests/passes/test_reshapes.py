"""Chains of reshapes become one, or none."""

from __future__ import annotations

import pytest

from converter.passes.reshapes import MergeReshapes
from tests.passes.golden import operators, refuses, rewritten

CASES = {
    "a gate": ("n,4,1,1", "f = Flatten(x) r = Reshape(f, s) y = Neg(r)", "n,4,1,1", {"s": [-1, 4, 1, 1]}, "Neg"),
    "two": ("n,4,6", "f = Reshape(x, t) y = Reshape(f, s)", "n,8,3", {"t": [-1, 24], "s": [-1, 8, 3]}, "Reshape"),
    "three": ("n,4,6", "f = Flatten(x) g = Unsqueeze(f, t) y = Reshape(g, s)", "n,8,3", {"t": [1], "s": [-1, 8, 3]}, "Reshape"),
    "a squeeze": ("n,4,1,6", "f = Squeeze(x, t) y = Reshape(f, s)", "n,24", {"t": [2], "s": [-1, 24]}, "Reshape"),
    "nothing": ("n,4,6", "r = Reshape(x, s) y = Neg(r)", "n,4,6", {"s": [-1, 4, 6]}, "Neg"),
    "nothing, all known": ("2,4,6", "r = Reshape(x, s) y = Neg(r)", "2,4,6", {"s": [2, 4, 6]}, "Neg"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_is_left_or_none(case: str) -> None:
    shape, text, out, weights, expected = CASES[case]
    assert operators(rewritten(MergeReshapes(), f"(float[{shape}] x) => (float[{out}] y) {{ {text} }}", **weights)) == expected


@pytest.mark.parametrize(("shape", "out", "target"), [("n,4,6", "n,6,4", [-1, 6, 4]), ("n,4,6", "n,4,6", [0, 4, 6]), ("2,4,6", "4,2,6", [4, 2, 6])])
def test_what_does_something_or_copies_a_length_stays(shape: str, out: str, target: list[int]) -> None:
    refuses(MergeReshapes(), f"(float[{shape}] x) => (float[{out}] y) {{ r = Relu(x) y = Reshape(r, s) }}", s=target)


def test_an_input_that_would_be_an_output_stays() -> None:
    refuses(MergeReshapes(), "(float[n,4] x) => (float[n,4] y) { y = Reshape(x, s) }", s=[-1, 4])
