"""top1 and top5: is a right answer among the k largest class scores?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converter.errors import InputError
from converter.spec.quant import Array
from converter.verify.labels import PADDING, right_answers
from converter.verify.metrics import METRICS, POINTS


@dataclass(frozen=True)
class TopK:
    """Share of rows with a right answer among the ``k`` largest scores; ties go to the lower class.

    The output is (n, classes), or (n, ..., classes) where the score of a sample is the mean over its rows that have labels.
    A row with NaN or plus infinity in it is wrong. (Minus infinity is how models rule classes out.)
    """

    name: str
    k: int
    higher_is_better: bool = True
    unit: str = POINTS

    def scores(self, output: Array, labels: Array) -> Array:
        """Float64 shares (n,); see :func:`converter.verify.labels.right_answers` for the labels."""
        output = np.asarray(output, np.float64)
        answers = right_answers(labels, output)
        best = output.argmax(-1)[..., None] if self.k == 1 else np.argsort(-output, axis=-1, kind="stable")[..., :self.k]
        hits = (best[..., :, None] == answers[..., None, :]).any((-1, -2))
        hits &= ~(np.isnan(output) | np.isposinf(output)).any(-1)
        labelled = (answers != PADDING).any(-1)
        rows = tuple(range(1, hits.ndim))
        return np.asarray(hits.sum(rows) / labelled.sum(rows), np.float64)

    def check(self, labels: Array, output: Array, first: int = 0) -> None:
        """InputError when the output has no class scores to choose from, or the labels are not right answers to it."""
        if output.ndim < 2 or output.shape[-1] <= self.k:
            advice = "; for one score a sample there is accuracy_binary" if output.ndim < 2 or output.shape[-1] == 1 else ""
            raise InputError(f"{self.name} needs an output with scores for more than {self.k} classes on its last axis, received shape "
                             f"{output.shape}{advice}")
        right_answers(labels, output, first)


METRICS.add("top1", TopK("top1", 1))
METRICS.add("top5", TopK("top5", 5))
