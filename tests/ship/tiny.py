"""Models and data small enough that a whole road over them takes a second or two."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from click.testing import CliRunner, Result

from converter import cli
from converter.graph import io
from converter.verify import evidence

ROOT = Path(__file__).resolve().parents[2]
FEATURES, HIDDEN, CLASSES = 64, 96, 10

MLP = f"""
<ir_version: 8, opset_import: ["" : 17]>
mlp (float[N, {FEATURES}] x, float w1, float b1, float w2, float b2) => (float[N, {CLASSES}] y) {{
    h = Gemm(x, w1, b1)
    r = Relu(h)
    y = Gemm(r, w2, b2)
}}
"""
TWO = """
<ir_version: 8, opset_import: ["" : 17]>
two (float[N, 48] left, float[N, 48] right, float wa, float ba, float wb, float bb, float ws, float bs, float wt, float bt)
    => (float[N, 10] sum, float[N, 6] side) {
    a = Gemm(left, wa, ba)
    b = Gemm(right, wb, bb)
    c = Add(a, b)
    r = Relu(c)
    sum = Gemm(r, ws, bs)
    side = Gemm(r, wt, bt)
}
"""


def with_weights(text: str, **shapes: tuple[int, ...]) -> ir.Model:
    """The model in ``text`` with inputs of the given names turned into random initializers, always the same ones."""
    model, rng = io.from_text(text), np.random.default_rng(7)
    values = {v.name: v for v in model.graph.inputs}
    for name, shape in shapes.items():
        model.graph.inputs.remove(values[name])
        array = rng.normal(0, 1 / np.sqrt(shape[0]) if len(shape) > 1 else 0.1, shape).astype(np.float32)
        values[name].const_value = ir.tensor(array, name=name)
        values[name].type, values[name].shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(shape)
        model.graph.register_initializer(values[name])
    return model


def mlp() -> ir.Model:
    """Two dense layers, one input ``x``, one output ``y`` of class scores."""
    return with_weights(MLP, w1=(FEATURES, HIDDEN), b1=(HIDDEN,), w2=(HIDDEN, CLASSES), b2=(CLASSES,))


def two_ends() -> ir.Model:
    """Two inputs, two outputs."""
    return with_weights(TWO, wa=(48, 64), ba=(64,), wb=(48, 64), bb=(64,), ws=(64, 10), bs=(10,), wt=(64, 6), bt=(6,))


def samples(count: int, seed: int = 0, features: int = FEATURES) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, features)).astype(np.float32)


def write_case(folder: Path) -> dict[str, Path]:
    """model.onnx, calib.npz and eval.npz (labelled by the model itself) in ``folder``."""
    from converter.verify.session import Session

    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / name for name in ("model.onnx", "calib.npz", "eval.npz")}
    model = mlp()
    io.save(model, files["model.onnx"])
    np.savez(files["calib.npz"], x=samples(64))
    x = samples(400, 1)
    np.savez(files["eval.npz"], x=x, y=Session(model).run({"x": x})["y"].argmax(-1))
    return {name.split(".")[0]: path for name, path in files.items()}


def converter(*arguments: Any, cwd: Path | None = None, timeout: float = 120, **more: Any) -> subprocess.CompletedProcess[str]:
    """The real command line in a fresh process."""
    return subprocess.run([sys.executable, "-m", "converter", *map(str, arguments)], cwd=cwd, env=environment(), text=True, capture_output=True,
                          timeout=timeout, check=False, **more)


def run(*arguments: Any) -> Result:
    """The command line in this process, which is quicker."""
    return CliRunner().invoke(cli.main, list(map(str, arguments)))


def messages(text: str) -> list[str]:
    """What standard error holds beside the lines of progress."""
    return [line for line in text.splitlines() if not re.match(r"^\w+: \d+\.\d s(, \d+ samples)?$", line)]


def failed(result: Result | subprocess.CompletedProcess[str], code: int, says: str) -> None:
    """One clear message on standard error, the exit code, nothing on standard output."""
    found = messages(result.stderr)
    assert (result.exit_code if isinstance(result, Result) else result.returncode) == code, (result.stdout, result.stderr)
    assert len(found) == 1 and found[0].startswith("converter: ") and re.search(says, found[0]), result.stderr
    assert result.stdout == ""


def cut_short(patch: pytest.MonkeyPatch) -> None:
    """Latency is measured for a moment only: what is tested is not how fast this machine is."""
    race = evidence.race
    patch.setattr(evidence, "race", lambda *a, seconds=2.0, **k: race(*a, seconds=min(seconds, 0.01), **k))


def environment() -> dict[str, str]:
    """The environment of this process, with this checkout in front."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}


def ship_arguments(case: dict[str, Path], out: Path, *more: Any) -> list[str]:
    """What ships the case to ``out``; the gate is loose, so that only what a test plants decides."""
    return [*map(str, ("ship", case["model"], "--calib", case["calib"], "--eval", case["eval"], "--metric", "top1", "--max-drop", 20, "-o", out,
                       *more))]


def leftovers(folder: Path) -> list[str]:
    """What a run left behind beside what it was asked for."""
    return sorted(p.name for p in folder.rglob("*") if ".partial-" in p.name)


def only_json(text: str) -> Any:
    """Parsed standard output; fails where there is anything beside one document."""
    return json.loads(text)
