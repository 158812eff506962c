"""exp, log, tanh, the logistic function for the `limit` peers: plain arithmetic that LLVM turns into vector code."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}}
"""How limits are compiled: no NaN or infinity is assumed away."""


@intrinsic
def _from_bits(context: Any, bits: Any) -> Any:
    """The floating-point number with these bits."""
    real = types.float64 if bits == types.int64 else types.float32

    def build(codegen: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], codegen.get_value_type(signature.return_type))

    return real(bits), build


@intrinsic
def _bits(context: Any, x: Any) -> Any:
    """The bits of this float64."""

    def build(codegen: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], codegen.get_value_type(signature.return_type))

    return types.int64(x), build


@cache
def logarithm() -> Any:
    """log of one positive, normal float64: exponent, and the series of atanh for the rest; good to a few ulp."""
    ln2, zero, half = math.log(2.0), np.int64(0), np.int64(1)
    below, shift, mask = np.int64(1022), np.int64(52), np.int64((1 << 52) - 1)
    root = math.sqrt(0.5)

    @njit(**OPTIONS)
    def log(x: float) -> float:
        bits = _bits(x)
        m = _from_bits((bits & mask) | (below << shift))  # in [1/2, 1)
        small = m < root
        k = (bits >> shift) - below - (half if small else zero)
        m = m + m if small else m
        s = (m - 1.0) / (m + 1.0)
        q = s * s
        p = 1.0 / 21.0
        for n in range(9, -1, -1):
            p = p * q + 1.0 / (2.0 * n + 1.0)
        return k * ln2 + 2.0 * s * p

    return log


@cache
def functions(dtype: str) -> tuple[Any, Any, Any]:
    """(exp, tanh, logistic) for one element of this dtype, good to a few ulp of the largest result."""
    real = np.dtype(dtype).type
    double = dtype == "float64"
    whole = np.int64 if double else np.int32
    degree, mantissa, bias, most = (13, 52, 1023, 708.0) if double else (7, 23, 127, 87.0)
    c = tuple(real(1.0 / math.factorial(k)) for k in range(degree + 1))
    high = real(float(np.float32(math.log(2.0))) if double else 0.693359375)
    low = real(math.log(2.0) - float(high))
    inverse, top, one, two = real(1.0 / math.log(2.0)), real(most), real(1.0), real(2.0)
    saturated = real(20.0 if double else 10.0)
    shift, offset = whole(mantissa), whole(bias)

    @njit(**OPTIONS)
    def exp(x: Any) -> Any:
        x = min(max(x, -top), top)
        k = np.rint(x * inverse)
        r = x - k * high - k * low
        p = c[degree]
        for n in range(degree - 1, -1, -1):
            p = p * r + c[n]
        return p * _from_bits(whole((whole(k) + offset) << shift))

    @njit(**OPTIONS)
    def tanh(x: Any) -> Any:
        e = exp(two * min(max(x, -saturated), saturated))
        return (e - one) / (e + one)

    @njit(**OPTIONS)
    def logistic(x: Any) -> Any:
        return one / (one + exp(-x))

    return exp, tanh, logistic
