"""IntegerLookup: every mode, few keys and many, ids that are no key; the layer is as it was afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from converter.frontend.forms import integer_lookup
from converter.verify.session import Session
from tests.frontend.building import branches, export, layers

KEYS = [3, 9, 4, 0, 7]


@pytest.mark.parametrize("few", [256, 0])
def test_every_mode(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integer_lookup, "FEW", few)
    lookup = layers.IntegerLookup
    steps = {mode: lookup(vocabulary=KEYS, output_mode=mode) for mode in ("int", "one_hot", "multi_hot", "count")}
    steps |= {"mask": lookup(vocabulary=KEYS, mask_token=1), "many": lookup(vocabulary=KEYS, num_oov_indices=3),
              "inverse": lookup(vocabulary=KEYS, invert=True), "weighed": lookup(vocabulary=KEYS, output_mode="tf_idf", idf_weights=[0.1, 0.2, 0.3, 0.4, 0.5]),
              "wide": lookup(vocabulary=KEYS, output_mode="count", pad_to_max_tokens=True, max_tokens=12)}
    exported = export(branches((3,), steps, dtype="int64"))
    assert exported.report.numbers["parity"]["relative"] < 1e-6
    assert steps["count"].output_mode == "count"
    assert np.asarray(steps["int"](np.array([9]))).tolist() == [2]  # by the table again


@pytest.mark.parametrize("count", [257, 511, 512])
def test_many_keys(count: int) -> None:
    keys = np.random.default_rng(0).permutation(2000)[:count] - 500
    exported = export(branches((4000,), {"y": layers.IntegerLookup(vocabulary=keys)}, dtype="int64"))
    ids = np.arange(-2000, 2000)[None] - (np.arange(4000) == 3999) * 2**40
    place = {int(key): index + 1 for index, key in enumerate(keys)}
    assert Session(exported.graph).run({"x": ids})["y"].tolist() == [[place.get(int(i), 0) for i in ids[0]]]
