"""The parameters of a graph: every trained number, in one form, whoever made the graph.

A parameter is an initializer that an operator computes with, seen through what stands between the two: a DequantizeLinear (an integer
graph), a Transpose, Reshape, Cast or Identity (other exporters). They come in canonical order, in which names have no part: the outputs'
ancestors in the order in which a walk from the first output on, along the inputs of every operator, meets them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError
from converter.graph import query
from converter.spec.quant import Array, Granularity, QParams, QuantSpec
from converter.transfer.layouts import Layout, Reshaped, Step, Turned
from converter.transfer.roles import meaning

PASSED = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Cast", "DequantizeLinear", "QuantizeLinear"})
"""What a parameter is seen through."""

TAKES_CODES = frozenset({"QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulNBits"})
KINDS = (np.dtype("int8"), np.dtype("uint8"), np.dtype("int32"))

@dataclass(frozen=True, eq=False)
class Grid:
    """The grid of an integer parameter, and where it is held.

    Args:
        params: scale, zero point and axis, of the stored codes.
        scale, zero_point: initializers; the zero point may be absent (then it is 0).
        nodes: the DequantizeLinear, and the QuantizeLinear where there is one.
        codes: whether codes are stored; False where a QuantizeLinear in the graph makes them of float numbers.
    """

    params: QParams
    scale: ir.Value
    zero_point: ir.Value | None
    nodes: tuple[ir.Node, ...]
    codes: bool


@dataclass(frozen=True, eq=False)
class Parameter:
    """A trained tensor of a graph.

    Args:
        value: the initializer that holds it.
        name: what people call it: the initializer's name, without what quantizers put behind it.
        node: the first operator that reads it, in canonical order.
        family: kind of that operator; Gemm and MatMul are both ``Dense``.
        role: what it is to the operator: ``kernel``, ``bias``, ``recurrent kernel``, ``table``, ``scale``, ...
        layout: from the stored numbers to the canonical ones.
        direct: whether the operator reads the initializer's own layout (a DequantizeLinear between them does not count).
        grid: where the graph holds it as integers.
        readers: all operators that read it.
    """

    value: ir.Value
    name: str
    node: ir.Node
    family: str
    role: str
    layout: Layout
    direct: bool
    grid: Grid | None
    readers: tuple[ir.Node, ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of the canonical numbers."""
        return tuple(self.layout.canonical(_blank(self.value)).shape)

    @property
    def place(self) -> str:
        """Layer path or name of the operator, for messages."""
        return query.layer_path(self.node)

    @property
    def is_number(self) -> bool:
        """One number in a computation: as likely a constant (an epsilon, a half) as something trained."""
        return int(np.prod(self.shape)) == 1 and (self.role == "operand" or self.role.startswith("input"))

    def read(self) -> Array:
        """The numbers in canonical form, float; codes are dequantized."""
        stored = query.constant(self.value)
        assert stored is not None
        if self.grid is not None and self.grid.codes:
            stored = self.grid.params.dequantize(stored)
        return self.layout.canonical(stored)


def of(model: ir.Model) -> list[Parameter]:
    """The parameters of ``model``, in canonical order.

    Raises:
        ConversionError: weights lie on a grid that is not known here (4 or 16 bits, in blocks), or in operators that take codes directly.
    """
    found: dict[int, tuple[Parameter, list[ir.Node]]] = {}
    for node in canonical_order(model):
        if node.op_type in TAKES_CODES and any(query.is_constant(v) for v in node.inputs):
            raise ConversionError(f"{query.label(node)} ({node.op_type}) takes integer codes directly; weights are moved in graphs of QuantizeLinear "
                                  "and DequantizeLinear pairs (in onnxruntime's quantizer: quant_format=QDQ)")
        for index, value in enumerate(node.inputs if node.op_type not in PASSED else ()):
            held = _held(value) if value is not None else None
            if held is None:
                continue
            if id(held.value) in found:
                found[id(held.value)][1].append(node)
            else:
                found[id(held.value)] = _parameter(node, index, held), [node]
    return [replace(parameter, readers=tuple(nodes)) for parameter, nodes in found.values()]


def canonical_order(model: ir.Model) -> list[ir.Node]:
    """Nodes of the main graph that outputs depend on, each behind what it reads."""
    seen, order = set[int](), list[ir.Node]()
    stack = [(node, False) for out in reversed(model.graph.outputs) if (node := out.producer()) is not None]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack += [(p, False) for v in reversed(node.inputs) if v is not None and (p := v.producer()) is not None and id(p) not in seen]
    return order


