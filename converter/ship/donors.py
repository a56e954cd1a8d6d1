"""Open what weights are taken from, or put into, as a graph: a Keras model, an ONNX file, or a bundle."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx_ir as ir

from converter.errors import ConversionError, ConverterError, InputError, UsageError
from converter.frontend import keras_source
from converter.frontend.export import export_graph
from converter.graph import io, ledger
from converter.passes import base, pipelines
from converter.progress import Stages
from converter.ship.replay import whole
from converter.transfer import listing
from converter.transfer.match import Matches


def open_graph(source: Any, stages: Stages, *, unsafe: bool = False) -> ir.Model:
    """The graph of a model of any kind; of a bundle, the float one, which has the weights that the integer one was made of.

    Raises:
        UsageError: it is no kind of model.
        InputError: it cannot be read.
        ConversionError: a Keras model that cannot be exported.
    """
    if keras_source.is_keras(source):
        return export_graph(source, stages, unsafe=unsafe).graph
    if not isinstance(source, str | Path):
        raise UsageError(f"cannot take a {type(source).__name__} as a model; known: keras.Model, .keras, .h5, .onnx, bundle folder, module:factory")
    path = Path(source)
    with stages.stage("load"):
        graph = io.load(whole(path).float_model if path.is_dir() else path)
        io.infer_shapes(graph)  # files of other exporters tell few shapes, and what is added to a layer of unknown rank is no bias
        return graph


def called(source: Any) -> str:
    """What to call a model in a report."""
    return str(source) if isinstance(source, str | Path) else str(getattr(source, "name", type(source).__name__))


def is_integer(graph: ir.Model) -> bool:
    """Whether the graph has quantized parts."""
    return any(node.op_type == "DequantizeLinear" for node in graph.graph)


def cleaned(graph: ir.Model) -> ir.Model:
    """A clean copy with a ledger that says how its initializers come out of those of ``graph``."""
    copy = graph.clone()
    copy.meta.clear()
    ledger.of(copy)
    base.run(copy, pipelines.clean())
    return copy


def best_match(donor: ir.Model, attempt: Callable[[ir.Model], Matches]) -> tuple[ir.Model, Matches]:
    """The donor's graph and its match: as it is, or cleaned (BatchNorm folded), where more of it fits then."""
    first: Matches | None = None
    refused: ConverterError | None = None
    try:
        first = attempt(donor)
    except (InputError, UsageError) as error:
        refused = error
    if not (first is not None and first.is_whole) and not is_integer(donor) and ledger.META not in donor.meta:  # can be, is not clean
        with suppress(InputError, UsageError, ConversionError):  # what the user is told is said of the graph as it is in the file
            clean = cleaned(donor)
            second = attempt(clean)  # a map that was saved may have the names of this one
            if first is None or _worth(second) > _worth(first):
                return clean, second
    if first is None:
        assert refused is not None
        raise refused
    return donor, first


def best_recipient(
    recipient: ir.Model, best: Callable[[ir.Model], tuple[ir.Model, Matches]]
) -> tuple[ir.Model, Matches, ir.Model | None]:
    """The best match with the recipient as it is, or, where more fits then, with its clean form, which is the third value in that case."""
    first: tuple[ir.Model, Matches] | None = None
    refused: ConverterError | None = None
    try:
        first = best(recipient)
    except (InputError, UsageError) as error:
        refused = error
    if not (first is not None and first[1].is_whole) and not is_integer(recipient):
        with suppress(InputError, UsageError, ConversionError):
            clean = cleaned(recipient)
            second = best(clean)
            if first is None or _worth(second[1]) > _worth(first[1]):
                return (*second, clean)
    if first is None:
        assert refused is not None
        raise refused
    return (*first, None)


def _worth(found: Matches) -> int:
    return len(found.pairs) - len(listing.problems(found))
