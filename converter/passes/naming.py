"""Final names: every initializer is called after the Keras variable that it mainly is.

A kernel keeps its variable path however much was folded into it. A bias that came out of a fold is called after the
variable that a bias is named by (``.../bias``, ``.../beta``) if it has one, else ``<layer>/bias``.
"""

from __future__ import annotations

import onnx_ir as ir

from converter.graph import edit, ledger, names, query
from converter.passes.base import GraphPass

BIASED = ("Conv", "ConvTranspose", "Gemm")  # operators whose third input is a bias


class NameNodes(GraphPass):
    """Give every node a name of its own: a plan and a report speak of nodes by name, and ONNX asks for none."""

    def rewrite(self, model: ir.Model) -> int:
        """One walk; a node keeps its name if it is the first to have it."""
        count, taken = 0, set[str]()
        names.reserve(model, (node.name for node in model.graph if node.name))
        for node in model.graph:
            if not node.name or node.name in taken:
                node.name = names.fresh_name(model, node.name or query.label(node))
                count += 1
            taken.add(node.name)
        return count


class NameInitializers(GraphPass):
    """Name weights after Keras variables, other constants after the node that reads them and what they are to it."""

    def rewrite(self, model: ir.Model) -> int:
        """One walk in topological order, so that the same graph gets the same names."""
        seen, count = set[int](), 0
        for node in model.graph:
            for index, value in enumerate(node.inputs):
                if value is not None and query.is_constant(value) and id(value) not in seen:
                    seen.add(id(value))
                    old = value.name
                    count += edit.rename(model, value, _wanted(model, node, index, value)) != old
        return count


def _wanted(model: ir.Model, node: ir.Node, index: int, value: ir.Value) -> str:
    sources = ledger.of(model).sources(query.name_of(value))
    if not sources:
        return f"{query.label(node)}/{_role(node, index)}"
    if index != 2 or node.op_type not in BIASED:
        return next((s for s in sources if s.rsplit("/", 1)[-1] in ("kernel", "depthwise_kernel", "pointwise_kernel", "embeddings")), sources[0])
    if sources == [value.name]:  # a graph that did not come from Keras, and nothing was folded into it: it keeps its name
        return sources[0]
    own = next((s for s in sources if s.endswith("/bias")), None)
    return own or f"{query.layer_path(node)}/bias"


def _role(node: ir.Node, index: int) -> str:
    known = {"Clip": ("x", "min", "max"), "Reshape": ("x", "shape"), "Pad": ("x", "pads", "value"), "Conv": ("x", "weight", "bias"),
             "Gemm": ("x", "weight", "bias"), "Squeeze": ("x", "axes"), "Unsqueeze": ("x", "axes")}
    names = known.get(node.op_type, ())
    return names[index] if index < len(names) else f"constant_{index}"