def plain_name(name: str) -> str:
    """The name without what quantizers put behind it."""
    for ending in ("/quantized", "_quantized"):
        name = name.removesuffix(ending)
    return name


def _parameter(node: ir.Node, index: int, held: _Held) -> Parameter:
    layout = Layout(held.steps)
    read = layout.canonical(_blank(held.value)).shape
    owner, family, role, more = meaning(node, index, tuple(read))
    return Parameter(held.value, plain_name(query.name_of(held.value)), owner, family, role, Layout((*held.steps, *more)),
                     not held.steps, held.grid, ())


def _blank(value: ir.Value) -> Array:
    """Something of the shape of an initializer that takes no memory."""
    return np.broadcast_to(np.zeros((), np.float32), query.sizes_of(value) or ())


class _Held(NamedTuple):
    value: ir.Value
    steps: tuple[Step, ...]
    grid: Grid | None


def _held(value: ir.Value) -> _Held | None:
    """The initializer behind ``value``, the steps from it to there, and its grid; None where an activation is behind it."""
    steps: list[Step] = []
    pair: list[ir.Node] = []
    while not query.is_constant(value):
        node = value.producer()
        source = query.input_at(node, 0) if node is not None and query.is_standard(node, *PASSED) else None
        if node is None or source is None:
            return None
        if node.op_type in ("DequantizeLinear", "QuantizeLinear"):
            pair.append(node)
        else:
            step = _step(node, source)
            if step is None:
                return None
            steps += step
        value = source
    if value.dtype is None or not (value.dtype.is_floating_point() or pair):
        return None
    grid = _grid(pair, len(query.sizes_of(value) or ()), codes=value.dtype.is_integer()) if pair else None
    return _Held(value, tuple(reversed(steps)), grid)


def _step(node: ir.Node, source: ir.Value) -> list[Step] | None:
    """The change of layout that ``node`` is; None where its shapes are not known."""
    if node.op_type in ("Identity", "Cast"):
        return []
    before, after = (query.sizes_of(v) or _static(v) for v in (source, node.outputs[0]))
    if node.op_type == "Transpose":
        perm = query.ints(node, "perm") or tuple(reversed(range(query.rank_of(source) or 0)))
        return [Turned(perm)]
    return None if before is None or after is None else [Reshaped(before, after)]


def _static(value: ir.Value) -> tuple[int, ...] | None:
    shape = query.shape_of(value)
    lengths = tuple(n for n in shape or () if n is not None)
    return lengths if shape is not None and len(lengths) == len(shape) else None


def _grid(pair: list[ir.Node], rank: int, *, codes: bool) -> Grid:
    """The grid of a DequantizeLinear, the first of ``pair``, behind an initializer of ``rank`` axes."""
    node = pair[0]
    scale, zero = query.input_at(node, 1), query.input_at(node, 2)
    numbers, zeros = query.constant(scale), query.constant(zero)
    if scale is None or numbers is None or (zero is not None and zeros is None):
        raise ConversionError(f"{query.label(node)} dequantizes a weight on a grid that is computed, which is not known here")
    read = node.inputs[0]
    kind = zeros.dtype if zeros is not None else read.dtype.numpy() if read is not None and read.dtype is not None else np.dtype("uint8")
    if kind not in KINDS or numbers.ndim > 1 or numbers.dtype != np.float32:
        raise ConversionError(f"{query.label(node)}: a grid of {kind} with scales {numbers.dtype} {list(numbers.shape)} is not known here; known: "
                              "int8, uint8 and int32 with one float32 scale, or one for every channel")
    if numbers.shape == (1,) and "axis" not in node.attributes:  # some exporters write one scale as a vector
        numbers = numbers.reshape(())
    full = np.zeros(numbers.shape, kind) if zeros is None else np.array(np.broadcast_to(zeros.reshape(-1)[:numbers.size or 1].reshape(
        () if zeros.size == 1 else numbers.shape), numbers.shape))
    signed = kind != np.uint8
    spec = QuantSpec(kind.itemsize * 8, signed=signed, symmetric=signed and not full.any(),
                     granularity=Granularity.CHANNEL if numbers.ndim else Granularity.TENSOR)
    return Grid(QParams(spec, numbers, full, query.integer(node, "axis", 1) % max(rank, 1) if numbers.ndim else None), scale, zero,
                tuple(pair), codes)
