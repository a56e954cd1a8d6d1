"""Write several operators in place of one, each call a node: ``build("Add", a, b)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.graph import edit, query
from converter.spec.quant import Array


class Builder:
    """Makes nodes in front of another one, with names below its name and in its Keras layer.

    Args:
        model: the model that the node is in, in a subgraph or not.
        place: the node that is to be replaced.
    """

    def __init__(self, model: ir.Model, place: ir.Node) -> None:
        self.model, self.place = model, place

    @property
    def opset(self) -> int:
        """Version of the default operator set of the model."""
        return query.opset(self.model)

    def __call__(self, op_type: str, *inputs: ir.Value | Array | None, dtype: ir.DataType | None = None, **attributes: Any) -> ir.Value:
        """The only output of a new node; of the type of its first input unless ``dtype`` says otherwise.

        An array becomes a constant; None is an input that is left out.
        """
        return self.several(op_type, *inputs, count=1, dtype=dtype, **attributes)[0]

    def several(
        self, op_type: str, *inputs: ir.Value | Array | None, count: int, dtype: ir.DataType | None = None, **attributes: Any
    ) -> Sequence[ir.Value]:
        """All ``count`` outputs of a new node."""
        values = [value if value is None or isinstance(value, ir.Value) else self.constant(value) for value in inputs]
        made = edit.new_node(self.model, op_type, values, f"{self.place.name}/{op_type}", attributes, self.place, outputs=count)
        if dtype is not None:
            for out in made.outputs:
                out.type = ir.TensorType(dtype)
        self.place.prepend(made)
        return made.outputs

    def constant(self, numbers: Array) -> ir.Value:
        """An initializer of the main graph."""
        return edit.add_initializer(self.model, f"{self.place.name}/constant", np.asarray(numbers))
