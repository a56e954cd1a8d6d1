"""How export grows with a model: seconds a stage and peak memory for deep chains and for one model of gigabytes, as a Markdown table.

Every export runs in a process of its own, one after the other, with random weights. The time of building the model is not counted; peak memory is
that of the whole process, libraries and the Keras weights included. Seconds are those of the processor, on all its threads, so that they do not
depend on who else uses the machine. ``factor`` is the time of the deeper model over that of the one before it: below 2.3 where twice the layers
cost about twice the time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peak_memory import peak

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("trace", "lower", "clean", "parity", "write")
GIGA = 2**30


def dense(depth: int) -> Any:
    """``depth`` times Dense and ReLU."""
    import keras

    start = value = keras.Input((16,), name="x")
    for _ in range(depth):
        value = keras.layers.ReLU()(keras.layers.Dense(16)(value))
    return keras.Model(start, value)


def conv(depth: int) -> Any:
    """``depth`` times Conv2D, BatchNormalization and ReLU."""
    import keras

    start = value = keras.Input((8, 8, 4), name="x")
    for _ in range(depth):
        value = keras.layers.Conv2D(4, 3, padding="same")(value)
        value = keras.layers.ReLU()(keras.layers.BatchNormalization()(value))
    return keras.Model(start, value)


def residual(depth: int) -> Any:
    """``depth`` convolutions, two in every residual block."""
    import keras

    start = value = keras.Input((8, 8, 4), name="x")
    for _ in range(depth // 2):
        inner = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(value)
        small = keras.initializers.RandomNormal(stddev=1e-3)  # what grows a thousand times over proves nothing
        value = keras.layers.Add()([value, keras.layers.Conv2D(4, 3, padding="same", kernel_initializer=small)(inner)])
    return keras.Model(start, value)


def large(width: int) -> Any:
    """Four Dense layers of ``width``: 16 * width**2 bytes of weights."""
    import keras

    start = value = keras.Input((width,), name="x")
    for _ in range(4):
        value = keras.layers.Dense(width)(value)
    return keras.Model(start, value)


class Clock:
    """Hears about the stages and notes their processor time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = 0.0

    def begin(self, stage: str, total: int | None) -> None:
        self._began = time.process_time()

    def advance(self, steps: int) -> None:
        pass

    def end(self, stage: str, seconds: float) -> None:
        self.seconds[stage] = time.process_time() - self._began


MODELS = {"dense": dense, "conv": conv, "residual": residual, "large": large}


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kinds", nargs="*", default=["dense", "conv", "residual"], help=f"of {', '.join(MODELS)}")
    parser.add_argument("--depths", nargs="+", type=int, default=[500, 1000], help="layers (Dense, or convolutions)")
    parser.add_argument("--width", type=int, default=12800, help="of the large model: 12800 is 2.6 GB")
    parser.add_argument("--opset", type=int)
    parser.add_argument("--child", nargs=2, metavar=("KIND", "SIZE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if args.child:
        return child(args.child[0], int(args.child[1]), args.opset)
    print(f"| model | size | {' | '.join(f'{stage}, s' for stage in STAGES)} | total, s | factor | peak, GB | file, GB | reloaded, off by |")
    print(f"|---|---|{'---|' * (len(STAGES) + 5)}")
    for kind in args.kinds:
        before: float | None = None
        for size in [args.width] if kind == "large" else args.depths:
            before = print_row(kind, size, in_child(kind, size, args.opset), before)
    return 0


def print_row(kind: str, size: int, found: dict[str, Any], before: float | None) -> float | None:
    """One line of the table; returns the total time."""
    if "error" in found:
        print(f"| {kind} | {size:,} | {found['error']} |", flush=True)
        return None
    total = sum(found["seconds"].get(stage, 0.0) for stage in STAGES)
    stages = " | ".join(f"{found['seconds'].get(stage, 0.0):.1f}" for stage in STAGES)
    factor = f"{total / before:.2f}" if before else ""
    print(f"| {kind} | {size:,} | {stages} | {total:.1f} | {factor} | {found['peak'] / GIGA:.2f} | {found['bytes'] / GIGA:.2f} "
          f"| {found['off']:.1e} |", flush=True)
    return total


def in_child(kind: str, size: int, opset: int | None) -> dict[str, Any]:
    """What one export in a fresh process measures."""
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    chosen = [] if opset is None else ["--opset", str(opset)]
    done = subprocess.run([sys.executable, __file__, *chosen, "--child", kind, str(size)], env=environment, capture_output=True,
                          text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"error": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:120]}
    return dict(json.loads(lines[-1]))


def child(kind: str, size: int, opset: int | None) -> int:
    """Build the model, export it, look at the file, print one JSON line."""
    from converter import api
    from converter.frontend import keras_source
    from converter.graph import io

    keras_source.import_keras().utils.set_random_seed(0)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100 * size)  # Keras walks a chain of layers by recursion when it makes a model
    model = MODELS[kind](size)
    sys.setrecursionlimit(limit)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        api.export(model, file, opset=opset, progress=clock)
        found = {"seconds": clock.seconds, "peak": peak(), "bytes": io.file_bytes(file)}
        print(json.dumps({**found, "off": difference(model, file)}))
    return 0


def difference(model: Any, file: Path) -> float:
    """Largest error of the written file, loaded again by onnxruntime, as a share of what Keras gives."""
    import numpy as np
    import onnxruntime

    x = np.random.default_rng(0).normal(size=(2, *model.input_shape[1:])).astype(np.float32)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    got, want = session.run(None, {session.get_inputs()[0].name: x})[0], np.asarray(model(x, training=False))
    return float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))


if __name__ == "__main__":
    sys.exit(main())
