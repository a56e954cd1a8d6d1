"""Projective transforms: every fill mode and interpolation, far outside, at halves, at infinity, one for all images or one for each."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from converter.errors import ConversionError
from tests.frontend.building import export

MODES = ("constant", "nearest", "reflect", "wrap")
TRANSFORMS = {
    "affine": [1.1, 0.1, -2.5, -0.1, 0.9, 1.3, 0, 0],
    "perspective": [1.1, 0.1, -2.5, -0.1, 0.9, 1.3, 0.01, -0.11],
    "far": [3.1, 0.3, -25.5, -0.6, 3.9, -21.3, 0, 0],
    "halves": [0.5, 0, -2, 0, 0.5, -1.5, 0, 0],
    "infinity": [1, 0, 0, 0, 1, 0, -0.25, 0],
}


class Transformed(keras.layers.Layer):
    """Every fill mode and interpolation of constant transforms, or of the second input."""

    def call(self, x: Any, given: Any = None) -> Any:
        transforms: dict[str, Any] = {name: np.array([t], np.float32) for name, t in TRANSFORMS.items()}
        if given is not None:
            transforms = {"given": given * 0.2 + np.array([1, 0, 0, 0, 1, 0, 0, 0], np.float32)}
        return {f"{name}_{mode}_{kind}": keras.ops.image.affine_transform(x, t, interpolation=kind, fill_mode=mode, fill_value=0.7)
                for name, t in transforms.items() for mode in (MODES if name in ("far", "given") else MODES[:1]) for kind in ("bilinear", "nearest")}


def test_constant_transforms() -> None:
    x = keras.Input((9, 8, 2), name="x")
    assert export(keras.Model(x, Transformed()(x))).report.numbers["parity"]["relative"] < 1e-6


def test_a_transform_for_each_image() -> None:
    x, t = keras.Input((5, 4, 2), name="x"), keras.Input((8,), name="t")
    assert export(keras.Model([x, t], Transformed()(x, t)), opset=13).report.numbers["parity"]["relative"] < 1e-6


def test_a_free_size_is_refused() -> None:
    x = keras.Input((None, None, 2), name="x")
    with pytest.raises(ConversionError, match=r"layer 'moved'.*ImageProjectiveTransformV3 has no ONNX form here: the height, width"):
        export(keras.Model(x, Transformed(name="moved")(x)))
