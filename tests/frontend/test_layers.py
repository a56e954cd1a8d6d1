"""Layer by layer: each is exported with parity, or refused with its path and the operator. Never a wrong file.

Layers of one kind are the outputs of one model, so that one export proves them all; a failure names the output.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from converter import api
from converter.errors import ConversionError, ParityError
from converter.verify.session import Session
from tests.frontend.building import IMAGE, branches, chain, export, layers, left_over, operators

L = layers
SEQUENCE, VOLUME = (12, 4), (6, 6, 6, 2)
PADDINGS = ("valid", "same")


def proved(shape: tuple[int | None, ...], steps: dict[str, Any]) -> dict[str, int]:
    """Operators of a model with all of ``steps`` as outputs, once it has passed parity well inside the bound."""
    exported = export(branches(shape, steps))
    assert exported.report.numbers["parity"]["relative"] < 2e-5
    assert exported.report.numbers["parity"]["varies"]
    return operators(exported)


def convolutions() -> dict[str, Any]:
    cases: dict[str, Any] = {"causal_free": L.Conv2D(3, 1)}
    for p, s in itertools.product(PADDINGS, (1, 2)):
        cases[f"conv_{p}_{s}"] = L.Conv2D(3, 3, strides=s, padding=p)
        cases[f"grouped_{p}_{s}"] = L.Conv2D(6, 3, strides=s, padding=p, groups=2)
        cases |= {f"depthwise_{p}_{s}_{m}": L.DepthwiseConv2D(3, strides=s, padding=p, depth_multiplier=m) for m in (1, 2)}
        cases[f"separable_{p}_{s}"] = L.SeparableConv2D(5, 3, strides=s, padding=p, depth_multiplier=2)
    cases |= {f"dilated_{p}": L.Conv2D(3, 3, dilation_rate=2, padding=p) for p in PADDINGS}
    return cases | {"even": L.Conv2D(3, (2, 4), padding="same"), "no_bias": L.Conv2D(3, 3, use_bias=False)}


def test_convolutions_in_two_dimensions() -> None:
    cases = convolutions()
    kinds = proved(IMAGE, cases)
    assert kinds["Conv"] == len(cases) + sum("separable" in name for name in cases)
    assert not set(kinds) - {"Conv", "Transpose", "Pad"}


def test_transposed_convolutions() -> None:
    cases: dict[str, Any] = {f"k{k}_s{s}_{p}": L.Conv2DTranspose(3, k, strides=s, padding=p) for k, s, p in itertools.product((2, 3, 4), (1, 2), PADDINGS)}
    cases |= {f"more_{p}_{o}": L.Conv2DTranspose(3, 3, strides=2, padding=p, output_padding=o) for p, o in itertools.product(PADDINGS, (0, 1))}
    cases["stride_3"] = L.Conv2DTranspose(3, 2, strides=3, padding="same")
    kinds = proved(IMAGE, cases)
    assert kinds["ConvTranspose"] == len(cases)
    assert not set(kinds) - {"ConvTranspose", "Transpose"}


def test_convolutions_in_one_and_three_dimensions() -> None:
    cases: dict[str, Any] = {}
    for p in PADDINGS:
        cases |= {f"conv_{p}": L.Conv1D(3, 3, padding=p), f"stride_{p}": L.Conv1D(3, 3, strides=2, padding=p), f"depth_{p}": L.DepthwiseConv1D(3, padding=p),
                  f"double_{p}": L.DepthwiseConv1D(3, padding=p, depth_multiplier=2), f"separable_{p}": L.SeparableConv1D(5, 3, padding=p),
                  f"grouped_{p}": L.Conv1D(4, 3, padding=p, groups=2), f"transposed_{p}": L.Conv1DTranspose(3, 3, strides=2, padding=p)}
    cases |= {f"causal_{d}": L.Conv1D(3, 3, padding="causal", dilation_rate=d) for d in (1, 2)}
    proved(SEQUENCE, cases)
    proved(VOLUME, {f"{k}_{p}": v for p in PADDINGS for k, v in {
        "conv": L.Conv3D(3, 3, padding=p), "stride": L.Conv3D(3, 3, strides=2, padding=p),
        "transposed": L.Conv3DTranspose(3, 3, strides=2, padding=p)}.items()})


def test_batch_normalization_is_folded_or_right() -> None:
    cases: dict[str, Any] = {}
    for scale, center in ((True, True), (False, False), (True, False)):
        def norm(scale: bool = scale, center: bool = center) -> Any:
            return L.BatchNormalization(scale=scale, center=center)

        tag = f"{int(scale)}{int(center)}"
        cases |= {f"{name}_{tag}": steps for name, steps in {
            "after_conv": [L.Conv2D(3, 3), norm()], "after_depthwise": [L.DepthwiseConv2D(3, depth_multiplier=2), norm()],
            "after_transposed": [L.Conv2DTranspose(3, 3, strides=2), norm()], "after_grouped": [L.Conv2D(6, 3, groups=2), norm()],
            "before_conv": [L.Conv2D(3, 1), L.ReLU(), norm(), L.Conv2D(3, 3)], "before_depthwise": [L.Conv2D(3, 1), L.ReLU(), norm(), L.DepthwiseConv2D(3)],
            "before_padded": [L.Conv2D(3, 1), L.ReLU(), norm(), L.Conv2D(3, 3, padding="same")],
            "between": [L.Conv2D(3, 1), norm(), L.ReLU(), norm(), L.Conv2D(3, 3)]}.items()}
    proved(IMAGE, cases | {"other_axis": L.BatchNormalization(axis=1), "alone": L.BatchNormalization()})
    dense = {f"{int(s)}{int(c)}": [L.BatchNormalization(scale=s, center=c), L.Dense(3), L.BatchNormalization(scale=s, center=c), L.Dense(2)]
             for s, c in itertools.product((True, False), repeat=2)}
    assert proved((7,), dense) == {"Gemm": 8}


ACTIVATIONS = ("relu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "softmax", "log_softmax", "sigmoid", "log_sigmoid",
               "tanh", "tanh_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "hard_shrink", "soft_shrink", "squareplus", "sparse_plus",
               "sparsemax", "sparse_sigmoid", "leaky_relu", "exponential", "linear", "glu")


def test_activations() -> None:
    assert set(ACTIVATIONS) <= {n for n in dir(keras.activations) if not n.startswith("_")}
    cases: dict[str, Any] = {name: [L.Conv2D(4, 3), L.Activation(name)] for name in ACTIVATIONS}
    cases["gelu_tanh"] = [L.Conv2D(4, 3), L.Activation(lambda x: keras.activations.gelu(x, approximate=True))]
    given = {"ReLU6": L.ReLU(6.0), "threshold": L.ReLU(threshold=0.5), "slope": L.ReLU(6.0, negative_slope=0.1), "LeakyReLU": L.LeakyReLU(), "PReLU": L.PReLU(),
             "PReLU_shared": L.PReLU(shared_axes=[1, 2]), "ELU": L.ELU(alpha=0.7), "Softmax": L.Softmax(), "Softmax_1": L.Softmax(axis=1),
             "Softmax_12": L.Softmax(axis=(1, 2))}
    proved(IMAGE, cases | {name: [L.Conv2D(4, 3), layer] for name, layer in given.items()})


def test_operators_that_tf2onnx_does_not_know() -> None:
    ops = keras.ops
    proved((6,), {"erfc": L.Activation("gelu"), "expm1": L.Activation(ops.expm1), "log1p": L.Activation(lambda x: ops.log1p(ops.abs(x)))})


@pytest.mark.parametrize(("shape", "rank"), [(SEQUENCE, 1), (IMAGE, 2), (VOLUME, 3)])
def test_pooling(shape: tuple[int, ...], rank: int) -> None:
    cases: dict[str, Any] = {}
    for kind in ("Max", "Average"):
        pool, overall = getattr(L, f"{kind}Pooling{rank}D"), getattr(L, f"Global{kind}Pooling{rank}D")
        cases |= {f"{kind}_{p}": pool(2, padding=p) for p in PADDINGS} | {f"{kind}_over_{p}": pool(3, strides=2, padding=p) for p in PADDINGS}
        cases |= {f"{kind}_global_{int(k)}": overall(keepdims=k) for k in (True, False)}
    proved(shape, cases)


def test_shapes_and_sizes() -> None:
    cases = {"pad": L.ZeroPadding2D(((1, 0), (2, 3))), "pad_conv": [L.ZeroPadding2D(((1, 0), (2, 3))), L.Conv2D(3, 3)],
             "pad_depthwise": [L.ZeroPadding2D(((0, 1), (0, 1))), L.DepthwiseConv2D(3, strides=2)], "crop": L.Cropping2D(((1, 0), (2, 3))),
             "nearest": L.UpSampling2D((2, 3)), "nearest_3": L.UpSampling2D(3), "bilinear": L.UpSampling2D(2, interpolation="bilinear"),
             "bicubic": L.UpSampling2D(2, interpolation="bicubic"), "down": L.Resizing(7, 9), "up": L.Resizing(17, 19),
             "down_nearest": L.Resizing(7, 9, interpolation="nearest"), "up_nearest": L.Resizing(17, 19, interpolation="nearest"),
             "center": L.CenterCrop(8, 8), "aspect": L.Resizing(6, 9, crop_to_aspect_ratio=True),
             "flatten": L.Flatten(), "rows": L.Reshape((-1, 4)), "grid": L.Reshape((5, 24, 4)), "permute": L.Permute((3, 1, 2)),
             "permuted": [L.Permute((2, 1, 3)), L.Conv2D(3, 3)]}
    proved(IMAGE, cases)
    proved(SEQUENCE, {"pad": L.ZeroPadding1D((1, 2)), "crop": L.Cropping1D((1, 2)), "up": L.UpSampling1D(2), "dense": L.Dense(3)})
    proved(VOLUME, {"pad": L.ZeroPadding3D(1), "crop": L.Cropping3D(1), "up": L.UpSampling3D(2)})


def test_upsampling_is_one_resize_that_needs_no_transpose() -> None:
    kinds = operators(export(chain(IMAGE, L.Conv2D(3, 3), L.UpSampling2D(2), L.Conv2D(3, 3), L.GlobalAveragePooling2D())))
    assert (kinds["Resize"], kinds["Transpose"]) == (1, 1)
    free = export(chain((None, None, 4), L.UpSampling2D(3), L.GlobalAveragePooling2D()))
    assert operators(free)["Resize"] == 1


def merged(layer: Any) -> Any:
    start = keras.Input(IMAGE, name="x")
    return keras.Model(start, layer([L.Conv2D(6, 3, padding="same")(start), L.Conv2D(6, 1)(start)]))


@pytest.mark.parametrize("name", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"])
def test_merging(name: str) -> None:
    kinds = operators(export(merged(getattr(L, name)())))
    assert kinds["Transpose"] == 2


def test_products() -> None:
    a, b, c = keras.Input((5, 7), name="a"), keras.Input((6, 7), name="b"), keras.Input((5, 7), name="c")
    export(keras.Model([a, b, c], {"dot": L.Dot(2)([a, b]), "cosine": L.Dot(2, normalize=True)([a, b]), "axis_1": L.Dot(1)([a, c]),
                                   "concat": L.Concatenate(axis=1)([a, b])}))
    x, y = keras.Input((7,), name="x"), keras.Input((7,), name="y")
    export(keras.Model([x, y], L.Dot(1)([x, y])))


TRAINING_ONLY = {"Dropout": L.Dropout, "SpatialDropout2D": L.SpatialDropout2D, "GaussianNoise": L.GaussianNoise, "GaussianDropout": L.GaussianDropout,
                 "AlphaDropout": L.AlphaDropout, "RandomRotation": L.RandomRotation, "RandomZoom": L.RandomZoom, "RandomContrast": L.RandomContrast,
                 "RandomBrightness": L.RandomBrightness, "ActivityRegularization": L.ActivityRegularization}


def test_layers_for_training_vanish_and_do_not_spread() -> None:
    """The random ones have training=True as their default, which would reach the BatchNormalization behind them."""
    steps = [make(0.3) for make in TRAINING_ONLY.values()] + [L.RandomFlip(), L.RandomTranslation(0.2, 0.2)]
    model = chain(IMAGE, *steps, L.Conv2D(3, 3), L.BatchNormalization(), L.RandomFlip(), L.BatchNormalization(), L.GlobalAveragePooling2D())
    assert operators(export(model)) == {"Conv": 1, "Flatten": 1, "GlobalAveragePool": 1, "Transpose": 1}


def test_preprocessing_and_normalization() -> None:
    given = {"mean": [1.0, 2.0, 3.0, 4.0], "variance": [1.0, 2.0, 3.0, 4.0]}
    adapted = L.Normalization()
    adapted.adapt(np.random.default_rng(0).normal(3, 2, (50, *IMAGE)).astype(np.float32))
    proved(IMAGE, {"rescaling": L.Rescaling(1 / 127.5, -1), "rescaled": [L.Rescaling(1 / 127.5, -1), L.Conv2D(3, 3)],
                   "rescaled_same": [L.Rescaling(1 / 127.5, -1), L.Conv2D(3, 3, padding="same")], "given": [L.Normalization(**given), L.Conv2D(3, 3)],
                   "inverted": L.Normalization(invert=True, **given), "adapted": [adapted, L.Conv2D(3, 3)],
                   "layer": [L.Conv2D(4, 3), L.LayerNormalization(), L.Conv2D(3, 1)], "group": L.GroupNormalization(2), "unit": L.UnitNormalization(),
                   "rms": L.RMSNormalization(), "resized": [L.Resizing(8, 8), L.BatchNormalization(), L.Conv2D(3, 3)]})


REFUSED: dict[str, tuple[tuple[int, ...], Any, str]] = {
    "singular values": ((4, 4), L.Activation(keras.ops.pinv, name="culprit"), "culprit: Svd"),
    "inner": ((4, 4), chain((4, 4), L.Activation(keras.ops.pinv, name="culprit")), "functional.*/culprit: Svd"),
    "strings": ((3,), L.Hashing(4, name="culprit"), r"culprit \(Hashing\): it computes a hash"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_converted_is_refused_with_layer_and_operator(case: str, tmp_path: Path) -> None:
    shape, layer, text = REFUSED[case]
    with pytest.raises(ConversionError, match=text) as caught:
        api.export(chain(shape, layer), tmp_path / "m.onnx")
    assert caught.value.exit_code == 3
    assert left_over(tmp_path) == []
    assert not isinstance(caught.value, ParityError)


def test_free_sizes() -> None:
    model = branches((None, None, 4), {"pool": [L.Conv2D(3, 3), L.GlobalAveragePooling2D()], "same": L.Conv2D(3, 3, strides=2, padding="same"),
                                       "up": L.UpSampling2D(2), "transposed": L.Conv2DTranspose(3, 3, strides=2, padding="same"), "max": L.MaxPooling2D(2)})
    exported = export(model)
    x = np.random.default_rng(1).normal(size=(2, 18, 23, 4)).astype(np.float32)
    want = exported.runner.run({"x": x})  # type: ignore[union-attr]
    for name, y in Session(exported.graph).run({"x": x}).items():
        np.testing.assert_allclose(y, want[name], atol=1e-4)
