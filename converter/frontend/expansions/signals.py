"""Fourier transforms of a fixed length as products with constant matrices.

    X[k] = sum_n x[n] exp(-2 pi i k n / N) = (x C)[k] - i (x S)[k],   C[n, k] = cos(2 pi k n / N),  S[n, k] = sin(2 pi k n / N)

Where a matrix would be larger than :data:`LARGEST`, and N = A B, it is two steps (Cooley and Tukey 1965) with small matrices:

    n = B a + b,  k = c + A d:   X[c + A d] = sum_b exp(-2 pi i b d / B) exp(-2 pi i b c / N) sum_a exp(-2 pi i a c / A) x[B a + b]

Why not the ONNX operator DFT (17, 20)? It does not exist at opset 16 and below, has no inverse of a one-sided spectrum before opset 23,
engines other than onnxruntime seldom have it, and onnxruntime 1.32 is off by 1.6e-4 of the range for N = 3000. The products are off by
less than 1e-6: the matrices are computed in double precision with exact angles.

A real spectrum of length N has N // 2 + 1 bins, and all but the first and, for even N, the last stand for two:

    x[n] = (1/N) sum_k w_k (Re X[k] cos(2 pi k n / N) - Im X[k] sin(2 pi k n / N)),   w_k = 1 or 2

Source: https://www.tensorflow.org/api_docs/python/tf/signal/rfft and irfft; https://doi.org/10.1090/S0025-5718-1965-0178586-1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from converter.frontend.expansions import EXPANSIONS, Pair, Site
from converter.frontend.expansions.complex_numbers import pair
from converter.spec.quant import Array

LARGEST = 1 << 18
"""Elements of a matrix; 1 MB."""


def _angles(length: int, inputs: int, outputs: int) -> Array:
    """2 pi k n / N for n of ``inputs`` and k of ``outputs``, reduced to one turn while they are integers."""
    return np.asarray(2 * np.pi * (np.outer(np.arange(inputs), np.arange(outputs)) % length) / length)


def _product(site: Site, x: ir.Value, matrix: Array, axis: int) -> ir.Value:
    """``x`` times ``matrix`` [inputs, outputs] along the last axis, or the one before it.

    The sine of pi is zero here, so that a bin without an imaginary part has none, and its angle is that of TensorFlow.
    """
    constant = np.where(np.abs(matrix) < 1e-15, 0, matrix).astype(np.float32)
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
    if length * outputs > LARGEST and inputs == length and _divisor(length) > 1:
        whole, ends = _steps(site, Pair(x, x), length, False, real=True), (np.array([0]), np.array([outputs]), np.array([-1]))
        return Pair(*(site.build("Slice", part, *ends) for part in whole))
    angles = np.zeros((inputs, outputs))
    angles[:used] = _angles(length, used, outputs)
    inside = (np.arange(inputs) < used)[:, None]
    return Pair(_product(site, x, np.cos(angles) * inside, -1), _product(site, x, -np.sin(angles), -1))


def _irfft(site: Site) -> ir.Value:
    inputs, length, rank = _length(site), _bins(site), len(site.shape(0) or ())
    used, x, build = min(inputs, length // 2 + 1), pair(site), site.build
    weights = np.where((np.arange(used) == 0) | (2 * np.arange(used) == length), 1.0, 2.0)[:, None]
    if inputs * length > LARGEST and inputs == used and _divisor(length) > 1:  # Re of the inverse of the weighed bins
        pads = np.array([0] * (2 * rank - 1) + [length - used])
        weighed = Pair(*(build("Pad", build("Mul", part, weights[:, 0].astype(np.float32)), pads) for part in x))
        return _steps(site, weighed, length, True).real
    real, imag = np.zeros((inputs, length)), np.zeros((inputs, length))
    angles = _angles(length, used, length)
    real[:used], imag[:used] = weights * np.cos(angles) / length, -weights * np.sin(angles) / length
    return build("Add", _product(site, x.real, real, -1), _product(site, x.imag, imag, -1))


def _fft(site: Site, x: Pair, axis: int, inverse: bool) -> Pair:
    length = _length(site, axis)
    if axis == -1 and length * length > LARGEST and _divisor(length) > 1:
        return _steps(site, x, length, inverse)
    return _turn(site, x, _angles(length, length, length), axis, inverse, 1 / length if inverse else 1.0)


def _turn(site: Site, x: Pair, angles: Array, axis: int, inverse: bool, scale: float = 1.0, *, real: bool = False) -> Pair:
    """X times exp(-+ i angles) along an axis; ``real`` where x has no imaginary part."""
    cos, sin = scale * np.cos(angles), scale * np.sin(angles) * (1 if inverse else -1)
    build = site.build

    def times(part: ir.Value, matrix: Array) -> ir.Value:
        return _product(site, part, matrix, axis)

    if real:
        return Pair(times(x.real, cos), times(x.real, sin))
    return Pair(build("Sub", times(x.real, cos), times(x.imag, sin)), build("Add", times(x.real, sin), times(x.imag, cos)))


def _divisor(length: int) -> int:
    """The largest divisor that is not above the square root; 1 for a prime."""
    return next(n for n in range(int(length**0.5), 0, -1) if length % n == 0)


def _steps(site: Site, x: Pair, length: int, inverse: bool, *, real: bool = False) -> Pair:
    """The transform of the last axis in two steps; the letters are those of the module's text."""
    build, rank = site.build, len(site.shape(0) or ())
    a, b = _divisor(length), length // _divisor(length)
    free = [0] * (rank - 1)
    rows = Pair(*(build("Reshape", part, np.array([*free, a, b])) for part in x))
    first = _turn(site, rows, _angles(a, a, a), -2, inverse, real=real)
    twist = _angles(length, a, b)
    cos, sin = np.cos(twist).astype(np.float32), (np.sin(twist) * (1 if inverse else -1)).astype(np.float32)
    twisted = Pair(build("Sub", build("Mul", first.real, cos), build("Mul", first.imag, sin)),
                   build("Add", build("Mul", first.real, sin), build("Mul", first.imag, cos)))
    second = _turn(site, twisted, _angles(b, b, b), -1, inverse, 1 / length if inverse else 1.0)
    order = [*range(rank - 1), rank, rank - 1]
    return Pair(*(build("Reshape", build("Transpose", part, perm=order), np.array([*free, length])) for part in second))


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
