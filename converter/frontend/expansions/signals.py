"""Fourier transforms of a fixed length as products with constant matrices.

    X[k] = sum_n x[n] exp(-2 pi i k n / N) = (x C)[k] - i (x S)[k],   C[n, k] = cos(2 pi k n / N),  S[n, k] = sin(2 pi k n / N)

Why not the ONNX operator DFT (17, 20)? It does not run at opset 16 and below, has no inverse of a one-sided spectrum before opset 23, and
engines other than onnxruntime seldom have it; frames of audio are short, and for them a product is as fast, and as exact: the matrices are
computed in double precision with exact angles. Above :data:`LONGEST` the matrices would be larger than many a network, and DFT it is.

A real spectrum of length N has N // 2 + 1 bins, and all but the first and, for even N, the last stand for two:

    x[n] = (1/N) sum_k w_k (Re X[k] cos(2 pi k n / N) - Im X[k] sin(2 pi k n / N)),   w_k = 1 or 2

Source: https://www.tensorflow.org/api_docs/python/tf/signal/rfft and irfft, https://onnx.ai/onnx/operators/onnx__DFT.html.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from converter.frontend.expansions import EXPANSIONS, Pair, Site
from converter.frontend.expansions.complex_numbers import pair
from converter.spec.quant import Array

LONGEST = 1 << 20
"""Elements of a matrix; 4 MB."""
DFT_SINCE, DFT_AXIS_IS_AN_INPUT = 17, 20


def _angles(length: int, inputs: int, outputs: int) -> Array:
    """2 pi k n / N for n of ``inputs`` and k of ``outputs``, reduced to one turn while they are integers."""
    return np.asarray(2 * np.pi * (np.outer(np.arange(inputs), np.arange(outputs)) % length) / length)


def _product(site: Site, x: ir.Value, matrix: Array, axis: int) -> ir.Value:
    """``x`` times ``matrix`` [inputs, outputs] along the last axis, or the one before it."""
    constant = matrix.astype(np.float32)
    return site.build("MatMul", x, constant) if axis == -1 else site.build("MatMul", np.ascontiguousarray(constant.T), x)


def _length(site: Site, axis: int = -1) -> int:
    """Length of the transformed axis.

    Raises:
        ConversionError: it is free, or the numbers are of double precision.
    """
    shape = site.shape(0)
    length = None if shape is None else shape[axis]
    if length is None:
        raise site.refusal("the length of the signal is free; give the model's input a fixed length, or frame it first")
    if site.dtype(0) not in ("float32", "complex64"):
        raise site.refusal("it is only known for numbers of single precision")
    return length


def _bins(site: Site) -> int:
    numbers = site.known(1)
    if numbers is None or numbers.size != 1:
        raise site.refusal("the length of the transform is computed from the data; give it as a number")
    return int(numbers.reshape(-1)[0])


def _rfft(site: Site) -> Pair:
    inputs, length = _length(site), _bins(site)
    x, used, outputs = site.value(0), min(inputs, length), length // 2 + 1
    if used * outputs > LONGEST and site.build.opset >= DFT_SINCE and inputs == length:
        return _dft(site, Pair(x, x), real=True)
    angles = np.zeros((inputs, outputs))
    angles[:used] = _angles(length, used, outputs)
    inside = (np.arange(inputs) < used)[:, None]
    return Pair(_product(site, x, np.cos(angles) * inside, -1), _product(site, x, -np.sin(angles), -1))


def _irfft(site: Site) -> ir.Value:
    inputs, length = _length(site), _bins(site)
    used = min(inputs, length // 2 + 1)
    weights = np.where((np.arange(used) == 0) | (2 * np.arange(used) == length), 1.0, 2.0)[:, None] / length
    real, imag = np.zeros((inputs, length)), np.zeros((inputs, length))
    angles = _angles(length, used, length)
    real[:used], imag[:used] = weights * np.cos(angles), -weights * np.sin(angles)
    x = pair(site)
    return site.build("Add", _product(site, x.real, real, -1), _product(site, x.imag, imag, -1))


def _fft(site: Site, x: Pair, axis: int, inverse: bool) -> Pair:
    length = _length(site, axis)
    if axis == -1 and length * length > LONGEST and site.build.opset >= DFT_SINCE:
        return _dft(site, x, inverse=inverse)
    angles, scale = _angles(length, length, length), 1 / length if inverse else 1.0
    cos, sin = scale * np.cos(angles), scale * np.sin(angles) * (1 if inverse else -1)  # x times (cos + i sin)
    build, times = site.build, lambda part, matrix: _product(site, part, matrix, axis)
    return Pair(build("Sub", times(x.real, cos), times(x.imag, sin)), build("Add", times(x.real, sin), times(x.imag, cos)))


def _dft(site: Site, x: Pair, *, inverse: bool = False, real: bool = False) -> Pair:
    """ONNX DFT along the last axis; its tensors have one more, for the parts of a number."""
    build, last, rank = site.build, np.array([-1]), len(site.shape(0) or ())
    if rank < 2:
        raise site.refusal(f"a transform of more than {LONGEST} products needs a batch axis in front of the signal")
    parts = [build("Unsqueeze", part, last) for part in (x[:1] if real else x)]
    stacked = parts[0] if real else build("Concat", *parts, axis=-1)
    turned = (build("DFT", stacked, None, np.array(rank - 1), inverse=int(inverse), onesided=int(real)) if build.opset >= DFT_AXIS_IS_AN_INPUT
              else build("DFT", stacked, axis=rank - 1, inverse=int(inverse), onesided=int(real)))
    return Pair(build("Gather", turned, np.array(0), axis=-1), build("Gather", turned, np.array(1), axis=-1))


def _transform(*axes: int, inverse: bool = False) -> Callable[[Site], Pair]:
    def expand(site: Site) -> Pair:
        value = pair(site)
        for axis in axes:
            value = _fft(site, value, axis, inverse)
        return value

    return expand


EXPANSIONS.add("RFFT", _rfft)
EXPANSIONS.add("IRFFT", _irfft)
EXPANSIONS.add("FFT", _transform(-1))
EXPANSIONS.add("IFFT", _transform(-1, inverse=True))
EXPANSIONS.add("FFT2D", _transform(-1, -2))
EXPANSIONS.add("IFFT2D", _transform(-1, -2, inverse=True))
