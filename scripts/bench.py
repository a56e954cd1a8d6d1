"""Measure converter against the existing quantizers, judged by a program that knows neither, and write docs/benchmarks.md.

For every case: a case folder is made (real weights and data), converter ships it through its command line, the peers quantize the float model
of the same folder, and the same judge looks at every result in the same run. Times of calibration and quantization are wall time of the work,
imports not counted, over a plain float forward of the same samples in the same process just before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from peak_memory import peak, start_peak

ROOT = Path(__file__).resolve().parent.parent
CASES = ("effnet_lite0", "fashion_cnn", "mnv2_random", "letter_mlp")
PEERS = ("ort_s8s8", "ort_u8s8_pc", "ort_u8s8_pc_rr", "ort_percentile", "ort_entropy", "ort_u8u8")
DROPS = {"effnet_lite0": 1.5, "fashion_cnn": 1.0, "letter_mlp": 1.0}
HIST_SAMPLES = 64  # onnxruntime's histogram calibrators hold every activation; more samples need more memory than many machines have


def main() -> int:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bench", type=Path, default=ROOT.parent / "shared" / "bench", help="folder with judge.py, peers.py and make_case.py")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench", help="where cases and results go")
    parser.add_argument("--cases", nargs="+", default=list(CASES))
    parser.add_argument("--seconds", type=float, default=6.0, help="the judge's timing budget for each thread count")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--child", nargs=3, metavar=("CASE", "OUT", "SAMPLES"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return child(Path(args.child[0]), Path(args.child[1]), int(args.child[2]))
    if not (args.bench / "judge.py").is_file():
        sys.exit(f"no judge.py in {args.bench}; give its folder with --bench")
    pages = [measure(args, name) for name in args.cases]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(page(pages), encoding="utf-8")
    sys.stdout.write(f"written: {args.out}\n")
    return 0


def measure(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """All numbers of one case."""
    case = make(args, name)
    work = args.work / "results" / name
    work.mkdir(parents=True, exist_ok=True)
    shipped = ship(case, name, work)
    run([sys.executable, args.bench / "peers.py", case, "--out", work / "peers", "--hist-samples", HIST_SAMPLES, "--seconds", args.seconds,
         "--only", "forward", *PEERS])
    peers = json.loads((work / "peers" / "results.json").read_text())
    speed = {samples: in_child(case, work / "quantized.onnx", samples) for samples in (32, 0, 512)}
    judged = judge(args, case, work / "bundle" / "model.onnx" if shipped["code"] == 0 else work / "quantized.onnx")
    race = {p: against(work, judged["candidate_path"], work / "peers" / f"{p}.onnx") for p in PEERS if (work / "peers" / f"{p}.onnx").is_file()}
    return {"name": name, "ship": shipped, "peers": peers, "judge": judged, "speed": speed, "race": race}


def make(args: argparse.Namespace, name: str) -> Path:
    """The case folder, made if it is not there."""
    case = args.work / "cases" / name
    if not (case / "eval.npz").is_file():
        assets = args.work / "assets"
        if not (assets / "py").is_dir():
            run(["bash", args.bench.parent / "assets" / "fetch.sh", assets])
        run([sys.executable, args.bench / "make_case.py", name, "--assets", assets, "--out", case.parent])
    return case


def ship(case: Path, name: str, work: Path) -> dict[str, Any]:
    """Ship through the command line in a fresh process."""
    command = [sys.executable, "-m", "converter", "ship", case / "model.keras", "--target", "ort-cpu", "--calib", case / "calib.npz",
               "-o", work / "bundle", "--force", "--json"]
    if name in DROPS:
        command += ["--eval", case / "eval.npz", "--metric", "top1", "--max-drop", DROPS[name]]
    start = time.perf_counter()
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr)
    report = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    return {"code": done.returncode, "seconds": time.perf_counter() - start, "report": report}


def judge(args: argparse.Namespace, case: Path, model: Path) -> dict[str, Any]:
    """What the independent judge says."""
    done = subprocess.run([sys.executable, args.bench / "judge.py", case, model, "--json", "--seconds", str(args.seconds)],
                          capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    return {**json.loads(done.stdout), "candidate_path": str(model)}


def against(work: Path, ours: str, peer: Path) -> dict[str, Any]:
    """Our file against a peer's, interleaved in one process: the ratio of times."""
    from converter import api

    report = api.bench([peer, ours], threads=1, seconds=4.0)
    return dict(report.numbers["rows"][0])


