"""The ledger computes every initializer again, from other variables, through JSON, and says where numbers come from."""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import InputError
from converter.graph import edit, ledger, query
from tests.passes.golden import graph


def _book() -> ledger.Ledger:
    book = ledger.Ledger()
    book.variable("w", "dense/kernel")
    book.variable("g", "norm/gamma")
    book.constant("two", np.float32(2))
    book.record("a", "Mul", ["w", "g"], {})
    book.record("b", "Add", ["a", "two"], {})
    book.record("c", "Transpose", ["b"], {"perm": (1, 0)})
    return book


VALUES = {"dense/kernel": np.float32([[1, 2], [3, 4]]), "norm/gamma": np.float32([10, 100])}


def test_replay() -> None:
    np.testing.assert_array_equal(_book().replay("c", VALUES), [[12, 32], [202, 402]])
    np.testing.assert_array_equal(_book().replay("w", VALUES), VALUES["dense/kernel"])
    done: dict[str, np.ndarray] = {}
    _book().replay("c", VALUES, done)
    assert set(done) == {"w", "g", "two", "a", "b", "c"}
    done["a"] = np.zeros((2, 2), np.float32)
    np.testing.assert_array_equal(_book().replay("b", {}, {"a": done["a"]}), np.full((2, 2), 2))


def test_what_is_missing_is_named() -> None:
    with pytest.raises(InputError, match=r"no variable 'norm/gamma'.*received: dense/kernel"):
        _book().replay("c", {"dense/kernel": VALUES["dense/kernel"]})
    with pytest.raises(InputError, match=r"does not know 'nothing'.*known: a, b, c"):
        _book().replay("nothing", VALUES)


def test_sources_in_the_order_of_the_computation() -> None:
    assert _book().sources("c") == ["dense/kernel", "norm/gamma"]
    assert _book().sources("two") == _book().sources("nothing") == []


def test_shared_steps_are_walked_once() -> None:
    """Sixty doublings: without a memory of what was seen this would take longer than the universe lasts."""
    book, name = ledger.Ledger(), "x"
    book.variable("x", "x")
    for k in range(60):
        book.record(f"s{k}", "Add", [name, name], {})
        name = f"s{k}"
    assert book.sources(name) == ["x"]
    assert book.replay(name, {"x": np.float32(1)}) == np.float32(2**60)


def test_renaming_keeps_the_old_name_for_its_readers() -> None:
    book = _book()
    for old, new in (("w", "kernel"), ("a", "scaled"), ("two", "zwei")):
        book.rename(old, new)
    np.testing.assert_array_equal(book.replay("scaled", VALUES), book.replay("a", VALUES))
    np.testing.assert_array_equal(book.replay("c", VALUES), [[12, 32], [202, 402]])
    assert book.sources("kernel") == ["dense/kernel"] and {"kernel", "scaled", "zwei", "w", "a", "two"} <= book.names()


def test_json_holds_what_is_needed_and_no_more() -> None:
    text = json.dumps(_book().to_json(["b"]), allow_nan=False)
    book = ledger.from_json(json.loads(text))
    np.testing.assert_array_equal(book.replay("b", VALUES), _book().replay("b", VALUES))
    assert book.names() == {"w", "g", "two", "a", "b"}
    whole = ledger.from_json(json.loads(json.dumps(_book().to_json(["c"]))))
    assert whole.replay("c", VALUES).tobytes() == _book().replay("c", VALUES).tobytes()


@pytest.mark.parametrize("array", [
    np.float32([np.inf, -np.inf, np.nan, 0.1, -0.0, 1e-45]), np.float64(1) / 3, np.int64([2**62, -1]), np.array([True, False]),
    np.zeros((0, 3), np.int8), np.float16([0.1, 65504]), np.uint8([[255]]), np.array(7, np.int64),
])
def test_constants_survive_json_bit_for_bit(array: np.ndarray) -> None:
    book = ledger.Ledger()
    book.constant("c", np.asarray(array))
    book.record("s", "ConstantOfShape", ["c"], {"value": np.float32([np.inf]), "n": 3, "l": (1, 2), "t": "x"})
    read = ledger.from_json(json.loads(json.dumps(book.to_json(["s"]), allow_nan=False)))
    got = read.constants["c"]
    assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())
    attributes = read.steps["s"].attributes
    assert attributes["value"].tobytes() == np.float32([np.inf]).tobytes()
    assert (attributes["n"], attributes["l"], attributes["t"]) == (3, (1, 2), "x")


def test_a_literal_is_kept_once() -> None:
    book = ledger.Ledger()
    assert book.literal(np.array([1, 2])) == book.literal(np.array([1, 2])) != book.literal(np.array([1, 2], np.int32))
    assert len(book.constants) == 2


def _model() -> ir.Model:
    return graph("(float[n,2] x) => (float[n,2] y) { a = Add(x, w) y = Mul(a, v) }", w=np.float32([1, 2]), v=np.float32([3, 4]))


def test_a_graph_from_anywhere_starts_with_its_initializers_as_variables() -> None:
    model = _model()
    assert ledger.of(model) is ledger.of(model)
    assert ledger.of(model).variables == {"w": "w", "v": "v"} and ledger.of(model).opset == 18


def test_a_ledger_that_begins_with_a_fold_does_not_take_it_for_a_variable() -> None:
    model = _model()
    made = edit.derive(model, "Mul", [model.graph.initializers["w"], model.graph.initializers["v"]], "p")
    fixed = edit.constant(model, "c", np.float32([1]))
    book = ledger.of(model)
    assert set(book.variables) == {"w", "v"} and book.sources(query.name_of(made)) == ["w", "v"] and book.sources(query.name_of(fixed)) == []
    np.testing.assert_array_equal(book.replay("p", {"w": np.float32([5, 6]), "v": np.float32([1, 2])}), [5, 12])


def test_a_new_name_is_none_that_the_ledger_computes_with() -> None:
    model = _model()
    model.meta[ledger.META] = _book()
    made = edit.derive(model, "Neg", [model.graph.initializers["w"]], "b")
    assert query.name_of(made) == "b_1"
    np.testing.assert_array_equal(ledger.of(model).replay("c", VALUES), [[12, 32], [202, 402]])
