"""The vector functions against high precision and against C99's special values; dense at their hard spots."""

import accuracy
import numpy as np
import pytest
from helpers import ROWS, function, quiet, same
from scipy import special

import wengert
from wengert.ops.vecmath import VECTOR

NAMES = sorted(accuracy.EXACT)
ROW = {row.name: row for row in ROWS}
BINARY = ("power", "hypot", "arctan2")
inf, nan = np.inf, np.nan

names = pytest.mark.parametrize("name", NAMES)
both_floats = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])


def vector(name):
    """The kernel of a function, as something that takes arrays."""
    return wengert.jit(function(ROW[name]))


def operands(name, dtype, n, seed=0):
    return accuracy.pairs(name, dtype, n, seed) if name in BINARY else (accuracy.points(name, dtype, n, seed),)


def judge(name, xs):
    """The largest error in units in the last place, and where it is."""
    got = vector(name)(*xs)
    assert got.dtype == xs[0].dtype
    if got.dtype == np.float32:  # NumPy's and SciPy's float64 functions are exact enough to judge float32
        errors = accuracy.ulps_of_single(got, quiet(function(ROW[name]), *[x.astype(np.float64) for x in xs]))
    else:
        errors = accuracy.ulps(got, accuracy.exact(name, *xs))
    k = int(np.argmax(errors))
    return errors[k], f"{name}({', '.join(repr(x[k]) for x in xs)}) = {got[k]!r}: {errors[k]} ulp"


def test_every_vector_function_is_judged():
    assert set(VECTOR) - {"copysign", "fmod"} <= set(NAMES)


@names
@both_floats
def test_error(name, dtype):
    """The bound that users are told: 2 units in the last place, 4 for power."""
    error, place = judge(name, operands(name, dtype, 20_000))
    assert error <= {"power": 4, "sqrt": 0.5}.get(name, 2), place


@names
@both_floats
def test_a_result_does_not_depend_on_its_place(name, dtype):
    """The numbers left over behind the last whole vector are computed as all others are."""
    xs = operands(name, dtype, 300)
    f = vector(name)
    whole = f(*xs)
    for start, stop in ((0, 1), (0, 7), (1, 34), (5, 50)):
        np.testing.assert_array_equal(f(*[x[start:stop] for x in xs]), whole[start:stop])


# --- special values (C99, annex F) ---------------------------------------------------------------------------

