"""Export one case of everything in Keras and write docs/coverage.md.

Every case runs in a process of its own, because it is the peak of memory that is measured there and because an exporter that is killed must not
take the others along. The cases are those that the tests walk (tests/coverage).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from peak_memory import peak, start_peak

HOME = Path(__file__).resolve().parent.parent
KINDS = ("layers", "ops", "applications")
PEER = " keras.Model.export | its seconds | its memory + MB |"
LIMIT = 900  # seconds for one case
MEMORY = 16 << 30  # bytes of address space beyond which a process is stopped


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HOME / "docs" / "coverage.md")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--only", default="", help="names that contain this text")
    parser.add_argument("--keras-export", action="store_true", help="time and memory of keras.Model.export beside ours (slow)")
    parser.add_argument("--child", nargs=3, metavar=("KIND", "TOOL", "NAMES"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        kind, tool, wanted = args.child
        return child(kind, tool, json.loads(wanted))
    results: dict[str, dict[str, Any]] = {}
    for kind in args.kinds:
        chosen = [name for name in names(kind) if args.only.lower() in name.lower()]
        step = 1 if kind == "applications" else 25
        for start in range(0, len(chosen), step):
            results |= measured(kind, chosen[start : start + step], keras_export=args.keras_export and kind == "applications")
    args.out.write_text(page(results), encoding="utf-8")
    return 0


def names(kind: str) -> list[str]:
    """All cases of a kind."""
    sys.path.insert(0, str(HOME))
    from tests.coverage import applications, layers, ops

    return {"layers": lambda: sorted(layers.LAYERS), "ops": lambda: sorted(ops.OPS), "applications": applications.names}[kind]()


def measured(kind: str, wanted: list[str], *, keras_export: bool) -> dict[str, dict[str, Any]]:
    """Results by ``kind:name``; a process that dies is tried again case by case."""
    found = run(kind, "converter", wanted)
    lost = [name for name in wanted if name not in found]
    for name in lost if len(wanted) > 1 else []:
        found |= run(kind, "converter", [name])
    for name in wanted:
        found.setdefault(name, {"outcome": "died"})
        if keras_export:
            found[name]["peer"] = run(kind, "keras", [name]).get(name, {"outcome": "died"})
        sys.stderr.write(f"{kind} {name}: {json.dumps(found[name])}\n")
    return {f"{kind}:{name}": found[name] for name in wanted}


def run(kind: str, tool: str, wanted: list[str]) -> dict[str, dict[str, Any]]:
    """What a child process has printed, a line a case, also if it was stopped."""
    command = [sys.executable, __file__, "--child", kind, tool, json.dumps(wanted)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=LIMIT * len(wanted), check=False).stdout
    except subprocess.TimeoutExpired as stopped:
        done = stopped.stdout.decode() if isinstance(stopped.stdout, bytes) else stopped.stdout or ""
    return dict(json.loads(line) for line in done.splitlines() if line.startswith("["))


def child(kind: str, tool: str, wanted: list[str]) -> int:
    """The body of :func:`run`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY * 2, MEMORY * 2))
    sys.path.insert(0, str(HOME))
    import keras
    import numpy as np
    import onnxruntime  # noqa: F401
    import tf2onnx  # noqa: F401

    from converter.frontend import export  # noqa: F401  (loads everything that an export needs, so that it is not counted)
    from tests.coverage import applications, layers, ops

    keras.utils.set_random_seed(0)
    cases: dict[str, Callable[[str], Any]] = {"layers": layers.LAYERS.__getitem__, "ops": ops.OPS.__getitem__, "applications": applications.case}
    tools = {"converter": by_converter, "keras": by_keras}
    for name in wanted:
        model = cases[kind](name).build()
        if tool == "keras":
            model(np.zeros((1, *(d or 224 for d in model.input_shape[1:])), np.float32), training=False)  # or it is refused
        before = start_peak()
        with tempfile.TemporaryDirectory() as folder:
            result = tools[tool](model, Path(folder) / "model.onnx")
        result |= {
            "grown_mb": (result.pop("peak") - before) / 2**20,
            "weights_mb": sum(v.value.numpy().nbytes for v in model.variables) / 2**20 if kind == "applications" else 0.0,
        }
        sys.stdout.write(json.dumps([name, result]) + "\n")
        sys.stdout.flush()
    return 0


def by_converter(model: Any, path: Path) -> dict[str, Any]:
    """Exported with its largest error and its operators, or refused with the reason."""
    from converter import api
    from converter.errors import ConverterError
    from converter.graph import io

    start = time.perf_counter()
    try:
        report = api.export(model, path)
    except ConverterError as error:
        return {"outcome": "refused", "why": str(error)[:300], "peak": peak(), "seconds": time.perf_counter() - start}
    measured = {"peak": peak(), "seconds": time.perf_counter() - start}
    kinds = [node.op_type for node in io.load(path).graph.all_nodes()]
    operators = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
    return {"outcome": "exported", "error": report.numbers["parity"]["relative"], "operators": operators, **measured}


