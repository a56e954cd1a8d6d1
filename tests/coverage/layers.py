"""Every public class of ``keras.layers``, in the settings that change what it computes.

A class that Keras adds is missing here, and ``tests/coverage/test_coverage.py`` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tests.coverage import Case
from tests.frontend.building import stir

L = keras.layers
IMAGE, SEQUENCE, VOLUME, VECTOR = (12, 10, 4), (7, 4), (6, 5, 6, 2), (6,)

BASES = frozenset({"InputSpec", "Layer", "Wrapper"})
"""No layers by themselves."""
OTHER_BACKENDS = frozenset({"FlaxLayer", "JaxLayer", "TorchModuleWrapper"})
"""They need another backend than TensorFlow, or a package of one."""
CELLS = frozenset({"GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"})
"""Part of an RNN; they occur there."""


def one(shape: tuple[int | None, ...], *steps: Callable[[], Any], **given: Any) -> Case:
    """Layers one behind the other."""

    def build() -> Any:
        start = value = keras.Input(shape, name="x", **given)
        for step in steps:
            value = step()(value)
        return stir(keras.Model(start, value))

    return Case(build)


def two(first: tuple[int | None, ...], second: tuple[int | None, ...], make: Callable[[], Any]) -> Case:
    """A layer that merges two tensors."""

    def build() -> Any:
        a, b = keras.Input(first, name="a"), keras.Input(second, name="b")
        return stir(keras.Model([a, b], make()([a, b])))

    return Case(build)


def joined(make: Callable[[], Any], count: int = 3, shape: tuple[int | None, ...] = SEQUENCE) -> Case:
    """An attention layer called with ``count`` tensors, query, value, key: as a list, or as arguments of their own."""

    def build() -> Any:
        inputs, layer = [keras.Input(shape, name=f"x{i}") for i in range(count)], make()
        return stir(keras.Model(inputs, layer(inputs) if isinstance(layer, L.Attention) else layer(*inputs)))

    return Case(build)


def masked(*steps: Callable[[], Any]) -> Case:
    """Behind an embedding that masks id 0."""
    return one((7,), lambda: L.Embedding(9, 4, mask_zero=True), *steps, dtype="int32")


def refused(case: Case, text: str) -> Case:
    """The same, to be refused."""
    return Case(case.build, text)


def adapted(make: Callable[[], Any], data: Any) -> Callable[[], Any]:
    """A preprocessing layer that has seen data."""

    def build() -> Any:
        layer = make()
        layer.adapt(data)
        return layer

    return build


def _convolutions() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for rank, shape in ((1, SEQUENCE), (2, IMAGE), (3, VOLUME)):
        conv, transposed = getattr(L, f"Conv{rank}D"), getattr(L, f"Conv{rank}DTranspose")
        for padding in ("valid", "same"):
            cases |= {
                f"Conv{rank}D/{padding}": one(shape, lambda c=conv, p=padding: c(3, 3, padding=p)),
                f"Conv{rank}D/{padding} stride 2": one(shape, lambda c=conv, p=padding: c(3, 3, strides=2, padding=p)),
                f"Conv{rank}D/{padding} dilated": one(shape, lambda c=conv, p=padding: c(3, 2, dilation_rate=2, padding=p)),
                f"Conv{rank}D/{padding} grouped": one(shape, lambda c=conv, p=padding: c(4, 3, groups=2, padding=p)),
                f"Conv{rank}DTranspose/{padding} stride 2": one(shape, lambda c=transposed, p=padding: c(3, 3, strides=2, padding=p)),
                f"Conv{rank}DTranspose/{padding} output padding": one(
                    shape, lambda c=transposed, p=padding: c(3, 3, strides=2, padding=p, output_padding=1)
                ),
                f"Conv{rank}DTranspose/{padding} dilated": one(shape, lambda c=transposed, p=padding: c(3, 3, dilation_rate=2, padding=p)),
            }
            if rank < 3:
                depthwise, separable = getattr(L, f"DepthwiseConv{rank}D"), getattr(L, f"SeparableConv{rank}D")
                cases |= {
                    f"DepthwiseConv{rank}D/{padding}": one(shape, lambda c=depthwise, p=padding: c(3, padding=p)),
                    f"DepthwiseConv{rank}D/{padding} multiplier 2": one(shape, lambda c=depthwise, p=padding: c(3, padding=p, depth_multiplier=2)),
                    f"DepthwiseConv{rank}D/{padding} stride 2": one(shape, lambda c=depthwise, p=padding: c(3, strides=2, padding=p)),
                    f"DepthwiseConv{rank}D/{padding} dilated": one(shape, lambda c=depthwise, p=padding: c(2, dilation_rate=2, padding=p)),
                    f"SeparableConv{rank}D/{padding}": one(shape, lambda c=separable, p=padding: c(3, 3, padding=p, depth_multiplier=2)),
                }
        for c in (conv, transposed):
            cases[f"{c.__name__}/channels first"] = one((shape[-1], *shape[:-1]), lambda c=c: c(3, 3, strides=2, data_format="channels_first"))
    return cases | {
        "Conv1D/causal": one(SEQUENCE, lambda: L.Conv1D(3, 3, padding="causal", dilation_rate=2)),
        "Conv2D/free size": one((None, None, 4), lambda: L.Conv2D(3, 3, strides=2, padding="same")),
    }


def _pooling() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for rank, shape in ((1, SEQUENCE), (2, IMAGE), (3, VOLUME)):
        for kind in ("Max", "Average"):
            pool, overall, adaptive = (
                getattr(L, n) for n in (f"{kind}Pooling{rank}D", f"Global{kind}Pooling{rank}D", f"Adaptive{kind}Pooling{rank}D")
            )
            cases |= {
                **{f"{kind}Pooling{rank}D/{p}": one(shape, lambda c=pool, p=p: c(3, strides=2, padding=p)) for p in ("valid", "same")},
                f"Global{kind}Pooling{rank}D": one(shape, overall),
                f"Global{kind}Pooling{rank}D/keepdims": one(shape, lambda c=overall: c(keepdims=True)),
                f"Adaptive{kind}Pooling{rank}D": one(shape, lambda c=adaptive, r=rank: c((2,) * r if r > 1 else 2)),
                f"Adaptive{kind}Pooling{rank}D/uneven": one(shape, lambda c=adaptive, r=rank: c((3, 4, 5)[:r] if r > 1 else 3)),
            }
    return cases | {"GlobalAveragePooling1D/masked": masked(L.GlobalAveragePooling1D)}


def _recurrent() -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for name, options in (("LSTM", {}), ("GRU", {}), ("GRU", {"reset_after": False}), ("SimpleRNN", {})):
        layer, tag = getattr(L, name), f"{name}/reset before" if options else name

        def made(layer: Any = layer, options: dict[str, Any] = options, **more: Any) -> Callable[[], Any]:
            return lambda: layer(5, **options, **more)

        sep = ", " if options else "/"
        cases |= {
            tag: one(SEQUENCE, made()),
            f"{tag}{sep}sequences": one(SEQUENCE, made(return_sequences=True)),
            f"{tag}{sep}state": one(SEQUENCE, made(return_sequences=True, return_state=True)),
            f"{tag}{sep}backwards": one(SEQUENCE, made(return_sequences=True, go_backwards=True)),
            f"{tag}{sep}masked": masked(made(return_sequences=True)),
            f"{tag}{sep}masked last": masked(made()),
            f"{tag}{sep}masked backwards": masked(made(return_sequences=True, go_backwards=True)),
            f"{tag}{sep}zero output for mask": masked(made(return_sequences=True, zero_output_for_mask=True)),
            f"{tag}{sep}no bias": one(SEQUENCE, made(use_bias=False)),
            f"{tag}{sep}relu": one(SEQUENCE, made(activation="relu")),
            f"{tag}{sep}unrolled": one(SEQUENCE, made(unroll=True)),
            f"{tag}{sep}free length": one((None, 4), made(return_sequences=True)),
            f"{tag}{sep}stateful": one(SEQUENCE, made(stateful=True), batch_size=2),
            f"{tag}{sep}two": one(SEQUENCE, made(return_sequences=True), made()),
        }
    cases |= {
        f"Bidirectional/{n} {m}": one(SEQUENCE, lambda n=n, m=m: L.Bidirectional(getattr(L, n)(5, return_sequences=True), merge_mode=m))
        for n in ("LSTM", "GRU", "SimpleRNN")
        for m in ("concat", "sum", "mul", "ave", None)
    }
    cases |= {
        "LSTM/hard sigmoid": one(SEQUENCE, lambda: L.LSTM(5, recurrent_activation="hard_sigmoid")),
        "LSTM/gelu": one(SEQUENCE, lambda: L.LSTM(5, activation="gelu")),
        "LSTM/initial state": Case(_initial_state),
        "Bidirectional/last": one(SEQUENCE, lambda: L.Bidirectional(L.LSTM(5))),
        "Bidirectional/masked": masked(lambda: L.Bidirectional(L.GRU(5, return_sequences=True))),
        "Bidirectional/state": one(SEQUENCE, lambda: L.Bidirectional(L.LSTM(5, return_state=True))),
        "Bidirectional/two layers": one(SEQUENCE, lambda: L.Bidirectional(L.LSTM(5), backward_layer=L.GRU(3, go_backwards=True))),
        "RNN/LSTM cell": one(SEQUENCE, lambda: L.RNN(L.LSTMCell(5))),
        "RNN/GRU cell": one(SEQUENCE, lambda: L.RNN(L.GRUCell(5), return_sequences=True)),
        "RNN/simple cell": one(SEQUENCE, lambda: L.RNN(L.SimpleRNNCell(5))),
        "RNN/stacked": one(SEQUENCE, lambda: L.RNN([L.LSTMCell(5), L.GRUCell(4)], return_sequences=True)),
        "RNN/stacked class": one(SEQUENCE, lambda: L.RNN(L.StackedRNNCells([L.LSTMCell(5), L.LSTMCell(4)]))),
        "TimeDistributed/dense": one(SEQUENCE, lambda: L.TimeDistributed(L.Dense(3))),
        "TimeDistributed/convolution": one((5, 8, 8, 2), lambda: L.TimeDistributed(L.Conv2D(3, 3))),
        "TimeDistributed/masked": masked(lambda: L.TimeDistributed(L.Dense(3))),
    }
    for rank, shape in ((1, (5, 8, 2)), (2, (5, 8, 7, 2)), (3, (3, 5, 5, 5, 2))):
        layer = getattr(L, f"ConvLSTM{rank}D")
        cases |= {
            f"ConvLSTM{rank}D": one(shape, lambda c=layer: c(3, 3)),
            f"ConvLSTM{rank}D/sequences": one(shape, lambda c=layer: c(3, 3, padding="same", return_sequences=True)),
        }
    return cases


def _initial_state() -> Any:
    x, h, c = keras.Input(SEQUENCE, name="x"), keras.Input((5,), name="h"), keras.Input((5,), name="c")
    return stir(keras.Model([x, h, c], L.LSTM(5)(x, initial_state=[h, c])))


def _normalization() -> dict[str, Case]:
    rng = np.random.default_rng(0)
    data = rng.normal(3, 2, (50, *IMAGE)).astype(np.float32)
    return {
        "BatchNormalization": one(IMAGE, L.BatchNormalization),
        "BatchNormalization/behind": one(IMAGE, lambda: L.Conv2D(3, 3), L.BatchNormalization),
        "BatchNormalization/axis 1": one(IMAGE, lambda: L.BatchNormalization(axis=1)),
        "BatchNormalization/masked": masked(L.BatchNormalization),
        "LayerNormalization": one(SEQUENCE, L.LayerNormalization),
        "LayerNormalization/image": one(IMAGE, L.LayerNormalization),
        "LayerNormalization/axes": one(IMAGE, lambda: L.LayerNormalization(axis=(1, 2, 3))),
        "LayerNormalization/axis 1": one(IMAGE, lambda: L.LayerNormalization(axis=1)),
        "LayerNormalization/plain": one(SEQUENCE, lambda: L.LayerNormalization(center=False, scale=False, epsilon=1e-6)),
        "RMSNormalization": one(SEQUENCE, L.RMSNormalization),
        "RMSNormalization/axes": one(IMAGE, lambda: L.RMSNormalization(axis=(2, 3))),
        "GroupNormalization": one(IMAGE, lambda: L.GroupNormalization(2)),
        "GroupNormalization/instance": one(IMAGE, lambda: L.GroupNormalization(-1)),
        "GroupNormalization/sequence": one(SEQUENCE, lambda: L.GroupNormalization(2)),
        "UnitNormalization": one(SEQUENCE, L.UnitNormalization),
        "SpectralNormalization": one(VECTOR, lambda: L.SpectralNormalization(L.Dense(3))),
        "Normalization/given": one(IMAGE, lambda: L.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 2, 3, 4])),
        "Normalization/adapted": one(IMAGE, adapted(L.Normalization, data)),
        "Normalization/inverted": one(IMAGE, adapted(lambda: L.Normalization(invert=True), data)),
    }


def _attention() -> dict[str, Case]:
    return {
        "Attention": joined(L.Attention),
        "Attention/scaled": joined(lambda: L.Attention(use_scale=True)),
        "Attention/concat": joined(lambda: L.Attention(score_mode="concat")),
        "AdditiveAttention": joined(L.AdditiveAttention),
        "Attention/causal": Case(lambda: _attend(L.Attention, use_causal_mask=True)),
        "MultiHeadAttention": joined(lambda: L.MultiHeadAttention(2, 3), 2),
        "MultiHeadAttention/three": joined(lambda: L.MultiHeadAttention(2, 3, value_dim=5)),
        "MultiHeadAttention/no bias": joined(lambda: L.MultiHeadAttention(2, 3, use_bias=False), 2),
        "MultiHeadAttention/output shape": joined(lambda: L.MultiHeadAttention(2, 3, output_shape=5), 2),
        "MultiHeadAttention/causal": Case(lambda: _attend(lambda: L.MultiHeadAttention(2, 3), use_causal_mask=True)),
        "MultiHeadAttention/scores": Case(lambda: _attend(lambda: L.MultiHeadAttention(2, 3), return_attention_scores=True)),
        "MultiHeadAttention/masked": Case(_masked_attention),
        "MultiHeadAttention/mask": Case(_attention_mask),
        "MultiHeadAttention/free length": joined(lambda: L.MultiHeadAttention(2, 3), 2, (None, 4)),
        "MultiHeadAttention/images": joined(lambda: L.MultiHeadAttention(2, 3, attention_axes=(1, 2)), 2, (3, 4, 5)),
        "GroupQueryAttention": joined(lambda: L.GroupQueryAttention(3, 4, 2), 2),
        "GroupQueryAttention/causal": Case(lambda: _attend(lambda: L.GroupQueryAttention(3, 4, 2), use_causal_mask=True)),
    }


def _attend(make: Callable[[], Any], **options: Any) -> Any:
    x, y = keras.Input(SEQUENCE, name="x"), keras.Input(SEQUENCE, name="y")
    layer = make()
    return stir(keras.Model([x, y], layer([x, y], **options) if isinstance(layer, L.Attention) else layer(x, y, **options)))


def _masked_attention() -> Any:
    ids = keras.Input((7,), dtype="int32", name="ids")
    x = L.Embedding(9, 4, mask_zero=True)(ids)
    return stir(keras.Model(ids, L.MultiHeadAttention(2, 3)(x, x)))


def _attention_mask() -> Any:
    x, mask = keras.Input(SEQUENCE, name="x"), keras.Input((7, 7), dtype="bool", name="mask")
    return stir(keras.Model([x, mask], L.MultiHeadAttention(2, 3)(x, x, attention_mask=mask)))


def _preprocessing() -> dict[str, Case]:
    words, ids = np.array(["a", "b", "c"]), np.arange(5)
    cases = {
        "Rescaling": one(IMAGE, lambda: L.Rescaling(1 / 127.5, -1)),
        "CenterCrop": one(IMAGE, lambda: L.CenterCrop(8, 7)),
        "CenterCrop/larger": one(IMAGE, lambda: L.CenterCrop(16, 15)),
        "Resizing/aspect": one(IMAGE, lambda: L.Resizing(6, 9, crop_to_aspect_ratio=True)),
        "Resizing/padded": one(IMAGE, lambda: L.Resizing(8, 8, pad_to_aspect_ratio=True)),
        "CategoryEncoding/one hot": one((1,), lambda: L.CategoryEncoding(5, output_mode="one_hot"), dtype="int32"),
        "CategoryEncoding/multi hot": one((3,), lambda: L.CategoryEncoding(5), dtype="int32"),
        "CategoryEncoding/count": one((3,), lambda: L.CategoryEncoding(5, output_mode="count"), dtype="int32"),
        "Discretization": one((4,), lambda: L.Discretization([0.0, 0.5, 1.0])),
        "Discretization/one hot": one((1,), lambda: L.Discretization([0.0, 0.5, 1.0], output_mode="one_hot")),
        "Discretization/adapted": one((4,), adapted(lambda: L.Discretization(num_bins=4), np.random.default_rng(0).normal(size=(99, 4)))),
        "MelSpectrogram": one((400,), lambda: L.MelSpectrogram(fft_length=64, sequence_stride=32, sampling_rate=1000, num_mel_bins=8, max_freq=500)),
        "STFTSpectrogram": one((400, 1), lambda: L.STFTSpectrogram(frame_length=64, frame_step=32, fft_length=64)),
        "STFTSpectrogram/phase": one((400, 1), lambda: L.STFTSpectrogram(mode="angle", frame_length=64, frame_step=32, fft_length=64)),
        "IntegerLookup": one((3,), lambda: L.IntegerLookup(vocabulary=ids + 3), dtype="int64"),
        "Hashing": refused(one((3,), lambda: L.Hashing(num_bins=4), dtype="int64"), "hash"),
        "HashedCrossing": refused(two((), (), lambda: L.HashedCrossing(num_bins=5)), "hash"),
        "StringLookup": refused(one((3,), lambda: L.StringLookup(vocabulary=words), dtype="string"), "string"),
        "TextVectorization": refused(one((1,), lambda: L.TextVectorization(vocabulary=["a", "b"]), dtype="string"), "string"),
        "Equalization": one((*IMAGE[:2], 3), lambda: L.Pipeline([L.Equalization()])),  # by itself, Keras cannot put it into a functional model
        "ContrastLimitedAdaptiveHistogramEqualization": one((*IMAGE[:2], 3), L.ContrastLimitedAdaptiveHistogramEqualization),
    }
    for method in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"):
        cases |= {
            f"Resizing/{method} {tag}": one(IMAGE, lambda m=method, s=size: L.Resizing(*s, interpolation=m))
            for tag, size in (("down", (7, 6)), ("up", (17, 19)))
        }
        cases[f"UpSampling2D/{method}"] = one(IMAGE, lambda m=method: L.UpSampling2D((2, 3), interpolation=m))
    cases |= {f"Resizing/{m} antialias": one(IMAGE, lambda m=m: L.Resizing(7, 6, interpolation=m, antialias=True)) for m in ("bilinear", "bicubic")}
    return cases


RANDOM = {
    "RandomBrightness": (0.2,),
    "RandomColorDegeneration": (0.5,),
    "RandomColorJitter": (),
    "RandomContrast": (0.2,),
    "RandomCrop": (8, 7),
    "RandomElasticTransform": (),
    "RandomErasing": (),
    "RandomFlip": (),
    "RandomGaussianBlur": (),
    "RandomGrayscale": (),
    "RandomHue": (0.2,),
    "RandomInvert": (),
    "RandomPerspective": (),
    "RandomPosterization": (3,),
    "RandomRotation": (0.2,),
    "RandomSaturation": (0.3,),
    "RandomSharpness": (0.3,),
    "RandomShear": (0.2,),
    "RandomTranslation": (0.2, 0.2),
    "RandomZoom": (0.2,),
    "AugMix": (),
    "AutoContrast": (),
    "CutMix": (),
    "MixUp": (),
    "RandAugment": (),
    "Solarization": (),
    "MaxNumBoundingBoxes": (5,),
}
"""What they are made with. In inference all of them but the crop, the contrast and the solarization pass their input on."""


def _training_only() -> dict[str, Case]:
    cases = {name: one((*IMAGE[:2], 3), lambda c=getattr(L, name), a=arguments: c(*a)) for name, arguments in RANDOM.items()}
    for name in ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise"):
        cases[name] = one(IMAGE, lambda c=getattr(L, name): c(0.3))
    for rank, shape in ((1, SEQUENCE), (2, IMAGE), (3, VOLUME)):
        cases[f"SpatialDropout{rank}D"] = one(shape, lambda c=getattr(L, f"SpatialDropout{rank}D"): c(0.3))
    return cases | {
        "ActivityRegularization": one(VECTOR, lambda: L.ActivityRegularization(0.1)),
        "Pipeline": one((*IMAGE[:2], 3), lambda: L.Pipeline([L.RandomFlip(), L.Rescaling(0.5)])),
    }


def _shapes() -> dict[str, Case]:
    return {
        "Input": one(VECTOR, lambda: L.Dense(3)),
        "InputLayer": Case(lambda: stir(keras.Sequential([L.InputLayer(VECTOR), L.Dense(3)]))),
        "Flatten": one(IMAGE, L.Flatten),
        "Reshape": one(IMAGE, lambda: L.Reshape((5, 24, 4))),
        "Reshape/free": one(IMAGE, lambda: L.Reshape((-1, 4))),
        "Permute": one(IMAGE, lambda: L.Permute((3, 1, 2))),
        "RepeatVector": one(VECTOR, lambda: L.RepeatVector(3)),
        "Identity": one(VECTOR, L.Identity),
        "ZeroPadding1D": one(SEQUENCE, lambda: L.ZeroPadding1D((1, 2))),
        "ZeroPadding2D": one(IMAGE, lambda: L.ZeroPadding2D(((1, 0), (2, 3)))),
        "ZeroPadding3D": one(VOLUME, L.ZeroPadding3D),
        "Cropping1D": one(SEQUENCE, lambda: L.Cropping1D((1, 2))),
        "Cropping2D": one(IMAGE, lambda: L.Cropping2D(((1, 0), (2, 3)))),
        "Cropping3D": one(VOLUME, L.Cropping3D),
        "UpSampling1D": one(SEQUENCE, lambda: L.UpSampling1D(3)),
        "UpSampling3D": one(VOLUME, lambda: L.UpSampling3D(2)),
        "Masking": one(SEQUENCE, L.Masking, lambda: L.LSTM(3)),
    }


def _core() -> dict[str, Case]:
    cases = {
        "Dense": one(VECTOR, lambda: L.Dense(3)),
        "Dense/sequence": one(SEQUENCE, lambda: L.Dense(3)),
        "Dense/no bias": one(VECTOR, lambda: L.Dense(3, use_bias=False)),
        "EinsumDense": one(SEQUENCE, lambda: L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d")),
        "EinsumDense/heads": one(SEQUENCE, lambda: L.EinsumDense("abc,cde->abde", (None, 2, 5), bias_axes="de")),
        "Embedding": one((7,), lambda: L.Embedding(9, 4), dtype="int32"),
        "Embedding/masked": masked(lambda: L.Dense(3)),
        "ReversibleEmbedding": one((7,), lambda: L.ReversibleEmbedding(9, 4), dtype="int32"),
        "Lambda": one(VECTOR, lambda: L.Lambda(lambda x: x * 2 + 1)),
        "Activation": one(VECTOR, lambda: L.Activation("relu")),
        "PReLU": one(IMAGE, L.PReLU),
        "PReLU/shared": one(IMAGE, lambda: L.PReLU(shared_axes=[1, 2])),
        "ReLU": one(VECTOR, L.ReLU),
        "ReLU/all": one(VECTOR, lambda: L.ReLU(6.0, negative_slope=0.1, threshold=0.5)),
        "LeakyReLU": one(VECTOR, L.LeakyReLU),
        "ELU": one(VECTOR, lambda: L.ELU(0.7)),
        "Softmax": one(VECTOR, L.Softmax),
        "Softmax/axes": one(IMAGE, lambda: L.Softmax(axis=(1, 2))),
        "Dot": two((5, 7), (6, 7), lambda: L.Dot(2)),
        "Dot/cosine": two((5, 7), (6, 7), lambda: L.Dot(2, normalize=True)),
        "Dot/vectors": two((7,), (7,), lambda: L.Dot(1)),
        "Concatenate": two((5, 7), (6, 7), lambda: L.Concatenate(axis=1)),
    }
    return cases | {name: two(SEQUENCE, SEQUENCE, getattr(L, name)) for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")}


LAYERS: dict[str, Case] = {
    **_core(),
    **_shapes(),
    **_convolutions(),
    **_pooling(),
    **_normalization(),
    **_recurrent(),
    **_attention(),
    **_preprocessing(),
    **_training_only(),
}
"""``Class`` or ``Class/setting`` to case."""


def missing() -> list[str]:
    """Public classes of ``keras.layers`` that have no case; other names of the same class count once."""
    seen = {name.partition("/")[0] for name in LAYERS}
    classes: dict[type, list[str]] = {}
    for name in dir(L):
        if isinstance(thing := getattr(L, name), type):
            classes.setdefault(thing, []).append(name)
    return sorted(min(names, key=len) for names in classes.values() if not {*names} & (seen | BASES | OTHER_BACKENDS | CELLS | {"TFSMLayer"}))