SPECIAL = {
    "exp": [(0, 1), (-0.0, 1), (inf, inf), (-inf, 0), (1e4, inf), (-1e4, 0)],
    "exp2": [(0, 1), (-0.0, 1), (inf, inf), (-inf, 0), (1e4, inf), (-1e4, 0), (3, 8), (-2, 0.25)],
    "expm1": [(0, 0), (-0.0, -0.0), (inf, inf), (-inf, -1), (1e4, inf), (-1e4, -1)],
    "log": [(1, 0), (0, -inf), (-0.0, -inf), (-1, nan), (inf, inf), (-inf, nan)],
    "log2": [(1, 0), (0, -inf), (-0.0, -inf), (-1, nan), (inf, inf), (-inf, nan), (8, 3), (2.0**-140, -140)],
    "log10": [(1, 0), (0, -inf), (-0.0, -inf), (-1, nan), (inf, inf), (-inf, nan), (1e3, 3), (1e10, 10)],
    "log1p": [(0, 0), (-0.0, -0.0), (-1, -inf), (-2, nan), (inf, inf), (-inf, nan)],
    "sin": [(0, 0), (-0.0, -0.0), (inf, nan), (-inf, nan)],
    "cos": [(0, 1), (-0.0, 1), (inf, nan), (-inf, nan)],
    "tan": [(0, 0), (-0.0, -0.0), (inf, nan), (-inf, nan)],
    "sinh": [(0, 0), (-0.0, -0.0), (inf, inf), (-inf, -inf), (1e4, inf), (-1e4, -inf)],
    "cosh": [(0, 1), (-0.0, 1), (inf, inf), (-inf, inf), (1e4, inf), (-1e4, inf)],
    "tanh": [(0, 0), (-0.0, -0.0), (inf, 1), (-inf, -1), (1e4, 1), (-1e4, -1)],
    "expit": [(0, 0.5), (inf, 1), (-inf, 0), (1e4, 1), (-1e4, 0)],
    "arcsin": [(0, 0), (-0.0, -0.0), (1.5, nan), (-1.5, nan), (inf, nan), (-inf, nan)],
    "arccos": [(1, 0), (1.5, nan), (-1.5, nan), (inf, nan), (-inf, nan)],
    "arctan": [(0, 0), (-0.0, -0.0), (inf, np.pi / 2), (-inf, -np.pi / 2)],
    "arcsinh": [(0, 0), (-0.0, -0.0), (inf, inf), (-inf, -inf)],
    "arccosh": [(1, 0), (0.5, nan), (-3, nan), (inf, inf), (-inf, nan)],
    "arctanh": [(0, 0), (-0.0, -0.0), (1, inf), (-1, -inf), (2, nan), (-2, nan), (inf, nan), (-inf, nan)],
    "erf": [(0, 0), (-0.0, -0.0), (inf, 1), (-inf, -1)],
    "erfc": [(0, 1), (-0.0, 1), (inf, 0), (-inf, 2)],
    "ndtr": [(0, 0.5), (-0.0, 0.5), (inf, 1), (-inf, 0)],
    "sqrt": [(0, 0), (-0.0, -0.0), (4, 2), (-1, nan), (inf, inf), (-inf, nan)],
    "cbrt": [(0, 0), (-0.0, -0.0), (inf, inf), (-inf, -inf), (8, 2), (-27, -3), (1e9, 1e3)],
    "hypot": [(3, 4, 5), (0, -0.0, 0), (inf, nan, inf), (nan, -inf, inf), (-inf, 1, inf), (nan, 1, nan), (0, -7, 7)],
    "arctan2": [
        (0, 1, 0), (-0.0, 1, -0.0), (0, -1, np.pi), (-0.0, -1, -np.pi), (0, 0, 0), (-0.0, 0, -0.0),
        (0, -0.0, np.pi), (-0.0, -0.0, -np.pi), (1, 0, np.pi / 2), (-1, -0.0, -np.pi / 2), (1, inf, 0),
        (-1, inf, -0.0), (1, -inf, np.pi), (-1, -inf, -np.pi), (inf, 1, np.pi / 2), (-inf, -1, -np.pi / 2),
        (inf, inf, np.pi / 4), (-inf, inf, -np.pi / 4), (inf, -inf, 3 * np.pi / 4), (-inf, -inf, -3 * np.pi / 4),
        (nan, 1, nan), (0, nan, nan), (inf, nan, nan), (nan, inf, nan),
    ],
    "power": [
        (0, -3, inf), (-0.0, -3, -inf), (0, -2, inf), (-0.0, -2, inf), (-0.0, -2.5, inf), (0, 3, 0), (-0.0, 3, -0.0),
        (-0.0, 2, 0), (-0.0, 0.5, 0), (0, -inf, inf), (-0.0, inf, 0), (-1, inf, 1), (-1, -inf, 1), (1, nan, 1),
        (1, -inf, 1), (nan, 0, 1), (nan, -0.0, 1), (inf, 0, 1), (-7, -0.0, 1), (-8, 1 / 3, nan), (-2, 0.5, nan),
        (0.5, -inf, inf), (-0.5, -inf, inf), (2, -inf, 0), (-2, -inf, 0), (0.5, inf, 0), (-0.5, inf, 0), (2, inf, inf),
        (-2, inf, inf), (-inf, -3, -0.0), (-inf, -2, 0), (-inf, -2.5, 0), (-inf, 3, -inf), (-inf, 2, inf),
        (-inf, 2.5, inf), (inf, -0.5, 0), (inf, 0.5, inf), (nan, 1, nan), (2, nan, nan), (-1, nan, nan),
        (-2, 3, -8), (-2, -3, -0.125), (-2, 4, 16), (10, 2, 100), (-3, 1e30, inf), (-0.5, 1e30, 0), (2, -1e5, 0),
    ],
}  # fmt: skip


@names
@both_floats
def test_special_values(name, dtype):
    """Exact ones, with the sign of a zero; the nearest number where it is a fraction of pi."""
    *xs, want = np.array([*SPECIAL[name], (nan,) * len(SPECIAL[name][0])]).astype(dtype).T
    if name == "power":
        want[-1] = nan
    got = vector(name)(*xs)
    np.testing.assert_array_max_ulp(got[np.isfinite(want)], want[np.isfinite(want)], 1 if "arc" in name else 0)
    np.testing.assert_array_equal(got[~np.isfinite(want)], want[~np.isfinite(want)])
    np.testing.assert_array_equal(np.signbit(got[want == 0]), np.signbit(want[want == 0]))


