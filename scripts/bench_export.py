"""Time and peak memory of exporting models of keras.applications, converter beside keras.Model.export, and print a Markdown table.

Every export runs in a process of its own, one after the other, with random weights. Counted is the export alone: libraries are imported and the
model is built before. Growth is the peak of resident memory during the export over what the process held before.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from peak_memory import peak, start_peak

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("ResNet50", "VGG16", "EfficientNetB0")
TOOLS = ("converter", "keras")
TOO_LARGE = ("VGG16",)  # keras.Model.export needs more than 17 GB
MEGA = 1e6


def main() -> int:
    """Measure every model with every tool and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", default=list(MODELS), help="names in keras.applications")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--huge", action="store_true", help=f"let keras.Model.export try {', '.join(TOO_LARGE)} too")
    parser.add_argument("--child", nargs=2, metavar=("TOOL", "MODEL"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if args.child:
        return child(*args.child)
    rows = [(model, tool, None if tool == "keras" and model in TOO_LARGE and not args.huge else in_child(tool, model))
            for model in args.models for tool in args.tools]
    print(table(rows))
    return 0


def in_child(tool: str, model: str) -> dict[str, Any]:
    """What one export in a fresh process measures."""
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1",
                   "TF_ENABLE_ONEDNN_OPTS": "0",
                   "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
    done = subprocess.run([sys.executable, __file__, "--child", tool, model], env=environment, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"error": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:120]}
    return dict(json.loads(lines[-1]))


def child(tool: str, name: str) -> int:
    """Build the model, export it, look at the file, print one JSON line."""
    warnings.simplefilter("ignore")
    import keras
    import numpy as np
    import onnx
    import onnxruntime
    import tensorflow  # noqa: F401
    import tf2onnx  # noqa: F401

    from converter import api
    from converter.frontend import export  # noqa: F401  (loads everything that an export needs)

    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None)
    model(np.zeros((1, *model.input_shape[1:]), np.float32), training=False)  # keras.Model.export refuses a model that was never called
    weights = sum(int(np.prod(v.shape)) * 4 for v in model.variables)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "model.onnx"
        before = start_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        if tool == "converter":
            api.export(model, path)
        else:
            model.export(str(path), format="onnx", verbose=False)
        wall, cpu, growth = time.perf_counter() - wall, time.process_time() - cpu, peak() - before
        x = np.random.default_rng(0).uniform(0, 255, (1, *model.input_shape[1:])).astype(np.float32)
        error = difference(onnxruntime, path, x, np.asarray(model(x, training=False)))
        kinds = [node.op_type for node in onnx.load(str(path)).graph.node]
    print(json.dumps({"weights": weights / MEGA, "seconds": wall, "cpu": cpu, "growth": growth / MEGA, "error": error, "operators": len(kinds),
                      "transposes": kinds.count("Transpose")}))
    return 0


def difference(onnxruntime: Any, path: Path, x: Any, want: Any) -> str | None:
    """What is wrong with the file, or None."""
    import numpy as np

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        got = session.run(None, {session.get_inputs()[0].name: x})[0]
    except (RuntimeError, ValueError, *failures()) as error:
        return f"does not load: {' '.join(str(error).split())[:80]}"
    off = float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))
    return None if off < 1e-4 else f"off by {off:.1g} of the largest output"


def failures() -> tuple[type[Exception], ...]:
    """What onnxruntime raises, which has no common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (state.Fail, state.InvalidGraph, state.InvalidArgument, state.NotImplemented, state.RuntimeException, state.InvalidProtobuf)


def table(rows: list[tuple[str, str, dict[str, Any] | None]]) -> str:
    """All rows as Markdown, with what they were measured on."""
    from converter.verify.machine import machine, versions

    here, peers = machine(), {model: row for model, tool, row in rows if tool == "keras"}
    lines = [f"{here['processor']}, {here['cpus']} CPUs, flags: {' '.join(here['flags'])}", "",
             ", ".join(f"{name} {version}" for name, version in versions().items()), "",
             "| model | weights MB | tool | seconds (CPU) | of keras | growth MB | allowed MB | operators | transposes | the file |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for model, tool, row in rows:
        if row is None or "seconds" not in row:
            lines.append(f"| {model} | | {tool} | {'not run: needs more than 17 GB' if row is None else row['error']} | | | | | | |")
            continue
        other = peers.get(model) or {}
        share = f"{row['seconds'] / other['seconds']:.2f}" if tool == "converter" and "seconds" in other else ""
        allowed = f"{2 * row['weights'] + 300:.0f}" if tool == "converter" else ""
        lines.append(f"| {model} | {row['weights']:.0f} | {tool} | {row['seconds']:.1f} ({row['cpu']:.1f}) | {share} | "
                     f"{row['growth']:.0f} | {allowed} | "
                     f"{row['operators']} | {row['transposes']} | {row['error'] or 'right'} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
