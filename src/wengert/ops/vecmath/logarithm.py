"""Logarithms and area functions as plain arithmetic that LLVM turns into vector code. Kernel text; knows no op.

x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), s = f / (2 + f), and log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)),
R a minimax polynomial: the method and the coefficients of Sun's fdlibm (e_log.c, s_log1p.c, e_log2.c, e_log10.c;
for float32 FreeBSD's e_logf.c). log2 and log10 carry the logarithm of 1 + f in two parts through the product.

arcsinh   log1p(|x| + x^2 / (1 + sqrt(1 + x^2)))          arctanh   log1p(2|x| / (1 - |x|)) / 2
arccosh   log1p(z + sqrt(2z + z^2)), z = x - 1            each with what the roundings of the argument lose
"""

from __future__ import annotations

from wengert.ops.vecmath.text import SUMS, both

_LOG_TERMS = {
    "f8": (0.6666666666666735, 0.3999999999940942, 0.2857142874366239, 0.22222198432149784, 0.1818357216161805,
           0.15313837699209373, 0.14798198605116586),
    "f4": (0.6666666269302368, 0.40000972151756287, 0.2849878668785095, 0.24279078841209412),
}  # fmt: skip

# The high parts end in zeros, so that k times them is exact.
_LN2 = {"f8": (0.6931471803691238, 1.9082149292705877e-10), "f4": (0.693138122558594, 9.058000614459161e-06)}
_LOG10_2 = {"f8": (0.30102999566361177, 3.694239077158931e-13), "f4": (0.301025390625, 4.605039066518657e-06)}
_PER_LN2 = {"f8": (1.4426950408889634, 2.0355273740931033e-17), "f4": (1.4426950216293335, 1.925963033500011e-08)}
_PER_LN10 = {"f8": (0.4342944819032518, 1.098319650216765e-17), "f4": (0.4342944920063019, -1.0103049952192578e-08)}


def _parts(name: str, pair: dict[str, tuple[float, float]]) -> dict[str, dict[str, float]]:
    return {f"{name}_{part}": {k: v[n] for k, v in pair.items()} for n, part in enumerate(("HIGH", "LOW"))}


SPLIT = both("""
@straight
def split_$K(x):
    small = x < $NORMAL
    x = where(small, x * $RAISE, x)
    k = (bits(x) - $SQRT_HALF_BITS) >> $BITS
    e = unbits(k + $SHIFT_BITS) - $SHIFT
    return where(small, e - $RAISED, e), unbits(bits(x) - (k << $BITS)) - 1.0
""")
"""k as a float, and f."""

_CURVED = both(
    """
@straight
def curved_$K(f):
    s = f / (2.0 + f)
    z = s * s
    h = 0.5 * f * f
    return h, s * fma(z, poly(z, $LOG), h)
""",
    LOG=_LOG_TERMS,
)
"""f^2/2, and s (f^2/2 + R): log(1 + f) is f minus the one plus the other."""

_ENDS = both("""
@straight
def ends_$K(x, y):
    y = where(x > 0.0, y, where(x == 0.0, -inf, $K(nan)))
    return where(x < inf, y, x)
""")
"""The value y of a logarithm of x, or what stands for it where x is 0, negative, infinite or NaN."""

_LOG = both(
    """
@straight
def log_$K(x):
    k, f = split_$K(x)
    h, q = curved_$K(f)
    return ends_$K(x, fma(k, $LN2_HIGH, f - (h - fma(k, $LN2_LOW, q))))
""",
    **_parts("LN2", _LN2),
)

_LOG_BEYOND = both(
    """
@straight
def log_beyond_$K(x, rest):
    u, lost = two_sum_$K(1.0, x)
    k, f = split_$K(u)
    near = k == 0.0
    f = where(near, x, f)
    # What is lost, over u = 2^k (1 + f), to the few per cent that it needs.
    scale = unbits(bits(1.0 + f) - bits(u) + $ONE_BITS) * poly(f, 0.995, -1.03, 0.85)
    c = (where(near, 0.0, lost) + rest) * where(u > $FAR, 0.0, scale)
    h, q = curved_$K(f)
    return ends_$K(u, fma(k, $LN2_HIGH, f - (h - (fma(k, $LN2_LOW, c) + q))))
""",
    **_parts("LN2", _LN2),
    FAR={"f8": 2.0**60, "f4": 2.0**30},
)
"""log(1 + x + rest), where the rest is not more than what a rounding of x loses."""

