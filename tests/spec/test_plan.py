"""A plan as data."""

from __future__ import annotations

from converter.spec.plan import Derived, Fixed, Own, QuantPlan, Shared
from converter.spec.quant import ACTIVATION_U8, BIAS_S32, WEIGHT_S8

PLAN = QuantPlan({
    "x": Own(ACTIVATION_U8, observer="mse"), "w": Own(WEIGHT_S8, 0), "b": Derived(BIAS_S32, "x", "w"), "pooled": Shared("x"),
    "flat": Shared("pooled"),
    "p": Fixed(ACTIVATION_U8, 1 / 256, 0), "y": Own(ACTIVATION_U8, observer="minmax")})


def test_observed_are_the_activations_with_a_grid_of_their_own_in_order() -> None:
    assert list(PLAN.observed()) == ["x", "y"]


def test_the_owner_is_found_through_any_chain() -> None:
    assert [PLAN.owner(n) for n in ("x", "pooled", "flat", "b", "p")] == ["x", "x", "x", "b", "p"]
