"""Decompositions of matrices: the very factors that TensorFlow gives, signs included."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.frontend.calling import agree, functions

K = keras.ops
RNG = np.random.default_rng(4)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_cholesky_reads_the_lower_triangle(n: int) -> None:
    exported = functions({"factor": lambda x: K.cholesky(x @ tf.linalg.matrix_transpose(x) + tf.eye(n)),
                          "lower": lambda x: tf.linalg.cholesky(x @ tf.linalg.matrix_transpose(x) + tf.eye(n) + tf.linalg.band_part(x, 0, -1)
                                                                - tf.linalg.diag(tf.linalg.diag_part(x)))}, ((n, n), "float32"))
    agree(exported, RNG.normal(size=(3, n, n)).astype(np.float32), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_reflections_choose_the_signs_of_eigen(shape: tuple[int, int], mode: str) -> None:
    cases = {f"{sign}{i}": lambda x, i=i, s=s: K.qr(s * x + tf.eye(*shape), mode)[i] for i in (0, 1) for sign, s in (("plus", 1), ("minus", -1))}
    exported = functions(cases, (shape, "float32"))
    agree(exported, RNG.normal(size=(3, *shape)).astype(np.float32), rtol=1e-4, atol=1e-5)


def test_a_column_that_is_clear_already_stays() -> None:
    exported = functions({f"q{i}": lambda x, i=i: K.qr(x)[i] for i in (0, 1)}, ((3, 3), "float32"))
    agree(exported, np.array([np.diag([2.0, -3.0, 0.5]), np.zeros((3, 3))], np.float32), atol=1e-6)
