"""What the families of functions share: constants by kind, and how a template becomes kernel text. Knows no op."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

import numpy as np

KINDS = ("f8", "f4")

Text = Mapping[str, str]
"""A piece of kernel text for each kind."""

_SHIFT = {"f8": 1.5 * 2.0**52, "f4": 1.5 * 2.0**23}

SHARED: dict[str, dict[str, Any]] = {
    kind: {
        "K": kind,
        "BITS": mantissa,
        "TOP": 8 * width - 1,
        "BIAS": bias,
        # Added to a number, it leaves the nearest integer in the low bits.
        "SHIFT": _SHIFT[kind],
        "SHIFT_BITS": int(np.array(_SHIFT[kind], kind).view(f"i{width}")),
        "ONE_BITS": bias << mantissa,
        "SQRT_HALF_BITS": int(np.array(np.sqrt(0.5), kind).view(f"i{width}")),
        "NORMAL": float(np.finfo(kind).tiny),
        "LARGEST": float(np.finfo(kind).max),
        "RAISE": 2.0 ** (mantissa + 2),
        "RAISED": mantissa + 2.0,
    }
    for kind, width, mantissa, bias in (("f8", 8, 52, 1023), ("f4", 4, 23, 127))
}
"""Numbers that every template may name."""


def fill(template: str, kind: str, **values: Any) -> str:
    """Kernel text for one kind; a sequence of numbers becomes the arguments it stands for."""
    known: Mapping[str, Any] = SHARED[kind] | values
    written = {k: ", ".join(map(repr, v)) if isinstance(v, tuple) else str(v) for k, v in known.items()}
    return string.Template(template).substitute(written)


def both(template: str, **values: Any) -> Text:
    """The text for both kinds; a value may be a dict by kind."""
    return {
        kind: fill(template, kind, **{k: v[kind] if isinstance(v, dict) else v for k, v in values.items()})
        for kind in KINDS
    }


SUMS = both("""
@straight
def two_sum_$K(a, b):
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)

@straight
def fast_two_sum_$K(a, b):
    s = a + b
    return s, b - (s - a)

@straight
def two_product_$K(a, b):
    p = a * b
    return p, fma(a, b, -p)

@straight
def ratio_$K(x, a, b):
    d, lost = fast_two_sum_$K(a, b)
    r = 1.0 / d
    q = x * r
    return fma(fma(-q, d, x) - q * lost, r, q)
""")
"""Error-free transformations (Knuth 1969, Dekker 1971): a result and what its rounding has lost;
and `ratio`, x / (a + b) with hardly more than the last rounding. Where sums are fast, |a| >= |b|."""
