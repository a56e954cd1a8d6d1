"""Every model of ``keras.applications``, without weights to fetch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.coverage import Case

LARGE = frozenset({"ConvNeXtLarge", "ConvNeXtXLarge", "VGG16", "VGG19", "NASNetLarge", "EfficientNetV2L", "EfficientNetB7", "ConvNeXtBase"})
"""Hundreds of megabytes of weights: only ``scripts/keras_coverage.py`` runs them."""
UNSTEADY = "EfficientNetV2"
"""With other statistics than those of its data Keras itself moves by up to its whole range for one epsilon, and nothing can be proved."""


def names() -> list[str]:
    """Public functions of ``keras.applications`` that make a model."""
    apps = keras.applications
    return sorted(name for name in dir(apps) if name[0].isupper() and callable(getattr(apps, name)))


def case(name: str) -> Case:
    """The model with its own initializers and, so that no layer hides, BatchNorm statistics off 0 and 1."""

    def build() -> Any:
        keras.utils.set_random_seed(0)
        model = getattr(keras.applications, name)(weights=None)
        rng = np.random.default_rng(0)
        for variable in model.variables:
            if "moving" in variable.path or "beta" in variable.path or "gamma" in variable.path:
                around = 0.0 if "mean" in variable.path or "beta" in variable.path else 1.0
                variable.assign(around + rng.uniform(-0.1, 0.1, variable.shape).astype(np.float32))
        if name.startswith(UNSTEADY):
            settle(model)
        return model

    return Case(build)


def settle(model: Any) -> None:
    """Let the BatchNorm layers have the statistics of one batch of noise, as training would leave them."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    noise = np.random.default_rng(1).normal(size=(2, *model.input_shape[1:])).astype(np.float32)
    tf.function(lambda x: model(x, training=True), autograph=False, jit_compile=False)(noise)
    for layer, momentum in zip(layers, before, strict=True):
        layer.momentum = momentum
