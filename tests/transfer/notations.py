"""The same function in the notations of several exporters: what transfer must see through. Layouts are held to onnxruntime with these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.spec.quant import Array
from converter.transfer import parameters
from converter.transfer.copy import Moved, copy
from converter.transfer.match import Matches, match
from tests.quantize.graphs import graph, outputs

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Notation:
    """Nodes of a graph, and its initializers: a shape (random numbers), or the numbers themselves."""

    body: str
    held: dict[str, Shape | Array]
    kind: dict[str, str] = field(default_factory=dict)

    def build(self, ends: str, seed: int = 0) -> ir.Model:
        """The graph with weights that depend on ``seed``."""
        rng = np.random.default_rng(seed)
        return graph(ends, self.body, opset=21, **{name: self._numbers(rng, name, held) for name, held in self.held.items()})

    def _numbers(self, rng: np.random.Generator, name: str, held: Shape | Array) -> Array:
        if not isinstance(held, tuple):
            return np.asarray(held)
        kind = self.kind.get(name, "float32")
        if kind in ("int8", "uint8"):
            low = -127 if kind == "int8" else 0
            return rng.integers(low, low + 255, held).astype(kind)
        return rng.uniform(0.3, 1.5, held).astype(kind) * np.where(rng.random(held) < 0.5 if "positive" not in name else False, -1, 1).astype(kind)


def note(body: str, kind: dict[str, str] | None = None, **held: Any) -> Notation:
    return Notation(body, held, kind or {})


def scales(count: int, low: float = 0.005) -> Array:
    return np.linspace(low, 2 * low, count).astype(np.float32)


def shape(*sizes: int) -> Array:
    return np.array(sizes, np.int64)


@dataclass(frozen=True)
class Case:
    """Notations of one function of the inputs in ``ends``, and the shapes to feed."""

    ends: str
    feeds: dict[str, Shape]
    notations: Sequence[Notation]
    ids: int = 0

    def inputs(self) -> dict[str, Array]:
        rng = np.random.default_rng(99)
        return {n: rng.integers(0, self.ids, s) if self.ids else rng.normal(0, 1, s).astype(np.float32) for n, s in self.feeds.items()}


def moved(source: ir.Model, dest: ir.Model, *, by: str = "structure", **options: Any) -> tuple[Matches, Moved]:
    """Copy all of ``source`` into ``dest``."""
    found = match(parameters.of(source), parameters.of(dest), by=by)
    return found, copy(dest, parameters.of(dest), found.pairs, **options)


def first_output(model: ir.Model, feeds: dict[str, Array]) -> Array:
    """Run node by node: nothing is fused."""
    return next(iter(outputs(model, feeds, optimise=False).values()))


CONV, IMAGE = "(float[N,3,6,6] x) => (float y)", {"x": (2, 3, 6, 6)}
DENSE, ROWS = "(float[N,5] x) => (float y)", {"x": (3, 5)}
SEQUENCE = "(float[7,2,5] x) => (float y, float h)"
STEPS = {"x": (7, 2, 5)}


def recurrent(kind: str, gates: int, directions: int, more: str = "", recurrent_halves: int = 2) -> Case:
    """One operator: as it is, with a transposed kernel, with kernels and bias in another shape."""
    way = "bidirectional" if directions == 2 else "forward"
    heads = "y, h" if kind != "LSTM" else "y, h, c"
    call = f"{heads} = {kind}<hidden_size=4, direction=\"{way}\"{more}>"
    g, d, h = gates * 4, directions, recurrent_halves
    return Case(SEQUENCE, STEPS, (
        note(f"{call}(x, w, r, b)", w=(d, g, 5), r=(d, g, 4), b=(d, h * g)),
        note(f"wt = Transpose<perm=[0,2,1]>(w)\nrt = Transpose<perm=[0,2,1]>(r)\n{call}(x, wt, rt, b)", w=(d, 5, g), r=(d, 4, g), b=(d, h * g)),
        note(f"wt = Reshape(w, s)\nrt = Reshape(r, t)\nbt = Reshape(b, u)\n{call}(x, wt, rt, bt)", w=(d * g * 5,), r=(d * g, 4),
             b=(d * h, g), s=shape(d, g, 5), t=shape(d, g, 4), u=shape(d, h * g))))


CASES: dict[str, Case] = {
    "convolution": Case(CONV, IMAGE, (
        note("y = Conv(x, w, b)", w=(4, 3, 3, 2), b=(4,)),
        note("t = Conv(x, w)\ny = Add(t, b)", w=(4, 3, 3, 2), b=(4, 1, 1)),
        note("t = Conv(x, w)\ny = Add(b, t)", w=(4, 3, 3, 2), b=(1, 4, 1, 1)),
        note("v = Transpose<perm=[3,2,0,1]>(w)\ny = Conv(x, v, b)", w=(3, 2, 3, 4), b=(4,)),
        note("i = Identity(w)\nv = Reshape(i, s)\nc = Squeeze(b, a)\ny = Conv(x, v, c)", w=(4, 18), b=(1, 4), s=shape(4, 3, 3, 2), a=shape(0)))),
    "depthwise": Case(CONV, IMAGE, (
        note("y = Conv<group=3>(x, w, b)", w=(6, 1, 3, 2), b=(6,)),
        note("v = Reshape(w, s)\nu = Transpose<perm=[3,2,0,1]>(v)\nt = Conv<group=3>(x, u)\ny = Add(t, b)", w=(3, 2, 3, 2), b=(6, 1, 1),
             s=shape(3, 2, 1, 6)))),
    "grouped": Case("(float[N,4,6,6] x) => (float y)", {"x": (2, 4, 6, 6)}, (
        note("y = Conv<group=2>(x, w)", w=(6, 2, 3, 2)),
        note("v = Transpose<perm=[3,2,0,1]>(w)\ny = Conv<group=2>(x, v)", w=(3, 2, 2, 6)))),
    "transposed convolution": Case(CONV, IMAGE, (
        note("y = ConvTranspose(x, w, b)", w=(3, 4, 2, 3), b=(4,)),
        note("t = ConvTranspose(x, w)\ny = Add(t, b)", w=(3, 4, 2, 3), b=(1, 4, 1, 1)),
        note("v = Transpose<perm=[3,2,0,1]>(w)\ny = ConvTranspose(x, v, b)", w=(2, 3, 4, 3), b=(4,)))),
    "dense": Case(DENSE, ROWS, (
        note("y = Gemm(x, w, b)", w=(5, 4), b=(4,)),
        note("y = Gemm<transB=1>(x, w, b)", w=(4, 5), b=(4,)),
        note("y = Gemm<alpha=2.0, beta=0.5>(x, w, b)", w=(5, 4), b=(1, 4)),
        note("y = Gemm<alpha=-0.25, beta=3.0, transB=1>(x, w, b)", w=(4, 5), b=(4,)),
        note("t = MatMul(x, w)\ny = Add(t, b)", w=(5, 4), b=(4,)),
        note("v = Transpose<perm=[1,0]>(w)\nt = MatMul(x, v)\ny = Add(b, t)", w=(4, 5), b=(1, 4)))),
    "dense to one number": Case(DENSE, ROWS, (
        note("y = Gemm(x, w, b)", w=(5, 1), b=(1,)),
        note("t = MatMul(x, w)\ny = Add(t, b)", w=(5, 1), b=(1,)),
        note("t = MatMul(x, w)\ny = Add(t, b)", w=(5, 1), b=np.array(0.7, np.float32)))),
    "kernel on the left": Case("(float[5,N] x) => (float y)", {"x": (5, 3)}, (
        note("y = MatMul(w, x)", w=(4, 5)),
        note("v = Transpose(w)\ny = MatMul(v, x)", w=(5, 4)))),
    "dense on a sequence": Case("(float[N,7,5] x) => (float y)", {"x": (2, 7, 5)}, (
        note("t = MatMul(x, w)\ny = Add(t, b)", w=(5, 4), b=(4,)),
        note("v = Transpose(w)\nt = MatMul(x, v)\ny = Add(b, t)", w=(4, 5), b=(1, 1, 4)))),
    "embedding": Case("(int64[N,6] x) => (float y)", {"x": (2, 6)}, (
        note("y = Gather(w, x)", w=(9, 4)),
        note("v = Transpose<perm=[1,0]>(w)\ny = Gather<axis=0>(v, x)", w=(4, 9))), ids=9),
    "batch normalization": Case(CONV, IMAGE, (
        note("y = BatchNormalization(x, g, b, m, positive)", g=(3,), b=(3,), m=(3,), positive=(3,)),
        note("i = Reshape(g, s)\nj = Flatten<axis=0>(b)\nk = Squeeze(j, a)\ny = BatchNormalization(x, i, k, m, positive)", g=(3, 1), b=(3,), m=(3,),
             positive=(3,), s=shape(3), a=shape(0)))),
    "layer normalization": Case(DENSE, ROWS, (
        note("y = LayerNormalization(x, g, b)", g=(5,), b=(5,)),
        note("i = Squeeze(g, a)\ny = LayerNormalization(x, i, b)", g=(1, 5), b=(5,), a=shape(0)))),
    "vectors": Case(CONV, IMAGE, (
        note("t = Mul(x, g)\ny = Add(t, b)", g=(3, 1, 1), b=(3, 1, 1)),
        note("t = Mul(g, x)\ny = Add(b, t)", g=(1, 3, 1, 1), b=(3, 1, 1)),
        note("i = Unsqueeze(g, a)\nt = Mul(x, i)\ny = Add(t, b)", g=(3,), b=(1, 3, 1, 1), a=shape(1, 2)))),
    "slopes": Case(CONV, IMAGE, (note("y = PRelu(x, s)", s=(3, 1, 1)), note("t = Reshape(s, a)\ny = PRelu(x, t)", s=(3,), a=shape(3, 1, 1)))),
    **{f"LSTM, {d} ways": recurrent("LSTM", 4, d) for d in (1, 2)},
    **{f"GRU, {d} ways, reset {way}": recurrent("GRU", 3, d, f", linear_before_reset={way}") for d in (1, 2) for way in (0, 1)},
    **{f"RNN, {d} ways": recurrent("RNN", 1, d) for d in (1, 2)},
}

S8 = {"w": "int8"}
GRIDS: dict[str, Case] = {
    "convolution": Case(CONV, IMAGE, (
        note("y = Conv(x, w, b)", w=(4, 3, 3, 2), b=(4,)),
        note("v = DequantizeLinear<axis=0>(w, s, z)\ny = Conv(x, v, b)", S8, w=(4, 3, 3, 2), b=(4,), s=scales(4), z=np.zeros(4, np.int8)),
        note("v = DequantizeLinear(w, s, z)\ny = Conv(x, v, b)", S8, w=(4, 3, 3, 2), b=(4,), s=np.float32(0.007), z=np.int8(0)),
        note("v = DequantizeLinear(w, s)\ny = Conv(x, v, b)", S8, w=(4, 3, 3, 2), b=(4,), s=np.float32(0.007)),
        note("v = DequantizeLinear(w, s, z)\ny = Conv(x, v, b)", {"w": "uint8"}, w=(4, 3, 3, 2), b=(4,), s=np.float32(0.007), z=np.uint8(111)),
        note("v = DequantizeLinear(w, s)\ny = Conv(x, v, b)", {"w": "uint8"}, w=(4, 3, 3, 2), b=(4,), s=np.float32(0.007)),
        note("v = DequantizeLinear<axis=3>(w, s)\nu = Transpose<perm=[3,2,0,1]>(v)\ny = Conv(x, u, b)", S8, w=(3, 2, 3, 4), b=(4,), s=scales(4)),
        note("v = Transpose<perm=[3,2,0,1]>(w)\nu = DequantizeLinear<axis=0>(v, s)\ny = Conv(x, u, b)", S8, w=(3, 2, 3, 4), b=(4,), s=scales(4)),
        note("v = Reshape(w, a)\nu = DequantizeLinear<axis=0>(v, s)\ny = Conv(x, u, b)", S8, w=(4, 18), b=(4,), s=scales(4),
             a=shape(4, 3, 3, 2)),
        note("q = QuantizeLinear<axis=0>(w, s, z)\nv = DequantizeLinear<axis=0>(q, s, z)\ny = Conv(x, v, b)", w=(4, 3, 3, 2), b=(4,),
             s=scales(4, 0.012), z=np.zeros(4, np.int8)),
        note("t = Transpose<perm=[3,2,0,1]>(w)\nq = QuantizeLinear<axis=0>(t, s, z)\nv = DequantizeLinear<axis=0>(q, s, z)\ny = Conv(x, v, b)",
             w=(3, 2, 3, 4), b=(4,), s=scales(4, 0.012), z=np.zeros(4, np.int8)))),
    "dense": Case(DENSE, ROWS, (
        note("y = Gemm(x, w, b)", w=(5, 4), b=(4,)),
        note("v = DequantizeLinear<axis=1>(w, s)\ny = Gemm(x, v, b)", S8, w=(5, 4), b=(4,), s=scales(4)),
        note("v = DequantizeLinear<axis=0>(w, s)\ny = Gemm<transB=1>(x, v, b)", S8, w=(4, 5), b=(4,), s=scales(4)),
        note("v = DequantizeLinear<axis=0>(w, s)\ny = Gemm(x, v, b)", S8, w=(5, 4), b=(4,), s=scales(5)),
        note("v = DequantizeLinear<axis=1>(w, s)\nt = MatMul(x, v)\nc = DequantizeLinear(b, p)\ny = Add(t, c)", {**S8, "b": "int8"}, w=(5, 4), b=(4,),
             s=scales(4), p=np.float32(0.01)),
        note("v = DequantizeLinear<axis=1>(w, s, z)\nt = MatMul(x, v)\nc = DequantizeLinear<axis=0>(b, p)\ny = Add(t, c)",
             {"w": "uint8", "b": "int8"}, w=(5, 4), b=(4,), s=scales(4), p=scales(4), z=np.array([0, 9, 100, 255], np.uint8)))),
    "kernel on the left": Case("(float[4,N] x) => (float y)", {"x": (4, 3)}, (
        note("y = MatMul(w, x)", w=(4, 4)),
        note("v = DequantizeLinear<axis=1>(w, s)\ny = MatMul(v, x)", S8, w=(4, 4), s=scales(4)))),
    "embedding": Case("(int64[N,6] x) => (float y)", {"x": (2, 6)}, (
        note("y = Gather(w, x)", w=(9, 4)),
        note("v = DequantizeLinear<axis=0>(w, s)\ny = Gather(v, x)", S8, w=(9, 4), s=scales(9))), ids=9),
}
