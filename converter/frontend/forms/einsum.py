"""A sum of products over two tensors as one MatMul, a product without a sum as one Mul; what is neither stays an Einsum.

Every letter of ``a,b->c`` is of one of four kinds:

    batch   in a, b and c        K   in a and b, summed
    M       in a and c           N   in b and c

so that ``c = T(split(MatMul(merge(T(a)), merge(T(b)))))`` with a in the order (batch, M, K) and b in (batch, K, N). Without batch
letters M needs no merging, since MatMul repeats a matrix over all leading axes: a dense layer on a sequence is one MatMul and
keeps its free lengths. The transposes and reshapes of a weight fold into it. Where free lengths cannot be merged and split again (a
Reshape finds out one only), M is spread: its letters stay axes, along which b has length 1.
"""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.frontend.forms import FORMS, FUNCTIONS, Form
from converter.frontend.forms.axes import Sizes, merge_target, merged, ordered, split, split_target
from converter.frontend.marks import Tracing
from converter.graph.build import Builder

MARK = "numpy.einsum"
FLOATS = ("float16", "float32", "float64")


@dataclass(frozen=True)
class Product:
    """``first,second->out`` with a letter an axis.

    Args:
        swapped: the operands are to be read in the other order.
        spread: letters of the first operand alone are an axis each, beside batch letters too.
    """

    first: str
    second: str
    out: str
    swapped: bool = False
    spread: bool = False

    @property
    def batch(self) -> str:
        """Letters of both operands that are kept, in the order of the result."""
        return "".join(c for c in self.out if c in self.first and c in self.second)

    @property
    def summed(self) -> str:
        """Letters that are summed, in the order of the second operand, which is the weight where there is one."""
        return "".join(c for c in self.second if c in self.first and c not in self.out)

    @property
    def rows(self) -> str:
        """Letters of the first operand alone, in the order of the result."""
        return "".join(c for c in self.out if c not in self.second)

    @property
    def columns(self) -> str:
        """Letters of the second operand alone, in the order of the result."""
        return "".join(c for c in self.out if c not in self.first)

    @property
    def left(self) -> list[str]:
        """Axes of the first operand, in groups."""
        if not self.summed:
            return [*self.batch, *self.rows, *("" for _ in self.columns)]
        return [*self.batch, self.rows, self.summed] if self.batch and not self.spread else [*self.batch, *self.rows, self.summed]

    @property
    def right(self) -> list[str]:
        """Axes of the second; without batch and columns it is a vector."""
        if not self.summed:
            return [*self.batch, *("" for _ in self.rows), *self.columns]
        between = ["" for _ in self.rows[1:]] if self.spread else []
        return [*self.batch, *between, self.summed, self.columns] if self.batch or self.columns else [self.summed]

    @property
    def made(self) -> list[str]:
        """Axes of the result."""
        if not self.summed:
            return [*self.batch, *self.rows, *self.columns]
        if self.spread:
            return [*self.batch, *self.rows, self.columns]
        return [*self.batch, self.rows, self.columns] if self.batch else [*self.rows, *([self.columns] if self.columns else [])]

    @property
    def turned(self) -> Product:
        """The same with the operands in the other order."""
        return Product(self.second, self.first, self.out, not self.swapped)

    def fits(self, sizes: Sizes) -> bool:
        """Whether every Reshape has to find out one length at most."""
        return None not in (merge_target(self.left, sizes), merge_target(self.right, sizes), split_target(self.made, sizes))


def parse(equation: str) -> Product | None:
    """None for what no matrix product is: other than two operands, a diagonal, a letter that one operand sums alone, an ellipsis."""
    sides = equation.replace(" ", "").split("->")
    terms = [*sides[0].split(","), *sides[1:]]
    if len(sides) != 2 or len(terms) != 3 or any((not t.isalpha() and t) or len(set(t)) != len(t) for t in terms):
        return None
    first, second, out = terms
    alone = (set(first) ^ set(second)) - set(out)
    return None if alone or set(out) - set(first) - set(second) else Product(first, second, out)


def spelled_out(equation: str, ranks: Sequence[int | None]) -> str:
    """Letters in place of an ellipsis that stands for as many axes wherever it occurs; else the equation as it is."""
    terms = equation.replace(" ", "").split("->")[0].split(",")
    hidden = {None if rank is None else rank - len(term) + 3 for term, rank in zip(terms, ranks, strict=False) if "..." in term}
    count = next(iter(hidden)) if len(hidden) == 1 else None
    spare = [c for c in string.ascii_letters if c not in equation]
    return equation if count is None or not 0 <= count <= len(spare) else equation.replace("...", "".join(spare[:count]))


