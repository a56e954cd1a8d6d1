"""Scaled dot-product attention as two MatMul and a Softmax, with lengths that may be free.

    y = T(softmax(T(q) T(k)^T scale + bias + M) T(v))      q (B, T, N, H), k (B, S, K, H), v (B, S, K, H'), y (B, T, N, H')

M is 0 where the mask is true and a large negative number where it is false, as in Keras, so that a row that is masked everywhere is the
mean of v in both. It is made before it meets the scores: without the axis of the heads it is small, and all layers share it.
A causal mask is a constant where both lengths are known.

From opset 23 a causal attention without other masks is the operator Attention. On onnxruntime 1.32 (CPU) it was between 0.7 and 1.9 times as
long as the pieces, the shorter the longer the sequence (one busy machine). Rows that are masked everywhere come out of it as 0, which Keras does
not say, so every other mask keeps the pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.frontend.forms import FUNCTIONS, Form
from converter.frontend.forms.einsum import alike
from converter.frontend.forms.gather import repeated
from converter.frontend.marks import Tracing
from converter.graph.build import Builder

MARK = "nn.dot_product_attention"
LARGE = -0.7 * 3.38953e38
"""What Keras writes where the mask is false."""
FLOATS = ("float16", "float32", "float64")
OPERATOR_FROM = 23


def _attention(
    tracing: Tracing, original: Callable[..., Any], query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None,
    scale: float | None = None, is_causal: bool = False, flash_attention: bool | None = None, attn_logits_soft_cap: float | None = None,
) -> Any:
    """``bias`` and ``mask``: anything that broadcasts against (B, N, T, S)."""
    q, k, v = (tracing.tf.convert_to_tensor(x) for x in (query, key, value))
    if flash_attention or not alike(q, k, v) or q.dtype.name not in FLOATS or not _heads_fit(q, k) or not isinstance(scale, float | int | None):
        return original(query, key, value, bias=bias, mask=mask, scale=scale, is_causal=is_causal, flash_attention=flash_attention,
                        attn_logits_soft_cap=attn_logits_soft_cap)
    more = [tracing.tf.convert_to_tensor(bias, q.dtype)] if bias is not None else []
    more += [tracing.tf.cast(mask, "bool")] if mask is not None else []
    spec = tracing.keras.KerasTensor([*q.shape[:3], v.shape[3]], q.dtype.name)
    return tracing.leave(MARK, [q, k, v, *more], spec, bias=bias is not None, mask=mask is not None, causal=bool(is_causal),
                         scale=q.shape[3] ** -0.5 if scale is None else float(scale), lengths=(q.shape[1], k.shape[1]),
                         heads=(q.shape[2], k.shape[2]), keys=(tuple(k.shape), tuple(v.shape)), dtype=q.dtype.name)


def _heads_fit(q: Any, k: Any) -> bool:
    """As many key heads as query heads, or one for a group of them; of known number."""
    heads, keys = (tuple(x.shape)[2:] if len(x.shape) == 4 else (None, None) for x in (q, k))
    return None not in (*heads, *keys) and (heads[0] == keys[0] or (keys[0] > 1 and heads[0] % keys[0] == 0))


def _lower(build: Builder, inputs: Sequence[ir.Value], facts: Mapping[str, Any]) -> Sequence[ir.Value]:
    q, k, v = inputs[:3]
    if facts["causal"] and build.opset >= OPERATOR_FROM and len(inputs) == 3:
        y = build("Attention", *(build("Transpose", x, perm=(0, 2, 1, 3)) for x in (q, k, v)), is_causal=1, scale=facts["scale"])
    else:
        heads, keys = facts["heads"]
        k, v = (x if heads == keys else repeated(build, x, 2, heads // keys, shape) for x, shape in zip((k, v), facts["keys"], strict=True))
        q, v = (build("Transpose", x, perm=(0, 2, 1, 3)) for x in (q, v))
        y = _pieces(build, q, build("Transpose", k, perm=(0, 2, 3, 1)), v, inputs[3:], facts)
    return [build("Transpose", y, perm=(0, 2, 1, 3))]


def _pieces(build: Builder, q: ir.Value, k: ir.Value, v: ir.Value, more: Sequence[ir.Value], facts: Mapping[str, Any]) -> ir.Value:
    given = np.dtype(facts["dtype"])
    dtype = np.dtype(np.float32) if given == np.float16 else given  # Keras widens between the two products
    scores, *more = (_cast(build, x, given, dtype) if x.dtype != ir.DataType.BOOL else x for x in (build("MatMul", q, k), *more))
    scores = build("Mul", scores, np.asarray(facts["scale"], dtype))
    masks = [_additive(build, more[-1], dtype)] if facts["mask"] else []
    masks += [_causal(build, q, k, facts["lengths"], dtype)] if facts["causal"] else []
    if len(masks) > 1:  # the sum of two large numbers is infinite
        masks = [build("Max", build("Add", *masks), np.asarray(LARGE, dtype))]
    for term in [*([more[0]] if facts["bias"] else []), *masks]:
        scores = build("Add", scores, term)
    return build("MatMul", _cast(build, build("Softmax", scores, axis=-1), dtype, given), v)


def _cast(build: Builder, x: ir.Value, given: Any, wanted: Any) -> ir.Value:
    kind = ir.DataType.from_numpy(wanted)
    return x if given == wanted else build("Cast", x, dtype=kind, to=int(kind))


def _additive(build: Builder, mask: ir.Value, dtype: Any) -> ir.Value:
    return build("Where", mask, np.asarray(0, dtype), np.asarray(LARGE, dtype), dtype=ir.DataType.from_numpy(dtype))


def _causal(build: Builder, q: ir.Value, k: ir.Value, lengths: tuple[int | None, int | None], dtype: Any) -> ir.Value:
    """The additive mask that hides every key behind the query's place; q is (B, N, T, H), k (B, N, H, S)."""
    if lengths[0] is not None and lengths[1] is not None:
        return build.constant(((1 - np.tri(lengths[0], lengths[1])) * LARGE).astype(dtype))
    rows, columns = (_count(build, x, axis) for x, axis in ((q, 2), (k, 3)))
    seen = build("GreaterOrEqual", build("Unsqueeze", rows, np.array([1])), columns, dtype=ir.DataType.BOOL)
    return _additive(build, seen, dtype)


def _count(build: Builder, x: ir.Value, axis: int) -> ir.Value:
    """0, 1, .. along an axis of free length."""
    shape = build("Shape", x, dtype=ir.DataType.INT64)
    return build("Range", np.array(0), build("Gather", shape, np.array(axis), axis=0), np.array(1), dtype=ir.DataType.INT64)


FUNCTIONS.add(MARK, Form(_attention, _lower))
