"""Intervals against published numbers, an independent computation, and simulation."""

import math
from functools import cache

import numpy as np
import pytest

from converter.verify.intervals import mean_difference, paired_shares, smallest, t_value, z_value

LEVEL = 0.95


def test_a_published_example() -> None:
    """Airway hyper-responsiveness of 21 children (1, 1, 7, 12): Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014)."""
    assert paired_shares(1, 7, 21, LEVEL) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize("n", [1, 5, 93, 10_000])
def test_no_changed_pair_is_no_certainty(n: int) -> None:
    z2 = z_value(LEVEL) ** 2
    assert paired_shares(0, 0, n, LEVEL) == pytest.approx((-z2 / (n + z2), z2 / (n + z2)))


def likely(lost: int, gained: int, n: int, d: float) -> float:
    """The share of gained pairs with the highest likelihood when the difference is ``d``, by brute force."""
    q = np.linspace(max(0.0, -d), (1 - d) / 2, 400_001)[1:-1]
    same = n - lost - gained
    value = lost * np.log(q + d) + gained * np.log(q) + same * np.log(1 - 2 * q - d)
    return float(q[np.argmax(value)])


@pytest.mark.parametrize(("lost", "gained", "n"), [(40, 20, 160), (3, 1, 93), (1, 7, 21), (5, 5, 50), (2, 9, 30)])
def test_at_both_ends_the_score_test_just_holds(lost: int, gained: int, n: int) -> None:
    for d, sign in zip(paired_shares(lost, gained, n, LEVEL), (1, -1), strict=True):
        q = likely(lost, gained, n, d)
        assert (lost - gained - n * d) / math.sqrt(n * (2 * q + d * (1 - d))) == pytest.approx(sign * z_value(LEVEL), rel=1e-3)


@pytest.mark.parametrize(("lost", "gained", "n"), [(0, 0, 10), (4, 0, 10), (10, 0, 10), (0, 10, 10), (5, 5, 10), (1, 0, 93), (300, 280, 10_000)])
def test_the_interval_is_antisymmetric_and_holds_the_measured_drop(lost: int, gained: int, n: int) -> None:
    low, high = paired_shares(lost, gained, n, LEVEL)
    assert -1 <= low <= (lost - gained) / n <= high <= 1
    assert low < high
    assert paired_shares(gained, lost, n, LEVEL) == pytest.approx((-high, -low))
    wider = paired_shares(lost, gained, n, 0.99)
    assert wider[0] <= low
    assert wider[1] >= high
    assert wider != (low, high)


@cache
def interval(lost: int, gained: int, n: int) -> tuple[float, float]:
    return paired_shares(lost, gained, n, LEVEL)


@pytest.mark.parametrize(("n", "lost", "gained", "most"), [
    (30, 0.05, 0.05, 0.99), (30, 0.2, 0.05, 0.97), (93, 0.03, 0.03, 0.99), (93, 0.06, 0.01, 0.98), (93, 0.02, 0.0, 1.0), (93, 0.005, 0.005, 1.0),
    (500, 0.02, 0.01, 0.97), (500, 0.004, 0.002, 0.99), (2000, 0.03, 0.03, 0.97), (2000, 0.001, 0.0, 1.0),
])
def test_coverage_by_simulation(n: int, lost: float, gained: float, most: float) -> None:
    """The share of intervals that hold the true drop, in 4000 draws (standard error 0.35 %); with few changes it is on the safe side."""
    rng = np.random.default_rng(11)
    draws = rng.multinomial(n, [lost, gained, 1 - lost - gained], 4000)
    held = [low <= lost - gained <= high for low, high in (interval(int(b), int(c), n) for b, c, _ in draws)]
    assert 0.93 <= np.mean(held) <= most


def test_coverage_of_the_mean_by_simulation() -> None:
    rng = np.random.default_rng(5)
    for n in (5, 12, 100):
        draws = rng.normal(0.3, 2, (4000, n))
        held = [low <= 0.3 <= high for low, high in (mean_difference(float(d.mean()), float(d.std(ddof=1)), n, LEVEL) for d in draws)]
        assert 0.94 <= np.mean(held) <= 0.96


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (30, 2.04227), (999, 1.96234)])
def test_student_quantiles_are_those_of_the_tables(freedom: int, expected: float) -> None:
    assert t_value(freedom, LEVEL) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(("mean", "deviation", "n"), [(1.0, 1.0, 1), (math.inf, 1.0, 9), (1.0, math.nan, 9)])
def test_what_says_nothing_has_an_infinite_interval(mean: float, deviation: float, n: int) -> None:
    assert mean_difference(mean, deviation, n, LEVEL) == (-math.inf, math.inf)


@pytest.mark.parametrize("edge", [1, 2, 7, 8, 1000, 123_457])
def test_the_smallest_number_is_found(edge: int) -> None:
    assert smallest(lambda n: n >= edge, 1) == edge
    assert smallest(lambda n: n >= edge, 5) == max(edge, 5)
    assert smallest(lambda n: False, 1) is None
