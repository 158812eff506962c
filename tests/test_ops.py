"""Every op against NumPy, the naive replay and differences; driven by the table of ops."""

import itertools

import numpy as np
import pytest
from helpers import (
    ROWS,
    along,
    check,
    check_gradient,
    check_value,
    directions,
    draw,
    floats,
    function,
    near,
    operands,
    precise,
    quiet,
    same,
    slope,
    ulp_error,
    weighted,
)

import wengert
from wengert.shapes import DTYPES

REAL = [row for row in ROWS if row.domain != "integer"]
WITH_SLOPE = [row for row in REAL if any(row.pulls)]
MANY = [row for row in ROWS if len(row.args) > 1]
EXACT = {"add", "sub", "mul", "mul0", "div", "neg", "abs", "square", "sqrt", "reciprocal", "floor", "ceil", "rint"}

rows = lambda chosen: pytest.mark.parametrize("row", chosen, ids=lambda row: row.name)
both_floats = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["f64", "f32"])
kind_of = lambda row: np.int64 if row.domain == "integer" else np.float64


# --- elementwise: values ---------------------------------------------------------------------------------


@rows(REAL)
@both_floats
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_row_value(row, dtype, size):
    """Within 2 units in the last place of a wider computation (or near NumPy's own error); arithmetic is exact."""
    f, xs = function(row), operands(row, [(size,)] * len(row.args), dtype)
    got = wengert.jit(f)(*xs)
    assert got.dtype == f(*xs).dtype
    if got.dtype.kind != "f":
        np.testing.assert_array_equal(got, f(*xs))
        return
    wide = [x.astype(np.longdouble) if x.dtype.kind == "f" else x for x in xs]
    exact = np.where(wide[0] == 0, 0, wide[0] * wide[1]) if row.name == "mul0" else precise(row)(*wide)
    assert ulp_error(got, exact) <= (0.5 if row.name in EXACT else max(2, 2 * ulp_error(quiet(f, *xs), exact)))


SPREAD = np.concatenate([np.geomspace(5e-324, 1e308, 700), np.linspace(0, 800, 1601)])


@rows([row for row in REAL if len(row.args) == 1 and row.name != "sinc"])  # np.sinc(x) rounds pi x
@both_floats
def test_row_value_over_the_whole_range(row, dtype):
    x = quiet(lambda: np.concatenate([SPREAD, -SPREAD]).astype(dtype))
    got = wengert.jit(function(row))(x)
    want = quiet(function(row), x)
    assert got.dtype == want.dtype
    if want.dtype.kind == "f":
        assert ulp_error(got, quiet(precise(row), x.astype(np.longdouble))) <= (0.5 if row.name in EXACT else 2)
    else:
        np.testing.assert_array_equal(got, want)


SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 2.0, -2.5, 1e-310, -1e-310, np.inf, -np.inf, np.nan, 1.7e308, 3.0])


@rows([row for row in REAL if row.name != "where"])
@both_floats
def test_row_value_at_special_numbers(row, dtype):
    special = quiet(SPECIAL.astype, dtype)
    if dtype == np.float32:
        special[6:8] = 1e-40, -1e-40
    xs = [x.copy() for x in np.meshgrid(*[special] * len(row.args))]
    f = function(row)
    got, want = wengert.jit(f)(*xs), quiet(f, *xs)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=4 * np.finfo(dtype).eps, atol=0)
    if want.dtype.kind == "f" and row.name not in ("maximum", "minimum", "fmax", "fmin", "clip", "mul0"):
        zero = want == 0
        np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]))


# --- elementwise: derivatives ------------------------------------------------------------------------------


@rows(REAL)
def test_row_gradient_float64(row):
    xs = operands(row, [(37,)] * len(row.args))
    if quiet(function(row), *xs).dtype.kind == "f":
        check_gradient(function(row), *xs)
    else:
        for slopes in wengert.grad(lambda *xs: np.sum(1.0 * function(row)(*xs)), floats(xs))(*xs):
            same(slopes, np.zeros(37))


@rows(WITH_SLOPE)
def test_row_gradient_float32(row):
    xs = operands(row, [(37,)] * len(row.args), np.float32)
    check_gradient(function(row), *xs, differences=False)
    wide = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in xs]
    loss = weighted(function(row), *xs)
    for got, want in zip(wengert.grad(loss, floats(xs))(*xs), wengert.grad(loss, floats(xs))(*wide), strict=True):
        same(got, want.astype(np.float32))


@rows(WITH_SLOPE)
def test_row_pushes_forward_what_it_pulls_back(row):
    """<u, J v> = <Jᵀ u, v>, where J v is the transpose of the transpose, and is the derivative along v."""
    f, xs = function(row), operands(row, [(3, 1)] + [(1, 4)] * (len(row.args) - 1), seed=3)
    wrt, v = floats(xs), directions(xs)

    def pulled(u):
        return wengert.grad(lambda *xs: np.sum(u * f(*xs)), wrt)(*xs)

    u = draw("real", quiet(f, *xs).shape, seed=9)
    pushed = wengert.grad(lambda u: sum(np.sum(g * d) for g, d in zip(pulled(u), v, strict=True)))(u)
    inner = sum(np.sum(g * d) for g, d in zip(pulled(u), v, strict=True))
    near(np.sum(u * pushed), inner, 1e-14)
    near(pushed, slope(lambda t: quiet(f, *along(xs, v, t))), 1e-8)


# --- elementwise: shapes and layouts -------------------------------------------------------------------------

SHAPES = [
    [(3, 1), (1, 4), (3, 4)],
    [(3, 4), (), (4,)],
    [(), (5,), ()],
    [(), (), ()],
    [(2, 3, 1), (4,), (3, 1)],
    [(1,), (5,), (1, 1)],
    [(0, 3), (1, 3), (3,)],
    [(3, 0), (), (1, 1)],
    [(40, 33), (33,), (40, 1)],
    [(3, 1, 300), (5, 1), (300,)],
    [(700, 3), (3,), (700, 1)],
    [(2, 700), (700,), (2, 1)],
]


