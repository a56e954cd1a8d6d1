"""Numbers that were copied: float ones bit for bit, integer ones on their grids with biases that follow, and what cannot be held is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converter.errors import InputError, UsageError
from converter.graph import io, query
from converter.spec.report import Report
from converter.transfer import parameters
from converter.transfer.copy import Moved, copy, described
from converter.transfer.match import Pair, match
from tests.quantize.graphs import graph, initializer, quantized, weights
from tests.transfer.notations import CASES, CONV, DENSE, Notation, first_output, moved, note, scales

BITS = hnp.arrays(np.float32, (4, 3, 3, 2), elements=st.floats(width=32, allow_nan=False, allow_infinity=False))
CONVOLUTION = CASES["convolution"]


def numbers(model: ir.Model) -> dict[str, bytes]:
    return {name: np.asarray(query.constant(v)).tobytes() for name, v in model.graph.initializers.items()}


def put(model: ir.Model, **arrays: np.ndarray) -> ir.Model:
    for name, array in arrays.items():
        model.graph.initializers[name].const_value = ir.tensor(np.asarray(array, order="C"), name=name)
    return model


# --- float


@settings(max_examples=30)
@given(BITS, st.integers(0, 4))
def test_there_and_back_is_the_identity_bit_for_bit(kernel: np.ndarray, other: int) -> None:
    """Zeros of both signs and subnormal numbers too, whatever layout they were in on the way."""
    a, b = CONVOLUTION.notations[0].build(CONV, 1), CONVOLUTION.notations[other].build(CONV, 2)
    put(a, w=kernel)
    again, expected = a.clone(), numbers(a)
    moved(a, b)
    put(again, w=np.ones((4, 3, 3, 2), np.float32), b=np.zeros(4, np.float32))
    moved(b, again)
    assert numbers(again) == expected


@pytest.mark.parametrize("name", [name for name in CASES if "ways" in name])
def test_both_halves_of_a_recurrent_bias_are_kept_between_graphs_of_one_layout(name: str) -> None:
    case = CASES[name]
    a, b = (case.notations[0].build(case.ends, seed) for seed in (1, 2))
    moved(a, b)
    assert numbers(a) == numbers(b)


@settings(max_examples=30)
@given(st.floats(-2, 2), st.sampled_from([0, 1, 3]))
def test_a_factor_blends_the_float_values(factor: float, other: int) -> None:
    a, b = CONVOLUTION.notations[0].build(CONV, 1), CONVOLUTION.notations[other].build(CONV, 2)
    donor, own = ([p.read().astype(np.float64) for p in parameters.of(m)] for m in (a, b))
    moved(a, b, factor=factor)
    for x, y, p in zip(donor, own, parameters.of(b), strict=True):
        np.testing.assert_array_equal(p.read(), (factor * x + (1 - factor) * y).astype(np.float32))


def test_a_factor_of_nothing_changes_nothing_and_says_so() -> None:
    a, b = (CONVOLUTION.notations[0].build(CONV, seed) for seed in (1, 2))
    before = numbers(b)
    _, told = moved(a, b, factor=0.0)
    assert numbers(b) == before and told.unchanged == ["w", "b"] and not told.changed


def test_the_halves_are_blended_by_their_sum() -> None:
    case = CASES["GRU, 1 ways, reset 1"]
    a, b = (case.notations[0].build(case.ends, seed) for seed in (1, 2))
    wanted = 0.25 * parameters.of(a)[2].read().astype(np.float64) + 0.75 * parameters.of(b)[2].read()
    moved(a, b, factor=0.25)
    np.testing.assert_allclose(parameters.of(b)[2].read(), wanted, rtol=1e-6)


def test_a_zero_of_the_other_sign_is_a_change() -> None:
    a, b = (graph(DENSE, "y = MatMul(x, w)", w=sign * np.zeros((5, 4), np.float32)) for sign in (-1, 1))
    _, told = moved(a, b)
    assert told.changed == ["w"] and np.signbit(initializer(b, "w")).all()


def test_numbers_that_half_precision_cannot_hold_are_refused() -> None:
    a = graph(DENSE, "y = MatMul(x, w)", w=np.full((5, 4), 1e5, np.float32))
    b = graph(DENSE, "v = Cast<to=1>(w)\ny = MatMul(x, v)", w=np.ones((5, 4), np.float16))
    with pytest.raises(InputError, match=r"w holds numbers up to 1e\+05, which float16 of w cannot hold"):
        moved(a, b)
    moved(put(a, w=np.full((5, 4), 1 / 3, np.float32)), b)
    np.testing.assert_array_equal(initializer(b, "w"), np.full((5, 4), 1 / 3, np.float16))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["float", "fresh", "frozen", "own pair"])
def test_nan_and_infinity_are_refused_by_name(bad: float, kind: str) -> None:
    a = graph(DENSE, "y = MatMul(x, w)", w=np.full((5, 4), bad, np.float32))
    body = {"float": "y = MatMul(x, w)", "own pair": "q = QuantizeLinear(w, s, z)\nv = DequantizeLinear(q, s, z)\ny = MatMul(x, v)"}
    b = note(body.get(kind, "v = DequantizeLinear(w, s, z)\ny = MatMul(x, v)"), {"w": "int8"} if kind in ("fresh", "frozen") else {}, w=(5, 4),
             s=np.float32(0.01), z=np.int8(0)).build(DENSE)
    before = numbers(b)
    with pytest.raises(InputError, match="w of the donor holds NaN or infinite values; w would get them"):
        moved(a, b, grid="frozen" if kind == "frozen" else "fresh")
    assert numbers(b) == before


def test_wrong_use_is_refused() -> None:
    a = graph(DENSE, "y = MatMul(x, w)", w=weights(5, 4))
    with pytest.raises(UsageError, match="unknown grid 'fine'; known: fresh, frozen"):
        moved(a, a, grid="fine")
    with pytest.raises(UsageError, match="must be a finite number, received nan"):
        moved(a, a, factor=float("nan"))


# --- integers


def layer(op: str = "Conv", *, channel: bool = True, beyond: str = "") -> Notation:
    """A layer as it ships: u8 input, s8 weight, s32 bias on the product of their scales."""
    shape, axis = {"Conv": ((4, 3, 3, 2), 0), "Gemm": ((5, 4), 1)}[op]
    s = scales(4) if channel else np.float32(0.007)
    z = np.zeros(np.shape(s), np.int8)
    return note(f"q = QuantizeLinear(x, sx, zx)\nd = DequantizeLinear(q, sx, zx)\nv = DequantizeLinear<axis={axis}>(w, s, z)\n"
                f"c = DequantizeLinear<axis=0>(b, t)\ny = {op}(d, v, c){beyond}", {"w": "int8"}, w=shape, b=np.array([1000, -2000, 30, 4], np.int32),
                sx=np.float32(0.02), zx=np.uint8(128), s=s, z=z, t=(s * np.float32(0.02)).astype(np.float32))


ENDS = {"Conv": CONV, "Gemm": DENSE}
FLOAT = {"Conv": note("y = Conv(x, w, b)", w=(4, 3, 3, 2), b=(4,)), "Gemm": note("y = Gemm(x, w, b)", w=(5, 4), b=(4,))}
LAYERS = [(op, channel) for op in ENDS for channel in (True, False)]


def steps(model: ir.Model) -> np.ndarray:
    """Checks that the bias lies on the product of the scales of input and weight; returns it, one for every channel."""
    kernel, bias = parameters.of(model)
    assert kernel.grid is not None and bias.grid is not None
    product = np.asarray(initializer(model, "sx") * kernel.grid.params.scale, np.float32)
    np.testing.assert_array_equal(bias.grid.params.scale, product)
    return np.broadcast_to(product, (4,))


@pytest.mark.parametrize("grid", ["fresh", "frozen"])
@pytest.mark.parametrize(("op", "channel"), LAYERS)
def test_a_float_layer_goes_into_an_integer_one(op: str, channel: bool, grid: str) -> None:
    donor, recipient = FLOAT[op].build(ENDS[op], 1), layer(op, channel=channel).build(ENDS[op], 2)
    before = initializer(recipient, "s")
    _, told = moved(donor, recipient, grid=grid)
    io.check(recipient)
    step = steps(recipient)
    bias = parameters.of(recipient)[1]
    assert (np.abs(bias.read() - initializer(donor, "b")) <= 0.5 * step * (1 + 1e-5)).all()
    assert np.array_equal(initializer(recipient, "s"), before) == (grid == "frozen") and set(told.changed) == {"w", "b"} and not told.derived
    if grid == "fresh":
        x = {"x": np.random.default_rng(0).normal(0, 0.6, (2, 3, 6, 6) if op == "Conv" else (3, 5)).clip(-2.5, 2.5).astype(np.float32)}
        wanted = first_output(donor, x)
        np.testing.assert_allclose(first_output(recipient, x), wanted, atol=0.05 * np.abs(wanted).max())


@pytest.mark.parametrize(("op", "channel"), LAYERS)
def test_a_bias_that_gets_no_new_numbers_follows_the_scale_of_its_weight(op: str, channel: bool) -> None:
    donor, recipient = FLOAT[op].build(ENDS[op], 1), layer(op, channel=channel).build(ENDS[op], 2)
    kernel, bias = parameters.of(recipient)
    kept = bias.read()
    told = copy(recipient, [kernel, bias], [Pair(parameters.of(donor)[0], kernel, "map")])
    assert told.changed == ["w"] and told.derived == ["b"]
    assert (np.abs(parameters.of(recipient)[1].read() - kept) <= 0.5 * steps(recipient) * (1 + 1e-5)).all()
    report = Report("copy")
    described(told, report)
    assert "1 biases encoded again, because the scale of their weight changed" in report.done


def test_on_the_frozen_grid_a_bias_stays_and_what_does_not_fit_is_counted() -> None:
    donor, recipient = FLOAT["Conv"].build(CONV, 1), layer().build(CONV, 2)
    kernel, bias = parameters.of(recipient)
    assert kernel.grid is not None
    end = 127 * kernel.grid.params.scale
    new = np.zeros((4, 3, 3, 2), np.float32)
    new[0, 0, 0] = [end[0] * 1.2, -end[0] * 1.2]
    new[1, 1, 1, 0] = -end[1] * 128 / 127  # the last code that there is
    new[2, 0, 0, 0] = end[2] + 0.4 * kernel.grid.params.scale[2]  # rounds to the last code
    new[3] = 5
    told = copy(recipient, [kernel, bias], [Pair(parameters.of(put(donor, w=new))[0], kernel, "map")], grid="frozen")
    assert told.clipped == {"w": 2 + 18} and not told.derived and told.changed == ["w"]
    codes = initializer(recipient, "w")
    assert codes[0, 0, 0].tolist() == [127, -128] and codes[1, 1, 1, 0] == -128 and codes[2, 0, 0, 0] == 127 and (codes[3] == 127).all()
    report = Report("copy")
    described(told, report)
    assert report.warnings == ["20 numbers did not fit the frozen grid and were clipped, in w"]


@pytest.mark.parametrize("channel", [True, False])
def test_codes_of_an_integer_donor_are_taken_as_they_are(channel: bool) -> None:
    a, b = (layer(channel=channel).build(CONV, seed) for seed in (1, 2))
    put(a, s=scales(4, 0.011) if channel else np.array(0.011, np.float32), b=np.array([9, 8, 7, 6], np.int32))
    moved(a, b)
    assert initializer(a, "w").tobytes() == initializer(b, "w").tobytes() and initializer(a, "s").tobytes() == initializer(b, "s").tobytes()
    steps(b)


def test_codes_of_a_donor_do_not_come_with_their_scale_onto_a_frozen_grid() -> None:
    a, b = (layer().build(CONV, seed) for seed in (1, 2))
    put(a, s=scales(4, 0.003))
    kept, wanted = initializer(b, "s"), parameters.of(a)[0].read()
    moved(a, b, grid="frozen")
    np.testing.assert_array_equal(initializer(b, "s"), kept)
    assert (np.abs(parameters.of(b)[0].read() - wanted) <= 0.5 * kept.reshape(4, 1, 1, 1) * (1 + 1e-5)).all()


def test_one_channel_is_a_channel() -> None:
    one = note("v = DequantizeLinear<axis=1>(w, s)\ny = MatMul(x, v)", {"w": "int8"}, w=(5, 1), s=scales(1)).build(DENSE)
    (kernel,) = parameters.of(one)
    assert kernel.grid is not None and kernel.grid.params.axis == 1 and kernel.grid.params.scale.shape == (1,)


def test_one_scale_written_as_a_vector_is_one_scale() -> None:
    recipient = layer(channel=False).build(CONV, 2)
    value = recipient.graph.initializers["s"]
    value.const_value, value.shape = ir.tensor(np.array([0.007], np.float32), name="s"), ir.Shape([1])
    recipient.graph.initializers["z"].const_value, recipient.graph.initializers["z"].shape = ir.tensor(np.zeros(1, np.int8), name="z"), ir.Shape([1])
    moved(FLOAT["Conv"].build(CONV, 1), recipient)
    assert initializer(recipient, "s").shape == (1,)
    io.check(recipient)
    first_output(recipient, {"x": np.ones((1, 3, 6, 6), np.float32)})


def test_codes_of_a_donor_on_another_kind_of_grid_are_not() -> None:
    a, b = layer(channel=False).build(CONV, 1), layer().build(CONV, 2)
    wanted = parameters.of(a)[0].read()
    moved(a, b)
    kernel = parameters.of(b)[0]
    assert kernel.grid is not None and kernel.grid.params.axis == 0 and (initializer(a, "w") != initializer(b, "w")).any()
    assert np.abs(kernel.read() - wanted).mean() < 0.02


def test_the_same_numbers_again_change_nothing() -> None:
    b = layer().build(CONV, 2)
    before = io.to_bytes(b)
    _, told = moved(b.clone(), b)
    assert io.to_bytes(b) == before and told.unchanged == ["w", "b"] and not told.derived


def test_a_bias_beyond_32_bits_is_refused_where_the_weight_cannot_make_room() -> None:
    donor = put(FLOAT["Conv"].build(CONV, 1), b=np.array([0, 1e6, 0, 0], np.float32))
    with pytest.raises(InputError, match=r"the bias b would need the code .*, which does not fit 32 bits: it is up to 1e\+06 on a step of "):
        moved(donor, layer().build(CONV, 2), grid="frozen")
    with pytest.raises(InputError, match="does not fit 32 bits"):
        moved(donor, layer(channel=False).build(CONV, 2))
    recipient = layer().build(CONV, 2)
    moved(donor, recipient)
    assert (np.abs(parameters.of(recipient)[1].read() - initializer(donor, "b")) <= 0.5 * steps(recipient) * (1 + 1e-5)).all()


def test_a_bias_whose_grid_is_not_known_is_refused() -> None:
    alone = note("c = DequantizeLinear<axis=0>(b, t)\ny = Conv(x, w, c)", w=(4, 3, 3, 2), b=np.zeros(4, np.int32), t=scales(4)).build(CONV)
    with pytest.raises(InputError, match="b is a bias of 32 bits, and Conv_1 does not read both input and weight through DequantizeLinear"):
        moved(FLOAT["Conv"].build(CONV, 1), alone)


TWO = """q = QuantizeLinear(x, sx, zx)
d = DequantizeLinear(q, sx, zx)
v1 = DequantizeLinear(w1, s)
c1 = DequantizeLinear(b1, t)
h = Gemm(d, v1, c1)
r = QuantizeLinear(h, s, zx)
e = DequantizeLinear(r, s, zx)
v2 = DequantizeLinear(w2, s)
y = MatMul(e, v2)"""


def test_a_scale_that_others_read_too_is_taken_apart() -> None:
    """Two weights and an activation share one scale; the copied weight gets its own, and the rest computes what it did."""
    held = {"w1": np.full((5, 4), 3, np.int8), "w2": np.full((4, 2), 5, np.int8), "b1": np.zeros(4, np.int32), "sx": np.float32(0.02),
            "zx": np.uint8(128), "s": np.float32(0.01), "t": np.float32(0.0002)}
    recipient = note(TWO, w1=held["w1"], w2=held["w2"], b1=held["b1"], sx=held["sx"], zx=held["zx"], s=held["s"], t=held["t"]).build(DENSE)
    every = parameters.of(recipient)
    donor = graph(DENSE, "y = MatMul(x, w)", w=weights(5, 4))
    copy(recipient, every, [Pair(parameters.of(donor)[0], every[0], "map")])
    io.check(recipient)
    first, bias, second = parameters.of(recipient)
    assert first.grid is not None and second.grid is not None and bias.grid is not None
    assert first.grid.scale is not second.grid.scale and float(second.grid.params.scale) == np.float32(0.01) == initializer(recipient, "s")
    assert np.abs(first.read() - initializer(donor, "w")).max() <= 0.5 * float(first.grid.params.scale) * 1.0001
    np.testing.assert_allclose(bias.grid.params.scale, 0.02 * first.grid.params.scale, rtol=1e-6)
    np.testing.assert_array_equal(second.read(), np.full((4, 2), 5 * np.float32(0.01)))
    first_output(recipient, {"x": np.ones((1, 5), np.float32)})


SHARED = """q = QuantizeLinear(x, sx, zx)
d = DequantizeLinear(q, sx, zx)
v = DequantizeLinear<axis=1>(w, s)
c1 = DequantizeLinear<axis=0>(b1, t1)
h = Gemm(d, v, c1)
r = QuantizeLinear(h, sh, zx)
e = DequantizeLinear(r, sh, zx)
c2 = DequantizeLinear<axis=0>(b2, t2)
y = Gemm(e, v, c2)"""


def test_every_layer_that_shares_a_weight_gets_its_bias_on_its_own_grid() -> None:
    recipient = note(SHARED, {"w": "int8"}, w=(5, 5), s=scales(5), sx=np.float32(0.02), sh=np.float32(0.3), zx=np.uint8(128),
                     b1=np.arange(5, dtype=np.int32) * 100, b2=np.arange(5, dtype=np.int32) * -30, t1=scales(5) * np.float32(0.02),
                     t2=scales(5) * np.float32(0.3)).build(DENSE)
    every = parameters.of(recipient)
    kept = {p.name: p.read() for p in every}
    told = copy(recipient, every, [Pair(parameters.of(graph(DENSE, "y = MatMul(x, w)", w=weights(5, 5)))[0], every[0], "map")])
    assert told.derived == ["b1", "b2"]
    kernel, *biases = parameters.of(recipient)
    assert kernel.grid is not None
    for bias, scale in zip(biases, (0.02, 0.3), strict=True):
        assert bias.grid is not None
        np.testing.assert_allclose(bias.grid.params.scale, np.float32(scale) * kernel.grid.params.scale, rtol=1e-6)
        np.testing.assert_allclose(bias.read(), kept[bias.name], atol=0.5 * float(bias.grid.params.scale.max()))


@pytest.mark.parametrize("body", ["a = Gemm(x, w, b)\nc = Gemm(z, w, b)", "m = MatMul(x, w)\na = Add(m, b)\nn = MatMul(z, w)\nc = Add(n, b)"])
def test_a_layer_that_is_used_twice_gives_its_bias_to_both(body: str) -> None:
    """In an integer graph the two have biases on grids of their own, for which the donor has one."""
    def siamese(seed: int, body: str) -> ir.Model:
        return graph("(float[N,6] x, float[N,6] z) => (float[N,3] y)", f"{body}\nra = Relu(a)\nrc = Relu(c)\nd = Sub(ra, rc)\ny = Gemm(d, v, k)",
                     w=weights(6, 64, seed=seed), b=weights(64, seed=seed + 1), v=weights(64, 3, seed=seed + 2), k=weights(3, seed=seed + 3))

    feeds = {name: np.random.default_rng(spread).normal(0, spread, (16, 6)).astype(np.float32) for name, spread in (("x", 1), ("z", 3))}
    made = quantized(siamese(1, "a = Gemm(x, w, b)\nc = Gemm(z, w, b)"), feeds=feeds).integer
    donor, recipient = siamese(1, body), made.clone()
    moved(siamese(9, body), recipient)
    wanted = first_output(donor, feeds)
    assert db(wanted, first_output(recipient, feeds)) < 5
    found, _ = moved(donor, recipient)
    assert found.is_whole and [p.dest.name for p in found.pairs if p.source.name == "b"] == ["b", "b/quantized_1"]
    assert db(wanted, first_output(recipient, feeds)) > 30


# --- graphs that others quantized


class Reader:
    """Calibration data as onnxruntime's quantizer reads them."""

    def __init__(self, feeds: Sequence[dict[str, np.ndarray]]) -> None:
        self.left = list(feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.left.pop(0) if self.left else None


TORCH = {"backbone.0.weight": (8, 3, 3, 3), "backbone.0.bias": (8,), "backbone.2.weight": (8, 8, 3, 3), "backbone.2.bias": (8,),
         "head.weight": (5, 8), "head.bias": (5,)}
KERAS = {"conv_w": (3, 3, 3, 8), "conv_b": (8,), "conv_1_w": (3, 3, 8, 8), "conv_1_b": (8,), "dense_w": (8, 5), "dense_b": (5,)}
IMAGES = "(float[N,3,8,8] x) => (float y)"


def torch_like(seed: int) -> ir.Model:
    """Names and layouts of PyTorch's exporter: dotted names, a dense layer as Gemm with transB."""
    names = dict(zip(TORCH, "abcdef", strict=True))
    model = graph(IMAGES, "h = Conv(x, a, b)\nr = Relu(h)\nk = Conv<strides=[2,2]>(r, c, d)\ns = Relu(k)\ng = GlobalAveragePool(s)\n"
                  "f = Flatten(g)\ny = Gemm<transB=1>(f, e, ff)".replace("ff", "g0"),
                  **{("g0" if v == "f" else v): weights(*TORCH[n], seed=seed + i, spread=0.3) for i, (n, v) in enumerate(names.items())})
    for old, new in zip(("a", "b", "c", "d", "e", "g0"), TORCH, strict=True):
        value = model.graph.initializers.pop(old)
        value.name = new
        model.graph.register_initializer(value)
    return model


def keras_like(seed: int) -> ir.Model:
    """The same network with kernels ``(height, width, in, out)``, biases added behind, and other names."""
    return graph(IMAGES, "u = Transpose<perm=[3,2,0,1]>(conv_w)\nh = Conv(x, u)\ni = Add(h, conv_b4)\nr = Relu(i)\n"
                 "v = Transpose<perm=[3,2,0,1]>(conv_1_w)\n"
                 "k = Conv<strides=[2,2]>(r, v)\nl = Add(k, conv_1_b4)\ns = Relu(l)\ng = GlobalAveragePool(s)\nf = Flatten(g)\n"
                 "m = MatMul(f, dense_w)\ny = Add(m, dense_b)",
                 conv_w=weights(3, 3, 3, 8, seed=seed, spread=0.3), conv_b4=weights(8, 1, 1, seed=seed + 1),
                 conv_1_w=weights(3, 3, 8, 8, seed=seed + 2, spread=0.3), conv_1_b4=weights(8, 1, 1, seed=seed + 3),
                 dense_w=weights(8, 5, seed=seed + 4), dense_b=weights(5, seed=seed + 5))


MAP = {"conv_w": "backbone.0.weight", "conv_b4": "backbone.0.bias", "conv_1_w": "backbone.2.weight", "conv_1_b4": "backbone.2.bias",
       "dense_w": "head.weight", "dense_b": "head.bias"}
FEEDS = [{"x": np.random.default_rng(k).normal(0, 1, (4, 3, 8, 8)).astype(np.float32)} for k in range(4)]


@pytest.fixture(scope="module", params=["per channel", "per tensor", "weights stay float", "asymmetric"])
def foreign(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ir.Model:
    """A graph of PyTorch's names with the weights of ``keras_like(70)``, quantized by onnxruntime's own quantizer."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    folder = tmp_path_factory.mktemp("foreign")
    plain = torch_like(40)
    moved(keras_like(70), plain)
    io.save(plain, folder / "float.onnx")
    options = {"ActivationSymmetric": False, "WeightSymmetric": request.param != "asymmetric",
               "AddQDQPairToWeight": request.param == "weights stay float"}
    quantize_static(str(folder / "float.onnx"), str(folder / "int8.onnx"), Reader(FEEDS), quant_format=QuantFormat.QDQ,
                    per_channel=request.param in ("per channel", "weights stay float"), extra_options=options, activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QUInt8 if request.param == "asymmetric" else QuantType.QInt8)
    model = io.load(folder / "int8.onnx")
    io.infer_shapes(model)
    return model


def db(wanted: np.ndarray, got: np.ndarray) -> float:
    return float(10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum()))


@pytest.mark.parametrize("by", ["structure", "map"])
def test_into_a_graph_of_onnxruntimes_quantizer(foreign: ir.Model, by: str) -> None:
    donor, recipient = keras_like(70), foreign.clone()
    found = match(parameters.of(donor), parameters.of(recipient), by=by, mapping=MAP if by == "map" else None)
    assert found.is_whole and {p.source.name: p.dest.name for p in found.pairs} == {
        **{k: v for k, v in MAP.items() if "*" not in k}, "dense_w": "head.weight", "dense_b": "head.bias"} if by == "structure" else True
    wanted = first_output(donor, FEEDS[0])
    best = db(wanted, first_output(recipient, FEEDS[0]))
    moved(torch_like(40), recipient)
    assert db(wanted, first_output(recipient, FEEDS[0])) < 5
    told = copy(recipient, parameters.of(recipient), found.pairs)
    assert isinstance(told, Moved) and len(told.changed) == 6
    io.check(recipient)
    assert db(wanted, first_output(recipient, FEEDS[0])) > max(best - 6, 25), "nearly as close as what that made of these weights"
