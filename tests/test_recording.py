# ruff: noqa: SIM300 - the plain operand on the left is what is tested
"""Plain NumPy code is recorded: the value is NumPy's, the gradient is the derivative, Python stays Python."""

import contextlib
import itertools
import threading

import numpy as np
import pytest
from helpers import in_threads

from wengert import grad, jit, scan, value_and_grad
from wengert.errors import MutationError, NoRuleError

A = np.array([[2.0, -1.0, 0.5], [0.25, 3.0, -2.0], [1.5, 0.75, 1.0]])
X = np.array([0.7, 1.3, 2.1])
POINTS = (X, np.array([1.9, 0.4, 0.6]))


def numeric(f, x, h=1e-6):
    """Central differences of a function of one float or array."""
    x = np.asarray(x, dtype=float)
    out = np.empty(x.shape)
    for k in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[k] += h
        down[k] -= h
        out[k] = (float(f(up[()])) - float(f(down[()]))) / (2 * h)
    return out[()]


def check(f, *points):
    """Value and gradient, un-jitted and replayed by one jit at every point, against NumPy."""
    fast = jit(value_and_grad(f))
    for x in points:
        want = f(x)
        slope = numeric(f, x)
        for both in (value_and_grad(f), fast):
            value, found = both(x)
            np.testing.assert_allclose(value, want, rtol=1e-12)
            np.testing.assert_allclose(found, slope, rtol=2e-6, atol=1e-8)


# --- operators ----------------------------------------------------------------------------------------

