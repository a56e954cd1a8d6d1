"""What two graphs hold: constant tensors and quantized ones, paired by name, by reader and by content, and compared number by number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.graph import io, query
from converter.spec.quant import Array
from converter.transfer.parameters import plain_name


@dataclass(frozen=True)
class Held:
    """A tensor that a graph holds.

    Args:
        name: of the initializer or of what a Constant makes; codes are called after the float tensor that they were made of.
        tensor: the numbers, or the codes.
        dequantizer: the DequantizeLinear that reads the codes; None for a plain tensor.
        readers: who reads the numbers: node name and input.
        opset: of the graph.
        part: ``scale`` or ``zero point`` where it is a part of the grid of an activation.
    """

    name: str
    tensor: ir.TensorProtocol
    dequantizer: ir.Node | None = None
    readers: tuple[tuple[str, int], ...] = ()
    opset: int = 1
    part: str = ""

    @property
    def grid(self) -> tuple[Array | None, Array | None]:
        """Scale and zero point; None for what is not there."""
        node = self.dequantizer
        if node is None:
            return None, None
        return query.constant(query.input_at(node, 1)), query.constant(query.input_at(node, 2))

    def real(self) -> Array | None:
        """The numbers that the graph computes with, float64; None where they are no numbers. Any grid that ONNX knows: a comparison refuses none."""
        array = self.tensor.numpy()
        if self.dequantizer is not None:
            scale, zero = self.grid
            found = io.try_evaluate("DequantizeLinear", [array, scale, *([] if zero is None else [zero])],
                                    query.attributes(self.dequantizer), self.opset)
            return None if found is None else found.astype(np.float64)
        return array.astype(np.float64) if is_number(self.tensor) else None

    def digest(self) -> str:
        """Of type, shape and numbers."""
        return hashlib.sha256(f"{self.tensor.dtype}{list(self.tensor.shape)}".encode() + _bytes(self.tensor)).hexdigest()


@dataclass(frozen=True)
class TensorDiff:
    """How a tensor of the second graph differs from that of the first.

    Args:
        name, other: in the first graph, and in the second.
        what: one phrase for every way in which they differ.
        dtypes, shapes: of both.
        differ: numbers (or codes) that are not the same; None where shapes or kinds do not allow to count.
        size: how many there are.
        step: the largest difference of two codes, in steps.
        largest: the largest difference of two finite numbers, those that the graph computes with.
        scale: smallest and largest ratio of the second scale to the first.
        zero: largest difference of zero points.
        snr_db: of the second tensor, the first one being the signal.
    """

    name: str
    other: str
    what: tuple[str, ...]
    dtypes: tuple[str, str]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    size: int
    differ: int | None = None
    step: int | None = None
    largest: float | None = None
    scale: tuple[float, float] | None = None
    zero: int | None = None
    snr_db: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass
class Paired:
    """The tensors of two graphs side by side: pairs, those that only one has, and names that a pair has in both."""

    pairs: list[tuple[Held, Held]] = field(default_factory=list)
    only: tuple[list[Held], list[Held]] = field(default_factory=lambda: ([], []))
    renamed: dict[str, str] = field(default_factory=dict)


def is_number(tensor: ir.TensorProtocol) -> bool:
    """Whether the elements are numbers or truth values, no text and not complex."""
    return tensor.dtype != ir.DataType.STRING and "COMPLEX" not in tensor.dtype.name


def held(model: ir.Model) -> dict[str, Held]:
    """Every constant tensor of ``model`` by name, those in subgraphs and functions too; a grid of codes belongs to its codes."""
    opset = query.opset(model)
    plain = {name: (value, tensor) for name, value, tensor in _constants(model)}
    by_codes = {name: node for name, (value, _) in plain.items() if (node := dequantizer_of(value)) is not None}
    grids = {query.name_of(v) for node in by_codes.values() for v in node.inputs[1:] if v is not None and _is_of_codes(v)}
    found: dict[str, Held] = {}
    for name, (value, tensor) in plain.items():
        if name in grids:
            continue
        maker = by_codes.get(name)
        base = plain_name(name) if maker is not None else name
        key = name if base != name and (base in plain or base in found) else base
        found[key] = Held(key, tensor, maker, _readers(value if maker is None else maker.outputs[0]), opset, _part(value))
    return found


def _part(value: ir.Value) -> str:
    """What ``value`` is to the first QuantizeLinear or DequantizeLinear that reads it."""
    use = next(iter(value.uses()), None)
    quantizer = use is not None and query.is_standard(use.node, "QuantizeLinear", "DequantizeLinear")
    return ("", "scale", "zero point")[use.idx] if use is not None and quantizer else ""


def dequantizer_of(value: ir.Value) -> ir.Node | None:
    """The DequantizeLinear that reads ``value`` as codes, the scale being constant."""
    nodes = (use.node for use in value.uses() if use.idx == 0 and query.is_standard(use.node, "DequantizeLinear"))
    return next((node for node in nodes if query.is_constant(query.input_at(node, 1))), None)


def _is_of_codes(value: ir.Value) -> bool:
    """Whether only dequantizers of constant codes read this part of a grid."""
    return query.is_constant(value) and all(
        use.idx > 0 and query.is_standard(use.node, "DequantizeLinear") and query.is_constant(use.node.inputs[0]) for use in value.uses())


def _constants(model: ir.Model) -> Iterator[tuple[str, ir.Value, ir.TensorProtocol]]:
    """Initializers, also of subgraphs, and what Constant nodes hold."""
    for graph in (model.graph, *model.graph.subgraphs()):
        yield from ((name, value, value.const_value) for name, value in graph.initializers.items() if value.const_value is not None)
    for node in [*model.graph.all_nodes(), *(n for function in model.functions.values() for n in function.all_nodes())]:
        tensor = constant_tensor(node)
        if tensor is not None and node.outputs[0].name:
            yield node.outputs[0].name, node.outputs[0], tensor


def constant_tensor(node: ir.Node) -> ir.TensorProtocol | None:
    """What a Constant node holds; None for other nodes."""
    if not query.is_standard(node, "Constant") or not node.attributes:
        return None
    value = next(iter(node.attributes.values())).value
    return value if isinstance(value, ir.TensorProtocol) else ir.tensor(value)


def _readers(value: ir.Value) -> tuple[tuple[str, int], ...]:
    return tuple((use.node.name or "", use.idx) for use in value.uses() if use.node.name)


def pair(first: Mapping[str, Held], second: Mapping[str, Held]) -> Paired:
    """Pair by name, then codes with the float tensor that the same node reads at the same input, then by equal content."""
    paired, left, right = Paired(), dict(first), dict(second)
    for name in [name for name in first if name in second]:
        paired.pairs.append((left.pop(name), right.pop(name)))
    _pair_by(paired, left, right, lambda h: [str(key) for key in h.readers], mixed=True)
    _pair_by(paired, left, right, lambda h: [h.digest()], mixed=False)
    paired.only = (list(left.values()), list(right.values()))
    return paired


def _pair_by(paired: Paired, left: dict[str, Held], right: dict[str, Held], keys: Any, *, mixed: bool) -> None:
    """Pair what has a key in common; ``mixed``: one of the two is codes, the other is not. Equal content pairs in the order of the graphs."""
    if not left or not right:
        return
    places: dict[str, list[Held]] = {}
    for candidate in reversed(right.values()):
        for key in keys(candidate):
            places.setdefault(key, []).append(candidate)
    for name, mine in list(left.items()):
        for key in keys(mine):
            found = places.get(key, [])
            while found and found[-1].name not in right:
                found.pop()
            if found and (not mixed or (mine.dequantizer is None) != (found[-1].dequantizer is None)):
                other = found.pop()
                paired.pairs.append((left.pop(name), right.pop(other.name)))
                paired.renamed[name] = other.name
                break


def compare(mine: Held, other: Held) -> TensorDiff | None:
    """How ``other`` differs from ``mine``; None where both are the same, to the bit. A pair with two names differs in nothing but them."""
    a, b = mine.tensor, other.tensor
    dtypes, shapes = (a.dtype.name.lower(), b.dtype.name.lower()), (tuple(a.shape.numpy()), tuple(b.shape.numpy()))
    what = [*(f"{kind} {x} and {y}" for kind, x, y in (("dtype", *dtypes), ("shape", list(shapes[0]), list(shapes[1]))) if x != y)]
    same = dtypes[0] == dtypes[1] and shapes[0] == shapes[1] and _bytes(a) == _bytes(b)
    coded = mine.dequantizer is not None, other.dequantizer is not None
    found: dict[str, Any] = {}
    if shapes[0] == shapes[1]:
        if coded[0] == coded[1] and not same:
            what += _differing(a.numpy(), b.numpy(), found, coded[0])
        if all(coded):
            what += _grids(mine.grid, other.grid, found) + _axes(mine, other)
        elif not same and mine.part == other.part == "scale":
            what = _grids((a.numpy(), None), (b.numpy(), None), found)
        elif not same and mine.part == other.part == "zero point":
            what = _grids((None, a.numpy()), (None, b.numpy()), found)
        if what or coded[0] != coded[1]:
            _closeness(mine.real(), other.real(), found)
    if coded[0] != coded[1]:
        what.append("codes and float" if coded[0] else "float and codes")
    return TensorDiff(mine.name, other.name, tuple(what), dtypes, shapes, int(np.prod(shapes[0])), **found) if what else None


def _differing(a: Array, b: Array, found: dict[str, Any], coded: bool) -> list[str]:
    """Count what differs; NaN equals NaN."""
    differ = a != b
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        differ &= ~(np.isnan(a) & np.isnan(b))
    count = found["differ"] = int(np.count_nonzero(differ))
    if coded:
        found["step"] = int(np.abs(a.astype(np.int64) - b.astype(np.int64)).max(initial=0))
    if not count:
        return ["bits (signs of zeros, or of NaN)"] if a.dtype == b.dtype else []
    return [f"{count:,} of {a.size:,} {'codes' if coded else 'values'}"]


Grid = tuple[Array | None, Array | None]


def _grids(mine: Grid, other: Grid, found: dict[str, Any]) -> list[str]:
    """Scale ratios and zero points of two grids; a part that is None is not looked at, or, of a zero point, is 0."""
    (scale, zero), (their_scale, their_zero) = mine, other
    what = []
    if scale is not None and their_scale is not None and not np.array_equal(scale, their_scale):
        if scale.size != their_scale.size and 1 not in (scale.size, their_scale.size):
            what.append(f"scale {list(scale.shape)} and {list(their_scale.shape)}")
        else:
            with np.errstate(all="ignore"):
                ratio = their_scale.reshape(-1).astype(np.float64) / scale.reshape(-1).astype(np.float64)
            found["scale"] = (float(ratio.min(initial=np.inf)), float(ratio.max(initial=-np.inf)))
            what.append("scale")
    zeros = [np.zeros(1, np.int64) if z is None else z.astype(np.int64).reshape(-1) for z in (zero, their_zero)]
    if 1 in (zeros[0].size, zeros[1].size) or zeros[0].size == zeros[1].size:
        moved = int(np.abs(zeros[1] - zeros[0]).max(initial=0))
        if moved:
            found["zero"] = moved
            what.append("zero point")
    return what


def _axes(mine: Held, other: Held) -> list[str]:
    """The axis along which scales lie, where that differs."""
    axes = [query.integer(h.dequantizer, "axis", 1) for h in (mine, other) if h.dequantizer is not None]
    per_channel = any(scale is not None and scale.ndim for scale in (mine.grid[0], other.grid[0]))
    return [f"axis {axes[0]} and {axes[1]}"] if axes[0] != axes[1] and per_channel else []


def _closeness(a: Array | None, b: Array | None, found: dict[str, Any]) -> None:
    """Signal to noise and the largest difference, over what is finite in both."""
    if a is None or b is None or a.shape != b.shape:
        return
    both = np.isfinite(a) & np.isfinite(b)
    a, b = (a, b) if both.all() else (a[both], b[both])
    noise = a - b
    found["largest"] = float(np.abs(noise).max(initial=0.0))
    signal, power = float(np.vdot(a, a)), float(np.vdot(noise, noise))
    found["snr_db"] = float("inf") if not power else float("-inf") if not signal else 10 * float(np.log10(signal / power))


def _bytes(tensor: ir.TensorProtocol) -> bytes:
    return repr(tensor.numpy().tolist()).encode() if tensor.dtype == ir.DataType.STRING else tensor.tobytes()
