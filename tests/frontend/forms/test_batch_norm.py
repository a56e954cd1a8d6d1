"""BatchNormalization in inference is arithmetic on vectors that folds, over any axis, and Keras's own code where it is not that."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from converter.errors import ConversionError
from tests.frontend.building import branches, chain, export, layers, operators
from tests.frontend.forms.inside import calling, once

L = layers
IMAGE = (6, 5, 4)


def every() -> dict[str, Any]:
    """All settings on images."""
    return {
        "last": L.BatchNormalization(), "first": L.BatchNormalization(axis=1), "middle": L.BatchNormalization(axis=-2, epsilon=0.5),
        "positive": L.BatchNormalization(axis=3), "no gain": L.BatchNormalization(scale=False), "no bias": L.BatchNormalization(center=False),
        "bare first": L.BatchNormalization(axis=1, center=False, scale=False), "bare": L.BatchNormalization(center=False, scale=False, epsilon=0.1),
        "half": L.BatchNormalization(dtype="float16"), "half first": L.BatchNormalization(axis=1, dtype="float16"),
        "mixed": L.BatchNormalization(dtype="mixed_float16"), "double": L.BatchNormalization(dtype="float64"), "renorm": L.BatchNormalization(renorm=True),
    }


def stirred(model: Any) -> Any:
    """Every variable of every BatchNormalization is another number, none of them 0 or 1."""
    rng = np.random.default_rng(3)
    for variable in model.variables:
        variable.assign(rng.uniform(0.3, 2.0, variable.shape))
    return model


@pytest.mark.parametrize("opset", [13, 23])
def test_every_setting(opset: int) -> None:
    found = operators(export(stirred(branches(IMAGE, every())), opset=opset))
    assert not {"Sqrt", "Div", "Sub", "Neg", "Reshape"}.intersection(found)
    assert (found["Mul"], found["Add"]) == (13, 13)


@pytest.mark.parametrize("shape", [(4,), (7, 4), (3, 3, 3, 4)])
def test_other_ranks(shape: tuple[int, ...]) -> None:
    cases = {"last": L.BatchNormalization(), "first": L.BatchNormalization(axis=1)}
    assert operators(export(stirred(branches(shape, cases))))["Mul"] == 2


def test_it_folds_into_a_convolution_and_lies_in_no_way() -> None:
    found = operators(export(stirred(chain(IMAGE, L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU(), L.Conv2D(2, 3), L.BatchNormalization()))))
    assert found == {"Conv": 2, "Relu": 1, "Transpose": 2}


def test_in_a_loop_with_a_mask_and_in_a_model_of_its_own() -> None:
    masked = [L.Masking(0.0), L.BatchNormalization()]
    inner = keras.Sequential([keras.Input((7, 4)), L.BatchNormalization(axis=1), L.ReLU()])
    export(stirred(branches((7, 4), {"loop": once(L.BatchNormalization()), "masked": masked, "inner": inner, "again": inner})))


def test_in_training_it_is_keras_own_code_that_is_refused() -> None:
    norm = L.BatchNormalization()
    model = chain(IMAGE, norm, calling(lambda x: norm(x, training=True)))
    with pytest.raises(ConversionError, match=r"changes 2 of its variables when it is called for inference"):
        export(model)
