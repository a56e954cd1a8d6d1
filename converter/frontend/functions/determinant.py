"""``logdet`` of a definite matrix: Keras goes by way of Cholesky's decomposition, ONNX has the determinant itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converter.frontend.functions import FUNCTIONS


def _logdet(tf: Any, original: Callable[..., Any], x: Any) -> Any:
    return tf.math.log(tf.linalg.det(tf.convert_to_tensor(x)))


FUNCTIONS.add("math.logdet", _logdet)