@rows(MANY)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_row_broadcasts(row, shapes):
    xs = operands(row, shapes[: len(row.args)], kind_of(row))
    check_value(function(row), *xs)
    if any(row.pulls):
        small = max(x.size for x in xs) < 100  # many elements: some lie at a kink
        check_gradient(function(row), *xs, order=1, differences=small)


@rows([row for row in MANY if any(row.pulls)])
def test_row_broadcasts_to_second_order(row):
    check_gradient(function(row), *operands(row, [(3, 1), (1, 4), (4,)][: len(row.args)]))


@rows(MANY)
def test_row_refuses_shapes_that_do_not_fit(row):
    xs = operands(row, [(3,), (4,), (4,)][: len(row.args)], kind_of(row))
    with pytest.raises(ValueError, match="broadcast"):
        wengert.jit(function(row))(*xs)


LAYOUTS = {
    "transposed": lambda x: x.T,
    "reversed": lambda x: x[::-1, ::-1],
    "stepped": lambda x: x[1::2, ::3],
    "column": lambda x: x[:, :1],
    "repeated": lambda x: np.broadcast_to(x[0], x.shape),
    "axes moved": lambda x: np.moveaxis(x.reshape(2, -1, x.shape[1]), 0, 2),
    "fortran": np.asfortranarray,
}


@rows(ROWS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(4, 6), (60, 50)], ids=str)
def test_row_reads_any_layout(row, layout, shape):
    """As inputs and as captured arrays that change between calls."""
    f, view = function(row), LAYOUTS[layout]
    bases = operands(row, [shape] * len(row.args), kind_of(row))
    xs = [view(x) for x in bases]
    first, rest = xs[0], xs[1:]
    as_inputs = wengert.jit(f)
    captured = wengert.jit(lambda t: f(np.where(t, first, first), *rest))
    for _ in range(2):
        for got in (as_inputs(*xs), captured(np.array(True))):
            same(got, quiet(f, *xs))
        for x in bases:
            x[...] = np.flip(x).copy()


@both_floats
@pytest.mark.parametrize("layout", [k for k in LAYOUTS if k != "fortran"])
@pytest.mark.parametrize("shape", [(4, 6), (60, 50)], ids=str)
def test_layouts_made_inside_the_function(layout, shape, dtype):
    view = LAYOUTS[layout]
    xs = [draw("real", shape, dtype, seed=k) for k in range(2)]
    f = lambda x, y: view(x) * view(y) + np.tanh(view(x)) - view(np.exp(y))
    check(f, *xs, order=2 if shape == (4, 6) else 1, differences=dtype == np.float64)


# --- elementwise: dtypes -----------------------------------------------------------------------------------


def numpy_dtype(f, *xs):
    """What NumPy's result is of; None where NumPy refuses, or answers in a dtype that tapes do not have."""
    try:
        found = np.asarray(quiet(f, *xs)).dtype
    except TypeError:
        return None
    return found if found in DTYPES else None


def recorded_dtype(f, *xs):
    try:
        tape = wengert.record(f, *xs)
    except TypeError:
        return None
    return tape.avals[tape.outputs[0]].dtype


public = [row for row in ROWS if row.name != "mul0"]


@rows(public)
def test_row_promotes_as_numpy(row):
    wrong = {}
    for kinds in itertools.product(DTYPES, repeat=min(len(row.args), 2)):
        kinds = kinds if len(row.args) < 3 else (kinds[0], kinds[0], kinds[1])
        xs = [np.ones(2, kind) for kind in kinds]
        want, got = numpy_dtype(function(row), *xs), recorded_dtype(function(row), *xs)
        if want != got:
            wrong[kinds] = (got, want)
    assert not wrong


@rows([row for row in public if len(row.args) > 1])
@pytest.mark.parametrize("number", [2, 2.0, True, np.float32(2), np.float64(2), np.int8(2)], ids=lambda x: repr(x))
def test_row_promotes_with_numbers_as_numpy(row, number):
    """NEP 50: a Python number gives way, a NumPy scalar does not."""
    f, wrong = function(row), {}
    at = [k for k, name in enumerate(row.args) if name != "c"]
    for kind, k in itertools.product(DTYPES, at):
        put = lambda x: [number if j == k else np.ones(2, bool) if n == "c" else x for j, n in enumerate(row.args)]
        want = numpy_dtype(f, *put(np.ones(2, kind)))
        got = recorded_dtype(lambda x: f(*put(x)), np.ones(2, kind))
        if want != got:
            wrong[np.dtype(kind), k] = (got, want)
    assert not wrong


@rows(public)
def test_row_value_for_integers_and_bools(row):
    checked = 0
    for kind in (np.int64, np.int32, np.uint8, np.int8, np.bool_):
        xs = operands(row, [(3, 5), (5,), (3, 1)][: len(row.args)], kind)
        want = numpy_dtype(function(row), *xs)
        if want is None:
            with pytest.raises(TypeError):
                wengert.jit(function(row))(*xs)
            continue
        check_value(function(row), *xs)
        checked += 1
    assert checked


INTEGERS = np.array([-128, -7, -3, -1, 0, 1, 2, 5, 127])


@pytest.mark.parametrize("kind", ["i8", "i4", "i2", "i1", "u1", "u8"])
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "floor_divide", "remainder", "absolute", "negative",
                                  "sign", "square", "less", "maximum", "power", "bitwise_xor"])  # fmt: skip
def test_integer_arithmetic_wraps_and_divides_as_numpy(name, kind):
    f = getattr(np, name)
    x = INTEGERS.astype(kind)
    y = np.abs(INTEGERS).astype(kind) % 8 if name == "power" else x
    xs = [a.copy() for a in np.meshgrid(x, y)][: f.nin]
    same(wengert.jit(f)(*xs), quiet(f, *xs))


