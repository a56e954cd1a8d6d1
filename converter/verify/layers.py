"""How far every layer of the integer graph is from its float twin, layer by layer, on a few samples."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from converter.data import Batch
from converter.graph import query
from converter.spec.plan import Layer
from converter.verify.compare import Fidelity
from converter.verify.session import Session, exposed

PAIR = "/DequantizeLinear"


def layer_errors(reference: ir.Model, candidate: ir.Model, layers: Sequence[Layer], batch: Batch) -> dict[str, float]:
    """SNR in dB of every layer's output, by node name; errors of the layers in front are in it.

    Args:
        reference, candidate: the float and the integer graph, value names as ``quantize.insert`` makes them.
        layers: of the plan.
        batch: a few samples.
    """
    made = {query.name_of(v) for node in candidate.graph for v in node.outputs}
    pairs = {x.name: (x.output, x.output + PAIR if x.output + PAIR in made else x.output) for x in layers}
    pairs = {name: (a, b) for name, (a, b) in pairs.items() if b in made}
    names = list(dict.fromkeys(a for a, _ in pairs.values()))
    expected = Session(exposed(reference, names), optimise=False, lean=True).run(batch.inputs)
    others = list(dict.fromkeys(b for _, b in pairs.values()))
    got = Session(exposed(candidate, others), optimise=False, lean=True).run(batch.inputs)
    out = {}
    for name, (a, b) in pairs.items():
        fidelity = Fidelity()
        fidelity.update(expected[a], got[b])
        out[name] = fidelity.result().snr_db
    return out
