"""Hold an exported graph to what Keras computes, before anyone sees it.

Probabilities hide errors: those of an untrained network are all alike, whatever the layers do. So where an output is a
softmax or a sigmoid, what goes into it is compared as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError, InputError, ParityError
from converter.frontend import samples
from converter.frontend.conditioning import Conditioning, before
from converter.frontend.reference import KerasRunner
from converter.graph import query
from converter.spec.quant import Array
from converter.verify import compare
from converter.verify.policy import BEHIND_LOGITS, DEFAULT
from converter.verify.session import Session

Outputs = Mapping[str, Array]
COMMON = frozenset({"Conv", "Gemm", "MatMul", "Relu", "Clip", "Add", "Mul", "Transpose", "GlobalAveragePool", "Flatten", "Reshape", "Softmax",
                    "Concat"})
SQUASHING = ("Softmax", "Sigmoid")


def prove(graph: ir.Model, runner: KerasRunner, model: Any) -> dict[str, Any]:
    """Run both on random and edge inputs.

    Returns:
        ``relative``, the largest error as a share of the range over all inputs, and ``max_abs``, both of the outputs, or of what goes
        into their softmax or sigmoid; ``samples``; and ``varies``: whether any of these depends on the input.

    Raises:
        ParityError: an output is wrong; layers with uncommon operators are named, since that is where to look. Or Keras itself gives other
            numbers for the least change of its inputs, so that nothing can be proved.
        ConversionError: Keras itself cannot run the model, so nothing can be proved.
    """
    view, inner = _with_logits(graph)
    session = Session(view, optimise=False, lean=True)
    seen: dict[str, compare.Fidelity] = {}
    count, precision, conditioning = 0, least_precise(model), Conditioning(runner)
    for kind, feeds, expected, logits in _references(runner, model):
        got = session.run({i.name: feeds[i.name] for i in session.inputs})
        pairs = {inner[name]: (name, array) for name, array in logits.items() if name in inner and got[inner[name]].shape == array.shape}
        expected = {n: y for n, y in expected.items() if kind.startswith("random") or not _nowhere(y, got[n])}
        failures = _compare(expected, {n: y for n, y in got.items() if n in expected}, {name for name, _ in pairs.values()}, precision)
        told = {before(name): y for name, y in pairs.values()}
        failures += compare.parity(told, {before(name): got[key] for key, (name, _) in pairs.items()}, precision=precision) if pairs else []
        conditioning.watch(kind, expected)
        counting = conditioning.remaining(failures, kind, feeds, {**expected, **told}) if failures else []
        if counting:
            raise ParityError(f"the ONNX graph of {model.name!r} does not compute what Keras computes ({kind}): " + "; ".join(map(str, counting[:3]))
                              + f". {conditioning.unsteady(counting, feeds, {**expected, **told}) or _suspects(graph)}")
        count += len(next(iter(feeds.values()))) if feeds else 1
        excused = {f.output for f in failures}  # is not measured
        _update(seen, {**{n: y for n, y in expected.items() if n not in excused and before(n) not in told},
                       **{key: y for key, (name, y) in pairs.items() if before(name) not in excused}}, got)
    return _summary(seen, count)


def _nowhere(expected: Array, got: Array) -> bool:
    """Whether an output is nowhere finite, on an edge input (the mean of steps that are all masked), and the graph's is the same."""
    return expected.dtype.kind == "f" and bool(expected.size) and not np.isfinite(expected).any() and np.array_equal(expected, got, equal_nan=True)


def least_precise(model: Any) -> str | None:
    """The least exact float type that a layer of ``model`` computes in, where that is not float32."""
    kinds = {layer.compute_dtype for layer in model._flatten_layers()}
    return next((kind for kind in ("bfloat16", "float16") if kind in kinds), None)


def _references(runner: KerasRunner, model: Any) -> Iterator[tuple[str, dict[str, Array], Outputs, Outputs]]:
    """Kind of the inputs, the inputs, and what Keras makes of them: outputs, and what goes into their activations."""
    size, whole = samples.vocabulary(model), False
    for kind, feeds in samples.parity_inputs(runner.inputs, size):
        try:
            yield kind, feeds, *runner.run_with_logits(feeds)
        except InputError as error:
            if not samples.takes_ids(model):
                raise ConversionError(f"nothing can be proved: {error}") from error
            whole = True
            break
    if whole:  # float inputs that a layer casts to ids and looks up: only whole numbers in range will do
        try:
            for kind, feeds in samples.parity_inputs(runner.inputs, size, whole=True):
                yield kind, feeds, *runner.run_with_logits(feeds)
        except InputError as error:
            raise ConversionError(f"nothing can be proved: {error}") from error


def _with_logits(graph: ir.Model) -> tuple[ir.Model, dict[str, str]]:
    """A copy, weights shared, that also gives what goes into the last activation; and the name of that by output."""
    copy = graph.clone()
    inner: dict[str, str] = {}
    for output in list(copy.graph.outputs):
        node = output.producer()
        source = node.inputs[0] if node is not None and node.op_type in SQUASHING else None
        if source is not None and source.producer() is not None and not source.is_graph_output():
            copy.graph.outputs.append(source)
            inner[query.name_of(output)] = query.name_of(source)
    return copy, inner


def _compare(expected: Outputs, got: Outputs, proved: set[str], precision: str | None) -> list[compare.Failure]:
    """Failures of the outputs; rounding is judged more kindly where what goes into the activation is compared too."""
    missing = [] if expected.keys() == got.keys() else compare.parity(expected, got, precision=precision)
    return missing or [failure for name in expected for failure in compare.parity(
        {name: expected[name]}, {name: got[name]}, BEHIND_LOGITS if name in proved else DEFAULT, precision=precision)]


def _update(seen: dict[str, compare.Fidelity], expected: Outputs, got: Outputs) -> None:
    for output, reference in expected.items():
        if compare.is_number(reference.dtype) and reference.size:
            seen.setdefault(output, compare.Fidelity()).update(reference, got[output])


def _summary(seen: Mapping[str, compare.Fidelity], count: int) -> dict[str, Any]:
    results = [fidelity.result() for fidelity in seen.values()]
    return {"relative": max((r.relative for r in results), default=0.0), "max_abs": max((r.max_abs for r in results), default=0.0),
            "samples": count, "varies": not results or any(r.varies for r in results)}


def _suspects(graph: ir.Model) -> str:
    """Layers whose operators are not the common ones: where a wrong lowering most likely sits."""
    found = list(dict.fromkeys(f"{query.layer_path(n)} ({n.op_type})" for n in graph.graph if n.op_type not in COMMON))
    return f"Layers with uncommon operators: {', '.join(found[:8])}" if found else "All operators are common ones; please report this model"
