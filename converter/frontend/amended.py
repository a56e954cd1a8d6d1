"""Parts of tf2onnx that are replaced while it works, because they are wrong for what we trace or not linear in its size.

    rewrite_gru_tf2, rewriter_lstm_tf2     find the loop of a Keras LSTM or GRU and want its weights as constants, which a trace without weights
                                           does not have: they fail, and with them the whole conversion. Layers that ONNX has an operator for
                                           come as a mark (converter.frontend.forms.recurrent); what is still a loop here is a cell, an
                                           activation or a precision that the operators do not have, and is to stay one
    the rewriters of LOOPS                 look for operators of TensorFlow 1, and each of them makes the graph anew several times to find none
    the rewriters of NEEDED                look for patterns; where an operator that each of them begins with or holds is nowhere, there are none
    run_rewriters                          makes the graph anew after every rewriter, those that are replaced too
    resolve_functions                      translates the whole graph to see how functions are called, where there are no functions too
    Graph.reset_nodes                      asks of every input whether it is in the list of nodes
    Graph.extract_sub_graph_nodes          walks the graph once for every input, and joins what it found to a set that is copied each time

With the weights as inputs the last two, but for what is done here, are quadratic in the number of layers. Of tf2onnx 1.17.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

REWRITERS = ("rewriter_lstm_tf2", "rewrite_gru_tf2")
LOOPS = ("rewrite_single_direction_lstm", "rewrite_bi_direction_lstm", "rewrite_single_direction_gru", "rewrite_bi_direction_gru",
         "rewrite_custom_rnn_cell", "rewrite_generic_loop", "rewrite_cond")
FIRST = frozenset({"LoopCond", *(f"{ref}{kind}" for ref in ("", "Ref") for kind in ("Enter", "Exit", "Merge", "NextIteration", "Switch"))})
"""Operators of loops and choices in TensorFlow 1; a saved model may still hold them."""
FUSED = frozenset({"_FusedConv2D", "_FusedMatMul", "_FusedDepthwiseConv2dNative"})
NEEDED: Mapping[str, frozenset[str]] = {
    "rewrite_quantize_and_dequantize": frozenset({"QuantizeAndDequantizeV2", "QuantizeAndDequantizeV3", "QuantizeAndDequantizeV4"}),
    "rewrite_fused_ops": FUSED, "rewrite_transpose": frozenset({"Range"}), "rewrite_flatten": frozenset({"Pack"}),
    "rewrite_random_uniform": frozenset({"RandomUniform"}), "rewrite_random_uniform_fold_const": frozenset({"RandomUniform"}),
    "rewrite_random_normal": frozenset({"RandomStandardNormal"}), "rewrite_dropout": frozenset({"RandomUniform", "RandomUniformLike"}),
    "rewrite_conv_dilations": frozenset({"SpaceToBatchND"}),
    "rewrite_eye": frozenset({"MatrixDiag", "MatrixDiagV3", "MatrixSetDiag", "MatrixSetDiagV3"}),
    "rewrite_leakyrelu": frozenset({"Maximum"}), "rewrite_thresholded_relu": frozenset({"Greater"}), "rewrite_conv2d_with_pad": frozenset({"Pad"}),
    "rewrite_biasadd_with_conv2d": FUSED | {"BiasAdd"}, "rewrite_layer_normalization": frozenset({"Rsqrt"}), "rewrite_gemm": FUSED | {"MatMul"},
    "rewrite_ragged_variant_shape": frozenset({"RaggedTensorToVariant"}),
}
"""A rewriter finds nothing in a graph without one of these; those of FUSED become others before the last rewriters run."""
_LOCK = threading.RLock()


@contextlib.contextmanager
def amended(operators: Collection[str]) -> Iterator[None]:
    """While it is open, tf2onnx works with what is here; ``operators`` are the types in the graph to be converted."""
    from tf2onnx import tfonnx
    from tf2onnx.graph import Graph

    with _LOCK:
        changes = [*((tfonnx, name, _nothing) for name in _idle(operators)), (tfonnx, "run_rewriters", _running(tfonnx.run_rewriters)),
                   (tfonnx, "resolve_functions", _resolving(tfonnx.resolve_functions)),
                   (Graph, "reset_nodes", _resetting(Graph.reset_nodes)), (Graph, "extract_sub_graph_nodes", _extracted)]
        originals = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
        for owner, name, change in changes:
            setattr(owner, name, change)
        try:
            yield
        finally:
            for owner, name, original in originals:
                setattr(owner, name, original)


def _idle(operators: Collection[str]) -> list[str]:
    """Rewriters that are not to do anything, or cannot."""
    loops = () if FIRST.intersection(operators) else LOOPS
    return [*REWRITERS, *loops, *(name for name, needed in NEEDED.items() if not needed.intersection(operators))]


def _running(original: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
    def run_rewriters(graph: Any, rewriters: Iterable[Any], continue_on_error: Any) -> None:
        original(graph, [rewriter for rewriter in rewriters if rewriter is not _nothing], continue_on_error)

    return run_rewriters


def _resolving(original: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    def resolve_functions(graph: Any) -> list[Any]:
        return original(graph) if graph._functions else []

    return resolve_functions


def _nothing(graph: Any, operations: Any) -> Any:
    """A rewriter gives all operations of the graph."""
    return operations


class _Listed(list[Any]):
    """A list that knows at once what is in it."""

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__(items)
        self._known = {id(item) for item in self}

    def __contains__(self, item: object) -> bool:
        return id(item) in self._known


def _resetting(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def reset_nodes(graph: Any, ops: Sequence[Any]) -> None:
        original(graph, _Listed(ops))
        graph._nodes = list(ops)  # what is added to it later is known to a list only

    return reset_nodes


def _extracted(graph: Any, outputs_name: Iterable[str], input_checker: Any = None, remove_unused_inputs: bool = True) -> list[Any]:
    """Nodes that lead to the outputs, in one walk; arguments as in tf2onnx."""
    names = [*outputs_name, *(() if remove_unused_inputs else (given.output[0] for given in graph.inputs))]
    found: dict[Any, None] = {}
    while names:
        node = graph.get_node_by_output(names.pop(), search_in_parent_graphs=False)
        if not node or node in found or (input_checker and input_checker(node) is False):
            continue
        found[node] = None
        names += [*node.input, *node.get_implicit_inputs()]
    return list(found)
