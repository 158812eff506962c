"""jit: one recording a signature and branch, fresh results, any inputs, any nesting, many threads."""

import gc
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import optree
import pytest

from wengert import RecordingWarning, _jit, errors, grad, jit, value_and_grad

X = np.array([0.5, -1.5, 2.5])
Point = namedtuple("Point", "x y")


@dataclass
class Layer:
    w: np.ndarray
    b: np.ndarray
    name: str = "layer"


optree.register_pytree_node(
    Layer, lambda n: ((n.w, n.b), n.name), lambda name, c: Layer(c[0], c[1], name), namespace="wengert"
)


GLOBAL = optree.registry.__GLOBAL_NAMESPACE


@dataclass
class Anywhere:
    w: np.ndarray


optree.register_pytree_node(Anywhere, lambda n: ((n.w,), None), lambda _, c: Anywhere(*c), namespace=GLOBAL)


class Counted:
    """A jitted function that counts how often Python runs it."""

    def __init__(self, f):
        self.calls = 0

        def counting(*args, **kwargs):
            self.calls += 1
            return f(*args, **kwargs)

        self.jitted = jit(counting)

    def __call__(self, *args, **kwargs):
        return self.jitted(*args, **kwargs)


# --- signatures ----------------------------------------------------------------------------------------


def test_recorded_once_per_structure_shape_and_dtype():
    f = Counted(lambda t: {"sum": sum(np.sum(v) for v in optree.tree_leaves(t))})
    trees = [
        X, np.zeros(4), np.zeros((3, 1)), X.astype(np.float32), np.arange(3), [X], (X,), [X, X], {"a": X}, {"b": X},
    ]  # fmt: skip
    for k, t in enumerate(trees):
        for _ in range(2):
            want = sum(np.sum(v) for v in optree.tree_leaves(t))
            assert f(t)["sum"] == want
            assert f(t)["sum"].dtype == want.dtype
        assert f.calls == k + 1


def test_values_do_not_matter_to_the_signature():
    f = Counted(lambda x, s: x * s)
    for k in range(5):
        assert np.array_equal(f(X + k, 0.5 * k), (X + k) * (0.5 * k))
    assert f.calls == 1


def test_python_numbers_are_inputs_with_numpys_promotion():
    f = Counted(lambda x, n: (x * n, n + 1))
    single = X.astype(np.float32)
    for n in (2, 3, -7):
        product, more = f(single, n)
        assert product.dtype == np.float32
        assert product.tolist() == (single * n).tolist()
        assert more == n + 1
        assert np.asarray(more).dtype == np.int64
    assert f.calls == 1
    assert f(single, 2.5)[0].dtype == np.float32
    assert f(single, np.float64(2.5))[0].dtype == np.float64
    assert f(np.arange(3), 2)[0].dtype == np.int64
    assert f(np.arange(3), 2.0)[0].dtype == np.float64
    assert f(np.arange(3, dtype=np.int8), 2)[0].dtype == np.int8


