"""sin, cos and tan as plain arithmetic that LLVM turns into vector code. Kernel text; knows no op.

x = n pi/2 + r, |r| <= pi/4, with pi/2 in parts (Cody & Waite 1980; the fused product makes the first exact), r itself
in two parts; minimax polynomials for sin r and cos r; n chooses between them and the sign. Up to `LIMIT` this is as
exact as for small x; beyond, a kernel takes the C library's function, number by number. tan is the quotient of the two,
each in two parts. float32 is computed in float64, where r in one part and short polynomials do.
"""

from __future__ import annotations

from wengert.ops.vecmath.text import SUMS, Text, fill

LIMIT = 2.0**40
"""Largest argument of `sin`, `cos` and `tan`: n times the first part of pi/2 is then exact enough for every double."""

# Minimax polynomials (Remez, 60 digits) on |r| <= pi/4 in z = r^2, relative errors of the results below.
_TERMS = {
    # (sin(r)/r - 1) / z: 2^-58.0;  (cos(r) - 1 + z/2) / z^2: 2^-64.2
    "SIN": (-0.16666666666666632, 0.008333333333322472, -0.00019841269829835555, 2.755731369724295e-06,
            -2.505075846463329e-08, 1.5896794315169702e-10),
    "COS": (0.0416666666666666, -0.001388888888887446, 2.480158728965685e-05, -2.755731439520586e-07,
            2.0875728305792312e-09, -1.1359875449195109e-11),
    # for float32: (sin(r)/r - 1) / z: 2^-28.0;  (cos(r) - 1) / z: 2^-34.1
    "SHORT_SIN": (-0.16666654912401327, 0.008332175883672403, -0.0001951697250945967),
    "SHORT_COS": (-0.4999999972413913, 0.041666623202438156, -0.0013886759687493269, 2.4390047526003856e-05),
    # pi/2 in three parts
    "FIRST": 1.5707963267948966, "SECOND": 6.123233995736766e-17, "THIRD": -1.4973849048591698e-33,
    "PER_TURN": 0.6366197723675814,
}  # fmt: skip


def _both(double: str, single: str) -> Text:
    return {"f8": fill(double, "f8", **_TERMS), "f4": fill(single, "f8", **_TERMS)}


_REDUCED = _both(
    """
@straight
def turned_f8(x):
    shifted = fma(x, $PER_TURN, $SHIFT)
    n = shifted - $SHIFT
    p, lost = two_product_f8(n, $SECOND)
    r, low = two_sum_f8(fma(n, -$FIRST, x), -p)
    return bits(shifted), r, fma(n, -$THIRD, low - lost)

@straight
def sine_f8(r, low):
    z = r * r
    return r, fma(r * z, poly(z, $SIN), fma(-0.5 * z, low, low))

@straight
def cosine_f8(r, low):
    z = r * r
    h = 0.5 * z
    w = 1.0 - h
    return w, (1.0 - w) - h + fma(z * z, poly(z, $COS), -r * low)
""",
    """
@straight
def turned_f8(x):
    shifted = fma(x, $PER_TURN, $SHIFT)
    n = shifted - $SHIFT
    return bits(shifted), fma(n, -$SECOND, fma(n, -$FIRST, x))

@straight
def sine_f8(r):
    z = r * r
    return fma(r * z, poly(z, $SHORT_SIN), r)

@straight
def cosine_f8(r):
    z = r * r
    return fma(z, poly(z, $SHORT_COS), 1.0)
""",
)
"""n as an integer's low bits, and r; sine and cosine of r. In two parts each for float64."""

_SIN = _both(
    """
@straight
def sin_f8(x):
    n, r, low = turned_f8(x)
    s, t = sine_f8(r, low)
    c, d = cosine_f8(r, low)
    y = where(n & 1 != 0, c + d, s + t)
    return where(x == 0.0, x, unbits(bits(y) ^ ((n & 2) << 62)))
""",
    """
@straight
def sin_f4(x):
    n, r = turned_f8(f8(x))
    y = where(n & 1 != 0, cosine_f8(r), sine_f8(r))
    return where(x == 0.0, x, f4(unbits(bits(y) ^ ((n & 2) << 62))))
""",
)

_COS = _both(
    """
@straight
def cos_f8(x):
    n, r, low = turned_f8(x)
    s, t = sine_f8(r, low)
    c, d = cosine_f8(r, low)
    y = where(n & 1 != 0, s + t, c + d)
    return unbits(bits(y) ^ ((n + 1 & 2) << 62))
""",
    """
@straight
def cos_f4(x):
    n, r = turned_f8(f8(x))
    y = where(n & 1 != 0, sine_f8(r), cosine_f8(r))
    return f4(unbits(bits(y) ^ ((n + 1 & 2) << 62)))
""",
)

_TAN = _both(
    """
@straight
def tan_f8(x):
    n, r, low = turned_f8(x)
    s, t = sine_f8(r, low)
    c, d = cosine_f8(r, low)
    s, t = fast_two_sum_f8(s, t)
    c, d = fast_two_sum_f8(c, d)
    odd = n & 1 != 0
    above = where(odd, -c, s)
    below = where(odd, s, c)
    e = 1.0 / below
    q = above * e
    rest = fma(-q, below, above) + fma(-q, where(odd, t, d), where(odd, -d, t))
    return where(x == 0.0, x, fma(rest, e, q))
""",
    """
@straight
def tan_f4(x):
    n, r = turned_f8(f8(x))
    s = sine_f8(r)
    c = cosine_f8(r)
    odd = n & 1 != 0
    return where(x == 0.0, x, f4(where(odd, -c, s) / where(odd, s, c)))
""",
)

FUNCTIONS = {"sin": (SUMS, _REDUCED, _SIN), "cos": (SUMS, _REDUCED, _COS), "tan": (SUMS, _REDUCED, _TAN)}
