"""A target: what an inference engine does with an integer graph, as data without a function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from converter.spec.quant import ACTIVATION_U8, BIAS_S32, WEIGHT_S8, QuantSpec


class Role(Enum):
    """What quantization means for an operator.

    COMPUTE has a kernel of its own on integers; PASS only moves codes, so input and output share one grid;
    FIXED has an integer kernel whose output grid the engine prescribes.
    """

    COMPUTE = "compute"
    PASS = "pass"  # noqa: S105 (a role, not a password)
    FIXED = "fixed"


class Saturation(Enum):
    """What integer kernels of the target do with the sum of two neighbouring products.

    EXACT accumulates in 32 bits. PAIRS adds two u8 * s8 products in 16 bits and clips (x86 without VNNI), so that
    weights must be small enough in pairs to be right on every machine.
    """

    EXACT = "exact"
    PAIRS = "pairs"


@dataclass(frozen=True)
class OpRule:
    """How the target treats one operator.

    Args:
        op_type: ONNX operator of the default domain.
        role: see :class:`Role`.
        fuses: activations that the engine folds into this operator when their output is quantized right behind them.
        weight: the operator has a constant second input that is quantized per channel.
        note: one line on what was measured, shown by ``converter targets``.
    """

    op_type: str
    role: Role
    fuses: tuple[str, ...] = ()
    weight: bool = False
    note: str = ""


@dataclass(frozen=True)
class Target:
    """An inference engine on a class of machines.

    Args:
        name: what ``--target`` takes.
        summary: one line for people.
        opset: newest opset of the default domain that is exported for it.
        rules: operators that gain from integers; every other operator stays float.
        activation, weight, bias: the grids that the engine's integer kernels read.
        saturation: see :class:`Saturation`.
        session_options: configuration entries that the session needs, shipped in the manifest.
        integer_kernels: operators of the engine's optimised graph that run on integers.
    """

    name: str
    summary: str
    opset: int
    rules: tuple[OpRule, ...]
    activation: QuantSpec = ACTIVATION_U8
    weight: QuantSpec = WEIGHT_S8
    bias: QuantSpec = BIAS_S32
    saturation: Saturation = Saturation.PAIRS
    session_options: Mapping[str, str] = field(default_factory=dict)
    integer_kernels: frozenset[str] = frozenset()

    def rule(self, op_type: str) -> OpRule | None:
        """The rule for ``op_type``, or None where the operator stays float."""
        return next((r for r in self.rules if r.op_type == op_type), None)

    def to_json(self) -> dict[str, Any]:
        """What a manifest says of the target."""
        return {"name": self.name, "opset": self.opset, "saturation": self.saturation.value,
                "session_options": dict(self.session_options), "activation": self.activation.to_json(),
                "weight": self.weight.to_json(), "bias": self.bias.to_json()}
