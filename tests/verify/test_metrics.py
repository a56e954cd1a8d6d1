"""Metrics: scores a sample by hand, broken outputs never right, labels that do not fit refused with value and place."""

import numpy as np
import pytest

from converter.errors import InputError, UsageError
from converter.verify.labels import PADDING, right_answers
from converter.verify.metrics import METRICS, Metric, Readings
from converter.verify.metrics.binary import BinaryAccuracy
from converter.verify.metrics.regression import Distance
from converter.verify.metrics.topk import TopK

Array = np.ndarray
SCORES = np.array([[0.1, 0.7, 0.2], [3.0, -1.0, 2.0], [0.5, 0.5, 0.1]])
SIX = np.arange(12.0).reshape(2, 6)  # best to worst: 5 4 3 2 1 0


def scores(name: str, output: Array, labels: Array) -> list[float]:
    metric = METRICS.get(name)
    metric.check(labels, output)
    got = metric.scores(output, labels)
    assert got.dtype == np.float64
    assert got.shape == (len(output),)
    return [float(v) for v in got]


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_keeps_the_contract(name: str) -> None:
    metric = METRICS.get(name)
    assert isinstance(metric, Metric)
    assert metric.name == name
    assert metric.unit
    assert (metric.unit == "points") is metric.higher_is_better  # shares are the better the higher, errors the lower


def test_an_unknown_metric_names_those_that_exist() -> None:
    assert isinstance(METRICS.get("top5"), TopK)
    assert isinstance(METRICS.get("accuracy_binary"), BinaryAccuracy)
    assert isinstance(METRICS.get("mse"), Distance)
    with pytest.raises(UsageError, match="unknown metric 'f1'; known: accuracy_binary, mae, mse, top1, top5"):
        METRICS.get("f1")


@pytest.mark.parametrize(("labels", "expected"), [
    (np.array([1, 0, 0]), [1, 1, 1]),
    (np.array([0, 2, 1]), [0, 0, 0]),  # a tie goes to the lower class
    (np.array([1.0, 0.0, 0.0], np.float32), [1, 1, 1]),
    (np.array([1, 0, 2], np.uint8), [1, 1, 0]),
    (np.array([[1], [2], [0]]), [1, 0, 1]),
    (np.array([[0, 1], [2, -1], [0, -1]]), [1, 0, 1]),  # several right answers
    (np.array([[2, 1, 0], [2, 1, -1], [2, -1, -1]]), [1, 0, 0]),  # as many as there are classes
    (np.array([[2, 1, 0], [2, 2, 1], [2, 1, 0]]), [1, 0, 1]),
    (np.eye(3)[[1, 2, 0]], [1, 0, 1]),  # one-hot
    (np.eye(3, dtype=np.int64)[[1, 2, 0]], [1, 0, 1]),
    (np.eye(3, dtype=bool)[[1, 2, 0]], [1, 0, 1]),
    (np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1]]), [1, 0, 0]),  # several-hot
    (np.eye(3)[[1, 2, 0]] * 0.9 + 0.03, [1, 0, 1]),  # smoothed
])
def test_top1(labels: Array, expected: list[int]) -> None:
    assert scores("top1", SCORES, labels) == expected


def test_right_answers_of_every_form_are_class_numbers() -> None:
    for labels in (np.array([1, 2]), np.array([[1], [2]]), np.eye(3)[[1, 2]]):
        answers = right_answers(labels, np.zeros((2, 3)))
        assert answers.dtype == np.int64
        assert [set(row) - {PADDING} for row in answers.tolist()] == [{1}, {2}]


def test_top5_and_its_ties() -> None:
    assert scores("top5", SIX, np.array([1, 0])) == [1, 0]
    assert scores("top5", np.zeros((2, 6)), np.array([4, 5])) == [1, 0]
    assert scores("top5", SIX.astype(np.uint8), np.array([1, 0])) == [1, 0]  # unsigned values are not negated


def test_top1_is_top_k_with_k_one() -> None:
    rng = np.random.default_rng(0)
    output = rng.integers(0, 4, (300, 8)).astype(np.float32)  # many ties
    labels = rng.integers(0, 8, 300)
    order = np.argsort(-output, axis=-1, kind="stable")
    assert scores("top1", output, labels) == list((order[:, 0] == labels).astype(float))
    assert scores("top5", output, labels) == [float(y in row[:5]) for y, row in zip(labels, order, strict=True)]


def test_extra_axes_are_averaged_over_rows_that_have_labels() -> None:
    output = np.stack([np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[1, 1, 1, 1]]])
    assert scores("top1", output, np.array([[0, 1, 0, 1], [1, 1, 1, 0]])) == [0.5, 0.75]
    assert scores("top1", output, np.array([[0, 0, -1, -1], [1, -1, -1, -1]])) == [0.5, 1.0]
    assert scores("top1", output, np.array([[[0, 2], [1, -1], [0, -1], [1, -1]], [[1, -1]] * 4])) == [0.5, 1.0]
    assert scores("top1", output, np.eye(3)[np.array([[0, 1, 0, 1], [1, 1, 1, 0]])]) == [0.5, 0.75]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_finite_is_wrong(value: float) -> None:
    for place in range(6):
        output = SIX.copy()
        output[0, place] = value
        assert scores("top1", output, np.array([place, 5])) == [0, 1]
        assert scores("top5", output, np.array([place, 5])) == [0, 1]
    assert scores("mae", np.array([[value], [1.0]]), np.zeros((2, 1))) == [np.inf, 1]
    assert scores("mse", np.array([[-value], [1.0]]), np.zeros((2, 1))) == [np.inf, 1]
    assert scores("accuracy_binary", np.array([value, 0.2]), np.array([1, 0])) == [0, 1]
    assert scores("accuracy_binary", np.array([value, 0.2]), np.array([0, 0])) == [0, 1]


