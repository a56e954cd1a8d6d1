"""Run a Keras model as the reference that everything else is compared with, always in inference mode."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from converter.errors import InputError
from converter.frontend.keras_source import CallSpec, import_keras, output_names
from converter.frontend.state import kept_by
from converter.spec.quant import Array
from converter.spec.signature import TensorInfo

GPU_ONLY = re.compile(r"only supports (the )?ND?HWC|CPU implementations? do(es)? not yet support dilation")
"""What TensorFlow says of convolutions that its own kernels for the CPU lack."""


class KerasRunner:
    """Calls a Keras model with arrays by input name and gives arrays by output name.

    ``training=False`` is always passed: some layers (Resizing, CenterCrop, the random ones) have another default, and it
    spreads to what lies behind them. The model runs as one TensorFlow function, because a functional model that is
    called eagerly holds all its activations until the end. It is a trace of its own, not the one that is exported.
    Convolutions that TensorFlow has for GPUs only (channels first, transposed with a dilation) are compiled by XLA, which has them.
    What the model keeps between calls is set from an input before each call, given as an output behind it, and then put back.
    """

    def __init__(self, model: Any, spec: CallSpec) -> None:
        import tensorflow as tf

        self._model, self._spec = model, spec
        tensors = import_keras().tree.flatten(spec.structure)
        self._kept = kept_by(model)
        own = [TensorInfo(n, tuple(t.shape), str(t.dtype)) for n, t in zip(spec.names, tensors, strict=True)]
        self.inputs = (*own, *(TensorInfo(k.given, tuple(k.variable.shape), str(k.variable.dtype)) for k in self._kept))
        self._signature = [tf.TensorSpec(t.shape, t.dtype) for t in tensors]
        self._functions: dict[tuple[tuple[int | None, ...], ...], Any] = {}
        self._knows_lengths = any(isinstance(layer, import_keras().layers.TimeDistributed) for layer in model._flatten_layers())
        self._compiled = False
        self._structure: Any = None
        self._with_logits: list[int] = []

    def _traced(self, given: list[Any]) -> Any:
        """The function for inputs like ``given``: one for all, but where Keras is right only if it knows every length (TimeDistributed)."""
        import tensorflow as tf

        shapes = tuple((*spec.shape[:1], *tensor.shape[1:]) if self._knows_lengths else tuple(spec.shape)
                       for spec, tensor in zip(self._signature, given, strict=True))
        if shapes not in self._functions:
            signature = [tf.TensorSpec(shape, spec.dtype) for shape, spec in zip(shapes, self._signature, strict=True)]
            self._functions[shapes] = tf.function(self._call, autograph=False, jit_compile=self._compiled).get_concrete_function(signature)
        return self._functions[shapes]

    def _call(self, tensors: list[Any]) -> tuple[list[Any], list[Any]]:
        keras = import_keras()
        outputs = self._model(keras.tree.pack_sequence_as(self._spec.structure, tensors), training=False)
        self._structure = keras.tree.map_structure(lambda _: 0, outputs)
        flat = keras.tree.flatten(outputs)
        logits = [getattr(y, "_keras_logits", None) for y in flat]  # Keras keeps what goes into a softmax or sigmoid for its losses
        self._with_logits = [i for i, y in enumerate(logits) if y is not None]
        return flat, [logits[i] for i in self._with_logits]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name; the batch axis is the first.

        Raises:
            InputError: the model cannot run on these arrays; the text quotes TensorFlow and the operator that it names.
        """
        return self.run_with_logits(feeds)[0]

    def run_with_logits(self, feeds: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """Outputs by name, and what goes into the softmax or sigmoid that an output is, by the same names.

        Raises:
            InputError: as for :meth:`run`.
        """
        import tensorflow as tf

        try:
            given = [tf.convert_to_tensor(feeds[name]) for name in self._spec.names]
            with self._state(feeds) as left:
                outputs, logits = ([np.asarray(y.numpy()) for y in part] for part in self._called(given))
        except (tf.errors.OpError, ValueError, TypeError, KeyError) as error:
            shapes = "; ".join(f"{n} {np.asarray(x).dtype} {list(np.shape(x))}" for n, x in feeds.items())
            raise InputError(f"Keras model {self._model.name!r} cannot run: {_where(error)}. Received {shapes}; "
                             f"the model takes {'; '.join(i.describe() for i in self.inputs)}") from error
        names = output_names(self._model, self._structure, self._spec.names)
        return dict(zip(names, outputs, strict=True)) | left, dict(zip((names[i] for i in self._with_logits), logits, strict=True))

    def _called(self, given: list[Any]) -> Any:
        import tensorflow as tf

        with _as_written(tf):
            try:
                return self._traced(given)(*given)
            except tf.errors.OpError as error:
                if self._compiled or not GPU_ONLY.search(str(error)):
                    raise
            self._compiled = True
            self._functions.clear()
            return self._traced(given)(*given)

    @contextlib.contextmanager
    def _state(self, feeds: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
        """Set what the model keeps to what ``feeds`` says; yields what it keeps in the end, by the names of the outputs."""
        before, left = [np.array(k.variable) for k in self._kept], dict[str, Array]()
        try:
            for k in self._kept:
                k.variable.assign(feeds[k.given])
            yield left
            left.update((k.left, np.array(k.variable)) for k in self._kept)
        finally:
            for k, array in zip(self._kept, before, strict=True):
                k.variable.assign(array)


@contextlib.contextmanager
def _as_written(tf: Any) -> Iterator[None]:
    """While it is open, TensorFlow runs functions operator by operator as Keras wrote them: to look for something better takes it longer than
    it takes to run a function a few times, and what it finds keeps more in memory.
    """
    before = tf.config.optimizer.get_experimental_options()["disable_meta_optimizer"]
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})


def _where(error: Exception) -> str:
    """What TensorFlow says, with the operator that it names in front: its name begins with the layer's."""
    text = " ".join(re.sub(r"\x1b\[\d+m|{{function_node [^}]*}}|\[Op:[^]]*\]", "", str(error)).split())
    node = re.search(r"{{node ([^}]+)}}|node (\S+) defined at", text)
    frames = r'File "[^"]*", line \d+, in \S+'
    said = re.sub(rf"Graph execution error:|Detected at node \S+ defined at \(most recent call last\):|{frames}|\[\[.*?\]\]", "", text).strip()
    return f"at {node[1] or node[2]}: {said[-300:]}" if node else said[:300]
