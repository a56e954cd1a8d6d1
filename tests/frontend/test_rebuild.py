"""Keras models built again: fresh weights by their own initializers, nothing leaks, what is shared stays shared, what is in the way is named."""

from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from converter.errors import ConversionError, UsageError
from converter.frontend.rebuild import _config, rebuild
from converter.spec.sizes import Size, parse
from tests.frontend.building import layers, stir


def image_model(classes: int = 10) -> Any:
    """Adapted preprocessing, a nested backbone, a shared layer, BatchNormalization, a flattening and a head."""
    inner = keras.Input((8, 8, 3), name="inner")
    backbone = keras.Model(inner, layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same")(inner))), name="backbone")
    start = keras.Input((8, 8, 3), name="image")
    norm = layers.Normalization(name="norm")
    norm.adapt(np.random.default_rng(0).normal(3, 2, (16, 8, 8, 3)).astype(np.float32))
    shared = layers.Dense(6, name="shared")
    x = shared(shared(backbone(norm(start))))
    return stir_all_but(keras.Model(start, layers.Activation("softmax")(layers.Dense(classes, name="head")(layers.Flatten()(x)))), norm)


def stir_all_but(model: Any, norm: Any) -> Any:
    kept = [np.asarray(v) for v in norm.variables]
    stir(model)
    for variable, numbers in zip(norm.variables, kept, strict=True):
        variable.assign(numbers)
    norm.finalize_state()
    return model


def weights(model: Any) -> dict[str, np.ndarray]:
    return {v.path: np.asarray(v) for v in model.variables}


def test_weights_are_fresh_and_follow_from_the_seed() -> None:
    model = image_model()
    before = weights(model)
    one, report = rebuild(model, seed=3)
    again, other = weights(rebuild(model, seed=3)[0]), weights(rebuild(model, seed=4)[0])
    assert all(np.array_equal(weights(model)[path], numbers) for path, numbers in before.items())
    for path, numbers in weights(one).items():
        assert np.array_equal(numbers, again[path]) and numbers.shape == before[path].shape
        if path.endswith("kernel"):
            assert not np.array_equal(numbers, other[path]) and not np.array_equal(numbers, before[path])
    assert all(not numbers.any() for path, numbers in weights(one).items() if path.split("/")[-1] in ("bias", "beta", "moving_mean"))
    assert all((numbers == 1).all() for path, numbers in weights(one).items() if path.split("/")[-1] in ("gamma", "moving_variance"))
    limit = np.sqrt(6 / (384 + 10))
    assert 0.9 * limit < np.abs(weights(one)["head/kernel"]).max() <= limit
    assert [row["name"] for row in report.numbers["tensors"]] == [path for path in weights(one) if not path.startswith("norm/")]


def test_the_random_numbers_of_the_caller_go_on_as_if_nothing_had_been_drawn() -> None:
    model = image_model()

    def drawn() -> list[float]:
        return [random.random(), float(np.random.random()), float(tf.random.normal(())),  # noqa: NPY002
                float(keras.random.normal(())), float(keras.initializers.RandomNormal()((1,))[0])]

    keras.utils.set_random_seed(11)
    expected = [drawn(), drawn()]
    keras.utils.set_random_seed(11)
    first = drawn()
    rebuild(model, seed=3)
    assert [first, drawn()] == expected


def test_unseeded_numpy_and_tensorflow_initializers_follow_the_seed_too() -> None:
    @keras.saving.register_keras_serializable("rebuild_test")
    class Drawn(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.w = self.add_weight(shape=(3,), initializer=lambda shape, dtype=None: np.random.normal(size=shape))  # noqa: NPY002
            self.v = self.add_weight(shape=(3,), initializer=lambda shape, dtype=None: tf.random.normal(shape))
            self.u = self.add_weight(shape=(3,), initializer=lambda shape, dtype=None: keras.random.normal(shape))

        def call(self, x: Any) -> Any:
            return x + self.w + self.v + self.u

    model = keras.Sequential([keras.Input((3,)), Drawn()])
    one, same, other = (rebuild(model, seed=s)[0].get_weights() for s in (1, 1, 2))
    assert all(np.array_equal(a, b) and not np.array_equal(a, c) for a, b, c in zip(one, same, other, strict=True))


def test_what_preprocessing_was_adapted_to_is_kept() -> None:
    model = image_model()
    made, report = rebuild(model)
    assert report.numbers["kept"] == ["norm"]
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(made.get_layer("norm")(x), model.get_layer("norm")(x))
    assert abs(float(np.mean(made.get_layer("norm")(x + 3)))) < 0.2  # adapted, not the identity


def test_a_vocabulary_is_kept() -> None:
    lookup = layers.StringLookup(name="words")
    lookup.adapt(["b", "a", "b"])
    made, _ = rebuild(keras.Sequential([keras.Input((1,), dtype="string"), lookup, layers.Embedding(3, 4), layers.Flatten(), layers.Dense(2)]))
    assert made.get_layer("words").get_vocabulary() == ["[UNK]", "b", "a"]


def test_shared_layers_stay_shared_also_across_submodels() -> None:
    table = layers.Embedding(20, 4, name="table")
    a, b = keras.Input((5,), dtype="int32", name="a"), keras.Input((5,), dtype="int32", name="b")
    left, right = keras.Sequential([keras.Input((5,), dtype="int32"), table]), keras.Sequential([keras.Input((5,), dtype="int32"), table])
    made, _ = rebuild(keras.Model([a, b], layers.Dot(2)([left(a), right(b)])))
    x = np.arange(5)[None]
    assert len(made.variables) == 1
    product = np.asarray(made([x, x]))[0]
    np.testing.assert_allclose(product, product.T, rtol=1e-6)


def test_two_layers_that_one_initializer_was_given_to_differ() -> None:
    given = keras.initializers.HeNormal()
    model = keras.Sequential([keras.Input((4,)), *(layers.Dense(4, kernel_initializer=given, name=name) for name in "ab")])
    made, _ = rebuild(model)
    assert not np.array_equal(made.layers[0].kernel, made.layers[1].kernel)


def test_an_initializer_with_a_seed_of_its_own_or_a_constant_keeps_its_numbers_and_that_is_said() -> None:
    table = np.arange(8, dtype=np.float32).reshape(4, 2)
    model = keras.Sequential([keras.Input((2,), dtype="int32"), layers.Embedding(4, 2, embeddings_initializer=keras.initializers.Constant(table), name="t"),
                              layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(seed=5), name="d"), layers.Dense(2, name="e")])
    one, report = rebuild(model, seed=1)
    assert report.numbers["unchanged"] == ["t/embeddings", "d/kernel"] and "2 variables are what they were" in report.warnings[0]
    np.testing.assert_array_equal(weights(one)["t/embeddings"], table)


def test_layers_of_a_class_that_is_not_registered_come_from_the_live_model() -> None:
    class Scale(keras.layers.Layer):
        def __init__(self, factor: float = 2.0, **more: Any) -> None:
            super().__init__(**more)
            self.factor = factor

        def build(self, shape: Any) -> None:
            self.w = self.add_weight(shape=(int(shape[-1]),), initializer="random_normal")

        def call(self, x: Any) -> Any:
            return x * self.w * self.factor

    made, _ = rebuild(keras.Sequential([keras.Input((3,)), Scale(5.0)]))
    assert made.layers[0].factor == 5.0 and type(made.layers[0]) is Scale


def test_a_subclassed_model_that_says_how_it_is_configured() -> None:
    class Net(keras.Model):
        def __init__(self, units: int, **more: Any) -> None:
            super().__init__(**more)
            self.units, self.dense, self.last = units, layers.Dense(units), layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.last(self.dense(x))

        def get_config(self) -> dict[str, Any]:
            return {"units": self.units, "name": self.name}

    model = Net(7)
    model(np.ones((2, 4), np.float32))
    made, _ = rebuild(model, seed=1)
    assert [v.shape for v in made.variables] == [v.shape for v in model.variables] and not np.array_equal(made.variables[0], model.variables[0])
    with pytest.raises(ConversionError, match=r"Net 'net.*' computes in code of its own, which cannot be changed here"):
        rebuild(model, classes=3)
    with pytest.raises(ConversionError, match="has no input in its configuration"):
        rebuild(model, size=Size((3,)))


def test_models_that_cannot_be_built_again_are_refused_by_name() -> None:
    class Opaque(keras.Model):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def call(self, x: Any) -> Any:
            return self.inner(x)

    class Forgetful(keras.Model):
        def __init__(self, depth: int = 1, **more: Any) -> None:
            super().__init__(**more)
            self.stack = [layers.Dense(2, name=f"d{i}") for i in range(depth)]

        def call(self, x: Any) -> Any:
            for layer in self.stack:
                x = layer(x)
            return x

        def get_config(self) -> dict[str, Any]:
            return {"name": self.name}

    for model, says in ((Opaque(layers.Dense(2)), r"'opaque.*' \(Opaque\) cannot be"),
                        (Forgetful(3, name="deep"), r"'deep' \(Forgetful\).*2 variables instead of 6.*d1 \(2 variables, built anew 0\)")):
        model(np.ones((2, 2), np.float32))
        with pytest.raises(ConversionError, match=says):
            rebuild(model)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_a_quantized_model_is_refused() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="small")])
    model.quantize("int8")
    with pytest.raises(ConversionError, match=r"layer .*small is quantized \(int8\)"):
        rebuild(model)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_is_none(seed: int) -> None:
    with pytest.raises(UsageError, match=f"a seed is 0 to 4294967295; received {seed}"):
        rebuild(image_model(), seed=seed)


