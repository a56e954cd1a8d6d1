"""Fresh numbers for a parameter, by the operator that reads it.

    He normal        std = sqrt(2 / fan_in)                        kernels in front of a rectifier   (He et al. 2015, eq. 10)
    Glorot uniform   limit = sqrt(6 / (fan_in + fan_out))          other kernels                     (Glorot and Bengio 2010, eq. 16)
    orthogonal       Q of a normal matrix                          recurrent kernels                 (Saxe et al. 2014)
    uniform          limit = 0.05                                  embeddings, as Keras draws them

``fan_in`` is how many products an output adds up, ``fan_out`` how many outputs an input goes into: kernel area and groups count, and of a
transposed convolution the part of its taps that one output sees. Biases, shifts and means are 0, scales and variances 1, the forget gate of an LSTM
starts open (bias 1, Jozefowicz et al. 2015), slopes of PRelu are 0.25 (He et al. 2015). A hard sigmoid that is written as ``clip(x + b, 0, 6) / 6``
has its middle in the bias: that is 3, or the gate would be shut for good.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converter.graph import query
from converter.spec.quant import Array
from converter.transfer.parameters import Parameter

EMBEDDING, TABLE = 0.05, 0.02  # limit of a uniform distribution; std of trained tensors that no operator gives a scale
CONVOLUTIONS = ("Conv", "ConvTranspose")
RECURRENT = ("LSTM", "GRU", "RNN")
RECTIFIERS = frozenset({"Relu", "LeakyRelu", "PRelu", "Elu", "Celu", "Selu", "Gelu", "HardSwish", "Swish", "Mish", "Softplus", "ThresholdedRelu"})
PASSED = frozenset({"Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Dropout", "BatchNormalization", "Cast", "MaxPool"})
CONSTANTS: Mapping[str, float] = {"bias": 0.0, "shift": 0.0, "mean": 0.0, "scale": 1.0, "variance": 1.0, "peephole": 0.0}
NEUTRAL: Mapping[str, float] = {"Add": 0.0, "Sub": 0.0, "Sum": 0.0, "Mul": 1.0, "Div": 1.0, "PRelu": 0.25}

Draw = Callable[[tuple[int, ...], np.random.Generator], Array]


@dataclass(frozen=True)
class Rule:
    """How a parameter is drawn: a name for people, the spread that it should have, and the draw itself (canonical shape, float64)."""

    name: str
    std: float
    draw: Draw


def generator(seed: int, name: str) -> np.random.Generator:
    """The random numbers of one parameter: they depend on the seed and on its name, not on the order of anything in the file."""
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")])


def rule_for(p: Parameter) -> Rule | None:
    """The rule for ``p`` as its operator reads it; None where no rule is known for this place."""
    if p.family in RECURRENT:
        return _recurrent(p)
    fans = fans_of(p)
    if fans is not None:
        return he_normal(fans[0]) if rectified(p.node) else glorot_uniform(*fans)
    if p.family == "Embedding" and p.role == "table" and len(p.shape) > 1:
        return Rule(f"uniform, limit {EMBEDDING}", EMBEDDING / math.sqrt(3), lambda shape, rng: rng.uniform(-EMBEDDING, EMBEDDING, shape))
    if p.role == "bias" and gate_behind(p.node):
        return constant(3.0)
    if p.role in CONSTANTS:
        return constant(CONSTANTS[p.role])
    if p.family in NEUTRAL and p.role == "operand" and len(p.shape) == 1:
        return constant(NEUTRAL[p.family])
    if p.family in ("Add", "Sub") and p.role == "operand":
        return normal(TABLE, "a table that is added")
    return None


def constant(number: float) -> Rule:
    """All the same."""
    return Rule(f"{number:g}", 0.0, lambda shape, rng: np.full(shape, number))


def normal(std: float, why: str) -> Rule:
    """Normal with a fixed spread."""
    return Rule(f"normal, std {std:g} ({why})", std, lambda shape, rng: rng.normal(0.0, std, shape))


def he_normal(fan_in: float) -> Rule:
    """Normal, variance ``2 / fan_in``: keeps the mean square through a rectifier."""
    std = math.sqrt(2 / fan_in)
    return Rule("He normal", std, lambda shape, rng: rng.normal(0.0, std, shape))


def glorot_uniform(fan_in: float, fan_out: float) -> Rule:
    """Uniform, variance ``2 / (fan_in + fan_out)``: keeps the variance forward and backward, halfway."""
    limit = math.sqrt(6 / (fan_in + fan_out))
    return Rule("Glorot uniform", limit / math.sqrt(3), lambda shape, rng: rng.uniform(-limit, limit, shape))


def fans_of(p: Parameter) -> tuple[float, float] | None:
    """How many products an output of the kernel ``p`` adds up, and how many outputs an input goes into; None for what is no kernel."""
    shape, node = p.shape, p.node
    if p.family in CONVOLUTIONS and p.role == "kernel" and len(shape) > 2:
        area, group = math.prod(shape[2:]), query.integer(node, "group", 1)
        if p.family == "Conv":
            return float(shape[1] * area), float(shape[0] * area / group)
        taps = max(area / math.prod(query.ints(node, "strides") or (1,)), 1.0)  # an output lies under every stride-th tap only
        return shape[0] * taps / group, float(shape[1] * area)
    if p.family == "Dense" and p.role == "kernel":
        return (float(shape[-2]), float(shape[-1])) if len(shape) > 1 else (float(shape[0]), 1.0)
    if p.family == "Dense" and p.role in ("left kernel", "input"):
        return (float(shape[-1]), float(shape[-2])) if len(shape) > 1 else (float(shape[0]), 1.0)
    return _einsum_fans(p) if p.family == "Einsum" else None


def _einsum_fans(p: Parameter) -> tuple[float, float] | None:
    """Axes that are summed make ``fan_in``; those that only the kernel brings make ``fan_out``."""
    equation, index = query.string(p.node, "equation", "").replace(" ", ""), int(p.role.removeprefix("input"))
    terms, _, result = equation.partition("->")
    labels, value = terms.split(","), p.node.inputs[index]
    lengths = query.sizes_of(value) or (None if value is None else query.shape_of(value))
    if not result or len(labels) != 2 or lengths is None or None in lengths or len(lengths) != len(labels[index]):
        return None
    sizes = [(label, int(n or 1)) for label, n in zip(labels[index], lengths, strict=True)]
    return (float(math.prod(n for label, n in sizes if label not in result)),
            float(math.prod(n for label, n in sizes if label in result and label not in labels[1 - index])))


def _recurrent(p: Parameter) -> Rule | None:
    """``W (directions, gates * hidden, in)``, ``R (directions, gates * hidden, hidden)``, ``B (directions, 2 * gates * hidden)``."""
    if p.role == "kernel":
        return glorot_uniform(p.shape[2], p.shape[1])
    if p.role == "recurrent kernel":
        return Rule("orthogonal", 1 / math.sqrt(p.shape[1]), _orthogonal)
    if p.role == "bias" and p.family == "LSTM":
        hidden = p.shape[1] // 8
        return Rule("0, forget gate 1", math.sqrt(7) / 8, lambda shape, rng: _open_forget_gate(shape, hidden))
    return constant(0.0) if p.role in ("bias", "peephole") else None


def _orthogonal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Orthonormal columns for every direction, uniform over all such matrices: the signs of the diagonal of R are taken out."""
    q, r = np.linalg.qr(rng.normal(size=shape))
    return np.asarray(q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :])


