"""Numbers that go into a clean form and come back to the initializers that it was folded from."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import ConversionError
from converter.ship.donors import cleaned
from converter.transfer import parameters
from converter.transfer.folded import copy_through
from converter.transfer.match import match
from converter.verify.session import Session
from tests.quantize.graphs import graph, weights

ENDS = "(float[N,3,6,6] x) => (float[N,4,4,4] y)"
X = np.random.default_rng(0).normal(size=(5, 3, 6, 6)).astype(np.float32)


def folded(seed: int) -> ir.Model:
    return graph(ENDS, "y = Conv(x, w, b)", w=weights(4, 3, 3, 3, seed=seed), b=weights(4, seed=seed + 1))


def unfolded(seed: int, gamma: float = 1.5) -> ir.Model:
    rng = np.random.default_rng(seed)
    return graph(ENDS, "h = Conv(x, w)\ny = BatchNormalization(h, g, s, m, v)", w=weights(4, 3, 3, 3, seed=seed),
                 g=np.full(4, gamma, np.float32), s=weights(4, seed=seed + 1), m=weights(4, seed=seed + 2),
                 v=rng.uniform(0.5, 2, 4).astype(np.float32))


def copied(donor: ir.Model, recipient: ir.Model, factor: float = 1.0) -> list[str]:
    clean = cleaned(recipient)
    pairs = match(parameters.of(donor), parameters.of(clean)).pairs
    assert len(pairs) == 2
    return sorted(copy_through(recipient, clean, pairs, factor=factor).changed)


def outputs(model: ir.Model) -> np.ndarray:
    return Session(model).run({"x": X})["y"]


def test_the_kernel_takes_up_what_batchnorm_scales_and_the_statistics_stay() -> None:
    donor, recipient = folded(1), unfolded(7)
    assert copied(donor, recipient) == ["s", "w"]
    np.testing.assert_allclose(outputs(recipient), outputs(donor), atol=1e-5)
    assert recipient.graph.num_nodes() == 2  # its own operators are still there


def test_what_it_computes_already_changes_nothing() -> None:
    recipient = unfolded(7)
    assert copied(cleaned(recipient), recipient) == []


def test_half_a_donor_is_half_way() -> None:
    """Convolution and BatchNorm are affine in what is copied, so outputs are blended as weights are."""
    donor, recipient = folded(1), unfolded(7)
    before = outputs(recipient)
    copied(donor, recipient, 0.25)
    np.testing.assert_allclose(outputs(recipient), 0.25 * outputs(donor) + 0.75 * before, atol=1e-5)


def test_a_gamma_of_zero_is_named() -> None:
    with pytest.raises(ConversionError, match=r"\bg\b"):
        copied(folded(1), unfolded(7, gamma=0.0))
