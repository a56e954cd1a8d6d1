"""Functions of Keras that are traced another way than Keras computes them, one family a file.

Where Keras spells an operator that ONNX has in a way that hides it (``argmax`` reads the bits of its input, ``logdet`` decomposes a
matrix), no replacement of single operators finds it again. Only the trace is changed, never the reference it is compared with.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator
from typing import Any

from converter.registry import Registry

FUNCTIONS: Registry[Callable[..., Any]] = Registry("Keras function", "converter.frontend.functions")
"""By module and name in Keras' TensorFlow backend (``numpy.argmax``), ``function(tf, original, *args, **kwargs)``; ``original`` is for
whatever it does not cover."""


@contextlib.contextmanager
def plain_functions(keras: Any, tf: Any) -> Iterator[None]:
    """While it is open, functions that have another form are traced by it."""
    places = [(importlib.import_module(f"{keras.__name__}.src.backend.tensorflow.{module}"), name, FUNCTIONS.get(f"{module}.{name}"))
              for module, name in (full.split(".") for full in FUNCTIONS.names())]
    originals = [getattr(module, name) for module, name, _ in places]
    for (module, name, function), original in zip(places, originals, strict=True):
        setattr(module, name, functools.wraps(original)(functools.partial(function, tf, original)))
    try:
        yield
    finally:
        for (module, name, _), original in zip(places, originals, strict=True):
            setattr(module, name, original)
