"""The ledger backwards: which variable takes up what, what stays, in which order, and what is refused by which name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.errors import ConversionError, InputError
from converter.graph.ledger import Ledger
from converter.transfer.undo import Undone, Wanted, undo

F = np.float32
RNG = np.random.default_rng(1)


def numbers(*shape: int) -> Any:
    return RNG.uniform(0.5, 2, shape).astype(F)


def steps(book: Ledger, *lines: tuple[Any, ...]) -> Ledger:
    """``(name, operator, inputs, attributes)``; inputs that start with @ are variables."""
    for name, op_type, inputs, *attributes in lines:
        for given_name in inputs:
            if given_name.startswith("@"):
                book.variable(given_name, given_name[1:])
        book.record(name, op_type, inputs, attributes[0] if attributes else {})
    return book


def batchnorm(bias: bool = False, beta: bool = True, gamma: bool = True) -> Ledger:
    """A dense kernel (3, 4) with BatchNorm behind it: kernel * s, and [bias * s] + [beta] - mean * s."""
    book = Ledger()
    book.constant("eps", np.array(1e-3, F))
    steps(book, ("v", "Add", ["@var", "eps"]), ("r", "Sqrt", ["v"]), ("i", "Reciprocal", ["r"]))
    steps(book, *([("s", "Mul", ["i", "@gamma"])] if gamma else [("s", "Identity", ["i"])]))
    steps(book, ("kernel", "Mul", ["@k", "s"]), ("m", "Mul", ["@mean", "s"]))
    steps(book, ("shift", "Sub", ["@beta", "m"]) if beta else ("shift", "Neg", ["m"]))
    return steps(book, *([("b", "Mul", ["@bias", "s"]), ("out", "Add", ["b", "shift"])] if bias else [("out", "Identity", ["shift"])]))


def values(book: Ledger, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {path: rng.uniform(0.5, 2, (3, 4) if path == "k" else (4,)).astype(F) for path in book.variables.values()}


def undone(book: Ledger, names: tuple[str, ...], before: int = 0, after: int = 1) -> tuple[Undone, dict[str, Any]]:
    """From one set of values to the tensors of another."""
    wanted = {name: Wanted(book.replay(name, values(book, after))) for name in names}
    own = values(book, before)
    return undo(book, wanted, own), own


def check(made: Undone, book: Ledger, names: tuple[str, ...], seed: int = 1) -> None:
    for name in names:
        np.testing.assert_allclose(book.replay(name, made.values), book.replay(name, values(book, seed)), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(("options", "takes"), [
    ({}, "beta"), ({"bias": True}, "beta"), ({"bias": True, "beta": False}, "bias"), ({"beta": False}, "mean"),
    ({"gamma": False}, "beta"),
])
def test_a_fold_changes_kernel_and_beta_and_keeps_gamma_and_the_statistics(options: Mapping[str, bool], takes: str) -> None:
    book = batchnorm(**options)
    made, own = undone(book, ("kernel", "out"))
    assert set(made.changed) == {"k", takes}
    check(made, book, ("kernel", "out"))
    assert all(made.values[path] is own[path] for path in own if path not in made.changed)
    assert {array.dtype for array in made.values.values()} == {np.dtype(F)}


def test_scale_and_shift_that_stay_in_the_graph_change_gamma_and_beta() -> None:
    """DenseNet: BatchNorm in front of relu."""
    book = batchnorm()
    made, _ = undone(book, ("s", "out"))
    assert set(made.changed) == {"gamma", "beta"}
    check(made, book, ("s", "out"))


def test_without_gamma_the_variance_takes_up_the_scale() -> None:
    book = batchnorm(gamma=False)
    wanted = {"s": Wanted(np.array([0.5, 1, 2, 0.25], F)), "out": Wanted(numbers(4))}
    made = undo(book, wanted, values(book))
    assert set(made.changed) == {"var", "beta"}
    np.testing.assert_allclose(book.replay("s", made.values), wanted["s"].array, rtol=1e-6)


def in_front() -> Ledger:
    """BatchNorm in front of a dense layer: kernel * s[:, None], bias + sum(kernel * shift[:, None])."""
    book = Ledger()
    book.literal(np.array([-1, 1]))
    book.literal(np.array([0]))
    column, axis = "#i8[-1, 1]", "#i8[0]"
    return steps(book, ("sc", "Reshape", ["@gamma", column]), ("kernel", "Mul", ["@k", "sc"]), ("sh", "Reshape", ["@beta", column]),
                 ("p", "Mul", ["@k", "sh"]), ("sum", "ReduceSum", ["p", axis], {"keepdims": 0}), ("bias", "Add", ["@b", "sum"]))


def test_a_bias_that_holds_the_kernel_is_solved_for_after_it() -> None:
    book = in_front()

    def some(seed: int) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        return {p: rng.uniform(0.5, 2, {"k": (3, 4), "b": (4,)}.get(p, (3,))).astype(F) for p in book.variables.values()}

    for order in (("bias", "kernel"), ("kernel", "bias")):
        wanted = {name: Wanted(book.replay(name, some(1))) for name in order}
        made = undo(book, wanted, some(0))
        assert set(made.changed) == {"k", "b"}
        for name in order:
            np.testing.assert_allclose(book.replay(name, made.values), wanted[name].array, rtol=1e-5)


def test_what_is_right_already_changes_nothing() -> None:
    book = batchnorm(bias=True)
    made, own = undone(book, ("kernel", "out"), 0, 0)
    assert made.changed == () and all(made.values[path] is own[path] for path in own)
    assert set(made.error.values()) == {0.0}


def test_gate_order_is_undone_and_both_directions_get_their_own() -> None:
    book = Ledger()
    book.literal(np.array([0, 3, 1, 2]))
    for side in ("f", "b"):
        steps(book, (f"{side}t", "Transpose", [f"@{side}"], {"perm": (1, 0)}), (f"{side}g", "Gather", [f"{side}t", "#i8[0, 3, 1, 2]"], {"axis": 0}))
    steps(book, ("both", "Concat", ["fg", "bg"], {"axis": 0}))
    wanted = numbers(8, 3)
    made = undo(book, {"both": Wanted(wanted)}, {"f": numbers(3, 4), "b": numbers(3, 4)})
    np.testing.assert_array_equal(made.values["f"], wanted[:4][[0, 2, 3, 1]].T)
    np.testing.assert_array_equal(made.values["b"], wanted[4:][[0, 2, 3, 1]].T)


def test_parts_of_one_variable_are_put_together_and_the_rest_stays() -> None:
    book = Ledger()
    for name, (low, high) in {"a": (0, 2), "b": (3, 4)}.items():
        book.literal(np.array([low]))
        book.literal(np.array([high]))
        steps(book, (name, "Slice", ["@x", f"#i8[{low}]", f"#i8[{high}]"]))
    own = numbers(6)
    made = undo(book, {"a": Wanted(F([7, 8])), "b": Wanted(F([9]))}, {"x": own})
    np.testing.assert_array_equal(made.values["x"], [7, 8, own[2], 9, own[4], own[5]])


def test_a_gamma_of_zero_is_refused_by_name() -> None:
    book = batchnorm()
    own = {**values(book), "gamma": F([1, 0, 1, 0])}
    wanted = {"kernel": Wanted(numbers(3, 4)), "out": Wanted(numbers(4))}
    with pytest.raises(ConversionError, match=r"k cannot take up .* gamma is 0 at 1, 3, and the graph has other numbers than 0 in 6 places"):
        undo(book, wanted, own)


def test_a_gamma_of_zero_where_nothing_is_wanted_is_fine() -> None:
    book = batchnorm()
    own = {**values(book), "gamma": F([1, 0, 1, 1])}
    kernel = numbers(3, 4)
    kernel[:, 1] = 0
    made = undo(book, {"kernel": Wanted(kernel), "out": Wanted(numbers(4))}, own)
    np.testing.assert_array_equal(made.values["k"][:, 1], own["k"][:, 1])
    np.testing.assert_allclose(book.replay("kernel", made.values), kernel, rtol=1e-6)


def tied() -> Ledger:
    return steps(Ledger(), ("table", "Identity", ["@e"]), ("head", "Transpose", ["@e"], {"perm": (1, 0)}))


def test_tied_tensors_must_agree() -> None:
    new = numbers(3, 2)
    made = undo(tied(), {"table": Wanted(new), "head": Wanted(new.T)}, {"e": numbers(3, 2)})
    np.testing.assert_array_equal(made.values["e"], new)
    other = new.T.copy()
    other[0, 1] += 0.01
    with pytest.raises(ConversionError, match=r"head \[2, 3\] would be off by 0.01, .* it comes from e\. Are both"):
        undo(tied(), {"table": Wanted(new), "head": Wanted(other)}, {"e": numbers(3, 2)})


def test_tied_tensors_on_a_grid_may_be_off_by_a_step_and_the_exact_one_counts() -> None:
    new = numbers(3, 2)
    coarse = np.round(new.T * 10) / F(10)
    made = undo(tied(), {"head": Wanted(coarse, 0.1), "table": Wanted(new)}, {"e": numbers(3, 2)})
    np.testing.assert_array_equal(made.values["e"], new)
    with pytest.raises(ConversionError, match="head"):
        undo(tied(), {"head": Wanted(coarse + F(0.2), 0.1), "table": Wanted(new)}, {"e": numbers(3, 2)})


def test_one_kernel_behind_two_norms_takes_gamma_to_help() -> None:
    """Both scaled kernels come of one kernel; that the second fits can only be had from its gamma."""
    book = steps(Ledger(), ("one", "Mul", ["@k", "@g1"]), ("two", "Mul", ["@k", "@g2"]))
    k, g1, g2 = numbers(3, 4), numbers(4), numbers(4)
    wanted = {"one": Wanted(k * g1), "two": Wanted(k * g2)}
    own = {"k": numbers(3, 4), "g1": numbers(4), "g2": numbers(4)}
    made = undo(book, wanted, own)
    for name in wanted:
        np.testing.assert_allclose(book.replay(name, made.values), wanted[name].array, rtol=1e-6)


def test_a_constant_cannot_change() -> None:
    book = steps(Ledger(), ("out", "Concat", ["@x", "zero"], {"axis": 0}))
    book.constant("zero", np.zeros(2, F))
    assert undo(book, {"out": Wanted(F([5, 0, 0]))}, {"x": F([1])}).values["x"] == F([5])
    with pytest.raises(ConversionError, match=r"out \[3\] would be off by 1,"):
        undo(book, {"out": Wanted(F([5, 0, 1]))}, {"x": F([1])})
    with pytest.raises(ConversionError, match=r"zero .* no variable is behind it"):
        undo(book, {"zero": Wanted(F([0, 1]))}, {"x": F([1])})


def test_what_no_variable_can_give_names_both() -> None:
    book = steps(Ledger(), ("y", "MatMul", ["@a", "@b"]))
    with pytest.raises(ConversionError, match=r"1 of 1 tensors: y \[2, 2\] would be off .* it comes from a, b"):
        undo(book, {"y": Wanted(numbers(2, 2))}, {"a": numbers(2, 2), "b": numbers(2, 2)})


def test_nan_and_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="table holds 1 NaN; it comes from e"):
        undo(tied(), {"table": Wanted(F([[1, 2], [3, np.nan], [1, 1]]))}, {"e": numbers(3, 2)})
    with pytest.raises(InputError, match=r"table is \[3, 2\], wanted are numbers \[2, 3\]"):
        undo(tied(), {"table": Wanted(numbers(2, 3))}, {"e": numbers(3, 2)})


def test_a_small_difference_of_large_numbers_is_as_exact_as_it_can_be() -> None:
    """The shift is a million times the bias: the variable itself has no digits for more, and that is not an error."""
    book = steps(Ledger(), ("y", "Sub", ["@b", "@m"]))
    made = undo(book, {"y": Wanted(F([0.1234567]))}, {"b": F([1]), "m": F([1e5])})
    assert abs(book.replay("y", made.values)[0] - 0.1234567) <= np.spacing(F(1e5))


@settings(max_examples=40, deadline=None)
@given(st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2**16))
def test_any_values_can_be_reached_from_any(bias: bool, beta: bool, gamma: bool, seed: int) -> None:
    book = batchnorm(bias, beta, gamma)
    made, _ = undone(book, ("kernel", "out"), seed, seed + 1)
    check(made, book, ("kernel", "out"), seed + 1)
