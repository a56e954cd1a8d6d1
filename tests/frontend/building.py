"""Small Keras models for the frontend's tests, with weights that hide nothing, and ways to export them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from converter.frontend.export import Exported, export_graph
from converter.progress import SILENT, Stages

IMAGE = (12, 10, 4)
layers = keras.layers


def stir(model: Any, seed: int = 0) -> Any:
    """Move every weight off the values that hide mistakes (0 and 1); variances stay positive."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "seed_generator" not in variable.path and str(variable.dtype).startswith("float"):
            positive = "variance" in variable.path
            noise = rng.uniform(0.5, 2.0, variable.shape) if positive else np.asarray(variable) + rng.normal(0, 0.3, variable.shape)
            variable.assign(noise.astype(str(variable.dtype)))
    return model


def chain(shape: tuple[int | None, ...], *steps: Any, **given: Any) -> Any:
    """A functional model of layers one behind the other, with input ``x``."""
    start = keras.Input(shape, name="x", **given)
    value = start
    for step in steps:
        value = step(value)
    return stir(keras.Model(start, value))


def branches(shape: tuple[int | None, ...], steps: dict[str, Any], **given: Any) -> Any:
    """A functional model with one output for every entry of ``steps``: a layer or a list of layers on the input ``x``."""
    start = keras.Input(shape, name="x", **given)
    outputs = {}
    for name, step in steps.items():
        value = start
        for layer in step if isinstance(step, list) else [step]:
            value = layer(value)
        outputs[name] = value
    return stir(keras.Model(start, outputs))


def export(source: Any, **options: Any) -> Exported:
    """The exported graph; raises where parity fails."""
    return export_graph(source, Stages(SILENT), **options)


def operators(exported: Exported) -> dict[str, int]:
    """How often each operator occurs."""
    kinds = [node.op_type for node in exported.graph.graph.all_nodes()]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def left_over(folder: Path) -> list[str]:
    """Everything in ``folder``, hidden files too."""
    return sorted(p.name for p in folder.iterdir())
