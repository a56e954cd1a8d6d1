"""Pairs by map, name, structure and value; what is unclear is an error that says what to do, and nothing is passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import InputError, UsageError
from converter.transfer import listing, naming, parameters
from converter.transfer.match import Matches, match
from tests.quantize.graphs import graph, weights


def stack(widths: Sequence[int], names: Sequence[str], seed: int = 0, **more: Any) -> ir.Model:
    """Dense layers from each width to the next, their kernels and biases called ``<name>/kernel`` and ``<name>/bias``, nodes ``<name>``."""
    lines, held = [], {}
    for i, (wide, name) in enumerate(zip(widths[1:], names, strict=True)):
        out = "y" if i == len(names) - 1 else f"h{i}"
        lines.append(f"[{name}] {out} = Gemm({'x' if i == 0 else f'h{i - 1}'}, {name}_kernel, {name}_bias)")
        held |= {f"{name}_kernel": weights(widths[i], wide, seed=seed + i), f"{name}_bias": weights(wide, seed=seed + i + 100)}
    return graph(f"(float[N,{widths[0]}] x) => (float y)", "\n".join(lines), **held, **more)


def matched(a: ir.Model, b: ir.Model, **options: Any) -> Matches:
    return match(parameters.of(a), parameters.of(b), **options)


def kernels(found: Matches) -> dict[str, str]:
    return {p.source.name: p.dest.name for p in found.pairs if p.dest.role == "kernel"}


def left(found: Matches) -> tuple[list[str], list[str]]:
    return [p.name for p in found.left_source], [p.name for p in found.left_dest]


WIDTHS = (6, 5, 4, 3)
DONOR = stack(WIDTHS, ["dense", "dense_1", "dense_2"])


def test_other_names_are_paired_by_structure() -> None:
    found = matched(DONOR, stack(WIDTHS, ["a", "b", "c"], 9))
    assert kernels(found) == {"dense_kernel": "a_kernel", "dense_1_kernel": "b_kernel", "dense_2_kernel": "c_kernel"}
    assert found.is_whole and len(found.pairs) == 6 and {p.by for p in found.pairs} == {"structure"}


def test_the_same_names_are_paired_by_name() -> None:
    found = matched(DONOR, stack(WIDTHS, ["dense", "dense_1", "dense_2"], 9))
    assert found.is_whole and {p.by for p in found.pairs} == {"name"}


def test_one_name_for_two_parameters_is_nobodys() -> None:
    told = parameters.of(DONOR)
    assert "dense_kernel" not in naming.by_name([*told, told[0]]) and "dense_bias" in naming.by_name([*told, told[0]])


# --- names that are shifted


@pytest.mark.parametrize("names", [["dense_1", "dense_2", "dense_3"], ["dense_2", "dense", "dense_1"]])
@pytest.mark.parametrize("widths", [WIDTHS, (6, 6, 6, 6)])
def test_names_that_say_another_thing_than_places_are_an_error_and_either_can_be_chosen(widths: tuple[int, ...], names: list[str]) -> None:
    donor, recipient = stack(widths, ["dense", "dense_1", "dense_2"]), stack(widths, names, 9)
    with pytest.raises(InputError, match=r"disagree: (dense\w*_kernel) \[\d, \d\] of the donor is by name \1 \[\d, \d\], by its place \w+_kernel"):
        matched(donor, recipient)
    by_place = matched(donor, recipient, by="structure")
    assert by_place.is_whole
    assert kernels(by_place) == {f"{a}_kernel": f"{b}_kernel" for a, b in zip(["dense", "dense_1", "dense_2"], names, strict=True)}
    by_name = matched(donor, recipient, by="name")
    shared = {"dense", "dense_1", "dense_2"} & set(names)
    seen = {p.source.name for p in (*by_name.pairs, *(pair for pair, _ in by_name.differing))}
    assert seen == {f"{n}_{r}" for n in shared for r in ("kernel", "bias")}


def test_a_name_that_belongs_to_another_of_the_donor_by_its_place_is_an_error_too() -> None:
    """The donor's first layer is one too many; the recipient's only layer of that name is its second."""
    with pytest.raises(InputError, match=r"dense_kernel \[5, 4\] of the recipient is by name the donor's dense_kernel \[6, 5\], by its .*_1_kernel"):
        matched(stack((6, 5, 4), ["dense", "dense_1"]), stack((5, 4), ["dense"], 9))


def test_names_that_disagree_where_nothing_is_to_be_written_do_not_matter() -> None:
    found = matched(DONOR, stack(WIDTHS, ["dense_1", "dense", "dense_2"], 9), select=["dense_2*"])
    assert kernels(found) == {"dense_2_kernel": "dense_2_kernel"} and len(found.set_aside) == 4


# --- what is missing, other, or unclear


def test_a_layer_that_is_missing_is_left_over_and_said() -> None:
    recipient = stack((6, 5, 3), ["a", "c"], 9)
    donor = stack((6, 5, 5, 3), ["p", "q", "r"])
    found = matched(donor, recipient)
    assert kernels(found) == {"p_kernel": "a_kernel", "r_kernel": "c_kernel"}
    assert left(found) == (["q_kernel", "q_bias"], []) and not found.is_whole
    assert listing.problems(found) == ["2 parameters of the donor without a partner: q_bias [5], q_kernel [5, 5]"]
    assert left(matched(recipient, donor)) == ([], ["q_kernel", "q_bias"])


def test_another_width_is_a_difference_with_both_shapes() -> None:
    found = matched(DONOR, stack((6, 5, 7, 3), ["a", "b", "c"], 9))
    assert len(found.pairs) == 3 and left(found) == ([], [])
    assert [(pair.source.name, pair.dest.name, reason) for pair, reason in found.differing] == [
        ("dense_1_kernel", "b_kernel", "the donor's is [5, 4], the recipient's [5, 7]"),
        ("dense_1_bias", "b_bias", "the donor's is [4], the recipient's [7]"),
        ("dense_2_kernel", "c_kernel", "the donor's is [4, 3], the recipient's [7, 3]")]
    assert not found.is_whole


FIVE, FOUR = ["l1", "l2", "l3", "l4", "l5"], ["a", "b", "c", "d"]


def test_which_of_several_equal_layers_is_missing_nobody_can_tell() -> None:
    with pytest.raises(InputError, match=r"5 layers of the donor have several possible partners: l1 could be a, b, c, d; .*--map, or --by name"):
        matched(stack((6,) * 6, FIVE), stack((6,) * 5, FOUR, 9))


def test_names_tell_which_of_several_equal_layers_is_missing() -> None:
    found = matched(stack((6,) * 6, FIVE), stack((6,) * 5, ["l1", "l2", "l4", "l5"], 9))
    assert left(found) == (["l3_kernel", "l3_bias"], []) and {p.by for p in found.pairs} == {"name"}


def test_a_map_tells_it_too() -> None:
    rules = {f"{old}_*": f"{new}_*" for old, new in zip(["l1", "l2", "l4", "l5"], FOUR, strict=True)}
    found = matched(stack((6,) * 6, FIVE), stack((6,) * 5, FOUR, 9), mapping=rules)
    assert left(found) == (["l3_kernel", "l3_bias"], []) and {p.by for p in found.pairs} == {"map"}


def test_a_trunk_that_is_unclear_does_not_matter_for_a_head_that_is_selected() -> None:
    donor, recipient = stack((6,) * 6 + (2,), [*FIVE, "top"]), stack((6,) * 5 + (2,), [*FOUR, "head"], 9)
    assert kernels(matched(donor, recipient, select=["head*"])) == {"top_kernel": "head_kernel"}
    with pytest.raises(InputError, match="several possible partners"):
        matched(donor, recipient, select=["a*"])


def test_single_numbers_are_paired_where_all_else_is_and_are_no_problem_where_not() -> None:
    ends, body = "(float[N,4] x) => (float y)", "a = Gemm(x, w, b)\nc = Mul(a, {0})\nd = PRelu(c, {1})\ny = Gemm(d, v, u)"
    held = {"w": weights(4, 4), "b": weights(4), "v": weights(4, 2), "u": weights(2)}
    a = graph(ends, body.format("half", "slope"), **held, half=np.float32(0.5), slope=np.full(1, 0.1, np.float32))
    b = graph(ends, body.format("half", "other"), **held, half=np.float32(0.25), other=np.full(1, 0.2, np.float32))
    found = matched(a, b)
    assert {p.source.name: (p.dest.name, p.by) for p in found.pairs if p.source.is_number} == {
        "half": ("half", "name"), "slope": ("other", "structure")}
    fewer = matched(a, graph(ends, "a = Gemm(x, w, b)\nd = PRelu(a, other)\ny = Gemm(d, v, u)", **held, other=np.full(1, 0.2, np.float32)))
    assert fewer.is_whole and left(fewer) == (["half", "slope"], ["other"])


# --- by value


def test_equal_numbers_are_paired_whatever_is_equal_to_them_in_canonical_order() -> None:
    donor = stack((6, 6, 6, 6), ["p", "q", "r"])
    same = np.ones((6, 6), np.float32)
    for name in ("p_kernel", "r_kernel"):
        donor.graph.initializers[name].const_value = ir.tensor(same)
    turned = graph("(float[N,6] x) => (float y)", "h = Gemm<transB=1>(x, c1, d1)\ni = Gemm(h, c2, d2)\ny = Gemm(i, c3, d3)", c1=same,
                   c2=weights(6, 6, seed=1), c3=same, d1=weights(6, seed=102), d2=weights(6, seed=77), d3=weights(6, seed=100))
    found = matched(donor, turned, by="value")
    assert {p.source.name: p.dest.name for p in found.pairs} == {"p_kernel": "c1", "q_kernel": "c2", "r_kernel": "c3", "p_bias": "d3", "r_bias": "d1"}
    assert left(found) == (["q_bias"], ["d2"])


def test_several_with_the_same_numbers_and_not_as_many_on_both_sides_are_an_error() -> None:
    a, b = stack((6, 6, 6), ["p", "q"]), stack((6, 6), ["r"])
    for model in (a, b):
        for value in model.graph.initializers.values():
            value.const_value = ir.tensor(np.zeros([int(n) for n in value.shape or ()], np.float32))
    with pytest.raises(InputError, match=r"p_kernel, q_kernel of the donor have the numbers of each of r_kernel of the recipient; --map says"):
        matched(a, b, by="value")


# --- maps and patterns

def test_a_star_carries_over_what_it_stands_for() -> None:
    recipient = stack(WIDTHS, ["net_dense", "net_dense_1", "net_dense_2"], 9)
    found = matched(DONOR, recipient, mapping={"*": "net_*"}, by="map")
    assert found.is_whole and kernels(found)["dense_1_kernel"] == "net_dense_1_kernel" and {p.by for p in found.pairs} == {"map"}
    found = matched(DONOR, stack((5, 4), ["xense_1y"], 9), mapping={"d*_1_*": "x*_1y_*"}, by="map")
    assert kernels(found) == {"dense_1_kernel": "xense_1y_kernel"} and len(found.left_source) == 4


def test_a_map_goes_before_names_and_the_rest_follows() -> None:
    found = matched(DONOR, stack(WIDTHS, ["dense", "dense_1", "dense_2"], 9), mapping={"dense_kernel": "dense_kernel", "dense_bias": "dense_bias"})
    assert [p.by for p in found.pairs] == ["map", "map", "name", "name", "name", "name"] and found.is_whole


def test_by_map_alone_nothing_else_is_paired() -> None:
    found = matched(DONOR, DONOR, by="map", mapping={"dense_kernel": "dense_kernel"})
    assert len(found.pairs) == 1 and len(found.left_source) == len(found.left_dest) == 5


WRONG_MAPS: dict[str, tuple[Mapping[str, str], str]] = {
    "matches nothing": ({"nothing/*": "b_*"}, r"map nothing/\*=b_\* matches no parameter of the donor; it has dense_1_bias, "),
    "leads to nothing": ({"dense_kernel": "z"}, "dense_kernel of the donor leads to z, which the recipient does not have; it has a_bias"),
    "unlike stars": ({"dense_*": "a"}, "both sides need the same number of "),
    "collide": ({"dense_kernel": "a_kernel", "dense_1_kernel": "a_kernel"}, "dense_1_kernel and dense_kernel of the donor both lead to a_kernel"),
    "two ways": ({"dense_kernel": "a_kernel", "dense_k*": "b_k*"},
                 r"map dense_k\*=b_k\* leads dense_kernel of the donor to b_kernel, another rule to a_kernel"),
}


@pytest.mark.parametrize("case", WRONG_MAPS)
def test_a_map_that_does_not_fit_is_refused(case: str) -> None:
    rules, text = WRONG_MAPS[case]
    with pytest.raises(UsageError, match=text):
        matched(DONOR, stack(WIDTHS, ["a", "b", "c"], 9), mapping=rules)


def test_two_rules_that_say_the_same_are_one() -> None:
    found = matched(DONOR, stack(WIDTHS, ["a", "b", "c"], 9), by="map", mapping={"dense_kernel": "a_kernel", "dense_k*": "a_k*"})
    assert kernels(found) == {"dense_kernel": "a_kernel"}


def test_a_mapped_pair_of_other_shapes_is_a_difference() -> None:
    found = matched(DONOR, stack(WIDTHS, ["a", "b", "c"], 9), by="map", mapping={"dense_kernel": "b_kernel"})
    assert not found.pairs and found.differing[0][1] == "the donor's is [6, 5], the recipient's [5, 4]"


@pytest.mark.parametrize(("options", "text"), [
    ({"by": "guess"}, "unknown way to match 'guess'; known: auto, map, name, structure, value"), ({"by": "map"}, "needs a map; none was received"),
    ({"select": ["nothing*"]}, r"pattern 'nothing\*' matches no parameter; the recipient has a_bias, "),
    ({"exclude": ["z"]}, "pattern 'z' matches no parameter")])
def test_wrong_use_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        matched(DONOR, stack(WIDTHS, ["a", "b", "c"], 9), **options)


@pytest.mark.parametrize(("options", "chosen"), [
    ({"select": ["a*"]}, ["a_kernel", "a_bias"]), ({"select": ["*_kernel"]}, ["a_kernel", "b_kernel", "c_kernel"]),
    ({"exclude": ["*_bias"], "select": ["a_*", "b_*"]}, ["a_kernel", "b_kernel"]), ({"select": ["b"]}, ["b_kernel", "b_bias"]),
    ({"exclude": ["c"]}, ["a_kernel", "a_bias", "b_kernel", "b_bias"])])
def test_what_is_selected_by_name_or_layer_is_what_is_written(options: dict[str, Any], chosen: list[str]) -> None:
    found = matched(DONOR, stack(WIDTHS, ["a", "b", "c"], 9), **options)
    assert [p.dest.name for p in found.pairs] == chosen and len(found.set_aside) == 6 - len(chosen)
    assert found.is_whole, "what is not selected is not missing"


def test_what_is_missing_where_nothing_is_to_be_written_is_no_problem() -> None:
    donor, recipient = stack((6, 5, 4), ["dense", "dense_1"]), stack((6, 5, 7, 4), ["a", "extra", "b"], 9)
    assert not matched(donor, recipient).is_whole
    assert matched(donor, recipient, select=["a"]).is_whole and not matched(donor, recipient, select=["a", "extra"]).is_whole
    assert matched(donor, recipient, exclude=["extra", "b*", "dense_1*"]).is_whole


# --- rules and maps as text


def test_rules_of_the_command_line() -> None:
    assert naming.read_rules(["a/*=b/*", "c=d"]) == {"a/*": "b/*", "c": "d"}
    for rule in ("a", "=b", "a="):
        with pytest.raises(UsageError, match="a map is written old=new, received"):
            naming.read_rules([rule])
