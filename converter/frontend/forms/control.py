"""Control flow in the form that tf2onnx can read: a Loop whose state is its variables, and an If of two branches.

``scan`` of Keras keeps what it carries in lists of one tensor, and writes backwards where it runs backwards; here the sequence is turned
over instead. ``switch`` is an operator of many branches; here it is a chain of choices between two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from converter.frontend.forms import FUNCTIONS, Form
from converter.frontend.marks import Tracing


def _switch(tracing: Tracing, original: Callable[..., Any], index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    tf = tracing.tf
    number = tf.cast(index, tf.int32)
    known = tf.get_static_value(number)
    if known is not None:
        return branches[min(max(int(known), 0), len(branches) - 1)](*operands)

    def choose(first: int) -> Any:
        if first == len(branches) - 1:
            return branches[first](*operands)
        return tf.cond(number <= first, lambda: branches[first](*operands), lambda: choose(first + 1))

    return choose(0)


def _scan(
    tracing: Tracing, original: Callable[..., Any], f: Any, init: Any, xs: Any = None, length: Any = None, reverse: bool = False, unroll: Any = 1
) -> Any:
    tf, tree = tracing.tf, tracing.keras.tree
    elements = [tf.convert_to_tensor(x) for x in tree.flatten(xs)] if xs is not None else []
    if not callable(f) or (not elements and length is None):
        return original(f, init, xs, length=length, reverse=reverse, unroll=unroll)
    count = int(length) if length is not None else elements[0].shape[0] or tf.shape(elements[0])[0]
    elements = [tf.reverse(x, [0]) if reverse else x for x in elements]
    carried = [tf.convert_to_tensor(x) for x in tree.flatten(init)]
    lists = [tf.TensorArray(c.dtype, count, element_shape=c.shape) for c in carried]

    def body(i: Any, carry: list[Any], written: list[Any]) -> Any:
        given = tree.pack_sequence_as(xs, [tf.gather(x, i) for x in elements]) if elements else None
        state, made = f(tree.pack_sequence_as(init, carry), given)
        ys = [tf.zeros_like(c) for c in carry] if made is None else tree.flatten(made)
        written = [one.write(i, tf.ensure_shape(y, c.shape)) for one, y, c in zip(written, ys, carry, strict=True)]
        return i + 1, carry if state is None else tree.flatten(state), written

    _, carried, lists = tf.while_loop(lambda i, carry, written: i < count, body, (0, carried, lists))
    results = [tf.reverse(one.stack(), [0]) if reverse else one.stack() for one in lists]
    return tree.pack_sequence_as(init, carried), tree.pack_sequence_as(init, results)


FUNCTIONS.add("core.scan", Form(_scan))
FUNCTIONS.add("core.switch", Form(_switch))
