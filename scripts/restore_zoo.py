"""Export models, restore the weights into clones with other weights, and print what came of each as a Markdown table.

    python scripts/restore_zoo.py [--only TEXT] [--model FILE.keras ...]

Every model is exported, quantized on random data, and both graphs are restored into a clone whose weights are all others. A row: the
model, its variables and how many of them changed; the largest difference of the predictions of the original and the restored Keras model,
as a share of the range of the outputs; the largest difference of a restored weight from that of the integer graph, in steps of its grid; the
parity of the model restored from the integer graph with the float twin of that graph; seconds of both restores.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras
import numpy as np

import converter
from converter.errors import ConverterError
from converter.frontend.samples import vocabulary

ROOT = Path(__file__).resolve().parent.parent
L = keras.layers


def zoo() -> dict[str, Callable[[], Any]]:
    """Name to what makes the model."""
    small = {"weights": None, "input_shape": (64, 64, 3)}
    return {
        "fashion_cnn": lambda: keras.saving.load_model(ROOT / "models" / "fashion_cnn.keras", compile=False),
        "LSTM": lambda: chain((20, 8), L.LSTM(32, return_sequences=True), L.LSTM(16), L.Dense(32)),
        "GRU": lambda: chain((20, 8), L.GRU(32, return_sequences=True), L.GRU(16, reset_after=False), L.Dense(32)),
        "Bidirectional": lambda: chain((20, 8), L.Bidirectional(L.LSTM(32, return_sequences=True)), L.Bidirectional(L.GRU(16)), L.Dense(32)),
        "transformer": transformer,
        "MobileNetV3Small": lambda: keras.applications.MobileNetV3Small(**small),
        "ConvNeXtTiny": lambda: keras.applications.ConvNeXtTiny(**small),
        "DenseNet121": lambda: keras.applications.DenseNet121(**small),
    }


def chain(shape: tuple[int, ...], *steps: Any) -> Any:
    """Layers one behind the other."""
    start = value = keras.Input(shape, name="x")
    for step in steps:
        value = step(value)
    return keras.Model(start, value)


def transformer() -> Any:
    """Two encoder blocks over tokens."""
    start = keras.Input((24,), dtype="int32", name="x")
    x = L.Embedding(100, 32)(start)
    for _ in range(2):
        x = L.LayerNormalization()(L.Add()([x, L.MultiHeadAttention(4, 8)(x, x)]))
        x = L.LayerNormalization()(L.Add()([x, L.Dense(32)(L.Dense(64, activation="gelu")(x))]))
    return keras.Model(start, L.Dense(10)(L.GlobalAveragePooling1D()(x)))


def stirred(model: Any, x: Any, seed: int) -> Any:
    """The model with every weight moved, and moving statistics near those of a forward pass, so that its output depends on its input."""
    rng = np.random.default_rng(seed)
    for v in model.variables:
        if str(v.dtype) == "float32" and "moving_" not in v.path and "seed_generator" not in v.path:
            spread = 0.1 * float(np.std(np.asarray(v))) or 0.1
            v.assign(np.asarray(v) + rng.normal(0, spread, v.shape))
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, L.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(x[:16], training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
        layer.moving_mean.assign(np.asarray(layer.moving_mean) + rng.normal(0, 0.1, layer.moving_mean.shape) * np.sqrt(layer.moving_variance))
        variance = np.asarray(layer.moving_variance)
        layer.moving_variance.assign((variance + 0.1 * variance.mean()) * rng.uniform(0.8, 1.25, variance.shape))  # no dead channel is blown up
    return model


def samples(model: Any) -> Any:
    """Random inputs, batch 32."""
    info, rng = model.inputs[0], np.random.default_rng(0)
    shape = (32, *(n or 32 for n in info.shape[1:]))
    return rng.normal(0, 1, shape).astype(np.float32) if "float" in info.dtype else rng.integers(0, vocabulary(model), shape).astype(info.dtype)


def row(name: str, model: Any, folder: Path) -> str:
    """One line of the table."""
    x = samples(model)
    original, clone = stirred(model, x, 1), stirred(keras.models.clone_model(model), x, 2)
    np.savez(folder / "x.npz", x=x)
    expected, before = np.asarray(original(x, training=False)), np.asarray(clone(x, training=False))
    converter.export(original, folder / "float.onnx")
    start = time.perf_counter()
    report = converter.restore(folder / "float.onnx", clone, folder / "restored.keras", force=True)
    seconds = time.perf_counter() - start
    restored = np.asarray(keras.saving.load_model(folder / "restored.keras", compile=False)(x, training=False))
    span = float(np.ptp(expected))
    cells = [name, f"{len(model.variables)}", f"{len(report.numbers['changed'])}", f"{np.abs(before - expected).max() / span:.1e}",
             f"{np.abs(restored - expected).max() / span:.1e}"]
    return "| " + " | ".join([*cells, *integer(original, clone, folder, seconds)]) + " |"


def integer(original: Any, clone: Any, folder: Path, seconds: float) -> list[str]:
    """Cells for the way back from the integer graph; dashes where nothing of the model runs on integers."""
    try:
        converter.quantize(original, folder / "x.npz", path=folder / "int8.onnx")
    except ConverterError as error:
        print(f"not quantized: {error}", file=sys.stderr)
        return ["-", "-", f"{seconds:.1f}"]
    start = time.perf_counter()
    numbers = converter.restore(folder / "int8.onnx", clone, folder / "restored.keras", force=True).numbers
    return [f"{numbers.get('steps', 0.0):.1e}", f"{numbers['parity']['relative']:.1e}", f"{seconds:.1f}, {time.perf_counter() - start:.1f}"]


def main() -> int:
    """Print the table; 1 where a model could not be restored."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="only models whose name contains this text")
    parser.add_argument("--model", action="append", default=[], help="a .keras file, instead of the models that are built here")
    given = parser.parse_args()
    loaders = {Path(p).parent.name if Path(p).stem == "model" else Path(p).stem: lambda p=p: keras.saving.load_model(p, compile=False)
               for p in given.model}
    print("| model | variables | changed | before | restored | int8: weight steps | int8: parity | seconds |\n|---|---|---|---|---|---|---|---|")
    failed = False
    for name, make in (loaders or zoo()).items():
        if given.only.lower() in name.lower():
            with tempfile.TemporaryDirectory() as folder:
                try:
                    print(row(name, make(), Path(folder)), flush=True)
                except ConverterError as error:
                    failed = True
                    print(f"| {name} | {type(error).__name__}: {' '.join(str(error).split())[:300]} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
