"""ImageProjectiveTransformV3: every output pixel reads the image where the transform sends it.

    x = (t0 X + t1 Y + t2) / p      y = (t3 X + t4 Y + t5) / p      p = t6 X + t7 Y + 1

Where x or y lies outside, the fill mode decides: CONSTANT reads the fill value there, NEAREST, REFLECT and WRAP move the coordinate inside;
where p = 0 it is the fill value in any mode. The four neighbours of a point are gathered from the image, whose pixels are numbered row by row,
and weighed. GridSample (opset 16) would be one operator, but it knows neither WRAP nor a fill value other than zero, reflects about pixel
centers where TensorFlow repeats the edge, and rounds halves to even. Source: tensorflow/core/kernels/image/image_ops.h.

A transform that is constant leaves the indices and weights constant too, which the passes fold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from converter.frontend.expansions import EXPANSIONS, Site
from converter.graph.build import Builder
from converter.spec.quant import Array

FLOAT, INT64, BOOL = ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.BOOL


def _number(x: float) -> Array:
    return np.array(x, np.float32)


def _expand(site: Site) -> ir.Value:
    build, shape, size = site.build, site.shape(0), site.known(2)
    if shape is None or None in shape[1:] or size is None:
        raise site.refusal("the height, width or number of channels of the image is free; give the model's input a fixed shape")
    height, width, channels = (int(n or 0) for n in shape[1:])
    (rows, columns), fill = (int(n) for n in size), build("Reshape", site.value(3), np.array([1, 1, 1]))
    x, y, nowhere = _coordinates(site, rows, columns)
    mode = site.text("fill_mode")
    x, y = _inside(build, x, width, mode), _inside(build, y, height, mode)
    pixels = build("Reshape", site.floats(), np.array([0, height * width, channels]))
    read = _Reader(site, pixels, fill, height, width)
    made = read.nearest(y, x) if site.text("interpolation") == "NEAREST" else read.bilinear(y, x)
    transforms = site.known(1)
    if transforms is None or np.any(transforms[:, 6:]):
        made = build("Where", build("Unsqueeze", nowhere, np.array([-1])), fill, made, dtype=FLOAT)
    made = build("Reshape", made, np.array([-1, rows, columns, channels]))
    dtype = ir.DataType.from_numpy(np.dtype(site.dtype()))
    return made if dtype == FLOAT else build("Cast", made, to=dtype, dtype=dtype)


def _coordinates(site: Site, rows: int, columns: int) -> tuple[ir.Value, ir.Value, ir.Value]:
    """X and y of every output pixel, and whether p is 0 there: [transforms, rows * columns]."""
    build, transforms = site.build, site.value(1)
    grid = np.mgrid[:rows, :columns].reshape(2, 1, -1).astype(np.float32)
    t = [build("Gather", transforms, np.array([i]), axis=1) for i in range(8)]

    def plane(a: ir.Value, b: ir.Value) -> ir.Value:
        return build("Add", build("Mul", a, grid[1]), build("Mul", b, grid[0]))

    p = build("Add", plane(t[6], t[7]), _number(1))
    nowhere = build("Equal", p, _number(0), dtype=BOOL)
    safe = build("Where", nowhere, _number(1), p, dtype=FLOAT)  # an index that is not a number would stop the runtime
    x, y = (build("Div", build("Add", plane(a, b), c), safe) for a, b, c in (t[0:3], t[3:6]))
    return x, y, nowhere


def _inside(build: Builder, at: ir.Value, length: int, mode: str) -> ir.Value:
    """The coordinate that is read in place of ``at`` under a fill mode."""
    if mode == "CONSTANT":
        return at
    if length > 1 and mode != "NEAREST":
        at = _reflected(build, at, length) if mode == "REFLECT" else _wrapped(build, at, length)
    return build("Clip", at, _number(0), _number(length - 1))


def _reflected(build: Builder, at: ir.Value, length: int) -> ir.Value:
    """dcba|abcd|dcba: periodic in twice the length, and even about -1/2."""
    turn, last = _number(2 * length), _number(length - 1)
    turns = build("Floor", build("Div", build("Abs", at), turn))
    low = build("Add", build("Mul", turns, turn), at)
    low = build("Where", build("Less", low, _number(-length), dtype=BOOL), build("Add", low, turn), build("Sub", build("Neg", low), _number(1)),
                dtype=FLOAT)
    high = build("Sub", at, build("Mul", turns, turn))
    high = build("Where", build("Less", high, _number(length), dtype=BOOL), high, build("Add", build("Neg", high), _number(2 * length - 1)),
                 dtype=FLOAT)
    return _outside(build, at, low, high, last)


def _wrapped(build: Builder, at: ir.Value, length: int) -> ir.Value:
    """abcd|abcd|abcd, with TensorFlow's own count of the turns, which takes a turn for length - 1 and shifts by length."""
    turns = build("Floor", build("Div", build("Abs", at), _number(length - 1)))
    low = build("Add", at, build("Mul", build("Add", turns, _number(1)), _number(length)))
    return _outside(build, at, low, build("Sub", at, build("Mul", turns, _number(length))), _number(length - 1))


