"""Every kind of Keras model goes down the same road: its ends keep their Keras names, its weights their paths, and nothing is computed wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from converter import api
from converter.errors import ConversionError
from converter.frontend.keras_source import open_model
from converter.frontend.trace import SCOPE
from converter.graph import io, ledger, query
from converter.verify.session import Session
from tests.frontend.building import IMAGE, branches, chain, export, layers, operators, stir


def ends(exported: Any) -> tuple[list[str], list[str]]:
    """Inputs and outputs with shapes, as people read them."""
    inputs, outputs = query.signature(exported.graph)
    return [i.describe() for i in inputs], [o.describe() for o in outputs]


def initializers(exported: Any) -> set[str]:
    return set(exported.graph.graph.initializers)


@keras.saving.register_keras_serializable("frontend_tests")
class Sub(keras.Model):
    """A subclassed model that takes and gives one tensor."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conv, self.head = layers.Conv2D(3, 3, name="conv"), layers.Dense(2, name="head")

    def call(self, x: Any) -> Any:
        return self.head(keras.ops.mean(self.conv(x), (1, 2)))


class Ends(keras.Model):
    """A subclassed model with nested ends."""

    def __init__(self, give: Any) -> None:
        super().__init__(name="ends")
        self.dense, self.give = layers.Dense(3), give

    def call(self, x: Any) -> Any:
        flat = list(x.values()) if isinstance(x, dict) else list(x) if isinstance(x, list | tuple) else [x]
        return self.give([self.dense(v) for v in flat])


def test_functional() -> None:
    exported = export(chain(IMAGE, layers.Conv2D(3, 3, name="c"), layers.GlobalAveragePooling2D(), layers.Dense(2, name="out")))
    assert ends(exported) == (["x float32 [?, 12, 10, 4]"], ["out float32 [?, 2]"])
    assert {"c/kernel", "c/bias", "out/kernel", "out/bias"} <= initializers(exported)
    assert {query.layer_path(n) for n in exported.graph.graph if n.op_type in ("Conv", "Gemm")} == {"c", "out"}
    assert exported.report.numbers["parity"]["samples"] == 7
    assert 0 < exported.report.numbers["parity"]["relative"] < 1e-5
    assert exported.report.warnings == []
    assert not any(SCOPE in name for name in [*initializers(exported), *(n.name for n in exported.graph.graph)])


def test_sequential_with_an_input() -> None:
    exported = export(stir(keras.Sequential([keras.Input((5,), name="x"), layers.Dense(2, name="d")], name="s")))
    assert ends(exported) == (["x float32 [?, 5]"], ["d float32 [?, 2]"])


def test_sequential_without_an_input_but_called() -> None:
    model = keras.Sequential([layers.Dense(4), layers.Dense(2, name="d")])
    model(np.zeros((1, 5), np.float32))
    assert ends(export(stir(model)))[1] == ["d float32 [1, 2]"]  # Keras fixes the batch to that of the call
    exported = export(model, input_spec=keras.KerasTensor((None, 5)))
    assert ends(exported) == (["input float32 [?, 5]"], ["d float32 [?, 2]"])
    assert Session(exported.graph).run({"input": np.ones((3, 5), np.float32)})["d"].shape == (3, 2)


def test_a_batch_that_the_model_fixes_stays_fixed() -> None:
    assert ends(export(keras.Sequential([keras.Input((5,), batch_size=2, name="x"), layers.Dense(2, name="d")]))) == (["x float32 [2, 5]"], ["d float32 [2, 2]"])


def test_sequential_never_called() -> None:
    with pytest.raises(ConversionError, match=r"input shape of 'never' is unknown.*input_spec"):
        export(keras.Sequential([layers.Dense(2)], name="never"))
    model = keras.Sequential([layers.Dense(2)])
    assert ends(export(model, input_spec=keras.InputSpec(shape=(None, 3), dtype="float32")))[0] == ["input float32 [?, 3]"]


def test_subclassed_called() -> None:
    model = Sub(name="sub")
    model(np.zeros((2, *IMAGE), np.float32))
    exported = export(stir(model))
    assert ends(exported) == (["input float32 [?, 12, 10, 4]"], ["output float32 [?, 2]"])
    assert {"sub/conv/kernel", "sub/head/kernel"} <= initializers(exported)
    assert [query.layer_path(n) for n in exported.graph.graph if n.op_type == "Conv"] == ["sub/conv"]


def test_subclassed_never_called() -> None:
    with pytest.raises(ConversionError, match=r"'sub' is unknown.*never called"):
        export(Sub(name="sub"))
    assert ends(export(Sub(), input_spec=keras.KerasTensor((None, *IMAGE))))[0] == ["input float32 [?, 12, 10, 4]"]
    assert ends(export(Sub(), input_spec=np.zeros((7, *IMAGE), np.float32)))[0] == ["input float32 [?, 12, 10, 4]"]  # an example batch


