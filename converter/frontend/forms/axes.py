"""Axes of a tensor as letters: put in order, merged into groups and split again, with free lengths left free.

A group is a text of letters that form one axis together: ``["b", "hd"]`` is a matrix of two axes, the second made of h and d. An
empty group is an axis of length 1. A Reshape can keep a length in its place (0) and find out one other (-1); what needs more than
that has no target here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from converter.graph.build import Builder

Sizes = Mapping[str, int | None]


def ordered(letters: str, wanted: str) -> tuple[int, ...] | None:
    """The transpose that brings axes ``letters`` into the order ``wanted``; None where they are in it."""
    return None if letters == wanted else tuple(letters.index(c) for c in wanted)


def merge_target(groups: Sequence[str], sizes: Sizes) -> list[int] | None:
    """Target of the Reshape from one axis a letter to one axis a group; None where Reshape cannot say it."""
    target, at = [], 0
    for index, group in enumerate(groups):
        kept = len(group) == 1 and at == index and sizes[group] is None
        target.append(0 if kept else _length(group, sizes))
        at += len(group)
    return target if _possible(target, "".join(groups), sizes) else None


def split_target(groups: Sequence[str], sizes: Sizes) -> list[int] | None:
    """Target of the Reshape back to one axis a letter; None where Reshape cannot say it."""
    target: list[int] = []
    for index, group in enumerate(groups):
        for letter in group:
            kept = len(group) == 1 and len(target) == index and sizes[letter] is None
            target.append(0 if kept else _length(letter, sizes))
    return target if _possible(target, "".join(groups), sizes) else None


def _length(group: str, sizes: Sizes) -> int:
    lengths = [sizes[c] for c in group]
    return -1 if None in lengths else math.prod(n for n in lengths if n is not None)


def _possible(target: Sequence[int], letters: str, sizes: Sizes) -> bool:
    return list(target).count(-1) < 2 and 0 not in [sizes[c] for c in letters]  # a true length of 0 would read as: keep


def merged(build: Builder, value: ir.Value, letters: str, groups: Sequence[str], sizes: Sizes) -> ir.Value:
    """``value`` with its axes in the order of ``groups``, each group one axis."""
    perm, target = ordered(letters, "".join(groups)), merge_target(groups, sizes)
    assert target is not None
    value = value if perm is None else build("Transpose", value, perm=perm)
    return value if _single(groups) else build("Reshape", value, np.array(target))


def split(build: Builder, value: ir.Value, groups: Sequence[str], sizes: Sizes) -> ir.Value:
    """The inverse of the reshape in :func:`merged`."""
    target = split_target(groups, sizes)
    assert target is not None
    return value if _single(groups) else build("Reshape", value, np.array(target, np.int64))


def _single(groups: Sequence[str]) -> bool:
    return all(len(group) == 1 for group in groups)
