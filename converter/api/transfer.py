"""Weights and parts of models from one to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.progress import SILENT, Listener, Stages
from converter.spec.report import Report

if TYPE_CHECKING:
    from converter.ship.bundle import Bundle


def refit(
    weights: Any, bundle: str | Path, out: str | Path, *, data: Any = None, force: bool = False, unsafe: bool = False, command: str = "",
    progress: Listener = SILENT,
) -> Bundle:
    """Put new weights of the same Keras model into a shipped bundle; nothing is traced, exported or calibrated.

    Every fold that the export made is replayed on the new weights; they are encoded on scales of their own, activation grids stay. A
    ``.keras`` or ``.weights.h5`` file is read without loading Keras.

    Args:
        weights: live ``keras.Model``, ``.keras`` or ``.weights.h5`` file, or ``module:factory``, of the structure that was shipped; layer
            names may differ.
        bundle: folder of the shipped bundle; it stays as it is.
        out: folder of the new bundle.
        data: to judge on, with labels where the bundle has a metric; without it, the golden inputs of the bundle.
        force, unsafe, progress: as for :func:`ship`.
        command: noted in the report as the way to run this again.

    Returns:
        The new bundle, with its report.

    Raises:
        VerdictError: the integer model is wrong, or misses the limit that the bundle was shipped with. Nothing was written.
        InputError: the bundle is damaged, or the weights are of another structure; what is missing and what is unknown is named.
    """
    from converter.ship import refitting

    order = refitting.Order(weights, Path(bundle), Path(out), data, force=force, unsafe=unsafe, command=command)
    return refitting.run(order, Stages(progress))


def clone(
    model: Any, out: str | Path, *, onnx: str | Path | None = None, seed: int = 0, classes: int | None = None, input_size: Any = None,
    unsafe: bool = False, force: bool = False, progress: Listener = SILENT,
) -> Report:
    """Write the architecture of a model with fresh weights.

    A Keras model is built again from its configuration and draws by its own initializers; what preprocessing layers were adapted to is kept. A
    float graph draws by operator: He normal in front of a rectifier, else Glorot uniform, orthogonal recurrent kernels, biases 0, normalizations
    neutral. The caller's random state stays as it is.

    Args:
        model: as for :func:`export`, or a float ``.onnx`` file, or a bundle (its float graph).
        out: ``.keras`` file (of a Keras model only) or ``.onnx`` file.
        onnx: also write this ONNX file, beside a ``.keras`` file.
        seed: the same seed gives the same weights.
        classes: another width of the first output.
        input_size: another size of an input: a number for all its axes, several, None for a free one, or a text such as ``"96x128"``, ``"any"``,
            ``"image=96"``.
        unsafe, force, progress: as for :func:`export`; ``force`` is off by default.

    Returns:
        A report: every tensor that was drawn in ``numbers["tensors"]``; of a graph also those that were left, and why, in ``numbers["left"]``.

    Raises:
        UsageError: a seed, a size or a file name that does not fit.
        InputError: the model cannot be read.
        ConversionError: it is an integer graph, cannot be built again, or a layer fixes the classes or the size; it is named.
    """
    from converter.ship import cloning
    from converter.spec.sizes import parse

    order = cloning.Order(model, Path(out), None if onnx is None else Path(onnx), seed, classes,
                          None if input_size is None else parse(input_size), force=force, unsafe=unsafe)
    return cloning.run(order, Stages(progress))


def diff(first: str | Path, second: str | Path) -> Report:
    """What differs between two graphs, by tensor (shape, codes, scale, signal to noise) and by operator.

    Tensors are paired by name, codes counting as the float tensor that they were made of, then by who reads them, then by equal content.

    Args:
        first, second: ``.onnx`` files, or bundle folders (their deployed graph); float or integer, also one of each.

    Returns:
        A report; ``numbers["empty"]`` says whether there is no difference at all, ``numbers["tensors"]`` and ``numbers["nodes"]`` hold every one.

    Raises:
        UsageError, InputError: it is a Keras model, or cannot be read.
    """
    from converter.ship.diffing import diff_models

    return diff_models(first, second)