# --- classes


HEADS = [
    lambda x: layers.Softmax()(layers.Dense(5, name="head")(x)),
    lambda x: keras.ops.softmax(layers.Dense(5, name="head")(x)),
    lambda x: layers.Dropout(0.1)(layers.Dense(5, activation="sigmoid", name="head")(x)),
    lambda x: layers.Activation("softmax")(layers.Reshape((5,))(layers.Conv1D(5, 1, name="head")(layers.Reshape((1, 8))(x)))),
    lambda x: layers.Flatten()(layers.Conv1D(5, 1, name="head")(layers.Reshape((1, 8))(x))),
    lambda x: layers.GlobalAveragePooling1D()(layers.TimeDistributed(layers.Dense(5), name="head")(layers.Reshape((2, 4))(x))),
    keras.Sequential([keras.Input((8,)), layers.Dense(5, name="head"), layers.ReLU()], name="top"),
    lambda x: layers.Softmax()(keras.Model(i := keras.Input((8,)), layers.BatchNormalization()(layers.Dense(5, name="head")(i)), name="top")(x)),
]


@pytest.mark.parametrize("head", HEADS)
def test_other_classes(head: Any) -> None:
    start = keras.Input((8,), name="x")
    made, report = rebuild(keras.Model(start, head(layers.Dense(8)(start))), classes=3)
    assert tuple(made.outputs[0].shape) == (None, 3) and np.asarray(made(np.ones((2, 8), np.float32))).shape == (2, 3)
    assert report.numbers["classes"]["before"] == 5 and report.numbers["classes"]["layer"].split("/")[-1] == "head"


