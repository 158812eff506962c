"""The conventions for derivatives where analysis leaves a choice, and what happens at special values; all exact."""

import numpy as np
import pytest
from helpers import same

import wengert
from wengert import grad
from wengert.ops.elementwise import BY_UFUNC

both_floats = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
inf, nan = np.inf, np.nan


def slopes(f, *args, argnums=0):
    """The gradient of sum(f)."""
    return grad(lambda *xs: np.sum(f(*xs)), argnums)(*args)


def curvature(f, x):
    """Second derivatives of an elementwise function."""
    return slopes(lambda x: slopes(f, x), x)


def exactly(got, want, dtype=None):
    got = np.asarray(got)
    np.testing.assert_array_equal(got, np.asarray(want))
    assert dtype is None or got.dtype == dtype


# --- a zero adjoint wins over an infinite or NaN partial ----------------------------------------------------

GUARDED = {
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "log": (np.log, lambda x: 1 / x),
    "log2": (np.log2, lambda x: 1 / (x * np.log(2))),
    "log10": (np.log10, lambda x: 1 / (x * np.log(10))),
    "reciprocal": (np.reciprocal, lambda x: -1 / x**2),
    "1 / x": (lambda x: 1 / x, lambda x: -1 / x**2),
    "x ** 0.3": (lambda x: x**0.3, lambda x: 0.3 * x**-0.7),
    "x ** -1.5": (lambda x: x**-1.5, lambda x: -1.5 * x**-2.5),
    "x ** x": (lambda x: x**x, lambda x: x**x * (np.log(x) + 1)),
    "x * log x": (lambda x: x * np.log(x), lambda x: np.log(x) + 1),
    "sqrt(x) ** 2": (lambda x: np.sqrt(x) ** 2, lambda x: np.ones_like(x)),
    "exp(1 / x)": (lambda x: np.exp(1 / x), lambda x: -np.exp(1 / x) / x**2),
    "log1p(x - 1)": (lambda x: np.log1p(x - 1), lambda x: 1 / x),
    "arcsin(1 - x)": (lambda x: np.arcsin(1 - x), lambda x: -1 / np.sqrt(x * (2 - x))),
    "arccos(1 - x)": (lambda x: np.arccos(1 - x), lambda x: 1 / np.sqrt(x * (2 - x))),
}


@both_floats
@pytest.mark.parametrize("name", GUARDED)
def test_where_hides_what_is_not_chosen(name, dtype):
    f, slope = GUARDED[name]
    x = np.array([0.25, 0.0, 0.5, 0.0], dtype)
    got = slopes(lambda x: np.where(x > 0, f(x), 0), x)
    assert got[1] == got[3] == 0
    np.testing.assert_allclose(got[::2], slope(x[::2]), rtol=8 * np.finfo(dtype).eps)
    assert got.dtype == dtype


@pytest.mark.parametrize("name", GUARDED)
def test_where_hides_it_from_second_derivatives_too(name):
    f, slope = GUARDED[name]
    x, h = np.array([0.25, 0.0, 0.5, 0.0]), 1e-5
    got = curvature(lambda x: np.where(x > 0, f(x), 0), x)
    assert got[1] == got[3] == 0
    np.testing.assert_allclose(got[::2], (slope(x[::2] + h) - slope(x[::2] - h)) / (2 * h), rtol=1e-6, atol=1e-6)


def test_where_hides_negative_operands():
    x = np.array([-1.0, 4.0])
    exactly(slopes(lambda x: np.where(x > 0, np.sqrt(x), 0), x), [0, 0.25])
    exactly(slopes(lambda x: np.where(x > 0, np.log(x), x), x), [1, 0.25])
    exactly(slopes(lambda x: np.where(x > 0, x**0.5, -x), x), [-1, 0.25])


def test_a_zero_factor_hides_infinite_partials():
    exactly(slopes(lambda x: 0.0 * np.sqrt(x), np.zeros(2)), [0, 0])
    exactly(slopes(lambda x: np.sqrt(x)[1:], np.array([0.0, 1.0])), [0, 0.5])
    exactly(slopes(lambda x: np.where(x == 0, 0.0, x) * np.array([inf, 1.0]) * (x != 0), np.array([0.0, 1.0])), [0, 1])
    exactly(slopes(lambda x: np.where(np.array([True, False]), x, x * inf), np.ones(2)), [1, inf])
    exactly(slopes(lambda x: np.where(np.array([True, False]), x, x / 0.0), np.ones(2)), [1, inf])
    exactly(slopes(lambda x: np.where(np.array([True, False]), x, x * nan), np.ones(2)), [1, nan])


