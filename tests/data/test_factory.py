"""Python code as data: functions, generators, data sets of any library, and the text that names them."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from converter.data import open_source
from converter.errors import InputError
from converter.spec.signature import TensorInfo

X = TensorInfo("x", (None, 2), "float32")
MODULE = """
import numpy as np
from {beside} import VALUE

number = 7
calls = []

def generator():
    calls.append(1)
    for n in (3, 1):
        yield np.full((n, 2), VALUE, "float32"), np.arange(n)

def array():
    return np.full((4, 2), VALUE, "float32")

def late():
    import {late}
    return {late}.generator()

def path():
    return "a.npz"

def nothing(): pass
def empty(): return iter(())
def needs(argument): pass
def function(): return generator

class Space:
    @staticmethod
    def generator():
        return generator()

class Batches:
    def __len__(self): return 2
    def __getitem__(self, index): return np.full((3, 2), index, "float32")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Name of a module in the current directory, which is not on the import path."""
    monkeypatch.chdir(tmp_path)
    name = f"userdata_{tmp_path.name}"
    (tmp_path / f"{name}_beside.py").write_text("VALUE = 5")
    (tmp_path / f"{name}_late.py").write_text("import numpy as np\ndef generator(): yield np.zeros((2, 2), 'float32')")
    (tmp_path / f"{name}.py").write_text(MODULE.format(beside=f"{name}_beside", late=f"{name}_late"))
    (tmp_path / f"{name}_broken.py").write_text("def (")
    (tmp_path / f"{name}_imports.py").write_text("import no_such_library_here")
    np.savez(tmp_path / "a.npz", x=np.ones((5, 2), "float32"))
    yield name
    for loaded in [m for m in sys.modules if m.startswith(name)]:
        del sys.modules[loaded]


def total(source, size=2):
    return sum(len(b) for b in source.batches(size))


@pytest.mark.parametrize(("factory", "count"), [("generator", 4), ("array", 4), ("late", 2), ("path", 5), ("Batches", 6), ("Space.generator", 4)])
def test_a_factory_in_the_current_directory(module, factory, count):
    before = list(sys.path)
    source = open_source(f"{module}:{factory}", [X])
    assert [total(source), total(source)] == [count, count]
    assert sys.path == before


def test_a_factory_may_import_what_lies_beside_it_at_every_call(module):
    source = open_source(f"{module}:late", [X])
    del sys.modules[f"{module}_late"]
    assert total(source) == 2


def test_labels_and_name_of_a_generator(module):
    source = open_source(f"{module}:generator", [X], labels=True)
    assert source.name == f"{module}:generator"
    assert source.count is None
    assert [b.labels.tolist() for b in source.batches(2)] == [[0, 1], [2, 0]]


@pytest.mark.parametrize(("factory", "text"), [
    ("{m}_none:f", "module '{m}_none' cannot be imported from .*; received ModuleNotFoundError"),
    ("{m}_broken:f", "cannot be imported.*; received SyntaxError"),
    ("{m}_imports:f", "received ModuleNotFoundError: No module named 'no_such_library_here'"),
    ("{m}:f", "no 'f' there; received 'f', existing: .*generator"),
    ("{m}:Space.f", "no 'f' there; received 'Space.f', existing: generator"),
    ("{m}:number", "must be a function or a class.*; received int"),
    ("{m}:nothing", "must return batches; received NoneType, data is a tf.data.Dataset"),
    ("{m}:function", "must return batches; received function"),
    ("{m}:needs", "called without arguments, and missing a required argument: 'argument'; received <function needs"),
    ("{m}:empty", "received no samples; the model wants x"),
])
def test_a_factory_that_is_no_good(module, factory, text):
    before = list(sys.path)
    with pytest.raises(InputError, match=text.format(m=module)):
        total(open_source(factory.format(m=module), [X]))
    assert sys.path == before


def test_what_the_users_code_raises_is_passed_on():
    def broken():
        raise ZeroDivisionError

    def breaks_later():
        yield np.zeros((1, 2), "float32")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        open_source(broken, [X])
    with pytest.raises(ZeroDivisionError):
        total(open_source(breaks_later, [X]))


def test_an_iterator_is_refused_because_it_can_be_read_only_once():
    with pytest.raises(InputError, match="an iterator can be read only once, pass the function that makes it; received generator"):
        open_source((np.zeros((1, 2)) for _ in range(3)), [X])
    once = iter([np.zeros((1, 2), "float32")])
    with pytest.raises(InputError, match="every call must make a new iterator; received the same one twice"):
        total(open_source(lambda: once, [X]))
    results = iter([iter(()), [1]])
    with pytest.raises(InputError, match="every call must make a new iterator; received list"):
        total(open_source(lambda: next(results), [X]))


@pytest.mark.parametrize(("element", "text"), [
    (None, r"only numbers can be fed; received object|wrong shape; received object \[\]"), (3.0, r"wrong shape.*received float64 \[\]"),
    ((np.zeros((2, 2), "float32"), [[1], [2, 3]]), "labels 'y': not an array .*; received list"), ((), "received an empty tuple")])
def test_batches_that_are_no_batches(element, text):
    with pytest.raises(InputError, match=text):
        total(open_source(lambda: iter([element]), [X], labels=isinstance(element, tuple)))


def test_a_list_is_a_list_of_batches_and_never_inputs_and_labels():
    x = np.zeros((3, 2), "float32")
    assert total(open_source([x, x], [X])) == 6
    assert total(open_source(lambda: [(x, np.arange(3)), (x, np.arange(3))], [X], labels=True)) == 6
    with pytest.raises(InputError, match=r"from sample 3 on: wrong shape.*; received int64 \[3\]"):
        total(open_source([x, np.arange(3)], [X]))


@pytest.mark.parametrize("y", [{"a": np.zeros(1), "b": np.zeros(1)}, (np.zeros(1), np.zeros(1))])
def test_labels_of_several_outputs_are_refused_only_if_they_are_needed(y):
    data = [(np.zeros((1, 2), "float32"), y)]
    with pytest.raises(InputError, match=r"labels must be one array; received 2 in a (dict|tuple)"):
        total(open_source(lambda: iter(data), [X], labels=True))
    assert next(open_source(lambda: iter(data), [X]).batches(1)).labels is None


def test_labels_as_a_list_of_numbers():
    source = open_source(lambda: iter([(np.zeros((2, 2), "float32"), [3, 4])]), [X], labels=True)
    assert next(source.batches(2)).labels.tolist() == [3, 4]
    source = open_source(lambda: iter([(np.zeros((2, 2), "float32"), [[3, -1], [4, 5]])]), [X], labels=True)
    assert next(source.batches(2)).labels.tolist() == [[3, -1], [4, 5]]


@pytest.mark.parametrize(("data", "text"), [
    ("no/such/file.txt", "no/such/file.txt: no such file or folder; received 'no/such/file.txt', data is a .npz file, a folder"),
    (5, "int: not data; received int, data is a .npz file"), (None, "NoneType: not data; received NoneType")])
def test_what_is_no_data(data, text):
    with pytest.raises(InputError, match=text):
        open_source(data, [X])


def test_an_open_source_is_kept_or_checked_again():
    source = open_source((np.zeros((3, 2), "float32"), np.arange(3)), [X])
    assert open_source(source, [X]) is source
    again = open_source(source, [X], labels=True)
    assert (again.count, again.name) == (3, "tuple")
    assert [b.labels.tolist() for b in again.batches(2)] == [[0, 1], [2]]
    with pytest.raises(InputError, match="wrong shape; received float32"):
        total(open_source(source, [TensorInfo("x", (None, 3), "float32")]))
    with pytest.raises(InputError, match="labels are needed"):
        total(open_source(open_source(np.zeros((3, 2), "float32"), [X]), [X], labels=True))
    assert total(open_source(lambda: source, [X])) == 3
