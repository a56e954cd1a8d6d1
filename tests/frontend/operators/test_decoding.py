"""The likeliest path of connectionist temporal classification."""

from __future__ import annotations

import keras
import numpy as np

from tests.frontend.calling import agree, functions

K = keras.ops


def test_the_likeliest_path() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 9, 4)).astype(np.float32)
    exported = functions({
        f"{merge} {blank}": lambda x, n, m=merge, b=blank: K.ctc_decode(x, n, merge_repeated=m, mask_index=b) for merge in (True, False) for blank in (0, 3)
    }, ((9, 4), "float32"), ((), "int32"))
    agree(exported, scores, np.array([9, 5, 0], np.int32))
    agree(exported, np.repeat(scores[:, :3], 3, 1), np.array([9, 5, 1], np.int32))
