"""The Reshapes around a product go where they only take rows apart and put them together again."""

from __future__ import annotations

import pytest

from converter.passes.rows import MatMulOfRows
from tests.passes.golden import operators, refuses, rewritten

BODY = "(float[n,3,5,4] x) => (float[n,3,5,6] y) { r = Reshape(x, rows) m = MatMul(r, w) y = Reshape(m, back) }"


def test_the_product_of_a_picture() -> None:
    assert operators(rewritten(MatMulOfRows(), BODY, rows=[-1, 4], w=(4, 6), back=[-1, 3, 5, 6])) == "MatMul"


@pytest.mark.parametrize(("rows", "width", "back", "out"), [
    ([-1, 2], 2, [-1, 3, 5, 4], "n,3,5,4"), ([-1, 4], 6, [-1, 5, 3, 6], "n,5,3,6"), ([-1, 4], 6, [-1, 3, 10, 3], "n,3,10,3"),
    ([-1, 4], 6, [-1, 15, 6], "n,15,6")])
def test_other_rows_stay(rows: list[int], width: int, back: list[int], out: str) -> None:
    body = BODY.replace("n,3,5,6", out)
    refuses(MatMulOfRows(), body, rows=rows, w=(rows[1], 4 if width == 2 else width), back=back)


def test_a_product_that_is_read_twice_stays() -> None:
    body = "(float[n,3,5,4] x) => (float[n,3,5,6] y, float[k,6] z) { r = Reshape(x, rows) m = MatMul(r, w) y = Reshape(m, back) z = Neg(m) }"
    refuses(MatMulOfRows(), body, rows=[-1, 4], w=(4, 6), back=[-1, 3, 5, 6])
