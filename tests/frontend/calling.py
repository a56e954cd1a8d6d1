"""Functions as layers of one model, held to TensorFlow on inputs of the test's choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from converter.frontend.export import Exported
from converter.verify.session import Session
from tests.coverage.ops import Call
from tests.frontend.building import export

INFINITE, NAN = float("inf"), float("nan")
EDGES = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1e-4, -7.0, 7.0, 3.75, 100.0, -1e-30], np.float32)
LINE = np.linspace(-9, 9, 200, dtype=np.float32)[None]
TINY = np.array([[1e-45, 3e-39, -2e-40, 1.1754944e-38, 3.4028235e38, 1, 1, 1.9999999, 0.99999994]], np.float32)


def functions(
    cases: dict[str, Callable[..., Any]], *inputs: tuple[tuple[int | None, ...], str], batch: int | None = None, **options: Any
) -> Exported:
    """One model with an output for every function of all ``inputs`` (shape without batch, dtype), exported."""
    given = [keras.Input(shape, batch, dtype, name=f"x{i}") for i, (shape, dtype) in enumerate(inputs)]
    return export(keras.Model(given, {key: Call(f, name=key)(*given) for name, f in cases.items() if (key := name.replace(" ", "_"))}), **options)


def agree(exported: Exported, *feeds: Any, rtol: float = 2e-6, atol: float = 1e-6) -> None:
    """The graph computes for these inputs, NaN and infinities included, what Keras computes."""
    assert exported.runner is not None
    named = {f"x{i}": np.asarray(feed) for i, feed in enumerate(feeds)}
    expected, got = exported.runner.run(named), Session(exported.graph).run(named)
    for name, y in expected.items():
        assert got[name].dtype == y.dtype, name
        np.testing.assert_allclose(got[name], y, rtol, atol, err_msg=name)
