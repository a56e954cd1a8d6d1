"""Train the model that ``scripts/demo`` ships, and write its calibration and evaluation data.

    .venv/bin/python scripts/train_fashion.py [--data DIR] [--out models] [--epochs 6]

DIR holds the four idx files of Fashion-MNIST as the Debian package ``dataset-fashion-mnist`` (MIT) installs them. Written are

    fashion_cnn.keras    the trained model, without optimizer state; input ``image`` (n, 28, 28, 1) float32 in [0, 1], output ``logits`` (n, 10)
    fashion_calib.npz    x: 256 training images, unlabelled
    fashion_eval.npz     x, y: 2000 test images and their class numbers, int64

The seed is fixed, but weights still differ in the last digits between processors.
"""

from __future__ import annotations

import argparse
import gzip
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

Array = NDArray[Any]

SEED = 0
SIDE = 28
CALIBRATION, EVALUATION = 256, 2000
BATCH, RATE = 128, 4e-3
BLOCKS = ((48, 1), (96, 2), (96, 1), (192, 1))  # (filters, stride) of the depthwise-separable blocks after the stem
STEM, CLASSES = 24, 10


def images(path: Path) -> Array:
    """The images of an idx3 file as float32 (n, 28, 28, 1) in [0, 1]."""
    with gzip.open(path) as file:
        blob = file.read()
    return np.frombuffer(blob, np.uint8, offset=16).reshape(-1, SIDE, SIDE, 1).astype(np.float32) / np.float32(255)


def labels(path: Path) -> Array:
    """The class numbers of an idx1 file as int64 (n,)."""
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)


def build() -> keras.Model:
    """The network, some 40,000 parameters: a strided stem, then depthwise-separable blocks that add their input where shapes allow."""
    import keras
    from keras import layers

    def unit(x: Any, name: str, layer: keras.Layer) -> Any:
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(layer(x))
        return layers.ReLU(6.0, name=f"{name}_relu6")(x)

    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = unit(image, "stem", layers.Conv2D(STEM, 3, strides=2, padding="same", use_bias=False, name="stem"))
    for index, (filters, stride) in enumerate(BLOCKS):
        name, before = f"block{index}", x
        x = unit(x, f"{name}_depth", layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"{name}_depth"))
        x = unit(x, f"{name}_point", layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_point"))
        if x.shape == before.shape:
            x = layers.Add(name=f"{name}_add")([before, x])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x), name="fashion_cnn")


def train(model: keras.Model, x: Array, y: Array, epochs: int) -> None:
    """Fit ``model`` with Adam and a cosine schedule that ends at zero."""
    import keras

    schedule = keras.optimizers.schedules.CosineDecay(RATE, epochs * math.ceil(len(x) / BATCH))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=2)


def accuracy(model: keras.Model, x: Array, y: Array) -> float:
    """Share of right answers, in percent."""
    return float(100 * np.mean(model.predict(x, batch_size=500, verbose=0).argmax(-1) == y))


def write(out: Path, model: keras.Model, train_x: Array, test_x: Array, test_y: Array) -> None:
    """The three files, into the folder ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    bare = build()  # never compiled, so that no optimizer state is stored
    bare.set_weights(model.get_weights())
    bare.save(out / "fashion_cnn.keras")
    rng = np.random.default_rng(SEED)
    np.savez_compressed(out / "fashion_calib.npz", x=train_x[rng.permutation(len(train_x))[:CALIBRATION]])
    chosen = rng.permutation(len(test_x))[:EVALUATION]
    np.savez_compressed(out / "fashion_eval.npz", x=test_x[chosen], y=test_y[chosen])


def main() -> None:
    """Parse the command line, train, write, and print the accuracy on the whole test set."""
    parser = argparse.ArgumentParser(description="Train the model that scripts/demo ships.")
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"), help="folder with the idx .gz files")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "models", help="folder to write to")
    parser.add_argument("--epochs", type=int, default=6)
    args = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    keras.utils.set_random_seed(SEED)
    train_x, train_y = images(args.data / "train-images-idx3-ubyte.gz"), labels(args.data / "train-labels-idx1-ubyte.gz")
    test_x, test_y = images(args.data / "t10k-images-idx3-ubyte.gz"), labels(args.data / "t10k-labels-idx1-ubyte.gz")
    model = build()
    train(model, train_x, train_y, args.epochs)
    write(args.out, model, train_x, test_x, test_y)
    print(f"{model.count_params()} parameters, accuracy {accuracy(model, test_x, test_y):.2f} % on {len(test_x)} test images")
    for path in sorted(args.out.glob("fashion_*")):
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
