"""What the tests share: operands, plain NumPy references, the naive replay, differences, and one full check."""

import threading

import mpmath
import numpy as np
import scipy.special

import wengert
from wengert.ops.elementwise import Elementwise
from wengert.ops.spec import BY_NAME, OPS, bind
from wengert.ops.table import ROWS as TABLE
from wengert.vm import oracle

_NAMES = {cells[0] for cells in TABLE}
ROWS = [op for op in OPS if isinstance(op, Elementwise) and op.name in _NAMES - {"cut"} and not op.in_place]
"""The elementwise ops that a user's function can call (and mul0, by which every partial is applied)."""

_FUNCTIONS = {
    "clip": np.clip,
    "where": np.where,
    "sinc": np.sinc,
    "mul0": lambda x, y: bind(BY_NAME["mul0"], (x, y)),
}


def function(row):
    """The NumPy (or SciPy) function that a row answers to."""
    return row.ufunc or getattr(scipy.special, row.special, None) or _FUNCTIONS[row.name]


def precise(row):
    """The same function of `longdouble` operands, as exact as that."""
    if row.special in ("", "expit"):
        return function(row)
    name = {"ndtr": "ncdf"}.get(row.name, row.name)

    def number(x):
        with mpmath.workdps(25):
            y = getattr(mpmath, name)(mpmath.mpf(str(min(max(x, -300), 300))))  # constant beyond
            return np.longdouble(mpmath.nstr(y if abs(y) > mpmath.mpf("1e-4900") else 0 * y, 21))

    return lambda x: np.frompyfunc(number, 1, 1)(x).astype(np.longdouble)


def in_threads(work, count):
    """`work(k)` for every k below count, each in a thread of its own, all at the same time."""
    threads = [threading.Thread(target=work, args=(k,)) for k in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


# --- operands ----------------------------------------------------------------------------------------


def draw(domain, shape, dtype=np.float64, seed=0):
    """Random numbers of a row's domain: of order one, some way off the places where it ends."""
    rng = np.random.default_rng([seed, *shape])
    size = rng.uniform(0.3, 1.9, shape)
    signed = size * rng.choice([-1.0, 1.0], shape)
    if np.dtype(dtype).kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if np.dtype(dtype).kind in "iu":
        return rng.integers(1, 6, shape).astype(dtype)
    found = {"real": signed, "nonzero": signed, "positive": size, "beyond": 1 + size, "unit": 0.45 * signed}[domain]
    return np.asarray(found, dtype=dtype)


def operands(row, shapes, dtype=np.float64, seed=0):
    """Operands of a row, one a shape; a condition is of bools."""
    kinds = [np.bool_ if name == "c" else dtype for name in row.args]
    return [draw(row.domain, s, k, seed + n) for n, (s, k) in enumerate(zip(shapes, kinds, strict=True))]


def others(args):
    """Other values for the same arguments, in the same domains; integers stay."""
    return [0.83 * np.flip(x) if x.dtype.kind == "f" else x for x in map(np.asarray, args)]


def quiet(f, *args):
    """`f(*args)` in plain NumPy, without its warnings."""
    with np.errstate(all="ignore"):
        return f(*args)


# --- comparing -----------------------------------------------------------------------------------------


def same(got, want, ulps=64):
    """Equal dtype and shape; floats within so many units in the last place of the largest."""
    got, want = np.asarray(got), np.asarray(want)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    tolerance = ulps * float(np.finfo(want.dtype).eps)
    scale = float(np.max(np.abs(want[np.isfinite(want)]), initial=0.0))
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale)


