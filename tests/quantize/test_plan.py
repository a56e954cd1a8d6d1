"""What a plan decides, on graphs as ONNX text: who runs on integers, who has which grid, and from whom."""

from __future__ import annotations

import numpy as np
import pytest

from converter.errors import ConversionError, UsageError
from converter.graph import ledger
from converter.quantize.road import probes_of
from converter.quantize.solve import channel_axes
from converter.spec.plan import Derived, Own, QuantPlan, Shared
from converter.spec.quant import ACTIVATION_U8, BIAS_S32, WEIGHT_S8, Array
from converter.spec.recipe import Recipe, Rule
from converter.spec.report import Why
from tests.quantize.graphs import graph, initializer, outputs, plan_of, quantized, weights

X = "(float[N,4,8,8] x) => (float[N,c,h,w] y)"
FLAT = "(float[N,16] x) => (float[N,8] y)"
ARRAYS = {"w": weights(4, 4, 1, 1), "v": weights(4, 4, 1, 1, seed=3), "u": weights(4, 4, 1, 1, seed=4), "b": weights(4), "lo": np.float32(0),
          "hi": np.float32(6), "k": weights(1, 4, 1, 1), "d": weights(16, 8), "e": weights(8, 8), "f": weights(8), "zero": np.float32(-1)}


def plan(body: str, ends: str = X, recipe: Recipe | None = None, **more: Array) -> QuantPlan:
    return plan_of(graph(ends, body, **{**ARRAYS, **more}), recipe)[0]


def skipped(body: str, ends: str = X, recipe: Recipe | None = None, **more: Array) -> dict[str, Why]:
    return {s.path: s.why for s in plan_of(graph(ends, body, **{**ARRAYS, **more}), recipe)[1].skipped}


def rules(*them: Rule) -> Recipe:
    return Recipe(rules=(*Recipe().rules, *them))


def test_a_convolution_has_an_own_input_an_own_output_channel_weights_and_a_derived_bias() -> None:
    got = plan("[c] y = Conv(x, w, b)")
    assert got.entries == {"x": Own(ACTIVATION_U8, observer="mse"), "y": Own(ACTIVATION_U8, observer="mse"), "w": Own(WEIGHT_S8, 0),
                           "b": Derived(BIAS_S32, "x", "w")}
    layer = got.layers[0]
    assert (layer.name, layer.op_type, layer.source, layer.weight, layer.bias, layer.output, layer.channel) == ("c", "Conv", "x", "w", "b", "y", 0)
    assert (got.readers, got.made) == ({"c"}, {"y"})
    assert list(got.observed()) == ["x", "y"]


@pytest.mark.parametrize(("body", "axis"), [("[g] y = Gemm(x, d, f)", 1), ("[g] y = Gemm<transB = 1>(x, t, f)", 0), ("[g] y = MatMul(x, d)", 1)])
def test_dense_weights_have_their_scales_along_the_outputs(body: str, axis: int) -> None:
    got = plan(body, FLAT, t=weights(8, 16))
    assert got.entries[got.layers[0].weight] == Own(WEIGHT_S8, axis)


def test_relu_and_clip_are_absorbed_and_pin_the_grid() -> None:
    relu = plan("c = Conv(x, w, b)\n y = Relu(c)")
    assert relu.entries["y"] == Own(ACTIVATION_U8, None, "mse", unsigned=True) and "c" not in relu.entries
    clip = plan("c = Conv(x, w, b)\n y = Clip(c, lo, hi)")
    assert clip.entries["y"] == Own(ACTIVATION_U8, None, "mse", unsigned=True, ceiling=6.0) and "c" not in clip.entries
    assert (clip.layers[0].output, clip.made) == ("y", {"y"})


@pytest.mark.parametrize("body", ["c = Conv(x, w, b)\n y = Clip(c, zero, hi)",                          # does not start at 0
                                  "c = Conv(x, w, b)\n y = Clip(c, lo, lo)",                            # no grid has its top code at 0
                                  "c = Conv(x, w, b)\n r = Relu(c)\n y = Add(c, r)"])                   # the value in front is needed too
def test_an_activation_that_the_engine_does_not_fuse_is_not_absorbed(body: str) -> None:
    got = plan(body)
    assert got.entries["c"] == Own(ACTIVATION_U8, observer="mse")
    assert got.made == {"c"}


def test_an_activation_behind_an_output_of_the_graph_is_not_absorbed() -> None:
    got = plan("c = Conv(x, w, b)\n y = Relu(c)", "(float[N,4,8,8] x) => (float[N,4,8,8] y, float[N,4,8,8] c)")
    assert got.made == {"c"}