@pytest.mark.parametrize("number", [300, -1])
def test_numbers_that_do_not_fit(number):
    """NumPy raises for arithmetic, and compares by value."""
    x = np.array([0, 100, 255], np.uint8)
    with pytest.raises(OverflowError):
        x + number
    with pytest.raises(OverflowError):
        wengert.jit(lambda x: x + number)(x)
    for compare in (np.less, np.greater_equal, np.equal, np.not_equal):
        same(wengert.jit(lambda x: compare(x, number))(x), compare(x, number))


def test_signed_and_unsigned_64_bits_compare_by_value():
    a, b = np.array([2**63 + 5, 3], np.uint64), np.array([-1, 3])
    for compare in (np.less, np.greater, np.equal):
        same(wengert.jit(compare)(a, b), compare(a, b))


OPERATORS = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "//": lambda a, b: a // b, "%": lambda a, b: a % b, "**": lambda a, b: a**b, "<": lambda a, b: a < b,
    "==": lambda a, b: a == b, "divmod": lambda a, b: divmod(a, b)[1] + divmod(a, b)[0],
}  # fmt: skip


@pytest.mark.parametrize("sign", OPERATORS)
@pytest.mark.parametrize("number", [2, 0.5, 2.0, 3, 1])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int32, np.int64])
def test_operators_with_numbers_on_either_side(sign, number, kind):
    f, x = OPERATORS[sign], draw("positive", (5,), kind)
    check_value(lambda x: f(x, number), x)
    check_value(lambda x: f(number, x), x)
    if kind is np.float64 and sign != "==":
        check_gradient(lambda x: 1.0 * f(x, number), x, order=2)
        check_gradient(lambda x: 1.0 * f(number, x), x, order=2)


@pytest.mark.parametrize("f", [lambda x: -x, abs, lambda x: +x, lambda x: x.T * x.mT], ids=["-", "abs", "+", "T"])
def test_unary_operators(f):
    check(f, draw("nonzero", (3, 3)))


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint8, np.bool_])
def test_invert(kind):
    check_value(lambda x: ~x, draw("real", (5,), kind))


@pytest.mark.parametrize("exponent", [-2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.0, 3, 7])
def test_powers(exponent):
    check(lambda x: x**exponent, draw("positive", (6,)))
    if exponent == int(exponent):
        check(lambda x: x**exponent, draw("nonzero", (6,)))


def test_power_of_small_integers_with_negative_exponent_is_refused():
    with pytest.raises(ValueError, match="power"):
        np.array([2, 3]) ** -1
    with pytest.raises((ValueError, TypeError)):
        wengert.jit(lambda x: x**-1)(np.array([2, 3]))


# --- reductions ----------------------------------------------------------------------------------------------

AXES = [None, 0, 1, 2, -1, (0, 1), (0, 2), (1, 2), (2, 0), (0, 1, 2), ()]
REDUCTIONS = {f.__name__: f for f in (np.sum, np.mean, np.prod, np.var, np.std)} | {"max": np.max, "min": np.min}


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", REDUCTIONS)
@both_floats
def test_reduction(name, axis, keepdims, dtype):
    x = draw("real", (2, 3, 4), dtype)
    f = lambda x: REDUCTIONS[name](x, axis=axis, keepdims=keepdims)
    if name in ("var", "std") and axis == ():
        check_value(f, x)
        return
    check(f, x, differences=dtype == np.float64)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(
    "shape", [(1, 1), (5, 1), (1, 300), (130, 70), (3, 64), (2, 65), (63,), (129,), (4, 5, 6, 3)], ids=str
)
def test_reduction_of_sizes_around_the_lanes(name, shape):
    x = draw("nonzero", shape) / (4 if name == "prod" else 1)
    for axis in (None, 0, -1, (0, -1) if len(shape) > 1 else 0):
        check_value(lambda x: REDUCTIONS[name](x, axis=axis), x)
        if name != "prod" and not (name == "std" and x.shape.count(1)):
            smooth = name not in ("max", "min")
            check_gradient(lambda x: REDUCTIONS[name](x, axis=axis), x, order=1, differences=smooth)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "prod", "var"])
@pytest.mark.parametrize("layout", [k for k in LAYOUTS if k != "fortran"])
def test_reduction_of_any_layout(name, layout):
    view = LAYOUTS[layout]
    for axis in (None, 0, 1):
        check(lambda x: REDUCTIONS[name](view(x), axis=axis), draw("real", (4, 6)))


@pytest.mark.parametrize("name", ["sum", "prod"])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)], ids=str)
def test_reduction_of_nothing(name, shape):
    for axis in (None, *range(len(shape))):
        check(lambda x: REDUCTIONS[name](x, axis=axis), np.zeros(shape))


@pytest.mark.parametrize("name", ["max", "min"])
def test_extremum_of_nothing_is_refused_and_of_no_rows_is_not(name):
    with pytest.raises(ValueError, match="zero-size"):
        wengert.jit(REDUCTIONS[name])(np.zeros((0, 3)))
    check(lambda x: REDUCTIONS[name](x, axis=1), np.zeros((0, 3)))


@pytest.mark.parametrize("name", ["mean", "var", "std"])
def test_statistics_of_nothing_are_nan(name):
    assert np.isnan(wengert.jit(REDUCTIONS[name])(np.zeros(0)))


@pytest.mark.parametrize("kind", DTYPES, ids=str)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reduction_dtype(name, kind):
    x = draw("positive", (3, 4), kind)
    for axis in (None, 1):
        check_value(lambda x: REDUCTIONS[name](x, axis=axis), x)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("name", ["sum", "mean", "prod", "var", "std"])
def test_reduction_with_a_dtype(name, dtype):
    if dtype is np.int64 and name != "sum" and name != "prod":
        return
    check_value(lambda x: REDUCTIONS[name](x, dtype=dtype), draw("positive", (7,), np.float32))
    check_value(lambda x: REDUCTIONS[name](x, dtype=dtype), draw("positive", (7,), np.int32))


@pytest.mark.parametrize("name", ["var", "std"])
def test_ddof(name):
    check(lambda x: REDUCTIONS[name](x, axis=1, ddof=1), draw("real", (3, 4)))


