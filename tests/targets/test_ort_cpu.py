"""The rules of ort-cpu, asked of onnxruntime: what fuses on this machine, and whether the fused graph computes what the graph says."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest

from converter.spec.quant import Array
from converter.spec.target import Role
from converter.targets.ort_cpu import ORT_CPU
from converter.verify.coverage import coverage
from converter.verify.session import operators, optimised
from tests.quantize.graphs import Made, graph, outputs, quantized, weights

ZERO, ONE_AND_A_HALF = np.float32(0), np.float32(1.5)
FLOAT_ISLANDS = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "Relu", "Clip", "Add", "Mul", "Concat", "Sigmoid", "LeakyRelu",
                 "AveragePool", "GlobalAveragePool"}


@dataclass(frozen=True)
class Case:
    """A graph; the operators of onnxruntime's graph that must be there, and how many values are quantized and dequantized."""

    ends: str
    body: str
    kernels: dict[str, int]
    arrays: dict[str, Array] = field(default_factory=dict)
    pairs: tuple[int, int] = (1, 1)


def single(body: str, kernels: dict[str, int], shape: str = "4,8,8", out: str = "c,h,w", pairs: tuple[int, int] = (1, 1), **arrays: Array) -> Case:
    return Case(f"(float[N,{shape}] x) => (float[N,{out}] y)", body, kernels, arrays, pairs)


def dense(body: str, kernels: dict[str, int], shape: str = "16", out: str = "8", pairs: tuple[int, int] = (1, 0), **arrays: Array) -> Case:
    arrays = {"w": weights(16, 8), "b": weights(8), "v": weights(8, 8, seed=3), **arrays}
    return single(body, kernels, shape, out, pairs, **arrays)


def between(body: str, kernels: dict[str, int], channels: int = 4, **arrays: Array) -> Case:
    """``body`` makes m from p, or from p and q; all three are read or made by convolutions."""
    arrays = {"w": weights(4, 4, 3, 3), "v": weights(4, 4, 1, 1, seed=4), "u": weights(4, channels, 1, 1, seed=5), "b": weights(4), **arrays}
    second = "q = Conv(x, v, b)\n" if re.search(r"\bq\b", body) else ""
    text = f"p = Conv<pads = [1,1,1,1]>(x, w, b)\n {second} {body}\n y = Conv(m, u, b)"
    return single(text, {"QLinearConv": 3 if second else 2, **kernels}, **arrays)


