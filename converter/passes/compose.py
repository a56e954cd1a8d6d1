"""Several operators that are one of ONNX's, written as that one.

    x Reciprocal(y)                          = Div(x, y)
    x Tanh(Softplus(x))                      = Mish(x)                     from opset 18
    x HardSigmoid(x, 1/6, 1/2)               = HardSwish(x)                from opset 14
    1/2 x (1 + Erf(x / sqrt 2))              = Gelu(x)                     from opset 20
    w x / Sqrt(e + ReduceMean(x^2))          = RMSNormalization(x, w, e)   from opset 23, over the last axis

The first is what ``rsqrt`` arrives as; onnxruntime knows a normalization by its Div. Factors are found in any order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import onnx_ir as ir

from converter.graph import edit, query
from converter.passes.base import GraphPass, Promise

CLOSE = 1e-6  # of a constant: float32 has one form of sqrt 2 or 1/6, but not all writers round alike
GELU_FACTORS = 3


class ComposeOperators(GraphPass):
    """Replace a product that ONNX has an operator for."""

    promise = Promise.ROUNDING

    def rewrite(self, model: ir.Model) -> int:
        """One walk; what stands in front of a product is composed before it."""
        version = query.opset(model)
        count = 0
        for node in model.graph:
            if query.is_standard(node, "Mul") and query.is_float32(node.outputs[0]):
                count += any(version >= since and rule(node) for since, rule in RULES)
        edit.drop_unused(model)
        return count


def _divide(node: ir.Node) -> bool:
    for x, other in _sides(node):
        inverse = _only_read_here(other, "Reciprocal")
        if inverse is not None and not query.is_constant(x):
            edit.change_operator(node, "Div", [x, inverse.inputs[0]])
            return True
    return False


def _mish(node: ir.Node) -> bool:
    for x, other in _sides(node):
        tanh = query.producer_of(other, "Tanh")
        soft = query.producer_of(tanh.inputs[0], "Softplus") if tanh is not None else None
        if soft is not None and soft.inputs[0] is x:
            edit.change_operator(node, "Mish", [x])
            return True
    return False


def _hard_swish(node: ir.Node) -> bool:
    for x, other in _sides(node):
        gate = query.producer_of(other, "HardSigmoid")
        line = (query.number(gate, "alpha", 0.2), query.number(gate, "beta", 0.5)) if gate is not None and gate.inputs[0] is x else (0.0, 0.0)
        if _near(line[0], 1 / 6) and _near(line[1], 0.5):
            edit.change_operator(node, "HardSwish", [x])
            return True
    return False


def _gelu(node: ir.Node) -> bool:
    factors = list(_factors(node))
    halves = [f for f in factors if _near(query.scalar(f), 0.5)]
    others = [f for f in factors if f not in halves]
    if len(factors) != GELU_FACTORS or len(halves) != 1:
        return False
    for x, other in (others, others[::-1]):
        add = query.producer_of(other, "Add")
        if add is not None and any(_near(query.scalar(one), 1) and _erf_of(erf) is x for one, erf in _sides(add)):
            edit.change_operator(node, "Gelu", [x])
            return True
    return False


def _erf_of(value: ir.Value) -> ir.Value | None:
    """``x`` of ``Erf(x / sqrt 2)``."""
    erf = query.producer_of(value, "Erf")
    scaled = erf.inputs[0].producer() if erf is not None and erf.inputs[0] is not None else None
    if scaled is None:
        return None
    if query.is_standard(scaled, "Div") and _near(query.scalar(scaled.inputs[1]), math.sqrt(2)):
        return scaled.inputs[0]
    if query.is_standard(scaled, "Mul"):
        return next((x for x, c in _sides(scaled) if _near(query.scalar(c), math.sqrt(0.5))), None)
    return None


def _rms(node: ir.Node) -> bool:
    for scale, other in _sides(node):
        divided, sizes = _only_read_here(other, "Div"), query.sizes_of(scale)
        x = divided.inputs[0] if divided is not None else None
        lengths = query.shape_of(x) if x is not None else None
        if divided is None or x is None or not lengths or sizes != lengths[-1:] or query.scalar(scale) is not None:
            continue
        epsilon = _epsilon(divided.inputs[1], x)
        if epsilon is not None:
            edit.change_operator(node, "RMSNormalization", [x, scale], axis=-1, epsilon=epsilon)
            return True
    return False


def _epsilon(value: ir.Value | None, x: ir.Value) -> float | None:
    """``e`` where ``value`` is ``Sqrt(e + ReduceMean(x^2))`` over the last axis."""
    root = query.producer_of(value, "Sqrt")
    add = query.producer_of(root.inputs[0], "Add") if root is not None else None
    for epsilon, power in _sides(add) if add is not None else ():
        mean = query.producer_of(power, "ReduceMean")
        if mean is not None and query.scalar(epsilon) is not None and _over_last(mean, query.rank_of(x)) and _is_square(mean.inputs[0], x):
            return query.scalar(epsilon)
    return None


def _over_last(mean: ir.Node, rank: int | None) -> bool:
    axes = query.int_list(query.input_at(mean, 1)) or query.ints(mean, "axes")
    return rank is not None and len(axes) == 1 and axes[0] % rank == rank - 1 and query.integer(mean, "keepdims", 1) == 1


def _is_square(value: ir.Value | None, x: ir.Value) -> bool:
    made = value.producer() if value is not None else None
    if made is None or not query.is_standard(made, "Pow", "Mul") or made.inputs[0] is not x:
        return False
    return made.inputs[1] is x if made.op_type == "Mul" else query.scalar(made.inputs[1]) == 2


def _sides(node: ir.Node) -> Iterator[tuple[ir.Value, ir.Value]]:
    """The two inputs, in both orders."""
    a, b = node.inputs[:2]
    if a is not None and b is not None:
        yield a, b
        yield b, a


def _factors(node: ir.Node) -> Iterator[ir.Value]:
    """What ``node`` multiplies, with products in front of it that nothing else reads taken apart."""
    for value in query.inputs_of(node):
        inner = _only_read_here(value, "Mul")
        if inner is None:
            yield value
        else:
            yield from query.inputs_of(inner)


def _only_read_here(value: ir.Value, op_type: str) -> ir.Node | None:
    made = query.producer_of(value, op_type)
    return made if made is not None and query.sole_consumer(value) is not None else None


def _near(number: float | None, wanted: float) -> bool:
    return number is not None and bool(np.isclose(number, wanted, rtol=CLOSE, atol=0))


RULES: tuple[tuple[int, Callable[[ir.Node], bool]], ...] = ((14, _hard_swish), (18, _mish), (20, _gelu), (23, _rms), (1, _divide))
"""The opset from which a rule holds, and the rule."""
