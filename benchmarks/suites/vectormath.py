"""exp, tanh and the logistic function for the `limit` peers: plain arithmetic that LLVM turns into vector code."""

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
