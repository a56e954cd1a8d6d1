"""The order of the passes, by hand, with the reason for every line."""

from __future__ import annotations

from converter.passes.activations import SimplifyActivations
from converter.passes.affine import FoldAffineAfter
from converter.passes.affine_before import FoldAffineBefore
from converter.passes.affine_concat import AffineBeforeConcat
from converter.passes.base import GraphPass
from converter.passes.batchnorm import BatchNormToAffine
from converter.passes.cleanup import DropUnused, MergeEqual, RemoveNoOps, SortAndShape
from converter.passes.compose import ComposeOperators
from converter.passes.constants import FoldConstants
from converter.passes.dense import FlattenInChannelsFirst, MatMulToGemm
from converter.passes.layout import SinkTransposes
from converter.passes.naming import NameInitializers, NameNodes
from converter.passes.pads import FoldPad
from converter.passes.pooling import ReduceMeanToPool
from converter.passes.reshapes import MergeReshapes
from converter.passes.rows import MatMulOfRows


def clean() -> list[GraphPass]:
    """From a lowered graph to the canonical float graph."""
    return [
        NameNodes(),               # an ONNX file may have nodes without names, or with equal ones
        SortAndShape(),            # the rules below look at ranks and shapes
        RemoveNoOps(),             # an Identity between two nodes hides that they are neighbours
        FoldConstants(),           # weights arrive reshaped, BatchNorm as arithmetic on vectors
        BatchNormToAffine(),       # or, in ONNX files, as an operator: from here on they are the same
        DropUnused(),              # what only fed folded nodes is gone before anything counts readers
        MatMulOfRows(),            # a Dense layer on a picture, without the shapes between it and its neighbours
        SinkTransposes(),          # needs constants folded; everything below expects channels first
        RemoveNoOps(),             # transposes that became the identity, products with a one that was computed
        SortAndShape(missing_only=True),  # shapes of what was moved
        SimplifyActivations(),     # before folds, so that Relu and Clip stand where engines look for them
        ComposeOperators(),        # needs constants folded and ranks; whole operators are easier to see than their pieces
        MatMulToGemm(),            # gives dense layers a place for a bias
        AffineBeforeConcat(),      # BatchNorm behind convolutions side by side, on its way into them
        FoldAffineAfter(),         # BatchNorm and bias behind convolution and dense
        FoldPad(),                 # knows Relu by now; before the next line: a padded convolution takes no shift from in front
        FoldAffineBefore(),        # BatchNorm in front, where it is exact
        ReduceMeanToPool(),        # needs channels first
        SortAndShape(missing_only=True),  # shapes of what was rewritten
        MergeReshapes(),           # what stands between GlobalAveragePool and a gate
        FlattenInChannelsFirst(),  # the last transpose of a network that ends in Flatten and Dense
        FoldConstants(),           # what the folds left constant
        MergeEqual(),              # last: equal nodes may differ only in what was folded above
        NameInitializers(),        # names of the result, not of the steps
        SortAndShape(missing_only=True),  # the order and the shapes that are written
    ]
