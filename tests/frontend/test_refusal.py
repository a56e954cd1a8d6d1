"""What is said of operators that ONNX does not have."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf

from converter.errors import ConversionError
from converter.frontend import refusal
from tests.coverage.ops import Call
from tests.frontend.building import export

K = keras.ops


def test_all_of_a_model_are_named_at_once() -> None:
    x = keras.Input((3, 3), name="x")
    square = Call(lambda x: K.matmul(x, K.transpose(x, (0, 2, 1))) + K.eye(3), name="square")(x)
    inverse = Call(K.pinv, name="inverse")(square)
    neighbour = Call(K.nextafter, name="neighbour")(inverse, x)
    with pytest.raises(ConversionError) as caught:
        export(keras.Model(x, [neighbour, Call(lambda x: K.eigh(x)[1], name="factors")(square)]))
    text = str(caught.value)
    assert text.startswith("3 operators have no ONNX form")
    for part in ("inverse: Svd (ONNX has no such decomposition", "neighbour: NextAfter (ONNX has no neighbours", "factors: SelfAdjointEigV2 (ONNX has no such"):
        assert part in text


def test_they_are_named_too_where_the_translation_itself_fails() -> None:
    """The choice among branches stops it before it comes to the matrix."""
    x = keras.Input((3, 3), name="x")
    choice = Call(lambda x: tf.switch_case(tf.cast(x[0, 0, 0] > 0, tf.int32), [lambda: x, lambda: -x, lambda: tf.linalg.pinv(x)]), name="choice")(x)
    with pytest.raises(ConversionError) as caught:
        export(keras.Model(x, Call(lambda x: K.eigh(x)[1], name="factors")(choice)))
    for part in ("choice: StatelessCase", "factors: SelfAdjointEigV2 (ONNX has no such decomposition", "Svd", "tf2onnx cannot convert this model"):
        assert part in str(caught.value)


@pytest.mark.parametrize(("operator", "word"), [("StringToHashBucketFast", "pipeline"), ("Svd", "matrices"), ("IRFFT", "complex"), ("Where", "data"),
                                                ("RandomUniform", "random"), ("Unheard", "operations that ONNX has")])
def test_advice(operator: str, word: str) -> None:
    assert word in refusal.advice(operator)


def test_a_long_list_is_cut() -> None:
    text = refusal.text([(f"layer{i}", "Svd", "") for i in range(30)] + [("layer1", "Svd", "")])
    assert text.startswith("31 operators") and text.endswith("; and 10 more") and text.count("layer1:") == 1
