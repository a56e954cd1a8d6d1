"""Comparing class scores: divergence of the distributions and agreement of the winner."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from converter.spec.quant import Array
from converter.verify.moments import Moments
from converter.verify.policy import DEFAULT, Policy


@dataclass(frozen=True)
class Divergence:
    """Numbers over rows of class scores.

    Args:
        kl: mean of KL(reference || candidate) in nats; infinite when a candidate row is not finite.
        kl_se: its standard error over the rows.
        agreement: share of rows whose largest score is at the same class, 0 to 1; ties go to the lower class.
        rows: rows that were compared.
    """

    kl: float
    kl_se: float
    agreement: float
    rows: int


class ClassScores:
    """Streams rows of class scores of a reference and a candidate.

    ``KL = sum_c p_c (log p_c - log q_c)`` with ``p`` and ``q`` the softmax of the scores. Where every reference row seen is
    already a distribution, it is taken as it is, and so is the candidate, floored and scaled to sum 1. Whether it is one is
    only known at the end, so both readings are carried until a row rules one out; the result does not depend on the order.
    """

    def __init__(self, policy: Policy = DEFAULT) -> None:
        self._policy = policy
        self._agreed = 0
        self._softmaxed = Moments()
        self._as_given: Moments | None = Moments()

    def update(self, reference: Array, other: Array) -> None:
        """Take in float64 scores of shape (..., classes), both alike; the reference must be finite, the candidate need not be."""
        p, q = (a.reshape(-1, a.shape[-1]) for a in (reference, other))
        sound: Array = np.asarray(np.isfinite(q).all(-1))
        self._agreed += int(np.count_nonzero(sound & (p.argmax(-1) == q.argmax(-1))))
        if self._as_given is not None and not is_distribution(p, self._policy):
            self._as_given = None
        self._softmaxed.update(_kl(_log_softmax(p), q, _log_softmax, sound))
        if self._as_given is not None:
            self._as_given.update(_kl(self._log_scaled(p), q, self._log_scaled, sound))

    def merge(self, other: ClassScores) -> None:
        """Take in what another instance has seen."""
        self._agreed += other._agreed
        self._softmaxed.merge(other._softmaxed)
        if self._as_given is not None and other._as_given is not None:
            self._as_given.merge(other._as_given)
        else:
            self._as_given = None

    def result(self) -> Divergence | None:
        """The numbers so far; None before the first row."""
        seen = self._softmaxed if self._as_given is None else self._as_given
        if not seen.total:
            return None
        return Divergence(seen.mean, seen.deviation() / math.sqrt(seen.total), self._agreed / seen.total, seen.total)

    def _log_scaled(self, p: Array) -> Array:
        floored = np.maximum(p, self._policy.probability_floor)
        return np.asarray(np.log(floored / floored.sum(-1, keepdims=True)))


def is_distribution(rows: Array, policy: Policy = DEFAULT) -> bool:
    """Whether every row of ``rows`` (..., classes) looks like probabilities: within [0, 1] and with sum 1, up to rounding."""
    if not rows.size or rows.min() < 0 or rows.max() > 1 + policy.probability_excess:
        return False
    return bool(np.abs(rows.sum(-1) - 1).max() <= policy.probability_sum)


def _kl(log_p: Array, q: Array, log: Callable[[Array], Array], sound: Array) -> Array:
    """KL of every row, shape (rows,); infinite where the candidate is not sound."""
    out = np.full(len(q), np.inf)
    log_p = log_p[sound]
    out[sound] = np.sum(np.exp(log_p) * (log_p - log(q[sound])), -1)
    return out


def _log_softmax(z: Array) -> Array:
    z = z - z.max(-1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(-1, keepdims=True)))
