"""State that no output reads is no state: random layers draw numbers in inference that they do not use."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from converter.errors import ConversionError
from tests.frontend.building import branches, chain, export, layers, operators


class Counting(keras.layers.Layer):
    """Counts its calls, and adds the count where it is told to."""

    def __init__(self, told: bool, **options: Any) -> None:
        super().__init__(**options)
        self.told, self.count = told, self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")

    def call(self, x: Any) -> Any:
        before = self.count.value
        self.count.assign_add(1.0)
        return x + before if self.told else x * 2


def test_random_layers_vanish() -> None:
    steps = {"hue": layers.RandomHue(0.2), "grey": layers.RandomGrayscale(), "sharp": layers.RandomSharpness(0.3), "mixed": layers.MixUp(),
             "turned": layers.RandomRotation(0.2), "dropped": layers.Dropout(0.3), "noisy": layers.GaussianNoise(0.3)}
    assert operators(export(branches((6, 5, 3), steps))) == {"Identity": len(steps)}


def test_a_count_that_nobody_reads_is_dropped() -> None:
    assert operators(export(chain((3,), Counting(told=False)))) == {"Mul": 1}


def test_a_count_that_an_output_reads_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"changes 1 of its variables.*counter/count"):
        export(chain((3,), Counting(told=True, name="counter")))
