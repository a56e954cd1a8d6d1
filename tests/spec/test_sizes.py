"""Sizes of inputs as users give them."""

from __future__ import annotations

from typing import Any

import pytest

from converter.errors import UsageError
from converter.spec.sizes import Size, parse


@pytest.mark.parametrize(("given", "size"), [
    (96, Size((96,))), ("96x128", Size((96, 128))), ("any", Size((None,))), ("anyx64", Size((None, 64))), ((None, 5), Size((None, 5))),
    ("image=32x16", Size((32, 16), "image")), (Size((3,)), Size((3,)))])
def test_what_a_user_may_give(given: Any, size: Size) -> None:
    assert parse(given) == size


@pytest.mark.parametrize("given", ["abc", "", "96x", 0, "-3", (1.5, "x"), [], {}])
def test_what_is_no_size(given: Any) -> None:
    with pytest.raises(UsageError, match=r"a size is a number|lengths are 1 or more"):
        parse(given)


def test_one_number_stands_for_every_axis_and_several_for_each() -> None:
    assert Size((9,)).shape(["N", 4, 5, 3], [1, 2], "input x") == ["N", 9, 9, 3]
    assert Size((9, None)).shape(["N", 4, 5, 3], [1, 2], "input x") == ["N", 9, None, 3]
    with pytest.raises(UsageError, match=r"size 7x8x9 has 3 lengths; input x \['N', 4, 5, 3\] has 2 axes"):
        Size((7, 8, 9)).shape(["N", 4, 5, 3], [1, 2], "input x")


def test_the_input_that_is_meant() -> None:
    assert Size((8, 8)).choose({"image": 2, "mask": 3, "age": 0}) == "image"
    assert Size((8,), "b").choose({"a": 2, "b": 2}) == "b"
    with pytest.raises(UsageError, match="size 8 could be that of a, b; say which, as in a=8"):
        Size((8,)).choose({"a": 2, "b": 2})
    with pytest.raises(UsageError, match=r"size 8x8 fits no input; inputs: a \(1 axes for a size\)"):
        Size((8, 8)).choose({"a": 1})
    with pytest.raises(UsageError, match="input 'c', which is not there; inputs: a"):
        Size((8,), "c").choose({"a": 1})
