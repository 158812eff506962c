"""sin, cos and tan as plain arithmetic that LLVM turns into vector code. Kernel text; knows no op.

x = n pi/2 + r, |r| <= pi/4, with pi/2 in parts (Cody & Waite 1980; the fused product makes the first exact), r itself
in two parts; minimax polynomials for sin r and cos r; n chooses between them and the sign. Up to `LIMIT` this is as
exact as for small x; beyond, a kernel takes the C library's function, number by number. tan is the quotient of the two,
each in two parts. float32 is computed in float64, where r in one part and short polynomials do.
"""

from __future__ import annotations

from wengert.ops.vecmath.text import KINDS, SUMS, Text, fill

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
    "LEAST": -(2**63),
}  # fmt: skip


def _both(double: str, single: str) -> Text:
    return {"f8": fill(double, "f8", **_TERMS), "f4": fill(single, "f8", **_TERMS)}


_TABLE = tuple(
    word - (word >> 63 << 64)
    for word in (
        0x0000000000000000,
        0xA2F9836E4E441529,
        0xFC2757D1F534DDC0,
        0xDB6295993C439041,
        0xFE5163ABDEBBC561,
        0xB7246E3A424DD2E0,
        0x06492EEA09D1921C,
        0xFE1DEB1CB129A73E,
        0xE88235F52EBB4484,
        0xE99C7026B45F7E41,
        0x3991D639835339F4,
        0x9C845F8BBDF9283B,
        0x1FF897FFDE05980F,
        0xEF2F118B5A0A6D1F,
        0x6D367ECF27CB09B7,
        0x4F463F669E5FEA2D,
        0x7527BAC7EBE5F17B,
        0x3D0739F78A5292EA,
        0x6BFB5FB11F8D5D08,
        0x56033046FC7B6BAB,
    )
)
"""The first bits of 2/pi behind 64 zeros, as signed words."""

_TURNED = _both(
    """
@straight
def turned_f8(x):
    shifted = fma(x, $PER_TURN, $SHIFT)
    n = shifted - $SHIFT
    p, lost = two_product_f8(n, $SECOND)
    r, low = two_sum_f8(fma(n, -$FIRST, x), -p)
    return bits(shifted), r, fma(n, -$THIRD, low - lost)
""",
    """
@straight
def turned_f8(x):
    shifted = fma(x, $PER_TURN, $SHIFT)
    n = shifted - $SHIFT
    return bits(shifted), fma(n, -$SECOND, fma(n, -$FIRST, x)), 0.0
""",
)
"""n as an integer's low bits, and r in two parts; for float32 in one."""

_FAR_TURNED = dict.fromkeys(
    KINDS,
    fill(
        """
@straight
def word_f8(k):
    return table(k, $TABLE)

@straight
def far_turned_f8(x):
    m = (bits(x) & 4503599627370495) | 4503599627370496
    start = ((bits(x) >> $BITS) & 2047) - 1013
    k = start >> 6
    left = start & 63
    right = 63 - left
    b = word_f8(k + 1)
    c = word_f8(k + 2)
    first = (word_f8(k) << left) | shifted_right(shifted_right(b, 1), right)
    second = (b << left) | shifted_right(shifted_right(c, 1), right)
    third = (c << left) | shifted_right(shifted_right(word_f8(k + 3), 1), right)
    below = m * second
    low = high_product(m, third) + below
    carry = where((low ^ $LEAST) < (below ^ $LEAST), i8(1), i8(0))
    top = m * first + high_product(m, second) + carry
    n = (top + 2305843009213693952) >> 62
    top = top - (n << 62)
    s, t = fast_two_sum_f8(f8(top >> 32) * 2.0**-30, f8(top & 4294967295) * 2.0**-62)
    rest = f8(shifted_right(low, 32)) * 2.0**-94 + f8(low & 4294967295) * 2.0**-126
    s, t = two_sum_f8(s, t + rest)
    p, lost = two_product_f8(s, $FIRST)
    r, low = fast_two_sum_f8(p, lost + fma(s, $SECOND, t * $FIRST) + (x - x))
    back = x < 0.0
    return where(back, -n, n), where(back, -r, r), where(back, -low, low)
""",
        "f8",
        TABLE=_TABLE,
        **_TERMS,
    ),
)
"""The same for arguments beyond `LIMIT`, with 192 of the bits of 2/pi (Payne & Hanek 1983)."""

_SERIES = _both(
    """
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
def sine_f8(r):
    z = r * r
    return fma(r * z, poly(z, $SHORT_SIN), r)

@straight
def cosine_f8(r):
    z = r * r
    return fma(z, poly(z, $SHORT_COS), 1.0)
""",
)
"""Sine and cosine of r; in two parts each for float64."""

_AT = _both(
    """
@straight
def sin_at_f8(place):
    n, r, low = place
    s, t = sine_f8(r, low)
    c, d = cosine_f8(r, low)
    y = where(n & 1 != 0, c + d, s + t)
    return unbits(bits(y) ^ ((n & 2) << 62))

@straight
def cos_at_f8(place):
    n, r, low = place
    return sin_at_f8((n + 1, r, low))

@straight
def tan_at_f8(place):
    n, r, low = place
    s, t = sine_f8(r, low)
    s, t = fast_two_sum_f8(s, t)
    c, d = cosine_f8(r, low)
    c, d = fast_two_sum_f8(c, d)
    odd = n & 1 != 0
    above = where(odd, -c, s)
    below = where(odd, s, c)
    e = 1.0 / below
    q = above * e
    rest = fma(-q, below, above) + fma(-q, where(odd, t, d), where(odd, -d, t))
    return fma(rest, e, q)
""",
    """
@straight
def sin_at_f4(place):
    n, r, low = place
    y = where(n & 1 != 0, cosine_f8(r), sine_f8(r))
    return f4(unbits(bits(y) ^ ((n & 2) << 62)))

@straight
def cos_at_f4(place):
    n, r, low = place
    return sin_at_f4((n + 1, r, low))

@straight
def tan_at_f4(place):
    n, r, low = place
    s = sine_f8(r)
    c = cosine_f8(r)
    odd = n & 1 != 0
    return f4(where(odd, -c, s) / where(odd, s, c))
""",
)
"""The functions, once x is n and r."""


def _function(name: str) -> Text:
    near = "where(x == 0.0, x, {at})" if name != "cos" else "{at}"
    return {
        kind: f"""
@straight
def {name}_{kind}(x):
    return {near.format(at=f"{name}_at_{kind}(turned_f8(f8(x)))")}

@straight
def {name}_far_{kind}(x):
    return {name}_at_{kind}(far_turned_f8(f8(x)))
"""
        for kind in KINDS
    }


_PIECES = (dict.fromkeys(KINDS, SUMS["f8"]), _TURNED, _FAR_TURNED, _SERIES, _AT)
FUNCTIONS = {name: (*_PIECES, _function(name)) for name in ("sin", "cos", "tan")}
