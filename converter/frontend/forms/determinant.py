"""``logdet`` of a definite matrix: Keras goes by way of Cholesky's decomposition, ONNX has the determinant itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converter.frontend.forms import FUNCTIONS, Form
from converter.frontend.marks import Tracing


def _logdet(tracing: Tracing, original: Callable[..., Any], x: Any) -> Any:
    tf = tracing.tf
    return tf.math.log(tf.linalg.det(tf.convert_to_tensor(x)))


FUNCTIONS.add("math.logdet", Form(_logdet))