def test_any_and_all():
    x = np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [1.0, np.nan, 3.0]])
    for f in (np.any, np.all):
        for axis in (None, 0, 1):
            check_value(lambda x: f(x > 0.9, axis=axis), x)
            check_value(lambda x: f(x, axis=axis), x)


@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.maximum, np.minimum])
def test_ufunc_reduce(ufunc):
    check(lambda x: ufunc.reduce(x), draw("real", (3, 4)))
    check(lambda x: ufunc.reduce(x, axis=1, keepdims=True), draw("real", (3, 4)))


def test_reduction_methods():
    x = draw("real", (3, 4))
    check(lambda x: x.sum(0) + x.mean(axis=0) * x.max(0) - x.min(axis=0) + x.var(0) * x.std(0) + x.prod(0), x)


@pytest.mark.parametrize("name", ["max", "min"])
def test_extrema_pass_nan_on(name):
    x = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 0.0]])
    for axis in (None, 0, 1):
        check_value(lambda x: REDUCTIONS[name](x, axis=axis), x)


@pytest.mark.parametrize("name", ["sum", "mean"])
def test_long_float32_sums_keep_their_digits(name):
    """NumPy sums in pairs: the error does not grow with the length."""
    x = np.full(2**21, 0.1, np.float32)
    exact = REDUCTIONS[name](x.astype(np.float64))
    assert abs(REDUCTIONS[name](x) - exact) < 1e-6 * exact
    assert abs(wengert.jit(REDUCTIONS[name])(x) - exact) < 1e-6 * exact


@pytest.mark.parametrize("kind", DTYPES, ids=str)
def test_norm_of_any_dtype(kind):
    check_value(np.linalg.norm, np.array([100, 120, 7]).astype(kind))


# --- products ------------------------------------------------------------------------------------------------

PRODUCTS = [
    ((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 5)), ((3, 4), (4, 5)), ((1, 4), (4, 1)), ((3, 1), (1, 5)),
    ((1, 1), (1, 1)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)),
    ((1, 3, 4), (2, 4, 5)), ((2, 3, 4), (4,)), ((4,), (2, 4, 5)), ((0, 4), (4, 5)), ((3, 0), (0, 5)),
    ((3, 4), (4, 0)), ((0,), (0,)), ((2, 0, 4), (4, 5)), ((2, 3, 0), (2, 0, 5)), ((17, 33), (33, 9)),
]  # fmt: skip
ids = lambda shapes: "@".join(map(str, shapes))


@pytest.mark.parametrize("shapes", PRODUCTS, ids=ids)
@both_floats
def test_matmul(shapes, dtype):
    xs = [draw("real", s, dtype, seed=k) for k, s in enumerate(shapes)]
    check(lambda a, b: a @ b, *xs, differences=dtype == np.float64)


@pytest.mark.parametrize("shapes", PRODUCTS, ids=ids)
@both_floats
def test_matmul_of_transposed_operands(shapes, dtype):
    xs = [draw("real", s if len(s) < 2 else (*s[:-2], s[-1], s[-2]), dtype, seed=k) for k, s in enumerate(shapes)]
    turn = lambda x: x if x.ndim < 2 else np.swapaxes(x, -1, -2)
    check(lambda a, b: turn(a) @ turn(b), *xs, differences=dtype == np.float64)


VIEWS = {
    "reversed": (lambda a: a[::-1, ::-1], (4, 6)),
    "stepped": (lambda a: a[::2, 1::2], (8, 13)),
    "wide": (lambda a: a[1:5, 2:8], (9, 10)),
    "wide, transposed": (lambda a: a[2:8, 1:5].T, (10, 9)),
    "repeated row": (lambda a: np.broadcast_to(a[1], (4, 6)), (2, 6)),
    "repeated column": (lambda a: np.broadcast_to(a[:, :1], (4, 6)), (4, 2)),
    "one row": (lambda a: np.broadcast_to(a[1:2, ::2], (1, 6)), (2, 12)),
    "middle axis": (lambda a: a[:, 1, :], (4, 2, 6)),
}


@pytest.mark.parametrize("right", VIEWS)
@pytest.mark.parametrize("left", VIEWS)
def test_matmul_of_views(left, right):
    (f, s), (g, t) = VIEWS[left], VIEWS[right]
    a, b = draw("real", s, seed=1), draw("real", t, seed=2)
    check_value(lambda a, b: f(a) @ g(b).T, a, b)
    check_value(lambda a, b: f(a).T @ f(b), a, draw("real", s, seed=3))
    check_gradient(lambda a, b: f(a) @ g(b).T, a, b, order=1)


DOTS = [((), ()), ((), (3,)), ((3, 4), ()), ((4,), (4,)), ((3, 4), (4,)), ((3, 4), (4, 5)), ((4,), (2, 4, 5)),
        ((3, 4), (2, 4, 5)), ((2, 3, 4), (5, 4, 3)), ((2, 3, 4), (4,))]  # fmt: skip


@pytest.mark.parametrize("shapes", DOTS, ids=ids)
def test_dot(shapes):
    xs = [draw("real", s, seed=k) for k, s in enumerate(shapes)]
    check(np.dot, *xs)
    if xs[0].ndim:
        check(lambda a, b: a.dot(b), *xs)


@pytest.mark.parametrize(
    "shapes", [((4,), (4,)), ((3, 4), (4,)), ((3, 4), (5, 4)), ((2, 3, 4), (5, 2, 4)), ((), (3,))], ids=ids
)
def test_inner(shapes):
    check(np.inner, *[draw("real", s, seed=k) for k, s in enumerate(shapes)])


def test_outer():
    check(np.outer, draw("real", (3,)), draw("real", (2, 2), seed=1))