def _outside(build: Builder, at: ir.Value, low: ir.Value, high: ir.Value, last: Array) -> ir.Value:
    """``low`` left of the image, ``high`` right of it, ``at`` inside."""
    right = build("Where", build("Greater", at, last, dtype=BOOL), high, at, dtype=FLOAT)
    return build("Where", build("Less", at, _number(0), dtype=BOOL), low, right, dtype=FLOAT)


class _Reader:
    """Reads pixels at whole coordinates, and the fill value outside the image.

    Args:
        pixels: [batch, height * width, channels].
        fill: [1, 1, 1].
    """

    def __init__(self, site: Site, pixels: ir.Value, fill: ir.Value, height: int, width: int) -> None:
        self.build, self.pixels, self.fill, self.height, self.width = site.build, pixels, fill, height, width
        self.shared = (site.shape(1) or (None,))[0] == 1  # one transform for all images

    def nearest(self, y: ir.Value, x: ir.Value) -> ir.Value:
        """Halves go away from zero."""
        return self._at(self._round(y), self._round(x))

    def bilinear(self, y: ir.Value, x: ir.Value) -> ir.Value:
        """The four neighbours, weighed along x first."""
        build, one = self.build, _number(1)
        left, top = build("Floor", x), build("Floor", y)
        right, bottom = build("Add", left, one), build("Add", top, one)
        toward = [build("Unsqueeze", build("Sub", *two), np.array([-1])) for two in ((right, x), (x, left), (bottom, y), (y, top))]
        above, below = (self._mix(toward[0], self._at(row, left), toward[1], self._at(row, right)) for row in (top, bottom))
        return self._mix(toward[2], above, toward[3], below)

    def _mix(self, a: ir.Value, first: ir.Value, b: ir.Value, second: ir.Value) -> ir.Value:
        return self.build("Add", self.build("Mul", a, first), self.build("Mul", b, second))

    def _round(self, at: ir.Value) -> ir.Value:
        build = self.build
        return build("Mul", build("Sign", at), build("Floor", build("Add", build("Abs", at), _number(0.5))))

    def _at(self, row: ir.Value, column: ir.Value) -> ir.Value:
        """[batch, points, channels]"""
        build = self.build
        held = [self._held(row, self.height), self._held(column, self.width)]
        index = build("Cast", build("Add", build("Mul", held[0][0], _number(self.width)), held[1][0]), to=INT64, dtype=INT64)
        there = build("Unsqueeze", build("And", held[0][1], held[1][1]), np.array([-1]))
        return build("Where", there, self._gather(index), self.fill, dtype=FLOAT)

    def _held(self, at: ir.Value, length: int) -> Sequence[ir.Value]:
        """A coordinate that may be read, and whether it is the one that was asked for."""
        held = self.build("Clip", at, _number(0), _number(length - 1))
        return held, self.build("Equal", held, at, dtype=BOOL)

    def _gather(self, index: ir.Value) -> ir.Value:
        build = self.build
        if self.shared:
            return build("Gather", self.pixels, build("Squeeze", index, np.array([0])), axis=1)
        batch = build("Slice", build("Shape", self.pixels, dtype=INT64), np.array([0]), np.array([1]))
        index = build("Expand", index, build("Concat", batch, np.array([1]), axis=0))
        return build("GatherND", self.pixels, build("Unsqueeze", index, np.array([-1])), batch_dims=1)


EXPANSIONS.add("ImageProjectiveTransformV3", _expand)
