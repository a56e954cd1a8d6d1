"""A folder of images in class subfolders, read as Keras reads it: ``keras.utils.image_dataset_from_directory``.

Pixels are float32 from 0 to 255, resized with Keras' default (bilinear, the aspect ratio is not kept); a model that
was trained on anything else needs its preprocessing inside, or data of another kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from converter.data.checked import CheckedSource
from converter.data.match import Named, wanted
from converter.errors import InputError
from converter.spec.signature import TensorInfo

COLORS: Mapping[object, str] = {1: "grayscale", 3: "rgb", 4: "rgba"}


def open_images(folder: Path, inputs: Sequence[TensorInfo], required: bool) -> CheckedSource:
    """A source over the images in ``folder``, in the order of their paths; labels are the numbers of the sorted subfolders.

    Raises:
        InputError: there are no images in class subfolders, or the model does not take one image of a fixed size.
    """
    options = _options(str(folder), inputs)
    count = len(_dataset(folder, options, 1).file_paths)

    def pieces(size: int) -> Iterator[Named]:
        dataset = _dataset(folder, options, size)
        for images, labels in _readable(dataset, folder, size):
            yield {inputs[0].name: images}, labels

    return CheckedSource(str(folder), tuple(inputs), required, count, pieces)


def _options(name: str, inputs: Sequence[TensorInfo]) -> dict[str, Any]:
    """What Keras must know of the model's input: size, colours and where the channels are."""
    info = inputs[0]
    sizes = info.shape[1:]
    if len(inputs) == 1 and len(sizes) == 3 and all(isinstance(n, int) for n in sizes) and info.kind == "f":
        if sizes[2] in COLORS:
            return {"image_size": sizes[:2], "color_mode": COLORS[sizes[2]], "data_format": "channels_last"}
        if sizes[0] in COLORS:
            return {"image_size": sizes[1:], "color_mode": COLORS[sizes[0]], "data_format": "channels_first"}
    raise InputError(f"{name}: a folder of images can feed a model whose only input is a float image of fixed size and 1, 3 or 4 channels, "
                     f"save a .npz for this one; received a folder, {wanted(inputs)}")


def _dataset(folder: Path, options: dict[str, Any], size: int) -> Any:
    import keras

    try:
        return keras.utils.image_dataset_from_directory(folder, batch_size=size, shuffle=False, label_mode="int", verbose=False, **options)
    except ValueError as error:
        raise InputError(f"{folder}: images are looked for in one subfolder a class; received {error}") from error


def _readable(dataset: Any, folder: Path, size: int) -> Iterator[tuple[Any, Any]]:
    import tensorflow

    batches = dataset.as_numpy_iterator()
    for start in range(0, len(dataset.file_paths), size):
        try:
            yield next(batches)
        except tensorflow.errors.OpError as error:
            files = dataset.file_paths[start:start + size]
            raise InputError(f"{folder}: an image cannot be decoded, it is one of the {len(files)} from {files[0]} on; "
                             f"received {error.message.splitlines()[0]}") from error
