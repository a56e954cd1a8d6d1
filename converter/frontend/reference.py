"""Run a Keras model as the reference that everything else is compared with, always in inference mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from converter.frontend.keras_source import CallSpec, import_keras, output_names
from converter.spec.quant import Array
from converter.spec.signature import TensorInfo


class KerasRunner:
    """Calls a Keras model with arrays by input name and gives arrays by output name.

    ``training=False`` is always passed: some layers (Resizing, CenterCrop, the random ones) have another default, and it
    spreads to what lies behind them.
    """

    def __init__(self, model: Any, spec: CallSpec) -> None:
        self._model, self._spec = model, spec
        tensors = import_keras().tree.flatten(spec.structure)
        self.inputs = tuple(TensorInfo(n, tuple(t.shape), str(t.dtype)) for n, t in zip(spec.names, tensors, strict=True))

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name; the batch axis is the first."""
        keras = import_keras()
        inputs = keras.tree.pack_sequence_as(self._spec.structure, [feeds[name] for name in self._spec.names])
        outputs = self._model(inputs, training=False)
        flat = [np.asarray(keras.ops.convert_to_numpy(y)) for y in keras.tree.flatten(outputs)]
        return dict(zip(output_names(self._model, outputs), flat, strict=True))
