"""Give two graphs the same operator sets, by lifting the older one."""

from __future__ import annotations

import logging
import re

import onnx_ir as ir

from converter.errors import ConversionError, known
from converter.graph import io, query
from converter.transfer.flow import inner_nodes


def align(first: ir.Model, second: ir.Model, names: tuple[str, str]) -> list[str]:
    """Lift, in place, whichever of the two has the older version of the default domain.

    Versions of other domains are taken over; both must agree on those that both use.

    Args:
        first, second: the graphs.
        names: what to call them in messages.

    Returns:
        What was done, one line each.

    Raises:
        ConversionError: an operator cannot be lifted, or has two versions in a domain of its own; it is named.
    """
    _check_domains(first, second, names)
    versions = [_version(model) for model in (first, second)]
    done, newest = [], max((v for v in versions if v is not None), default=max(map(query.opset, (first, second))))
    for model, name, version in zip((first, second), names, versions, strict=True):
        if version is not None and version < newest:
            _lift(model, newest, name)
            done.append(f"the {name} lifted from opset {version} to {newest}")
        model.graph.opset_imports[""] = newest  # also where no operator is of it
    return done


def _version(model: ir.Model) -> int | None:
    """Of the default domain; None where no operator is of it."""
    nodes = [*model.graph, *(inner for node in model.graph for inner in inner_nodes(node))]
    return query.opset(model) if model.functions or any(query.is_standard(node) for node in nodes) else None


def _check_domains(first: ir.Model, second: ir.Model, names: tuple[str, str]) -> None:
    mine, theirs = first.graph.opset_imports, second.graph.opset_imports
    for domain in sorted(mine.keys() & theirs.keys() - {""}):
        used = [next((n.op_type for n in model.graph.all_nodes() if n.domain == domain), None) for model in (first, second)]
        if mine[domain] != theirs[domain] and all(used):
            raise ConversionError(f"operators of {domain!r} have version {mine[domain]} in the {names[0]} ({used[0]}) and {theirs[domain]} in the "
                                  f"{names[1]} ({used[1]}); one graph has one version of a domain, and only the default domain can be lifted")


def _reason(model: ir.Model, said: list[str]) -> str:
    """What a version converter says, with the operators it can be about in front, since it may name them by a source file only."""
    text = re.sub(r"^\S*/\S+: ", "", said[0]) if said else "no version converter knows how"
    there = {node.op_type for node in model.graph.all_nodes()}
    named = [kind for kind in there if kind.lower() in text.lower()]
    return f"operator {max(named, key=len)}: {text}" if named else f"one of {known(there)}: {text}"


class _Heard(logging.Handler):
    """Collects what the version converter says where it does not raise."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None or "Skipping" in record.getMessage():
            self.said.append(" ".join(str(error or record.getMessage()).split())[:300])


def _lift(model: ir.Model, opset: int, name: str) -> None:
    from onnxscript import version_converter

    before, layers = query.opset(model), {out.name: dict(node.metadata_props) for node in model.graph for out in node.outputs}
    props, heard, logger = dict(model.graph.metadata_props), _Heard(), logging.getLogger("onnxscript")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(heard)
    try:
        version_converter.convert_version(model, opset, fallback=True)
    except (RuntimeError, ValueError) as error:
        heard.said.append(" ".join(str(error).split())[:300])
    finally:
        logger.removeHandler(heard)
        logger.propagate = propagate
    if heard.said or query.opset(model) != opset:
        raise ConversionError(f"the {name} (opset {before}) cannot be lifted to opset {opset}, which the other graph has: "
                              f"{_reason(model, heard.said)}")
    for node in model.graph:  # the converter of ONNX itself drops them
        node.metadata_props.update(next((layers[out.name] for out in node.outputs if out.name in layers), {}))
    model.graph.metadata_props.update(props)
    io.infer_shapes(model)
