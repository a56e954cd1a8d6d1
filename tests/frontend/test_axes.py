"""Free axes are called what they are, in inputs and outputs."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from converter.errors import UsageError
from converter.frontend.axes import name_axes
from converter.graph import query
from tests.frontend.building import export, layers
from tests.quantize.graphs import graph


def shapes(exported: Any) -> list[tuple[int | str | None, ...]]:
    inputs, outputs = query.signature(exported.graph)
    return [value.shape for value in (*inputs, *outputs)]


def named(ends: str, body: str, **given: str) -> list[tuple[int | str | None, ...]]:
    model = graph(ends, body)
    name_axes(model, {key.replace("__", ":"): name for key, name in given.items()})
    return [value.shape for part in query.signature(model) for value in part]


def test_images_have_height_and_width_and_outputs_follow_the_input() -> None:
    start = keras.Input((None, None, 3), name="x")
    model = keras.Model(start, [layers.ReLU(name="kept")(start), layers.Conv2D(4, 3, name="smaller")(start)])
    image = ("batch", "x_height", "x_width", 3)
    assert shapes(export(model)) == [image, image, ("batch", "smaller_height", "smaller_width", 4)]


def test_two_inputs_that_share_a_length() -> None:
    a, b = keras.Input((None, 4), name="a"), keras.Input((None, 4), name="b")
    model = keras.Model([a, b], layers.Add(name="y")([a, b]))
    exported = export(model, axes={"a:1": "time", "b:1": "time"})
    assert shapes(exported) == [("batch", "time", 4)] * 3
    assert exported.report.numbers["parity"]["relative"] == 0


@pytest.mark.parametrize(("rank", "names"), [(2, ["length"]), (3, ["length", "channels"]), (4, ["height", "width", "channels"]),
                                             (5, ["depth", "height", "width", "channels"]), (6, ["1", "2", "3", "4", "5"])])
def test_names_by_place(rank: int, names: list[str]) -> None:
    dims = ",".join("NABCDE"[:rank])
    expected = ("batch", *(f"x_{name}" for name in names))
    assert named(f"(float[{dims}] x) => (float[{dims}] y)", "y = Relu(x)") == [expected, expected]


def test_what_an_output_has_of_its_own_is_called_after_it() -> None:
    assert named("(float[N,4] x) => (int64[2,M] y)", "y = NonZero(x)") == [("batch", 4), (2, "y_length")]
    assert named("(float[N,4] x) => (float[N,4] y)", "y = Relu(x)", x__0="samples") == [("samples", 4), ("samples", 4)]


@pytest.mark.parametrize(("given", "text"), [
    ({"x__1": "a"}, "x:1 is no free axis of an input; free are x:0"), ({"z__0": "a"}, "z:0 is no free axis"), ({"x__0": "1a"}, "'1a' cannot be"),
])
def test_names_that_do_not_fit_are_refused(given: dict[str, str], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        named("(float[N,4] x) => (float[N,4] y)", "y = Relu(x)", **given)


def test_one_input_has_no_name_twice() -> None:
    with pytest.raises(UsageError, match="two axes of the input 'x' have one name: a, a"):
        named("(float[N,M] x) => (float[N,M] y)", "y = Relu(x)", x__0="a", x__1="a")