def by_keras(model: Any, path: Path) -> dict[str, Any]:
    """What ``keras.Model.export`` makes of it: whether the file loads and agrees."""
    import numpy as np
    import onnxruntime

    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, *(d or 224 for d in model.input_shape[1:]))).astype(np.float32)
    expected = model(x, training=False).numpy()
    start = time.perf_counter()
    try:
        model.export(str(path), format="onnx", verbose=False)
    except Exception as error:  # noqa: BLE001  (a peer may fail in any way)
        return {"outcome": "refused", "why": f"{type(error).__name__}: {error}"[:200], "peak": peak()}
    measured = {"peak": peak(), "export_seconds": time.perf_counter() - start}
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        got = session.run(None, {session.get_inputs()[0].name: x})[0]
    except Exception as error:  # noqa: BLE001
        return {"outcome": "file does not load", "why": str(error)[:200], **measured}
    return {"outcome": "exported", "error": float(np.abs(got - expected).max() / max(np.ptp(expected), 1e-12)), **measured}


def page(results: dict[str, dict[str, Any]]) -> str:
    """docs/coverage.md."""
    from converter.verify.machine import machine, versions

    here = machine()
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines = [
        "# What can be exported",
        "",
        "Written by `scripts/keras_coverage.py`. Each row is a model that was built, exported and held against Keras on random and edge "
        "inputs; `error` is the largest one as a "
        "share of the output's range. What cannot be exported is refused before a file is written.",
        "",
        f"{time.strftime('%Y-%m-%d')}. {here['processor']}, {here['cpus']} CPUs: {' '.join(here['flags'])}. {used}.",
        "",
    ]
    for kind, title in (("layers", "Layers"), ("ops", "Operations (`keras.ops`)"), ("applications", "Applications")):
        rows = {name.partition(":")[2]: r for name, r in results.items() if name.startswith(f"{kind}:")}
        if rows:
            lines += [f"## {title}", "", summary(rows.values()), "", *(applications_table(rows) if kind == "applications" else table(rows)), ""]
    return "\n".join(lines)


def summary(rows: Iterable[dict[str, Any]]) -> str:
    """One line: how many of how many."""
    every = list(rows)
    exported = sum(r["outcome"].startswith("exported") for r in every)
    other = sum(not r["outcome"].startswith(("exported", "refused")) for r in every)
    return f"{exported} of {len(every)} exported, {len(every) - exported - other} refused with a reason, {other} neither."


def table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Layers and operations."""
    lines = ["| case | outcome | error | operators, or the reason |", "|---|---|---|---|"]
    for name, r in rows.items():
        told = ", ".join(k if n == 1 else f"{k} x{n}" for k, n in r.get("operators", {}).items()) or r.get("why", "")
        lines.append(f"| {name} | {r['outcome']} | {_number(r.get('error'))} | {_cell(told)} |")
    return lines


def applications_table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Models, with time and memory."""
    peers = any("peer" in r for r in rows.values())
    lines = [
        "With their own random weights; BatchNorm statistics are off 0 and 1, and those of EfficientNetV2 are of a batch of noise, because with "
        "others Keras itself moves by up to its whole range for one epsilon. Time and memory are those of the export, parity included.",
        "",
        f"| model | outcome | error | operators | transposes | weights MB | memory + MB | seconds |{PEER if peers else ''}",
        f"|---|---|---|---|---|---|---|---|{'---|' * PEER.count('|') if peers else ''}",
    ]
    for name, r in rows.items():
        peer, operators = r.get("peer", {}), r.get("operators", {})
        outcome = _cell(": ".join(filter(None, (r["outcome"], r.get("why")))))
        lines.append(
            f"| {name} | {outcome} | {_number(r.get('error'))} | {sum(operators.values())} | {operators.get('Transpose', 0)} "
            f"| {r.get('weights_mb', 0):.0f} "
            f"| {r.get('grown_mb', 0):.0f} | {r.get('seconds', 0):.1f} |"
            + (f" {_cell(peer.get('outcome', ''))} {_number(peer.get('error'))} | {_number(peer.get('export_seconds'), '.1f')} "
               f"| {_number(peer.get('grown_mb'), '.0f')} |" if peers else "")
        )
    return lines


def _number(value: float | None, form: str = ".1e") -> str:
    return "" if value is None else format(value, form)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")


if __name__ == "__main__":
    sys.exit(main())
