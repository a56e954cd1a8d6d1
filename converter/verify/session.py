"""The only place where a model is run: onnxruntime on the CPU."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir

from converter.errors import ConversionError, InputError
from converter.graph import io, query
from converter.spec.quant import Array
from converter.spec.signature import TensorInfo

FILE_ABOVE = 1 << 26  # bytes; above this a model goes to onnxruntime as a file that it maps, not as one more copy
EXACT = "session.x64quantprecision"
_NUMPY: Mapping[str, str] = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64", "tensor(bool)": "bool"}


class Session:
    """A model that is ready to run.

    Args:
        model: a graph in memory, or the path of an ONNX file.
        optimise: run the graph as it ships, fused; False runs every node by itself.
        threads: threads inside an operator, waiting as onnxruntime has them wait by default (for timing, unless
            ``observing``); None leaves their number to onnxruntime, and they give the processor back between operators.
        entries: session configuration entries, for example those a manifest names.
        lean: spend no memory on packed copies of the weights, nor on a reserve for activations that doubles as it grows (for graphs that are
            run once or twice).
        observing: outputs are read off intermediate tensors; run what reads a tensor while it is still in the cache, and leave the
            processor to whoever else runs this session.

    Raises:
        ConversionError: onnxruntime cannot load a graph in memory.
        InputError: onnxruntime cannot load a file.
    """

    def __init__(
        self, model: ir.Model | str | Path, *, optimise: bool = True, threads: int | None = None,
        entries: Mapping[str, str] | None = None, lean: bool = False, observing: bool = False,
    ) -> None:
        options = _options(optimise, threads, {**(entries or {}), **({"session.disable_prepacking": "1"} if lean else {})}, observing)
        options.enable_cpu_mem_arena = not lean
        self._session = _open(model, options)
        self.inputs = tuple(_info(i) for i in self._session.get_inputs())
        self.outputs = tuple(_info(o) for o in self._session.get_outputs())
        self._names = [o.name for o in self.outputs]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name.

        Raises:
            InputError: the feeds do not fit the model.
        """
        from onnxruntime.capi import onnxruntime_pybind11_state as errors

        try:
            return dict(zip(self._names, self._session.run(self._names, dict(feeds)), strict=True))
        except (errors.InvalidArgument, errors.Fail, errors.RuntimeException, ValueError) as error:
            wanted = "; ".join(i.describe() for i in self.inputs)
            given = "; ".join(f"{n} {a.dtype} {list(a.shape)}" for n, a in feeds.items())
            raise InputError(f"onnxruntime cannot run the model: {_line(error)}. Received {given}; the model takes {wanted}") from error

    def raw(self) -> Any:
        """The raw onnxruntime session, for timing without a layer in between."""
        return self._session


def _options(optimise: bool, threads: int | None, entries: Mapping[str, str], observing: bool = False) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    if threads is None or observing:  # several sessions take turns; idle threads of one that spin would slow the others
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    if observing:
        options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    return options


def _open(model: ir.Model | str | Path, options: Any) -> Any:
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    failures = (errors.Fail, errors.InvalidGraph, errors.InvalidArgument, errors.NotImplemented, errors.RuntimeException,
                errors.InvalidProtobuf, errors.NoSuchFile, RuntimeError)
    providers = ["CPUExecutionProvider"]
    try:
        if isinstance(model, str | Path):
            return ort.InferenceSession(str(model), options, providers=providers)
        if io.weight_bytes(model) < FILE_ABOVE:
            return ort.InferenceSession(io.to_bytes(model), options, providers=providers)
        with tempfile.TemporaryDirectory(prefix="converter-") as folder:
            path = Path(folder) / "model.onnx"
            io.save_external(model, path)
            return ort.InferenceSession(str(path), options, providers=providers)
    except failures as error:
        if isinstance(model, str | Path):
            raise InputError(f"onnxruntime {ort.__version__} cannot load {model}: {_line(error)}") from error
        raise ConversionError(f"onnxruntime {ort.__version__} cannot load the graph: {_line(error)}") from error


def optimised(model: ir.Model | str | Path, entries: Mapping[str, str] | None = None) -> ir.Model:
    """The graph that onnxruntime makes of ``model`` on this CPU, with its fused operators."""
    with tempfile.TemporaryDirectory(prefix="converter-") as folder:
        path = Path(folder) / "optimised.onnx"
        options = _options(True, None, entries or {})
        options.optimized_model_filepath = str(path)
        _open(model, options)
        return io.load_whole(path)


def operators(model: ir.Model) -> Counter[str]:
    """How often each operator occurs, subgraphs included."""
    return Counter(node.op_type for node in model.graph.all_nodes())


def exposed(model: ir.Model, names: Sequence[str]) -> ir.Model:
    """A copy of ``model`` whose outputs are the values ``names`` and nothing else; the weights are shared, not copied."""
    copy = model.clone()
    values = {query.name_of(v): v for node in copy.graph for v in node.outputs} | {query.name_of(v): v for v in copy.graph.inputs}
    copy.graph.outputs.clear()
    copy.graph.outputs.extend(values[name] for name in names)
    return copy


def version() -> str:
    """The version of onnxruntime."""
    import onnxruntime as ort

    return str(ort.__version__)


def _info(arg: Any) -> TensorInfo:
    dtype = _NUMPY.get(arg.type, arg.type.removeprefix("tensor(").removesuffix(")"))
    return TensorInfo(arg.name, tuple(d if isinstance(d, int) else (d or None) for d in arg.shape), dtype)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