@pytest.mark.parametrize("kinds", list(itertools.product(["f8", "f4", "i8", "u1", "i4", "?"], repeat=2)), ids=ids)
def test_matmul_dtype(kinds):
    xs = [draw("real", s, k) for s, k in zip([(3, 4), (4, 2)], kinds, strict=True)]
    check_value(np.matmul, *xs)
    check_value(np.dot, *xs)


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((3, 4), (3, 4)), ((2, 3, 4), (3, 4, 5)), ((), (3,))], ids=ids)
def test_matmul_refuses_shapes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match="matmul"):
        wengert.jit(np.matmul)(*[draw("real", s) for s in shapes])


def test_matmul_takes_plain_operands_on_either_side():
    a, b = draw("real", (3, 4)), draw("real", (4, 3), seed=1)
    check(lambda x: a @ x @ a, b)
    check(lambda x: x @ b @ x, a)


# --- shapes --------------------------------------------------------------------------------------------------

SHAPED = {
    "reshape": lambda x: x.reshape(4, 6),
    "reshape -1": lambda x: np.reshape(x, (-1, 8)),
    "reshape scalar": lambda x: x[0, 0, 0].reshape(1, 1),
    "reshape transposed": lambda x: x.T.reshape(6, 4),
    "ravel": np.ravel,
    "flatten reversed": lambda x: x[::-1].flatten(),
    "T": lambda x: x.T,
    "transpose": lambda x: np.transpose(x, (1, 2, 0)),
    "transpose negative": lambda x: x.transpose(-1, 0, 1),
    "swapaxes": lambda x: np.swapaxes(x, 0, -1),
    "moveaxis": lambda x: np.moveaxis(x, 0, -1),
    "moveaxis several": lambda x: np.moveaxis(x, (0, 2), (1, 0)),
    "moveaxis list": lambda x: np.moveaxis(x, [2, 0], [0, 1]),
    "broadcast_to": lambda x: np.broadcast_to(x, (5, 2, 3, 4)),
    "broadcast_to ones": lambda x: np.broadcast_to(x[:, :1], (2, 7, 4)),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "expand_dims several": lambda x: np.expand_dims(x, (0, -1)),
    "squeeze": lambda x: np.squeeze(x[:, :1, :1]),
    "squeeze axis": lambda x: x[:, :1, :1].squeeze(1),
    "squeeze negative": lambda x: x[:, :1, :1].squeeze((-1,)),
    "atleast_1d": lambda x: np.atleast_1d(x[0, 0, 0]),
    "copy": np.copy,
    "chain": lambda x: np.swapaxes(x.T[::-1].reshape(2, 12)[:, ::3], 0, 1),
    "identity": lambda x: x,
}


@pytest.mark.parametrize("name", SHAPED)
@both_floats
def test_shape_function(name, dtype):
    f = SHAPED[name]
    check(f, draw("real", (2, 3, 4), dtype), differences=dtype == np.float64)
    check(lambda x: np.sin(f(x)) * f(x * x), draw("real", (2, 3, 4), dtype), differences=dtype == np.float64)


@pytest.mark.parametrize("f", [lambda x: x.reshape(0, 5), lambda x: x.T, np.ravel, lambda x: x[None] * 2.0,
                               lambda x: np.broadcast_to(x, (2, 3, 0)), lambda x: x.reshape(-1, 3)])  # fmt: skip
def test_shape_function_of_nothing(f):
    check(f, np.zeros((3, 0)))


@pytest.mark.parametrize("f", [lambda x: x.reshape(5, 5), lambda x: x.reshape(-1, 5), lambda x: x.transpose(0, 0, 1),
                               lambda x: np.broadcast_to(x, (2, 3, 5)), lambda x: x.squeeze(0)])  # fmt: skip
def test_shape_function_refuses(f):
    x = draw("real", (2, 3, 4))
    for call in (f, wengert.jit(f)):
        with pytest.raises(ValueError):
            call(x)


@pytest.mark.parametrize("kind", DTYPES, ids=str)
def test_shape_functions_keep_the_dtype(kind):
    x = draw("real", (2, 3, 4), kind)
    check_value(lambda x: x.T[::-1].reshape(6, 4)[1:, ::2], x)
    check_value(lambda x: np.concatenate([x, x[:, ::-1]], axis=1), x)
    check_value(lambda x: x[[1, 0, 1]], x)


# --- indexing ------------------------------------------------------------------------------------------------

BASIC = [
    np.s_[0], np.s_[-1], np.s_[1, 2], np.s_[1, -1, 0], np.s_[:, 1], np.s_[..., 2], np.s_[1:3], np.s_[::-1],
    np.s_[::2, ::-2], np.s_[3:0:-2], np.s_[:, :-1, 1:], np.s_[-2:, ..., ::3], np.s_[None], np.s_[:, None, 1],
    np.s_[..., None], np.s_[0, ..., None, 1], np.s_[2:2], np.s_[5:1], np.s_[:100], np.s_[-100:2], np.s_[...], np.s_[()],
    np.s_[1:, 0, None, ::-1], np.s_[:, 1:1, :], np.s_[np.int32(1)], np.s_[::-3], np.s_[4::-1, 0],
]  # fmt: skip


@pytest.mark.parametrize("key", BASIC, ids=str)
def test_basic_index(key):
    x = draw("real", (4, 3, 5))
    check(lambda x: x[key], x, order=1)
    check(lambda x: x[key] * np.sin(x)[key] + x[key] ** 2, x)


