"""Colours there and back, at old and new opsets, at every corner of the cube and on its grey line."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from converter.verify.session import Session
from tests.coverage.ops import Call
from tests.frontend.building import branches, export

K = keras.ops


@pytest.mark.parametrize("opset", [13, 18])
def test_corners_and_random_colours(opset: int) -> None:
    image = K.image
    steps = {"hsv": Call(lambda x: image.rgb_to_hsv(K.clip(x, 0, 1))), "rgb": Call(lambda x: image.hsv_to_rgb(K.clip(x, 0, 1))),
             "grey": Call(lambda x: tf.image.adjust_saturation(K.clip(x, 0, 1), 0.3)), "vivid": Call(lambda x: tf.image.adjust_saturation(K.clip(x, 0, 1), 3.0))}
    exported = export(branches((5, 25, 3), steps), opset=opset)
    cube = np.array(list(itertools.product(np.linspace(0, 1, 5), repeat=3)), np.float32).reshape(1, 5, 25, 3)
    assert exported.runner is not None
    expected, got = exported.runner.run({"x": cube}), Session(exported.graph).run({"x": cube})
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], atol=2e-6)
