"""exp and its relations as plain arithmetic that LLVM turns into vector code. Kernel text; knows no op.

All begin with x = k ln2 + r, |r| <= ln2/2 (Cody & Waite 1980), and put 2^k in by bits, in two halves, so
that subnormal and overflowing results come out right.

exp    2^k (1 + p(r));  exp2 with x = k + r       expm1  2^k p(r) + (2^k - 1), one rounding each
sinh   with S = sinh r, C = cosh r - 1 and P, M = (2^k ± 2^-k)/2: M + (M C + P S);  cosh  P + (P C + M S)
tanh   expm1(2|x|) / (expm1(2|x|) + 2)            expit  1 / (1 + exp(-|x|)), mirrored for negative x
"""

from __future__ import annotations

from wengert.ops.vecmath.text import KINDS, SUMS, both, fill

# Minimax polynomials (Remez, 60 digits) on |r| <= ln2/2, relative errors of the results below.
_EXP_TERMS = {  # (exp(r) - 1 - r) / r^2: 2^-63.9, 2^-28.2
    "f8": (0.5, 0.16666666666666685, 0.04166666666666667, 0.008333333333315764, 0.0013888888888881543,
           0.00019841269899375377, 2.4801587333977916e-05, 2.7557232034328717e-06, 2.755726197978882e-07,
           2.5112968415587062e-08, 2.091983583397587e-09),
    "f4": (0.5, 0.16666515171527863, 0.041666578501462936, 0.008369305171072483, 0.0013922590296715498),
}  # fmt: skip
_SINH_TERMS = {  # (sinh(r) - r) / r^3 in r^2: 2^-61.7, 2^-34.3
    "f8": (0.16666666666666677, 0.008333333333321384, 0.00019841269886825455, 2.755724344703281e-06,
           2.510931726565486e-08),
    "f4": (0.1666666716337204, 0.00833317544311285, 0.0001997411745833233),
}  # fmt: skip
_COSH_TERMS = {  # (cosh(r) - 1) / r^2 in r^2: 2^-70.0, 2^-33.2
    "f8": (0.5, 0.041666666666666685, 0.0013888888888873283, 2.4801587349202296e-05, 2.7557251819220967e-07,
           2.0921770179070722e-09),
    "f4": (0.5, 0.041666459292173386, 0.0013935425085946918),
}  # fmt: skip
_LOG2E = 1.4426950408889634
_LN2 = {"f8": (0.6931471805599453, 2.3190468138462996e-17), "f4": (0.6931471824645996, -1.9046542121259336e-09)}
"""The logarithm of 2 in two parts."""
_LN2_PARTS = {part: {k: v[n] for k, v in _LN2.items()} for n, part in enumerate(("LN2_HIGH", "LN2_LOW"))}
_LOW = {"f8": -746.0, "f4": -104.0}
"""Below, exp is 0."""

_REDUCED = both(
    """
@straight
def two_to_$K(k):
    return unbits((k + $BIAS) << $BITS)

@straight
def reduced_$K(x):
    shifted = fma(x, $LOG2E, $SHIFT)
    n = shifted - $SHIFT
    return bits(shifted) - $SHIFT_BITS, fma(n, -$LN2_HIGH, x), n * -$LN2_LOW
""",
    LOG2E=_LOG2E,
    **_LN2_PARTS,
)
"""k and r; r in two parts, the first without any error."""

_EXP_PARTS = both(
    """
@straight
def exp_parts_$K(x, rest):
    k, r, low = reduced_$K(x)
    low = low + rest
    s = r + low
    return k, r, fma(s * s, poly(s, $EXP), low)
""",
    EXP=_EXP_TERMS,
)
"""k, r and q with exp(x + rest) = 2^k (1 + r + q)."""

_SCALED = both("""
@straight
def scaled_$K(x, k):
    half = k >> 1
    return x * two_to_$K(half) * two_to_$K(k - half)
""")

EXP_PARTS = (SUMS, _REDUCED, _EXP_PARTS, _SCALED)
"""What others build on: `exp_parts`, and `scaled`, which puts 2^k to a number."""

SHORT_EXP = {
    kind: fill(
        """
@straight
def short_exp_f8(x):
    shifted = fma(x, $LOG2E, $SHIFT)
    r = fma(shifted - $SHIFT, -$LN2, x)
    return unbits((bits(shifted) << 52) + $ONE_BITS) * fma(r * r, poly(r, $EXP), 1.0 + r)
""",
        "f8",
        LOG2E=_LOG2E,
        LN2=_LN2["f8"][0],
        EXP=_EXP_TERMS["f4"],
    )
    for kind in KINDS
}
"""exp in float64 of |x| < 700, exact enough for float32."""

