"""The architecture of a model with fresh weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converter.progress import SILENT, Listener, Stages
from converter.spec.report import Report


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
