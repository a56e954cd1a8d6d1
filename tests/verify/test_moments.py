"""Running moments against numpy on the whole."""

import math

import numpy as np
import pytest

from converter.verify.moments import Moments


def stream(parts: list[np.ndarray]) -> Moments:
    moments = Moments()
    for part in parts:
        moments.update(part)
    return moments


@pytest.mark.parametrize("offset", [0.0, 1e8])  # with the offset a sum of squares would lose the variance
def test_streamed_and_merged_moments_equal_those_of_the_whole(offset: float) -> None:
    x = np.random.default_rng(0).normal(size=1000) + offset
    left, right = stream([x[:10], x[10:11], x[11:400]]), stream([x[400:]])
    left.merge(right)
    left.merge(Moments())
    assert (left.count, left.total) == (1000, 1000)
    assert left.mean == pytest.approx(x.mean(), rel=1e-12)
    assert left.deviation() == pytest.approx(x.std(), rel=1e-6)
    assert left.deviation(1) == pytest.approx(x.std(ddof=1), rel=1e-6)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_makes_the_mean_infinite(broken: float) -> None:
    moments = stream([np.array([1.0, broken, 2.0])])
    other = stream([np.array([1.0])])
    other.merge(moments)
    for seen in (moments, other):
        assert seen.mean == math.inf
        assert seen.deviation() == math.inf
        assert seen.broken == 1
    assert (moments.total, other.total) == (3, 4)


def test_too_few_values_have_no_moments() -> None:
    assert math.isnan(Moments().mean)
    assert math.isnan(stream([np.ones(1)]).deviation(1))
