"""Weights and parts of models from one to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.progress import SILENT, Listener, Stages
from converter.spec.report import Report

if TYPE_CHECKING:
    from converter.ship.bundle import Bundle


def refit(
    weights: Any, bundle: str | Path, out: str | Path, *, data: Any = None, calib: Any = None, recalibrate: bool = False,
    session_check: bool = False, force: bool = False, unsafe: bool = False, command: str = "", progress: Listener = SILENT,
) -> Bundle:
    """Put new weights of the same Keras model into a shipped bundle; nothing is traced or exported, nor calibrated unless asked for.

    Every fold that the export made is replayed on the new weights; they are encoded on scales of their own, activation grids stay. A
    ``.keras`` or ``.weights.h5`` file is read without loading Keras.

    Args:
        weights: live ``keras.Model``, ``.keras`` or ``.weights.h5`` file, or ``module:factory``, of the structure that was shipped; layer
            names may differ.
        bundle: folder of the shipped bundle; it stays as it is.
        out: folder of the new bundle.
        data: to judge on, with labels where the bundle has a metric; without it, the golden inputs of the bundle.
        calib: calibration data: how far the activation ranges have drifted is reported in ``numbers["drift"]``.
        recalibrate: give the activations new grids from ``calib``.
        session_check: prove that a session opened on the written file computes what was verified, and not what the old bundle does.
        force, unsafe, progress: as for :func:`ship`.
        command: noted in the report as the way to run this again.

    Returns:
        The new bundle, with its report.

    Raises:
        VerdictError: the integer model is wrong, or misses the limit that the bundle was shipped with. Nothing was written.
        InputError: the bundle is damaged, or the weights are of another structure; what is missing and what is unknown is named.
    """
    from converter.ship import refitting

    order = refitting.Order(weights, Path(bundle), Path(out), data, calib, recalibrate, session_check, force=force, unsafe=unsafe, command=command)
    return refitting.run(order, Stages(progress))


def copy_weights(
    donor: Any, recipient: str | Path, out: str | Path | None = None, *, by: str = "auto", mapping: Mapping[str, str] | None = None,
    select: Sequence[str] = (), exclude: Sequence[str] = (), factor: float = 1.0, grid: str = "fresh", partial: bool = False, data: Any = None,
    proof: bool = True, save_map: str | Path | None = None, force: bool = False, unsafe: bool = False, command: str = "",
    progress: Listener = SILENT,
) -> Report:
    """Copy weights of one model into the graph of another: matched, converted to its layouts and grids, proved.

    Parameters are paired by name, held against structure (canonical order of the graph, operators, roles and shapes), then by structure;
    so that layers may be called otherwise, and the file may come from any exporter or quantizer (in QDQ form). BatchNorm of the donor is
    folded where the recipient's is.

    Args:
        donor: live ``keras.Model``, ``.keras``, ``.h5``, ``.onnx``, a bundle folder (its float graph) or ``module:factory``.
        recipient: ``.onnx`` file, float or integer, or a bundle folder; it stays as it is.
        out: file to write, or folder where the recipient is a bundle; None is a dry run, which only tells what would be done.
        by: ``auto``, ``name``, ``structure``, ``value`` (equal numbers, to find out what is what) or ``map``.
        mapping: donor's name to recipient's, before all else; a ``*`` on the left stands for what a ``*`` on the right does.
        select, exclude: globs on names or layer paths of what is to be copied.
        factor: ``factor * donor + (1 - factor) * own``, of the float values.
        grid: of integer weights: ``fresh``, a scale for the new numbers, or ``frozen``, the one that is there; what does not fit is clipped
            and counted. A bias of 32 bits always gets the grid that follows from its layer's.
        partial: copy what fits, though something has no partner or another shape.
        data: to compare both on; random inputs by default.
        proof: where everything was copied, the result must compute what the donor computes.
        save_map: JSON file to write the pairs to, as ``mapping`` takes them.
        force, unsafe, progress: as for :func:`converter.export`.
        command: noted in the report as the way to run this again.

    Returns:
        Pairs with their conversions, what is left on both sides and why, and how close the result is to the donor.

    Raises:
        InputError: something has no partner (without ``partial``), several are possible, or numbers do not fit; nothing is written.
        UsageError: a pattern or rule that matches nothing.
        ParityError, VerdictError: the result does not compute what the donor computes.
    """
    from converter.ship import copying

    order = copying.Order(
        donor, recipient, None if out is None else Path(out), by, mapping, tuple(select), tuple(exclude), factor, grid, partial, data, proof,
        None if save_map is None else Path(save_map), force=force, unsafe=unsafe, command=command)
    return copying.run(order, Stages(progress))


def restore(
    graph: str | Path, model: Any, out: str | Path | None = None, *, by: str = "auto", mapping: Mapping[str, str] | None = None, data: Any = None,
    force: bool = False, unsafe: bool = False, command: str = "", progress: Listener = SILENT,
) -> Report:
    """Bring the weights of a graph back into the Keras model that has its architecture; what was folded is taken apart again.

    The model is exported in memory, which tells how each tensor is computed from the variables; the tensors of ``graph`` are paired with
    those as :func:`copy_weights` does, and the computation is undone: a kernel with BatchNorm behind it changes the kernel and keeps gamma and
    the moving statistics, its bias changes beta. Of an integer graph the weights are dequantized. The restored model must compute what the
    graph computes (an integer one: but for its activations, which are not quantized in Keras).

    Args:
        graph: ``.onnx`` file, float or integer, or a bundle folder (its float graph; for the numbers that were deployed, give its model.onnx).
        model: live ``keras.Model``, ``.keras``, ``.h5``, SavedModel folder or ``module:factory``, of the architecture of ``graph``. A file is
            never changed.
        out: ``.keras`` or ``.weights.h5`` file to write; a live model has its own values again afterwards. None changes the live model itself,
            and nothing is written; where this fails, it has its own values.
        by, mapping: what pairs tensors, as for :func:`copy_weights`; the graph is the donor.
        data: to compare both on as well; random inputs are always tried.
        force, unsafe, progress: as for :func:`converter.export`.
        command: noted in the report as the way to run this again.

    Returns:
        Which variables changed, which kept their values, which have no part in the graph; and the errors that were measured.

    Raises:
        InputError: the graph is not one of this model: what has no partner or another shape is named.
        ConversionError: no values of the variables give the graph's tensors: these are named (a gamma of 0, tensors that share a variable).
        ParityError: the restored model does not compute what the graph computes.
    """
    from converter.ship import restoring

    order = restoring.Order(graph, model, None if out is None else Path(out), by, mapping, data, force=force, unsafe=unsafe, command=command)
    return restoring.run(order, Stages(progress))
