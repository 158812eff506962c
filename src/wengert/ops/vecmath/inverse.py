"""arcsin, arccos, arctan and arctan2 as plain arithmetic that LLVM turns into vector code. Kernel text; knows no op.

arcsin, arccos   x + x z P(z), z = x^2, up to 1/2; beyond, with s = sqrt(z), z = (1 - |x|)/2: pi/2 - 2 (s + s z P(z))
arctan           t + t z Q(z), z = t^2, where t is |x| or its reciprocal, whichever is at most 1
arctan2          the same of the smaller over the larger, moved to the octant
"""

from __future__ import annotations

from wengert.ops.vecmath.text import both

# Minimax polynomials (Remez, 60 digits), relative errors of the results below.
_ARCSIN_TERMS = {  # (arcsin(x)/x - 1) / z up to 1/2: 2^-59.8, 2^-27.6
    "f8": (0.1666666666666676, 0.07499999999970809, 0.044642857174648345, 0.030381942704544414, 0.022372215110524583,
           0.017351609350204654, 0.013980857071478187, 0.011398580727901411, 0.010782273810656544,
           0.003698216159130101, 0.021728631804819407, -0.021030691400599738, 0.03264937298097227),
    "f4": (0.16666752099990845, 0.07495306432247162, 0.04546976089477539, 0.02418089099228382, 0.0421660952270031),
}  # fmt: skip
_ARCTAN_TERMS = {  # (arctan(x)/x - 1) / z up to 1: 2^-56.1, 2^-27.4
    "f8": (-0.3333333333333307, 0.19999999999951748, -0.14285714282582843, 0.11111111007031042, -0.09090906999881421,
           0.07692279773242731, -0.06666403328229202, 0.05880522623531915, -0.05253492723876525,
           0.047222284635666856, -0.042189244267887956, 0.03663666779431889, -0.02989561072894298,
           0.02197495243333352, -0.01389156527491045, 0.007190429117605816, -0.002881966452791991,
           0.000830346866254385, -0.00015196516324467347, 1.320707950314399e-05),
    "f4": (-0.33333298563957214, 0.1999852955341339, -0.1426401436328888, 0.10950861871242523, -0.083992138504982,
           0.057879041880369186, -0.031093785539269447, 0.010866450145840645, -0.0017821938963606954),
}  # fmt: skip

# pi/2 in two parts; twice them is pi.
_HALF_PI = {
    "HALF": {"f8": 1.5707963267948966, "f4": 1.5707963705062866},
    "REST": {"f8": 6.123233995736766e-17, "f4": -4.371138828673793e-08},
}

_ARC = both(
    """
@straight
def arc_$K(x):
    y = abs(x)
    far = y > 0.5
    z = where(far, 0.5 - 0.5 * y, x * x)
    t = where(far, sqrt(z), y)
    return far, t, t * z * poly(z, $ARCSIN)
""",
    ARCSIN=_ARCSIN_TERMS,
)

_ARCSIN = both(
    """
@straight
def arcsin_$K(x):
    far, t, p = arc_$K(x)
    return copysign(where(far, $HALF - (2.0 * t + (2.0 * p - $REST)), t + p), x)
""",
    **_HALF_PI,
)

_ARCCOS = both(
    """
@straight
def arccos_$K(x):
    far, t, p = arc_$K(x)
    t = where(far, 2.0 * t, t)
    p = where(far, 2.0 * p, p)
    below = x < 0.0
    near = $HALF - (copysign(t, x) + (copysign(p, x) - $REST))
    return where(far, where(below, 2.0 * $HALF - (t + (p - 2.0 * $REST)), t + p), near)
""",
    **_HALF_PI,
)

_ARCTAN = both(
    """
@straight
def arctan_$K(x):
    y = abs(x)
    far = y > 1.0
    t = where(far, 1.0 / y, y)
    z = t * t
    p = t * z * poly(z, $ARCTAN)
    return copysign(where(far, $HALF - (t + (p - $REST)), t + p), x)
""",
    ARCTAN=_ARCTAN_TERMS,
    **_HALF_PI,
)

_ARCTAN2 = both(
    """
@straight
def arctan2_$K(y, x):
    a = abs(y)
    b = abs(x)
    steep = a > b
    top = where(steep, b, a)
    t = where(a == b, where(a == 0.0, a, $K(1.0)), top / where(steep, a, b))
    z = t * t
    p = t * z * poly(z, $ARCTAN)
    # A number of quarter turns, plus or minus arctan(t).
    back = bits(x) < 0
    turns = where(steep, $K(1.0), where(back, $K(2.0), $K(0.0)))
    t = where(steep ^ back, -t, t)
    p = where(steep ^ back, -p, p)
    return copysign(turns * $HALF + (t + fma(turns, $REST, p)), y)
""",
    ARCTAN=_ARCTAN_TERMS,
    **_HALF_PI,
)

FUNCTIONS = {
    "arcsin": (_ARC, _ARCSIN),
    "arccos": (_ARC, _ARCCOS),
    "arctan": (_ARCTAN,),
    "arctan2": (_ARCTAN2,),
}
