"""A plan: which value gets which grid, and from whom. It decides; it holds no numbers and touches no graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from converter.spec.quant import QuantSpec


@dataclass(frozen=True)
class Own:
    """The value has a grid of its own.

    Args:
        spec: the kind of grid.
        axis: channel axis for per-channel grids.
        observer: how the range is read from the statistics (activations) or None (weights: from the numbers).
        unsigned: the value is never negative by construction (Relu, Clip from 0), so that its zero point is 0.
        ceiling: upper bound by construction (Clip), or None.
    """

    spec: QuantSpec
    axis: int | None = None
    observer: str | None = None
    unsigned: bool = False
    ceiling: float | None = None


@dataclass(frozen=True)
class Shared:
    """The value has the grid of another value, because an operator only moves codes between them."""

    owner: str


@dataclass(frozen=True)
class Derived:
    """The grid is the product of two others: a bias, ``scale = scale(activation) * scale(weight)``, zero point 0."""

    spec: QuantSpec
    activation: str
    weight: str


@dataclass(frozen=True)
class Fixed:
    """The engine prescribes the grid."""

    spec: QuantSpec
    scale: float
    zero_point: int


Entry = Own | Shared | Derived | Fixed


@dataclass(frozen=True)
class Layer:
    """A node that will run on integers: the values that matter, by name, and how its weight lies in memory.

    Args:
        name: name of the node.
        op_type: its operator.
        path: path of the Keras layer it came from, or the node's name.
        source: value that the node reads.
        weight: initializer with its weight.
        bias: initializer with its bias, or None.
        output: value that carries the quantized result: the node's output, or that of the activation fused into it.
        channel: axis of the output channel in the weight.
    """

    name: str
    op_type: str
    path: str
    source: str
    weight: str
    bias: str | None
    output: str
    channel: int


@dataclass(frozen=True)
class QuantPlan:
    """Entries by value name, the weighted layers in graph order, and the edges that carry a grid.

    Args:
        entries: value name to entry.
        layers: nodes with a quantized weight, in topological order.
        readers: names of the nodes whose inputs are read through DequantizeLinear.
        made: names of the values that those nodes write, a fused activation included.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    readers: frozenset[str] = frozenset()
    made: frozenset[str] = frozenset()

    def observed(self) -> Iterator[str]:
        """Names of the activations whose statistics are needed, in order of the plan."""
        return (name for name, entry in self.entries.items() if isinstance(entry, Own) and entry.observer)

    def owner(self, name: str) -> str:
        """The value whose grid ``name`` has, through any chain of :class:`Shared`."""
        entry = self.entries[name]
        while isinstance(entry, Shared):
            name, entry = entry.owner, self.entries[entry.owner]
        return name