def test_subclassed_from_a_file(tmp_path: Path) -> None:
    model = Sub(name="sub")
    model(np.zeros((2, *IMAGE), np.float32))
    stir(model).save(tmp_path / "m.keras")
    report = api.export(tmp_path / "m.keras", tmp_path / "m.onnx")  # loaded and never called
    x = np.random.default_rng(0).normal(size=(4, *IMAGE)).astype(np.float32)
    np.testing.assert_allclose(Session(tmp_path / "m.onnx").run({"input": x})["output"], model(x), atol=1e-5)
    assert report.numbers["bytes"] == (tmp_path / "m.onnx").stat().st_size
    assert set(report.numbers["seconds"]) >= {"load", "trace", "lower", "clean", "parity", "write"}


def test_freshly_built_and_loaded_models_need_no_call(tmp_path: Path) -> None:
    model = chain(IMAGE, layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(2))
    model.save(tmp_path / "m.keras")
    for source in (model, tmp_path / "m.keras", str(tmp_path / "m.keras")):
        assert operators(export(source))["Conv"] == 1


@pytest.mark.filterwarnings("ignore:.*HDF5 file.*:UserWarning")
def test_every_file_kind_gives_the_same_graph(tmp_path: Path) -> None:
    model = chain(IMAGE, layers.Conv2D(3, 3), layers.BatchNormalization(), layers.ReLU(), layers.Flatten(), layers.Dense(2))
    sources = [model]
    for suffix in (".keras", ".h5", ".hdf5"):
        sources.append(tmp_path / f"m{suffix}")
        model.save(sources[-1])
    exported = [export(source) for source in sources]
    assert len({io.to_bytes(e.graph) for e in exported}) == 1


def test_nested_models_and_layers_of_the_same_name() -> None:
    def part(name: str, seed: int) -> Any:
        start = keras.Input((6, 6, 4))
        return stir(keras.Model(start, layers.Conv2D(4, 3, padding="same", name="conv")(start), name=name), seed)

    start = keras.Input((6, 6, 4), name="x")
    inner = keras.Model(start, part("a", 1)(part("b", 2)(start)), name="inner")
    model = chain((6, 6, 4), inner, layers.Conv2D(2, 1, name="conv"))
    exported = export(model)
    convolutions = [n for n in exported.graph.graph if n.op_type == "Conv"]
    assert [query.layer_path(n) for n in convolutions] == ["inner/b/conv", "inner/a/conv", "conv"]
    kernels = [query.name_of(n.inputs[1]) for n in convolutions]  # type: ignore[arg-type]
    assert kernels == ["inner/b/conv/kernel", "inner/a/conv/kernel", "conv/kernel"]
    book = ledger.of(exported.graph)
    assert [book.sources(k) for k in kernels] == [[k] for k in kernels]  # each knows its own variable, though Keras calls all three conv/kernel
    assert {v.path for v in model.variables} == {"conv/kernel", "conv/bias"}


def test_a_shared_layer_has_one_weight() -> None:
    start, dense = keras.Input((4,), name="x"), layers.Dense(4, name="d")
    exported = export(stir(keras.Model(start, layers.Add()([dense(start), dense(dense(start))]))))
    assert initializers(exported) == {"d/kernel", "d/bias"}
    assert operators(exported)["Gemm"] == 2  # the equal ones became one


def test_several_inputs_and_outputs() -> None:
    a, b = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    total = layers.Add(name="total")([a, b])
    exported = export(keras.Model([a, b], [total, layers.Subtract(name="rest")([a, b])]))
    assert ends(exported) == (["left float32 [?, 4]", "right float32 [?, 4]"], ["total float32 [?, 4]", "rest float32 [?, 4]"])


def test_dicts() -> None:
    a, b = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    model = keras.Model({"right": b, "left": a}, {"sum": layers.Add()([a, b]), "also": layers.Subtract()([a, b])})
    exported = export(model)
    assert sorted(ends(exported)[0]) == ["left float32 [?, 4]", "right float32 [?, 4]"]
    assert sorted(ends(exported)[1]) == ["also float32 [?, 4]", "sum float32 [?, 4]"]
    x = {n: np.random.default_rng(i).normal(size=(2, 4)).astype(np.float32) for i, n in enumerate(("left", "right"))}
    np.testing.assert_allclose(Session(exported.graph).run(x)["also"], x["left"] - x["right"], atol=1e-6)


@pytest.mark.parametrize(("give", "example", "inputs", "outputs"), [
    (tuple, [1, 1], ["input_0", "input_1"], ["output_0", "output_1"]),
    (lambda y: {"first": y[0], "more": {"second": y[1]}}, {"q": 1, "k": 1}, ["k", "q"], ["first", "more_second"]),
    (lambda y: [y[0], (y[1], y[0])], (1, 1), ["input_0", "input_1"], ["output_0", "output_1", "output_2"]),
])
def test_subclassed_with_nested_ends(give: Any, example: Any, inputs: list[str], outputs: list[str]) -> None:
    model = Ends(give)
    arrays = keras.tree.map_structure(lambda _: np.ones((2, 4), np.float32), example)
    model(arrays)
    exported = export(stir(model), input_spec=arrays)
    assert [i.name for i in query.signature(exported.graph)[0]] == inputs
    assert [o.name for o in query.signature(exported.graph)[1]] == outputs