INTS = np.array([[0, 2, 0], [-1, 1, -4]])
ADVANCED = {
    "list": np.s_[[0, 2]],
    "repeats": np.s_[[0, 0, 3, 0, -1]],
    "negative": np.s_[[-1, -4, 1]],
    "matrix": np.s_[INTS],
    "second axis": np.s_[:, [0, 2, 2]],
    "last axis": np.s_[..., [4, 0, -1, 0]],
    "pair": np.s_[[0, 1, 1], [2, 0, 0]],
    "pair, broadcast": np.s_[[[0], [3]], [2, 0, 2]],
    "pair, later": np.s_[:, [0, 1], [2, -1]],
    "pair, apart": np.s_[[0, 1, 0], :, [2, 2, 2]],
    "all three": np.s_[[0, 1], [1, -1], [2, 0]],
    "with an int": np.s_[[0, 1, 1], 0],
    "with an int before": np.s_[0, [1, 1, 2]],
    "with an int, apart": np.s_[0, :, [1, 1, 2]],
    "int apart, behind": np.s_[[0, 1, 1], :, 0],
    "with a slice": np.s_[1:, [0, 2]],
    "with a reversal": np.s_[::-1, [0, 2], ::2],
    "with newaxis": np.s_[None, [0, 2]],
    "newaxis between": np.s_[[0, 1], None, [0, 2]],
    "newaxis behind": np.s_[[0, 1, 0], ..., None],
    "empty": np.s_[[]],
    "empty, typed": np.s_[:, np.zeros((2, 0), int)],
    "uint8": np.s_[np.array([1, 3, 3], np.uint8)],
    "0-d": np.s_[np.array(2)],
    "0-d with list": np.s_[np.array(2), [0, 1, 1]],
    "stepped": np.s_[np.arange(4)[::-2]],
}


@pytest.mark.parametrize("name", ADVANCED)
def test_integer_array_index(name):
    key, x = ADVANCED[name], draw("real", (4, 3, 5))
    check(lambda x: x[key], x, order=1)
    check(lambda x: x[key] * np.sin(x)[key] + np.tanh(x[key]) ** 2, x)
    check(lambda x: x.swapaxes(0, 2)[::-1].swapaxes(0, 2)[key], x, order=1)


def test_index_arrays_as_arguments():
    """The positions may change from call to call, and so may captured ones."""
    x, captured = draw("real", (5, 3)), np.array([1, 1, 0])
    f = lambda x, i: x[i] * x[captured]
    g = lambda x, i: wengert.grad(lambda x: np.sum(f(x, i) ** 2))(x)
    replayed, slopes = wengert.jit(f), wengert.jit(g)
    for i in (np.array([0, 2, 2]), np.array([-1, 4, 3]), np.array([1, 1, 1])):
        same(replayed(x, i), f(x, i))
        near(np.sum(slopes(x, i) * x[::-1]), slope(lambda t: np.sum(f(x + t * x[::-1], i) ** 2)), 1e-9)
        captured[:] = captured[[1, 2, 0]] + 1
    with pytest.raises(IndexError, match="out of bounds"):
        replayed(x, np.array([0, 5, 0]))
    with pytest.raises(IndexError, match="out of bounds"):
        replayed(x, np.array([0, -6, 0]))
    same(replayed(x, np.array([0, 1, 2])), f(x, np.array([0, 1, 2])))


def test_a_pair_of_index_arrays_as_arguments():
    x = draw("real", (5, 3))
    f = wengert.jit(lambda x, i, j: x[i, j])
    for i, j in (([0, 4, -1], [0, 2, -3]), ([1, 1, 1], [-1, -1, 0])):
        same(f(x, np.array(i), np.array(j)), x[i, j])
    with pytest.raises(IndexError):
        f(x, np.array([0, 1, 2]), np.array([0, 1, 3]))


@pytest.mark.parametrize("key", [np.s_[4], np.s_[-5], np.s_[0, 3], np.s_[0, 0, 0, 0], np.s_[[4]], np.s_[[0, -5]],
                                 np.s_[1.5], np.s_[..., ...]], ids=str)  # fmt: skip
def test_index_refuses(key):
    x = draw("real", (4, 3, 5))
    for f in (lambda x: x[key], wengert.jit(lambda x: x[key])):
        with pytest.raises(IndexError):
            f(x)


def test_take():
    x = draw("real", (4, 3))
    check(lambda x: np.take(x, [0, 5, -1, 5]), x)
    check(lambda x: np.take(x, [[0, 2], [2, -1]], axis=1), x)
    check(lambda x: x.take([3, 3], axis=0), x)


def test_iterating_and_unpacking():
    def f(x):
        a, b, c = x
        return sum(a * row for row in x) + b * c * len(x)

    check(f, draw("real", (3, 4)))


# --- joining, choosing, making -------------------------------------------------------------------------------

JOINED = {
    "concatenate": lambda x, y: np.concatenate([x, y, x]),
    "concatenate axis": lambda x, y: np.concatenate((x, y[:, :1], y), axis=1),
    "concatenate negative": lambda x, y: np.concatenate([x, y], axis=-1),
    "concatenate None": lambda x, y: np.concatenate([x, y[0]], axis=None),
    "concatenate one": lambda x, y: np.concatenate([x]) * y,
    "concatenate views": lambda x, y: np.concatenate([x.T, y.T[::-1]]),
    "concatenate empty": lambda x, y: np.concatenate([x[:0], y]),
    "concatenate plain": lambda x, y: np.concatenate([x, np.ones((1, 4)), y]),
    "stack": lambda x, y: np.stack([x, y]),
    "stack axis": lambda x, y: np.stack([x, y, x], axis=1),
    "stack negative": lambda x, y: np.stack([x, y], axis=-1),
    "stack scalars": lambda x, y: np.stack([x[0, 0], y[1, 1], 2.0]),
    "vstack": lambda x, y: np.vstack([x, y[0], y]),
    "hstack": lambda x, y: np.hstack([x, y]),
    "hstack flat": lambda x, y: np.hstack([x[0], y[1], x[0, 0]]),
    "array of traced": lambda x, y: np.array([x[0, 0], y[0, 1], 3.0]) * x[0, 0],
    "where": lambda x, y: np.where(x > y, x, y * y),
    "where broadcast": lambda x, y: np.where(x[:1] > 0, x, y[:, :1]),
    "where numbers": lambda x, y: np.where(x > 0, 1.0, y) + np.where(y > 0, x, 0),
    "where integer condition": lambda x, y: np.where(np.array([0, 1, 2, 0]), x, y),
    "clip": lambda x, y: np.clip(x, -1.0, 1.0) * y,
    "clip low": lambda x, y: np.clip(x, 0.1, None) * y,
    "clip high": lambda x, y: np.clip(x, None, 0.1) * y,
    "clip arrays": lambda x, y: np.clip(x, y - 0.3, y + 0.4),
    "clip method": lambda x, y: x.clip(-0.5, y),
    "clip by name": lambda x, y: np.clip(x, min=-0.5, max=0.5) + y,
    "zeros_like": lambda x, y: np.zeros_like(x) + y,
    "ones_like": lambda x, y: np.ones_like(x) * y,
    "full_like": lambda x, y: np.full_like(x, 2.5) * y,
    "full_like traced": lambda x, y: np.full_like(x, y[0, 0]) * x,
    "zeros_like shape": lambda x, y: np.zeros_like(x, shape=(2, 4)) + y,
    "astype": lambda x, y: x.astype(np.float64) * y,
}


