"""What tf2onnx writes is mended only where that is exact."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import onnx_ir as ir
import pytest

from converter.frontend.repair import repair
from converter.graph import io, query


def transposed(pads: list[int]) -> ir.Model:
    return io.from_text(f"""<ir_version: 10, opset_import: ["" : 18]>
        g (float[1,2,4,4] x, float[2,3,3,3] w) => (float[1,3,h,v] y) {{ y = ConvTranspose<strides=[2,2], pads={pads}>(x, w) }}""")


@pytest.mark.parametrize(("pads", "begin_end", "more"), [
    ([0, 0, -1, -1], (0, 0, 0, 0), (1, 1)), ([0, 1, -1, 1], (0, 1, 0, 1), (1, 0)), ([-1, 0, -1, 0], (0, 0, 0, 0), (2, 0)), ([0, 0, -1, 1], (0, 0, 0, 1), (1, 0))])
def test_negative_pads_become_output_padding(pads: list[int], begin_end: tuple[int, ...], more: tuple[int, ...]) -> None:
    model = transposed(pads)
    repair(model)
    assert query.ints(model.graph[0], "pads") == begin_end
    assert query.ints(model.graph[0], "output_padding") == more


def test_pads_that_are_right_are_left_alone() -> None:
    model = transposed([1, 0, 1, 1])
    repair(model)
    assert query.ints(model.graph[0], "pads") == (1, 0, 1, 1)
    assert "output_padding" not in model.graph[0].attributes


def reshape(parts: list[int | None], cast: bool = True) -> ir.Model:
    """Reshape to a Concat of constants and, for None, the first length of the input."""
    lines = ["s = Shape<start=0, end=1>(x)", "n0 = Cast<to=6>(s)", "zero = Constant<value = int64[1] {0}>()", "n = Squeeze(n0, zero)"]
    for i, part in enumerate(parts):
        lines.append(f"u{i} = Unsqueeze({'n' if part is None else f'c{i}'}, zero)")
    lines += [f"all = Concat<axis=0>({', '.join(f'u{i}' for i in range(len(parts)))})", "shape = Cast<to=7>(all)", "y = Reshape(x, shape)"]
    constants = ", ".join(f"int32 c{i} = {{{part}}}" for i, part in enumerate(parts) if part is not None)
    return io.from_text(f"""<ir_version: 10, opset_import: ["" : 18]>
        g (float[b,4,6] x) => (float y) {f"<{constants}>" if constants else ""} {{ {chr(10).join(lines)} }}""")


def target(model: ir.Model) -> tuple[int, ...] | None:
    return query.int_list(next(n for n in model.graph if n.op_type == "Reshape").inputs[1])


@hypothesis.given(st.lists(st.none() | st.integers(1, 24), min_size=1, max_size=4))
def test_one_unknown_length_is_what_is_left_over(parts: list[int | None]) -> None:
    model = reshape(parts)
    repair(model)
    if parts.count(None) <= 1:
        assert target(model) == tuple(-1 if p is None else p for p in parts)
    else:
        assert target(model) is None


@pytest.mark.parametrize("parts", [[None, 0], [None, -1], [None, 24, 0]])
def test_lengths_that_mean_something_else_are_left_alone(parts: list[int | None]) -> None:
    model = reshape(parts)
    repair(model)
    assert target(model) is None


def test_a_shape_that_is_computed_is_left_alone() -> None:
    model = io.from_text("""<ir_version: 10, opset_import: ["" : 18]>
        g (float[b,4] x, int64[1] k) => (float y) <int64[1] c = {2}> { all = Concat<axis=0>(k, c)  y = Reshape(x, all) }""")
    repair(model)
    assert target(model) is None


def test_the_result_is_the_same() -> None:
    from converter.verify.session import Session

    x = np.arange(48, dtype=np.float32).reshape(2, 4, 6)
    before, after = reshape([None, 3, 8]), reshape([None, 3, 8])
    repair(after)
    np.testing.assert_array_equal(Session(before).run({"x": x})["y"], Session(after).run({"x": x})["y"])


@hypothesis.given(st.permutations(range(4)), st.lists(st.sampled_from([1, 1, 1, 2, 3]), min_size=3, max_size=3))
def test_a_transpose_of_axes_of_length_one_is_a_reshape(perm: list[int], lengths: list[int]) -> None:
    from converter.verify.session import Session

    size = int(np.prod(lengths))
    text = f"""<ir_version: 10, opset_import: ["" : 18]>
        g (float[b,{size}] x) => (float[p,q,r,s] y) <int64[4] shape = {{-1, {", ".join(map(str, lengths))}}}>
        {{ grid = Reshape(x, shape)  y = Transpose<perm = {perm}>(grid) }}"""
    before, after = io.from_text(text), io.from_text(text)
    repair(after)
    long = [a for a in perm if a == 0 or lengths[a - 1] != 1]
    assert (after.graph[-1].op_type == "Reshape") == (long == sorted(long))
    x = np.random.default_rng(0).normal(size=(5, size)).astype(np.float32)
    np.testing.assert_array_equal(Session(before).run({"x": x})["y"], Session(after).run({"x": x})["y"])


@pytest.mark.parametrize(("lengths", "perm", "skipped"), [
    ([6, 1, 1], [0, 2, 3, 1], True), ([6, 1, 2], [0, 2, 3, 1], False), ([1, 3, 2], [0, 2, 3, 1], True), ([2, 3, 1], [0, 2, 3, 1], False)])
def test_a_transpose_that_moves_no_number_is_skipped_in_front_of_a_reshape(lengths: list[int], perm: list[int], skipped: bool) -> None:
    from converter.verify.session import Session

    size = int(np.prod(lengths))
    model = io.from_text(f"""<ir_version: 10, opset_import: ["" : 18]>
        g (float[b,{", ".join(map(str, lengths))}] x) => (float[b,{size}] y) <int64[2] shape = {{-1, {size}}}>
        {{ turned = Transpose<perm = {perm}>(x)  y = Reshape(turned, shape) }}""")
    x = np.random.default_rng(0).normal(size=(5, *lengths)).astype(np.float32)
    repair(model)
    assert (model.graph[-1].inputs[0] is model.graph.inputs[0]) == skipped
    np.testing.assert_array_equal(x.transpose(0, *perm[1:]).reshape(5, size), Session(model).run({"x": x})["y"])
