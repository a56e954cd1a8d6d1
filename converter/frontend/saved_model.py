"""SavedModel folders as Keras models of one layer, which calls a signature of the SavedModel.

So everything that is done to a Keras model is done to them, and the reference of the parity check is the SavedModel's own signature. A SavedModel
is a program: its graphs are looked at before TensorFlow loads them, and none that runs Python or touches files is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from converter.errors import ConversionError, InputError, UnsafeError, known

FILE = "saved_model.pb"
SIGNATURES = ("serving_default", "serve")
CODE = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
FILES = frozenset({"ReadFile", "WriteFile", "MatchingFiles", "Save", "SaveSlices", "PrintV2", "TFRecordReaderV2", "WholeFileReaderV2"})


def is_saved_model(path: str | Path) -> bool:
    """Whether ``path`` is the folder of a SavedModel."""
    return (Path(path) / FILE).is_file()


def open_saved_model(path: Path, *, unsafe: bool = False) -> Any:
    """A ``keras.Model`` whose inputs, outputs and numbers are those of the signature ``serving_default``, or ``serve``, or the only one.

    Args:
        path: folder of the SavedModel.
        unsafe: load it though it runs Python code or touches files.

    Raises:
        InputError: not a SavedModel, or without a signature.
        UnsafeError: its graphs run Python code or touch files.
        ConversionError: it has operators that this TensorFlow does not know.
    """
    import tensorflow as tf

    _check(path, _operators(path), unsafe)
    try:
        loaded = tf.saved_model.load(str(path))
    except (tf.errors.OpError, ValueError, TypeError, KeyError, OSError, AttributeError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as a SavedModel: {type(error).__name__}: {' '.join(str(error).split())[:300]}") from error
    names = [name for name in SIGNATURES if name in loaded.signatures] or list(loaded.signatures)
    if not names:
        raise InputError(f"{path} has no signature to call; save it with tf.saved_model.save(..., signatures=...) or model.export(...)")
    if names[0] not in SIGNATURES and len(names) > 1:
        raise InputError(f"{path} has {len(names)} signatures and none is called serving_default or serve: {known(names)}")
    return _model(loaded, loaded.signatures[names[0]], path.resolve().name)


def _model(loaded: Any, signature: Any, name: str) -> Any:
    import keras

    class Signature(keras.layers.Layer):  # type: ignore[misc]
        """Calls a signature; keeps the SavedModel, whose variables would go with it."""

        def __init__(self) -> None:
            super().__init__(name="saved_model", autocast=False)
            self.captured_variables = Kept(list(signature.variables) + list(getattr(loaded, "variables", [])))
            self._kept = Kept([loaded, signature])

        def call(self, inputs: Any) -> Any:
            return self._kept.things[1](**inputs)

        def compute_output_spec(self, inputs: Any) -> Any:
            return {key: keras.KerasTensor(tuple(t.shape), t.dtype.name) for key, t in signature.structured_outputs.items()}

    given = signature.structured_input_signature[1]
    inputs = {key: keras.Input(batch_shape=tuple(t.shape), dtype=t.dtype.name, name=key) for key, t in given.items()}
    valid = "".join(c if c.isalnum() or c in "_-." else "_" for c in name) or "saved_model"
    return keras.Model(inputs, Signature()(inputs), name=valid)


class Kept:
    """Things that Keras shall not track: it does not look inside."""

    def __init__(self, things: list[Any]) -> None:
        self.things = things


def _operators(path: Path) -> set[str]:
    """Every operator of a SavedModel, read without running anything."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        parsed = saved_model_pb2.SavedModel.FromString((path / FILE).read_bytes())
    except (DecodeError, OSError) as error:
        raise InputError(f"{path / FILE} is not a SavedModel, or cut short: {error}") from error
    return set(_ops(parsed))


def _ops(parsed: Any) -> Iterator[str]:
    for meta in parsed.meta_graphs:
        yield from (node.op for node in meta.graph_def.node)
        for function in meta.graph_def.library.function:
            yield from (node.op for node in function.node_def)


def _check(path: Path, operators: set[str], unsafe: bool) -> None:
    from tensorflow.python.framework import op_def_registry

    bad = operators & (CODE | FILES)
    if bad and not unsafe:
        raise UnsafeError(f"{path} runs Python code or touches files when it is called ({known(bad)}); pass --unsafe (unsafe=True) "
                          "if you trust its author")
    strange = sorted(op for op in operators if op_def_registry.get(op) is None)
    if strange:
        raise ConversionError(f"{path} has operators that TensorFlow does not know: {known(strange)}. Custom operators have no ONNX form; "
                              "save the model without them")
