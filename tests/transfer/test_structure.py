"""Alignment against every longest common subsequence there is, counted by hand; order that no name and no order in the file changes."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.transfer import parameters
from converter.transfer.structure import align, compare, units
from tests.quantize.graphs import graph, weights
from tests.ship.tiny import with_weights

Pairs = frozenset[tuple[int, int]]


def longest(a: str, b: str) -> list[Pairs]:
    """All longest common subsequences, as sets of pairs of positions."""
    for length in range(min(len(a), len(b)), 0, -1):
        found = [frozenset(zip(i, j, strict=True)) for i in combinations(range(len(a)), length) for j in combinations(range(len(b)), length)
                 if all(a[x] == b[y] for x, y in zip(i, j, strict=True))]
        if found:
            return found
    return [frozenset()]


@settings(max_examples=300)
@given(st.text("ABCD", max_size=6), st.text("ABCD", max_size=6))
def test_sure_pairs_are_in_every_longest_common_subsequence_and_all_others_are_ambiguous(a: str, b: str) -> None:
    every = longest(a, b)
    always, ever = frozenset.intersection(*every), frozenset.union(*every)
    once = {key for key in set(a) & set(b) if Counter(a)[key] == Counter(b)[key] == 1}
    found = align(a, b)
    assert set(found.pairs) == always
    assert set(found.elsewhere) == {(a.index(key), b.index(key)) for key in once} - always
    sure = {i for i, _ in (*found.pairs, *found.elsewhere)}
    assert {i for i, _ in found.ambiguous} == {i for i, _ in ever} - sure
    for i, js in found.ambiguous:
        assert js and all(a[i] == b[j] and j not in {y for _, y in found.pairs} for j in js)
        assert {j for x, j in ever if x == i} <= set(js)
    assert list(found.pairs) == sorted(found.pairs) and [j for _, j in found.pairs] == sorted(j for _, j in found.pairs)


@pytest.mark.parametrize(("a", "b", "pairs", "elsewhere", "ambiguous"), [
    ("AABBA", "AABBA", 5, 0, 0),
    ("AAAAA", "AAAA", 0, 0, 5),   # which of five is missing?
    ("ABC", "AC", 2, 0, 0),
    ("ABABA", "ABA", 0, 0, 5),
    ("AABB", "BBAA", 0, 0, 4),    # two blocks the other way around: neither order is the right one
    ("AB", "BA", 0, 2, 0),        # but of each there is only one
    ("AAB", "BAA", 2, 1, 0),
])
def test_what_a_person_would_say(a: str, b: str, pairs: int, elsewhere: int, ambiguous: int) -> None:
    found = align(a, b)
    assert (len(found.pairs), len(found.elsewhere), len(found.ambiguous)) == (pairs, elsewhere, ambiguous)


NET = """a = Conv<pads=[1,1,1,1]>(x, w1, b1)
r = Relu(a)
s = Conv<pads=[1,1,1,1]>(r, w2, b2)
t = Conv<pads=[1,1,1,1]>(r, w3)
u = Add(s, t)
v = Add(u, c)
f = GlobalAveragePool(v)
g = Flatten(f)
y = Gemm(g, w4, b4)
z = MatMul(g, w5)"""
HELD = {"w1": weights(4, 3, 3, 3), "b1": weights(4), "w2": weights(4, 4, 3, 3), "b2": weights(4), "w3": weights(4, 4, 3, 3), "c": weights(4, 1, 1),
        "w4": weights(4, 5), "b4": weights(5), "w5": weights(4, 2)}
ENDS = "(float[N,3,6,6] x) => (float y, float z)"


def shuffled(rng: random.Random, rename: bool) -> tuple[str, dict[str, np.ndarray], dict[str, str]]:
    """The same graph with nodes in another topological order, initializers in another order and, if asked for, all names other ones."""
    lines, done, out = NET.split("\n"), {"x", *HELD}, list[str]()
    while lines:
        ready = [line for line in lines if all(v in done for v in line[line.rindex("(") + 1:-1].split(", "))]
        line = rng.choice(ready)
        lines.remove(line)
        done.add(line.split(" = ")[0])
        out.append(line)
    names = list(HELD)
    new = {name: f"v{k}" for name, k in zip(names, rng.sample(range(100), len(names)), strict=True)} if rename else {n: n for n in names}
    text = "\n".join(out)
    for name in names:
        text = text.replace(f", {name})", f", {new[name]})").replace(f", {name},", f", {new[name]},")
    order = rng.sample(names, len(names))
    return text, {new[n]: HELD[n] for n in order}, {new[n]: n for n in order}


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.booleans())
def test_the_order_does_not_depend_on_the_file_or_on_names(rng: random.Random, rename: bool) -> None:
    text, held, told = shuffled(rng, rename)
    model = graph(ENDS, text, **held)
    assert [told[p.name] for p in parameters.of(model)] == [p.name for p in parameters.of(graph(ENDS, NET, **HELD))]


def test_an_added_vector_is_the_bias_of_the_layer_whose_sum_it_is_not() -> None:
    """``c`` is added behind a sum of two convolutions, so it is nobody's bias."""
    found = {p.name: (p.role, p.family) for p in parameters.of(graph(ENDS, NET, **HELD))}
    assert found["c"] == ("operand", "Add") and found["b1"] == ("bias", "Conv") and found["w5"] == ("kernel", "Dense")