_LOG1P = both("""
@straight
def log1p_$K(x):
    return copysign(log_beyond_$K(x, -0.0), x)
""")

_ARCSINH = both(
    """
@straight
def arcsinh_$K(x):
    y = abs(x)
    far = y > $LARGE
    z = where(far, 1.0, y)
    w, lost = fast_two_sum_$K(z, z * z / (1.0 + sqrt(fma(z, z, 1.0))))
    y = log_beyond_$K(where(far, y - 1.0, w), where(far, 0.0, lost))
    return copysign(where(far, y + $LN2, y), x)
""",
    LARGE={"f8": 2.0**28, "f4": 2.0**13},
    LN2=0.6931471805599453,
)

_ARCCOSH = both(
    """
@straight
def arccosh_$K(x):
    far = x > $LARGE
    z = where(far, 2.0, x) - 1.0
    s = sqrt(fma(z, z, 2.0 * z))
    w, lost = two_sum_$K(s, z)
    y = log_beyond_$K(where(far, x - 1.0, w), where(far, 0.0, lost))
    return where(x < 1.0, $K(nan), where(far, y + $LN2, y))
""",
    LARGE={"f8": 2.0**28, "f4": 2.0**13},
    LN2=0.6931471805599453,
)

_ARCTANH = both("""
@straight
def arctanh_$K(x):
    y = abs(x)
    d, lost = fast_two_sum_$K(1.0, -y)
    r = 1.0 / d
    w = 2.0 * y * r
    rest = (fma(-w, d, 2.0 * y) - w * lost) * r
    return copysign(0.5 * log_beyond_$K(w, where(y < 1.0, rest, 0.0)), x)
""")

_LOG_PRODUCT = both("""
@straight
def log_product_$K(f, high, low):
    h, q = curved_$K(f)
    h = h - q
    y = f - h
    rest = (f - y) - h
    p, lost = two_product_$K(y, high)
    return p, lost + fma(rest, high, y * low)
""")
"""log(1 + f) times a constant in two parts, in two parts."""

_LOG2 = both(
    """
@straight
def log2_$K(x):
    k, f = split_$K(x)
    p, rest = log_product_$K(f, $PER_LN2_HIGH, $PER_LN2_LOW)
    y, lost = fast_two_sum_$K(k, p)
    return ends_$K(x, y + (lost + rest))
""",
    **_parts("PER_LN2", _PER_LN2),
)

_LOG10 = both(
    """
@straight
def log10_$K(x):
    k, f = split_$K(x)
    p, rest = log_product_$K(f, $PER_LN10_HIGH, $PER_LN10_LOW)
    y, lost = fast_two_sum_$K(k * $LOG10_2_HIGH, p)
    return ends_$K(x, y + (lost + fma(k, $LOG10_2_LOW, rest)))
""",
    **_parts("PER_LN10", _PER_LN10),
    **_parts("LOG10_2", _LOG10_2),
)

_LOGARITHM = (SUMS, SPLIT, _CURVED, _ENDS)

FUNCTIONS = {
    "log": (*_LOGARITHM, _LOG),
    "log1p": (*_LOGARITHM, _LOG_BEYOND, _LOG1P),
    "log2": (*_LOGARITHM, _LOG_PRODUCT, _LOG2),
    "log10": (*_LOGARITHM, _LOG_PRODUCT, _LOG10),
    "arcsinh": (*_LOGARITHM, _LOG_BEYOND, _ARCSINH),
    "arccosh": (*_LOGARITHM, _LOG_BEYOND, _ARCCOSH),
    "arctanh": (*_LOGARITHM, _LOG_BEYOND, _ARCTANH),
}