# --- corners ---------------------------------------------------------------------------------------------


@both_floats
def test_sqrt_at_zero(dtype):
    exactly(slopes(np.sqrt, np.array([0.0, 4.0], dtype)), [inf, 0.25], dtype)
    exactly(slopes(lambda x: x**0.5, np.array([0.0, 4.0], dtype)), [inf, 0.25], dtype)
    exactly(slopes(lambda x: -np.sqrt(x), np.array([0.0], dtype)), [-inf], dtype)


@both_floats
def test_abs_and_sign_at_zero(dtype):
    x = np.array([-2.0, -0.0, 0.0, 3.0], dtype)
    exactly(slopes(np.abs, x), [-1, 0, 0, 1], dtype)
    exactly(slopes(np.sign, x), [0, 0, 0, 0], dtype)
    exactly(curvature(np.abs, x), [0, 0, 0, 0], dtype)


@both_floats
@pytest.mark.parametrize("f", [np.maximum, np.minimum])
def test_extremum_of_two_ties(f, dtype):
    x, y = np.array([1.0, 2.0, 3.0, 0.0], dtype), np.array([1.0, 3.0, 2.0, -0.0], dtype)
    a, b = slopes(f, x, y, argnums=(0, 1))
    first = [0.5, 0, 1, 0.5] if f is np.maximum else [0.5, 1, 0, 0.5]
    exactly(a, first, dtype)
    exactly(b, 1 - np.array(first), dtype)
    exactly(slopes(lambda x: f(x, 2.0), x), [0, 0.5, 1, 0] if f is np.maximum else [1, 0.5, 0, 1], dtype)
    exactly(slopes(lambda x: f(x, x), x), [1, 1, 1, 1], dtype)


def test_infinite_ties():
    exactly(slopes(np.maximum, np.array([inf, -inf]), np.array([inf, -inf])), [0.5, 0.5])


@both_floats
@pytest.mark.parametrize("f", [np.max, np.min])
def test_extremum_over_an_axis_shares_evenly(f, dtype):
    x = np.array([[1.0, 3.0, 3.0, 3.0], [2.0, 2.0, 2.0, 2.0], [5.0, 4.0, 3.0, 2.0]], dtype)
    x = x if f is np.max else -x
    third = dtype(1) / dtype(3)
    want = [[0, third, third, third], [0.25] * 4, [1, 0, 0, 0]]
    exactly(slopes(lambda x: f(x, axis=1), x), want, dtype)
    exactly(slopes(lambda x: f(x, axis=1, keepdims=True), x), want, dtype)
    exactly(slopes(lambda x: f(x[:2, 1:]), x[:2]), [[0, third, third, third], [0] * 4], dtype)
    exactly(slopes(f, np.zeros((2, 2), dtype)), np.full((2, 2), 0.25), dtype)


# --- powers ----------------------------------------------------------------------------------------------


@both_floats
def test_power_with_exponent_zero(dtype):
    x = np.array([0.0, 2.0, -3.0, inf], dtype)
    for f in (lambda x: x**0, lambda x: x**0.0, lambda x: np.power(x, np.zeros(4, dtype))):
        exactly(slopes(f, x), [0, 0, 0, 0], dtype)
        exactly(curvature(f, x), [0, 0, 0, 0], dtype)


def test_power_at_zero():
    x = np.zeros(2)
    for exponent, first, second in [(1, 1, 0), (1.0, 1, 0), (2, 0, 2), (2.0, 0, 2), (3.0, 0, 0), (0.5, inf, None),
                                    (-1, -inf, None), (1.5, 0, inf)]:  # fmt: skip
        exactly(slopes(lambda x: x**exponent, x), [first] * 2)
        exactly(slopes(lambda x: np.power(x, np.full(2, float(exponent))), x), [first] * 2)
        if second is not None:
            exactly(curvature(lambda x: x**exponent, x), [second] * 2)
            exactly(curvature(lambda x: np.power(x, np.full(2, float(exponent))), x), [second] * 2)


def test_power_of_negative_numbers():
    x = np.array([-2.0])
    exactly(slopes(lambda x: x**3, x), [12])
    exactly(slopes(lambda x: x**2.0, x), [-4])
    exactly(curvature(lambda x: x**3, x), [-12])
    exactly(slopes(lambda x: x**-1, x), [-0.25])
    exactly(slopes(lambda x: x**0.5, x), [nan])


