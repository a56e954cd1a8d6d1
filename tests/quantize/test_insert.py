"""Only what the solution says is written, the float graph stays as it was, and the result is the golden text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from converter.graph import io, query
from converter.quantize.insert import insert
from converter.spec.quant import Array
from tests.quantize.graphs import Made, graph, initializer, node_named, outputs, quantized, weights

GOLDEN = Path(__file__).parent / "golden"
ENDS = "(float[N,8,8,2] image) => (float[N,3] scores)"
BODY = """
    t = Transpose<perm = [0,3,1,2]>(image)
    [stem] a = Conv<pads = [1,1,1,1], strides = [2,2]>(t, stem_w, stem_b)
    a6 = Clip(a, lo, hi)
    [depthwise] d = Conv<pads = [1,1,1,1], group = 4>(a6, depth_w, depth_b)
    d6 = Relu(d)
    [point] p = Conv(d6, point_w, point_b)
    s = Add(p, a6)
    m = MaxPool<kernel_shape = [2,2], strides = [2,2]>(s)
    g = GlobalAveragePool(m)
    f = Flatten(g)
    [head] scores = Gemm<transB = 1>(f, head_w, head_b)
"""


def small_cnn() -> Made:
    arrays = {"stem_w": grid_weights(4, 2, 3, 3), "depth_w": grid_weights(4, 1, 3, 3), "point_w": grid_weights(4, 4, 1, 1),
              "head_w": grid_weights(3, 4)}
    biases = {"stem_b": 4, "depth_b": 4, "point_b": 4, "head_b": 3}
    model = graph(ENDS, BODY, **arrays, **{n: grid_weights(c) for n, c in biases.items()}, lo=np.float32(0), hi=np.float32(1))
    return quantized(model, feeds={"image": grid_weights(4, 8, 8, 2)})


def grid_weights(*shape: int) -> Array:
    """Sixteenths: sums of products are exact in float32, so that the numbers are the same on every machine."""
    return (np.round(weights(*shape) * 16) / 16).astype(np.float32)


def text_of(made: Made) -> str:
    """The graph, then a line for every quantized value."""
    lines = [f"{node.op_type:18} {', '.join(query.name_of(v) for v in query.inputs_of(node))} -> {query.name_of(node.outputs[0])}"
             for node in made.integer.graph]
    lines.append("")
    lines += [f"{name}: scale {float(p.scale):.5g}, zero point {int(p.zero_point)}" for name, p in made.solution.activations.items()]
    for layer in made.plan.layers:
        codes = made.solution.layers[layer.name]
        lines.append(f"{layer.weight}: scales {' '.join(f'{s:.5g}' for s in codes.weight.params.scale)}, zero points 0, axis {layer.channel}")
        lines.append(f"{layer.bias}: codes {' '.join(map(str, codes.bias.tolist() if codes.bias is not None else []))}")
    return "\n".join(lines) + "\n"


def test_the_quantized_graph_is_the_golden_one() -> None:
    """If a change is wanted, look at the difference, then write what this test has got into the file."""
    assert text_of(small_cnn()) == (GOLDEN / "small_cnn.txt").read_text(encoding="utf-8")


def test_the_same_input_gives_the_same_bytes() -> None:
    assert io.to_bytes(small_cnn().integer) == io.to_bytes(small_cnn().integer)


def test_the_float_graph_stays_as_it_is() -> None:
    made = small_cnn()
    before = io.to_bytes(made.model)
    insert(made.model, made.plan, made.solution)
    assert io.to_bytes(made.model) == before


def test_names_of_inputs_and_outputs_stay() -> None:
    made = small_cnn()
    assert [v.name for v in made.integer.graph.inputs] == ["image"]
    assert [v.name for v in made.integer.graph.outputs] == ["scores"]
    through = quantized(graph("(float[N,4,6,6] x) => (float[N,4,6,6] y)", "y = Conv(x, w)", w=weights(4, 4, 1, 1)))
    assert [v.name for v in through.integer.graph.outputs] == ["y"]


def test_no_float_weight_of_a_quantized_layer_is_left_in_the_file() -> None:
    made = small_cnn()
    assert not {"stem_w", "depth_w", "point_w", "head_w", "stem_b"} & set(made.integer.graph.initializers)
    assert initializer(made.integer, "stem_w/quantized").dtype == np.int8
    assert initializer(made.integer, "stem_b/quantized").dtype == np.int32


def test_every_quantize_is_followed_by_its_own_dequantize() -> None:
    for node in small_cnn().integer.graph:
        if node.op_type == "QuantizeLinear":
            reader = query.sole_consumer(node.outputs[0])
            assert reader is not None and reader.op_type == "DequantizeLinear"
            assert reader.inputs[1:] == node.inputs[1:]


def test_a_value_is_quantized_once_however_many_read_it() -> None:
    counts = [n.op_type for n in small_cnn().integer.graph]
    assert counts.count("QuantizeLinear") == 9  # image, t, a6, d6, p, s, m, g, f


def test_a_float_reader_of_a_value_that_no_integer_node_makes_reads_the_value() -> None:
    """The input is read as codes by the convolution only; the float path keeps its precision."""
    made = quantized(graph("(float[N,4,6,6] x) => (float[N,4,6,6] y)", "c = Conv(x, w)\n [t] e = Tanh(x)\n y = Div(c, e)", w=weights(4, 4, 1, 1)))
    assert [v.name for v in node_named(made.integer, "t").inputs if v is not None] == ["x"]


def test_a_float_reader_behind_an_integer_node_reads_the_pair_so_that_the_node_fuses() -> None:
    made = quantized(graph("(float[N,4,6,6] x) => (float[N,4,6,6] y)", "c = Conv(x, w)\n [t] y = Tanh(c)", w=weights(4, 4, 1, 1)))
    source = node_named(made.integer, "t").inputs[0]
    assert source is not None and query.producer_of(source, "DequantizeLinear") is not None


def test_one_value_as_two_outputs_of_an_integer_node() -> None:
    ends = "(float[N,4,6,6] x) => (float[N,4,6,6] c, float[N,4,6,6] y)"
    made = quantized(graph(ends, "c = Conv(x, w)\n y = MaxPool<kernel_shape = [1,1]>(c)", w=weights(4, 4, 1, 1)))
    exact, got = outputs(made.model, made.feeds), outputs(made.integer, made.feeds)
    assert list(got) == ["c", "y"]
    assert np.abs(exact["c"] - got["c"]).max() < 0.1