def near(got, want, tolerance):
    """As `same`, for differences: a tolerance relative to the largest, any dtype."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * np.max(np.abs(want), initial=1.0))


def ulp_error(got, exact):
    """Largest distance from the exact values (of a wider dtype) in units in the last place; bits for special ones."""
    got = np.asarray(got)
    rounded = quiet(lambda: np.asarray(exact).astype(got.dtype))
    special = ~np.isfinite(rounded) | ~np.isfinite(got)
    np.testing.assert_array_equal(got[special], rounded[special])
    error = np.abs(got[~special].astype(np.longdouble) - exact[~special])
    return float(np.max(error / np.spacing(np.abs(rounded[~special])), initial=0.0))


# --- other ways to the same derivative -------------------------------------------------------------------


def floats(args):
    """Which arguments (arrays or tracers) have a gradient."""
    return tuple(k for k, x in enumerate(args) if x.dtype.kind == "f")


def oracle_value(f, *args):
    """The value by the naive replay of the recorded tape."""
    tape = wengert.record(f, *args)
    tape.verify()
    return quiet(oracle.forward, tape, args)[tape.outputs[0]]


def oracle_grad(f, *args):
    """The gradient with respect to all float arguments by the naive replay and its reverse."""
    tape = wengert.record(f, *args)
    tape.verify()
    values = quiet(oracle.forward, tape, args)
    (out,) = tape.outputs
    bars = quiet(oracle.backward, tape, values, {out: np.ones_like(values[out])})
    slots = [tape.inputs[k] for k in floats(args)]
    return tuple(bars.get(s, np.zeros_like(values[s])) for s in slots)


def recorded_grad(f, *args):
    """The gradient as it is recorded inside another derivative: op by op, not fused."""
    both = wengert.grad(lambda t: (t, wengert.grad(f, floats(args))(*args)), has_aux=True)
    return both(1.0)[1]


def slope(f, h=1e-3):
    """f'(0) by a difference formula of fourth order."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def along(args, directions, t):
    """The arguments, moved by `t` along directions; those without one stay."""
    moving = dict(zip(floats(args), directions, strict=True))
    return [x + t * moving[k] if k in moving else x for k, x in enumerate(args)]


def weighted(f, *args):
    """`f` made a scalar: its result times fixed random weights, summed."""
    out = np.asarray(quiet(f, *args))
    w = draw("real", out.shape, out.dtype, seed=77)
    return lambda *xs: np.sum(w * f(*xs))


def directions(args):
    """A direction for each float argument."""
    return [draw("real", np.shape(args[k]), np.asarray(args[k]).dtype, seed=k + 5) for k in floats(args)]


# --- the full check ----------------------------------------------------------------------------------------


def check_value(f, *args, ulps=64):
    """`jit(f)` equals plain NumPy at these values, at others, and at these again; so does the naive replay."""
    replayed = wengert.jit(f)
    for values in (args, others(args), args):
        same(replayed(*values), quiet(f, *values), ulps)
    same(oracle_value(f, *args), quiet(f, *args), ulps)


def check_gradient(f, *args, ulps=256, order=2, differences=True):
    """Kernels, naive replay, recorded adjoint, jit at two places and differences agree, to second order."""
    wrt = floats(args)
    loss = weighted(f, *args)
    slopes = wengert.grad(loss, wrt)(*args)
    replayed = wengert.jit(wengert.grad(loss, wrt))
    for values in (others(args), args):
        for got, want in zip(replayed(*values), oracle_grad(loss, *values), strict=True):
            same(got, want, ulps)
    for ways in zip(slopes, replayed(*args), recorded_grad(loss, *args), strict=True):
        for got in ways:
            same(got, ways[0], ulps)
    v = directions(args)
    if differences:
        inner = sum(float(np.sum(g * u)) for g, u in zip(slopes, v, strict=True))
        near(inner, slope(lambda t: float(quiet(loss, *along(args, v, t)))), 1e-8)
    if order < 2:
        return

    def slope_along(gradient):
        return lambda *xs: sum(np.sum(g * u) for g, u in zip(gradient(*xs), v, strict=True))

    second = wengert.grad(slope_along(wengert.grad(loss, wrt)), wrt)(*args)
    for got, want in zip(second, oracle_grad(slope_along(lambda *xs: recorded_grad(loss, *xs)), *args), strict=True):
        same(got, want, 4 * ulps)
    if differences:
        for k, got in enumerate(second):
            near(got, slope(lambda t: wengert.grad(loss, wrt)(*along(args, v, t))[k]), 1e-7)


def check(f, *args, order=2, differences=True):
    """Value and gradient; `args` are float64 unless `differences` is false."""
    args = [np.asarray(x) for x in args]
    check_value(f, *args)
    check_gradient(f, *args, order=order, differences=differences)
