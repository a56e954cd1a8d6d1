"""Where a model lies and what its ends are called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from converter.errors import InputError, UsageError
from converter.frontend import keras_source
from converter.frontend.keras_source import call_spec, is_keras, open_model, output_names, variable_names
from tests.frontend.building import chain, layers

FACTORY = """
import keras
def model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="made")
ready = model()
class Space:
    inner = staticmethod(model)
number = 3
def nothing():
    return 7
def broken():
    raise RuntimeError("out of luck")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"factory_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    return name


@pytest.mark.parametrize("thing", ["model", "ready", "Space.inner"])
def test_a_factory_gives_the_model(thing: str, module: str) -> None:
    assert open_model(f"{module}:{thing}").name == "made"


@pytest.mark.parametrize(("thing", "text"), [
    ("missing", "missing.*existing: .*model"), ("Space.missing", "no 'missing' there"), ("number", "int"), ("nothing", "gave a int, a keras.Model is needed")])
def test_a_factory_that_is_none_is_refused(thing: str, text: str, module: str) -> None:
    with pytest.raises(InputError, match=text):
        open_model(f"{module}:{thing}")


def test_a_module_that_is_missing_is_refused() -> None:
    with pytest.raises(InputError, match="'no_such_module' cannot be imported"):
        open_model("no_such_module:model")


def test_an_error_of_the_factory_itself_is_passed_on(module: str) -> None:
    with pytest.raises(RuntimeError, match="out of luck"):
        open_model(f"{module}:broken")


@pytest.mark.parametrize(("source", "answer"), [
    ("m.keras", True), ("m.h5", True), ("m.hdf5", True), (Path("m.keras"), True), ("module:factory", True), ("a.b:c.d", True), ("m.onnx", False),
    ("folder", False), ("c:m.onnx", False), (3, False), (None, False)])
def test_what_looks_like_keras(source: Any, answer: bool) -> None:
    assert is_keras(source) is answer


def test_a_live_model_is_keras() -> None:
    assert is_keras(chain((3,), layers.Dense(2)))
    assert not is_keras(layers.Dense(2))


def test_another_backend_is_refused() -> None:
    code = "from converter.frontend.keras_source import import_keras as f; from converter.errors import UsageError as e\ntry: f()\nexcept e as x: print(x)"
    done = subprocess.run([sys.executable, "-c", code], env={"KERAS_BACKEND": "numpy", "PYTHONPATH": ":".join(sys.path)}, capture_output=True, check=False, text=True)
    assert "numpy" in done.stdout
    assert "converter needs KERAS_BACKEND=tensorflow" in done.stdout


def test_the_terminal_stays_the_users() -> None:
    """What the user has set is not overwritten."""
    code = "import os; from converter.frontend.keras_source import quiet_tensorflow as q; q(); print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    for given, expected in (({}, "3"), ({"TF_CPP_MIN_LOG_LEVEL": "0"}, "0")):
        done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path), **given}, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected


def spec(*shape: int | None, dtype: str = "float32") -> Any:
    return keras.KerasTensor(shape, dtype)


class Named:
    """Something with output names, as a functional model has."""

    def __init__(self, names: list[str] | None = None) -> None:
        self.output_names = names


@pytest.mark.parametrize(("names", "outputs", "taken", "expected"), [
    (None, 1, (), ["output"]), (None, [1, 2], (), ["output_0", "output_1"]), (None, {"b": 1, "a": 2}, (), ["a", "b"]),
    (None, {"a": [1, 2]}, (), ["a_0", "a_1"]), (["p", "q"], [1, 2], (), ["p", "q"]), (["p"], [1, 2], (), ["output_0", "output_1"]),
    (["p", "p"], [1, 2], (), ["p", "p_1"]), (["p", "p", "p_1"], [1, 2, 3], (), ["p", "p_2", "p_1"]), (["x"], 1, ("x",), ["x_1"]),
    (["x", "x_1"], [1, 2], ("x",), ["x_2", "x_1"])])
def test_output_names_are_those_of_keras_and_unique(names: Any, outputs: Any, taken: tuple[str, ...], expected: list[str]) -> None:
    found = output_names(Named(names), outputs, taken)
    assert found == expected
    assert len({*found, *taken}) == len(found) + len(taken)


@pytest.mark.parametrize(("given", "names", "shapes"), [
    (spec(None, 3), ("input",), [(None, 3)]), (spec(5, 3), ("input",), [(None, 3)]), ([spec(1, 3), spec(1, 4)], ("input_0", "input_1"), [(None, 3), (None, 4)]),
    ({"k": spec(1, 3), "q": {"deep": spec(1, 4)}}, ("k", "q_deep"), [(None, 3), (None, 4)]), (np.zeros((2, 3), np.int32), ("input",), [(None, 3)])])
def test_an_input_specification_may_be_anything_with_a_shape_and_a_dtype(given: Any, names: tuple[str, ...], shapes: list[Any]) -> None:
    found = call_spec(chain((3,), layers.Dense(2)), given)
    assert found.names == names
    assert [tuple(t.shape) for t in keras.tree.flatten(found.structure)] == shapes


def test_variables_are_called_by_their_path_where_that_is_unique() -> None:
    model = chain((3,), layers.Dense(2, name="d"), layers.BatchNormalization(name="n"))
    assert variable_names(model) == [v.path for v in model.variables]


def test_variables_that_share_a_path_are_called_by_their_place() -> None:
    def part(name: str) -> Any:
        start = keras.Input((3,))
        return keras.Model(start, layers.Dense(3, name="d")(start), name=name)

    model = chain((3,), part("a"), part("b"), layers.Dense(3, name="e"))
    assert sorted(variable_names(model)) == ["a/d/bias", "a/d/kernel", "b/d/bias", "b/d/kernel", "e/bias", "e/kernel"]
    by_id = {id(v): n for v, n in zip(model.variables, variable_names(model), strict=True)}
    assert by_id[id(model.get_layer("b").get_layer("d").kernel)] == "b/d/kernel"


def test_a_shared_layer_is_called_by_its_first_place() -> None:
    shared = layers.Dense(3, name="d")

    def part(name: str, layer: Any) -> Any:
        start = keras.Input((3,))
        return keras.Model(start, layer(start), name=name)

    model = chain((3,), part("a", shared), part("b", shared), part("c", layers.Dense(3, name="d")))
    assert sorted(variable_names(model)) == ["a/d/bias", "a/d/kernel", "c/d/bias", "c/d/kernel"]


def test_a_file_that_is_none_and_a_text_that_is_no_factory() -> None:
    for text in ("no/such/file.keras", "a b:c", "c:/x.keras"):
        with pytest.raises(InputError, match="no such file"):
            open_model(text)
    assert issubclass(keras_source.UsageError, UsageError)


def test_a_chain_of_many_layers_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras walks it by recursion, deeper than Python goes by itself."""

    def walk(depth: int) -> int:
        return 0 if depth == 0 else 1 + walk(depth - 1)

    chain((4,), layers.ReLU()).save(tmp_path / "plain.keras")
    limit = sys.getrecursionlimit()
    monkeypatch.setattr(keras.saving, "load_model", lambda *args, **more: walk(5 * limit))
    assert open_model(tmp_path / "plain.keras") == 5 * limit and sys.getrecursionlimit() == limit
