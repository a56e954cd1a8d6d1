"""Small graphs to graft, and what the tests of it share."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from converter.graph import query
from converter.spec.quant import Array
from converter.verify.session import Session
from tests.quantize.graphs import graph, weights


def numbers(model: ir.Model, *, optimise: bool = False, free: int = 3, **given: Array) -> dict[str, Array]:
    """Outputs on the same random inputs every time."""
    rng = np.random.default_rng(3)
    feeds = {i.name: given.get(i.name, rng.normal(size=[d if isinstance(d, int) else free for d in i.shape]).astype(i.dtype))
             for i in query.signature(model)[0]}
    return Session(model, optimise=optimise).run(feeds)


def backbone(width: int = 6, opset: int = 18, **more: Any) -> ir.Model:
    """Two dense layers: ``x`` to ``features``."""
    return graph(f"(float[N, 5] x) => (float[N, {width}] features)", "[d1] h = Gemm(x, w, b)\n[d2] r = Relu(h)\n[d3] features = Gemm(r, v, c)",
                 opset, w=weights(5, 7), b=weights(7), v=weights(7, width, seed=4), c=weights(width), **more)


def head(width: int = 6, opset: int = 18) -> ir.Model:
    """One dense layer: ``f`` to ``y``."""
    return graph(f"(float[M, {width}] f) => (float[M, 3] y)", "[d1] a = Relu(f)\n[d2] y = Gemm(a, w, b)", opset,
                 w=weights(width, 3, seed=9), b=weights(3, seed=8))


def sequence(first: ir.Model, second: ir.Model, seam: str, entry: str, perm: tuple[int, ...] = (), free: int = 3) -> dict[str, Array]:
    """Outputs of ``second`` on what ``first`` gives as ``seam``."""
    x = numbers(first, free=free)[seam]
    return numbers(second, **{entry: np.ascontiguousarray(x.transpose(perm)) if perm else x})


def names(model: ir.Model) -> tuple[list[str], list[str]]:
    """Names of inputs and outputs."""
    return [query.name_of(v) for v in model.graph.inputs], [query.name_of(v) for v in model.graph.outputs]


def every_name(model: ir.Model) -> list[str]:
    """Names of all values, those in subgraphs too, as often as they are given."""
    parts = (model.graph, *model.graph.subgraphs())
    found = [v for part in parts for v in (*part.inputs, *part.initializers.values(), *(o for node in part for o in node.outputs))]
    return [v.name for v in dict.fromkeys(found) if v.name]


def as_layer(model: ir.Model, path: str, *nodes: str) -> ir.Model:
    """``model``, with the named nodes of a Keras layer."""
    for node in model.graph:
        if node.name in nodes:
            node.metadata_props[query.LAYER_KEY] = path
    return model
