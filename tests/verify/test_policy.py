"""The tolerances: ordered as the number formats are, and each between what is rounding and what is wrong."""

import math
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from converter.verify.policy import DEFAULT, EPSILON, Policy

TYPES = ("float64", "float32", "float16", "bfloat16")


def test_coarser_types_are_allowed_more() -> None:
    bounds = [DEFAULT.parity_bound(t) for t in TYPES]
    assert bounds == sorted(bounds)
    assert len(set(bounds)) == len(TYPES)


@pytest.mark.parametrize("dtype", TYPES)
def test_every_bound_is_above_the_epsilon_of_its_type_and_below_a_doubled_output(dtype: str) -> None:
    assert 4 * EPSILON[dtype] < DEFAULT.parity_bound(dtype) < 0.25


def test_float32_bound_is_far_from_one_percent_and_above_what_is_expected() -> None:
    assert DEFAULT.parity_expected < DEFAULT.parity_float32 <= 0.01 / 10


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "object"])
def test_what_is_not_floating_must_be_equal(dtype: str) -> None:
    assert DEFAULT.parity_bound(dtype) == 0
    assert DEFAULT.rounding_floor(dtype, 1e6) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_may_be_flushed_to_zero_is_rounding(dtype: str) -> None:
    smallest = float(np.finfo(dtype).smallest_normal)
    assert smallest <= DEFAULT.rounding_floor(dtype, 0.0) < 100 * smallest
    assert DEFAULT.rounding_floor("int32", 0.0) == 0


def test_rounding_floor_is_in_units_of_the_output() -> None:
    assert DEFAULT.rounding_floor("float32", 1000.0) == pytest.approx(1000 * DEFAULT.rounding_floor("float32", 1.0))


@pytest.mark.parametrize(("gap", "finding"), [(0.0, False), (0.5, False), (-0.5, False), (0.51, True), (-0.51, True), (math.nan, True)])
def test_a_gap_of_more_than_half_a_decibel_is_a_finding(gap: float, finding: bool) -> None:
    assert DEFAULT.is_finding(gap) is finding


def test_a_policy_cannot_be_changed_in_place_and_explains_every_field() -> None:
    with pytest.raises(FrozenInstanceError):
        DEFAULT.confidence = 0.5  # type: ignore[misc]
    missing = [f.name for f in fields(Policy) if f.name not in (Policy.__doc__ or "")]
    assert not missing