@pytest.mark.parametrize("name", JOINED)
def test_joining_choosing_making(name):
    check(JOINED[name], draw("real", (2, 4)), draw("real", (2, 4), seed=1))


@pytest.mark.parametrize("kinds", list(itertools.product(["f8", "f4", "i8", "u1", "?"], repeat=2)), ids=ids)
def test_joining_promotes_as_numpy(kinds):
    xs = [draw("real", (3,), k) for k in kinds]
    for f in (np.concatenate, np.stack, np.vstack, np.hstack):
        check_value(lambda *xs: f(xs), *xs)
    check_value(lambda x, y: np.where(x > 2, x, y), *xs)


MISFITS = {
    "concatenate": lambda x, y: np.concatenate([x, y[:, :2]]),
    "concatenate scalars": lambda x, y: np.concatenate([x[0, 0], y[0, 0]]),
    "stack": lambda x, y: np.stack([x, y[0]]),
    "vstack": lambda x, y: np.vstack([x, y.T]),
}


@pytest.mark.parametrize("f", MISFITS.values(), ids=list(MISFITS))
def test_joining_refuses(f):
    xs = draw("real", (2, 4)), draw("real", (2, 4), seed=1)
    for call in (f, wengert.jit(f)):
        with pytest.raises(ValueError):
            call(*xs)


@pytest.mark.parametrize("to", DTYPES, ids=str)
@pytest.mark.parametrize("kind", DTYPES, ids=str)
def test_astype(kind, to):
    x = np.array([0, 1, 2, 5, 100]).astype(kind)
    same(wengert.jit(lambda x: x.astype(to))(x), x.astype(to))
    if np.dtype(kind).kind == "f":
        x = np.array([0.0, -0.0, 0.5, 1.9, 2.1], kind)
        same(wengert.jit(lambda x: x.astype(to))(x), x.astype(to))


def test_astype_wraps_and_truncates():
    same(wengert.jit(lambda x: x.astype(np.int64))(np.array([-1.9, 1.9, -0.5])), np.array([-1, 1, 0]))
    same(wengert.jit(lambda x: x.astype(np.uint8))(np.array([-1, 256, 300])), np.array([255, 0, 44], np.uint8))
    same(wengert.jit(lambda x: x.astype(bool))(np.array([np.nan, 0.0, -0.0])), np.array([True, False, False]))


def test_astype_passes_gradients_between_floats_only():
    x = draw("real", (4,), np.float32)
    slopes = wengert.grad(lambda x: np.sum(x.astype(np.float64) ** 2 * x))(x)
    same(slopes, 3 * x**2)
    same(wengert.grad(lambda x: np.sum(x.astype(np.int64) * x))(x), x.astype(np.int64).astype(np.float32))


@pytest.mark.parametrize("kind", DTYPES, ids=str)
def test_likes_take_the_dtype(kind):
    x = draw("real", (2, 3), kind)
    for f in (np.zeros_like, np.ones_like, lambda x: np.full_like(x, 1), lambda x: np.ones_like(x, dtype=np.float32)):
        same(wengert.jit(lambda x: f(x) + np.zeros_like(x))(x), f(x) + np.zeros_like(x))


# --- options and numbers -------------------------------------------------------------------------------------

OPTIONS = {
    "sum initial": lambda x: np.sum(x, initial=5.0),
    "max initial": lambda x: np.max(x, initial=5.0),
    "sum where": lambda x: np.sum(x, where=x > 0),
    "mean where": lambda x: np.mean(x, where=x > 0),
    "add.reduce initial": lambda x: np.add.reduce(x, initial=5.0),
    "add.reduce dtype": lambda x: np.add.reduce(x, dtype=np.float64),
    "multiply.reduce where": lambda x: np.multiply.reduce(x, where=x > 0, initial=1.0),
    "concatenate dtype": lambda x: np.concatenate([x, x], dtype=np.float64),
    "concatenate casting": lambda x: np.concatenate([x, x], dtype=np.int64, casting="unsafe"),
    "stack dtype": lambda x: np.stack([x, x], dtype=np.float64),
    "vstack dtype": lambda x: np.vstack([x, x], dtype=np.float64),
    "hstack dtype": lambda x: np.hstack([x, x], dtype=np.float64),
    "take clip": lambda x: np.take(x, [5, 0], mode="clip"),
    "take wrap": lambda x: np.take(x, [4, 0], mode="wrap"),
    "reshape order": lambda x: np.reshape(x, (3, 1), order="F"),
    "ravel order": lambda x: np.ravel(np.reshape(x, (1, 3)), order="F"),
    "ufunc where": lambda x: np.add(x, x, where=np.array([True, True, True])),
    "ufunc dtype": lambda x: np.true_divide(x, 3, dtype=np.float64),
    "ufunc dtype of one": lambda x: np.sqrt(x, dtype=np.float64),
    "ufunc dtype of integers": lambda x: np.add(x.astype(np.int8) * 50, np.int8(100), dtype=np.int64),
    "ufunc out": lambda x: written(lambda out: np.add(x, x, out=out), 3),
    "concatenate out": lambda x: written(lambda out: np.concatenate([x[:1], x[1:]], out=out), 3),
    "clip out": lambda x: written(lambda out: np.clip(x, 0, 1, out=out), 3),
    "sum out": lambda x: written(lambda out: np.sum(x, out=out), ()),
    "mean out": lambda x: written(lambda out: np.mean(x, out=out), ()),
    "max out": lambda x: written(lambda out: np.max(x, out=out), ()),
    "dot out": lambda x: written(lambda out: np.dot(x, x, out=out), ()),
    "prod out": lambda x: written(lambda out: np.prod(x, out=out), ()),
    "var out": lambda x: written(lambda out: np.var(x, out=out), ()),
    "stack out": lambda x: written(lambda out: np.stack([x], out=out), (1, 3)),
}


