"""Every model of ``keras.applications``, without weights to fetch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tests.coverage import Case

LARGE = frozenset({"ConvNeXtLarge", "ConvNeXtXLarge", "VGG16", "VGG19", "NASNetLarge", "EfficientNetV2L", "EfficientNetB7", "ConvNeXtBase"})
"""Hundreds of megabytes of weights: only ``scripts/keras_coverage.py`` runs them."""


def names() -> list[str]:
    """Public functions of ``keras.applications`` that make a model."""
    apps = keras.applications
    return sorted(name for name in dir(apps) if name[0].isupper() and callable(getattr(apps, name)))


def case(name: str) -> Case:
    """The model with its own initializers and, so that no layer hides, BatchNorm statistics off 0 and 1."""

    def build() -> Any:
        keras.utils.set_random_seed(0)  # with most others EfficientNetV2 moves by a third of its range for one epsilon, in Keras itself
        model = getattr(keras.applications, name)(weights=None)
        rng = np.random.default_rng(0)
        for variable in model.variables:
            if "moving" in variable.path or "beta" in variable.path or "gamma" in variable.path:
                around = 0.0 if "mean" in variable.path or "beta" in variable.path else 1.0
                variable.assign(around + rng.uniform(-0.1, 0.1, variable.shape).astype(np.float32))
        return model

    return Case(build)