@pytest.mark.parametrize(("head", "says"), [
    (lambda x: layers.Concatenate(name="both")([layers.Dense(2)(x), layers.Dense(3)(x)]), "layer both joins 2 tensors|layer both .Concatenate"),
    (lambda x: layers.LSTM(5, name="memory")(layers.Reshape((2, 4))(x)), r"layer memory \(LSTM\), between the output and the last Dense or Conv"),
    (lambda x: layers.Reshape((2, 2), name="square")(layers.Dense(4)(x)), r"layer square \(Reshape\) makes \[2, 2\] of 4 classes"),
    (lambda x: layers.Flatten(name="flat")(layers.Conv1D(5, 1)(layers.Reshape((2, 4))(x))), r"layer flat \(Flatten\)"),
    (layers.ReLU(), "no Dense or Conv layer makes the first output")])
def test_what_fixes_the_classes_is_named(head: Any, says: str) -> None:
    start = keras.Input((8,), name="x")
    with pytest.raises(ConversionError, match=says):
        rebuild(keras.Model(start, head(start)), classes=3)
    with pytest.raises(UsageError, match="at least one class; received 0"):
        rebuild(keras.Model(start, layers.Dense(2)(start)), classes=0)


# --- sizes


def test_another_size_reaches_the_backbone_and_the_dense_layer() -> None:
    made, report = rebuild(image_model(), seed=1, size=parse("12x6"), classes=4)
    assert tuple(made.input.shape) == (None, 12, 6, 3) and tuple(made.get_layer("backbone").input.shape) == (None, 12, 6, 3)
    assert weights(made)["head/kernel"].shape == (12 * 6 * 6, 4) and report.numbers["kept"] == ["norm"]
    assert np.asarray(made(np.ones((2, 12, 6, 3), np.float32))).shape == (2, 4)


