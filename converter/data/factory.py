"""``package.module:factory``: Python code of the user that is found by its name."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from converter.errors import InputError, known

SPELLING = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def is_factory(text: str) -> bool:
    """Whether ``text`` is spelled ``package.module:factory``."""
    return SPELLING.fullmatch(text) is not None


def load_factory(text: str) -> Callable[[], Any]:
    """The callable that ``text`` names; its module is looked for in the current directory first.

    Raises:
        InputError: the module cannot be imported, has no such name, or the thing cannot be called. Whatever else the
            module raises while it is imported is passed on.
    """
    module_name, _, path = text.partition(":")
    try:
        with working_directory_first():
            thing: Any = importlib.import_module(module_name)
    except (ImportError, SyntaxError) as error:
        raise InputError(f"{text}: module {module_name!r} cannot be imported from {Path.cwd()} or the installed packages; "
                         f"received {type(error).__name__}: {error}") from error
    for part in path.split("."):
        if not hasattr(thing, part):
            raise InputError(f"{text}: no {part!r} there; received {path!r}, existing: {known(n for n in vars(thing) if not n.startswith('_'))}")
        thing = getattr(thing, part)
    if not callable(thing):
        raise InputError(f"{text}: it must be a function or a class, which is called without arguments; received {type(thing).__name__}")
    return thing  # type: ignore[no-any-return]


@contextmanager
def working_directory_first() -> Iterator[None]:
    """The current directory at the front of ``sys.path``, as for a script that is run there, and gone again after."""
    here = str(Path.cwd())
    importlib.invalidate_caches()  # the file may be younger than what the importer has listed
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)