def written(f, shape):
    out = np.full(shape, 7, np.float32)
    f(out)
    return out


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_honoured_or_refused_but_not_ignored(name):
    f, x = OPTIONS[name], np.array([1.0, 2.0, 3.0], np.float32)
    try:
        got = wengert.jit(f)(x)
    except (TypeError, ValueError, IndexError):
        return
    same(got, f(x), ulps=1)


NUMBERS = {
    "dot": lambda x, s: np.dot(x, s),
    "inner": lambda x, s: np.inner(x, s),
    "outer": lambda x, s: np.outer(x, s),
    "stack": lambda x, s: np.stack([x[0], s]),
    "hstack": lambda x, s: np.hstack([x, s]),
    "where": lambda x, s: np.where(x > 0, x, s),
    "where numbers": lambda x, s: np.where(x > 0, s, 0) * x,
    "clip": lambda x, s: np.clip(x, 0, s),
    "maximum": lambda x, s: np.maximum(x, s),
    "sum": lambda x, s: np.sum(s) * x,
    "ravel": lambda x, s: np.ravel(s) * x,
    "copy": lambda x, s: np.copy(s) * x,
    "transpose": lambda x, s: np.transpose(s) * x,
    "squeeze": lambda x, s: np.squeeze(s) * x,
    "broadcast_to": lambda x, s: np.broadcast_to(s, (3,)) * x,
    "expand_dims": lambda x, s: np.expand_dims(s, 0) * x,
    "zeros_like": lambda x, s: np.zeros_like(s) + x,
    "full_like": lambda x, s: np.full_like(x, s) + x,
    "sin": lambda x, s: np.sin(s) * x,
    "operators": lambda x, s: (abs(-s) ** 2 + s / 2) * x,
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, np.int64])
@pytest.mark.parametrize("number", [2, 2.5])
def test_functions_take_python_numbers_as_numpy_does(name, kind, number):
    """A function that makes arrays of its arguments (np.dot) gives a number an array's dtype; others do not."""
    f, x = NUMBERS[name], np.array([1, 2, 3], kind)
    same(wengert.jit(lambda x: f(x, number))(x), f(x, number))
    same(wengert.jit(f)(x, number), f(x, number))


def test_fill_values_that_do_not_fit_are_refused():
    for f in (lambda x: np.full_like(x, 300) + x, lambda x: np.full_like(x, -1) + x):
        for call in (f, wengert.jit(f)):
            with pytest.raises(OverflowError):
                call(np.zeros(3, np.uint8))


# --- the same value more than once ---------------------------------------------------------------------------

ALIASED = {
    "x * x": lambda x: x * x,
    "x + x": lambda x: x + x,
    "x - x": lambda x: x - x,
    "x / x": lambda x: x / x,
    "x ** x": lambda x: np.abs(x) ** np.abs(x),
    "maximum": lambda x: np.maximum(x, x) * x,
    "x @ x.T": lambda x: x @ x.T,
    "x.T @ x": lambda x: x.T @ x,
    "x @ x.T @ x": lambda x: x @ x.T @ x,
    "where": lambda x: np.where(x > 0, x, x),
    "clip": lambda x: np.clip(x, x, x),
    "concatenate": lambda x: np.concatenate([x, x, x]) * 2.0,
    "row and column": lambda x: x[:, :1] * x[:1] * x[0, 0],
    "x + x[::-1]": lambda x: x + x[::-1] + x[:, ::-1] * x,
    "overlapping": lambda x: x[1:] * x[:-1] + x[:-1],
    "indices": lambda x: x[[0, 0, 1]] * x[[1, 0, 0]],
    "x * x.sum": lambda x: x * x.sum() + x.max(0),
    "views of a result": lambda x: (lambda y: y * y[::-1] + y[0])(np.exp(x)),
    "passed on twice": lambda x: (lambda y, z: y + z + y * z)(x + x[0], x - x[0]),
    "sum used again": lambda x: (lambda z: z[0] * 3.0 + z * 2.0 + z.T[0, 0])(x + x),
}


@pytest.mark.parametrize("name", ALIASED)
@both_floats
def test_aliasing(name, dtype):
    check(ALIASED[name], draw("real", (3, 4), dtype), differences=dtype == np.float64)


@pytest.mark.parametrize("shape", [(3, 4), (60, 50)], ids=str)
def test_results_are_fresh_arrays(shape):
    x, kept = draw("real", shape), draw("real", shape)
    f = wengert.jit(lambda x: (x, x.T, x[1:], x + 0, kept, x))
    first = f(x)
    before = [a.copy() for a in first]
    for a in first:
        a[...] = 7.0
    same(x, before[0])
    for a, b in zip(f(x), before, strict=True):
        same(a, b)
    second = f(2 * x)
    f(3 * x)
    same(second[0], 2 * before[0])


@pytest.mark.parametrize("shape", [(3, 4), (60, 50)], ids=str)
def test_gradients_that_are_each_other(shape):
    """One adjoint may be several results, or be needed after another has grown from it."""
    x, y = draw("real", shape), draw("real", shape, seed=1)
    f = lambda x, y: np.sum(x + y) + np.sum(y[0]) + np.sum(x * x)
    a, b = wengert.grad(f, (0, 1))(x, y)
    grown = np.ones(shape)
    grown[0] += 1
    same(a, 1 + 2 * x)
    same(b, grown)
    a, b = wengert.grad(lambda x, y: np.sum(x + y), (0, 1))(x, y)
    a[...] = 5
    same(b, np.ones(shape))
