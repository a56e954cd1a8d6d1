"""Work in threads comes back in order, a bounded number of items is under way, and errors come when it is their turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from converter.calibrate.ahead import ahead


def test_results_come_in_the_order_of_the_items_however_long_each_takes() -> None:
    def work(item: int) -> int:
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * item

    assert list(ahead(work, range(20), 3)) == [i * i for i in range(20)]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_no_more_items_are_taken_than_workers_and_the_one_that_is_looked_at(workers: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(30):
            taken.append(item)
            yield item

    for seen, _ in enumerate(ahead(lambda item: item, items(), workers), start=1):
        assert len(taken) <= seen + workers


def test_items_are_under_way_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)
    assert list(ahead(lambda item: both.wait() >= 0, range(4), 2)) == [True] * 4


def test_an_error_comes_in_the_turn_of_its_item_and_what_has_not_begun_is_dropped() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 2:
            raise ValueError("two")
        return item

    got: list[int] = []
    with pytest.raises(ValueError, match="two"):
        got.extend(ahead(work, range(100), 2))
    assert got == [0, 1]
    assert len(begun) <= 6


def test_an_error_of_the_items_themselves_comes_through() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(ahead(lambda item: item, items(), 2))


def test_nothing_to_do_is_nothing() -> None:
    assert list(ahead(lambda item: item, [], 2)) == []