def int64(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


CONV, CLIP = {"QLinearConv": 1}, {"lo": ZERO, "hi": ONE_AND_A_HALF}
POOL = "<kernel_shape = [2,2], strides = [2,2]>"
CASES = {
    "Conv": single("y = Conv(x, w, b)", CONV, w=weights(8, 4, 3, 3), b=weights(8)),
    "Conv without bias": single("y = Conv(x, w)", CONV, w=weights(8, 4, 3, 3)),
    "Conv, Relu": single("c = Conv(x, w, b)\n y = Relu(c)", CONV, w=weights(8, 4, 3, 3), b=weights(8)),
    "Conv, Clip": single("c = Conv(x, w, b)\n y = Clip(c, lo, hi)", CONV, w=weights(8, 4, 3, 3), b=weights(8), **CLIP),
    "Conv, dead Clip": single("c = Conv(x, w, b)\n y = Clip(c, lo, hi)", CONV, w=weights(8, 4, 3, 3), b=np.full(8, -99, np.float32), **CLIP),
    "Conv, Clip far above the data": single("c = Conv(x, w, b)\n y = Clip(c, lo, hi)", CONV, w=weights(8, 4, 3, 3), b=weights(8), lo=ZERO,
                                            hi=np.float32(1e6)),
    "Conv, groups": single("y = Conv<group = 2>(x, w, b)", CONV, w=weights(8, 2, 3, 3), b=weights(8)),
    "Conv, strides, dilations": single("y = Conv<strides = [2,2], dilations = [2,2], pads = [0,0,1,1]>(x, w, b)", CONV, w=weights(8, 4, 3, 3),
                                       b=weights(8)),
    "depthwise": single("y = Conv<group = 4>(x, w, b)", CONV, w=weights(4, 1, 3, 3), b=weights(4)),
    "depthwise, Clip": single("c = Conv<group = 4>(x, w, b)\n y = Clip(c, lo, hi)", CONV, w=weights(4, 1, 3, 3), b=weights(4), **CLIP),
    "Conv1D": single("y = Conv(x, w, b)", CONV, "4,9", "c,l", w=weights(8, 4, 3), b=weights(8)),
    "Conv3D": single("y = Conv(x, w, b)", CONV, "4,5,5,5", "c,d,h,w", w=weights(8, 4, 3, 3, 3), b=weights(8)),
    "Conv twice": single("c = Conv(x, w, b)\n y = Conv(c, v)", {"QLinearConv": 2}, w=weights(8, 4, 3, 3), b=weights(8), v=weights(4, 8, 1, 1)),
    "Gemm at the end": dense("y = Gemm(x, w, b)", {"QGemm": 1}),
    "Gemm": dense("g = Gemm(x, w, b)\n y = Gemm(g, v, b)", {"QGemm": 2}),
    "Gemm, transB": dense("g = Gemm<transB = 1>(x, t, b)\n y = Gemm<transB = 1>(g, v, b)", {"QGemm": 2}, t=weights(8, 16)),
    "Gemm, Relu": dense("g = Gemm(x, w, b)\n r = Relu(g)\n y = Gemm(r, v, b)", {"QGemm": 2}),
    "Gemm, Clip": dense("g = Gemm(x, w, b)\n r = Clip(g, lo, hi)\n y = Gemm(r, v, b)", {"QGemm": 2}, **CLIP),
    "Gemm without bias": dense("g = Gemm(x, w)\n r = Relu(g)\n y = Gemm(r, v)", {"QGemm": 2}),
    "Gemm, Sigmoid at the end": dense("g = Gemm(x, w, b)\n r = Relu(g)\n s = Gemm(r, v, b)\n y = Sigmoid(s)", {"QGemm": 2, "Sigmoid": 1}),
    "Gemm, Sigmoid, Gemm": dense("g = Gemm(x, w, b)\n r = Sigmoid(g)\n y = Gemm(r, v, b)", {"QGemm": 2, "QLinearSigmoid": 1}),
    "MatMul": dense("g = MatMul(x, w)\n y = MatMul(g, v)", {"QLinearMatMul": 1, "MatMulIntegerToFloat": 1}),
    "MatMul, rank 3": dense("g = MatMul(x, w)\n y = MatMul(g, v)", {"QLinearMatMul": 1, "MatMulIntegerToFloat": 1}, "5,16", "5,8"),
    "MatMul, Relu": dense("g = MatMul(x, w)\n r = Relu(g)\n y = MatMul(r, v)", {"QLinearMatMul": 1, "MatMulIntegerToFloat": 1}, "5,16", "5,8"),
    "MatMul, Clip": dense("g = MatMul(x, w)\n r = Clip(g, lo, hi)\n y = MatMul(r, v)", {"QLinearMatMul": 1, "MatMulIntegerToFloat": 1}, "5,16",
                          "5,8", **CLIP),
    "MatMul, Add of a constant": dense("g = MatMul(x, w)\n a = Add(g, b)\n y = MatMul(a, v)", {"MatMulIntegerToFloat": 2, "Add": 1}, "5,16", "5,8",
                                       (2, 0)),
    "Add": between("m = Add(p, q)", {"QLinearAdd": 1}),
    "Add to itself": between("m = Add(p, p)", {"QLinearAdd": 1}),
    "Add, Relu": between("s = Add(p, q)\n m = Relu(s)", {"QLinearAdd": 1}),
    "Add, Clip": between("s = Add(p, q)\n m = Clip(s, lo, hi)", {"QLinearAdd": 1}, **CLIP),
    "Add of the input": between("m = Add(p, x)", {"QLinearAdd": 1}),
    "Mul": between("m = Mul(p, q)", {"QLinearMul": 1}),
    "Concat": between("m = Concat<axis = 1>(p, q)", {"QLinearConcat": 1}, 8),
    "Concat of the input": between("m = Concat<axis = 1>(p, x)", {"QLinearConcat": 1}, 8),
    "AveragePool": between(f"m = AveragePool{POOL}(p)", {"QLinearAveragePool": 1}),
    "AveragePool, padded": between("m = AveragePool<kernel_shape = [3,3], pads = [1,1,1,1]>(p)", {"QLinearAveragePool": 1}),
    "AveragePool, padding counted": between("m = AveragePool<kernel_shape = [3,3], pads = [1,1,1,1], count_include_pad = 1>(p)",
                                            {"QLinearAveragePool": 1}),
    "GlobalAveragePool": between("m = GlobalAveragePool(p)", {"QLinearGlobalAveragePool": 1}),
    "LeakyRelu": between("m = LeakyRelu<alpha = 0.1>(p)", {"QLinearLeakyRelu": 1}),
    "Sigmoid": between("m = Sigmoid(p)", {"QLinearSigmoid": 1}),
    "Sigmoid, Mul": between("s = Sigmoid(p)\n m = Mul(p, s)", {"QLinearSigmoid": 1, "QLinearMul": 1}),
    "squeeze and excite": between("g = GlobalAveragePool(p)\n e = Conv(g, z, b)\n s = Sigmoid(e)\n m = Mul(p, s)",
                                  {"QLinearConv": 3, "QLinearGlobalAveragePool": 1, "QLinearSigmoid": 1, "QLinearMul": 1},
                                  z=weights(4, 4, 1, 1, seed=6)),
    "MaxPool": between(f"m = MaxPool{POOL}(p)", {"NhwcMaxPool": 1}),
    "Reshape": between("m = Reshape(p, s)", {"Reshape": 1}, s=int64(0, 4, 4, 16)),
    "Flatten": between("f = Flatten(p)\n m = Reshape(f, s)", {"Flatten": 1, "Reshape": 1}, s=int64(0, 4, 8, 8)),
    "Transpose": between("m = Transpose<perm = [0,1,3,2]>(p)", {}),
    "Squeeze, Unsqueeze": between("g = GlobalAveragePool(p)\n h = Squeeze(g, a)\n m = Unsqueeze(h, a)", {"Squeeze": 1, "Unsqueeze": 1},
                                  a=int64(2, 3)),
    "Slice": between("m = Slice(p, s, e, a)", {"Slice": 1}, s=int64(1), e=int64(5), a=int64(2)),
    "Transpose of the input": single("t = Transpose<perm = [0,3,1,2]>(x)\n y = Conv(t, w, b)", CONV, "8,8,4", w=weights(8, 4, 3, 3), b=weights(8)),
    "pooled head": single("c = Conv(x, w, b)\n r = Relu(c)\n g = GlobalAveragePool(r)\n f = Flatten(g)\n y = Gemm(f, v, b)",
                          {"QLinearConv": 1, "QLinearGlobalAveragePool": 1, "Flatten": 1, "QGemm": 1}, out="8", pairs=(1, 0), w=weights(8, 4, 3, 3),
                          b=weights(8), v=weights(8, 8)),
    "two convolutions of one value": single("c = Conv(x, w, b)\n p = Conv(c, v)\n q = Conv(c, u)\n y = Add(p, q)",
                                            {"QLinearConv": 3, "QLinearAdd": 1}, w=weights(8, 4, 3, 3), b=weights(8), v=weights(4, 8, 1, 1),
                                            u=weights(4, 8, 1, 1, seed=9)),
    "Relu read twice": single("c = Conv(x, w, b)\n r = Relu(c)\n p = Conv(r, v)\n y = Add(p, r)", {"QLinearConv": 2, "QLinearAdd": 1},
                              w=weights(8, 4, 3, 3), b=weights(8), v=weights(8, 8, 1, 1)),
}


@pytest.fixture(scope="module")
def made() -> dict[str, Made]:
    return {}


def make(made: dict[str, Made], name: str) -> Made:
    if name not in made:
        case = CASES[name]
        made[name] = quantized(graph(case.ends, case.body, ORT_CPU.opset, **case.arrays))
    return made[name]


@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_has_the_integer_kernel(made: dict[str, Made], name: str) -> None:
    case, counts = CASES[name], operators(optimised(make(made, name).integer))
    assert {op: counts[op] for op in case.kernels} == case.kernels
    assert (counts["QuantizeLinear"], counts["DequantizeLinear"]) == case.pairs
    islands = {op for op in counts if op in FLOAT_ISLANDS} - set(case.kernels)
    assert not islands, f"{islands} run in float in {dict(counts)}"


@pytest.mark.parametrize("name", CASES)
def test_the_fused_graph_computes_what_the_graph_says(made: dict[str, Made], name: str) -> None:
    """To one step of the output's grid; where a dense layer writes float, to the rounding of float32.

    A tie inside that rounds the other way may cost a second step behind an Add: one element in a thousand.
    """
    case = make(made, name)
    fused, plain = outputs(case.integer, case.feeds)["y"], outputs(case.integer, case.feeds, optimise=False)["y"]
    grid = case.solution.activations.get("y")
    step = 1.001 * float(grid.scale) if grid is not None else 1e-4 * np.abs(plain).max()
    off = np.abs(fused - plain)
    assert off.max() <= 2 * step
    assert np.count_nonzero(off > step) <= off.size / 1000


@pytest.mark.parametrize("name", CASES)
def test_the_integer_graph_is_near_the_float_graph(made: dict[str, Made], name: str) -> None:
    """A wrong axis, sign or zero point is far from 25 dB."""
    case = make(made, name)
    exact, got = outputs(case.model, case.feeds)["y"], outputs(case.integer, case.feeds)["y"]
    power, error = float((exact.astype(np.float64)**2).sum()), float(((got.astype(np.float64) - exact)**2).sum())
    assert error <= power * 10**-2.5


def test_every_rule_has_a_case() -> None:
    bodies = " ".join(case.body for case in CASES.values())
    assert [rule.op_type for rule in ORT_CPU.rules if f"= {rule.op_type}" not in bodies] == []
    fused = {(rule.op_type, last) for rule in ORT_CPU.rules for last in rule.fuses}
    assert {pair for pair in fused if ", ".join(pair) not in CASES} == set()


def test_coverage_counts_every_layer_as_integer(made: dict[str, Made]) -> None:
    for name in ("Conv", "depthwise", "Gemm, Relu", "MatMul, rank 3", "squeeze and excite"):
        case = make(made, name)
        found = coverage(case.integer, case.plan.layers)
        assert (found.integer, found.compute, found.float_nodes) == (len(case.plan.layers), len(case.plan.layers), ())


NOT_FUSED = {
    "Conv, Clip from below 0": (single("c = Conv(x, w)\n y = Clip(c, lo, hi)", {}, w=weights(8, 4, 3, 3), lo=np.float32(-1), hi=np.float32(1)),
                                Counter(Clip=1)),
    "Relu and another reader": (single("c = Conv(x, w)\n r = Relu(c)\n s = Add(c, r)\n y = Conv(s, v)", {}, w=weights(8, 4, 3, 3),
                                       v=weights(8, 8, 1, 1)), Counter(Relu=1, Add=1)),
}


@pytest.mark.parametrize("name", NOT_FUSED)
def test_what_does_not_fuse_stays_right_and_its_layers_on_integers(name: str) -> None:
    case, islands = NOT_FUSED[name]
    result = quantized(graph(case.ends, case.body, ORT_CPU.opset, **case.arrays))
    counts = operators(optimised(result.integer))
    assert counts["QLinearConv"] == len(result.plan.layers)
    assert counts & islands == islands
    exact, got = outputs(result.model, result.feeds)["y"], outputs(result.integer, result.feeds)["y"]
    assert np.abs(exact - got).max() < 0.05 * np.ptp(exact)


def test_pass_rules_really_move_codes(made: dict[str, Made]) -> None:
    """One grid in front and behind: a second one would be rounding for nothing."""
    for rule in ORT_CPU.rules:
        if rule.role is Role.PASS and rule.op_type in CASES:
            case = make(made, rule.op_type)
            assert case.solution.activations["p"] is case.solution.activations["m"], rule.op_type
