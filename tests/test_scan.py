"""scan equals the Python loop that documents it: values and gradients, of every argument, to second order."""

import itertools

import numpy as np
import optree
import pytest

from wengert import grad, jit, record, scan, value_and_grad
from wengert.vm import oracle

RNG = np.random.default_rng(7)
LENGTHS = [0, 1, 2, 50]


def unrolled(f, init, xs=None, length=None, reverse=False):
    """The loop of the docstring, in plain Python. With no step there is no y to take a shape from."""
    leaves, spec = optree.tree_flatten(xs)
    n = leaves[0].shape[0] if leaves else length
    carry, ys = init, [None] * n
    for t in reversed(range(n)) if reverse else range(n):
        carry, ys[t] = f(carry, optree.tree_unflatten(spec, [x[t] for x in leaves]))
    return carry, optree.tree_map(lambda *y: np.stack(y), *ys) if ys else None


def leaves_of(tree):
    return [np.asarray(v) for v in optree.tree_leaves(tree)]


def same(a, b, tol, what=""):
    assert optree.tree_structure(a) == optree.tree_structure(b), what
    for u, v in zip(leaves_of(a), leaves_of(b), strict=True):
        assert u.shape == v.shape, what
        assert u.dtype == v.dtype, what
        np.testing.assert_allclose(u, v, rtol=tol, atol=tol, err_msg=what)


def weigh(out):
    """One number from all floats of carry and ys, each element with its own weight."""
    total = 0.0
    for k, v in enumerate(optree.tree_leaves(out)):
        kind = np.result_type(v)  # an object array holds traced scalars
        if kind.kind in "fO":
            w = np.cos(np.arange(np.size(v)) + k).reshape(np.shape(v)).astype(kind if kind.kind == "f" else float)
            total = total + np.sum(w * v)
    return total


def check(step, params, init, xs=None, length=None, reverse=False, tol=1e-10):
    """scan(step) against the loop: forward, gradients of params, init and xs; un-jitted, jitted, by the oracle.

    `step(params, carry, x)`; the loop itself is differentiated by the same library as straight-line code.
    """

    def run(loop):
        return lambda p, c, x: loop(lambda carry, u: step(p, carry, u), c, x, length, reverse)

    args = (params, init, xs)
    count = optree.tree_leaves(xs)[0].shape[0] if optree.tree_leaves(xs) else length
    got = run(scan)(*args)
    if count:
        same(got, run(unrolled)(*args), tol, "forward")
        same(jit(run(scan))(*args), got, 0, "jit forward")
    else:
        same(got[0], init, 0, "no step")
        assert all(v.shape[0] == 0 for v in leaves_of(got[1]))
    wrt = [k for k, a in enumerate(args) if (v := leaves_of(a)) and all(u.dtype.kind == "f" for u in v)]

    def loss(loop):
        return lambda *a: weigh(run(loop)(*a)) if count else weigh(run(loop)(*a)[0])

    want = value_and_grad(loss(unrolled if count else lambda f, c, *_: (c, None)), argnums=wrt)(*args)
    for name, both in (
        ("un-jitted", value_and_grad(loss(scan), argnums=wrt)),
        ("jitted", jit(value_and_grad(loss(scan), argnums=wrt))),
        ("of jit", value_and_grad(jit(loss(scan)), argnums=wrt)),
    ):
        for _ in range(2):
            value, slopes = both(*args)
            np.testing.assert_allclose(value, want[0], rtol=tol, atol=tol, err_msg=name)
            same(tuple(slopes), tuple(want[1]), tol, name)
    against_the_oracle(loss(scan), args, wrt, want[1], tol)


def against_the_oracle(f, args, wrt, slopes, tol):
    """The tape's own pullback, step by step in NumPy, gives the same gradient."""
    tape = record(f, *args)
    tape.verify()
    given = optree.tree_leaves(args)
    values = oracle.forward(tape, given)
    np.testing.assert_allclose(values[tape.outputs[0]], tape(*args), rtol=tol, atol=tol)
    bars = oracle.backward(tape, values, {tape.outputs[0]: np.ones_like(values[tape.outputs[0]])})
    counts = [len(optree.tree_leaves(a)) for a in args]
    starts = [0, *itertools.accumulate(counts)]
    found = [tape.inputs[i] for k in wrt for i in range(starts[k], starts[k + 1])]
    for slot, slope in zip(found, optree.tree_leaves(tuple(slopes)), strict=True):
        np.testing.assert_allclose(bars.get(slot, np.zeros_like(slope)), slope, rtol=tol, atol=tol, err_msg="oracle")


