"""How far results are from the exact values, in units in the last place, and the points at which to ask."""

import mpmath
import numpy as np
from mpmath import libmp

PRECISION = 110
"""Bits of the reference."""

_MP = mpmath.mp.clone()
_MP.prec = PRECISION
_LN = {base: _MP.log(base) for base in (2, 10)}
_HALF = _MP.sqrt(0.5)


def _expit(x):
    return 1 / (1 + _MP.exp(-x))


_SAME = ("exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt", "hypot", "erf")
_ARCS = ("sin", "cos", "tan", "tan2", "sinh", "cosh", "tanh")
EXACT = {name: getattr(_MP, name) for name in _SAME} | {"arc" + name: getattr(_MP, "a" + name) for name in _ARCS}
EXACT |= {
    "log2": lambda x: _MP.log(x) / _LN[2],
    "log10": lambda x: _MP.log(x) / _LN[10],
    "exp2": lambda x: _MP.power(2, x),
    "power": lambda x, y: _MP.power(x, y),
    "cbrt": lambda x: _MP.sign(x) * _MP.cbrt(abs(x)),
    "expit": _expit,
    "erfc": lambda x: _MP.erfc(x) if x < 30 else _MP.zero,
    "ndtr": lambda x: _MP.erfc(-x * _HALF) / 2 if x > -42 else _MP.zero,
}
"""The functions in high precision, for finite arguments inside their domains."""


def exact(name, *xs):
    """The values in high precision."""
    f = EXACT[name]
    return [f(*map(_MP.mpf, point)) for point in zip(*[x.tolist() for x in xs], strict=True)]


def ulps(got, wanted):
    """The error of each result against `exact`; infinite where the wrong one of a number and an infinity."""
    bits, least = (53, -1074) if got.dtype == np.float64 else (24, -149)
    errors = np.empty(got.size)
    for k, (y, z) in enumerate(zip(got.tolist(), wanted, strict=True)):
        sign, man, exponent, length = z._mpf_
        unit = max(exponent + length - bits, least) if man else least
        if not np.isfinite(y):  # an overflow: right from half a unit above the largest number
            over = exponent + length > (1024 if bits == 53 else 128) or _rounds_up(z, bits, got.dtype)
            errors[k] = 0.0 if over and y == (-np.inf if sign else np.inf) else np.inf
            continue
        errors[k] = abs(libmp.to_float(libmp.mpf_shift(libmp.mpf_sub(libmp.from_float(y), z._mpf_, 40, "n"), -unit)))
    return errors


def _rounds_up(z, bits, dtype):
    largest = _MP.mpf(float(np.finfo(dtype).max))
    return abs(z) >= largest * (1 + _MP.mpf(2) ** -(bits + 1))


def ulps_of_single(got, wanted):
    """The same for float32 results against float64 values, for many at once."""
    with np.errstate(over="ignore"):
        rounded = wanted.astype(np.float32)
    exponent = np.maximum(rounded.view(np.int32) & 0x7F800000, 0x00800000).view(np.float32)
    with np.errstate(invalid="ignore"):
        errors = np.abs(got.astype(np.float64) - wanted) / (exponent.astype(np.float64) * 2.0**-23)
    special = ~np.isfinite(rounded) | ~np.isfinite(got)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    errors[special] = np.where(same[special], 0.0, np.inf)
    return errors


# --- points ------------------------------------------------------------------------------------------------

PI, LN2 = float(np.pi), float(np.log(2))
EVERYWHERE = (-np.inf, np.inf)
DOMAIN = {"log": (0, np.inf), "log2": (0, np.inf), "log10": (0, np.inf), "sqrt": (0, np.inf), "log1p": (-1, np.inf),
          "arcsin": (-1, 1), "arccos": (-1, 1), "arccosh": (1, np.inf), "arctanh": (-1, 1)}  # fmt: skip
