"""Layers on strings and hashes are refused before the trace, with path, reason and advice."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from converter.errors import ConversionError
from tests.frontend.building import chain, export, layers


@pytest.mark.parametrize(("layer", "dtype", "text"), [
    (lambda: layers.StringLookup(vocabulary=["a", "b"], name="words"), "string", r"words \(StringLookup\): it works on strings.*data pipeline"),
    (lambda: layers.Hashing(num_bins=4, name="bins"), "int64", r"bins \(Hashing\): it computes a hash.*IntegerLookup"),
])
def test_it_is_named_with_reason_and_advice(layer: Any, dtype: str, text: str) -> None:
    with pytest.raises(ConversionError, match=text):
        export(chain((3,), layer(), dtype=dtype))


def test_inside_another_model() -> None:
    inner = keras.Sequential([keras.Input((3,), dtype="string"), layers.StringLookup(vocabulary=["a"], name="words")])
    with pytest.raises(ConversionError, match="words"):
        export(chain((3,), inner, dtype="string"))
