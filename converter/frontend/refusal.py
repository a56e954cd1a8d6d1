"""What to say of operators that ONNX does not have: where each is, and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

ADVICE = (
    ("String|ToHash|AsString|Regex|Unicode|Vocab|LookupTable|HashTable|SparseCross|FarmHash",
     "strings and look-up tables belong in the data pipeline, in front of the model"),
    ("^Lu$|Svd|Eig|MatrixExponential|MatrixLogarithm|MatrixSquareRoot",
     "ONNX has no such decomposition of matrices; compute it outside of the graph, or, where the matrix is a weight, once, and keep the result"),
    ("Random|Multinomial|Sample|Bernoulli|Poisson", "a draw of random numbers that matters at inference; pass the numbers as an input"),
    ("FFT|Complex|^Real$|^Imag$|^Conj$|^Angle$", "ONNX has no complex numbers; carry the real and the imaginary part as two tensors"),
    ("CTC", "decode the logits behind the model"),
    ("Decode|Encode|ReadFile", "reading and decoding files belongs in the data pipeline"),
    ("Variable|Resource|TensorArray|TensorList|Stack|Queue|Iterator",
     "state, or a list of tensors, that a loop or a layer keeps; use tensors of a known shape"),
    ("Bitwise|Invert", "bits of integers need opset 18 or newer"),
    ("PyFunc", "Python code cannot be part of a graph; write it with keras.ops"),
    ("Unique|Nonzero|^Where$|BooleanMask", "a result whose shape depends on the data; keep the shape and mask instead"),
    ("Gamma|Zeta|Betainc|Bessel", "ONNX has no such special function; use a polynomial in the range you need"),
)
"""Pattern of the operator's type, and advice; the first that fits is given."""
DEFAULT = "express it with operations that ONNX has"
SHOWN = 20
HARMLESS = frozenset({"Assert", "Const", "NoOp", "Placeholder", "PyFuncStateless", "StatelessIf", "StatelessWhile", "If", "While", "CheckNumerics"})
"""Operators that become nothing, marks of our own, and loops and choices, which tf2onnx reads before it looks at operators."""


def advice(operator: str) -> str:
    """What to do instead of a TensorFlow operator."""
    return next((text for pattern, text in ADVICE if re.search(pattern, operator)), DEFAULT)


def text(left: Sequence[tuple[str, str, str]]) -> str:
    """The message for operators that are left.

    Args:
        left: Keras layer path, type of the operator, and the reason where one is known, else "".
    """
    unique = list(dict.fromkeys(left))
    lines = [f"{layer}: {operator} ({reason or advice(operator)})" for layer, operator, reason in unique[:SHOWN]]
    more = f"; and {len(unique) - SHOWN} more" if len(unique) > SHOWN else ""
    return f"{len(left)} operators have no ONNX form (Keras layer: TensorFlow operator): {'; '.join(lines)}{more}"


def unknown(graph: Any, opset: int, ours: Collection[str]) -> list[tuple[str, str]]:
    """Operators of a TensorFlow graph and of the functions in it that neither tf2onnx nor we have a form for.

    Args:
        graph: ``tf.Graph``.
        opset: that tf2onnx writes.
        ours: types that we have a form for.

    Returns:
        Name and type of each, in the order of the graph.
    """
    from tf2onnx.handler import tf_op

    known = {*tf_op.create_mapping(opset, []), *ours} | HARMLESS
    return [(name, kind) for name, kind in operations_of(graph) if kind not in known and not kind.startswith("TensorList")]


def operations_of(graph: Any) -> Iterator[tuple[str, str]]:
    """Name and type of every operator of a TensorFlow graph and of the functions in it."""
    yield from ((op.name, op.type) for op in graph.get_operations())
    for function in graph.as_graph_def().library.function:
        yield from ((node.name, node.op) for node in function.node_def)