def test_int_and_float_arguments_are_told_apart():
    f = Counted(lambda n: n // 2)
    assert (f(7), f(9)) == (3, 4)
    assert (f(7.0), f(9.0)) == (3.0, 4.0)
    assert f.calls == 2
    assert isinstance(f(7), np.integer)
    assert isinstance(f(7.0), np.floating)


def test_keyword_arguments():
    f = Counted(lambda x, *, scale=2.0, mode="up": x * scale if mode == "up" else x / scale)
    assert np.array_equal(f(X), X * 2)
    assert np.array_equal(f(X, scale=3.0), X * 3)
    assert np.array_equal(f(X, scale=5.0), X * 5)
    assert np.array_equal(f(X, mode="down", scale=4.0), X / 4)
    assert np.array_equal(f(X, scale=4.0, mode="down"), X / 4)
    assert f.calls == 3


def test_strings_none_and_bools_are_static():
    def f(x, how, flag, nothing, extra):
        assert nothing is None
        y = x * x if how == "square" else np.abs(x)
        return (y if flag else -y), extra

    g = Counted(f)
    for how, flag in (("square", True), ("abs", True), ("square", False), ("square", True), ("abs", True)):
        want = (X * X if how == "square" else np.abs(X)) * (1 if flag else -1)
        got, extra = g(X, how, flag, None, {"name": "n", "k": [None]})
        assert np.array_equal(got, want)
        assert extra == {"name": "n", "k": [None]}
    assert g.calls == 3


def test_one_true_and_one_are_three_signatures():
    f = jit(lambda x: x if x is True else x + 1)
    assert f(1) == 2
    assert f(True) is True
    assert f(1.0) == 2.0
    assert f(1) == 2


def test_a_leaf_that_cannot_be_part_of_a_signature_is_named():
    with pytest.raises(TypeError, match="hash"):
        jit(lambda x, s: x)(X, {1, 2})


def test_name_and_documentation_are_kept():
    def model(x):
        """Doc."""
        return x

    assert (jit(model).__name__, jit(model).__doc__) == ("model", "Doc.")
    assert (grad(model).__name__, value_and_grad(model).__doc__) == ("model", "Doc.")
    assert "model" in repr(jit(model))


def test_methods_can_be_differentiated_and_jitted():
    class Model:
        def __init__(self, k):
            self.k = np.array(k)

        def energy(self, x):
            return np.sum(self.k * x * x)

        slope = grad(lambda self, k: np.sum(k**2 * self.k), argnums=1)

    model = Model([1.0, 2.0, 3.0])
    fast = jit(grad(model.energy))
    assert fast(X).tolist() == (2 * model.k * X).tolist()
    assert model.slope(X).tolist() == (2 * X * model.k).tolist()
    model.k *= 2
    assert fast(X).tolist() == (2 * model.k * X).tolist()


# --- branches and guards ---------------------------------------------------------------------------------


def test_both_branches_alternating():
    f = Counted(lambda x: np.sin(x) if x > 0 else x * x)
    for x in (1.0, -1.0, 2.0, -2.0, -3.0, 3.0, 1.0, -1.0):
        assert f(x) == pytest.approx(np.sin(x) if x > 0 else x * x, rel=1e-15)
    assert f.calls == 2


def test_gradient_follows_the_branch():
    f = jit(grad(lambda x: np.sum(x**3) if np.sum(x) > 0 else np.sum(5 * x)))
    for x in (X, -X, X, -X):
        assert np.allclose(f(x), 3 * x**2 if np.sum(x) > 0 else 5)


def test_many_branches_of_nested_conditions():
    def f(x):
        total = 0.0
        for v in x:
            if v > 0.5:
                total = total + v * v
            elif v > 0:
                total = total - v
        return total

    fast = Counted(f)
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (40, 3))
    for x in (*points, *points):
        assert fast(x) == pytest.approx(float(f(x)), rel=1e-14, abs=1e-15)
    assert fast.calls <= 27


def test_more_branches_than_are_kept():
    f = jit(lambda x: x * int(x))
    for k in range(15):
        assert f(k + 0.5) == (k + 0.5) * k
    with pytest.warns(RecordingWarning, match=r"(?s)16 times in 16 calls.*lambda x: x \* int\(x\)"):
        f(15.5)
    for k in [*range(100), *range(100)]:
        assert f(k + 0.5) == (k + 0.5) * k
    assert f.cache_info().variants == 64


def test_loops_with_different_trip_counts():
    def f(x):
        n = 0
        while x > 1:
            x = x / 2
            n += 1
        return x + n

    fast = Counted(f)
    for x in (0.5, 3.0, 100.0, 2.5, 0.9, 1e6, 3.5, 0.1):
        assert fast(x) == f(x)
    assert fast.calls == len({int(np.ceil(np.log2(max(v, 1.0)))) for v in (0.5, 3.0, 100.0, 2.5, 0.9, 1e6, 3.5, 0.1)})


def test_integer_guards():
    f = Counted(lambda x, n: x * sum(range(int(n))))
    for n in (3, 4, 3, 10, 4):
        assert np.array_equal(f(X, n), X * sum(range(n)))
    assert f.calls == 3
    g = jit(lambda x, i: [np.sin, np.cos, np.exp][i](x))
    for i in (0, 2, 1, 0, 2):
        assert np.allclose(g(X, i), [np.sin, np.cos, np.exp][i](X), rtol=1e-14)


def test_guards_on_captured_arrays():
    w = np.array([1.0, 2.0])
    f = jit(lambda x: x * w[0] if w.sum() > 0 else x - w[1])
    traced = jit(lambda x: x * 2 if (w * x).sum() > 0 else x * 3)
    assert f(1.0) == 1.0
    assert traced(1.0) == 2.0
    w *= -1
    assert traced(1.0) == 3.0
    assert traced(-1.0) == -2.0


