"""Labels: what is refused, said with the sample and the value."""

from __future__ import annotations

import numpy as np

from converter.errors import InputError
from converter.spec.quant import Array

PADDING = -1


def right_answers(labels: Array, output: Array, first: int = 0) -> Array:
    """Accepted class numbers of every row of class scores: int64, shape (*output.shape[:-1], k), padded with -1.

    Args:
        labels: for an output (n, ..., classes) one of: class numbers (n, ...); several right ones (n, ..., k) padded with -1; targets
            shaped like the output, of which the largest of a row are right (one-hot, several-hot, smoothed).
        output: the class scores; only the shape counts.
        first: number of the first sample in the data, for messages.

    Raises:
        InputError: the labels are not of these, or a value is not a class; the text names value, sample and classes.
    """
    labels = _numbers(labels, first)
    classes, rows = output.shape[-1], output.shape[:-1]
    if labels.shape == output.shape and _are_targets(labels):
        return np.where(labels == labels.max(-1, keepdims=True), np.arange(classes), PADDING)
    if labels.shape == rows:
        labels = labels[..., None]
    if labels.shape[:-1] != rows:
        raise InputError(f"labels of shape {labels.shape} do not fit an output of shape {output.shape}; they can be class numbers {rows}, "
                         f"several right ones {(*rows, 'k')} padded with -1, or targets {output.shape}")
    refuse(labels != np.rint(labels), labels, first, f"is not a class number; classes are 0 to {classes - 1}")
    refuse((labels < PADDING) | (labels >= classes), labels, first, f"is not one of the {classes} classes 0 to {classes - 1} (-1 is padding)")
    answers = np.asarray(labels.astype(np.int64))
    empty = (answers == PADDING).all(tuple(range(1, answers.ndim)))
    if empty.any():
        raise InputError(f"the labels of sample {first + int(np.argmax(empty))} are all -1: a sample needs at least one right answer")
    return answers


def binary_labels(labels: Array, output: Array, first: int = 0) -> Array:
    """Labels 0 and 1 in the shape of ``output``; as :func:`matching`, and every value is 0 or 1."""
    labels = matching(labels, output, first)
    refuse((labels != 0) & (labels != 1), labels, first, "is neither 0 nor 1")
    return labels


def matching(labels: Array, output: Array, first: int = 0) -> Array:
    """Labels as float64 in the shape of ``output``; axes of length 1 behind the batch may be left out or added.

    Raises:
        InputError: the shape does not fit, or a value is not finite.
    """
    labels = _numbers(labels, first)
    kept = [tuple(d for d in a.shape[1:] if d != 1) for a in (labels, output)]
    if not labels.ndim or len(labels) != len(output) or kept[0] != kept[1]:
        raise InputError(f"labels of shape {labels.shape} do not fit an output of shape {output.shape}; they must have its shape")
    return labels.reshape(output.shape)


def refuse(bad: Array, labels: Array, first: int, text: str) -> None:
    """InputError that names the first value that is ``bad``, and its place."""
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        inner = f", position {', '.join(map(str, place[1:]))}" if any(n > 1 for n in labels.shape[1:]) else ""
        raise InputError(f"the label {labels[place]:g} of sample {first + place[0]}{inner} {text}")


def _numbers(labels: Array, first: int) -> Array:
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iufb":
        raise InputError(f"labels must be numbers, received {labels.dtype}")
    labels = labels.astype(np.float64)
    refuse(~np.isfinite(labels), labels, first, "is not a finite number")
    return labels


def _are_targets(labels: Array) -> bool:
    """Whether labels shaped like the output are targets: within [0, 1], and something in every row.

    Class numbers of this shape would be a list with as many right answers as there are classes, of classes 0 and 1 only.
    """
    return bool(labels.size and labels.min() >= 0 and labels.max() <= 1 and (labels.max(-1) > 0).all())