def test_a_free_size() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(2)])
    made, _ = rebuild(model, size=Size((None,)))
    assert tuple(made.inputs[0].shape) == (None, None, None, 3) and np.asarray(made(np.ones((1, 9, 7, 3), np.float32))).shape == (1, 2)


def test_a_sequential_model_without_an_input_layer_and_a_sequence() -> None:
    model = keras.Sequential([layers.Conv1D(4, 3), layers.Flatten(), layers.Dense(2)])
    model.build((None, 10, 5))
    made, _ = rebuild(model, size=Size((7,)))
    assert np.asarray(made(np.ones((2, 7, 5), np.float32))).shape == (2, 2)


def test_one_input_of_several() -> None:
    a, b = keras.Input((6, 6, 1), name="a"), keras.Input((6, 6, 1), name="b")
    model = keras.Model([a, b], layers.Concatenate()([layers.GlobalMaxPooling2D()(layers.Conv2D(2, 3)(x)) for x in (a, b)]))
    made, _ = rebuild(model, size=parse("b=9"))
    assert [tuple(t.shape) for t in made.inputs] == [(None, 6, 6, 1), (None, 9, 9, 1)]
    with pytest.raises(UsageError, match="size 9 could be that of a, b"):
        rebuild(model, size=Size((9,)))


def test_what_fixes_the_size_is_named() -> None:
    model = keras.Sequential([keras.Input((4, 4, 2)), layers.Reshape((32,), name="fixed"), layers.Dense(2)])
    with pytest.raises(ConversionError, match="at layer fixed: The total size of the tensor must be unchanged"):
        rebuild(model, size=Size((6,)))


def test_a_submodel_in_the_middle_gets_what_arrives_there() -> None:
    start = keras.Input((8, 8, 2))
    deep = keras.Sequential([keras.Input((4, 4, 2)), layers.Conv2D(3, 1), layers.MaxPooling2D(2)], name="deep")
    side = keras.Model(other := keras.Input((4, 4, 2)), deep(other), name="side")
    model = keras.Model(start, layers.Dense(2)(layers.Flatten()(side(layers.AveragePooling2D(2)(start)))))
    made, _ = rebuild(model, size=parse("16x12"))
    assert tuple(made.get_layer("side").input.shape) == tuple(made.get_layer("side").get_layer("deep").inputs[0].shape) == (None, 8, 6, 2)
    assert np.asarray(made(np.ones((1, 16, 12, 2), np.float32))).shape == (1, 2)


def test_a_whole_classifier_as_a_submodel() -> None:
    whole = keras.Sequential([keras.Input((8, 8, 2)), layers.Flatten(), layers.Dense(3, name="head")], name="whole")
    start = keras.Input((8, 8, 2))
    made, _ = rebuild(keras.Model(start, whole(keras.Sequential([keras.Input((8, 8, 2)), layers.Rescaling(2.0)])(start))), size=parse("4x5"), classes=2)
    assert made.get_layer("whole").get_layer("head").kernel.shape == (40, 2)


def test_only_layers_are_marked_as_shared() -> None:
    model = image_model()
    marked: list[str] = []

    def walk(config: Any) -> None:
        if isinstance(config, dict):
            marked.extend([config["class_name"]] if "shared_object_id" in config else [])
            for value in config.values():
                walk(value)
        elif isinstance(config, list):
            for value in config:
                walk(value)

    walk(_config(model))
    assert {"Dense", "Conv2D", "Functional"} <= set(marked) and not {"GlorotUniform", "Zeros", "DTypePolicy"} & set(marked)


def test_tracebacks_of_keras_are_filtered_as_before() -> None:
    assert keras.config.is_traceback_filtering_enabled()
    rebuild(keras.Sequential([keras.Input((2,)), layers.Dense(2)]))
    assert keras.config.is_traceback_filtering_enabled()
