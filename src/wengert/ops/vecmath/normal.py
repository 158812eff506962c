"""erf, erfc and ndtr as plain arithmetic that LLVM turns into vector code. Kernel text; knows no op.

For x >= 0, (1 + 2x) exp(x^2) erfc(x) is a smooth function of t = (x - 4) / (x + 4) (Shepherd & Laframboise 1981):
one polynomial G(t) for the half line, so erfc(x) = exp(-x^2) G(t) / (1 + 2x), with x^2 and the quotient in two parts.
Up to 1/2, erf is x + x P(x^2); erf and erfc add up to 1; ndtr(x) is erfc(-x/sqrt(2)) / 2, where x^2/2 and not the
rounded quotient is squared. float32 is computed in float64, where one part is enough.
"""

from __future__ import annotations

from wengert.ops.vecmath.exponential import EXP_PARTS, SHORT_EXP
from wengert.ops.vecmath.text import Text, fill

_TERMS = {
    # Minimax polynomials (Remez, 40 digits): G(t), 0 <= x <= 28, 2^-55.1, with its constant in two parts;
    # erf(x)/x - 1 in x^2 up to 1/2, 2^-56.0; and for float32, 0 <= x <= 10.2, 2^-30.5, and 2^-29.5.
    "TAIL": (-0.13962111684056291, 0.015379652102620052, 0.06809705425473929, -0.10103906603631743,
             0.09373283499673671, -0.06633036581221663, 0.037167515563183706, -0.016197734052092655,
             0.00503196975208333, -0.00075777338322299, -0.0001992555001598866, 0.0001506223970303613,
             -2.44031497546525e-05, -1.1225136691990819e-05, 5.7177513186262194e-06, 3.0181988247884295e-07,
             -8.348609782487421e-07, 6.238034495295087e-08, 1.1503847138392219e-07, -7.65632004050355e-09,
             -1.3544558546648875e-08, -1.7880498454455663e-09),
    "MIDDLE": 1.2329951186255526, "MIDDLE_REST": -4.625318921008717e-17,
    "ERF": (0.12837916709551256, -0.37612638903183465, 0.11283791670924728, -0.026866170632686207,
            0.0052239773698211185, -0.0008548297477818512, 0.00012053321948071498, -1.4845521481644258e-05,
            1.472255257915973e-06),
    "SHORT_TAIL": (1.232995118779458, -0.13962113115896707, 0.015379622545522248, 0.06809784708934144,
                   -0.10103762441088604, 0.09372136203970807, -0.06635619019833525, 0.03721962795063679,
                   -0.01602163269961245, 0.0050524657069903126, -0.0011288271232158314, -0.0006397040955575399),
    "SHORT_ERF": (0.128379165564252, -0.37612608525123575, 0.11282821669689445, -0.026757099396593625,
                  0.004717796651715591),
    "SQRT_HALF": 0.7071067811865476, "SQRT_HALF_REST": -4.833646656726457e-17,
}  # fmt: skip


def _both(double: str, single: str) -> Text:
    return {"f8": fill(double, "f8", **_TERMS), "f4": fill(single, "f8", **_TERMS)}


_TAIL = _both(
    """
@straight
def tail_f8(x, rest, square, low):
    d, lost = two_sum_f8(1.0, 2.0 * x)
    lost = fma(2.0, rest, lost)
    e = x + 4.0
    both = 1.0 / (d * e)
    t = (x - 4.0) * (d * both)
    g, tail = fast_two_sum_f8($MIDDLE, t * poly(t, $TAIL))
    inverse = e * both
    q = g * inverse
    ql = (fma(-q, d, g) + ((tail + $MIDDLE_REST) - q * lost)) * inverse
    k, r, p = exp_parts_f8(-square, -low)
    y, lost = fast_two_sum_f8(1.0, r)
    y, lost = fast_two_sum_f8(y, lost + p)
    z, zl = two_product_f8(y, q)
    return k, z + fma(y, ql, fma(lost, q, zl))
""",
    """
@straight
def tail_f8(x, square):
    d = fma(2.0, x, 1.0)
    e = x + 4.0
    both = 1.0 / (d * e)
    return short_exp_f8(-square) * (e * both) * poly((x - 4.0) * (d * both), $SHORT_TAIL)
""",
)
"""erfc(x + rest), x >= 0, as 2^k z for float64; x^2 is given. For float32 the number itself."""

_ERFC = _both(
    """
@straight
def erfc_f8(x):
    y = abs(x)
    y = where(y > 28.0, 28.0, y)
    s, low = two_product_f8(y, y)
    k, z = tail_f8(y, -0.0, s, low)
    z = where(y < 0.5, 1.0 - fma(y, poly(s, $ERF), y), scaled_f8(z, k))
    return where(x < 0.0, 2.0 - z, z)
""",
    """
@straight
def erfc_f4(x):
    y = f8(abs(x))
    y = where(y > 11.0, 11.0, y)
    s = y * y
    z = where(y < 0.5, 1.0 - fma(y, poly(s, $SHORT_ERF), y), tail_f8(y, s))
    return f4(where(x < 0.0, 2.0 - z, z))
""",
)

_ERF = _both(
    """
@straight
def erf_f8(x):
    y = abs(x)
    y = where(y > 6.0, 6.0, y)
    s, low = two_product_f8(y, y)
    k, z = tail_f8(y, -0.0, s, low)
    near = fma(y, poly(s, $ERF), y)
    return copysign(where(y < 0.5, near, 1.0 - z * two_to_f8(k)), x)
""",
    """
@straight
def erf_f4(x):
    y = f8(abs(x))
    y = where(y > 4.0, 4.0, y)
    s = y * y
    near = fma(y, poly(s, $SHORT_ERF), y)
    return copysign(f4(where(y < 0.5, near, 1.0 - tail_f8(y, s))), x)
""",
)

_NDTR = _both(
    """
@straight
def ndtr_f8(x):
    y = abs(x)
    y = where(y > 39.0, 39.0, y)
    s, low = two_product_f8(y, 0.5 * y)
    h, lost = two_product_f8(y, $SQRT_HALF)
    rest = fma(y, $SQRT_HALF_REST, lost)
    k, z = tail_f8(h, rest, s, low)
    near, lost = fast_two_sum_f8(0.5, -0.5 * h)
    near = near + (lost - 0.5 * fma(h, poly(s, $ERF), rest))
    z = where(h < 0.5, near, scaled_f8(z, k - 1))
    return where(x < 0.0, z, 1.0 - z)
""",
    """
@straight
def ndtr_f4(x):
    y = f8(abs(x))
    y = where(y > 15.0, 15.0, y)
    h = y * $SQRT_HALF
    s = 0.5 * y * y
    z = 0.5 * where(h < 0.5, 1.0 - fma(h, poly(s, $SHORT_ERF), h), tail_f8(h, s))
    return f4(where(x < 0.0, z, 1.0 - z))
""",
)

FUNCTIONS = {
    "erf": (*EXP_PARTS, SHORT_EXP, _TAIL, _ERF),
    "erfc": (*EXP_PARTS, SHORT_EXP, _TAIL, _ERFC),
    "ndtr": (*EXP_PARTS, SHORT_EXP, _TAIL, _NDTR),
}
