"""Which array goes to which input."""

from __future__ import annotations

import numpy as np
import pytest

from converter.data.match import arrange
from converter.errors import InputError
from converter.spec.signature import TensorInfo

A, B = TensorInfo("a", (None,), "float32"), TensorInfo("b", (None,), "float32")
P, Q, R, S = (np.full(2, n) for n in range(4))


@pytest.mark.parametrize(("element", "inputs", "named", "labels"), [
    (P, [A], {"a": P}, None),
    ({"x": P}, [A], {"a": P}, None),
    ({"a": P, "x": Q}, [A], {"a": P}, None),
    ({"a": P, "y": Q}, [A], {"a": P}, Q),
    ({"b": Q, "a": P, "y": R, "meta": S}, [A, B], {"a": P, "b": Q}, R),
    ((P,), [A], {"a": P}, None),
    ((P, Q), [A], {"a": P}, Q),
    ([P, Q], [A], {"a": P}, Q),
    ((P, Q, R), [A], {"a": P}, Q),
    ((P, Q), [A, B], {"a": P, "b": Q}, None),
    ((P, Q, R), [A, B], {"a": P, "b": Q}, R),
    (((P, Q), R), [A, B], {"a": P, "b": Q}, R),
    (([P, Q], R, S), [A, B], {"a": P, "b": Q}, R),
    (({"b": Q, "a": P}, R), [A, B], {"a": P, "b": Q}, R),
    (({"x": P}, R), [A], {"a": P}, R),
])
def test_by_name_or_in_order(element, inputs, named, labels):
    got, answers = arrange(element, inputs, "data")
    assert list(got) == [info.name for info in inputs]
    assert all(got[key] is named[key] for key in named)
    assert answers is labels


@pytest.mark.parametrize(("element", "inputs", "text"), [
    (P, [A, B], "^data: a model of 2 inputs needs as many arrays; received 1; the model wants a float32 .* and b float32"),
    ((P,), [A, B], "received 1"),
    (([P, Q, R], S), [A, B], "received 3"),
    ((), [A], "received an empty tuple; the model wants a"),
    ((P, Q, R, S), [A], r"\(inputs, labels, sample weights\); received 4 values"),
    (({"a": P}, Q), [A, B], "no key 'b'; received the keys 'a'"),
    ({}, [A], r"no key 'a' \(or 'x'\); received the keys none"),
    ({3: P}, [A], "received the keys 3"),
])
def test_refused(element, inputs, text):
    with pytest.raises(InputError, match=text):
        arrange(element, inputs, "data")