@both_floats
def test_zero_to_a_power_in_the_exponent(dtype):
    y = np.array([0.0, 0.5, 2.0, 3.0], dtype)
    exactly(slopes(lambda y: 0.0**y, y), [0, 0, 0, 0], dtype)
    exactly(slopes(lambda y: np.power(np.zeros(4, dtype), y), y), [0, 0, 0, 0], dtype)
    exactly(curvature(lambda y: 0.0**y, y), [0, 0, 0, 0], dtype)


def test_mixed_derivative_of_power_where_the_exponent_is_zero_or_one():
    """d²(x ** y)/dx dy = x ** (y - 1) * (1 + y log x), also at y = 0, where x is not 0."""
    x = np.array([2.0, 0.5, 2.0, 3.0])
    y = np.array([0.0, 0.0, 1.0, 2.0])
    want = x ** (y - 1) * (1 + y * np.log(x))
    same(slopes(lambda y: slopes(np.power, x, y), y), want)
    same(slopes(lambda x: slopes(np.power, x, y, argnums=1), x), want)


# --- norms, deviations, smooth maxima -------------------------------------------------------------------------


@both_floats
def test_norm_at_the_origin(dtype):
    exactly(grad(np.linalg.norm)(np.zeros(3, dtype)), [0, 0, 0], dtype)
    same(grad(np.linalg.norm)(np.array([3.0, 4.0], dtype)), np.array([0.6, 0.8], dtype), ulps=2)
    rows = np.array([[0.0, 0.0], [3.0, 4.0]], dtype)
    got = slopes(lambda x: np.linalg.norm(x, axis=1), rows)
    exactly(got[0], [0, 0], dtype)
    same(got[1], np.array([0.6, 0.8], dtype), ulps=2)


@both_floats
@pytest.mark.parametrize("value", [0.0, 2.0, 0.1])
def test_deviation_of_constants(value, dtype):
    x = np.full((2, 4), value, dtype)
    exactly(slopes(lambda x: np.std(x, axis=1), x), np.zeros((2, 4)), dtype)
    exactly(slopes(np.var, x), np.zeros((2, 4)), dtype)


@pytest.mark.parametrize("name", ["hypot", "arctan2"])
def test_hypot_and_arctan2_at_the_origin(name):
    if getattr(np, name) not in BY_UFUNC:
        pytest.skip(f"np.{name} has no rule yet")
    a, b = slopes(getattr(np, name), np.zeros(2), np.zeros(2), argnums=(0, 1))
    exactly(a, [0, 0])
    exactly(b, [0, 0])


@both_floats
def test_logaddexp(dtype):
    big = dtype(1000)
    x = np.array([-inf, big, -big, big, 0.0, inf, -inf], dtype)
    y = np.array([-inf, big, -big, 0.0, big, 0.0, 3.0], dtype)
    half = np.log(dtype(2))
    got = wengert.jit(np.logaddexp)(x, y)
    exactly(got, np.array([-inf, big + half, -big + half, big, big, inf, 3], dtype), dtype)
    a, b = slopes(np.logaddexp, x, y, argnums=(0, 1))
    exactly(a, [0, 0.5, 0.5, 1, 0, 1, 0], dtype)
    exactly(b, [0, 0.5, 0.5, 0, 1, 0, 1], dtype)


def test_logaddexp_curves_where_its_operands_are_equal():
    """The second derivative is s (1 - s) with s = expit(x - y): a quarter at x = y."""
    x = np.array([0.0, 2.0, -1000.0])
    exactly(curvature(lambda t: np.logaddexp(t, x), x), [0.25] * 3)
    exactly(slopes(lambda y: slopes(np.logaddexp, x, y), x), [-0.25] * 3)


# --- clip, prod ----------------------------------------------------------------------------------------------


@both_floats
def test_clip_passes_on_the_closed_interval(dtype):
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, inf, -inf], dtype)
    exactly(slopes(lambda x: np.clip(x, -1, 1), x), [0, 1, 1, 1, 0, 0, 0], dtype)
    low, high = np.full(7, -1, dtype), np.full(7, 1, dtype)
    of_x, of_low, of_high = slopes(np.clip, x, low, high, argnums=(0, 1, 2))
    exactly(of_x, [0, 1, 1, 1, 0, 0, 0], dtype)
    exactly(of_low, [1, 0, 0, 0, 0, 0, 1], dtype)
    exactly(of_high, [0, 0, 0, 0, 1, 1, 0], dtype)


def test_clip_with_one_bound_passes_on_the_closed_interval():
    x = np.array([-2.0, -1.0, 0.0])
    exactly(slopes(lambda x: np.clip(x, -1.0, None), x), [0, 1, 1])
    exactly(slopes(lambda x: np.clip(x, None, -1.0), x), [1, 1, 0])


