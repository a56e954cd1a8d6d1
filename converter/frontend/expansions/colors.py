"""RGBToHSV, HSVToRGB and AdjustSaturation; the last axis holds the colours.

    v = max(r, g, b)      d = v - min(r, g, b)      s = d / v, 0 for black
    h = (g - b) / 6d where r = v;  (b - r) / 6d + 1/3 where g = v;  (r - g) / 6d + 2/3 else;  + 1 where negative;  0 where d = 0

    rgb = v (1 - s + s m),   m = clip(|6h - 3| - 1), clip(2 - |6h - 2|), clip(2 - |6h - 4|), each to 0 .. 1

AdjustSaturation multiplies s between the two and clips it to 0 .. 1. Source: tensorflow/core/kernels/image/colorspace_op.h and
adjust_saturation_op.cc.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.frontend.expansions import EXPANSIONS, Site
from converter.graph.build import Builder

LAST = np.array([-1])
BOOL = ir.DataType.BOOL


def _number(x: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(x, np.float32)


def _colors(site: Site) -> ir.Value:
    if site.dtype() != "float32":
        raise site.refusal(f"it is only known for float32, not for {site.dtype()}")
    return site.value(0)


def _channels(build: Builder, colors: ir.Value) -> list[ir.Value]:
    return [build("Gather", colors, np.array([i]), axis=-1) for i in range(3)]


def _to_hsv(build: Builder, colors: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    (r, g, b), zero = _channels(build, colors), _number(0)
    v = build("ReduceMax", colors, LAST, keepdims=1) if build.opset >= 18 else build("ReduceMax", colors, axes=[-1], keepdims=1)
    d = build("Sub", v, build("Min", r, g, b))
    s = build("Where", build("Greater", v, zero, dtype=BOOL), build("Div", d, v), zero, dtype=ir.DataType.FLOAT)
    h = _hue(build, (r, g, b), v, build("Mul", d, _number(6)))
    return build("Where", build("Greater", d, zero, dtype=BOOL), h, zero, dtype=ir.DataType.FLOAT), s, v


def _hue(build: Builder, rgb: tuple[ir.Value, ...], v: ir.Value, six_d: ir.Value) -> ir.Value:
    r, g, b = rgb
    around = [build("Div", build("Sub", *two), six_d) for two in ((g, b), (b, r), (r, g))]
    second, third = build("Add", around[1], _number(1 / 3)), build("Add", around[2], _number(2 / 3))
    h = build("Where", build("Equal", g, v, dtype=BOOL), second, third, dtype=ir.DataType.FLOAT)
    h = build("Where", build("Equal", r, v, dtype=BOOL), around[0], h, dtype=ir.DataType.FLOAT)
    return build("Where", build("Less", h, _number(0), dtype=BOOL), build("Add", h, _number(1)), h, dtype=ir.DataType.FLOAT)


def _to_rgb(build: Builder, h: ir.Value, s: ir.Value, v: ir.Value) -> ir.Value:
    turn, zero, one = build("Mul", h, _number(6)), _number(0), _number(1)
    away = [build("Abs", build("Sub", turn, _number(center))) for center in (3, 2, 4)]
    slopes = [build("Sub", away[0], one), *(build("Add", build("Neg", a), _number(2)) for a in away[1:])]
    m = build("Concat", *(build("Clip", slope, zero, one) for slope in slopes), axis=-1)
    grey = build("Add", build("Neg", s), one)
    return build("Mul", build("Add", build("Mul", s, m), grey), v)


def _saturated(site: Site) -> ir.Value:
    build = site.build
    h, s, v = _to_hsv(build, _colors(site))
    return _to_rgb(build, h, build("Clip", build("Mul", s, site.value(1)), _number(0), _number(1)), v)


EXPANSIONS.add("RGBToHSV", lambda site: site.build("Concat", *_to_hsv(site.build, _colors(site)), axis=-1))
EXPANSIONS.add("HSVToRGB", lambda site: _to_rgb(site.build, *_channels(site.build, _colors(site))))
EXPANSIONS.add("AdjustSaturation", _saturated)
