"""Keep tf2onnx from turning loops into LSTM and GRU by their looks.

Its rewriters find the loop of a Keras LSTM or GRU and want its weights as constants, which a trace without weights does not have: they fail, and
with them the whole conversion. Layers that ONNX has an operator for come as a mark (:mod:`converter.frontend.forms.recurrent`); what is still
a loop here is a cell, an activation or a precision that the operators do not have, and is to stay one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

REWRITERS = ("rewriter_lstm_tf2", "rewrite_gru_tf2")
_LOCK = threading.RLock()


@contextlib.contextmanager
def left_alone(tfonnx: Any) -> Iterator[None]:
    """While it is open, ``tf2onnx.tfonnx`` does not use the rewriters for recurrent layers."""
    with _LOCK:
        originals = {name: getattr(tfonnx, name) for name in REWRITERS}
        for name in REWRITERS:
            setattr(tfonnx, name, _nothing)
        try:
            yield
        finally:
            for name, original in originals.items():
                setattr(tfonnx, name, original)


def _nothing(graph: Any, operations: Any) -> Any:
    """A rewriter gives all operations of the graph."""
    return operations