def product(tracing: Tracing, found: Product, a: Any, b: Any, bias: Any = None) -> Any | None:
    """A mark for ``a,b->out`` (and the sum with ``bias``, which broadcasts against it), or None where reshapes cannot say it."""
    sizes: dict[str, int | None] = {}
    for letter, size in zip(found.first + found.second, [*a.shape, *b.shape], strict=True):
        known = sizes.get(letter)
        if None not in (known, size) and known != size:
            return None
        sizes[letter] = known if size is None else size
    spread = [dataclasses.replace(p, spread=True) for p in (found, found.turned) if p.batch and p.summed and len(p.rows) > 1]
    fitting = [p for p in (found, found.turned, *spread) if p.fits(sizes)]
    if not fitting:
        return None
    best = min(fitting, key=lambda p: _cost(p, *((b, a) if p.swapped else (a, b))))
    flat = bias is not None and best.columns != "" and best.out.endswith(best.columns) and list(bias.shape) == [sizes[c] for c in best.columns]
    spec = tracing.keras.KerasTensor([sizes[c] for c in found.out], a.dtype.name)
    operands = [b, a] if best.swapped else [a, b]
    return tracing.leave(MARK, [*operands, *([] if bias is None else [bias])], spec, product=best, sizes=sizes, flat=flat)


def _cost(p: Product, a: Any, b: Any) -> tuple[bool, int, bool]:
    """Small matrices; transposes of what is no weight; whether the weight comes first, where engines do not look for it."""
    moved = [(p.first, p.left, _is_weight(a)), (p.second, p.right, _is_weight(b)), ("".join(p.made), [p.out], False)]
    return p.spread, sum(ordered(letters, "".join(groups)) is not None and not fixed for letters, groups, fixed in moved), _is_weight(a)


def _is_weight(tensor: Any) -> bool:
    return None not in tuple(tensor.shape)


def _lower(build: Builder, inputs: Sequence[ir.Value], facts: Mapping[str, Any]) -> Sequence[ir.Value]:
    p, sizes = facts["product"], facts["sizes"]
    y = build("MatMul" if p.summed else "Mul", merged(build, inputs[0], p.first, p.left, sizes), merged(build, inputs[1], p.second, p.right, sizes))
    bias = inputs[2] if len(inputs) > 2 else None
    if bias is not None and facts["flat"]:
        y = build("Add", y, build("Reshape", bias, np.array([-1])) if len(p.columns) > 1 else bias)
    y, perm = split(build, y, p.made, sizes), ordered("".join(p.made), p.out)
    y = y if perm is None else build("Transpose", y, perm=perm)
    return [build("Add", y, bias) if bias is not None and not facts["flat"] else y]


def _einsum(tracing: Tracing, original: Callable[..., Any], subscripts: str, *operands: Any, **options: Any) -> Any:
    tensors = [tracing.tf.convert_to_tensor(x) for x in operands]
    found = parse(spelled_out(subscripts, [t.shape.rank for t in tensors]))
    if found is None or not alike(*tensors) or [len(t.shape) for t in tensors] != [len(found.first), len(found.second)]:
        return original(subscripts, *operands, **options)
    made = product(tracing, found, *tensors)
    return original(subscripts, *operands, **options) if made is None else made


def alike(*tensors: Any) -> bool:
    """Whether all are dense, of one float type, and of known rank."""
    known = all(hasattr(t, "op") and t.shape.rank is not None for t in tensors)
    return known and len({t.dtype for t in tensors}) == 1 and tensors[0].dtype.name in FLOATS


def _einsum_dense(tracing: Tracing, layer: Any, original: Callable[..., Any], inputs: Any, training: Any = None) -> Any:
    found, kernel = parse(layer.equation), tracing.tf.convert_to_tensor(layer.kernel)
    made = None
    if found is not None and alike(inputs, kernel) and len(inputs.shape) == len(found.first):
        made = product(tracing, found, inputs, kernel, None if layer.bias is None else tracing.tf.convert_to_tensor(layer.bias))
    if made is None:
        return original(inputs, training=training)
    return made if layer.activation is None else layer.activation(made)


FUNCTIONS.add(MARK, Form(_einsum, _lower))
FORMS.add("EinsumDense", Form(_einsum_dense))