_EXP = both(
    """
@straight
def exp_$K(x):
    x = where(x > $HIGH, $HIGH, x)
    k, r, low = reduced_$K(where(x < $LOW, $LOW, x))
    r = r + low
    p = fma(r * r, poly(r, $EXP), r)
    half = k >> 1
    a = two_to_$K(half)
    return fma(p, a, a) * two_to_$K(k - half)
""",
    HIGH={"f8": 710.0, "f4": 89.0},
    LOW=_LOW,
    EXP=_EXP_TERMS,
)

_EXP2 = both(
    """
@straight
def exp2_$K(x):
    x = where(x > $HIGH, $HIGH, x)
    x = where(x < $LOW, $LOW, x)
    n = rint(x)
    r, low = two_product_$K(x - n, $LN2_HIGH)
    low = fma(x - n, $LN2_LOW, low)
    s = r + low
    y, lost = fast_two_sum_$K(1.0, r)
    return scaled_$K(y + (lost + fma(s * s, poly(s, $EXP), low)), bits(n + $SHIFT) - $SHIFT_BITS)
""",
    HIGH={"f8": 1025.0, "f4": 129.0},
    LOW={"f8": -1080.0, "f4": -155.0},
    EXP=_EXP_TERMS,
    **_LN2_PARTS,
)

_EXPM1 = both(
    """
@straight
def expm1_$K(x):
    y = where(x > $HIGH, $HIGH, x)
    k, r, q = exp_parts_$K(where(y < $LOW, $LOW, y), -0.0)
    half = k >> 1
    a = two_to_$K(half)
    y, lost = fast_two_sum_$K(a - two_to_$K(half - k), a * r)
    return copysign((y + fma(a, q, lost)) * two_to_$K(k - half), x)
""",
    HIGH={"f8": 710.0, "f4": 89.0},
    LOW={"f8": -50.0, "f4": -25.0},
)

_TANH = both(
    """
@straight
def tanh_$K(x):
    y = 2.0 * abs(x)
    k, r, q = exp_parts_$K(where(y > $HIGH, $HIGH, y), -0.0)
    s = two_to_$K(k)
    e = fma(s, q, fma(s, r, s - 1.0))
    return copysign(ratio_$K(e, 2.0, e), x)
""",
    HIGH={"f8": 44.0, "f4": 20.0},
)

_EXPIT = both(
    """
@straight
def expit_$K(x):
    y = -abs(x)
    k, r, q = exp_parts_$K(where(y < $LOW, $LOW, y), -0.0)
    y, lost = fast_two_sum_$K(1.0, r)
    e = scaled_$K(y + (lost + q), k)
    return ratio_$K(where(x < 0.0, e, 1.0), 1.0, e)
""",
    LOW=_LOW,
)

_HYPERBOLIC = both(
    """
@straight
def hyperbolic_$K(x):
    y = abs(x)
    k, r, low = reduced_$K(where(y > $HIGH, $HIGH, y))
    r = r + low
    z = r * r
    half = k >> 1
    a = two_to_$K(half - 1)
    u = two_to_$K(half - k)
    b = u * (u * two_to_$K(-1 - half))
    return a + b, a - b, fma(r * z, poly(z, $SINH), r), z * poly(z, $COSH), two_to_$K(k - half)
""",
    HIGH={"f8": 711.0, "f4": 90.0},
    SINH=_SINH_TERMS,
    COSH=_COSH_TERMS,
)

_SINH = both("""
@straight
def sinh_$K(x):
    plus, minus, s, c, scale = hyperbolic_$K(x)
    return copysign((minus + fma(plus, s, minus * c)) * scale, x)
""")

_COSH = both("""
@straight
def cosh_$K(x):
    plus, minus, s, c, scale = hyperbolic_$K(x)
    return (plus + fma(plus, c, minus * s)) * scale
""")

FUNCTIONS = {
    "exp": (_REDUCED, _EXP),
    "exp2": (*EXP_PARTS, _EXP2),
    "expm1": (*EXP_PARTS, _EXPM1),
    "tanh": (*EXP_PARTS, _TANH),
    "expit": (*EXP_PARTS, _EXPIT),
    "sinh": (_REDUCED, _HYPERBOLIC, _SINH),
    "cosh": (_REDUCED, _HYPERBOLIC, _COSH),
}
