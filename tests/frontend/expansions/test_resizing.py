"""Resizes by matrices: every kernel, up and down, whole numbers too; a free size is refused."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from converter.errors import ConversionError
from tests.coverage.ops import Call
from tests.frontend.building import branches, chain, export, operators

IMAGE = (9, 8, 3)


def resized(**options: Any) -> Any:
    return Call(lambda x: tf.image.resize(x, **options))


def kernels() -> dict[str, Any]:
    steps: dict[str, Any] = {}
    for method in ("bicubic", "lanczos3", "lanczos5", "gaussian", "mitchellcubic", "area"):
        steps |= {f"{method}_down": resized(size=(4, 7), method=method), f"{method}_up": resized(size=(13, 21), method=method)}
    steps |= {f"{method}_antialias": resized(size=(4, 5), method=method, antialias=True) for method in ("bilinear", "bicubic", "lanczos3")}
    moved = keras.ops.image.scale_and_translate
    steps["moved"] = Call(lambda x: tf.raw_ops.ScaleAndTranslate(images=x, size=[8, 9], scale=[1.2, 0.8], translation=[0.5, 1.0], kernel_type="triangle"))
    steps["keras"] = Call(lambda x: moved(x[0], (8, 9, 3), np.array([1.2, 0.8], np.float32), np.array([0.5, 1.0], np.float32), (0, 1), "linear"))
    return steps


def test_every_kernel_is_exact() -> None:
    exported = export(branches(IMAGE, kernels()))
    assert exported.report.numbers["parity"]["relative"] < 1e-6
    assert "Resize" not in operators(exported)


def test_whole_numbers_and_channels_first() -> None:
    assert export(branches(IMAGE, {"bicubic": resized(size=(4, 7), method="bicubic")}, dtype="uint8"), opset=13)
    layer = keras.layers.Resizing(5, 6, interpolation="lanczos3", data_format="channels_first")
    assert operators(export(chain((3, 9, 8), layer)))["MatMul"] == 2


@pytest.mark.parametrize(("method", "text"), [("bicubic", "the size of the image before or after it is free"),
                                              ("lanczos3", "its scale and translation are computed from the data")])
def test_a_free_size_is_refused(method: str, text: str) -> None:
    with pytest.raises(ConversionError, match=f"layer 'small'.*{text}.*fixed height and width"):
        export(chain((None, None, 3), keras.layers.Resizing(5, 5, interpolation=method, name="small")))