def _open_forget_gate(shape: tuple[int, ...], hidden: int) -> Array:
    """The gates lie in the order input, output, forget, cell."""
    bias = np.zeros(shape)
    bias[:, 2 * hidden:3 * hidden] = 1.0
    return bias


def rectified(node: ir.Node) -> bool:
    """Whether a rectifier (or a smooth one) follows ``node``, perhaps behind a bias, a normalization or a change of shape."""
    seen, stack = set[int](), [node.outputs[0]]
    while stack:
        value = stack.pop()
        for use in value.uses():
            reader = use.node
            if is_gate(reader):
                continue
            if reader.op_type in RECTIFIERS or _clips_at_zero(reader) or _gates_itself(value, reader):
                return True
            by_constant = reader.op_type in ("Add", "Mul", "Div", "Sub") and any(query.is_constant(v) for v in reader.inputs)
            if (reader.op_type in PASSED or by_constant) and use.idx <= 1 and id(reader) not in seen:
                seen.add(id(reader))
                stack.append(reader.outputs[0])
    return False


def gate_behind(node: ir.Node) -> bool:
    """Whether a hard sigmoid follows ``node`` whose middle is in the bias, perhaps behind an addition of that bias."""
    for use in node.outputs[0].uses():
        added = use.node.op_type == "Add" and any(query.is_constant(v) for v in use.node.inputs)
        if is_gate(use.node) or (added and any(is_gate(further.node) for further in use.node.outputs[0].uses())):
            return True
    return False


def is_gate(node: ir.Node) -> bool:
    """``clip(x, 0, 6)`` that is divided by 6."""
    limits = query.scalar(query.input_at(node, 1)), query.scalar(query.input_at(node, 2))
    if node.op_type != "Clip" or limits != (0.0, 6.0):
        return False
    readers = [use.node for use in node.outputs[0].uses()]
    factors = [(r.op_type, query.scalar(v)) for r in readers for v in r.inputs if query.is_constant(v)]
    return any(f is not None and abs((f if kind == "Mul" else 1 / f if kind == "Div" and f else 0.0) - 1 / 6) < 1e-6 for kind, f in factors)


def _clips_at_zero(node: ir.Node) -> bool:
    return (node.op_type == "Clip" and query.scalar(query.input_at(node, 1)) == 0.0) or (
        node.op_type == "Max" and any(query.scalar(v) == 0.0 for v in node.inputs))


def _gates_itself(value: ir.Value, reader: ir.Node) -> bool:
    """``x * sigmoid(x)`` and ``x * (1 + erf(x / sqrt(2)))``, written out."""
    if reader.op_type == "Erf":
        return True
    return reader.op_type in ("Sigmoid", "HardSigmoid") and any(u.node.op_type == "Mul" and value in u.node.inputs for u in reader.outputs[0].uses())
