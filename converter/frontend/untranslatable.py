"""Layers that no form can help: said before anything is traced, with the layer, the reason, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converter.errors import ConversionError

STRINGS = "it works on strings, which ONNX engines do not compute with; do this in the data pipeline and give the model its integer ids"
HASHES = "it computes a hash of its input (FarmHash or SipHash), which ONNX has no operator for; do this in the data pipeline, or use IntegerLookup"
REASONS: Mapping[str, str] = {"StringLookup": STRINGS, "TextVectorization": STRINGS, "Hashing": HASHES, "HashedCrossing": HASHES}


def refuse(model: Any, keras: Any) -> None:
    """Look at every layer of ``model``, those inside others too.

    Raises:
        ConversionError: some of them cannot be said in ONNX.
    """
    found = [f"{layer.path or layer.name} ({name}): {reason}" for layer in model._flatten_layers() for name, reason in REASONS.items()
             if isinstance(layer, getattr(keras.layers, name))]
    found += [f"{layer.path or layer.name} (IntegerLookup): with several out-of-vocabulary indices {HASHES}" for layer in model._flatten_layers()
              if isinstance(layer, keras.layers.IntegerLookup) and layer.num_oov_indices > 1 and getattr(layer, "oov_method", "") == "farmhash"]
    if found:
        raise ConversionError(f"Keras model {model.name!r} has layers without an ONNX form: {'; '.join(found[:5])}")