def test_nan_and_signed_zero_in_guards():
    f = jit(lambda x: 1.0 * x if x == x else x * 0 + 7.0)
    assert f(2.0) == 2.0
    assert np.isnan(f(np.nan))
    assert f(3.0) == 3.0
    g = jit(lambda x: x + 1 if x == 0 else x)
    assert (g(0.0), g(-0.0), g(2.0), g(-0.0)) == (1.0, 1.0, 2.0, 1.0)


def test_branches_per_signature():
    f = jit(lambda x: x * 2 if x.sum() > 0 else x * 3)
    for x in (np.ones(2), -np.ones(2), np.ones(3), -np.ones(3), np.ones(2), -np.ones(3)):
        assert np.array_equal(f(x), x * (2 if x.sum() > 0 else 3))


# --- results are fresh ---------------------------------------------------------------------------------------


def no_shared_memory(*arrays):
    return all(not np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


SIZES = [3, 5000]


@pytest.mark.parametrize("n", SIZES)
def test_results_are_nobody_elses(n):
    w = np.arange(float(n))
    consts = np.ones(n)
    f = jit(lambda x: (x, x, x * 2, w, w, x[1:], x[1:], x.reshape(1, n), x[::-1], np.zeros(n), consts, w[1:]))
    x = np.linspace(0, 1, n)
    first = f(x)
    second = f(x)
    assert no_shared_memory(x, w, consts, *first, *second)
    kept = [a.copy() for a in first]
    for a in second:
        a[...] = -1.0
    f(x + 1)
    for a, b in zip(first, kept, strict=True):
        assert np.array_equal(a, b)
        assert a.flags.writeable
        assert a.flags.owndata or a.base is None
    want = (x, x, x * 2, w, w, x[1:], x[1:], x.reshape(1, n), x[::-1], np.zeros(n), consts, w[1:])
    for a, b in zip(f(x), want, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("n", SIZES)
def test_gradients_are_nobody_elses(n):
    f = jit(value_and_grad(lambda p: np.sum(p["a"]) + np.sum(p["b"] * p["c"])))
    p = {k: np.full(n, v) for k, v in zip("abc", (1.0, 2.0, 3.0), strict=True)}
    _, first = f(p)
    _, second = f(p)
    plain = value_and_grad(lambda p: np.sum(p["a"]) + np.sum(p["b"] * p["c"]))(p)[1]
    arrays = [t[k] for t in (p, first, second, plain) for k in "abc"]
    assert no_shared_memory(*arrays)
    assert (first["a"][0], first["b"][0], first["c"][0]) == (1.0, 3.0, 2.0)
    first["a"][...] = 9.0
    assert f(p)[1]["a"].max() == 1.0


@pytest.mark.parametrize("n", SIZES)
def test_inputs_are_not_written(n):
    x = np.linspace(0, 1, n)
    before = x.copy()
    f = jit(grad(lambda x: np.sum((x + 1) * x[::-1]) + np.sum(x[1:] * 2)))
    for _ in range(3):
        f(x)
    assert np.array_equal(x, before)


def test_scalar_results_are_numpy_scalars_of_their_dtype():
    f = jit(lambda x: (x.sum(), x.astype(np.float32).max(), (x > 0).any(), (x > 0).sum()))
    for got, kind in zip(f(X), (np.float64, np.float32, np.bool_, np.int64), strict=True):
        assert isinstance(got, kind)


@pytest.mark.parametrize("n", SIZES)
def test_constant_results(n):
    w = np.arange(float(n))
    f = jit(lambda x: {"c": 2.5, "n": 3, "s": "text", "none": None, "flag": True, "w": w, "g": np.float32(1), "x": x})
    out = f(X)
    assert (out["c"], out["n"], out["s"], out["none"], out["flag"], out["g"]) == (2.5, 3, "text", None, True, 1)
    assert np.array_equal(out["w"], w)
    assert out["w"] is not w
    w[0] = 99.0
    assert f(X)["w"][0] == 99.0
    assert out["w"][0] == 0.0


def test_functions_whose_whole_result_is_constant():
    assert jit(lambda x: 3.0)(X) == 3.0
    assert jit(lambda x: None)(X) is None
    assert jit(lambda x: ())(X) == ()
    assert jit(lambda x: "text")(X) == "text"
    assert jit(lambda: 4.0)() == 4.0
    assert jit(lambda x: np.float32(2))(X) == 2
    assert jit(lambda x: np.arange(3))(X).tolist() == [0, 1, 2]


# --- inputs of every layout ------------------------------------------------------------------------------


def layouts(a):
    big = np.zeros((2 * a.shape[0], 3 * a.shape[1]), a.dtype)
    big[::2, ::3] = a
    frozen = a.copy()
    frozen.flags.writeable = False
    raw = np.zeros(a.nbytes + 1, np.uint8)
    shifted = np.ndarray(a.shape, a.dtype, raw.data, 1)
    shifted[...] = a
    return {
        "C": a,
        "Fortran": np.asfortranarray(a),
        "transposed": a.T.copy().T,
        "strided": big[::2, ::3],
        "reversed": a[::-1, ::-1].copy()[::-1, ::-1],
        "read-only": frozen,
        "big-endian": a.astype(a.dtype.newbyteorder(">")),
        "unaligned": shifted,
        "broadcast": np.broadcast_to(a[:1], a.shape),
    }


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(3, 4), (70, 90)])
def test_inputs_of_every_layout(shape, dtype):
    f = jit(lambda x: (x, x.T, x * 2, x.sum(axis=0), x[1:, ::-1], grad(lambda y: np.sum(y[::-1] * y))(x)))
    a = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    for name, x in layouts(a).items():
        n = np.array(x, dtype=dtype)
        want = (n, n.T, n * 2, n.sum(axis=0), n[1:, ::-1], 2 * n[::-1])
        for got, right in zip(f(x), want, strict=True):
            assert got.dtype == dtype, name
            np.testing.assert_allclose(got, right, rtol=2e-5 if dtype == np.float32 else 1e-12, atol=1e-5)
        slope = grad(lambda y: np.sum(y[::-1] * y))(x)
        assert slope.dtype == dtype, name
        assert np.array_equal(slope, 2 * n[::-1]), name


