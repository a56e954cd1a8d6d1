"""Peak of resident memory of this process, in bytes."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path


def start_peak() -> float:
    """What is resident now; the peak is counted anew from here where the system can do that (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> float:
    """The peak since the start of the process, or since :func:`start_peak`."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
