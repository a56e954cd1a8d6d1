"""Every test of the frontend starts from the same random state, so that fresh weights are the same in every run."""

from __future__ import annotations

import keras
import pytest


@pytest.fixture(autouse=True)
def _same_random_state() -> None:
    keras.utils.set_random_seed(0)
