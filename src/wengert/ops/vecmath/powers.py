"""power, cbrt and hypot as plain arithmetic that LLVM turns into vector code. Kernel text; knows no op.

power   exp(y log|x|) with log|x| = k ln2 + 2 artanh(s), s = f / (2 + f), all in two parts (Dekker 1971), then the
        sign and the cases that C99 lists. float32 is computed in float64, where one part is enough.
cbrt    r = x^(-1/3) from a first guess by bits (the exponent over -3) and two steps of fourth order; x r^2, and one
        step of Newton's with the residual in two parts
hypot   the operands brought to the middle of the range by a power of 2
"""

from __future__ import annotations

from wengert.ops.vecmath.exponential import EXP_PARTS, SHORT_EXP
from wengert.ops.vecmath.logarithm import SPLIT
from wengert.ops.vecmath.text import SUMS, Text, both, fill

_TERMS = {
    # Minimax polynomials (Remez, 60 digits) for 2 artanh(s) = 2 s + s z P(z), z = s^2, sqrt(1/2) < 1 + f < sqrt(2):
    # behind 2/3, which is taken in two parts, 2^-66.3; for float32 2^-44.9.
    "LOG": (0.40000000000002256, 0.28571428570099405, 0.2222222251997952, 0.18181784360384687, 0.15386757708355644,
            0.13256807653004798, 0.13196432947735887),
    "SHORT_LOG": (0.6666666667579929, 0.39999995622336737, 0.2857210913438695, 0.2217618861262678,
                  0.19584166363875966),
    "TWO_THIRDS": 0.6666666666666666, "REST": 3.700743415417188e-17,
    # ln2 in two parts, the first short enough to be multiplied by k without error; and in one.
    "LN2_HIGH": 0.6931471805601177, "LN2_LOW": -1.7239444525614835e-13, "LN2": 0.6931471805599453,
}  # fmt: skip

_CASES = both("""
@straight
def cases_$K(x, y, z):
    whole = rint(y) == y
    half = 0.5 * y
    odd = whole & (rint(half) != half)
    z = where((x < 0.0) & (x > -inf) & ~whole, $K(nan), z)
    return where((bits(x) < 0) & odd, -z, z)
""")
"""x^y, where z is |x|^y."""

_POWER: Text = {
    "f8": fill(
        """
@straight
def logarithm_f8(a):
    k, f = split_f8(a)
    d, lost = fast_two_sum_f8(2.0, f)
    r = 1.0 / d
    s = f * r
    sl = (fma(-s, d, f) - s * lost) * r
    z, zl = two_product_f8(s, s)
    zl = fma(2.0 * s, sl, zl)
    u, ul = fast_two_sum_f8($TWO_THIRDS, z * poly(z, $LOG))
    w, wl = two_product_f8(z, u)
    wl = fma(zl, u, fma(z, ul + $REST, wl))
    v, vl = two_product_f8(s, w)
    vl = fma(sl, w, fma(s, wl, vl))
    b, bl = fast_two_sum_f8(k * $LN2_HIGH, 2.0 * s)
    c, cl = fast_two_sum_f8(b, v)
    return fast_two_sum_f8(c, fma(k, $LN2_LOW, fma(2.0, sl, vl)) + (bl + cl))

@straight
def power_f8(x, y):
    a = abs(x)
    high, low = logarithm_f8(a)
    high = where(a == 0.0, -inf, where(a < inf, high, a))
    p, lost = two_product_f8(y, high)
    p = where((high == 0.0) | (y == 0.0), 0.0, p)
    lost = where((p == 0.0) | (abs(p) > 800.0), 0.0, fma(y, low, lost))
    p = where(p > 800.0, 800.0, p)
    k, r, q = exp_parts_f8(where(p < -800.0, -800.0, p), lost)
    z, lost = fast_two_sum_f8(1.0, r)
    return cases_f8(x, y, scaled_f8(z + (lost + q), k))
""",
        "f8",
        **_TERMS,
    ),
    "f4": fill(
        """
@straight
def power_f4(x, y):
    a = f8(abs(x))
    b = f8(y)
    k = (bits(a) - $SQRT_HALF_BITS) >> 52
    f = unbits(bits(a) - (k << 52)) - 1.0
    s = f / (2.0 + f)
    z = s * s
    l = fma(unbits(k + $SHIFT_BITS) - $SHIFT, $LN2, fma(s * z, poly(z, $SHORT_LOG), 2.0 * s))
    l = where(a == 0.0, -inf, where(a < inf, l, a))
    p = where((l == 0.0) | (b == 0.0), 0.0, b * l)
    p = where(p > 200.0, 200.0, p)
    return cases_f4(x, y, f4(short_exp_f8(where(p < -200.0, -200.0, p))))
""",
        "f8",
        **_TERMS,
    ),
}

_CBRT = both(
    """
@straight
def cbrt_$K(x):
    a = abs(x)
    small = a < $NORMAL
    a = where(small, a * $CUBE, a)
    i = unbits((bits(a) >> $DROP) + $SHIFT_BITS) - $SHIFT
    r = unbits((bits(fma(i, -0.3333333333333333, $GUESS)) - $SHIFT_BITS) << $DROP)
    h = 1.0 - a * r * r * r
    r = fma(r * h, poly(h, $STEP), r)
    h = 1.0 - a * r * r * r
    r = fma(r * h, poly(h, $STEP), r)
    c = a * r * r
    s, lost = two_product_$K(c, c)
    c = fma((fma(-c, s, a) - c * lost) * (r * r), 0.3333333333333333, c)
    return where(a < inf, copysign(where(small, c * $ROOT, c), x), x)
""",
    CUBE={"f8": 2.0**54, "f4": 2.0**24},
    ROOT={"f8": 2.0**-18, "f4": 2.0**-8},
    DROP={"f8": 32, "f4": 9},
    GUESS={"f8": 1.5 * 2.0**52 + 1430186361.0, "f4": 1.5 * 2.0**23 + 2773243.0},
    STEP=(0.3333333333333333, 0.2222222222222222, 0.1728395061728395),
)

_HYPOT = both(
    """
@straight
def hypot_$K(x, y):
    a = abs(x)
    b = abs(y)
    m = where(a > b, a, b)
    s = where(m > $BIG, $K($DOWN), where(m < $SMALL, $K($UP), $K(1.0)))
    back = where(m > $BIG, $K($UP), where(m < $SMALL, $K($DOWN), $K(1.0)))
    u = m * s
    v = where(a > b, b, a) * s
    return where((a == inf) | (b == inf), inf, sqrt(fma(u, u, v * v)) * back)
""",
    BIG={"f8": 2.0**511, "f4": 2.0**62},
    SMALL={"f8": 2.0**-450, "f4": 2.0**-50},
    UP={"f8": 2.0**700, "f4": 2.0**100},
    DOWN={"f8": 2.0**-700, "f4": 2.0**-100},
)

FUNCTIONS = {
    "power": (*EXP_PARTS, SHORT_EXP, SPLIT, _CASES, _POWER),
    "cbrt": (SUMS, _CBRT),
    "hypot": (_HYPOT,),
}
