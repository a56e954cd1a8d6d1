"""Folds replayed on new variables, and grids that are kept; a manifest that does not fit is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from converter.errors import ConversionError, InputError
from converter.graph import io, query
from converter.ship import bundle as bundles
from converter.spec.bundle import Manifest
from converter.targets import TARGETS
from converter.transfer.refit import refit
from tests.frontend.building import layers, stir

TARGET = TARGETS.get("ort-cpu")


@pytest.fixture(scope="module")
def model() -> Any:
    start = keras.Input((8, 8, 3), name="x")
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(32, 3, name="conv")(start)))
    return stir(keras.Model(start, layers.Dense(64, name="head")(layers.Flatten()(x))))


@pytest.fixture(scope="module")
def shipped(model: Any, quick: None, tmp_path_factory: pytest.TempPathFactory) -> bundles.Bundle:
    import converter

    x = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype(np.float32)
    return converter.ship(model, tmp_path_factory.mktemp("shipped") / "bundle", calib={"x": x})


def values(model: Any) -> dict[str, np.ndarray]:
    return {v.path: np.asarray(v) for v in model.variables}


def manifest(shipped: bundles.Bundle) -> Manifest:
    return bundles.read(shipped.path).manifest


def test_a_fold_follows_the_variable(model: Any, shipped: bundles.Bundle) -> None:
    """Gamma doubled: kernel and bias of the convolution double, what beta gave stays, and so do the grids."""
    name = next(path for path in values(model) if path.endswith("gamma"))
    made = refit(io.load(shipped.float_model), manifest(shipped), {**values(model), name: values(model)[name] * 2}, TARGET)
    before, after = (query.constant(g.graph.initializers["conv/kernel"]) for g in (io.load(shipped.float_model), made.float_graph))
    assert before is not None and after is not None
    np.testing.assert_allclose(after, 2 * before, rtol=1e-6)
    assert made.report.numbers["changed"] == 2
    grid = next(name for name, told in manifest(shipped).tensors.items() if "scale" in told)
    assert float(made.solution.activations[grid].scale) == manifest(shipped).tensors[grid]["scale"]


def test_a_variable_that_is_missing_is_named(model: Any, shipped: bundles.Bundle) -> None:
    given = {name: x for name, x in values(model).items() if name != "head/kernel"}
    with pytest.raises(InputError, match="no variable 'head/kernel'"):
        refit(io.load(shipped.float_model), manifest(shipped), given, TARGET)


def test_a_manifest_without_a_grid_that_the_plan_needs_is_refused(model: Any, shipped: bundles.Bundle) -> None:
    told = manifest(shipped)
    with pytest.raises(ConversionError, match="the bundle has no grid for x: it was shipped by a version that plans otherwise"):
        refit(io.load(shipped.float_model), replace(told, tensors={n: t for n, t in told.tensors.items() if n != "x"}), values(model), TARGET)
