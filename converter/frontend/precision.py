"""Types that models compute in beside float32, and models that Keras itself quantized: what the graph keeps, and what is refused.

``int8`` arrives as Keras computes it: int8 weights, activations on a symmetric grid per row (the largest magnitude is 127, Keras' ``scale`` is the
reciprocal of ONNX's), MatMulInteger in 32 bits, one division by both scales. ``int4``, ``gptq`` and ``awq`` weights are exact, but unpacked: Dense
layers have them as float32. ``float8`` is refused: no operator set of onnxruntime's CPU provider computes with it.

``float16``, ``mixed_float16`` and ``float64`` arrive with the casts that Keras makes. ``bfloat16`` is refused: tf2onnx takes it for float16, whose
range is another, and onnxruntime's CPU provider has no kernels for it.
"""

from __future__ import annotations

from typing import Any

from converter.errors import ConversionError

UNPACKED = ("int4", "gptq", "awq")


def check(model: Any) -> list[str]:
    """Refuse what cannot be exported; returns warnings about what loses its small weights.

    Raises:
        ConversionError: a layer computes in float8 or bfloat16; all such layers are named.
    """
    modes = {layer.path or layer.name: mode for layer in model._flatten_layers() if (mode := _mode(layer))}
    floats = [path for path, mode in modes.items() if mode == "float8"]
    if floats:
        raise ConversionError(f"Keras model {model.name!r} computes in float8 in {', '.join(floats[:10])}, for which ONNX runtimes on a CPU have no "
                              "operators; export the model before model.quantize('float8'), or quantize it to int8 (model.quantize('int8'), or "
                              "converter quantize)")
    brain = [layer.path or layer.name for layer in model._flatten_layers(include_self=False) if layer.compute_dtype == "bfloat16"]
    if brain:
        raise ConversionError(f"Keras model {model.name!r} computes in bfloat16 in {', '.join(brain[:10])}, for which onnxruntime has no kernels on "
                              "a CPU; build the model with the policy float32 or mixed_float16 (keras.config.set_dtype_policy) and load the weights "
                              "into it: they fit as they are")
    wide = [f"{path} ({mode})" for path, mode in modes.items() if mode in UNPACKED]
    return [f"weights of fewer than 8 bits are unpacked, in float32 where a product with them is one operator: {', '.join(wide[:6])}"] if wide else []


def _mode(layer: Any) -> str | None:
    """How a layer itself is quantized; a float8 layer has a quantizer for its inputs."""
    mode = getattr(layer, "quantization_mode", None)
    own = layer._layers == [] if hasattr(layer, "_layers") else True
    return str(mode) if mode and (own or hasattr(layer, "_kernel") or hasattr(layer, "_embeddings")) else None
