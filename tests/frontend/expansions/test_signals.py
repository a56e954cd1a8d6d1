"""Fourier transforms: every direction and length, at old and new opsets, by one product and in two steps."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from converter.errors import ConversionError
from converter.frontend.expansions import signals
from tests.coverage.ops import Call
from tests.frontend.building import branches, export, operators

K = keras.ops


def parts(number: Any) -> Any:
    real, imag = number if isinstance(number, tuple) else (tf.math.real(number), tf.math.imag(number))
    return K.concatenate([real, imag], axis=-1)


def spectra() -> dict[str, Any]:
    steps = {
        "rfft": lambda x: parts(K.rfft(x)),
        "cropped": lambda x: parts(K.rfft(x, fft_length=40)),
        "padded": lambda x: parts(K.rfft(x, fft_length=80)),
        "odd": lambda x: parts(K.rfft(x[:, :45])),
        "fft": lambda x: parts(K.fft((x, x[:, ::-1]))),
        "ifft": lambda x: parts(tf.signal.ifft(tf.complex(x, x[:, ::-1]))),
        "irfft": lambda x: K.irfft(K.rfft(x), fft_length=48),
        "irfft odd": lambda x: K.irfft(K.rfft(x[:, :45]), fft_length=45),
    }
    return {name.replace(" ", "_"): Call(step) for name, step in steps.items()}


@pytest.mark.parametrize("opset", [13, 23])
def test_every_transform_is_exact(opset: int) -> None:
    exported = export(branches((64,), spectra()), opset=opset)
    assert exported.report.numbers["parity"]["relative"] < 1e-6
    assert "DFT" not in operators(exported)


def test_two_steps_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "LARGEST", 0)
    exported = export(branches((60,), spectra()))
    assert exported.report.numbers["parity"]["relative"] < 1e-6


def test_a_long_transform_has_no_large_matrix() -> None:
    exported = export(branches((3000,), {"rfft": Call(lambda x: parts(K.rfft(x)))}))
    assert max(v.const_value.size for v in exported.graph.graph.initializers.values() if v.const_value is not None) <= 3000 * 2
    assert exported.report.numbers["parity"]["relative"] < 1e-6


def test_two_axes() -> None:
    steps = {"fft2": lambda x: parts(K.fft2((x, -x))), "ifft2": lambda x: parts(K.ifft2((x, x * x))),
             "tf": lambda x: parts(tf.signal.ifft2d(tf.complex(x, 2 * x)))}
    exported = export(branches((6, 8), {name: Call(step) for name, step in steps.items()}))
    assert exported.report.numbers["parity"]["relative"] < 1e-6


def test_frames_and_back() -> None:
    """A window that is no multiple of the step needs integers rounded up, ``-(-a // b)``."""
    steps = {"y": Call(lambda x: K.istft(K.stft(x, 16, 8, 20, center=False), 16, 8, 20, center=False))}
    assert export(branches((64,), steps)).report.numbers["parity"]["relative"] < 1e-6


def test_a_free_length_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"layer 'free'.*RFFT has no ONNX form here: the length of the signal is free"):
        export(branches((None,), {"y": Call(lambda x: parts(K.rfft(x)), name="free")}))


def test_default_mel_spectrogram() -> None:
    """All ones make it the logarithm of rounding noise in Keras too; random input is compared without mercy."""
    layer = keras.layers.MelSpectrogram()
    exported = export(branches((3000,), {"mel": layer}))
    assert exported.report.numbers["parity"]["relative"] < 1e-5


@pytest.mark.parametrize("length", [1, 7, 12, 64, 3000])
def test_divisors(length: int) -> None:
    divisor = signals._divisor(length)
    assert length % divisor == 0
    assert divisor * divisor <= length
    assert not any(length % n == 0 for n in range(divisor + 1, int(np.sqrt(length)) + 1))
