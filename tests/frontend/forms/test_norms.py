"""Normalizations arrive as one operator where there is a kernel for it, and agree over any axes at any opset."""

from __future__ import annotations

from typing import Any

import pytest

from converter.frontend.forms.norms import LAYER_FROM, RMS_FROM
from converter.verify.session import optimised
from tests.frontend.building import branches, chain, export, layers, operators

L = layers
IMAGE = (6, 5, 4)


def every() -> dict[str, Any]:
    """All settings on images."""
    return {
        "last": L.LayerNormalization(), "axes": L.LayerNormalization(axis=(2, 3)), "all": L.LayerNormalization(axis=(1, 2, 3)),
        "first": L.LayerNormalization(axis=1), "spread": L.LayerNormalization(axis=(1, 3)), "no gain": L.LayerNormalization(scale=False),
        "no bias": L.LayerNormalization(center=False, epsilon=0.1), "plain": L.LayerNormalization(center=False, scale=False),
        "unsorted": L.LayerNormalization(axis=(1, -1)),
        "rms": L.RMSNormalization(), "rms axes": L.RMSNormalization(axis=(2, 3), epsilon=0.1), "rms first": L.RMSNormalization(axis=3),
        "groups": L.GroupNormalization(2), "instance": L.GroupNormalization(-1), "one group": L.GroupNormalization(1, epsilon=0.1),
        "rows": L.GroupNormalization(3, axis=1), "columns": L.GroupNormalization(5, axis=2), "bare": L.GroupNormalization(2, center=False, scale=False),
        "gain only": L.GroupNormalization(2, center=False), "bias only": L.GroupNormalization(2, scale=False),
        "half": L.LayerNormalization(dtype="float16"), "half groups": L.GroupNormalization(2, dtype="float16"), "unit": L.UnitNormalization(),
        "unit axes": L.UnitNormalization(axis=(1, 2)),
    }


@pytest.mark.parametrize("opset", [13, 23])
def test_every_setting(opset: int) -> None:
    found = operators(export(branches(IMAGE, every()), opset=opset))
    assert found.get("LayerNormalization", 0) == (8 if opset >= LAYER_FROM else 0)  # the ninth is behind a transpose that its pieces let through
    assert found.get("RMSNormalization", 0) == (3 if opset >= RMS_FROM else 0)
    assert found["InstanceNormalization"] == 5  # of nine, those of two groups differ only behind it


@pytest.mark.parametrize("opset", [13, 18])
def test_pieces_are_in_the_form_that_onnxruntime_fuses(opset: int) -> None:
    exported = export(chain((7, 4), L.LayerNormalization(), L.Dense(4), L.RMSNormalization()), opset=opset)
    kinds = {node.op_type for node in optimised(exported.graph).graph}
    assert {"LayerNormalization", "SimplifiedLayerNormalization"} <= kinds


def test_a_free_size_and_no_transpose_between_convolutions() -> None:
    found = operators(export(chain((None, None, 4), L.Conv2D(4, 1), L.GroupNormalization(2), L.Conv2D(4, 1))))
    assert found["Transpose"] == 2
    assert found["InstanceNormalization"] == 1
