"""The inputs that parity is proved on: valid for any signature, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from converter.frontend.samples import FREE_LENGTH, parity_inputs, takes_ids, vocabulary
from converter.spec.signature import TensorInfo
from tests.frontend.building import chain, layers

INPUTS = (TensorInfo("x", (None, 5, None), "float32"), TensorInfo("ids", (None, 7), "int32"), TensorInfo("mask", ("batch", 7), "bool"),
          TensorInfo("fixed", (2, 3), "float16"))


def test_every_feed_fits_the_inputs() -> None:
    kinds = []
    for kind, feeds in parity_inputs(INPUTS, 4):
        kinds.append(kind)
        assert {n: str(a.dtype) for n, a in feeds.items()} == {i.name: i.dtype for i in INPUTS}
        batch = 3 if kind.endswith("batch 3") else 1
        assert [a.shape for a in feeds.values()] == [(batch, 5, FREE_LENGTH), (batch, 7), (batch, 7), (2, 3)]
        assert 0 <= feeds["ids"].min() <= feeds["ids"].max() < 4
    assert kinds == ["random, batch 1", "random, batch 3", "wide, batch 1", "zeros", "ones"]


def test_they_are_the_same_every_time_and_differ_among_each_other() -> None:
    first, second = (dict(parity_inputs(INPUTS, 100)) for _ in range(2))
    for kind, feeds in first.items():
        assert all(np.array_equal(a, second[kind][n]) for n, a in feeds.items())
    assert first["wide, batch 1"]["x"].std() > 20 * first["random, batch 1"]["x"].std()
    assert len({sample.tobytes() for sample in first["random, batch 3"]["x"]}) == 3


@pytest.mark.parametrize("size", [1, 2, 9])
def test_ids_in_float_inputs_are_whole_and_in_range(size: int) -> None:
    for _, feeds in parity_inputs([TensorInfo("x", (None, 50), "float32")], size, whole=True):
        assert feeds["x"].dtype == np.float32
        assert set(np.unique(feeds["x"])) <= set(range(size))


def test_the_smallest_table_of_a_model_decides() -> None:
    model = chain((6,), layers.Embedding(11, 5), dtype="int32")
    assert (vocabulary(model), takes_ids(model)) == (11, True)
    assert (vocabulary(chain((6,), layers.Dense(2))), takes_ids(chain((6,), layers.Dense(2)))) == (2, False)
