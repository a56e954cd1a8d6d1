"""What this machine is: the processor flags that decide which integer kernels run, and versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

FLAGS = ("avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")
EXACT = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimd"})
PACKAGES = ("converter", "numpy", "onnx", "onnx-ir", "onnxruntime", "tf2onnx", "keras", "tensorflow", "tensorflow-cpu")


def machine() -> dict[str, Any]:
    """Processor name, number of CPUs, and those of its flags that matter for integers."""
    fields: dict[str, str] = {}
    path = Path("/proc/cpuinfo")
    if path.is_file():
        fields = dict(tuple(map(str.strip, line.split(":", 1))) for line in path.read_text().splitlines() if ":" in line)  # type: ignore[misc]
    have = set((fields.get("flags") or fields.get("Features") or "").split())
    return {"processor": fields.get("model name") or platform.processor() or platform.machine(), "architecture": platform.machine(),
            "cpus": os.cpu_count() or 1, "flags": [f for f in FLAGS if f in have]}


def saturates(flags: Iterable[str]) -> bool:
    """Whether integer kernels of a CPU with these flags add pairs of products in 16 bits."""
    return not EXACT.intersection(flags)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the result depends on; absent ones are left out."""
    out = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            out[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return out
