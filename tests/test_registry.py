"""A file in the package is a thing in the registry; it is read at the first look-up and not before."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from converter.errors import UsageError
from converter.registry import Registry

ANIMALS = "from registry_of import ANIMALS\nANIMALS.add('{0}', '{1}')\n"


@pytest.fixture
def animals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[str]:
    package = tmp_path / "animals_package"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "dog.py").write_text(ANIMALS.format("dog", "woof"), encoding="utf-8")
    (package / "cat.py").write_text(ANIMALS.format("cat", "meow"), encoding="utf-8")
    (tmp_path / "registry_of.py").write_text("from converter.registry import Registry\nANIMALS = Registry('animal', 'animals_package')\n",
                                             encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [n for n in sys.modules if n.startswith(("animals_package", "registry_of"))]:
        monkeypatch.delitem(sys.modules, name)
    found: Registry[str] = importlib.import_module("registry_of").ANIMALS
    return found


def test_the_package_is_read_at_the_first_look_up(animals: Registry[str]) -> None:
    assert "animals_package.dog" not in sys.modules
    assert animals.get("dog") == "woof"
    assert "animals_package.cat" in sys.modules


def test_names_and_things_are_sorted(animals: Registry[str]) -> None:
    assert animals.names() == ["cat", "dog"]
    assert list(animals) == [("cat", "meow"), ("dog", "woof")]


def test_an_unknown_name_lists_what_there_is(animals: Registry[str]) -> None:
    with pytest.raises(UsageError, match="unknown animal 'cow'; known: cat, dog"):
        animals.get("cow")


def test_a_name_is_taken_once() -> None:
    registry: Registry[int] = Registry("number", "animals_package")
    registry.add("one", 1)
    with pytest.raises(ValueError, match="number 'one' is registered twice"):
        registry.add("one", 2)


def test_the_decorator_registers_and_gives_back_the_thing() -> None:
    registry: Registry[object] = Registry("function", "animals_package")

    @registry.register("f")
    def f() -> int:
        return 3

    assert f() == 3
    with pytest.raises(ValueError, match="registered twice"):
        registry.add("f", f)