def in_child(case: Path, out: Path, samples: int) -> dict[str, Any]:
    """Calibrate and quantize in a fresh process, timed as the peers are; ``samples`` 0 means all that there are."""
    done = subprocess.run([sys.executable, __file__, "--child", case, out, str(samples)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def child(case: Path, out: Path, samples: int) -> int:
    """The body of :func:`in_child`: a plain forward, then the whole of ``converter.quantize`` on the float model."""
    import numpy as np
    import onnx.reference.ops  # noqa: F401  (paid before the clock starts, as for every peer)
    import onnxruntime

    from converter import api
    from converter.data import dispatch  # noqa: F401
    from converter.frontend import onnx_source  # noqa: F401
    from converter.quantize import road  # noqa: F401
    from converter.ship import road as ship_road  # noqa: F401
    from converter.verify import metrics  # noqa: F401

    x = np.load(case / "calib.npz")["x"]
    x = x[np.arange(samples) % len(x)] if samples else x
    session = onnxruntime.InferenceSession(str(case / "float.onnx"), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    session.run(None, {name: x[:1]})
    start = time.perf_counter()
    for row in x:
        session.run(None, {name: row[None]})
    forward = time.perf_counter() - start
    del session
    before = start_peak()
    start = time.perf_counter()
    report = api.quantize(str(case / "float.onnx"), {name: x}, path=out)
    seconds = time.perf_counter() - start
    grown = peak() - before
    sys.stdout.write(json.dumps({"samples": len(x), "seconds": seconds, "forward": forward, "ratio": seconds / forward,
                                 "grown_gb": grown / 1e9, "stages": report.numbers["seconds"]}) + "\n")
    return 0


def run(command: list[Any]) -> None:
    """Run a program; stop everything if it fails."""
    subprocess.run([str(c) for c in command], check=True, stdout=sys.stderr)


def page(results: list[dict[str, Any]]) -> str:
    """docs/benchmarks.md."""
    machine = results[0]["judge"]["machine"]
    from converter.verify.machine import versions

    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines = ["# Benchmarks", "",
             "Written by `scripts/bench`; run it on your machine. Every row of a table was measured in one run: converter ships the case through its "
             "command line, the peers quantize the float model of the same case folder, and the same judge, which knows none of them, looks "
             "at every file.",
             "", f"{time.strftime('%Y-%m-%d')}. {machine['processor']}, {machine['cpus']} CPUs: {' '.join(machine['flags'])}; "
             f"load {machine.get('load')} when the judge began. {used}.", "",
             "- `fused` is what runs, `unfused` the same file without graph optimisations; a gap means that kernels saturate.",
             "- `latency` is the median ratio to the float export of Keras (Keras' own exporter), batch 1, 1 thread, with quartiles; "
             "`ours/peer` is our file against that peer's, interleaved in one process.",
             "- `x forward` is the time of calibration and quantization over a plain float forward of the same samples in the same "
             "process.",
             f"- onnxruntime's percentile and entropy calibrators hold all activations in memory; they got {HIST_SAMPLES} samples.", ""]
    for result in results:
        lines += section(result)
    return "\n".join(lines) + "\n"


def section(result: dict[str, Any]) -> list[str]:
    """One case."""
    ours, speed = result["judge"], result["speed"]
    forward = speed[0]["ratio"]
    head = ["tool", "KL", "agreement", "top-1", "SNR fused", "SNR unfused", "integer", "latency", "ours/peer", "size", "x forward", "peak GB"]
    lines = [f"## {result['name']}", "", f"{ours['samples']} evaluation samples. Ship: exit code {result['ship']['code']}, "
             f"{result['ship']['seconds']:.0f} s in all. " + " ".join(result["ship"]["report"].get("reasons", [])), "",
             "| " + " | ".join(head) + " |", "|" + "---|" * len(head),
             "| " + " | ".join(["float", "0", "1", _top1(ours, "float"), "", "", "", "1", "", "1", "", ""]) + " |",
             row("**converter**", ours, "", f"{forward:.2f}", f"{speed[0]['grown_gb']:.2f} above imports")]
    for name in PEERS:
        peer = result["peers"].get(name, {})
        if "judge" in peer:
            race = result["race"].get(name)
            text = f"{race['ratio']:.2f} [{race['q1']:.2f} {race['q3']:.2f}]" if race else ""
            lines.append(row(name, peer["judge"], text, f"{peer['seconds'] / peer['forward_seconds']:.2f}", f"{peer['peak_rss_gb']:.2f} in all"))
    memory = ", ".join(f"{s['samples']} samples {s['grown_gb']:.2f} GB" for s in speed.values())
    stages = ", ".join(f"{k} {v:.2f} s" for k, v in speed[0]["stages"].items())
    return [*lines, "", f"Growth in peak memory above imports and data: {memory}. Stages at {speed[0]['samples']} samples: {stages}; "
            f"forward {speed[0]['forward']:.2f} s.", ""]


def _top1(judged: dict[str, Any], key: str) -> str:
    return f"{judged['top1'][key]:.4f}" if "top1" in judged else ""


def row(name: str, judged: dict[str, Any], race: str, ratio: str, memory: str) -> str:
    """One tool's line."""
    fused, unfused, latency, cover = judged["fused"], judged.get("simulated", {}), judged["latency"]["1"], judged["coverage"]
    cells = [name, f"{fused['kl']:.4f} ± {fused['kl_se']:.4f}", f"{fused['agreement']:.4f}", _top1(judged, "candidate"), f"{fused['snr_db']:.1f} dB",
             f"{unfused.get('snr_db', float('nan')):.1f} dB", f"{cover['integer']}/{cover['compute']}",
             f"{latency['ratio']:.2f} [{latency['q1']:.2f} {latency['q3']:.2f}]", race, f"{judged['size']['ratio']:.3f}", ratio, memory]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
