"""Resizing that keeps the aspect ratio is a slice or a pad and a resize, whatever the proportions."""

from __future__ import annotations

from tests.frontend.building import branches, export, layers, operators

SIZES = ((6, 9), (7, 9), (3, 20))  # odd and even differences


def test_cropped_and_padded() -> None:
    steps = {}
    for height, width in SIZES:
        steps |= {f"crop{height}": layers.Resizing(height, width, crop_to_aspect_ratio=True),
                  f"pad{height}": layers.Resizing(height, width, pad_to_aspect_ratio=True, fill_value=3.0)}
    exported = export(branches((12, 10, 3), steps))
    assert not {"If", "Shape", "Concat"} & set(operators(exported))
    assert exported.report.numbers["parity"]["relative"] < 1e-6
    assert all(layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio for layer in steps.values())


def test_other_kernels_and_layouts() -> None:
    assert export(branches((3, 9, 14), {"y": layers.Resizing(8, 8, pad_to_aspect_ratio=True, data_format="channels_first", interpolation="bicubic")}))
    assert export(branches((None, None, 3), {"y": layers.Resizing(8, 8, crop_to_aspect_ratio=True)}))
