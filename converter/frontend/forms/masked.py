"""Time steps that a mask leaves out, for operators that can only leave out the last ones.

Keras takes any mask ``m (batch, time)``: a step that is masked leaves the state as it is and repeats the output before it (zeros where there is
none, or always with zero_output_for_mask). ONNX takes ``sequence_lens`` alone. With n valid steps in a row:

    order   the positions of the valid steps, first to last, then the others: the steps sorted by (m ? cumsum(m) : infinity)
    x'      x[order], of which the first n steps count: sequence_lens = n
    y[t]    y'[cumsum(m)[t] - 1], zeros where that is -1: what the last valid step up to t gave

So it is exact for every mask, padding on the left or gaps too, without a loop. In zero_output_for_mask only valid steps are read, so the same
holds for a sequence that ONNX runs in reverse.
Source: ONNX operators CumSum-14, TopK-11, GatherND-13.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.graph.build import Builder

INT64, BOOL = ir.DataType.INT64, ir.DataType.BOOL
LAST = np.array(np.iinfo(np.int64).max)


class Valid:
    """The valid steps of a batch of sequences.

    Args:
        build: writes the operators.
        mask: bool ``(batch, time)``.
        length: of the time axis, None where it is free.
    """

    def __init__(self, build: Builder, mask: ir.Value, length: int | None) -> None:
        self._build, self.mask = build, mask
        ones = build("Cast", mask, to=int(INT64), dtype=INT64)
        self._count = build("CumSum", ones, np.array(1))
        total = build("ReduceSum", ones, np.array([1]), keepdims=0)
        self.lengths = build("Cast", total, to=int(ir.DataType.INT32), dtype=ir.DataType.INT32)
        self._total = total
        time = np.array([length]) if length else build("Gather", build("Shape", mask, dtype=INT64), np.array([1]), axis=0)
        key = build("Where", mask, self._count, LAST, dtype=INT64)
        order = build.several("TopK", key, time, count=2, axis=1, largest=0, sorted=1)[1]
        self._order = build("Unsqueeze", order, np.array([2]))

    def first(self, sequence: ir.Value) -> ir.Value:
        """``sequence (batch, time, features)`` with the valid steps in front."""
        return self._build("GatherND", sequence, self._order, batch_dims=1)

    def back(self, sequence: ir.Value, zero: bool) -> ir.Value:
        """Outputs of :meth:`first` at the steps they belong to; ``zero``: zeros at masked ones, else what came before."""
        build = self._build
        index = build("Max", build("Sub", self._count, np.array(1)), np.array(0))
        found = build("GatherND", sequence, build("Unsqueeze", index, np.array([2])), batch_dims=1)
        there = self.mask if zero else build("Greater", self._count, np.array(0), dtype=BOOL)
        return self._or_zero(build("Unsqueeze", there, np.array([2])), found)

    def last(self, output: ir.Value, zero: bool, initial: bool) -> ir.Value:
        """The output ``(batch, features)`` of the last step, given the final state.

        With ``zero``, zeros where the last step is masked; else zeros where no step is valid, where engines may give the initial state.
        """
        if not zero and not initial:  # the initial state is zeros
            return output
        there = self._build("Gather", self.mask, np.array([-1]), axis=1) if zero else self._any()
        return self._or_zero(there, output)

    def state(self, state: ir.Value, initial: ir.Value) -> ir.Value:
        """The final state ``(batch, features)``: the initial one where no step is valid."""
        return self._build("Where", self._any(), state, initial, dtype=state.dtype)

    def _any(self) -> ir.Value:
        """Which sequences have a valid step, bool ``(batch, 1)``."""
        return self._build("Unsqueeze", self._build("Greater", self._total, np.array(0), dtype=BOOL), np.array([1]))

    def _or_zero(self, there: ir.Value, value: ir.Value) -> ir.Value:
        return self._build("Where", there, value, np.array(0, np.float32), dtype=value.dtype)