@pytest.mark.parametrize("shape", [(3, 4), (70, 90)])
def test_captured_arrays_of_every_layout(shape):
    a = np.random.default_rng(0).standard_normal(shape)
    for name, w in layouts(a).items():
        f = jit(lambda x: (x * w, w.T if name == "none" else x @ np.transpose(x * w)))
        x = np.ones(shape)
        n = np.array(w, dtype=float)
        for _ in range(2):
            product, square = f(x)
            assert np.array_equal(product, n), name
            np.testing.assert_allclose(square, x @ n.T, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("n", [2047, 2048, 2049, 4096, 20000])
def test_around_and_above_the_size_that_is_read_where_it_lies(n):
    f = jit(lambda x: (x, x[1:-1], x.reshape(1, -1)[0, ::2] * 2, np.concatenate([x, x]), x[::-1], x))
    for k in range(3):
        x = np.arange(float(n)) + k
        want = (x, x[1:-1], x[::2] * 2, np.concatenate([x, x]), x[::-1], x)
        for got, right in zip(f(x), want, strict=True):
            assert np.array_equal(got, right)


def test_large_views_of_large_inputs_in_products():
    f = jit(lambda a, b: (a[1:].T @ b[:-1], a[:, 5], (a * 2)[3], a.T))
    a, b = np.random.default_rng(1).standard_normal((2, 80, 60))
    for x, y in ((a, b), (b, a), (a, a)):
        got = f(x, y)
        np.testing.assert_allclose(got[0], x[1:].T @ y[:-1], rtol=1e-10, atol=1e-10)
        assert np.array_equal(got[1], x[:, 5])
        assert np.array_equal(got[2], x[3] * 2)
        assert np.array_equal(got[3], x.T)


def test_the_same_array_for_two_arguments_and_empty_arrays():
    f = jit(lambda a, b: (a + b, a - b))
    assert [v.tolist() for v in f(X, X)] == [(2 * X).tolist(), [0.0] * 3]
    empty = f(np.zeros((0, 3)), np.zeros((0, 3)))
    assert [v.shape for v in empty] == [(0, 3)] * 2
    assert jit(lambda a: a.sum())(np.zeros((0, 3))) == 0.0
    assert jit(grad(lambda a: a.sum()))(np.zeros((0, 3))).shape == (0, 3)


def test_results_outlive_the_function_and_its_inputs():
    def make():
        f = jit(lambda x: (x[1:] * 2, x))
        return f(np.arange(5000.0))

    a, b = make()
    gc.collect()
    np.ones(50000)
    assert a[-1] == 9998.0
    assert b[-1] == 4999.0


# --- nesting --------------------------------------------------------------------------------------------


def test_every_order_of_nesting():
    def f(x):
        return np.sum(np.sin(x) * x**2)

    def slope(x):
        return np.cos(x) * x**2 + 2 * x * np.sin(x)

    for both in (value_and_grad(f), jit(value_and_grad(f)), value_and_grad(jit(f)), jit(value_and_grad(jit(f)))):
        for x in (X, 2 * X):
            value, found = both(x)
            assert value == pytest.approx(f(x), rel=1e-13)
            np.testing.assert_allclose(found, slope(x), rtol=1e-12)


def test_second_derivatives():
    def f(x):
        return np.exp(2 * x) * x

    def want(x):
        return 4 * np.exp(2 * x) * (1 + x)

    second = [grad(grad(f)), jit(grad(grad(f))), grad(jit(grad(f))), jit(grad(jit(grad(jit(f)))))]
    for d in second:
        for x in (0.3, -1.2):
            assert d(x) == pytest.approx(want(x), rel=1e-12)


def test_hessian_vector_product():
    rng = np.random.default_rng(0)
    m = rng.standard_normal((3, 3))

    def f(x):
        return np.sum(np.tanh(m @ x) ** 2)

    hvp = jit(lambda x, v: grad(lambda y: np.sum(grad(f)(y) * v))(x))
    for v in np.eye(3):
        h = 1e-6
        want = (grad(f)(X + h * v) - grad(f)(X - h * v)) / (2 * h)
        np.testing.assert_allclose(hvp(X, v), want, rtol=1e-6, atol=1e-8)


def test_jit_inside_jit_and_inside_gradients():
    inner = Counted(lambda x, n: x**n)
    outer = jit(lambda x: inner(x, 2) + inner(x * 2, 3))
    assert outer(2.0) == 4 + 64
    assert outer(3.0) == 9 + 216
    assert grad(lambda x: inner(x, 2))(5.0) == 10.0
    assert inner(5.0, 2) == 25.0


def test_gradient_inside_jit_over_outer_traced_values():
    f = jit(lambda x, z: x * grad(lambda y: x * y * z)(2.0))
    assert f(3.0, 5.0) == 45.0
    df = jit(grad(lambda x: x * grad(lambda y: x * y)(2.0)))
    assert (df(3.0), df(-1.0)) == (6.0, -2.0)
    third = jit(grad(lambda x: grad(lambda y: grad(lambda z: x * y * z * z)(y))(x)))
    assert third(3.0) == pytest.approx(grad(lambda x: 4 * x * x)(3.0))


def test_inner_gradient_with_a_branch_on_outer_values():
    f = jit(lambda x: grad(lambda y: y * y * x if x > 0 else y * x)(3.0))
    assert (f(2.0), f(-2.0), f(4.0)) == (12.0, -2.0, 24.0)


def test_training_step_reduces_the_loss_as_numpy_does():
    rng = np.random.default_rng(0)
    data = rng.standard_normal((20, 3))
    target = np.tanh(data @ np.array([1.0, -2.0, 0.5]))

    def loss(p, data, target):
        return np.mean((np.tanh(data @ p["w"] + p["b"]) - target) ** 2)

    @jit
    def step(p, data, target, rate):
        value, slope = value_and_grad(loss)(p, data, target)
        return value, {k: p[k] - rate * slope[k] for k in p}

    p = {"w": np.zeros(3), "b": 0.0}
    w, b = np.zeros(3), 0.0
    losses = []
    for _ in range(100):
        value, p = step(p, data, target, 0.3)
        y = np.tanh(data @ w + b)
        delta = 2 * (y - target) * (1 - y**2) / 20
        assert value == pytest.approx(np.mean((y - target) ** 2), rel=1e-10)
        w, b = w - 0.3 * (data.T @ delta), b - 0.3 * delta.sum()
        losses.append(value)
    np.testing.assert_allclose(p["w"], w, rtol=1e-10)
    assert p["b"] == pytest.approx(b, rel=1e-8, abs=1e-12)
    assert losses[-1] < 0.05 * losses[0]


# --- argnums, aux, pytrees --------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda f: f, jit], ids=["plain", "jit"])
def test_argnums(wrap):
    def f(a, b, c):
        return a * b**2 * np.sum(c**3)

    a, b, c = 2.0, 3.0, X
    s = np.sum(c**3)
    slopes = (b**2 * s, 2 * a * b * s, a * b**2 * 3 * c**2)
    for n in (0, 1, 2, -1, -2, -3):
        np.testing.assert_allclose(wrap(grad(f, argnums=n))(a, b, c), slopes[n], rtol=1e-12)
    for ns in ((0,), (2, 0), [0, 1, 2], (-1, 1)):
        got = wrap(grad(f, argnums=ns))(a, b, c)
        assert isinstance(got, tuple)
        for slope, n in zip(got, ns, strict=True):
            np.testing.assert_allclose(slope, slopes[n], rtol=1e-12)


def test_argnums_leave_integer_arguments_alone():
    f = jit(grad(lambda x, n: np.sum(x**n)))
    for n in (2, 3):
        np.testing.assert_allclose(f(X, n), n * X ** (n - 1), rtol=1e-12)
    assert grad(lambda x, idx, name: np.sum(x[idx]))(X, np.array([0, 0]), "name").tolist() == [2.0, 0.0, 0.0]


@pytest.mark.parametrize("wrap", [lambda f: f, jit], ids=["plain", "jit"])
def test_aux_is_any_tree(wrap):
    w = np.arange(3.0)

    def f(x):
        aux = {"y": x * 2, "parts": (x[0], [None, "text", 3, w]), "n": np.sum(x > 0), "p": Point(x, 1.5)}
        return np.sum(x * x), aux

    slope, aux = wrap(grad(f, has_aux=True))(X)
    (value, aux2), slope2 = wrap(value_and_grad(f, has_aux=True))(X)
    assert value == pytest.approx(np.sum(X * X))
    for s, a in ((slope, aux), (slope2, aux2)):
        assert s.tolist() == (2 * X).tolist()
        assert a["y"].tolist() == (2 * X).tolist()
        assert a["parts"][0] == X[0]
        assert a["parts"][1][:3] == [None, "text", 3]
        assert a["parts"][1][3].tolist() == [0, 1, 2]
        assert a["n"] == 2
        assert isinstance(a["p"], Point)
        assert (a["p"].x.tolist(), a["p"].y) == (X.tolist(), 1.5)


def test_aux_of_an_inner_gradient():
    def f(x):
        slope, aux = grad(lambda y: (np.sum(y**3), y * x), has_aux=True)(x)
        return np.sum(slope * aux)

    np.testing.assert_allclose(grad(f)(X), 12 * X**3 * X / X, rtol=1e-12)
    np.testing.assert_allclose(jit(grad(f))(X), 12 * X**3, rtol=1e-12)


TREES = {
    "dict": {"w": X, "b": 0.5},
    "list": [X, 0.5],
    "tuple": (X, 0.5),
    "namedtuple": Point(X, 0.5),
    "nested": {"l": [X, (0.5, {"z": np.ones((2, 2))})], "m": Point(1.5, [])},
    "with None": {"w": X, "none": None, "b": 0.5},
    "dataclass in our namespace": Layer(X, np.array(0.5), "mine"),
    "dataclass in the global namespace": [Anywhere(X), 0.5],
    "empty parts": {"a": {}, "b": (), "x": X},
    "numpy scalar": {"a": np.float64(2.0), "b": np.float32(3.0)},
}


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("wrap", [lambda f: f, jit], ids=["plain", "jit"])
def test_tree_arguments(name, wrap):
    tree = TREES[name]
    leaves, spec = optree.tree_flatten(tree, namespace="wengert")

    def f(t, scale):
        found, same = optree.tree_flatten(t, namespace="wengert")
        assert same == spec
        return sum(np.sum(v * v) * scale * (k + 1) for k, v in enumerate(found))

    run = wrap(value_and_grad(f))
    for scale in (1.0, 3.0):
        value, slope = run(tree, scale)
        assert value == pytest.approx(float(f(tree, scale)), rel=1e-6)
        found, same = optree.tree_flatten(slope, namespace="wengert")
        assert same == spec
        assert type(slope) is type(tree)
        for k, (s, v) in enumerate(zip(found, leaves, strict=True)):
            assert np.asarray(s).dtype == np.asarray(v).dtype
            assert np.shape(s) == np.shape(v)
            np.testing.assert_allclose(s, 2 * np.asarray(v) * scale * (k + 1), rtol=1e-6)


def test_trees_as_results_and_their_parts_by_name():
    f = jit(lambda p, layer: (Layer(p["w"] * 2, layer.b, layer.name + "!"), {"k": [p["w"][0]]}))
    layer, rest = f({"w": X}, Layer(X, np.array(0.5), "n"))
    assert isinstance(layer, Layer)
    assert layer.name == "n!"
    assert layer.w.tolist() == (2 * X).tolist()
    assert layer.b == 0.5
    assert rest == {"k": [X[0]]}


def test_results_keep_their_structure_whatever_the_number_of_leaves():
    results = {
        "number and dict": lambda x: (x, {"k": x}),
        "pair and nothing": lambda x: ((x, x), None),
        "nothing and pair": lambda x: (None, [x, x]),
        "one in a tuple": lambda x: (x,),
        "one in a list": lambda x: [x],
        "one in a dict in a tuple": lambda x: ({"k": x},),
        "nested": lambda x: (((x,),), [x], {}),
        "namedtuple": lambda x: Point(x, x),
        "namedtuple of one": lambda x: Point(x, None),
        "empty and one": lambda x: ((), x),
        "number": lambda x: (1.5, x),
        "text": lambda x: ("a", x, x),
    }
    for name, f in results.items():
        want, got = f(2.0), jit(f)(2.0)
        assert got == want, name
        assert type(got) is type(want), name


# --- faults and threads -------------------------------------------------------------------------------------


def test_an_exception_leaves_the_function_usable():
    fail = [True]

    def f(x, spot):
        if fail[0]:
            raise KeyError("once")
        return x[spot] * 2

    g = jit(f)
    spots = np.array([0, 1])
    with pytest.raises(KeyError):
        g(X, spots)
    fail[0] = False
    assert g(X, spots).tolist() == [1.0, -3.0]
    for bad in (7, -9):
        with pytest.raises(errors.IndexingError):
            g(X, np.array([0, bad]))
        assert g(X, spots).tolist() == [1.0, -3.0]
    fail[0] = True
    with pytest.raises(KeyError):
        g(np.zeros(4), spots)
    assert g(X, spots).tolist() == [1.0, -3.0]


def test_an_exception_in_one_branch_leaves_the_other():
    def f(x):
        if x < 0:
            raise ValueError("negative")
        return np.sqrt(x)

    g = jit(f)
    for _ in range(2):
        assert g(4.0) == 2.0
        with pytest.raises(ValueError, match="negative"):
            g(-1.0)


@pytest.mark.parametrize("n", [8, 4000])
def test_threads_share_a_function(n):
    w = np.linspace(0, 1, n)

    def f(x, k):
        y = np.sum(np.tanh(x * w)) if x[0] > 0 else np.sum(x * x)
        for _ in range(int(k)):
            y = y * 1.5
        return y

    run = jit(value_and_grad(f))
    rng = np.random.default_rng(0)
    jobs = [(rng.standard_normal(n), float(k % 3)) for k in range(80)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            mixed = list(pool.map(lambda job: run(*job), jobs))
    finally:
        sys.setswitchinterval(before)
    fresh = jit(value_and_grad(f))
    for job, (value, slope) in zip(jobs, mixed, strict=True):
        want, right = fresh(*job)
        assert value == want
        assert np.array_equal(slope, right)


def test_no_kernel_is_compiled_for_a_new_function():
    def first(x, w):
        return np.sum(np.tanh(x @ w) * 2 + np.exp(-x[:2]))

    x, w = np.ones(3), np.ones((3, 2))
    jit(value_and_grad(first, argnums=(0, 1)))(x, w)
    value_and_grad(first, argnums=(0, 1))(x, w)
    compiled = list(_jit.stats.compiled)

    def second(p, q):
        h = np.tanh(p[:2] @ q * 2)
        for _ in range(4):
            h = np.tanh(h * 2 + np.exp(-h)) @ q
        return np.sum(h)

    rng = np.random.default_rng(0)
    jit(value_and_grad(second, argnums=(0, 1)))(rng.standard_normal(9), rng.standard_normal((2, 2)))
    value_and_grad(second, argnums=(0, 1))(rng.standard_normal(9), rng.standard_normal((2, 2)))
    assert _jit.stats.compiled == compiled