def normal(*shape, dtype=np.float64, scale=0.5):
    return (scale * RNG.standard_normal(shape)).astype(dtype)


# --- steps of many kinds ---------------------------------------------------------------------------------

N, K = 3, 2


def rnn(p, h, x):
    h = np.tanh(x @ p["U"] + h @ p["W"] + p["b"])
    return h, h @ p["V"]


def lstm(p, state, x):
    h, c = state["h"], state["c"]
    z = np.concatenate([x, h], axis=-1) @ p["W"]
    i, f, o, g = (z[..., k * N : (k + 1) * N] for k in range(4))
    c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
    h = np.tanh(c) / (1 + np.exp(-o))
    return {"h": h, "c": c}, {"h": h, "all": (c, [x])}


def params_rnn(dtype):
    shapes = {"U": (K, N), "W": (N, N), "b": (N,), "V": (N, 2)}
    return {k: normal(*s, dtype=dtype) for k, s in shapes.items()}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rnn(dtype, length, reverse):
    tol = 1e-9 if dtype == np.float64 else 2e-4
    xs = normal(length, 4, K, dtype=dtype)
    check(rnn, params_rnn(dtype), normal(4, N, dtype=dtype), xs, reverse=reverse, tol=tol)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_tree_carry_xs_and_ys(dtype, length):
    tol = 1e-9 if dtype == np.float64 else 5e-4
    init = {"h": normal(2, N, dtype=dtype), "c": normal(2, N, dtype=dtype)}
    check(lstm, {"W": normal(K + N, 4 * N, dtype=dtype)}, init, normal(length, 2, K, dtype=dtype), tol=tol)


def step_of_trees(p, c, x):
    a, (b, d) = c
    u, v = x["u"], x["v"][0]
    return (a * u + b * p, (np.sin(b) + v, d)), {"s": a + v, "none": None, "t": (u * b, [d])}