def test_an_output_that_is_an_input_and_one_tensor_as_two_outputs() -> None:
    start = keras.Input((4,), name="x")
    value = layers.Dense(2, name="d")(start)
    exported = export(stir(keras.Model(start, [start, value, value])))
    x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    got = Session(exported.graph).run({"x": x})
    assert list(got) == ["x_1", "d", "d_1"]
    np.testing.assert_array_equal(got["x_1"], x)
    np.testing.assert_array_equal(got["d"], got["d_1"])


def test_an_input_that_nothing_reads_is_left_out() -> None:
    a, b = keras.Input((4,), name="used"), keras.Input((4,), name="idle")
    names = [i.name for i in query.signature(export(stir(keras.Model([a, b], layers.Dense(2)(a)))).graph)[0]]
    assert names in (["used"], ["used", "idle"])


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_ids(dtype: str) -> None:
    exported = export(chain((6,), layers.Embedding(11, 5, name="table"), layers.Flatten(), layers.Dense(2), dtype=dtype))
    assert ends(exported)[0] == [f"x {dtype} [?, 6]"]
    assert "table/embeddings" in initializers(exported)
    ids = np.arange(12).reshape(2, 6) % 11
    want = exported.runner.run({"x": ids.astype(dtype)})  # type: ignore[union-attr]
    for name, y in Session(exported.graph).run({"x": ids.astype(dtype)}).items():
        np.testing.assert_allclose(y, want[name], atol=1e-5)


def test_the_batch_stays_free_in_every_layer_that_reshapes() -> None:
    exported = export(branches((4, 6), {"r": layers.Reshape((6, -1)), "f": layers.Flatten(), "p": layers.Permute((2, 1)), "d": layers.Dense(3),
                                        "c": layers.Conv1D(3, 2), "v": [layers.Flatten(), layers.RepeatVector(3)]}))
    for batch in (1, 2, 5):
        assert {len(y) for y in Session(exported.graph).run({"x": np.ones((batch, 4, 6), np.float32)}).values()} == {batch}


def test_training_after_the_export_does_not_change_the_graph() -> None:
    model = chain((4,), layers.Dense(2, name="d"))
    exported = export(model)
    before = io.to_bytes(exported.graph)
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
    for variable in model.variables:
        variable.assign(variable + 1.0)
        variable.assign_add(np.ones(variable.shape))
    assert io.to_bytes(exported.graph) == before
    assert io.to_bytes(export(model).graph) != before


class Dice(layers.Layer):
    """Draws random numbers in inference too."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x: Any) -> Any:
        return x + keras.random.normal((4,), seed=self.seeds)


def test_a_model_that_draws_random_numbers_is_refused() -> None:
    with pytest.raises(ConversionError, match="draws random numbers"):
        export(chain((4,), Dice()))


class Hoarder(layers.Layer):
    """Reads a variable that Keras knows nothing of."""

    def build(self, shape: Any) -> None:
        import tensorflow as tf

        self.secret = tf.Variable(2.0)

    def call(self, x: Any) -> Any:
        return x * self.secret


def test_a_variable_that_keras_does_not_track_is_a_weight_too() -> None:
    assert operators(export(chain((4,), Hoarder()))) == {"Mul": 1}


class Keeper(layers.Layer):
    """Keeps a tensor, as Normalization does."""

    def build(self, shape: Any) -> None:
        self.kept = keras.ops.convert_to_tensor(np.arange(4, dtype=np.float32))

    def call(self, x: Any) -> Any:
        return x * self.kept


def test_a_tensor_that_a_layer_keeps_becomes_an_initializer() -> None:
    exported = export(chain((4,), Keeper(), layers.Dense(2, name="d")))
    assert [i.name for i in query.signature(exported.graph)[0]] == ["x"]
    assert "d/kernel" in initializers(exported)


def test_half_precision_is_judged_by_its_own_rounding() -> None:
    start = keras.Input((8,), name="x")
    model = stir(keras.Model(start, layers.Dense(4, dtype="mixed_float16")(layers.Dense(16, activation="relu", dtype="mixed_float16")(start))))
    assert export(model).report.numbers["parity"]["relative"] < 1e-2


def test_a_constant_model_is_exported_with_a_warning() -> None:
    start = keras.Input((4,), name="x")
    model = keras.Model(start, layers.Dense(2, kernel_initializer="zeros", bias_initializer="ones")(start))
    assert "proves little" in export(model).report.warnings[0]


def test_opsets() -> None:
    model = chain(IMAGE, layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(2))
    assert [query.opset(export(model, opset=n).graph) for n in (13, 18)] == [13, 18]


def test_a_live_model_is_opened_as_it_is() -> None:
    model = chain((4,), layers.Dense(2))
    assert open_model(model) is model