CLOSED = ("sqrt", "arcsin", "arccos", "arccosh")
INTERVALS = {
    "exp": [(-746, 710), (-1, 1), (-104, 89)],
    "exp2": [(-1075, 1024), (-1, 1), (-150, 128)],
    "expm1": [(-40, 710), (-1, 1), (-20, 89)],
    "log": [(0, 100), (0.5, 2), (0.99, 1.01)],
    "log2": [(0, 100), (0.5, 2), (0.99, 1.01)],
    "log10": [(0, 100), (0.5, 2), (0.99, 1.01)],
    "log1p": [(-1, 3), (-0.5, 0.5), (0, 100), (0.3, 0.5)],
    "sin": [(-1, 1), (-10, 10), (-1e5, 1e5), (-1e12, 1e12)],
    "sinh": [(-711, 711), (-1, 1), (-90, 90), (0.3, 0.45)],
    "tanh": [(-1, 1), (-0.3, 0.3), (-22, 22)],
    "expit": [(-745, 40), (-4, 4), (-104, 20)],
    "arcsin": [(-1, 1), (0.45, 0.6), (0.999, 1)],
    "arctan": [(-1, 1), (-10, 10), (0.9, 1.1)],
    "erf": [(-1, 1), (-6, 6), (0.45, 0.6)],
    "erfc": [(-1, 1), (-6, 27.3), (0.45, 0.6)],
    "ndtr": [(-2, 2), (-38.6, 9), (-0.8, -0.6)],
    "cbrt": [(0.5, 8), (-1e3, 1e3)],
    "sqrt": [(0, 100)],
    "arcsinh": [(-1, 1), (-100, 100), (0.4, 0.6)],
    "arccosh": [(1, 3), (1, 1.01), (1, 1e6)],
    "arctanh": [(-1, 1), (-0.1, 0.1), (0.1, 0.3)],
}
INTERVALS |= {
    "cos": INTERVALS["sin"],
    "tan": INTERVALS["sin"],
    "cosh": INTERVALS["sinh"],
    "arccos": INTERVALS["arcsin"],
}
SPOTS = {
    "exp": [709.782712893384, -708.3964185322641, -745.1332191019412, 88.72283905206835, -87.33654475, -103.97207708,
            *(LN2 * (np.arange(-20, 20) + 0.5))],
    "expm1": [709.782712893384, 88.72283905206835, -37.4, -17.3, *(LN2 * (np.arange(-20, 20) + 0.5))],
    "log": [1, 0.5**0.5, 2**0.5, *2.0 ** np.arange(-30, 30)],
    "log1p": [0.5**0.5 - 1, 2**0.5 - 1, -1, *(2.0 ** np.arange(-60, 60))],
    "sin": [*(PI / 2 * np.arange(-40, 40)), *(PI / 4 * np.arange(-41, 41, 2)), 6381956970095103 * 2.0**-12,
            *(np.rint(10.0 ** np.linspace(1, 11.5, 60)) * PI / 2), 2.0**40],
    "sinh": [710.4758600739439, 89.41598629223294, *(LN2 * (np.arange(-20, 20) + 0.5))],
    "tanh": [22, 19.06, 9.01, *(LN2 / 2 * (np.arange(-10, 10) + 0.5))],
    "expit": [-745.1332191019412, -708.3964185322641, 36.7, -103.97207708, -87.33654475, -2.77, -4.85],
    "arcsin": [0.5, -0.5, 1, -1], "arctan": [1, -1], "sqrt": [1], "arccosh": [1, 1.03, 2.0**28, 2.0**13],
    "arctanh": [0, 1, -1, 0.167], "arcsinh": [0.52, 2.0**28, 2.0**13],
    "erf": [0.5, -0.5, 5.92], "erfc": [0.5, -0.5, 26.543, 27.226, 9.19, 10.05], "ndtr": [-0.7071, 0.7071, -37.5, -38.4],
    "cbrt": [1, *(2.0 ** np.arange(-9, 9))],
    "exp2": [1024, -1022, -1074, 128, -126, -149, *(np.arange(-20, 20) + 0.5)],
}  # fmt: skip
SPOTS |= {"log2": SPOTS["log"], "log10": SPOTS["log"], "cos": SPOTS["sin"], "tan": SPOTS["sin"]}
SPOTS |= {"cosh": SPOTS["sinh"], "arccos": SPOTS["arcsin"]}


def _any_bits(rng, dtype, n):
    """Numbers of every magnitude, subnormal ones too."""
    width = np.dtype(dtype).itemsize
    found = rng.integers(0, 1 << 8 * width, n, dtype=f"u{width}", endpoint=False).view(dtype)
    return np.where(np.isfinite(found), found, dtype(0.75))


def points(name, dtype, n, seed=0):
    """About n operands of a function of one: of every magnitude, in its main intervals, around its hard spots."""
    rng = np.random.default_rng([seed, n])
    intervals, spots = INTERVALS[name], np.array(SPOTS[name])
    third = n // 3
    parts = [_any_bits(rng, dtype, third)]
    parts += [rng.uniform(low, high, third // len(intervals)) for low, high in intervals]
    around = rng.choice(spots, third)
    near = np.array(around, dtype)
    steps = rng.integers(-40, 41, third) * np.spacing(np.abs(near))
    parts.append(np.where(rng.random(third) < 0.5, near + steps, around * (1 + rng.normal(0, 1e-4, third))))
    with np.errstate(over="ignore"):
        x = np.concatenate([p.astype(dtype) for p in parts])
    low, high = DOMAIN.get(name, EVERYWHERE)
    return x[np.isfinite(x) & (x >= low) & (x <= high) & ((abs(x) < high) & (x > low) | (name in CLOSED))]


def pairs(name, dtype, n, seed=0):
    """About n pairs of operands of `power`, `hypot` or `arctan2`."""
    rng = np.random.default_rng([seed, n])
    info = np.finfo(dtype)
    quarter = n // 4
    top, bottom = float(np.log(info.max)), float(np.log(info.smallest_subnormal))
    size = np.exp(rng.uniform(bottom, top, quarter))
    if name == "power":
        target = rng.uniform(1.02 * bottom, 1.01 * top, quarter)
        near = 1 + rng.normal(0, 1e-3, quarter)
        whole = rng.integers(-40, 40, quarter)
        xs = [size, near, rng.uniform(-9, 9, quarter), np.exp(rng.normal(0, 2, quarter))]
        ys = [target / np.log(size), target / np.log(near), whole, rng.normal(0, 10, quarter)]
    else:
        sign = rng.choice([-1.0, 1.0], (4, quarter))
        xs = [rng.normal(0, 1, quarter), size, size, size]
        other = np.exp(rng.uniform(bottom, top, quarter))
        near = np.clip(np.log(size) + rng.normal(0, 9, quarter), bottom, top)
        ys = [rng.normal(0, 1, quarter), other, np.exp(near), np.exp(np.log(size) + rng.normal(0, 1e-3, quarter))]
        ys = [s * y for s, y in zip(sign, ys, strict=True)]
    with np.errstate(all="ignore"):
        x, y = np.concatenate(xs).astype(dtype), np.concatenate(ys).astype(dtype)
    good = np.isfinite(x) & np.isfinite(y) & (x != 0)
    return x[good], y[good]
