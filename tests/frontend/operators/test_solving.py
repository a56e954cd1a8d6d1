"""Systems of linear equations, with pivots out of order."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from converter.errors import ConversionError
from converter.graph import query
from converter.spec.quant import Array
from tests.frontend.calling import agree, functions

K = keras.ops
RNG = np.random.default_rng(3)


def matrices(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


def lifted(x: tf.Tensor) -> tf.Tensor:
    """Regular whatever ``x`` is between -1 and 1, and with its largest entries off the diagonal."""
    n = int(x.shape[-1])
    return 0.3 * x / n + tf.roll(tf.eye(n), 1, axis=-1)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_pivot_is_found_wherever_it_stands(n: int) -> None:
    exported = functions({"solve": lambda a, b: K.solve(lifted(a), b), "inverse": lambda a, b: K.inv(lifted(a)),
                          "adjoint": lambda a, b: tf.linalg.solve(lifted(a), b, adjoint=True) + tf.linalg.inv(lifted(a), adjoint=True)[..., :1]},
                         ((n, n), "float32"), ((n, 3), "float32"))
    agree(exported, matrices(4, n, n), matrices(4, n, 3), rtol=1e-4, atol=1e-5)


def test_pivoting_keeps_what_a_small_diagonal_would_lose() -> None:
    """In double precision too: 1 + 1e20 is 1e20."""
    small, across = 1e-20 * tf.eye(2), tf.reverse(tf.eye(2), [0])
    exported = functions({"solve": lambda a, b: K.solve(a + small + across, b)}, ((2, 2), "float32"), ((2, 1), "float32"))
    agree(exported, np.array([[[0, 0], [0, 1]]], np.float32), np.array([[[1], [2]]], np.float32), rtol=1e-5)


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("adjoint", [True, False])
def test_substitution_reads_one_triangle(lower: bool, adjoint: bool) -> None:
    exported = functions({"x": lambda a, b: tf.linalg.triangular_solve(a + 9 * tf.eye(4), b, lower=lower, adjoint=adjoint)},
                         ((4, 4), "float32"), ((4, 2), "float32"))
    agree(exported, matrices(3, 4, 4), matrices(3, 4, 2), rtol=1e-5)


def test_nothing_loops() -> None:
    exported = functions({"inverse": lambda x: K.inv(lifted(x))}, ((3, 3), "float32"))
    assert not {"Loop", "Scan", "If"} & {n.op_type for n in exported.graph.graph}
    assert query.opset(exported.graph) == 23


def test_a_large_matrix_is_refused() -> None:
    with pytest.raises(ConversionError, match="a matrix of 33 rows, and up to 32 can be written out"):
        functions({"inverse": K.inv}, ((33, 33), "float32"))
