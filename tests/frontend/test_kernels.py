"""Types that have no kernel are cast; the table is held to ONNX Runtime, operator by operator."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import ConversionError
from converter.frontend import kernels
from converter.verify.session import Session
from tests.frontend.calling import agree, functions

K = keras.ops
ONE_MORE = {"CumSum": ir.DataType.INT64, "Pad": ir.DataType.INT64}


def _alone(op_type: str, kind: ir.DataType) -> ir.Model:
    """A model of one operator on a matrix of that type."""
    x = ir.Value(name="x", type=ir.TensorType(kind), shape=ir.Shape((2, 3)))
    inputs, constants = [x], []
    if op_type in ONE_MORE:
        numbers = np.array(1, np.int64) if op_type == "CumSum" else np.array([0, 1, 0, 1], np.int64)
        constants = [ir.Value(name="c", const_value=ir.tensor(numbers, name="c"), type=ir.TensorType(ONE_MORE[op_type]), shape=ir.Shape(numbers.shape))]
    if op_type == "Where":
        constants = [ir.Value(name="c", const_value=ir.tensor(np.ones((2, 3), bool), name="c"), type=ir.TensorType(ir.DataType.BOOL))]
        inputs = [*constants, x, x]
    elif op_type in ("Pow", "Max", "Min"):
        inputs = [x, x]
    elif op_type == "Clip":
        least = ir.tensor(np.zeros((), kind.numpy()), name="c")
        constants = [ir.Value(name="c", const_value=least, type=ir.TensorType(kind), shape=ir.Shape(()))]
        inputs = [x, *constants]
    else:
        inputs = [x, *constants]
    attributes = [ir.AttrString("equation", "ij->ji")] if op_type == "Einsum" else []
    result = ir.DataType.INT64 if op_type.startswith("Arg") else kind
    node = ir.Node("", op_type, inputs, attributes, outputs=[ir.Value(name="y", type=ir.TensorType(result))])
    return ir.Model(ir.Graph([x], node.outputs, nodes=[node], initializers=constants, opset_imports={"": 18}), ir_version=8)


def _runs(op_type: str, kind: ir.DataType) -> bool:
    try:
        Session(_alone(op_type, kind))
    except ConversionError:
        return False
    return True


@pytest.mark.parametrize("op_type", sorted(kernels.TAKEN))
def test_the_table_is_what_the_runtime_takes(op_type: str) -> None:
    assert [kind for kind in kernels.TAKEN[op_type] if not _runs(op_type, kind)] == []
    assert {kernels.WIDE[kind] for kind in kernels.WIDE if kind not in kernels.TAKEN[op_type]} <= kernels.TAKEN[op_type]
    if op_type not in ("Where", "Einsum"):  # these have more than they are given credit for
        assert [kind for kind in kernels.WIDE if kind not in kernels.TAKEN[op_type] and _runs(op_type, kind)] == []


def test_small_whole_numbers() -> None:
    def of(kind: str) -> dict[str, Any]:
        given = {"sum": lambda x: K.sum(x, 1), "product": lambda x: K.prod(x, 1), "running": lambda x: K.cumsum(x, 1), "power": lambda x: K.power(x, 3),
                 "least": lambda x: K.min(x, 1), "where": lambda x: K.argmax(x, 1), "positive": K.relu, "larger": lambda x: K.maximum(x, K.ones_like(x)),
                 "between": lambda x: K.clip(x, 1, 2), "padded": lambda x: K.pad(x, ((0, 0), (1, 1))), "chosen": lambda x: K.where(x > 1, x, x + x)}
        return {f"{kind} {name}": lambda x, f=f: K.cast(f(K.cast(x, kind)), "float32") for name, f in given.items()}

    exported = functions({**of("int16"), **of("uint8"), "first": lambda x: K.argmax(x > 1, 1)}, ((6,), "int32"))
    agree(exported, np.array([[1, 0, 3, 100, 2, 90]], np.int32))


def test_floats_wrap_around() -> None:
    exported = functions({kind: lambda x, kind=kind: K.cast(K.cast(x, kind), "float32") for kind in ("uint8", "int8", "int16", "uint16")}, ((6,), "float32"))
    agree(exported, np.array([[-1.5, 300.7, -200.0, 70000.2, 127.9, 5.0]], np.float32))
