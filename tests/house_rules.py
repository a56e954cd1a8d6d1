"""The limits of the house as functions over source text: each takes a module and gives its findings, one line each.

They read the code and never run it. ``tests/test_architecture.py`` applies them to converter/, and each to an offender planted for it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

FILE_LINES, FUNCTION_LINES = 300, 45

# A package imports itself and what stands in an earlier row; two packages in one row do not know each other.
ORDER = (("errors", "progress"), ("registry",), ("spec",), ("graph",), ("passes", "targets"), ("data",), ("verify",), ("frontend", "calibrate"),
         ("quantize",), ("transfer",), ("finetune",), ("ship",), ("api",), ("console",), ("cli",), ("__init__", "__main__"))

# Where a library may be imported: path prefixes. Keras and TensorFlow take seconds to load, so even there only inside functions.
PLACES = {
    "onnx": ("converter/graph/io.py",),
    "onnxruntime": ("converter/verify/session.py",),
    "tf2onnx": ("converter/frontend/",),
    "keras": ("converter/frontend/", "converter/finetune/", "converter/data/images.py"),
    "tensorflow": ("converter/frontend/", "converter/finetune/", "converter/data/images.py"),
}
LAZY = ("keras", "tensorflow", "tf2onnx")

BROAD = ("Exception", "BaseException")
MUTABLE_CALLS = ("list", "dict", "set", "bytearray", "defaultdict", "OrderedDict", "Counter", "deque", "zeros", "ones", "empty")
READ_ONLY = ("Mapping", "Sequence", "Set", "AbstractSet", "Iterable", "Collection", "Registry")
VAGUE = re.compile(r"(^|_)(utils?|helpers?|managers?)(_|$)")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


@dataclass(frozen=True)
class Module:
    """A source file: its path below the repository, with slashes, and its text."""

    path: str
    source: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.path)

    @property
    def package(self) -> str:
        """The name that ORDER knows it by: the folder, or the stem of a file at the top."""
        return self.path.split("/")[1].removesuffix(".py")

    @property
    def dotted(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def at(self, node: ast.AST, text: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {text}"


Check = Callable[[Module], list[str]]


def read(root: Path, *folders: str) -> list[Module]:
    """Every Python file below the named folders of ``root``, sorted by path."""
    files = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    return [Module(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in files]


def imported(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Every import in the module, wherever it stands, as the full dotted name; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            yield from ((node, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__"):
            yield from ((node, str(name.value)) for name in node.args[:1] if isinstance(name, ast.Constant))


def import_order(module: Module) -> list[str]:
    """A package imports only itself and what stands to its left."""
    rank = {name: row for row, names in enumerate(ORDER) for name in names}
    if module.package not in rank:
        return [f"{module.path}: {module.package} has no place in the import order"]
    found = []
    for node, name in imported(module):
        parts = name.split(".")
        if parts[0] != "converter" or (len(parts) > 1 and parts[1].startswith("__")):
            continue
        target = parts[1] if len(parts) > 1 and parts[1] in rank else "api"  # `from converter import export`: a name of the API
        if target != module.package and rank[target] >= rank[module.package]:
            found.append(module.at(node, f"{module.package} imports {target}, which does not stand to its left"))
    return found


def library_places(module: Module) -> list[str]:
    """Each of the big libraries is imported in its one place only."""
    return [module.at(node, f"{name.split('.')[0]} is imported outside {', '.join(PLACES[name.split('.')[0]])}")
            for node, name in imported(module)
            if not module.path.startswith(PLACES.get(name.split(".")[0], ("",)))]


def lazy_libraries(module: Module) -> list[str]:
    """Keras, TensorFlow and tf2onnx are imported inside functions, or for type checking only."""
    eager = {node.lineno for node in _eager(module.tree.body)}
    return [module.at(node, f"{name.split('.')[0]} is imported when the module is") for node, name in imported(module)
            if name.split(".")[0] in LAZY and getattr(node, "lineno", 0) in eager]


def file_length(module: Module) -> list[str]:
    """A file has at most FILE_LINES lines."""
    count = len(module.source.splitlines())
    return [f"{module.path}: {count} lines, at most {FILE_LINES}"] if count > FILE_LINES else []


def function_length(module: Module) -> list[str]:
    """A function has at most FUNCTION_LINES lines, its docstring and decorators not counted."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            if lines > FUNCTION_LINES:
                found.append(module.at(node, f"{node.name} has {lines} lines, at most {FUNCTION_LINES}"))
    return found


def vague_names(module: Module) -> list[str]:
    """No module is called utils, helper or manager."""
    return [f"{module.path}: {part!r} says nothing" for part in module.path.removesuffix(".py").split("/") if VAGUE.search(part)]


