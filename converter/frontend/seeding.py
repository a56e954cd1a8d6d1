"""Random numbers that follow from a seed, while everybody else's go on as if nothing had been drawn."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from converter.frontend.keras_source import import_keras


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, Python, numpy, TensorFlow and Keras draw what ``keras.utils.set_random_seed(seed)`` says; behind it, what they would have drawn."""
    keras = import_keras()
    from keras.src.backend.common import global_state
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
    from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
    from tensorflow.python.eager import context

    tensorflow = context.context()
    kept = {key: global_state.get_global_attribute(key) for key in (GLOBAL_SEED_GENERATOR, GLOBAL_RANDOM_SEED)}
    python, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002  the caller may use the old generator, and so may an initializer
    before = tensorflow._seed, getattr(tensorflow, "_rng", None)
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)  # noqa: NPY002
        tensorflow._seed, tensorflow._rng = before
        for key, value in kept.items():
            global_state.set_global_attribute(key, value)
