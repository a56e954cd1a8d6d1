"""A layer over time is run once, on batch and time together."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from converter.errors import ConversionError
from tests.frontend.building import branches, chain, export, layers, operators, stir

L = layers


@pytest.fixture(autouse=True)
def seeded() -> None:
    keras.utils.set_random_seed(5)


def proved(model: Any) -> dict[str, int]:
    exported = export(model)
    assert exported.report.numbers["parity"]["relative"] < 1e-5
    return operators(exported)


def test_the_layer_is_there_once() -> None:
    image = chain((6, 6, 2), L.Conv2D(3, 3), L.BatchNormalization(), L.ReLU(), L.GlobalAveragePooling2D(), L.Dense(2))
    kinds = proved(branches((3, 6, 6, 2), {"model": L.TimeDistributed(image), "conv": L.TimeDistributed(L.Conv2D(3, 3)),
                                           "flat": L.TimeDistributed(L.Flatten())}))
    assert (kinds["Conv"], kinds["Gemm"]) == (2, 1)
    assert not set(kinds) & {"Loop", "Scan", "Split", "Slice"}


def test_sequences_of_any_length_and_any_number_of_steps() -> None:
    assert proved(chain((2, None, 2), L.TimeDistributed(L.LSTM(3))))["LSTM"] == 1
    kinds = proved(chain((None, 2), L.TimeDistributed(L.Dense(3))))
    assert (kinds["Gemm"], kinds["Reshape"], "Loop" in kinds) == (1, 2, False)


def test_the_mask_goes_with_the_steps() -> None:
    x, mask = keras.Input((3, 4, 2), name="x"), keras.Input((3, 4), dtype="bool", name="mask")
    model = keras.Model([x, mask], L.TimeDistributed(L.SimpleRNN(3))(x, mask=mask))
    assert proved(stir(model))["RNN"] == 1


class Mixing(keras.layers.Layer):
    """Looks at all samples of a batch."""

    def call(self, inputs: Any) -> Any:
        """Less the mean over the batch."""
        return inputs - keras.ops.mean(inputs, axis=0, keepdims=True)

    def compute_output_shape(self, shape: Any) -> Any:
        """As the input."""
        return shape


def test_a_layer_that_mixes_samples_is_run_step_by_step_or_refused() -> None:
    assert proved(chain((3, 2), L.Dense(2), L.TimeDistributed(Mixing())))["ReduceMean"] == 3
    with pytest.raises(ConversionError, match="culprit: TimeDistributed over a layer that is not one of Keras's"):
        export(chain((None, 2), L.Dense(2), L.TimeDistributed(Mixing(), name="culprit")))