@both_floats
def test_the_smallest_numbers_pass_through(dtype):
    """Subnormal numbers are numbers: f(x) = x for a function with f'(0) = 1 and no square term that would show."""
    least = np.finfo(dtype).smallest_subnormal
    x = np.array([1, 2, 3, 1000, -1, -5]) * least
    for name in ("sin", "tan", "sinh", "tanh", "expm1", "log1p", "arcsin", "arctan", "arcsinh", "arctanh"):
        np.testing.assert_array_equal(vector(name)(x), x, err_msg=name)
    np.testing.assert_array_equal(vector("hypot")(x, np.zeros_like(x)), abs(x))
    np.testing.assert_array_equal(vector("power")(abs(x), np.ones_like(x)), abs(x))


# --- arguments beyond the vector path's range ------------------------------------------------------------------

HUGE = [1e13, -1e15, 1e22, 8.5e37, 2.0**40, 2.0**40 * (1 + 2.0**-20), 2.0**120, inf, -inf, nan]


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
@both_floats
def test_huge_arguments_among_others(name, dtype):
    """They cost the others of the array nothing, and are exact themselves."""
    x = np.linspace(-30, 30, 1111).astype(dtype)
    f = vector(name)
    alone = f(x)
    mixed = x.copy()
    at = np.arange(17, 17 + 97 * len(HUGE), 97)
    mixed[at] = HUGE
    got = f(mixed)
    others = np.setdiff1d(np.arange(x.size), at)
    np.testing.assert_array_equal(got[others], alone[others])
    finite = np.isfinite(mixed[at])
    assert np.isnan(got[at][~finite]).all()
    assert judge(name, (mixed[at][finite],))[0] <= 2
    if dtype == np.float64:
        assert judge(name, (np.array([1e300, -1.7e308, 6381956970095103 * 2.0**797]),))[0] <= 2


def test_the_gradient_at_huge_arguments():
    x = np.array([1e18, 0.5, -3e200, 2.0])
    slopes = wengert.grad(lambda x: np.sum(np.sin(x) * 3))(x)
    assert accuracy.ulps(slopes / 3, accuracy.exact("cos", x)).max() <= 2


# --- functions of scipy.special, and derivatives that are not NumPy's ------------------------------------------


@both_floats
def test_the_functions_of_scipy_special(dtype):
    x = np.array([-1.5, -0.2, 0.0, 0.7, 2.5], dtype)
    density = np.exp(-(x.astype(float) ** 2))
    slopes = {
        special.erf: 2 / np.sqrt(np.pi) * density,
        special.erfc: -2 / np.sqrt(np.pi) * density,
        special.ndtr: np.sqrt(density) / np.sqrt(2 * np.pi),
        special.expit: special.expit(x.astype(float)) * special.expit(-x.astype(float)),
    }
    for f, want in slopes.items():
        same(wengert.jit(f)(x), f(x), ulps=8)
        same(wengert.grad(lambda x: np.sum(f(x)))(x), want.astype(dtype), ulps=8)


def test_integers_to_scipys_functions_are_floats():
    for f in (special.erf, special.ndtr):
        got = wengert.jit(f)(np.arange(-2, 3))
        same(got, f(np.arange(-2, 3)), ulps=8)


def test_derivatives_of_sinc_at_and_around_zero():
    """sinc'' = -pi^2/3 at 0; the first derivative is exact where the formula for large x cancels."""
    slope = wengert.grad(np.sinc)
    assert slope(0.0) == 0
    assert wengert.grad(slope)(0.0) == pytest.approx(-(np.pi**2) / 3, rel=1e-14)
    for x in (1e-9, 1e-4, 0.0799999, 0.08, 0.3):
        y = np.longdouble(x) * np.pi
        series = sum((-1) ** k * 2 * k * y ** (2 * k - 1) / np.longdouble(np.prod(np.arange(1.0, 2 * k + 2)))
                     for k in range(1, 12))  # fmt: skip
        assert slope(x) == pytest.approx(float(np.pi * series), rel=1e-12)


@pytest.mark.parametrize("names", [("radians", "deg2rad"), ("degrees", "rad2deg")], ids=" = ".join)
def test_second_names(names):
    f, g = (getattr(np, n) for n in names)
    x = np.linspace(-400, 400, 11)
    same(wengert.jit(f)(x), f(x), ulps=2)
    same(wengert.grad(lambda x: np.sum(f(x)))(x), wengert.grad(lambda x: np.sum(g(x)))(x), ulps=0)


def test_divmod():
    x = np.array([7.5, -7.5, 3.0])
    for got, want in zip(wengert.jit(lambda x: np.divmod(x, 2.0))(x), np.divmod(x, 2.0), strict=True):
        same(got, want)