def test_residual_add() -> None:
    got = plan("p = Conv(x, w, b)\n q = Conv(p, v, b)\n s = Add(p, q)\n r = Relu(s)\n y = Conv(r, u, b)")
    assert set(got.entries) == {"x", "p", "q", "r", "y", "w", "v", "u", "b"}
    assert got.entries["r"] == Own(ACTIVATION_U8, None, "mse", unsigned=True)
    assert got.made == {"p", "q", "r", "y"}


def test_concat_and_squeeze_and_excite_have_grids_of_their_own() -> None:
    got = plan("p = Conv(x, w, b)\n g = GlobalAveragePool(p)\n e = Conv(g, v, b)\n s = Sigmoid(e)\n m = Mul(p, s)\n k2 = Concat<axis = 1>(m, p)\n"
               "y = Conv(k2, t, b)", t=weights(4, 8, 1, 1))
    assert all(isinstance(got.entries[n], Own) for n in ("p", "g", "e", "s", "m", "k2", "y"))
    assert got.entries["s"] == Own(ACTIVATION_U8, None, "mse", unsigned=True)


def test_what_moves_codes_shares_the_grid_through_any_chain() -> None:
    got = plan("c = Conv(x, w, b)\n m = MaxPool<kernel_shape = [2,2]>(c)\n t = Transpose<perm = [0,1,3,2]>(m)\n y = Conv(t, v, b)")
    assert (got.entries["m"], got.entries["t"]) == (Shared("c"), Shared("m"))
    assert (got.owner("t"), got.owner("c")) == ("c", "c")
    assert list(got.observed()) == ["x", "c", "y"]


def test_a_head_of_pool_flatten_gemm_writes_float() -> None:
    got = plan("c = Conv(x, w, b)\n r = Relu(c)\n g = GlobalAveragePool(r)\n a = Flatten(g)\n l = Gemm(a, t, b)\n y = Softmax(l)",
               "(float[N,4,8,8] x) => (float[N,4] y)", t=weights(4, 4))
    assert got.entries["a"] == Shared("g")
    assert "l" not in got.entries and "y" not in got.entries


@pytest.mark.parametrize("last", ["Sigmoid(g)", "LeakyRelu(g)", "Reshape(g, s)", "Relu(g)"])
def test_nothing_behind_a_last_dense_layer_is_rounded(last: str) -> None:
    got = plan(f"[g] g = Gemm(x, d, f)\n y = {last}", FLAT, s=np.array([-1, 8], np.int64))
    assert got.readers == {"g"} and set(got.entries) == {"x", "d", "f"}


def test_a_sigmoid_behind_a_convolution_or_read_by_integers_stays_on_integers() -> None:
    assert "y" in plan("c = Conv(x, w, b)\n y = Sigmoid(c)").entries
    assert {"g", "s"} <= set(plan("g = Gemm(x, d, f)\n s = Sigmoid(g)\n y = Gemm(s, e, f)", FLAT).entries)


def test_two_dense_layers_exchange_codes() -> None:
    got = plan("g = Gemm(x, d, f)\n r = Relu(g)\n y = Gemm(r, e, f)", FLAT)
    assert set(got.entries) == {"x", "r", "d", "e", "f"}
    assert [layer.output for layer in got.layers] == ["r", "y"]


def test_a_value_that_is_an_output_and_read_by_a_convolution() -> None:
    model = graph("(float[N,4,8,8] x) => (float[N,4,8,8] y, float[N,4,8,8] c)", "c = Conv(x, w, b)\n y = Conv(c, v, b)", **ARRAYS)
    made = quantized(model)
    exact, got = outputs(model, made.feeds), outputs(made.integer, made.feeds)
    assert list(got) == ["y", "c"]
    for name in exact:
        assert np.abs(exact[name] - got[name]).max() < 0.1
        assert len(np.unique(got[name])) <= 256


def test_a_value_read_by_float_and_by_integers() -> None:
    model = graph(X, "c = Conv(x, w, b)\n m = MaxPool<kernel_shape = [1,1]>(c)\n e = Exp(m)\n d2 = Conv(m, v, b)\n y = Div(d2, e)", **ARRAYS)
    made = quantized(model)
    assert made.plan.entries["m"] == Shared("c")
    assert "e" not in made.plan.entries
    exact, got = outputs(model, made.feeds)["y"], outputs(made.integer, made.feeds)["y"]
    assert np.abs(exact - got).max() < 0.03 * np.ptp(exact)


def test_several_inputs() -> None:
    got = plan("p = Conv(x, w, b)\n q = Conv(z, v, b)\n y = Add(p, q)", "(float[N,4,8,8] x, float[N,4,8,8] z) => (float[N,4,8,8] y)")
    assert {"x", "z", "p", "q", "y"} <= set(got.entries)


