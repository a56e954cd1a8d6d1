"""A layer that leaves a mark arrives as the operators of its form: with its weights, its path, and its shapes."""

from __future__ import annotations

import functools

import keras
import pytest

from converter.errors import ConversionError
from converter.frontend import forms, marks
from converter.frontend.forms import FORMS, FUNCTIONS, Form
from tests.frontend.building import chain, export, layers, operators
from tests.frontend.forms.inside import once


@pytest.mark.parametrize("opset", [17, 18, 23])
def test_a_mark_becomes_its_operator_at_any_opset(opset: int) -> None:
    exported = export(chain((7, 4), layers.LayerNormalization(name="norm")), opset=opset)
    assert operators(exported) == {"LayerNormalization": 1}
    (node,) = exported.graph.graph
    assert node.metadata_props["converter.layer"] == "norm"
    assert [v.name for v in node.inputs] == ["x", "norm/gamma", "norm/beta"]


def test_a_layer_that_is_called_twice_leaves_two_marks_on_one_weight() -> None:
    layer = layers.LayerNormalization()
    exported = export(chain((7, 4), layer, layers.ReLU(), layer))
    assert operators(exported) == {"LayerNormalization": 2, "Relu": 1}
    assert len(exported.graph.graph.initializers) == 2


def test_a_mark_inside_a_loop_is_replaced_there() -> None:
    assert operators(export(chain((7, 4), once(layers.LayerNormalization()))))["LayerNormalization"] == 1


def test_layers_and_functions_are_as_they_were_afterwards() -> None:
    def now() -> list[object]:
        inside = [functools.reduce(getattr, name.split("."), keras.src.backend) for name, _ in FUNCTIONS]
        return [getattr(keras.layers, name).call for name, _ in FORMS] + inside

    before = now()
    with marks.convertible_layers(keras, None):
        assert all(replaced is not original for replaced, original in zip(now(), before, strict=True))
    assert now() == before


def test_every_form_is_of_a_layer_that_keras_has() -> None:
    assert [name for name in FORMS.names() if not isinstance(getattr(keras.layers, name, None), type)] == []


def test_a_form_that_gives_too_few_outputs_is_a_fault_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    form = FORMS.get("LayerNormalization")
    monkeypatch.setitem(vars(forms.FORMS)["_things"], "LayerNormalization", Form(form.call, lambda build, inputs, facts: []))
    with pytest.raises(ConversionError, match="LayerNormalization gives 0 outputs in place of 1"):
        export(chain((7, 4), layers.LayerNormalization()))
