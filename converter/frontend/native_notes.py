"""Hold back what native libraries write to standard error while they are loaded, before any setting of theirs can reach them."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

NOTE = re.compile(rb"^(WARNING: All log messages before absl::InitializeLog|[IW]\d{4} )")  # absl's own form: a level, month and day


@contextmanager
def held_back() -> Iterator[None]:
    """Run the body with standard error held; afterwards everything that is not a note of absl's is written after all."""
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        real = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            for line in held:
                if not NOTE.match(line):
                    os.write(2, line)
