"""What Keras and TensorFlow users have at hand: tf.data.Dataset, keras.utils.PyDataset, folders of images."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from converter.data import fingerprint, limit, open_source
from converter.errors import InputError
from converter.spec.signature import TensorInfo

X = TensorInfo("x", (None, 2), "float32")
RGB = TensorInfo("image", (None, 6, 8, 3), "float32")


def rows(n):
    return np.arange(2 * n, dtype="float32").reshape(n, 2)


def test_opening_arrays_and_npz_files_imports_neither_keras_nor_tensorflow(tmp_path):
    np.savez(tmp_path / "a.npz", x=rows(2))
    code = ("import sys; from converter.data import open_source; from converter.spec.signature import TensorInfo\n"
            f"list(open_source({str(tmp_path / 'a.npz')!r}, [TensorInfo('x', (None, 2), 'float32')]).batches(2))\n"
            "assert not {'keras', 'tensorflow', 'onnxruntime', 'onnx'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_tf_dataset(batch):
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((rows(7), np.arange(7))).batch(batch)
    for data in (dataset, lambda: dataset, lambda: iter(dataset)):  # the last one gives tensors, not arrays
        source = open_source(data, [X], labels=True)
        for _ in range(2):
            batches = list(source.batches(2))
            assert [len(b) for b in batches] == [2, 2, 2, 1]
            np.testing.assert_array_equal(np.concatenate([b.inputs["x"] for b in batches]), rows(7))
            np.testing.assert_array_equal(np.concatenate([b.labels for b in batches]), np.arange(7))


def test_tf_dataset_of_dicts_without_end_or_without_batches():
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices({"x": rows(7), "y": np.arange(7)})
    assert next(open_source(dataset.batch(3), [X], labels=True).batches(7)).labels.tolist() == list(range(7))
    with pytest.raises(InputError, match=r"has no end, give it one with .take\(n\)"):
        open_source(dataset.batch(3).repeat(), [X])
    with pytest.raises(InputError, match=r"axis 0 is the batch: .batch\(n\).*received float32 \[2\]"):
        list(open_source(dataset, [X]).batches(2))


def test_py_dataset():
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self, lengths):
            super().__init__()
            self.lengths = lengths

        @property
        def num_batches(self):
            return None if self.lengths is None else len(self.lengths)

        def __getitem__(self, index):
            return rows(self.lengths[index]), np.arange(self.lengths[index])

    source = open_source(Batches([3, 2]), [X], labels=True)
    assert [[b.labels.tolist() for b in source.batches(2)] for _ in range(2)] == [[[0, 1], [2, 0], [1]]] * 2
    assert len(next(open_source(lambda: Batches([3]), [X]).batches(9))) == 3
    with pytest.raises(InputError, match="has no end, give it one with num_batches"):
        open_source(Batches(None), [X])
    with pytest.raises(InputError, match="received no samples"):
        list(open_source(Batches([]), [X]).batches(2))


@pytest.fixture
def folder(tmp_path):
    """Three classes, whose images are of one colour: 10, 20, ... in the order of their paths."""
    import tensorflow as tf

    for number, path in enumerate(("cat/a.png", "cat/b.png", "dog/a.png", "eel/deep/a.png", "eel/deep/z.png"), 1):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((9, 5, 3), number * 10, "uint8")
        pixels[:, :, 2] = 0
        tf.io.write_file(str(tmp_path / path), tf.io.encode_png(pixels))
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    return tmp_path


def test_image_folder(folder):
    source = open_source(str(folder), [RGB], labels=True)
    assert (source.count, source.name) == (5, str(folder))
    for size in (2, 5):
        batches = list(source.batches(size))
        assert len(batches[0]) == size
        images = np.concatenate([b.inputs["image"] for b in batches])
        assert (images.shape, images.dtype) == ((5, 6, 8, 3), np.float32)
        np.testing.assert_allclose(images[:, 0, 0], [[n, n, 0] for n in (10, 20, 30, 40, 50)])
        assert np.concatenate([b.labels for b in batches]).tolist() == [0, 0, 1, 2, 2]
    assert limit(source, 3).count == 3
    assert fingerprint(source, 2) == fingerprint(source, 3)


@pytest.mark.parametrize(("shape", "pixel"), [
    ((None, 6, 8, 1), lambda image: image[0, 0, 0]), ((None, 6, 8, 4), lambda image: image[0, 0, 3] - 245),
    ((None, 3, 6, 8), lambda image: image[1, 0, 0])])
def test_colours_and_layout_are_those_of_the_input(folder, shape, pixel):
    (batch,) = open_source(folder, [TensorInfo("image", shape, "float32")]).batches(9)
    assert batch.inputs["image"].shape == (5, *shape[1:])
    assert pixel(batch.inputs["image"][0]) == pytest.approx(10, abs=2)


@pytest.mark.parametrize("inputs", [[TensorInfo("image", (None, None, None, 3), "float32")], [TensorInfo("image", (None, 6, 8, 2), "float32")],
                                    [TensorInfo("image", (None, 6, 8, 3), "uint8")], [X], [RGB, X]])
def test_models_that_a_folder_cannot_feed(tmp_path, inputs):
    with pytest.raises(InputError, match=r"only input is a float image of fixed size .*; received a folder, the model wants"):
        open_source(tmp_path, inputs)


def test_folder_without_images(tmp_path):
    for path in ("a.png", "empty"):
        with pytest.raises(InputError, match="one subfolder a class; received No images found"):
            open_source(tmp_path, [RGB])
        (tmp_path / path).mkdir()


def test_an_image_that_cannot_be_decoded(folder):
    (folder / "dog" / "a.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(InputError, match=r"one of the 2 from .*dog/a.png on; received"):
        list(open_source(folder, [RGB]).batches(2))
