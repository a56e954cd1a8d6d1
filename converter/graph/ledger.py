"""The ledger: how every initializer came out of the Keras variables, so that each fold can be replayed and undone.

It is a computation in single-assignment form. An entry is one ONNX operator on other entries, a Keras variable (by
path), or a constant. Replaying it on new variables gives the initializers of the same graph with new weights, bit for
bit, because the very same operators run on the very same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.errors import InputError, known
from converter.graph import io
from converter.spec.quant import Array

META = "ledger"


@dataclass(frozen=True)
class Step:
    """One operator of the default domain applied to entries."""

    op_type: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass
class Ledger:
    """Entries by name: variables (initializer name to Keras variable path), constants, and steps."""

    opset: int = 18
    variables: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)

    def variable(self, name: str, path: str) -> None:
        """``name`` is the Keras variable ``path`` itself."""
        self.variables[name] = path

    def constant(self, name: str, array: Array) -> None:
        """``name`` does not depend on any variable."""
        self.constants[name] = array

    def literal(self, array: Array) -> str:
        """The name of a small constant that is called after what it holds, so that there is one for all its readers."""
        name = f"#{array.dtype.str[1:]}{array.tolist()}"
        self.constants.setdefault(name, array)
        return name

    def record(self, name: str, op_type: str, inputs: Sequence[str], attributes: Mapping[str, Any]) -> None:
        """``name`` is ``op_type`` of ``inputs``."""
        self.steps[name] = Step(op_type, tuple(inputs), dict(attributes))

    def rename(self, old: str, new: str) -> None:
        """Follow an initializer that got another name; readers of the old name keep reading it."""
        if old in self.variables:
            self.variables[new] = self.variables[old]
        if old in self.constants:
            self.constants[new] = self.constants[old]
        if old in self.steps:
            self.steps[new] = self.steps[old]

    def names(self) -> set[str]:
        """Every name that an entry has."""
        return {*self.variables, *self.constants, *self.steps}

    def sources(self, name: str) -> list[str]:
        """Paths of the Keras variables that ``name`` was computed from, in the order of the computation."""
        found: dict[str, None] = {}
        seen, stack = set[str](), [name]
        while stack:
            entry = stack.pop()
            if entry in seen:
                continue
            seen.add(entry)
            if entry in self.variables:
                found[self.variables[entry]] = None
            elif entry in self.steps:
                stack += reversed(self.steps[entry].inputs)
        return list(found)

    def replay(self, name: str, variables: Mapping[str, Array], done: dict[str, Array] | None = None) -> Array:
        """The numbers of ``name`` when the Keras variables have the values ``variables`` (by path).

        Raises:
            InputError: a variable is missing.
        """
        done = {} if done is None else done
        stack = [name]
        while stack:
            entry = stack[-1]
            if entry in done:
                stack.pop()
                continue
            missing = [i for i in self._inputs(entry) if i not in done]
            if missing:
                stack += missing
            else:
                done[entry] = self._value(entry, variables, done)
                stack.pop()
        return done[name]

    def _inputs(self, entry: str) -> tuple[str, ...]:
        return self.steps[entry].inputs if entry in self.steps else ()

    def _value(self, entry: str, variables: Mapping[str, Array], done: Mapping[str, Array]) -> Array:
        if entry in self.constants:
            return self.constants[entry]
        if entry in self.variables:
            path = self.variables[entry]
            if path not in variables:
                raise InputError(f"no variable {path!r} to compute {entry!r} from; received: {known(variables)}")
            return variables[path]
        if entry not in self.steps:
            raise InputError(f"the ledger does not know {entry!r}; known: {known([*self.variables, *self.steps])}")
        step = self.steps[entry]
        return io.evaluate(step.op_type, [done[i] for i in step.inputs], step.attributes, self.opset)[0]

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """The part of the ledger that the initializers ``names`` depend on, as JSON values."""
        needed = self._reachable(names)
        return {"opset": self.opset,
                "variables": {n: p for n, p in self.variables.items() if n in needed},
                "constants": {n: _array_json(a) for n, a in self.constants.items() if n in needed},
                "steps": {n: _step_json(s) for n, s in self.steps.items() if n in needed}}

    def _reachable(self, names: Sequence[str]) -> set[str]:
        seen: set[str] = set()
        stack = list(names)
        while stack:
            entry = stack.pop()
            if entry not in seen:
                seen.add(entry)
                stack += self._inputs(entry)
        return seen


def of(model: ir.Model) -> Ledger:
    """The ledger of ``model``; an empty one is begun where there is none (a graph that did not come from Keras)."""
    found = model.meta.get(META)
    if not isinstance(found, Ledger):
        found = Ledger(opset=model.graph.opset_imports.get("", 18))
        for name, value in model.graph.initializers.items():
            if value.const_value is not None:
                found.variable(name, name)
        model.meta[META] = found
    return found


def from_json(data: Mapping[str, Any]) -> Ledger:
    """What :meth:`Ledger.to_json` wrote."""
    steps = {n: Step(s["op"], tuple(s["inputs"]), {k: _attribute(v) for k, v in s.get("attributes", {}).items()}) for n, s in data["steps"].items()}
    constants = {n: _array(c) for n, c in data["constants"].items()}
    return Ledger(data["opset"], dict(data["variables"]), constants, steps)


def _step_json(step: Step) -> dict[str, Any]:
    attributes = {k: _array_json(v) if isinstance(v, np.ndarray) else list(v) if isinstance(v, tuple) else v for k, v in step.attributes.items()}
    return {"op": step.op_type, "inputs": list(step.inputs), **({"attributes": attributes} if attributes else {})}


def _attribute(value: Any) -> Any:
    return _array(value) if isinstance(value, dict) else tuple(value) if isinstance(value, list) else value


def _array_json(array: Array) -> dict[str, Any]:
    """JSON has no infinity and no NaN: these stand as text, which numpy reads back."""
    numbers = array.reshape(-1).tolist()
    return {"dtype": str(array.dtype), "shape": list(array.shape),
            "data": [str(x) if isinstance(x, float) and not math.isfinite(x) else x for x in numbers]}


def _array(data: Mapping[str, Any]) -> Array:
    return np.array([float(x) if isinstance(x, str) and data["dtype"] != "object" else x for x in data["data"]], data["dtype"]).reshape(data["shape"])
