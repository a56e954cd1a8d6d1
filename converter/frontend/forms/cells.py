"""What ONNX's recurrent operators call a Keras cell: operator, gates, activations, and the layout of the weights.

Keras keeps the gates of a kernel ``(inputs, gates * units)`` side by side; ONNX wants ``(directions, gates * units, inputs)`` in an order of its own:

    LSTM (Hochreiter 1997)    Keras i f c o    ONNX i o f c
    GRU (Cho 2014)            Keras z r h      ONNX z r h     linear_before_reset is reset_after
    RNN                       Keras h          ONNX h

The bias of ONNX is ``(directions, 2 * gates * units)``, one half for the input and one for the state. Only a GRU with reset_after has a second
half, as ``(2, 3 * units)``. Weights are packed by operators with one output each, which constant folding computes and the ledger records.
Source: ONNX operators LSTM-14, GRU-14, RNN-14 (the same as version 7 but for an attribute, layout, that onnxruntime lacks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.graph.build import Builder

Numbers = tuple[float, ...]

ACTIVATIONS: Mapping[str, tuple[str, Numbers, Numbers]] = {
    "tanh": ("Tanh", (), ()), "sigmoid": ("Sigmoid", (), ()), "relu": ("Relu", (), ()), "softsign": ("Softsign", (), ()),
    "linear": ("Affine", (1.0,), (0.0,)), "hard_sigmoid": ("HardSigmoid", (1 / 6,), (0.5,)),
    "leaky_relu": ("LeakyRelu", (0.2,), ()), "elu": ("Elu", (1.0,), ()),
}
"""Name in ``keras.activations`` to what ONNX's recurrent operators call it, with its alphas and betas. Each is compared in the tests.

Softplus is not here: that of onnxruntime's recurrent operators is log(1 + exp(x)) as it stands, infinite from 89 on."""
GATES: Mapping[str, tuple[int, ...]] = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2), "RNN": (0,)}
"""The Keras gate that stands at each place of ONNX's order."""


@dataclass(frozen=True)
class Cell:
    """A recurrent cell.

    Args:
        op_type: ``LSTM``, ``GRU`` or ``RNN``.
        units: length of the state.
        activations: names in Keras, in ONNX's order of functions.
        bias: ``none``, ``input`` (a vector for the input) or ``both`` (one for the state, too).
        reset_after: of a GRU: the reset gate is applied behind the matrix product.
    """

    op_type: str
    units: int
    activations: tuple[str, ...]
    bias: str
    reset_after: bool = False

    @property
    def states(self) -> int:
        """How many states it has: h, and the c of an LSTM."""
        return 2 if self.op_type == "LSTM" else 1

    @property
    def weights(self) -> int:
        """How many Keras variables it has."""
        return 2 if self.bias == "none" else 3


def describe(keras: Any, cell: Any) -> Cell | None:
    """The cell as ONNX has it, or None: another class, another activation, another precision than float32."""
    kinds = {keras.layers.LSTMCell: "LSTM", keras.layers.GRUCell: "GRU", keras.layers.SimpleRNNCell: "RNN"}
    op_type = kinds.get(type(cell))
    if op_type is None or cell.compute_dtype != "float32" or cell.variable_dtype != "float32":
        return None
    inner = _name(keras, cell.activation)
    gate = _name(keras, cell.recurrent_activation) if op_type != "RNN" else inner
    if inner is None or gate is None:
        return None
    functions = {"LSTM": (gate, inner, inner), "GRU": (gate, inner), "RNN": (inner,)}[op_type]
    after = op_type == "GRU" and bool(cell.reset_after)
    return Cell(op_type, cell.units, functions, "none" if not cell.use_bias else "both" if after else "input", after)


def variables(cell: Any) -> list[Any]:
    """The Keras variables of a cell, in the order in which :func:`pack` takes them."""
    return [cell.kernel, cell.recurrent_kernel, *([cell.bias] if cell.use_bias else [])]


def _name(keras: Any, function: Any) -> str | None:
    """The name of an activation, which may be that of ``keras.activations`` or of ``keras.ops``."""
    return next((name for name in ACTIVATIONS if function is getattr(keras.activations, name) or function is getattr(keras.ops, name, None)), None)


def attributes(cells: Sequence[Cell], direction: str) -> dict[str, Any]:
    """Attributes of the operator that runs ``cells``, one a direction; alphas and betas only of functions that have some."""
    functions = [ACTIVATIONS[name] for cell in cells for name in cell.activations]
    found: dict[str, Any] = {"hidden_size": cells[0].units, "direction": direction, "activations": [f[0] for f in functions]}
    alphas, betas = [a for f in functions for a in f[1]], [b for f in functions for b in f[2]]
    found |= {name: numbers for name, numbers in (("activation_alpha", alphas), ("activation_beta", betas)) if numbers}
    return found | ({"linear_before_reset": int(cells[0].reset_after)} if cells[0].op_type == "GRU" else {})


def pack(build: Builder, cells: Sequence[Cell], weights: Sequence[ir.Value]) -> list[ir.Value | None]:
    """The inputs W, R and B of the operator, B None where no cell has a bias.

    Args:
        build: writes the operators.
        cells: one a direction.
        weights: the Keras variables of each, one cell behind the other.
    """
    size = cells[0].weights
    parts = [weights[i * size:(i + 1) * size] for i in range(len(cells))]
    kernels = [[_kernel(build, cell, part[i]) for cell, part in zip(cells, parts, strict=True)] for i in (0, 1)]
    biases = [_bias(build, cell, part[2]) for cell, part in zip(cells, parts, strict=True) if cell.bias != "none"]
    return [_stacked(build, kernels[0]), _stacked(build, kernels[1]), _stacked(build, biases) if biases else None]


def _kernel(build: Builder, cell: Cell, kernel: ir.Value) -> ir.Value:
    """``(inputs, gates * units)`` to ``(1, gates * units, inputs)``."""
    turned = build("Transpose", kernel, perm=[1, 0])
    if cell.op_type != "LSTM":
        return build("Unsqueeze", turned, np.array([0]))
    gates = build("Gather", build("Reshape", turned, np.array([4, cell.units, -1])), np.array(GATES["LSTM"]), axis=0)
    return build("Reshape", gates, np.array([1, 4 * cell.units, -1]))


def _bias(build: Builder, cell: Cell, bias: ir.Value) -> ir.Value:
    """``(gates * units)`` or ``(2, gates * units)`` to ``(1, 2 * gates * units)``."""
    length = len(GATES[cell.op_type]) * cell.units
    if cell.op_type == "LSTM":
        bias = build("Reshape", build("Gather", build("Reshape", bias, np.array([4, cell.units])), np.array(GATES["LSTM"]), axis=0), np.array([-1]))
    if cell.bias == "input":
        bias = build("Concat", bias, np.zeros(length, np.float32), axis=0)
    return build("Reshape", bias, np.array([1, 2 * length]))


def _stacked(build: Builder, parts: Sequence[ir.Value]) -> ir.Value:
    return parts[0] if len(parts) == 1 else build("Concat", *parts, axis=0)
