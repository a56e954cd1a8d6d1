"""The head of one graph on the backbone of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converter.progress import SILENT, Listener, Stages
from converter.spec.report import Report


def graft(
    donor: str | Path, recipient: str | Path, out: str | Path, *, at: str, donor_at: str | None = None, take: str = "head",
    transpose: str | None = None, data: Any = None, force: bool = False, progress: Listener = SILENT,
) -> Report:
    """Join a part of one ONNX graph and a part of another at a seam, and write the result as one ONNX file.

    With ``take="head"`` what the recipient has up to ``at`` feeds what the donor has behind ``donor_at``: a new head on a shipped backbone. With
    ``take="backbone"`` what the donor has up to ``donor_at`` feeds what the recipient has behind ``at``: another backbone under a shipped head.
    Float and integer graphs, also ones that converter did not make. A name is a tensor, a node, or a Keras layer (or a model inside the model),
    looked for in this order. Of a tensor that is quantized, the real numbers, the codes and what is read from the codes are one seam.

    The result has the outputs of the head, and those of the backbone that do not depend on what was cut off, the recipient's side of the seam
    among them where it is an output with more of the graph behind it. Inputs and outputs keep their names, the recipient's first.

    Where both sides have the same grid at the seam, one QuantizeLinear/DequantizeLinear pair is kept; where they differ, both are, which is a
    requantization. The graph with the older opset is lifted. Provenance (files, sha256, seams) is in the model's metadata ``converter.graft``.

    Args:
        donor, recipient: ``.onnx`` files, or folders of bundles, which stand for their integer graphs. They stay as they are.
        out: file to write. A graft is an ONNX file, not a bundle, whatever it is made from.
        at: seam of the recipient.
        donor_at: seam of the donor; its only input for a head, its only output for a backbone, by default.
        take: ``"head"`` or ``"backbone"``.
        transpose: ``"channels-last"`` or ``"channels-first"``: what the head wants where the backbone has it the other way.
        data: inputs of the result, to prove it on; random ones by default.
        force: replace an existing file.
        progress: hears about the stages.

    Returns:
        What was joined and how, what was lost, and in ``numbers["parity"]`` how far the result is from running the two parts in sequence,
        fused and unfused.

    Raises:
        UsageError: a name means nothing, the seam does not cut the graph in two, or shapes, types or layouts differ there. What was
            received, what exists and what would help is said.
        InputError: a file is missing or damaged.
        ConversionError: an operator cannot be lifted to the other graph's opset; it is named.
        ParityError: the result does not compute what the parts compute in sequence. As after every error, nothing was written.

    Example:
        >>> converter.graft("head.onnx", "backbone.onnx", "model.onnx", at="features")  # doctest: +SKIP
    """
    from converter.ship import grafting

    order = grafting.Order(Path(donor), Path(recipient), Path(out), at, donor_at, take, transpose, data, force)
    return grafting.run(order, Stages(progress))