def broad_except(module: Module) -> list[str]:
    """Nothing catches everything, unless the last thing it does is to raise."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and not isinstance(node.body[-1], ast.Raise):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or _name(kind) in BROAD for kind in caught):
                found.append(module.at(node, "catches everything and goes on"))
        elif isinstance(node, ast.Call) and _name(node.func) == "suppress" and any(_name(kind) in BROAD for kind in node.args):
            found.append(module.at(node, "suppresses everything"))
    return found


def printing(module: Module) -> list[str]:
    """Only cli writes to the terminal, and console.py, which is how that looks."""
    if module.package == "cli" or module.path == "converter/console.py":
        return []
    return [module.at(node, "prints") for node in ast.walk(module.tree) if isinstance(node, ast.Call)
            and (_name(node.func) in ("print", "echo", "secho")
                 or re.fullmatch(r"sys\.(__)?std(out|err)(__)?\.write(lines)?", ast.unparse(node.func)))]


def mutable_globals(module: Module) -> list[str]:
    """No state at module level but registries; a table is a tuple, a frozenset, or annotated with a read-only type."""
    found = [module.at(node, "global statement") for node in ast.walk(module.tree) if isinstance(node, ast.Global)]
    for node in _eager(module.tree.body):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _is_mutable(node.value):
            names = [ast.unparse(target) for target in (node.targets if isinstance(node, ast.Assign) else [node.target])]
            if names != ["__all__"] and not (isinstance(node, ast.AnnAssign) and _is_read_only(node.annotation)):
                found.append(module.at(node, f"{names[0]} is a mutable global"))
    return found


def docstrings(module: Module) -> list[str]:
    """A module, and every public class, function and method has a docstring."""
    return [module.at(node, f"{getattr(node, 'name', 'module')} has no docstring") for node in _public(module.tree)
            if not ast.get_docstring(node)]


CHECKS: tuple[Check, ...] = (import_order, library_places, lazy_libraries, file_length, function_length, vague_names, broad_except, printing,
                             mutable_globals, docstrings)


def untested(modules: list[Module], tests: list[Module], least: int = 30) -> list[str]:
    """Modules of more than ``least`` lines that no test imports and that no test file mirrors (tests/graph/test_io*.py for graph/io.py).

    What only its own folder imports is tested through the modules of that folder that a test imports; coverage counts its lines.
    """
    stems = [re.sub(r"(^|/)test_", r"\1", test.path.removeprefix("tests/").removesuffix(".py")) for test in tests]
    mirrored = [m for m in modules if any(stem.startswith(m.path.removeprefix("converter/").removesuffix(".py")) for stem in stems)]
    reached = {m.dotted for m in mirrored} | _named(modules, {name for test in tests for _, name in imported(test)})
    while True:
        inner = {other for m in modules if m.dotted in reached for other in _named(modules, {name for _, name in imported(m)})
                 if _folder(other) == _folder(m.dotted) or other.startswith(m.dotted + ".") or m.dotted == _folder(other)}
        if inner <= reached:
            break
        reached |= inner
    return [f"{m.path}: no test imports it" for m in modules if len(m.source.splitlines()) > least and m.dotted not in reached]


def _named(modules: list[Module], names: set[str]) -> set[str]:
    """Dotted names of the modules that the imported ``names`` are, or are in."""
    return {m.dotted for m in modules if any(name == m.dotted or name.startswith(m.dotted + ".") for name in names)}


def _folder(dotted: str) -> str:
    return dotted.rpartition(".")[0]


def foreign_names(path: str, text: str) -> list[str]:
    """Lines that name a package registry or a folder of one machine. (Put together here, so that this file does not name them.)"""
    hosts = ("py" + "pi.org", "python" + "hosted", "npm" + "js.", "deb." + "debian")
    folders = "|".join(("wo" + "rk", "t" + "mp", "ro" + "ot", "ho" + "me"))
    pattern = re.compile("|".join(map(re.escape, hosts)) + rf"|(?<![\w.-])/(?:{folders})(?:/|\b(?![.-]))", re.IGNORECASE)
    return [f"{path}:{number}: {match.group()}" for number, line in enumerate(text.splitlines(), 1) for match in pattern.finditer(line)]


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.path.removesuffix(".py").split("/")[:-node.level]
    return ".".join(parts + ([node.module] if node.module else []))


def _name(node: ast.AST | None) -> str:
    """The last part of a dotted name; empty for anything else."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _eager(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported, those under ``if TYPE_CHECKING`` left out."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING":
            yield from _eager(node.orelse)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef | ast.For | ast.While):
            for block in ("body", "orelse", "finalbody"):
                yield from _eager(getattr(node, block, []))
            for handler in getattr(node, "handlers", []):
                yield from _eager(handler.body)


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    return isinstance(value, ast.Call) and _name(value.func) in MUTABLE_CALLS


def _is_read_only(annotation: ast.expr) -> bool:
    if isinstance(annotation, ast.Subscript) and _name(annotation.value) in ("Final", "ClassVar"):
        return _is_read_only(annotation.slice)
    return _name(annotation.value if isinstance(annotation, ast.Subscript) else annotation) in READ_ONLY


def _public(node: ast.Module | ast.ClassDef) -> Iterator[Documented]:
    if isinstance(node, ast.Module):
        yield node
    for child in node.body:
        if isinstance(child, ast.ClassDef | Function) and not child.name.startswith("_") and not _is_excused(child):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from _public(child)


def _is_excused(node: ast.ClassDef | Function) -> bool:
    """Overloads and setters are documented where the thing itself is."""
    return any(_name(mark) in ("overload", "setter", "override") for mark in node.decorator_list)
