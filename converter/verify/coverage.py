"""Which operators really run on integers: read off the graph that onnxruntime makes on this CPU, not off ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from converter.graph import query
from converter.spec.plan import Layer
from converter.spec.report import Skip, Why
from converter.verify.session import operators, optimised

INTEGER = frozenset({"QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger", "QGemm", "MatMulIntegerToFloat", "DynamicQuantizeMatMul",
                     "DynamicQuantizeLSTM", "QAttention", "QLinearConvTranspose"})
FLOAT = frozenset({"Conv", "FusedConv", "ConvTranspose", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "GRU", "LSTM", "RNN", "Einsum", "Attention",
                   "MultiHeadAttention", "NhwcFusedConv", "NhwcConv"})


@dataclass(frozen=True)
class Coverage:
    """Operators that compute (convolutions, matrix products, recurrences) by kind of kernel.

    Args:
        integer: how many run on integers.
        compute: how many there are.
        kernels: of the optimised graph, by operator: those on integers.
        others: every other operator of the optimised graph.
        float_nodes: layers planned for integers that the engine did not fuse, and layers left in float on purpose.
    """

    integer: int
    compute: int
    kernels: dict[str, int]
    others: dict[str, int]
    float_nodes: tuple[Skip, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        nodes = [{"name": s.path, "layer": s.path, "op_type": s.detail, "why": s.why.value} for s in self.float_nodes]
        return {"integer": self.integer, "compute": self.compute, "kernels": self.kernels, "others": self.others, "float_nodes": nodes}


def coverage(
    model: ir.Model | str | Path, layers: tuple[Layer, ...] = (), skipped: tuple[Skip, ...] = (), entries: Mapping[str, str] | None = None
) -> Coverage:
    """What runs how. ``layers`` are those planned for integers, ``skipped`` those left in float and why."""
    graph = optimised(model, entries)
    counts = operators(graph)
    integer = {op: n for op, n in sorted(counts.items()) if op in INTEGER or op.startswith("QLinear")}
    fast, slow = sum(n for op, n in counts.items() if op in INTEGER), sum(n for op, n in counts.items() if op in FLOAT)
    left = {query.layer_path(n) for n in graph.graph if n.op_type in FLOAT} | {n.name or "" for n in graph.graph if n.op_type in FLOAT}
    unfused = tuple(Skip(x.path, Why.NOT_FUSED, x.op_type) for x in layers if x.name in left)
    return Coverage(fast, fast + slow, integer, {op: n for op, n in sorted(counts.items()) if op not in integer}, unfused + skipped)