OPERATORS = {
    "x + A": lambda x: x + A,
    "A + x": lambda x: A + x,
    "x - A": lambda x: x - A,
    "A - x": lambda x: A - x,
    "x * A": lambda x: x * A,
    "A * x": lambda x: A * x,
    "x / A": lambda x: x / A,
    "A / x": lambda x: A / x,
    "x ** A": lambda x: x**A,
    "A**2 ** x": lambda x: (A * A) ** x,
    "x % 0.45": lambda x: x % 0.45,
    "5.3 % x": lambda x: 5.3 % x,
    "x // 0.45": lambda x: (x // 0.45) * x,
    "5.3 // x": lambda x: (5.3 // x) * x,
    "divmod": lambda x: divmod(x, 0.45)[0] * divmod(5.3, x)[1],
    "x @ A": lambda x: x @ A,
    "A @ x": lambda x: A @ x,
    "x @ x": lambda x: x @ x,
    "A[0] @ x": lambda x: A[0] @ x,
    "-x": lambda x: -x,
    "+x": lambda x: +x * 2,
    "abs(x)": lambda x: abs(x - 1),
    "np.float64 left": lambda x: np.float64(3.0) * x + np.float64(1.0) / x - np.float64(2.0) ** x,
    "np.float64 @ right": lambda x: x * np.float64(3.0) - np.float64(1.0),
    "python left": lambda x: 3 * x + 1 / x - 2.5 - (2 - x) ** 2,
    "np.int64 left": lambda x: np.int64(3) * x,
    "0-d array": lambda x: np.array(2.0) * x + x / np.array(4.0),
    "powers": lambda x: x**2 + x**3 + x**-1 + x**0.5 + x**0 + x**1,
    "in place rebinding": lambda x: _augmented(x),
    "mask arithmetic": lambda x: (x > 1) * x + x * (x <= 1) * 3,
    "comparison left": lambda x: (A < x) * x + (1.0 < x) * x,
    "equal": lambda x: (x == x) * x + (x != A[0]) * x,
    "logic of masks": lambda x: ((x > 0.5) & (x < 2) | ~(x < 1) ^ (x > 3)) * x,
    "matrix left of mask": lambda x: np.where(A > x, A * x, x),
}


def _augmented(x):
    y = x * 1.0
    y += A[0]
    y *= x
    y -= 1
    y /= 3.0
    return y


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_and_reflected_forms(name):
    check(lambda x: np.sum(OPERATORS[name](x) * 1.5), *POINTS)


def test_plain_matrix_on_the_left_gives_a_traced_result_not_an_object_array():
    seen = []

    def f(x):
        y = A @ x
        seen.append((type(y).__name__, y.shape, y.dtype))
        return y.sum()

    grad(f)(X)
    assert seen == [("Tracer", (3,), np.dtype("f8"))]


# --- ufuncs, functions, methods and attributes ----------------------------------------------------------

FUNCTIONS = {
    "ufuncs": lambda x: np.sin(x) + np.exp(-x) * np.log(x) + np.tanh(x) - np.sqrt(x) + np.arctan(x),
    "two operands": lambda x: np.add(A, x) + np.subtract(x, 1) + np.multiply(2, x) + np.power(x, A),
    "maximum": lambda x: np.maximum(x, 1.0) + np.minimum(A[0], x),
    "where": lambda x: np.where(x > 1, np.sin(x), x * x),
    "clip": lambda x: np.clip(x, 0.5, 2.0),
    "ufunc reduce": lambda x: np.add.reduce(A * x) + np.add.reduce(A * x, axis=1) + np.maximum.reduce(x),
    "reductions": lambda x: np.sum(A * x, axis=0) * np.mean(x) + np.max(x) - np.min(x) + np.prod(x),
    "spread": lambda x: np.var(x) + np.std(x) + np.linalg.norm(x),
    "shapes": lambda x: np.reshape(np.transpose(A * x), (9, 1)) + np.expand_dims(x, 0),
    "joining": lambda x: np.concatenate([x, A[0], 2 * x]) + np.stack([x, x, x]).ravel(),
    "stacks": lambda x: np.vstack([x, A]) @ np.hstack([x, 1.0])[:3],
    "broadcast_to": lambda x: np.broadcast_to(x, (3, 3)) * A,
    "products": lambda x: np.dot(A, x) + np.outer(x, x) @ x + np.inner(x, A[1]),
    "take": lambda x: np.take(x, [2, 0, 0]) * x,
    "swap": lambda x: np.swapaxes(np.moveaxis((A * x)[None], 0, -1), 0, 1),
    "likes": lambda x: np.ones_like(x) * x + np.full_like(x, 2.0) + np.zeros_like(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numpy_functions(name):
    check(lambda x: np.sum(FUNCTIONS[name](x) * 0.5), *POINTS)


METHODS = {
    "T": lambda x: (A * x).T @ x,
    "mT": lambda x: (A * x)[None].mT[0] @ x,
    "sum": lambda x: x.sum() * x + (A * x).sum(axis=0) + (A * x).sum(axis=-1, keepdims=True),
    "mean": lambda x: x.mean() * x,
    "max min prod": lambda x: x.max() * x.min() * x.prod() * x,
    "var std": lambda x: x.var() * x + x.std(),
    "reshape": lambda x: (A * x).reshape(9).reshape(3, -1).reshape((1, 9)),
    "ravel flatten": lambda x: (A * x).ravel() * (A * x).flatten(),
    "transpose": lambda x: (A * x).transpose() + (A * x).transpose(1, 0) + (A * x).transpose((1, 0)),
    "dot": lambda x: x.dot(A),
    "clip take": lambda x: x.clip(0.5, 1.5) * x.take([0, 0, 2]),
    "squeeze swapaxes": lambda x: (A * x)[:, None].squeeze(1).swapaxes(0, 1),
    "astype copy": lambda x: x.astype(np.float64).copy() * x,
    "attributes": lambda x: x * (x.ndim + x.size + x.shape[0] + len(x) + x.itemsize + x.nbytes),
    "any all": lambda x: x * (x > 1).any() + x * (x > 1).all(),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_and_attributes(name):
    check(lambda x: np.sum(METHODS[name](x) * 0.5), *POINTS)


INDEXING = {
    "integer": lambda x: x[0] * x[-1],
    "numpy integer": lambda x: x[np.int64(1)] * x[np.intp(-3)],
    "slices": lambda x: x[1:] * x[:-1] + x[::-2],
    "reversed": lambda x: x[::-1] * x,
    "empty": lambda x: np.sum(x[3:]) + x,
    "ellipsis": lambda x: x[...] * (A * x)[..., 1],
    "newaxis": lambda x: x[:, None] * x[None, :] + x[..., np.newaxis],
    "matrix": lambda x: (A * x)[1] + (A * x)[:, 2] + (A * x)[1, 2] + (A * x)[0:2, ::2].sum(),
    "list": lambda x: x[[2, 0, 2, 2]],
    "integer array": lambda x: x[np.array([[0, 1], [1, -1]])],
    "two arrays": lambda x: (A * x)[np.array([0, 2]), np.array([1, -1])],
    "array and slice": lambda x: (A * x)[:, np.array([0, 0, 1])],
    "array, newaxis, integer": lambda x: (A * x)[None, np.array([0, 2]), 1],
    "apart": lambda x: (A * x)[None][np.array([0, 0]), :, np.array([1, 2])],
    "iteration": lambda x: sum(v * v for v in x),
    "unpacking": lambda x: (lambda a, b, c: a * b - c)(*x),
    "rows": lambda x: sum(row @ row for row in A * x),
    "enumerate": lambda x: sum(k * v for k, v in enumerate(x)),
    "zip": lambda x: sum(u * v for u, v in zip(x, x[::-1])),
}


@pytest.mark.parametrize("name", INDEXING)
def test_indexing_and_iteration(name):
    check(lambda x: np.sum(INDEXING[name](x) * 0.5), *POINTS)


def test_unpacking_checks_the_length():
    def f(x):
        a, b = x
        return a * b

    assert grad(f)(np.array([2.0, 5.0])).tolist() == [5.0, 2.0]
    with pytest.raises(ValueError, match="too many values"):
        grad(f)(X)


def test_len_and_iteration_of_a_scalar_are_refused_as_by_numpy():
    with pytest.raises(TypeError, match="len\\(\\) of unsized object"):
        grad(lambda x: len(x) * x)(1.0)
    with pytest.raises(TypeError, match="iteration over a 0-d array"):
        grad(lambda x: sum(x))(1.0)


def test_shape_and_dtype_are_those_of_numpy():
    def f(x, n):
        pairs = [
            (x.astype(np.float32) * 2.5, np.float32),
            (x.astype(np.float32) * np.float64(2.5), np.float64),
            (x.astype(np.float32) + np.ones(3), np.float64),
            (n * 2, np.int64),
            (n / 2, np.float64),
            (n * 0.5, np.float64),
            (x > 0, np.bool_),
            (np.sum(x > 0), np.int64),
            (np.mean(n), np.float64),
        ]
        for got, want in pairs:
            assert got.dtype == want
        return x.sum()

    jit(f)(X, np.arange(3))


# --- closures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("shape", [(3,), (60, 50)])
def test_captured_arrays_are_live(compiled, shape):
    w = np.ones(shape)
    f = grad(lambda x: np.sum(w * x * x))
    f = jit(f) if compiled else f
    x = np.full(shape, 3.0)
    assert np.all(f(x) == 6.0)
    w[...] = 2.0
    assert np.all(f(x) == 12.0)
    w.flat[0] = 5.0
    assert f(x).flat[0] == 30.0


@pytest.mark.parametrize("compiled", [False, True])
def test_a_captured_view_that_is_not_contiguous_is_live(compiled):
    base = np.arange(12.0).reshape(3, 4)
    view = base.T[1:, ::-1]
    f = grad(lambda x: np.sum(view * x))
    f = jit(f) if compiled else f
    x = np.ones((3, 3))
    assert np.array_equal(f(x), view)
    base *= 10.0
    assert np.array_equal(f(x), view)


def test_closures_over_scalars_lists_and_dicts():
    scale, parts = 2.5, {"a": [A, 3], "b": (np.float64(0.5), True)}
    check(lambda x: np.sum(parts["a"][0] @ x * scale) * parts["b"][0] + parts["a"][1] * x[0], *POINTS)


def test_constants_of_equal_programs_are_not_mixed_up():
    """Functions that differ only in the value of a constant share a plan, but nothing else."""
    for c in (1.0, 2.0, 0.0, -1.0, 0.5, 3.0, 1.0):
        value, slope = value_and_grad(lambda x: x * c)(3.0)
        assert (value, slope) == (3.0 * c, c)
    for c in (1, 2, 0, 3):
        assert grad(lambda x: np.sum(x * c + c * np.exp(x)))(np.zeros(2)).tolist() == [2.0 * c] * 2
    for c in (2.0, 0.5, 1.0, -1.0):
        assert grad(grad(lambda x: c * x * x))(3.0) == 2 * c
    for c in (0.0, 1.0, -2.0):
        assert grad(lambda x: np.sum(x[0] * c))(np.ones(3)).tolist() == [c, 0.0, 0.0]


def test_captured_arrays_of_equal_programs_are_not_mixed_up():
    for c in (1.0, 2.0):
        w = np.full(3, c)
        assert grad(lambda x: np.sum(x * w))(X).tolist() == [c, c, c]


def test_unused_argument_and_unused_parts_have_zero_gradient():
    a, b = grad(lambda x, y: np.sum(x), argnums=(0, 1))(X, A)
    assert a.tolist() == [1.0] * 3
    assert b.shape == (3, 3)
    assert not b.any()


def test_keyword_arguments_are_passed_on_and_not_differentiated():
    def f(x, *, power=2, shift=0.0):
        return np.sum(x**power) + shift * x[0]

    assert np.allclose(grad(f)(X, power=3, shift=A[0, 0]), 3 * X**2 + [2.0, 0, 0])


# --- values on demand ----------------------------------------------------------------------------------


def test_branches_follow_the_value():
    def f(x):
        if x > 1:
            return np.sin(x)
        elif x < -1:
            return x * x
        return 3 * x

    check(f, 2.0, -2.0, 0.5, 1.5)


def test_newton_iteration_to_convergence():
    def root(a):
        x = a
        while abs(x * x - a) > 1e-12:
            x = 0.5 * (x + a / x)
        return x

    fast = jit(value_and_grad(root))
    for a in (2.0, 9.0, 1e-2, 1e4, 2.0):
        for both in (value_and_grad(root), fast):
            value, slope = both(a)
            assert value == pytest.approx(a**0.5, rel=1e-10)
            assert slope == pytest.approx(0.5 / a**0.5, rel=1e-6)


def test_int_bool_and_index_of_values():
    def f(x):
        n = int(x)
        w = np.array([1.0, 10.0, 100.0, 1000.0])
        seen = [1.0, 2.0, 3.0, 4.0]
        assert range(10)[x.astype(int)] == n
        return w[n] * x + seen[n] * x * bool(x > 2) + x * round(x) * np.floor(x)

    assert grad(f)(1.2) == 10.0 + 1.0
    assert grad(f)(2.4) == 100.0 + 3.0 + 4.0
    fast = jit(grad(f))
    for x in (1.2, 2.4, 1.3, 3.1):
        assert fast(x) == grad(f)(x)


def test_recursion_and_early_return():
    def power(x, n):
        if n == 0:
            return 1.0
        half = power(x, n // 2)
        return half * half * (x if n % 2 else 1.0)

    assert grad(power)(1.5, 7) == pytest.approx(7 * 1.5**6)

    def collatz(x):
        if x < 1:
            return x
        return collatz(x / 2) * 3

    check(collatz, 0.5, 3.7, 11.0, 100.0)


def test_ternary_and_or_min_max_sorted():
    check(lambda x: min(x[0], x[1]) * max(x) + sorted(x)[1] ** 2, *POINTS)
    check(lambda x: x[0] if x[0] > 1 and x[1] > 1 else x[1] * 2, *POINTS)
    check(lambda x: sum(v for v in x if v > 1.0), *POINTS)


def test_print_and_format_show_the_value(capsys):
    shown = []

    def f(x):
        print(x, x * x)
        shown.append(f"{x:.3f}|{x[0] if x.ndim else x}|{x!r}|{x + 1!s}")
        return x * x

    def g(x):
        print(x)
        return np.sum(x)

    assert grad(f)(1.5) == 3.0
    grad(g)(np.array([1.0, 2.0]))
    assert capsys.readouterr().out == "1.5 2.25\n[1. 2.]\n"
    assert shown[0].startswith("1.500|1.5|Tracer(")
    assert "1.5" in shown[0].split("|")[2]
    assert shown[0].endswith("|2.5")


def test_printing_puts_no_condition_on_the_replay(capsys):
    calls = []

    def f(x):
        calls.append(None)
        print(f"{x:.2f}")
        return x * x

    fast = jit(f)
    assert [fast(v) for v in (1.0, 2.0, 3.0)] == [1.0, 4.0, 9.0]
    assert len(calls) == 1
    assert capsys.readouterr().out == "1.00\n"


def test_try_except_around_mathematics():
    def f(x):
        try:
            y = x.reshape(7)
        except ValueError:
            y = x
        try:
            y = y * np.fft.fft(x)
        except NoRuleError:
            y = y * x
        try:
            y = y + x[99]
        except IndexError:
            y = y + 1
        return np.sum(y)

    assert grad(f)(X).tolist() == (2 * X).tolist()


def test_assert_and_isfinite_work():
    def f(x):
        assert np.all(x > 0)
        assert np.isfinite(x).all()
        return np.sum(np.log(x))

    assert np.allclose(grad(f)(X), 1 / X)
    with pytest.raises(AssertionError):
        grad(f)(-X)


# --- object arrays that NumPy makes of traced scalars -----------------------------------------------------

OBJECT_ARRAYS = {
    "operator with plain": lambda v: np.array([v[0], v[1] * v[2]]) * np.array([2.0, 3.0]),
    "plain on the left": lambda v: np.array([2.0, 3.0]) - np.array([v[0], v[1] * v[2]]),
    "with a tracer": lambda v: np.array([v[0], v[1], v[0] * v[2]]) * v,
    "tracer on the left": lambda v: v / np.array([v[0], v[1], v[0] * v[2]]),
    "mixed with numbers": lambda v: np.array([v[0], 1.0, 2]) * v,
    "ufunc": lambda v: np.sin(np.array([v[0], v[1]])) + np.exp(np.array([v[1], v[2]])),
    "two-operand ufunc": lambda v: np.add(np.array([v[0], v[1], v[2]]), v),
    "matmul": lambda v: A @ np.array([v[0], v[1], v[2]]) + v,
    "matmul with a tracer": lambda v: np.array([v[0], v[1], v[2]]) @ (A * v),
    "matrix": lambda v: np.array([[v[0], v[1]], [v[1], 0.0]]) @ v[:2],
    "function with a tracer": lambda v: np.concatenate([np.array([v[0], v[1]]), v]),
    "stack": lambda v: np.stack([np.array([v[0], v[1], 1.0]), v]),
    "where": lambda v: np.where(v > 1, np.array([v[2], v[1], v[0]]), v),
    "sum": lambda v: np.sum(np.array([v[0], v[1] * v[1]])),
    "negated": lambda v: -np.array([v[0], v[1]]),
    "of arrays": lambda v: np.array([v, v * v]) * A[:2],
    "dot": lambda v: np.dot(np.array([v[0], v[1], v[2]]), v),
}


@pytest.mark.parametrize("name", OBJECT_ARRAYS)
def test_arrays_of_traced_scalars(name):
    check(lambda v: np.sum(OBJECT_ARRAYS[name](v) * 1.0), *POINTS)


def test_arrays_of_traced_scalars_as_results():
    fast = jit(lambda v: (np.array([v[0], v[1] * v[2]]), np.array([[v[0]], [v[1]]])))
    for v in POINTS:
        a, b = fast(v)
        assert a.dtype == b.dtype == np.float64
        assert np.array_equal(a, [v[0], v[1] * v[2]])
        assert np.array_equal(b, [[v[0]], [v[1]]])
    _, aux = grad(lambda v: (v[0], {"pair": np.array([v[0], v[2]])}), has_aux=True)(X)
    assert aux["pair"].dtype == np.float64
    assert aux["pair"].tolist() == [X[0], X[2]]


def test_an_array_holding_one_traced_scalar_is_a_result():
    assert grad(lambda x: np.array(x * x))(3.0) == 6.0


def test_arrays_of_traced_scalars_in_an_ode_step():
    def f(p):
        y = np.array([1.0, p[0]])
        for _ in range(5):
            y = y + 0.1 * np.array([y[1], -p[1] * y[0] - p[2] * y[1]])
        return y[0] ** 2 + y[1]

    check(f, *POINTS)


# --- nesting, threads, state -----------------------------------------------------------------------------


def test_nested_recording_of_any_depth():
    def f(x):
        return np.sin(x) * x**3

    want = [f, grad(f), grad(grad(f)), grad(grad(grad(f)))]
    for low, high in itertools.pairwise(want):
        assert high(0.8) == pytest.approx(numeric(low, 0.8), rel=1e-5)


def test_a_derivative_inside_a_function_is_differentiated():
    def energy(q, k):
        return 0.5 * k * np.sum(q**2) + np.sum(np.cos(q))

    def f(q):
        return np.sum(grad(energy)(q, q[0]) ** 2)

    check(f, *POINTS)


def test_no_perturbation_confusion():
    assert grad(lambda x: x * grad(lambda y: x * y)(2.0))(3.0) == 6.0
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(5.0) == 1.0
    assert grad(lambda x: grad(lambda y: x * y * y)(x))(4.0) == 16.0


def test_inner_gradient_with_respect_to_plain_values():
    w = np.array([1.0, 2.0, 3.0])
    check(lambda x: np.sum(grad(lambda u: np.sum(u**2 * x))(w)), *POINTS)


def test_threads_do_not_share_a_recording():
    count = 6
    start = threading.Barrier(count)
    found: list[list[float]] = [[] for _ in range(count)]

    def work(k):
        def f(x):
            y = x
            for _ in range(k + 1):
                y = np.sin(y) * x + k
            return np.sum(y)

        start.wait()
        for i in range(15):
            found[k].append(grad(f)(np.array([0.1 * i, 1.0])).tolist())

    in_threads(work, count)
    mixed = [list(f) for f in found]
    found = [[] for _ in range(count)]
    start = threading.Barrier(1)
    for k in range(count):
        work(k)
    assert mixed == found


class Oops(BaseException):
    """Something that no `except Exception` catches."""


@pytest.mark.parametrize("error", [ValueError, KeyError, ZeroDivisionError, KeyboardInterrupt, Oops, StopIteration])
def test_state_is_restored_whatever_is_thrown(error):
    w = np.ones(3)

    def f(x):
        y = x * w
        raise error("mine")
        return y

    def inside_a_step(x):
        def step(c, u):
            np.sum(c * w)
            raise error("mine")

        return scan(step, x, np.ones((4, 3)))[0]

    def nested(x):
        return grad(lambda y: grad(f)(y * w).sum())(x).sum()

    runs = (grad(f), grad(lambda x: np.sum(inside_a_step(x))), grad(nested), jit(f), jit(inside_a_step), jit(nested))
    for run in runs:
        with pytest.raises(error, match="mine"):
            run(X)
        assert w.flags.writeable
        w += 0.0
        assert grad(lambda x: np.sum(x * w))(X).tolist() == [1.0] * 3
        assert isinstance(np.exp(X), np.ndarray)


def test_an_exception_in_an_inner_gradient_that_is_caught_leaves_the_outer_recording_sound():
    def bad(y):
        y * 3.0
        raise RuntimeError

    def f(x):
        with contextlib.suppress(RuntimeError):
            grad(bad)(x)
        return x * x

    assert grad(f)(3.0) == 6.0
    assert grad(grad(f))(3.0) == 2.0


def test_an_exception_in_a_scan_step_that_is_caught_leaves_the_outer_recording_sound():
    def step(c, x):
        raise RuntimeError

    def f(x):
        with contextlib.suppress(RuntimeError):
            scan(step, x, np.ones(3))
        return x * x

    assert grad(f)(3.0) == 6.0


def test_captured_arrays_are_writeable_again():
    base = np.ones((4, 4))
    arrays = [base, base[1:], base.T, base[::2, 1]]
    grad(lambda x: sum(np.sum(x * a) for a in arrays))(1.0)
    assert all(a.flags.writeable for a in arrays)
    grad(lambda x: sum(np.sum(x * a) for a in reversed(arrays)))(1.0)
    assert all(a.flags.writeable for a in arrays)


def test_a_read_only_array_stays_read_only():
    w = np.ones(3)
    w.flags.writeable = False
    grad(lambda x: np.sum(x * w))(X)
    assert not w.flags.writeable


def test_the_argument_itself_is_not_locked():
    x = X.copy()
    grad(np.sum)(x)
    x[0] = 9.0
    assert x.flags.writeable


def test_plain_work_arrays_inside_the_function_may_be_written():
    def f(x):
        w = np.zeros(3)
        for k in range(3):
            w[k] = k + 1.0
        return np.sum(x * w)

    assert grad(f)(X).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("through", ["base", "other view"])
def test_writing_to_a_captured_array_by_another_name_is_noticed_or_harmless(through, compiled):
    """NumPy has used the old value; a replay that reads the new one would be silently wrong."""
    base = np.ones(6)
    part, other = base[:3], base[1:]
    w = part if through == "base" else base
    target = base if through == "base" else other

    def f(x):
        y = np.sum(x * w[:3])
        target[0] = 100.0
        return y

    run = value_and_grad(f)
    try:
        value, slope = (jit(run) if compiled else run)(np.ones(3))
    except MutationError:
        return
    assert value == 3.0
    assert slope.tolist() == [1.0, 1.0, 1.0]


def test_augmented_assignment_through_an_alias_is_numpys_or_refused():
    """After `y = x` NumPy's `y += 1` changes x as well."""

    def f(v):
        x = v * 1.0
        y = x
        y += 1
        return np.sum(x * y)

    assert f(np.ones(2)) == 8.0
    with contextlib.suppress(MutationError):
        value, slope = value_and_grad(f)(np.ones(2))
        assert value == 8.0
        assert slope.tolist() == [4.0, 4.0]