CASES = {
    # name: step(p, c, x), carry, xs
    "trees": (step_of_trees, (normal(3), (normal(3), normal())), {"u": normal(5, 3), "v": [normal(5)]}),
    "no y": (lambda p, c, x: (c * p + x, None), normal(3), normal(5, 3)),
    "y is the carry": (lambda p, c, x: (np.tanh(c * p) + x, c), normal(3), normal(5, 3)),
    "y is the new carry": (lambda p, c, x: ((h := np.tanh(c * p) + x), h), normal(3), normal(5, 3)),
    "y is x": (lambda p, c, x: (c * p + x, x), normal(3), normal(5, 3)),
    "y is a constant": (lambda p, c, x: (c * p + x, 2.5), normal(3), normal(5, 3)),
    "y is an array constant": (lambda p, c, x: (c * p + x, np.arange(3.0)), normal(3), normal(5, 3)),
    "y is a parameter": (lambda p, c, x: (c * p + x, p), normal(3), normal(5, 3)),
    "the same y twice": (lambda p, c, x: ((h := c * p + x), (h, h, c, c, x, x, p)), normal(3), normal(5, 3)),
    "y is a view of the carry": (lambda p, c, x: (np.sin(c) * p + x, (c[1:], c[::-1])), normal(3), normal(5, 3)),
    "carry unchanged": (lambda p, c, x: (c, c * x * p), normal(3), normal(5, 3)),
    "one carry of two unchanged": (
        lambda p, c, x: ((c[0], c[1] * c[0] * p + x), c[1] * c[0]),
        (normal(3), normal(3)),
        normal(5, 3),
    ),
    "swapped": (lambda p, c, x: ((c[1], c[0]), c[0] * x * p), (normal(3), normal(3)), normal(5, 3)),
    "swapped and used": (
        lambda p, c, x: ((c[1] * p + x, c[0]), c[0] - 2 * c[1]),
        (normal(3), normal(3)),
        normal(5, 3),
    ),
    "rotated": (lambda p, c, x: ((c[1], c[2], c[0] * p + x), c[0]), (normal(3), normal(3), normal(3)), normal(5, 3)),
    "rotated unchanged": (lambda p, c, x: ((c[1], c[2], c[0]), c[0] * x), tuple(normal(3, 3)), normal(7, 3)),
    "the same carry twice": (lambda p, c, x: ((c[0] * x, c[0] * x), c[1] * p), (normal(3), normal(3)), normal(5, 3)),
    "one carry for both": (lambda p, c, x: ((c[1], c[1]), c[0] * x * p), (normal(3), normal(3)), normal(5, 3)),
    "carry replaced by x": (lambda p, c, x: (x, c * p), normal(3), normal(5, 3)),
    "carry replaced by a parameter": (lambda p, c, x: (p * 1.0, c * x), normal(3), normal(5, 3)),
    "carry replaced by the parameter itself": (lambda p, c, x: (p, c * x), normal(3), normal(5, 3)),
    "carry replaced by a constant": (lambda p, c, x: (np.arange(3.0), c * x * p), normal(3), normal(5, 3)),
    "scalar carry replaced by a number": (lambda p, c, x: (0.5, c * x.sum() * p), normal(), normal(5, 3)),
    "carry replaced by zeros": (lambda p, c, x: (np.zeros(3), c * x * p), normal(3), normal(5, 3)),
    "carry is a view": (lambda p, c, x: (c[::-1], c * x * p), normal(3), normal(5, 3)),
    "carry is a transposed view": (lambda p, c, x: (c.T, c * x * p[0]), normal(3, 3), normal(5, 3, 3)),
    "carry is a shift register": (
        lambda p, c, x: (np.concatenate([c[1:], x[:1] * p[:1]]), c[0] * x),
        normal(3),
        normal(5, 3),
    ),
    "carry is broadcast": (lambda p, c, x: (np.broadcast_to(np.sum(c * p), (3,)), c * x), normal(3), normal(5, 3)),
    "carry ignored": (lambda p, c, x: (x * p, x * x), normal(3), normal(5, 3)),
    "x ignored": (lambda p, c, x: (np.sin(c) * p, c), normal(3), normal(5, 3)),
    "p ignored": (lambda p, c, x: (np.sin(c) * x, c * 2), normal(3), normal(5, 3)),
    "accumulated sum": (lambda p, c, x: (c + x * p, c), normal(3), normal(5, 3)),
    "accumulated in two ways": (lambda p, c, x: (c + x * p + c, c + 1), normal(3), normal(5, 3)),
    "accumulated product with x": (lambda p, c, x: (c + x @ np.outer(p, p), None), normal(3), normal(5, 3)),
    "carry times itself": (lambda p, c, x: (c * c * 0.1 + x, c * p), normal(3), normal(5, 3)),
    "parts of the carry": (
        lambda p, c, x: (np.concatenate([c[1:] * p[:2], c[:1] + x[:1]]), (c[0], c[1:])),
        normal(3),
        normal(5, 3),
    ),
    "parts of x": (lambda p, c, x: (c * x[0] + x[1:].sum() * p, x[::2]), normal(3), normal(5, 3)),
    "x gathered": (lambda p, c, x: (c + x[np.array([2, 0, 2])] * p, x[[1, 1]]), normal(3), normal(5, 3)),
    "carry gathered with repeats": (
        lambda p, c, x: (np.sin(c[np.array([1, 1, 0])]) * p + x, c[[0, 0, 2, 2]]),
        normal(3),
        normal(5, 3),
    ),
    "maximum along the carry": (lambda p, c, x: (c - np.max(c) + x * p, np.max(c)), normal(3), normal(5, 3)),
    "where": (lambda p, c, x: (np.where(x > 0, c * p, c + x), np.where(c > 0, c, x)), normal(3), normal(9, 3)),
    "scalars": (lambda p, c, x: (c * p[0] + x, c), normal(), normal(6)),
    "single element arrays": (lambda p, c, x: (c * p[:1] + x, c), normal(1), normal(6, 1)),
    "large carry": (lambda p, c, x: (np.tanh(c * p[0] + x), c[:2]), normal(70, 60), normal(3, 70, 60)),
    "large carry swapped": (
        lambda p, c, x: ((c[1], c[0] * p[0] + x), c[0][:2]),
        (normal(70, 60), normal(70, 60)),
        normal(3, 70, 60),
    ),
    "matrix products of the carry": (
        lambda p, c, x: (c @ x * 0.3 + np.outer(p, p), c @ p),
        normal(3, 3),
        normal(5, 3, 3),
    ),
    "matrix product on the left": (lambda p, c, x: (x @ c + p, c), normal(3), normal(5, 3, 3)),
    "outer product carry": (lambda p, c, x: (c + np.outer(x, x * p), np.sum(c)), normal(3, 3), normal(5, 3)),
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_equals_the_loop(name, reverse):
    step, init, xs = CASES[name]
    check(step, normal(3), init, xs, reverse=reverse)


@pytest.mark.parametrize("name", CASES)
def test_tapes_are_legal(name):
    step, init, xs = CASES[name]
    p = normal(3)

    def loss(q, c, x):
        return weigh(scan(lambda carry, u: step(q, carry, u), c, x))

    record(loss, p, init, xs).verify()
    record(grad(loss, argnums=(0, 1, 2)), p, init, xs).verify()
    record(grad(lambda q: weigh(grad(loss)(q, init, xs))), p).verify()


@pytest.mark.parametrize("name", CASES)
def test_second_order_equals_the_loop(name):
    step, init, xs = CASES[name]
    if name.startswith("large"):
        init, xs = optree.tree_map(lambda v: v[:2, :2], init), xs[:, :2, :2]
    p = normal(3)

    def second(loop):
        def loss(q, c, x):
            return weigh(loop(lambda carry, u: step(q, carry, u), c, x)) * np.sum(np.sin(q))

        def slope_size(q, c, x):
            return weigh(grad(loss, argnums=(0, 1, 2))(q, c, x))

        return grad(slope_size, argnums=(0, 1, 2))

    want = second(unrolled)(p, init, xs)
    same(second(scan)(p, init, xs), want, 1e-8, "un-jitted")
    same(jit(second(scan))(p, init, xs), want, 1e-8, "jitted")


@pytest.mark.parametrize("length", LENGTHS)
def test_length_without_xs(length):
    check(lambda p, c, x: (np.sin(c) * p, (c, c[0])), normal(3), normal(3), None, length=length)
    assert scan(lambda c, x: (c + 1.0, x), 0.0, None, length=length) == (float(length), None)


def test_length_with_xs_agrees():
    check(lambda p, c, x: (c * p + x, c), normal(3), normal(3), normal(4, 3), length=4)


@pytest.mark.parametrize("reverse", [False, True])
def test_integer_carry_beside_a_float_carry(reverse):
    table = normal(6, 3)

    def step(p, rows, c, x):
        n, h = c
        return (n + 1, h * p + x * n + rows[n]), (n, h * n)

    def total(loop):
        def run(p, h, xs):
            rows = table * np.sin(p)
            (n, h), (ns, hs) = loop(lambda c, x: step(p, rows, c, x), (0, h), xs, None, reverse)
            return np.sum(h) + weigh(hs), (n, ns)

        return value_and_grad(run, argnums=(0, 1, 2), has_aux=True)

    p, h, xs = normal(3), normal(3), normal(6, 3)
    (value, (n, ns)), slopes = total(scan)(p, h, xs)
    (right, _), want = total(unrolled)(p, h, xs)
    assert n == 6
    assert ns.dtype == np.int64
    assert ns.tolist() == list(range(6))[:: -1 if reverse else 1]
    assert value == pytest.approx(right, rel=1e-12)
    same(slopes, want, 1e-11)
    same(jit(total(scan))(p, h, xs)[1], want, 1e-11)


def test_boolean_carry_and_ys():
    xs = np.array([0.5, 2.0, 0.1, -1.0])
    carry, ys = scan(lambda c, x: ((c[0] | (x > 1), c[1] + x), c[0]), (np.bool_(False), 0.0), xs)
    assert bool(carry[0]) is True
    assert ys.dtype == np.bool_
    assert ys.tolist() == [False, False, True, True]


def test_mixed_precision():
    def step(p, c, x):
        h = np.tanh(c["h"] * p.astype(np.float32) + x)
        return {"h": h, "sum": c["sum"] + np.sum(h.astype(np.float64))}, h

    init = {"h": normal(3, dtype=np.float32), "sum": np.float64(0.0)}
    check(step, normal(3), init, normal(5, 3, dtype=np.float32), tol=1e-5)


# --- closures and indices -----------------------------------------------------------------------------------


def test_closures_over_plain_arrays_are_live():
    w = normal(3, 3)

    def f(c, xs):
        return np.sum(scan(lambda h, x: (np.tanh(h @ w + x), h), c, xs)[0])

    def loop(c, xs):
        return np.sum(unrolled(lambda h, x: (np.tanh(h @ w + x), h), c, xs)[0])

    fast = jit(value_and_grad(f))
    c, xs = normal(3), normal(4, 3)
    for _ in range(3):
        same(fast(c, xs), value_and_grad(loop)(c, xs), 1e-12)
        same(value_and_grad(f)(c, xs), value_and_grad(loop)(c, xs), 1e-12)
        w += 0.1


def test_closure_over_a_traced_value_used_inside_and_outside():
    def f(p, xs):
        q = np.sin(p)
        c, ys = scan(lambda h, x: (h * q + x * p[0], h * p), q * 2, xs)
        return np.sum(c * q) + np.sum(ys @ p)

    def g(p, xs):
        q = np.sin(p)
        c, ys = unrolled(lambda h, x: (h * q + x * p[0], h * p), q * 2, xs)
        return np.sum(c * q) + np.sum(ys @ p)

    p, xs = normal(3), normal(6, 3)
    same(grad(f, argnums=(0, 1))(p, xs), grad(g, argnums=(0, 1))(p, xs), 1e-11)
    same(grad(lambda p: np.sum(grad(f)(p, xs) ** 2))(p), grad(lambda p: np.sum(grad(g)(p, xs) ** 2))(p), 1e-9)


def test_the_same_value_as_constant_carry_and_xs():
    def run(loop):
        return lambda v: weigh(loop(lambda c, x: (c * x + v[0], c * v[1]), v[0], v))

    v = normal(4, 4)
    same(value_and_grad(run(scan))(v), value_and_grad(run(unrolled))(v), 1e-11)


def test_traced_integer_index_is_gathered_each_step():
    table, tokens = normal(5, 3), np.array([4, 0, 4, 4, 2, -1])

    def run(loop):
        def f(table, c, tokens):
            return weigh(loop(lambda h, k: (np.tanh(h + table[k]), (h * table[k], k)), c, tokens))

        return value_and_grad(f, argnums=(0, 1))

    c = normal(3)
    want = run(unrolled)(table, c, tokens)
    same(run(scan)(table, c, tokens), want, 1e-12)
    fast = jit(run(scan))
    same(fast(table, c, tokens), want, 1e-12)
    others = np.array([0, 1, 1, 1, -2, 3])
    same(fast(table, c, others), run(unrolled)(table, c, others), 1e-12)


def test_batches_of_tokens():
    table, tokens = normal(5, 3), RNG.integers(0, 5, (6, 4))

    def run(loop):
        return value_and_grad(lambda t, c: weigh(loop(lambda h, k: (np.sin(h) + t[k], h), c, tokens)), argnums=(0, 1))

    c = normal(4, 3)
    same(run(scan)(table, c), run(unrolled)(table, c), 1e-12)


XS_VIEWS = {
    "transposed": lambda a: a.T,
    "reversed": lambda a: a[::-1],
    "strided": lambda a: a[::2],
    "sliced": lambda a: a[1:-1],
    "columns reversed": lambda a: a[:, ::-1],
    "swapped axes": lambda a: np.stack([a, 2 * a]).swapaxes(0, 1)[:, 0],
    "computed": lambda a: np.sin(a) * 2,
    "broadcast": lambda a: np.broadcast_to(a[0], (4, a.shape[1])),
}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", XS_VIEWS)
def test_xs_that_are_views_of_an_input(name, large):
    a = normal(60, 60) if large else normal(6, 6)

    def run(loop):
        def f(a, p):
            xs = XS_VIEWS[name](a)
            return weigh(loop(lambda c, x: (np.tanh(c * p) + x, c * x), np.zeros(a.shape[0]), xs))

        return value_and_grad(f, argnums=(0, 1))

    want = run(unrolled)(a, 0.7)
    same(run(scan)(a, 0.7), want, 1e-10)
    same(jit(run(scan))(a, 0.7), want, 1e-10)


def test_arrays_of_traced_scalars_as_carry():
    def run(loop):
        def step(c, x):
            return np.array([c[1], x - c[0]]), np.array([c[0] * c[1], x])

        return value_and_grad(lambda c, xs: weigh(loop(step, c, xs)), argnums=(0, 1))

    c, xs = normal(2), normal(5)
    same(run(scan)(c, xs), run(unrolled)(c, xs), 1e-12)


# --- nesting -------------------------------------------------------------------------------------------------


def test_nested_scans():
    def run(loop):
        def f(p, c, xs, us):
            def outer(h, x):
                def inner(g, u):
                    return np.tanh(g * p + u * x), g * x

                h, gs = loop(inner, h * x, us)
                return h, (gs, h * p)

            return weigh(loop(outer, c, xs))

        return f

    args = normal(3), normal(3), normal(4, 3), normal(5, 3)
    wrt = (0, 1, 2, 3)
    want = value_and_grad(run(unrolled), argnums=wrt)(*args)
    same(value_and_grad(run(scan), argnums=wrt)(*args), want, 1e-10)
    same(jit(value_and_grad(run(scan), argnums=wrt))(*args), want, 1e-10)

    def second(loop):
        return grad(lambda *a: weigh(grad(run(loop), argnums=wrt)(*a)), argnums=wrt)

    same(second(scan)(*args), second(unrolled)(*args), 1e-8)


def test_inner_scan_over_the_outer_x():
    def run(loop):
        def f(p, c, xs):
            def outer(h, x):
                h2, ys = loop(lambda g, u: (g * p + u, g), h, x)
                return np.sin(h2), np.sum(ys)

            return weigh(loop(outer, c, xs, None, True))

        return value_and_grad(f, argnums=(0, 1, 2))

    args = 0.7, 0.2, normal(4, 6)
    want = run(unrolled)(*args)
    same(run(scan)(*args), want, 1e-11)
    same(jit(run(scan))(*args), want, 1e-11)


def test_two_scans_one_after_the_other():
    def run(loop):
        def f(p, c, xs):
            h, ys = loop(lambda h, x: (np.tanh(h * p + x), h), c, xs)
            g, zs = loop(lambda g, y: (g * y + p, g * h), h, ys, None, True)
            return np.sum(g) + weigh((ys, zs))

        return value_and_grad(f, argnums=(0, 1, 2))

    args = normal(3), normal(3), normal(5, 3)
    same(run(scan)(*args), run(unrolled)(*args), 1e-11)
    same(jit(run(scan))(*args), run(unrolled)(*args), 1e-11)


def test_gradient_inside_a_step():
    """A physical system whose force is a derivative, integrated and differentiated."""

    def energy(q, k):
        return np.sum(k * q**4) / 4 + np.sum(q[1:] * q[:-1])

    def run(loop):
        def f(k, q, v):
            def step(s, _):
                q, v = s
                v = v - 0.05 * grad(energy)(q, k)
                return (q + 0.05 * v, v), q

            return weigh(loop(step, (q, v), None, 8))

        return value_and_grad(f, argnums=(0, 1, 2))

    args = normal(3), normal(3), normal(3)
    want = run(unrolled)(*args)
    same(run(scan)(*args), want, 1e-11)
    same(jit(run(scan))(*args), want, 1e-11)


def test_gradient_of_an_inner_scan_inside_a_step():
    def run(loop):
        def f(p, xs):
            def loss(w, x):
                return np.sum(loop(lambda c, u: (c * w + u, None), w * 0.5, x)[0] ** 2)

            def step(w, x):
                return w - 0.1 * grad(loss)(w, x), w

            return weigh(loop(step, p, xs))

        return value_and_grad(f, argnums=(0, 1))

    args = normal(2), normal(4, 3, 2)
    want = run(unrolled)(*args)
    same(run(scan)(*args), want, 1e-10)
    same(jit(run(scan))(*args), want, 1e-10)


def test_scan_inside_a_branch():
    def f(x, xs):
        if np.sum(x) > 0:
            return np.sum(scan(lambda c, u: (c * u, c), x, xs)[1])
        return np.sum(x)

    fast = jit(grad(f))
    x, xs = np.array([0.5, 1.0]), normal(4, 2)
    for v in (x, -x, x):
        np.testing.assert_allclose(fast(v, xs), grad(f)(v, xs), rtol=1e-13)
    assert fast(-x, xs).tolist() == [1.0, 1.0]


def test_the_truth_of_a_scans_result_outside_it():
    def f(x, xs):
        c, ys = scan(lambda c, u: (c * 0.5 + u, c), x, xs)
        return c * 3 if c > ys[0] else c * 5

    xs = np.ones(4)
    fast = jit(value_and_grad(f))
    for x in (0.0, 100.0, 0.5):
        c = x
        for u in xs:
            c = c * 0.5 + u
        k = 3 if c > x else 5
        for both in (value_and_grad(f), fast):
            assert both(x, xs) == pytest.approx((k * c, k * 0.5**4))


def test_outside_any_recording():
    carry, ys = scan(lambda c, x: ({"h": c["h"] + x}, (c["h"], x)), {"h": np.zeros(2)}, np.ones((3, 2)))
    assert isinstance(carry["h"], np.ndarray)
    assert carry["h"].tolist() == [3.0, 3.0]
    assert ys[0].tolist() == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
    w = np.array([2.0, 3.0])
    assert scan(lambda c, x: (c * w, None), np.ones(2), length=3)[0].tolist() == [8.0, 27.0]
    assert scan(lambda c, x: (c + x, c), 0.0, np.array([1.0, 2.0]))[0] == 3.0


def test_the_step_is_recorded_once():
    calls = []

    def step(c, x):
        calls.append(None)
        return c + x, c

    scan(step, 0.0, np.ones(1000))
    assert len(calls) == 1
    run = jit(grad(lambda c, xs: scan(step, c, xs)[0]))
    run(0.0, np.ones(1000))
    run(1.0, np.ones(1000))
    assert len(calls) == 2


def test_equal_scans_that_differ_in_a_constant_are_not_mixed_up():
    for k in (1.0, 2.0, 0.5, 0.0):
        value, slope = value_and_grad(lambda c: scan(lambda h, x: (h * k + x, None), c, np.ones(3))[0])(2.0)
        assert value == pytest.approx(2 * k**3 + k**2 + k + 1)
        assert slope == pytest.approx(k**3)


def test_results_are_fresh():
    xs, init = normal(4, 3), normal(3)
    f = jit(lambda c, x: scan(lambda c, u: (c, (c, u)), c, x))
    a, b = f(init, xs), f(init, xs)
    arrays = [init, xs, *leaves_of(a), *leaves_of(b)]
    assert all(not np.shares_memory(u, v) for u, v in itertools.combinations(arrays, 2))


# --- a whole training, against a backward pass written by hand -----------------------------------------------


@pytest.mark.parametrize(("dtype", "tol"), [(np.float64, 1e-9), (np.float32, 2e-3)])
def test_training_equals_backpropagation_through_time_by_hand(dtype, tol):
    steps, batch, size = 8, 5, 4
    rng = np.random.default_rng(3)
    xs = rng.standard_normal((steps, batch, K)).astype(dtype)
    target = np.cumsum(xs, axis=0).sum(axis=2, keepdims=True).astype(dtype) * dtype(0.2)
    shapes = {"U": (K, size), "W": (size, size), "b": (size,), "V": (size, 1)}
    start = {k: (0.4 * rng.standard_normal(s)).astype(dtype) for k, s in shapes.items()}

    def loss(p):
        h0 = np.zeros((batch, size), dtype)
        _, out = scan(lambda h, x: rnn(p, h, x), h0, xs)
        return np.mean((out - target) ** 2)

    @jit
    def update(p):
        value, slope = value_and_grad(loss)(p)
        return value, {k: p[k] - 0.2 * slope[k] for k in p}

    def by_hand(p):
        h, hs = np.zeros((batch, size), dtype), []
        for x in xs:
            hs.append(h := np.tanh(x @ p["U"] + h @ p["W"] + p["b"]))
        error = np.stack(hs) @ p["V"] - target
        slope = {k: np.zeros_like(v) for k, v in p.items()}
        out_bar, h_bar = 2 * error / error.size, np.zeros_like(h)
        for t in reversed(range(steps)):
            slope["V"] += hs[t].T @ out_bar[t]
            z_bar = (h_bar + out_bar[t] @ p["V"].T) * (1 - hs[t] ** 2)
            slope["U"] += xs[t].T @ z_bar
            slope["b"] += z_bar.sum(axis=0)
            if t:
                slope["W"] += hs[t - 1].T @ z_bar
            h_bar = z_bar @ p["W"].T
        return np.mean(error**2), {k: p[k] - dtype(0.2) * slope[k] for k in p}

    p, q, losses = start, start, []
    for _ in range(30):
        value, p = update(p)
        right, q = by_hand(q)
        np.testing.assert_allclose(value, right, rtol=tol)
        for k in p:
            assert p[k].dtype == dtype
            np.testing.assert_allclose(p[k], q[k], rtol=tol, atol=tol)
        losses.append(value)
    assert losses[-1] < 0.6 * losses[0]
