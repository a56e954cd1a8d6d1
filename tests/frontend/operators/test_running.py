"""Running products and sums of exponentials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.frontend.building import operators
from tests.frontend.calling import agree, functions


@pytest.mark.parametrize("length", [5, None])
def test_running_products(length: int | None) -> None:
    kinds = [(e, r) for e in (False, True) for r in (False, True)] if length else [(True, True), (False, False)]
    cases: dict[str, Any] = {f"product {e} {r}": lambda x, e=e, r=r: tf.math.cumprod(x, 1, e, r) for e, r in kinds}
    cases |= {f"log {e} {r}": lambda x, e=e, r=r: tf.exp(tf.math.cumulative_logsumexp(x, 1, e, r)) for e, r in kinds[::3]}
    exported = functions(cases | {"whole": lambda x: tf.math.cumprod(tf.cast(x, tf.int32), 1)} if length else cases, ((length, 2), "float32"))
    assert "Loop" not in operators(exported)
    for count in (5,) if length else (1, 2, 5, 8):
        agree(exported, np.linspace(-2, 3, 2 * count, dtype=np.float32).reshape(1, count, 2), rtol=1e-5)