def layered(*widths: tuple[int, int], ends: str = "(float[N,6] x) => (float y)", names: str = "k{}") -> ir.Model:
    """Dense layers of the given widths, one behind the other."""
    body = "\n".join(f"{'y' if i == len(widths) - 1 else f'h{i}'} = Gemm({'x' if i == 0 else f'h{i - 1}'}, {names.format(i)}, b{i})"
                     for i in range(len(widths)))
    held = {names.format(i): weights(*w, seed=i) for i, w in enumerate(widths)}
    return graph(ends, body, **held, **{f"b{i}": weights(w[1], seed=50 + i) for i, w in enumerate(widths)})


def placed(a: ir.Model, b: ir.Model) -> tuple[list[tuple[str, str]], list[tuple[str, str]], int]:
    told = compare(units(parameters.of(a)), units(parameters.of(b)))
    kernel = [[(x.parameters["kernel"].name, y.parameters["kernel"].name) for x, y in pairs] for pairs in (told.fitting, told.differing)]
    return kernel[0], kernel[1], len(told.ambiguous)


def test_another_width_in_the_same_place_is_a_difference_and_no_pair() -> None:
    same, other, unclear = placed(layered((6, 5), (5, 7), (7, 3)), layered((6, 5), (5, 8), (8, 3)))
    assert (same, other, unclear) == ([("k0", "k0")], [("k1", "k1"), ("k2", "k2")], 0)


def test_a_layer_that_is_missing_leaves_the_others_paired() -> None:
    same, other, unclear = placed(layered((6, 5), (5, 5), (5, 3)), layered((6, 5), (5, 3)))
    assert (sorted(same), other, unclear) == ([("k0", "k0"), ("k2", "k1")], [], 0)


def test_one_of_several_equal_layers_is_ambiguous() -> None:
    same, other, unclear = placed(layered((6, 6), (6, 6), (6, 6), (6, 2)), layered((6, 6), (6, 6), (6, 2)))
    assert (same, other, unclear) == ([("k3", "k2")], [], 3)


def test_a_layer_with_and_one_without_bias_are_paired_by_their_kernels() -> None:
    a = graph("(float[N,4] x) => (float y)", "h = Gemm(x, w, b)\ny = MatMul(h, v)", w=weights(4, 5), b=weights(5), v=weights(5, 2))
    b = graph("(float[N,4] x) => (float y)", "h = MatMul(x, w)\ny = MatMul(h, v)", w=weights(4, 5), v=weights(5, 2))
    same, other, unclear = placed(a, b)
    assert (sorted(same), other, unclear) == ([("v", "v"), ("w", "w")], [], 0)


@dataclass(frozen=True)
class Stub:
    """What ``compare`` looks at of an operator."""

    key: str
    core: str
    family: str = "Dense"


def test_what_is_paired_elsewhere_is_not_paired_again_in_a_gap() -> None:
    a, b, q, c = (Stub(name, name) for name in "ABQC")
    told = compare([a, b, q], [q, a, c])  # type: ignore[list-item]
    assert {*told.fitting} == {(a, a), (q, q)} and told.differing == ((b, c),) and not told.ambiguous


def test_one_number_behind_a_layer_of_several_channels_is_no_bias() -> None:
    found = parameters.of(graph("(float[N,4] x) => (float y)", "h = MatMul(x, w)\ny = Add(h, c)", w=weights(4, 5), c=np.ones(1, np.float32)))
    assert [(p.role, p.is_number) for p in found] == [("kernel", False), ("operand", True)]


def test_weights_in_the_body_of_a_branch_are_found() -> None:
    model = with_weights("""<ir_version: 8, opset_import: ["" : 17]>
    g (float[N, 4] x, bool c, float w, float v, float u) => (float y) {
        t = If(c) <then_branch = g1 () => (float p) { p = MatMul(x, w) }, else_branch = g2 () => (float q) { q = MatMul(x, v) }>
        y = MatMul(t, u)
    }""", w=(4, 4), v=(4, 4), u=(4, 2))
    assert [(p.name, p.role) for p in parameters.of(model)] == [("w", "kernel"), ("v", "kernel"), ("u", "kernel")]