@both_floats
def test_prod_with_zeros(dtype):
    one, two, none = np.array([[2.0, 0, 3, 4], [0, 5, 0, 6], [1, 2, 3, 4]], dtype)
    exactly(grad(np.prod)(one), [0, 24, 0, 0], dtype)
    exactly(grad(np.prod)(two), [0, 0, 0, 0], dtype)
    exactly(grad(np.prod)(none), [24, 12, 8, 6], dtype)


def test_second_derivatives_of_prod_with_zeros():
    x = np.array([2.0, 0.0, 3.0, 0.0, 5.0])
    hessian = np.array([grad(lambda x: grad(np.prod)(x)[k])(x) for k in range(5)])
    want = np.zeros((5, 5))
    want[1, 3] = want[3, 1] = 30
    exactly(hessian, want)


# --- special numbers -----------------------------------------------------------------------------------------

AT = {
    "exp": [(-inf, 0), (inf, inf), (0, 1), (nan, nan)],
    "expm1": [(-inf, 0), (0, 1), (inf, inf)],
    "log": [(0, inf), (-0.0, -inf), (inf, 0), (nan, nan)],
    "log1p": [(-1, inf), (0, 1), (inf, 0)],
    "log2": [(0, inf), (inf, 0)],
    "log10": [(0, inf), (inf, 0)],
    "reciprocal": [(0, -inf), (inf, 0), (nan, nan)],
    "sqrt": [(inf, 0), (-1, nan), (nan, nan)],
    "square": [(inf, inf), (0, 0), (-inf, -inf)],
    "tanh": [(inf, 0), (-inf, 0), (0, 1), (1000, 0), (nan, nan)],
    "arctan": [(inf, 0), (-inf, 0), (0, 1)],
    "arcsin": [(1, inf), (-1, inf), (0, 1), (2, nan)],
    "arccos": [(1, -inf), (-1, -inf), (0, -1)],
    "sin": [(0, 1), (inf, nan)],
    "cos": [(0, 0), (inf, nan)],
    "tan": [(0, 1)],
    "sinh": [(0, 1), (inf, inf), (-inf, inf)],
    "cosh": [(0, 0), (inf, inf), (-inf, -inf)],
    "abs": [(inf, 1), (-inf, -1)],
    "floor": [(0, 0), (1.5, 0)],
    "ceil": [(1, 0)],
    "trunc": [(-1, 0)],
    "rint": [(0.5, 0)],
}


@both_floats
@pytest.mark.parametrize("name", AT)
def test_slope_at_special_numbers(name, dtype):
    x, want = np.array(AT[name], dtype).T
    exactly(slopes(getattr(np, name), x), want, dtype)


@both_floats
def test_expit_at_special_numbers(dtype):
    from scipy.special import expit

    x = np.array([-inf, -2000, 0, 2000, inf, nan], dtype)
    exactly(wengert.jit(expit)(x), np.array([0, 0, 0.5, 1, 1, nan], dtype), dtype)
    exactly(slopes(expit, x), [0, 0, 0.25, 0, 0, nan], dtype)


@both_floats
def test_division_at_special_numbers(dtype):
    x, y = np.array([1, 0, 1, -1, inf], dtype), np.array([0, 2, inf, -0.0, 2], dtype)
    a, b = slopes(np.divide, x, y, argnums=(0, 1))
    exactly(a, [inf, 0.5, 0, -inf, 0.5], dtype)
    exactly(b, [-inf, 0, 0, inf, -inf], dtype)


