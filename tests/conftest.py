"""What every test relies on: the Keras backend, a quiet TensorFlow on the CPU, no display, reproducible property tests."""

from __future__ import annotations

import os

import hypothesis
import numpy as np
import pytest

# Before anything imports keras: these are read once, at import.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "agg")

# No deadline: the machine may be shared. Derandomized: a failure is found again by running again.
hypothesis.settings.register_profile("house", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("house")


@pytest.fixture
def rng() -> np.random.Generator:
    """A random generator with a fixed seed, new for every test."""
    return np.random.default_rng(0)