def test_a_shared_weight_is_one_entry_and_two_layers_and_its_codes_lie_in_the_file_once() -> None:
    model = graph(X, "c = Conv(x, w, b)\n y = Conv(c, w)", **ARRAYS)
    made = quantized(model, Recipe(bias_correction=False))
    assert [layer.weight for layer in made.plan.layers] == ["w", "w"]
    stored = [n for n in made.integer.graph.initializers if n.startswith("w/")]
    assert sorted(stored) == ["w/quantized", "w/scale", "w/zero_point"]
    assert np.abs(outputs(model, made.feeds)["y"] - outputs(made.integer, made.feeds)["y"]).max() < 0.2


def test_a_shared_bias_gets_codes_for_every_layer() -> None:
    model = graph(X, "c = Conv(x, w, b)\n y = Conv(c, v, b)", **ARRAYS)
    made = quantized(model, Recipe(bias_correction=False))
    stored = [initializer(made.integer, n) for n in made.integer.graph.initializers if n.startswith("b/scale")]
    assert len(stored) == 2 and not np.allclose(*stored)
    exact, got = outputs(model, made.feeds)["y"], outputs(made.integer, made.feeds)["y"]
    assert np.abs(exact - got).max() < 0.1


def test_a_weight_that_a_float_operator_reads_too_stays() -> None:
    model = graph(X, "c = Conv(x, w, b)\n s = Mul(w, w)\n r = ReduceSum<keepdims = 0>(s)\n y = Div(c, r)", **ARRAYS)
    made = quantized(model)
    np.testing.assert_array_equal(initializer(made.integer, "w"), ARRAYS["w"])
    assert np.abs(outputs(model, made.feeds)["y"] - outputs(made.integer, made.feeds)["y"]).max() < 0.1


def test_two_convolutions_of_one_tensor_read_one_grid_and_one_probe() -> None:
    got = plan("p = Conv(x, w, b)\n q = Conv(x, v, b)\n y = Add(p, q)")
    assert [(p.name, p.axis) for p in probes_of(got)] == [("x", 1), ("p", None), ("q", None), ("y", None)]


@pytest.mark.parametrize(("first", "second", "axis"), [("p = Conv(x, w, b)", "q = MatMul(x, m)", 1), ("q = MatMul(x, m)", "p = Conv(x, w, b)", -1)])
def test_a_tensor_that_a_convolution_and_a_matrix_product_read_has_the_channels_of_the_first(first: str, second: str, axis: int) -> None:
    """Keras never makes this; an ONNX file may. The second layer's bias is left alone, not corrected with the wrong means."""
    model = graph("(float[N,4,8] x) => (float[N,4,8] y)", f"{first}\n {second}\n y = Add(p, q)", w=weights(4, 4, 1), b=weights(4), m=weights(8, 8))
    got = quantized(model)
    assert channel_axes(got.plan) == {"x": axis}
    corrected = [layer.corrected.any() for layer in got.solution.layers.values()]
    assert corrected == [axis == 1, False]


