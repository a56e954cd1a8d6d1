"""Special functions, by approximations whose error is that of float32.

Erfinv: M. Giles, "Approximating the erfinv function", GPU Computing Gems 2 (2010), single precision: relative error below 4e-7.
Ndtri(p) = sqrt(2) Erfinv(2p - 1), whose w = -log(4 p (1 - p)) needs no difference of near numbers: good down to p = 1e-7.
I0 and I1: M. Abramowitz and I. Stegun, Handbook of Mathematical Functions, 9.8.1 to 9.8.4: error below 3e-7.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from converter.frontend.operators import OPERATORS, Expansion, Operation
from converter.frontend.operators.writer import Writer

CENTRAL = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941)
TAIL = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682)

BOUND = 3.75
I0_NEAR = (0.0045813, 0.0360768, 0.2659732, 1.2067492, 3.0899424, 3.5156229, 1.0)
I0_FAR = (0.00392377, -0.01647633, 0.02635537, -0.02057706, 0.00916281, -0.00157565, 0.00225319, 0.01328592, 0.39894228)
I1_NEAR = (0.00032411, 0.00301532, 0.02658733, 0.15084934, 0.51498869, 0.87890594, 0.5)
I1_FAR = (-0.00420059, 0.01787654, -0.02895312, 0.02282967, -0.01031555, 0.00163801, -0.00362018, -0.03988024, 0.39894228)


def _erfinv(build: Writer, op: Operation) -> list[ir.Value]:
    x, one = op.inputs[0], build.like(op.inputs[0], 1)
    return [_inverse(build, x, build("Mul", build("Sub", one, x), build("Add", one, x)))]


def _ndtri(build: Writer, op: Operation) -> list[ir.Value]:
    p = op.inputs[0]
    x = build("Sub", build("Mul", p, build.like(p, 2)), build.like(p, 1))
    product = build("Mul", build("Mul", p, build.like(p, 4)), build("Sub", build.like(p, 1), p))
    return [build("Mul", _inverse(build, x, product), build.like(p, math.sqrt(2)))]


def _inverse(build: Writer, x: ir.Value, product: ir.Value) -> ir.Value:
    """Erfinv of ``x``, where ``product`` is (1 - x)(1 + x)."""
    w = build("Neg", build("Log", product))
    central = build.polynomial(build("Sub", w, build.like(x, 2.5)), CENTRAL)
    tail = build.polynomial(build("Sub", build("Sqrt", build("Max", w, build.like(x, 0))), build.like(x, 3)), TAIL)
    factor = build.where(build.compare("Less", w, 5), central, tail)
    at_the_end = build.compare("Equal", product, 0)
    return build("Mul", x, build.where(at_the_end, build.like(x, np.inf), factor))


def _bessel(near: tuple[float, ...], far: tuple[float, ...], *, odd: bool, scaled: bool) -> Expansion:
    def expand(build: Writer, op: Operation) -> list[ir.Value]:
        x = op.inputs[0]
        size = build("Abs", x)
        bound = build.like(x, BOUND)
        t = build("Div", x, bound)
        inner = build.polynomial(build("Mul", t, t), near)
        inner = build("Mul", size, inner) if odd else inner
        large = build("Max", size, bound)  # keeps the branch that is not taken finite
        outer = build("Div", build.polynomial(build("Div", bound, large), far), build("Sqrt", large))
        if scaled:
            inner = build("Mul", inner, build("Exp", build("Neg", size)))
        else:
            outer = build("Mul", outer, build("Exp", large))
        result = build.where(build.compare("Less", size, bound), inner, outer)
        return [build("Mul", build("Sign", x), result) if odd else result]

    return expand


OPERATORS.add("Erfinv", _erfinv)
OPERATORS.add("Ndtri", _ndtri)
OPERATORS.add("BesselI0", _bessel(I0_NEAR, I0_FAR, odd=False, scaled=False))
OPERATORS.add("BesselI0e", _bessel(I0_NEAR, I0_FAR, odd=False, scaled=True))
OPERATORS.add("BesselI1", _bessel(I1_NEAR, I1_FAR, odd=True, scaled=False))
OPERATORS.add("BesselI1e", _bessel(I1_NEAR, I1_FAR, odd=True, scaled=True))
