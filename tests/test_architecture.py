"""The limits of the house hold for converter/, and each check notices an offender planted for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.house_rules import (
    CHECKS,
    FILE_LINES,
    FUNCTION_LINES,
    ORDER,
    PLACES,
    Check,
    Module,
    broad_except,
    docstrings,
    file_length,
    foreign_names,
    function_length,
    import_order,
    lazy_libraries,
    library_places,
    mutable_globals,
    printing,
    read,
    untested,
    vague_names,
)

ROOT = Path(__file__).resolve().parent.parent
HOUSE = read(ROOT, "converter")
TESTS = [module for module in read(ROOT, "tests") if module.path.rsplit("/", 1)[-1].startswith("test_")]
HEAVY = ("tensorflow", "keras", "tf2onnx", "onnxruntime", "onnx")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_converter_keeps_to(check: Check) -> None:
    assert HOUSE, "no source was found"
    assert [finding for module in HOUSE for finding in check(module)] == []


def test_every_module_is_tested() -> None:
    assert untested(HOUSE, TESTS) == []


def _function(lines: int, docstring: int = 0) -> str:
    doc = '    """' + "x\n" * docstring + '    """\n' if docstring else ""
    return "def f():\n" + doc + "    x = 1\n" * (lines - 1)


# (check, path, source that must be found)
OFFENDERS = [
    (import_order, "graph/edit.py", "import converter.passes.base"),
    (import_order, "graph/edit.py", "from converter import passes"),
    (import_order, "graph/edit.py", "from ..passes import base"),
    (import_order, "graph/edit.py", "def f():\n    from converter.cli import main"),
    (import_order, "passes/base.py", "from converter.targets import get"),
    (import_order, "errors.py", "from converter.registry import Registry"),
    (import_order, "ship/bundle.py", "from converter import export"),
    (import_order, "ship/bundle.py", "import importlib\nimportlib.import_module('converter.cli')"),
    (import_order, "attic/old.py", "import os"),
    (library_places, "graph/edit.py", "import onnx"),
    (library_places, "graph/edit.py", "from onnx import helper"),
    (library_places, "graph/io_more.py", "import onnx.checker"),
    (library_places, "verify/compare.py", "def f():\n    import onnxruntime as ort"),
    (library_places, "quantize/plan.py", "from tensorflow import keras"),
    (library_places, "data/npz.py", "import keras.utils"),
    (library_places, "passes/base.py", "from tf2onnx import tfonnx"),
    (library_places, "api.py", "__import__('onnxruntime')"),
    (lazy_libraries, "frontend/trace.py", "import tensorflow as tf"),
    (lazy_libraries, "frontend/trace.py", "try:\n    from keras import layers\nexcept ImportError:\n    pass"),
    (lazy_libraries, "frontend/trace.py", "try:\n    import numpy\nexcept ImportError:\n    import keras"),
    (lazy_libraries, "finetune/train.py", "class A:\n    import keras"),
    (file_length, "spec/quant.py", "x = 1\n" * (FILE_LINES + 1)),
    (function_length, "spec/quant.py", _function(FUNCTION_LINES + 1)),
    (function_length, "spec/quant.py", _function(FUNCTION_LINES + 1, docstring=5)),
    (function_length, "spec/quant.py", "class A:\n    async " + _function(FUNCTION_LINES + 1).replace("\n", "\n    ").rstrip()),
    (vague_names, "utils/io.py", ""),
    (vague_names, "graph/node_helper.py", ""),
    (vague_names, "ship/manager.py", ""),
    (broad_except, "api.py", "try:\n    f()\nexcept:\n    pass"),
    (broad_except, "api.py", "try:\n    f()\nexcept Exception as e:\n    g(e)"),
    (broad_except, "api.py", "try:\n    f()\nexcept (OSError, BaseException):\n    pass"),
    (broad_except, "api.py", "try:\n    f()\nexcept builtins.Exception:\n    if x:\n        raise"),
    (broad_except, "api.py", "with contextlib.suppress(Exception):\n    f()"),
    (printing, "api.py", "print('x')"),
    (printing, "ship/bundle.py", "def f():\n    click.echo('x')"),
    (printing, "ship/bundle.py", "sys.stderr.write('x')"),
    (mutable_globals, "targets/ort_cpu.py", "CACHE = {}"),
    (mutable_globals, "targets/ort_cpu.py", "CACHE: dict[str, int] = dict()"),
    (mutable_globals, "targets/ort_cpu.py", "SEEN = [i for i in range(3)]"),
    (mutable_globals, "targets/ort_cpu.py", "if x:\n    A = B = [1]"),
    (mutable_globals, "targets/ort_cpu.py", "class A:\n    seen = set()"),
    (mutable_globals, "targets/ort_cpu.py", "import collections\nCACHE = collections.defaultdict(list)"),
    (mutable_globals, "targets/ort_cpu.py", "X = None\ndef f():\n    global X\n    X = 1"),
    (docstrings, "api.py", "x = 1"),
    (docstrings, "api.py", '"""Doc."""\ndef f(): ...'),
    (docstrings, "api.py", '"""Doc."""\nclass A:\n    """Doc."""\n    def f(self): ...'),
    (docstrings, "api.py", '"""Doc."""\nclass A: ...'),
]

# (check, path, source that must be let through)
HONEST = [
    (import_order, "registry.py", "from converter.errors import known"),
    (import_order, "graph/edit.py", "from converter.graph.query import value\nfrom converter import spec, __version__\nfrom . import query"),
    (import_order, "__init__.py", "from converter import api, cli"),
    (library_places, "graph/io.py", "import onnx"),
    (library_places, "graph/edit.py", "import onnx_ir as ir"),
    (library_places, "verify/session.py", "import onnxruntime"),
    (lazy_libraries, "frontend/trace.py", "if TYPE_CHECKING:\n    import keras\ndef f():\n    import tensorflow as tf"),
    (file_length, "spec/quant.py", "x = 1\n" * FILE_LINES),
    (function_length, "spec/quant.py", _function(FUNCTION_LINES)),
    (function_length, "spec/quant.py", _function(FUNCTION_LINES, docstring=20)),
    (vague_names, "graph/helpful.py", ""),
    (broad_except, "api.py", "try:\n    f()\nexcept OSError:\n    pass"),
    (broad_except, "api.py", "try:\n    f()\nexcept BaseException:\n    clean()\n    raise"),
    (printing, "cli/road.py", "print('x')"),
    (mutable_globals, "targets/ort_cpu.py", "__all__ = ['a']\nA = (1, 2)\nB: Mapping[str, int] = {'a': 1}\nC = MappingProxyType({'a': 1})"),
    (mutable_globals, "targets/ort_cpu.py", "TARGETS: Registry[int] = Registry('target', 'converter.targets')\ndef f():\n    seen = {}"),
    (docstrings, "api.py", '"""Doc."""\ndef _f(): ...\ndef g():\n    """Doc."""\n    def inner(): ...'),
]


@pytest.mark.parametrize(("check", "path", "source"), OFFENDERS)
def test_an_offender_is_found(check: Check, path: str, source: str) -> None:
    assert check(Module(f"converter/{path}", source))


@pytest.mark.parametrize(("check", "path", "source"), HONEST)
def test_honest_code_is_let_through(check: Check, path: str, source: str) -> None:
    assert check(Module(f"converter/{path}", source)) == []


def test_every_check_has_an_offender_and_an_honest_example() -> None:
    assert {check for check, _, _ in OFFENDERS} == {check for check, _, _ in HONEST} == set(CHECKS)


def test_untested_modules_are_found() -> None:
    modules = [Module("converter/graph/io.py", "x = 1\n" * 31), Module("converter/graph/query.py", "x = 1\n" * 30)]
    assert untested(modules, []) == ["converter/graph/io.py: no test imports it"]
    assert untested(modules, [Module("tests/graph/test_edit.py", "from converter.graph.io_more import load")]) != []
    for test in (Module("tests/test_x.py", "from converter.graph.io import load"), Module("tests/test_x.py", "from converter.graph import io"),
                 Module("tests/graph/test_io.py", "")):
        assert untested(modules, [test]) == []


def test_every_package_has_its_place() -> None:
    assert len({name for row in ORDER for name in row}) == sum(map(len, ORDER))
    assert {place.split("/")[1] for places in PLACES.values() for place in places} <= {name for row in ORDER for name in row}


# Files as git sees them.


def _tracked() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, capture_output=True, check=True)
    return [path for name in listing.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_registry_or_a_folder_of_one_machine() -> None:
    found = []
    for path in _tracked():
        blob = path.read_bytes()
        if b"\0" not in blob:
            found += foreign_names(path.relative_to(ROOT).as_posix(), blob.decode("utf-8", "replace"))
    assert found == []


@pytest.mark.parametrize("text", ["https://py" + "pi.org/simple", "see files.Python" + "Hosted.org", "http://deb." + "debian.org/x",
                                  "cd /wo" + "rk/main", "'/t" + "mp/x'", "PATH=/ro" + "ot/.local", "/ho" + "me/someone"])
def test_foreign_names_are_found(text: str) -> None:
    assert foreign_names("a.md", f"fine\n{text}\n")[0].startswith("a.md:2: ")


@pytest.mark.parametrize("text", ["src/work/x", "a framework/root", "https://example.org/home/x", "/usr/share/datasets", "tmp_path / 'x'"])
def test_other_names_are_let_through(text: str) -> None:
    assert foreign_names("a.md", text) == []


# What an import costs, in a fresh process.


def _python(*arguments: str) -> str:
    """What a fresh interpreter prints."""
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=ROOT, env=unmeasured)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _loaded(statement: str, names: tuple[str, ...]) -> set[str]:
    """Those of ``names`` that are loaded after ``statement``."""
    return set(json.loads(_python("-c", f"{statement}\nimport json, sys\nprint(json.dumps([n for n in {names!r} if n in sys.modules]))")))


@pytest.mark.parametrize("module", ["converter", "converter.cli", "converter.api"])
def test_importing_loads_no_engine(module: str) -> None:
    assert _loaded(f"import {module}", HEAVY) == set()


def test_a_loaded_engine_is_found() -> None:
    assert _loaded("import sqlite3", (*HEAVY, "sqlite3")) == {"sqlite3"}


def test_help_does_not_keep_people_waiting() -> None:
    """The promise is half a second. The bound is loose, for shared machines, and still below what any engine takes to load."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        assert "ship" in _python("-m", "converter", "--help")
        times.append(time.perf_counter() - start)
    assert min(times) < 1.5
