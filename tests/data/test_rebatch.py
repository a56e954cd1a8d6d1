"""Batches are cut exactly, whatever the pieces are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.data import fingerprint, limit, open_source
from converter.data.rebatch import rebatch
from converter.data.source import Batch
from converter.errors import UsageError
from converter.spec.signature import TensorInfo

INPUTS = [TensorInfo("a", (None, 2), "float32"), TensorInfo("b", (None,), "int32")]


def generator(lengths):
    def batches():
        start = 0
        for n in lengths:
            rows = np.arange(start, start + n)
            yield {"a": np.stack([rows, -rows], 1).astype("float32"), "b": rows, "y": rows * 10}
            start += n

    return batches


@given(st.lists(st.integers(0, 9), max_size=8).filter(any), st.integers(1, 12), st.integers(1, 50))
def test_batches_are_exact_in_order_and_complete(lengths, size, most):
    source = open_source(generator(lengths), INPUTS, labels=True)
    for stream, total in ((source, sum(lengths)), (limit(source, most), min(sum(lengths), most))):
        for _ in range(2):  # every call starts anew
            batches = list(stream.batches(size))
            assert [len(b) for b in batches] == [size] * (total // size) + [total % size] * (total % size > 0)
            for values in ([b.inputs["b"] for b in batches], [b.labels // 10 for b in batches], [b.inputs["a"][:, 0] for b in batches]):
                np.testing.assert_array_equal(np.concatenate(values), np.arange(total))


@given(st.lists(st.integers(0, 9), max_size=8).filter(any), st.integers(1, 12))
def test_fingerprint_sees_samples_not_batches(lengths, size):
    whole = fingerprint(open_source(generator([sum(lengths)]), INPUTS))
    assert fingerprint(open_source(generator(lengths), INPUTS), size) == whole
    assert fingerprint(open_source(generator([*lengths, 1]), INPUTS)) != whole


def test_fingerprint_depends_on_order_values_names_and_shape_but_not_on_labels():
    x = np.arange(12, dtype="float32").reshape(6, 2)
    info = [TensorInfo("a", (None, None), "float32")]
    prints = [fingerprint(open_source(data, info)) for data in (x, x[::-1], x + 1, x.reshape(3, 4))]
    prints.append(fingerprint(open_source(x, [TensorInfo("b", (None, 2), "float32")])))
    prints.append(fingerprint(open_source(x.astype("float64"), [TensorInfo("a", (None, 2), "float64")])))
    assert len(set(prints)) == 6
    assert all(len(p) == 64 for p in prints)
    assert fingerprint(open_source((x, np.arange(6)), info)) == prints[0]
    assert fingerprint(open_source(generator([3]), INPUTS)) == fingerprint(open_source(generator([3]), INPUTS[::-1]))


def test_batch_ends_where_a_free_axis_changes_its_length():
    pieces = [Batch({"a": np.zeros((n, width), "float32")}, None) for n, width in ((2, 5), (1, 5), (3, 7), (1, 5))]
    assert [b.inputs["a"].shape for b in rebatch(pieces, 2)] == [(2, 5), (1, 5), (2, 7), (1, 7), (1, 5)]


def test_batch_ends_where_labels_change_their_layout():
    x = np.zeros((1, 2), "float32")
    elements = [(x, [[1, 2]]), (x, [[1, 2, 3]]), (x, [[1, 2, 4]]), x, (x, [[0.5, 1, 2]])]
    labels = [None if b.labels is None else b.labels.tolist() for b in open_source(elements, INPUTS[:1]).batches(2)]
    assert labels == [[[1, 2]], [[1, 2, 3], [1, 2, 4]], None, [[0.5, 1, 2]]]


def test_empty_batches_end_nothing():
    info = [TensorInfo("a", (None, None), "float32")]
    shapes = ((0, 3), (1, 5), (0, 7), (1, 5))
    (batch,) = open_source(lambda: iter([np.zeros(shape, "float32") for shape in shapes]), info).batches(2)
    assert batch.inputs["a"].shape == (2, 5)


def test_generator_may_reuse_its_buffer():
    def batches():
        buffer, answers = np.zeros((3, 2), "float32"), np.zeros(3, "int64")
        for value in range(4):
            buffer[:], answers[:] = value, value
            yield buffer, answers

    batches_of_two = list(open_source(batches, [TensorInfo("a", (None, 2), "float32")], labels=True).batches(2))
    assert [b.inputs["a"][:, 0].tolist() for b in batches_of_two] == [[0, 0], [0, 1], [1, 1], [2, 2], [2, 3], [3, 3]]
    assert [b.labels.tolist() for b in batches_of_two] == [[0, 0], [0, 1], [1, 1], [2, 2], [2, 3], [3, 3]]


def test_limit_reads_nothing_further_and_ends_an_endless_source():
    pulled = []

    def endless():
        while True:
            pulled.append(1)
            yield np.zeros((4, 2), "float32")

    source = limit(open_source(endless, INPUTS[:1]), 10)
    assert [len(b) for b in source.batches(3)] == [3, 3, 3, 1]
    assert len(pulled) == 3
    assert source.count is None
    pulled.clear()
    assert [len(b) for b in limit(source, 8).batches(100)] == [8]
    assert len(pulled) == 2


def test_limit_counts_and_names():
    source = open_source(np.zeros((5, 2), "float32"), INPUTS[:1])
    assert (limit(source, 3).count, limit(source, 9).count, limit(source, 3).name) == (3, 5, source.name)


@pytest.mark.parametrize("n", [0, -1])
def test_sizes_below_one_are_refused_at_once(n):
    source = open_source(np.zeros((5, 2), "float32"), INPUTS[:1])
    with pytest.raises(UsageError, match=f"received {n}"):
        limit(source, n)
    with pytest.raises(UsageError, match=f"received {n}"):
        source.batches(n)
    with pytest.raises(UsageError, match=f"received {n}"):
        limit(source, 3).batches(n)
