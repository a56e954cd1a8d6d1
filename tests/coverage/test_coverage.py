"""Everything public in Keras: exported with parity, or refused with the layer named; nothing that Keras adds goes unnoticed.

Many cases are outputs of one model, because a model costs more than a layer; if it fails, its cases are tried one by one, so that the
failure says which.
"""

from __future__ import annotations

import re
from typing import Any

import keras
import pytest

from converter.errors import ConversionError, ConverterError
from tests.coverage import Case, applications, layers, ops
from tests.frontend.building import export

TOGETHER = 30
LARGEST_ERROR = 1e-4  # the parity bound; what is above 1e-5 is in docs/coverage.md
EVERY = {**{f"layer {name}": case for name, case in layers.LAYERS.items()}, **{f"op {name}": case for name, case in ops.OPS.items()}}
EXPORTED = sorted(name for name, case in EVERY.items() if not case.refused)
REFUSED = sorted(name for name, case in EVERY.items() if case.refused)


def test_every_public_layer_has_a_case() -> None:
    assert layers.missing() == []


def test_every_public_operation_has_a_case() -> None:
    assert ops.missing() == []


def test_applications_are_found_by_their_public_names() -> None:
    assert {"MobileNetV2", "ConvNeXtXLarge", "NASNetLarge"} <= set(applications.names())
    assert set(applications.names()) >= applications.LARGE


@pytest.mark.parametrize("start", range(0, len(EXPORTED), TOGETHER))
def test_cases_are_exported_with_parity(start: int) -> None:
    cases = {name: EVERY[name] for name in EXPORTED[start : start + TOGETHER]}
    models = {name: case.build() for name, case in cases.items()}
    alone = {name: model for name, model in models.items() if any(t.shape[0] is not None for t in model.inputs)}
    together = {name: model for name, model in models.items() if name not in alone}
    failures = {name: why for name, model in alone.items() if (why := failure(model))}
    if together and failure(joined(together)):
        failures |= {name: why for name in together if (why := failure(cases[name].build()))}
        assert failures, f"alone they pass, together they do not: {failure(joined(together))}"
    assert failures == {}


def joined(models: dict[str, Any]) -> Any:
    """One model with the inputs and outputs of all."""
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    for number, (name, model) in enumerate(models.items()):
        own = [keras.Input(t.shape[1:], dtype=t.dtype, name=f"x{number}_{i}") for i, t in enumerate(model.inputs)]
        inputs |= {t.name: t for t in own}
        made = model(own if len(own) > 1 else own[0])
        outputs |= {f"{re.sub('[^a-zA-Z0-9]', '_', name)}_{i}": y for i, y in enumerate(keras.tree.flatten(made))}
    return keras.Model(inputs, outputs)


def failure(model: Any) -> str:
    """Why ``model`` is not exported well; empty where it is."""
    try:
        relative = export(model).report.numbers["parity"]["relative"]
    except ConverterError as error:
        return f"{type(error).__name__}: {error}"[:300]
    return "" if relative < LARGEST_ERROR else f"relative error {relative:.1e}"


@pytest.mark.parametrize("name", REFUSED)
def test_what_onnx_cannot_say_is_refused_with_the_layer_and_the_reason(name: str) -> None:
    case: Case = EVERY[name]
    with pytest.raises(ConversionError, match=re.compile(case.refused, re.IGNORECASE)):
        export(case.build())


def test_all_unsupported_layers_are_listed_at_once() -> None:
    start = keras.Input((4, 4), name="x")
    unsaid = (keras.ops.pinv, lambda x: keras.ops.eigh(x)[1])
    made = [keras.layers.Lambda(f, name=f"culprit_{i}", output_shape=(4, 4))(start) for i, f in enumerate(unsaid)]
    with pytest.raises(ConversionError, match=r"(?s)culprit_0.*culprit_1"):
        export(keras.Model(start, made))