REFUSED = {
    "weight is computed": ("[s] s = Softmax(w)\n [c] c = Conv(x, s)\n [d] y = Conv(c, w)", {"s": Why.NO_INTEGER_KERNEL, "c": Why.NOT_CONSTANT}),
    "constant operand": ("[a] c = Conv(x, w)\n [m] e = Mul(c, k)\n [d] y = Conv(e, w)", {"m": Why.NO_INTEGER_KERNEL}),
    "no kernel": ("c = Conv(x, w)\n [t] e = Tanh(c)\n [d] y = Conv(e, w)", {"t": Why.NO_INTEGER_KERNEL}),
    "in front of the first layer": ("[m] m = Sigmoid(x)\n y = Conv(m, w)", {"m": Why.NO_GAIN}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_carries_its_reason_and_place(name: str) -> None:
    body, wanted = REFUSED[name]
    assert skipped(body) == wanted


def test_a_constant_of_the_computation_is_no_weight_and_stays_float() -> None:
    """A Fourier matrix in 8 bits is noise; what comes out of Keras says which constants are variables."""
    model = graph("(float[N,16] x) => (float[N,16] y)", "[t] t = MatMul(x, f)\n [d] y = MatMul(t, w)", f=weights(16, 16), w=weights(16, 16))
    book = ledger.of(model)
    del book.variables["f"]
    book.constant("f", weights(16, 16))
    made, report = plan_of(model)
    assert [layer.name for layer in made.layers] == ["d"]
    assert [(s.path, s.why) for s in report.skipped] == [("t", Why.NOT_TRAINED)]


@pytest.mark.parametrize("body", ["[g] y = Gemm<alpha = 2.0>(x, d, f)", "[g] y = Gemm<beta = 0.5>(x, d, f)"])
def test_gemm_with_factors_has_no_kernel(body: str) -> None:
    text = f"z = Gemm(x, a, g2)\n {body.replace('(x', '(z')}"
    assert skipped(text, FLAT, a=weights(16, 16), g2=weights(16)) == {"g": Why.NO_INTEGER_KERNEL}


@pytest.mark.parametrize("body", ["y = Softmax(x)", "y = Exp(x)", "t = Transpose<perm = [0,1,3,2]>(x)\n y = Relu(t)"])
def test_a_model_without_anything_for_integers_is_refused(body: str) -> None:
    with pytest.raises(ConversionError, match="nothing of this model would run on integers on ort-cpu, which needs one of Conv, Gemm,") as caught:
        plan(body)
    assert caught.value.exit_code == 3


def test_the_refusal_of_a_whole_model_says_why_its_layers_do_not_run() -> None:
    with pytest.raises(ConversionError, match="refused: Conv c: the recipe says float"):
        plan("[c] y = Conv(x, w)", recipe=rules(Rule("Conv", weight="float")))


def test_nodes_must_have_names_of_their_own() -> None:
    model = graph(X, "c = Conv(x, w)\n y = Conv(c, v)", **ARRAYS)
    for node in model.graph:
        node.name = "same"
    with pytest.raises(ConversionError, match="unique, received 'same' for the Conv that makes y"):
        plan_of(model)


BODY = "[head__a] p = Conv(x, w, b)\n [head__b] r = Relu(p)\n [tail__c] q = Conv(r, v, b)\n [tail__d] y = Conv(q, u, b)"


@pytest.mark.parametrize(("rule", "left"), [
    (Rule("Conv", weight="float"), None), (Rule("tail/c", weight="float"), {"tail/c"}), (Rule("tail/*", activation="float"), {"tail/c", "tail/d"}),
    (Rule("*/[ad]", weight="float"), {"head/a", "tail/d"})])
def test_rules_reach_nodes_by_operator_name_and_glob(rule: Rule, left: set[str] | None) -> None:
    if left is None:
        with pytest.raises(ConversionError):
            plan(BODY, recipe=rules(rule))
        return
    assert {path for path, why in skipped(BODY, recipe=rules(rule)).items() if why is Why.BY_RECIPE} == left
    assert {layer.name for layer in plan(BODY, recipe=rules(rule)).layers} == {"head/a", "tail/c", "tail/d"} - left


def test_rules_reach_nodes_by_the_path_of_their_keras_layer() -> None:
    model = graph(X, BODY, **ARRAYS)
    next(n for n in model.graph if n.name == "tail/c").metadata_props["converter.layer"] = "net/block_3/conv"
    report = plan_of(model, rules(Rule("net/block_*", weight="float")))[1]
    assert ("net/block_3/conv", Why.BY_RECIPE) in [(s.path, s.why) for s in report.skipped]


def test_a_later_rule_wins() -> None:
    off, on = Rule("tail/*", weight="float"), Rule("tail/d", weight="int8")
    assert {layer.name for layer in plan(BODY, recipe=rules(off, on)).layers} == {"head/a", "tail/d"}
    assert {layer.name for layer in plan(BODY, recipe=rules(on, off)).layers} == {"head/a"}


def test_a_rule_that_says_nothing_of_a_field_leaves_it() -> None:
    got = plan(BODY, recipe=rules(Rule("tail/c", observer="minmax"), Rule("tail/c", activation="int8")))
    assert {n: e.observer for n, e in got.entries.items() if isinstance(e, Own) and e.observer} == {"x": "mse", "r": "mse", "q": "minmax", "y": "mse"}


@pytest.mark.parametrize("where", ["Relu", "head/b", "head/a"])
def test_the_observer_of_a_fused_pair_is_set_by_a_rule_on_either(where: str) -> None:
    entry = plan(BODY, recipe=rules(Rule(where, observer="percentile"))).entries["r"]
    assert isinstance(entry, Own) and entry.observer == "percentile"


def test_an_activation_that_the_recipe_wants_in_float_is_not_fused() -> None:
    assert plan(BODY, recipe=rules(Rule("Relu", activation="float"))).made == {"p", "q", "y"}


def test_a_rule_that_matches_nothing_is_a_typo() -> None:
    with pytest.raises(UsageError, match=r"rule 'hed/\*' matches no node; operators: Conv, Relu; layers: head/a, head/b, tail/c, tail/d"):
        plan(BODY, recipe=rules(Rule("hed/*", weight="float")))
