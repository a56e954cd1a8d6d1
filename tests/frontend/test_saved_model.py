"""SavedModel folders: of Keras, of a tf.Module, inside a Keras model; and those that are not loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from converter.errors import ConversionError, InputError, UnsafeError
from converter.frontend import keras_source, saved_model
from converter.graph import query
from tests.frontend.building import chain, export, layers, operators


class Module(tf.Module):
    """Two inputs, a matrix and a table of rows."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.matrix = tf.Variable(rng.normal(size=(4, 3)).astype(np.float32), name="matrix")
        self.rows = tf.Variable(rng.normal(size=(7, 4)).astype(np.float32), name="rows")

    @tf.function(input_signature=[tf.TensorSpec((None, 5), tf.int32, name="ids"), tf.TensorSpec((None, 4), tf.float32, name="x")])
    def serve(self, ids: Any, x: Any) -> Any:
        return {"scores": tf.matmul(x + tf.reduce_mean(tf.nn.embedding_lookup(self.rows, ids), 1), self.matrix)}


class Python(tf.Module):
    """Runs Python when it is called."""

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32)])
    def serve(self, x: Any) -> Any:
        return tf.numpy_function(lambda a: a, [x], tf.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SavedModels ``keras``, ``module``, ``python`` and ``bare`` (no signature)."""
    home = tmp_path_factory.mktemp("saved")
    model = chain((8, 8, 3), layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(), layers.ReLU(), layers.GlobalAveragePooling2D(),
                  layers.Dense(3, name="head"))
    model.export(home / "keras", format="tf_saved_model", verbose=False)
    for name, module in (("module", Module()), ("python", Python())):
        tf.saved_model.save(module, str(home / name), signatures={"serving_default": module.serve})
    tf.saved_model.save(tf.Module(), str(home / "bare"))
    return home


def test_what_keras_exported_has_its_weights_under_their_paths(folder: Path) -> None:
    exported = export(folder / "keras")
    assert operators(exported) == {"Conv": 1, "Flatten": 1, "Gemm": 1, "GlobalAveragePool": 1, "Relu": 1, "Transpose": 1}
    assert set(exported.graph.graph.initializers) == {"conv/kernel", "conv/bias", "head/kernel", "head/bias"}
    assert exported.report.numbers["parity"]["relative"] < 1e-5 and exported.name == "keras"


def test_a_module_keeps_the_names_of_its_signature(folder: Path) -> None:
    assert keras_source.is_keras(str(folder / "module")) and not keras_source.is_keras(str(folder))
    exported = export(str(folder / "module"))
    inputs, outputs = query.signature(exported.graph)
    assert [(i.name, i.dtype) for i in inputs] == [("ids", "int32"), ("x", "float32")] and [o.name for o in outputs] == ["scores"]
    assert {"matrix", "rows"} <= set(exported.graph.graph.initializers)


def test_a_saved_model_inside_a_keras_model(folder: Path) -> None:
    start = keras.Input((8, 8, 3), name="x")
    value = layers.TFSMLayer(str(folder / "keras"), call_endpoint="serve")(start)
    exported = export(keras.Model(start, layers.Dense(2, name="last")(value)))
    assert {"conv/kernel", "head/kernel", "last/kernel"} <= set(exported.graph.graph.initializers)


def test_what_runs_python_is_not_loaded(folder: Path) -> None:
    with pytest.raises(UnsafeError, match="runs Python code or touches files when it is called \\(PyFunc\\); pass --unsafe"):
        export(folder / "python")


def test_what_cannot_be_read_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no signature to call"):
        export(folder / "bare")
    (tmp_path / "saved_model.pb").write_bytes(b"no protobuf")
    with pytest.raises(InputError, match="is not a SavedModel, or cut short"):
        export(tmp_path)


def test_custom_operators_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    parsed = saved_model_pb2.SavedModel.FromString((folder / "module" / "saved_model.pb").read_bytes())
    parsed.meta_graphs[0].graph_def.node.add(name="odd", op="MyOwnOp")
    (tmp_path / "saved_model.pb").write_bytes(parsed.SerializeToString())
    with pytest.raises(ConversionError, match="operators that TensorFlow does not know: MyOwnOp"):
        saved_model.open_saved_model(tmp_path)
