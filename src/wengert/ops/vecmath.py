"""Elementary functions as plain arithmetic that LLVM turns into vector code. Kernel text; knows no op.

exp    x = k ln2 + r with |r| <= ln2/2 (Cody & Waite 1980), a polynomial in r, times 2^k put in by a
       bit cast in two halves, so that subnormal and overflowing results come out right.
tanh   expm1(2|x|) / (expm1(2|x|) + 2), sign restored; small arguments keep their relative accuracy.
expit  1 / (1 + exp(-|x|)), mirrored for negative x, so that neither tail overflows.
"""

from __future__ import annotations

import math

_MANTISSA = {"f8": 52, "f4": 23}

_EXP = """
def {name}(x):
    x = where(x > T({hi}), T({hi}), x)
    x = where(x < T({lo}), T({lo}), x)
    shifted = fma(x, T({log2e}), T({shift}))
    n = shifted - T({shift})
    r = fma(n, T({ln2_hi}), x)
    r = fma(n, T({ln2_lo}), r)
    p = {poly}
    p = fma(r * r, p, r)
    a = pow2_low(shifted)
    b = pow2_high(shifted)
    return {result}
"""


def _horner(coefficients: list[float]) -> str:
    text = f"T({coefficients[-1]!r})"
    for c in reversed(coefficients[:-1]):
        text = f"fma({text}, r, T({c!r}))"
    return text


def _exponential(name: str, kind: str, result: str) -> str:
    # Taylor coefficients of (exp(r) - 1 - r) / r^2: enough terms for the last bit on |r| <= 0.347.
    terms = 12 if kind == "f8" else 6
    ln2_hi, ln2_lo = ("-0x1.62e42fefa39efp-1", "-0x1.abc9e3b39803fp-56")
    if kind == "f4":
        ln2_hi, ln2_lo = ("-0x1.62e430p-1", "0x1.05c610p-29")
    text = _EXP.format(
        name=name,
        poly=_horner([1.0 / math.factorial(n + 2) for n in range(terms)]),
        result=result,
        log2e=repr(1 / math.log(2)),
        ln2_hi=float.fromhex(ln2_hi),
        ln2_lo=float.fromhex(ln2_lo),
        shift=repr(1.5 * 2.0 ** _MANTISSA[kind]),
        hi=repr(710.0 if kind == "f8" else 89.0),
        lo=repr(-746.0 if kind == "f8" else -104.0),
    )
    return text.replace("T(", f"{kind}(")


def _exp(kind: str) -> str:
    return _exponential(f"exp_{kind}", kind, "fma(p, a, a) * b")


def _expm1(kind: str) -> str:
    return _exponential(f"expm1_{kind}", kind, "fma(p, a * b, a * b - T(1.0))")


def _tanh(kind: str) -> str:
    limit = 22.0 if kind == "f8" else 10.0
    return (
        _expm1(kind)
        + f"""
def tanh_{kind}(x):
    y = abs(x)
    y = where(y > {kind}({limit}), {kind}({limit}), y)
    e = expm1_{kind}(y + y)
    t = e / (e + {kind}(2.0))
    return where(x < {kind}(0.0), -t, where(x == {kind}(0.0), x, t))
"""
    )


def _expit(kind: str) -> str:
    return (
        _exp(kind)
        + f"""
def expit_{kind}(x):
    e = exp_{kind}(-abs(x))
    return where(x < {kind}(0.0), e, {kind}(1.0)) / ({kind}(1.0) + e)
"""
    )


def _whole_power(kind: str) -> str:
    return f"""
def power_{kind}(x, y):
    z = {kind}(1)
    while y > 0:
        if y & 1:
            z = {kind}(z * x)
        x = {kind}(x * x)
        y = {kind}(y >> 1)
    return z
"""


VECTOR = {"exp": _exp, "tanh": _tanh, "expit": _expit, "power": _whole_power}
"""Name in a formula -> source of the helper for a kind; the helper is called `name_kind`."""

NEGATIVE_POWER = 3
"""Status of a kernel that was given an integer to a negative integer power."""
