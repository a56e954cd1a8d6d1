"""Bucketize(x): how many boundaries are not above x.

    sum_b not (x < b)

Not ``x >= b``, since TensorFlow puts what is not a number behind the last boundary. Source:
tensorflow/core/kernels/bucketize_op.cc (std::upper_bound).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.frontend.expansions import EXPANSIONS, Site


def _bucketize(site: Site) -> ir.Value:
    build = site.build
    double = site.dtype() == "float64"
    boundaries = np.array(site.node.attributes["boundaries"].as_floats(), np.float64 if double else np.float32)
    x = site.value(0) if double else site.floats()
    below = build("Less", build("Unsqueeze", x, np.array([-1])), boundaries, dtype=ir.DataType.BOOL)
    reached = build("Cast", build("Not", below), to=ir.DataType.INT32, dtype=ir.DataType.INT32)
    return build("ReduceSum", reached, np.array([-1]), keepdims=0)


EXPANSIONS.add("Bucketize", _bucketize)