@both_floats
def test_subnormal_numbers_are_not_flushed(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([tiny, -tiny, 3 * tiny], dtype)
    exactly(wengert.jit(lambda x: x * 1.0)(x), x, dtype)
    exactly(wengert.jit(lambda x: x + x)(x), 2 * x, dtype)
    exactly(slopes(lambda x: x * tiny, x), [tiny] * 3, dtype)
    exactly(slopes(lambda x: x * x, x), 2 * x, dtype)
    exactly(slopes(np.abs, x), [1, -1, 1], dtype)
    exactly(wengert.jit(np.sum)(x), 3 * tiny, dtype)


def test_remainder():
    x, y = np.array([5.5, -5.5, 5.5]), np.array([2.0, 2.0, -2.0])
    a, b = slopes(np.remainder, x, y, argnums=(0, 1))
    exactly(a, [1, 1, 1])
    exactly(b, [-2, 3, 3])
    a, b = slopes(np.floor_divide, x, y, argnums=(0, 1))
    exactly(a, [0, 0, 0])
    exactly(b, [0, 0, 0])


# --- dtypes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [3, True, np.int64(3), np.array([1, 2]), np.array(2, np.uint8), np.array(True)], ids=repr)
def test_integer_arguments_are_refused(x):
    with pytest.raises(TypeError, match=r"(?s)argument 0.*float"):
        grad(lambda x: np.sum(x * 1.0))(x)


def test_the_integer_argument_is_named():
    with pytest.raises(TypeError, match="argument 2"):
        grad(lambda x, y, n: x * y * n, (1, 2))(1.0, 2.0, 3)
    with pytest.raises(TypeError, match=r"argument 0\['n'\]"):
        grad(lambda p: p["x"] * p["n"])({"x": 1.0, "n": np.array(2)})
    with pytest.raises(TypeError, match="astype"):
        grad(np.sum)(np.arange(3))
    exactly(grad(lambda x, n: x * n)(1.0, 2), 2)


def test_integer_results_are_refused():
    with pytest.raises(TypeError, match="int64"):
        grad(lambda x: x.astype(np.int64))(1.0)


@pytest.mark.parametrize("kind", ["f2", "c16", "c8", "O", "U3", "M8[s]", "g"])
def test_unsupported_dtypes_are_refused(kind):
    with pytest.raises(TypeError):
        wengert.jit(lambda x: x + x)(np.zeros(2, kind))


WIDENED = {
    "constant": lambda x: np.sum(x * np.float64(2)),
    "array": lambda x: np.sum(x * np.array([1.0, 2.0])),
    "astype": lambda x: np.sum(x.astype(np.float64) ** 2),
    "matmul": lambda x: x @ np.array([1.0, 2.0]),
    "concatenate": lambda x: np.sum(np.concatenate([x, np.array([1.0])]) ** 2),
    "where": lambda x: np.sum(np.where(x > 0, x, np.float64(0))),
    "mean": lambda x: np.mean(x, dtype=np.float64),
    "index": lambda x: x[0] * np.float64(2) + np.sum(x[[1, 1]]),
}


@pytest.mark.parametrize("name", WIDENED)
def test_a_gradient_has_the_dtype_of_its_argument(name):
    x = np.array([1.0, 2.0], np.float32)
    value, slope = wengert.value_and_grad(WIDENED[name])(x)
    assert value.dtype == WIDENED[name](x).dtype == np.float64
    assert slope.dtype == np.float32
    wide = grad(WIDENED[name])(x.astype(np.float64))
    assert wide.dtype == np.float64
    exactly(slope, wide.astype(np.float32))


def test_each_argument_has_its_own_dtype():
    x, y = np.array([1.0, 2.0], np.float32), np.array([3.0, 4.0])
    a, b = slopes(lambda x, y: x * y, x, y, argnums=(0, 1))
    exactly(a, y, np.float32)
    exactly(b, x, np.float64)


def test_big_endian_arguments_are_converted():
    exactly(slopes(lambda x: x * x, np.array([1.0, 2.0], ">f8")), [2, 4], np.float64)


@pytest.mark.parametrize("number", [2, 2.5])
def test_python_numbers_give_way(number):
    """As constants, as arguments of jit, and as arguments to differentiate with respect to."""
    x = np.array([1.0, 2.0], np.float32)
    same(wengert.jit(lambda x: x * number + number)(x), x * number + number)
    f = wengert.jit(lambda x, s: (x * s, s * 2 + x, np.maximum(x, s) / (s + 1)))
    for s in (number, number + 1, number):
        for got, want in zip(f(x, s), (x * s, s * 2 + x, np.maximum(x, s) / (s + 1)), strict=True):
            same(got, want)
    value, slope = wengert.value_and_grad(lambda s: np.sum(x * s * s))(float(number))
    assert value.dtype == np.float32
    exactly(slope, 6.0 * number, np.float64)


def test_numpy_scalars_do_not_give_way():
    x = np.array([1.0, 2.0], np.float32)
    f = wengert.jit(lambda x, s: x * s)
    for s in (np.float64(2), np.array(2.0), np.int64(3)):
        same(f(x, s), x * s)
    same(f(x, np.float32(2)), x * np.float32(2))


def test_python_numbers_stay_python_numbers_among_themselves():
    x = np.array([1.0, 2.0], np.float32)
    f = lambda a, b, x: (a * b + 2) * x
    same(wengert.jit(f)(2.0, 3, x), f(2.0, 3, x))
    same(wengert.jit(lambda a, x: np.sin(a) * x)(2.0, x), np.sin(2.0) * x)
    same(wengert.jit(lambda n, x: (n // 2) * x)(5, np.array([1, 2], np.int8)), 2 * np.array([1, 2], np.int8))