def test_minus_infinity_rules_a_class_out() -> None:
    assert scores("top1", np.array([[-np.inf, 1.0, 0.0]]), np.array([1])) == [1]


@pytest.mark.parametrize(("output", "expected"), [
    ([0.4, 0.6, 0.5, 1.0], [1, 1, 1, 0]), ([-0.4, 0.4, 0.0, 3.0], [1, 1, 1, 0]), ([0.4, 0.6, 0.4, 1.5], [0, 1, 0, 0]),
])
def test_binary_accuracy_takes_its_threshold_from_the_range(output: list[float], expected: list[int]) -> None:
    labels = np.array([0, 1, 0, 0])
    assert scores("accuracy_binary", np.array(output), labels) == expected
    assert scores("accuracy_binary", np.array(output)[:, None], labels) == expected
    assert scores("accuracy_binary", np.array(output), labels[:, None].astype(bool)) == expected


def test_binary_accuracy_of_several_labels_is_their_mean() -> None:
    assert scores("accuracy_binary", np.array([[0.9, 0.1], [0.9, 0.9]]), np.array([[1, 0], [1, 0]])) == [1.0, 0.5]


def test_binary_accuracy_has_two_readings() -> None:
    metric = METRICS.get("accuracy_binary")
    assert isinstance(metric, Readings)
    assert not isinstance(METRICS.get("top1"), Readings)
    probabilities, logits = metric.readings()
    assert metric.reading(0, 1) == probabilities
    assert metric.reading(-0.1, 1) == logits
    assert metric.reading(0, 1.1) == logits
    output, labels = np.array([0.3]), np.array([0])
    assert (probabilities.scores(output, labels)[0], logits.scores(output, labels)[0]) == (1, 0)


def test_errors_are_means_over_a_sample() -> None:
    output, target = np.array([[1.0, 2.0], [0.0, 4.0]]), np.array([[0.0, 4.0], [0.0, 4.0]])
    assert scores("mae", output, target) == [1.5, 0]
    assert scores("mse", output, target) == [2.5, 0]
    assert scores("mae", output[:, :1], target[:, 0]) == [1, 0]  # (n, 1) against (n,) must not become (n, n)
    assert scores("mae", output.reshape(2, 1, 2), target) == [1.5, 0]
    assert scores("mse", np.array([200, 3], np.uint8), np.array([201, 1], np.uint8)) == [1, 4]  # unsigned values do not wrap


@pytest.mark.parametrize(("name", "output", "labels", "text"), [
    ("top1", SCORES, np.array([0, 3, 1]), r"the label 3 of sample 101 is not one of the 3 classes 0 to 2 \(-1 is padding\)"),
    ("top1", SCORES, np.array([0, 1, -2]), "the label -2 of sample 102 is not one of the 3 classes"),
    ("top1", SCORES, np.array([0, -1, 1]), "the labels of sample 101 are all -1"),
    ("top1", SCORES, np.array([[0, 1], [-1, -1], [0, 1]]), "the labels of sample 101 are all -1"),
    ("top1", SCORES, np.array([[0, 1], [0, 1], [0, 7]]), "the label 7 of sample 102, position 1 is not one"),
    ("top1", SCORES, np.array([0, 1.5, 1]), "the label 1.5 of sample 101 is not a class number"),
    ("top1", SCORES, np.array([0, np.nan, 1]), "the label nan of sample 101 is not a finite number"),
    ("top1", SCORES, np.array([0, 1]), r"labels of shape \(2,\) do not fit an output of shape \(3, 3\)"),
    ("top1", SCORES, np.array(1), r"labels of shape \(\) do not fit"),
    ("top1", SCORES, np.array(["a", "b", "c"]), "labels must be numbers, received <U1"),
    ("top1", SCORES, np.array([[0.2, 0.3, 0.5], [0, 0, 0], [0, 0, 1]]), "the label 0.2 of sample 100, position 0 is not a class number"),
    ("top1", SCORES[:, :1], np.array([0, 1, 1]), "more than 1 classes.*accuracy_binary"),
    ("top1", SCORES[:, 0], np.array([0, 1, 1]), r"more than 1 classes.*received shape \(3,\).*accuracy_binary"),
    ("top5", SIX[:, :5], np.array([0, 1]), r"more than 5 classes on its last axis, received shape \(2, 5\)"),
    ("accuracy_binary", SCORES[:, 0], np.array([0, 2, 1]), "the label 2 of sample 101 is neither 0 nor 1"),
    ("accuracy_binary", SCORES, np.array([0, 1, 1]), "must have its shape"),
    ("mae", SCORES, np.zeros((3, 2)), r"labels of shape \(3, 2\) do not fit an output of shape \(3, 3\)"),
    ("mae", SCORES, np.zeros((2, 3)), r"labels of shape \(2, 3\) do not fit"),
    ("mae", SCORES, np.zeros(()), "do not fit"),
    ("mse", SCORES, np.where(SCORES == 3, np.inf, SCORES), "the label inf of sample 101, position 0 is not a finite number"),
])
def test_labels_that_do_not_fit_are_refused(name: str, output: Array, labels: Array, text: str) -> None:
    with pytest.raises(InputError, match=text):
        METRICS.get(name).check(labels, output, 100)
