"""Random programs: straight-line ones, and ones that branch on values, against plain NumPy and differences."""

import numpy as np
from helpers import along, directions, near, oracle_grad, quiet, recorded_grad, same, slope
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import expit

import wengert
from wengert.vm import oracle

# A program is a list of steps (name, i, j, k); a step appends STEPS[name](a, b, k) to the values so far, where a
# and b are the i-th and j-th of them. Every step takes any shapes, and neither grows nor shrinks its operands
# much, so that differences stay sharp however many follow one another.

gaps: list = []
"""Distances to the nearest kink or branch, noted while plain NumPy runs."""


def noted(x):
    """`x`, whose zeros are kinks; where operands agree to rounding they are one variable, and there is none."""
    if isinstance(x, np.ndarray | np.generic):
        size = np.abs(x)
        gaps.append(np.min(size[size > 1e-12], initial=np.inf))
    return x


def fit(a, b):
    """`b`, made to broadcast with `a`."""
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return np.mean(b)
    return b if max(a.size, b.size) <= 200 and a.ndim + b.ndim <= 6 else np.mean(b)


def axis_of(a, k):
    return None if k % (a.ndim + 1) == a.ndim else k % (a.ndim + 1)


def over(reduction):
    return lambda a, b, k: reduction(a, axis=axis_of(a, k), keepdims=k >= 4)


def extremum(reduction):
    def step(a, b, k):
        top = reduction(a, axis=axis_of(a, k), keepdims=True)
        noted(a - top)
        return reduction(a, axis=axis_of(a, k), keepdims=k >= 4)

    return step


def pairwise(f):
    return lambda a, b, k: f(a, fit(a, b))


def kinked(f):
    def step(a, b):
        noted(a - b)
        return f(a, b)

    return pairwise(step)


def clip(a, b, k):
    noted(a + 0.7), noted(a - 0.9)
    return np.clip(a, -0.7, 0.9)


def matrix(a):
    return a.reshape(1, -1) if a.ndim < 2 else a


def product(a, b, k):
    a, b = matrix(a), np.tanh(matrix(b))
    if k % 2:
        b = np.swapaxes(b, -1, -2)
    if a.shape[-1] != b.shape[-2] or a.ndim + b.ndim > 5 or a.size * b.size > 2000:
        b = np.tanh(np.swapaxes(a, -1, -2))
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        b = np.tanh(np.swapaxes(a, -1, -2))
    return a @ b / a.shape[-1]


KEYS = [np.s_[::-1], np.s_[..., None], np.s_[:1], np.s_[0], np.s_[-1], np.s_[::2], np.s_[1:], np.s_[None], np.s_[:-1]]


def index(a, b, k):
    if not a.ndim:
        return a[None]
    found = a[KEYS[k % len(KEYS)]] if k < 5 else a[..., KEYS[k][0] if isinstance(KEYS[k], tuple) else KEYS[k]]
    return found if found.size else a


def gather(a, b, k):
    if not a.ndim:
        return a
    n = a.shape[0]
    places = np.array([k % n, -1, 0, k % n])[: 1 + k % 4]
    if k % 2 or a.ndim < 2:
        return a[places] if a.size < 100 else a[places[:1]]
    return a[places, ..., places % a.shape[-1]]


def reshape(a, b, k):
    ways = [np.ravel, np.transpose, np.squeeze, lambda a: a.reshape((*a.shape[-1:], -1)),
            lambda a: np.expand_dims(a, k % (a.ndim + 1)) if a.ndim < 4 else a.ravel(),
            lambda a: np.broadcast_to(a, (2, *a.shape)) if a.size < 60 and a.ndim < 4 else a,
            lambda a: np.swapaxes(a, 0, -1) if a.ndim else a,
            lambda a: np.moveaxis(a, 0, -1) if a.ndim else a]  # fmt: skip
    return ways[k](a)


def join(a, b, k):
    if a.size > 60:
        return a
    if a.shape == b.shape and a.ndim < 4:
        return np.stack([a, b, a], axis=k % (a.ndim + 1))
    return np.concatenate([a, a[::-1]], axis=k % a.ndim) if a.ndim else np.concatenate([a.ravel(), b.ravel()[:3]])


STEPS = {
    "sin": lambda a, b, k: np.sin(a),
    "cos": lambda a, b, k: np.cos(a),
    "tanh": lambda a, b, k: np.tanh(a),
    "arctan": lambda a, b, k: np.arctan(a),
    "expit": lambda a, b, k: expit(a),
    "bell": lambda a, b, k: np.exp(-a * a),
    "root": lambda a, b, k: np.sqrt(1 + a**2),
    "log": lambda a, b, k: np.log1p(np.square(a)),
    "rational": lambda a, b, k: a / (1 + a * a),
    "reciprocal": lambda a, b, k: 1 / (2 + np.cos(a)),
    "minus": lambda a, b, k: 1 - a,
    "abs": lambda a, b, k: np.abs(noted(a)),
    "clip": clip,
    "copy": lambda a, b, k: a * 1.0,
    "self": lambda a, b, k: np.tanh(a) * a + a,
    "add": pairwise(lambda a, b: 0.6 * a + b * 0.5),
    "sub": pairwise(lambda a, b: 0.7 * a - 0.4 * b),
    "mul": pairwise(lambda a, b: np.tanh(a) * b),
    "div": pairwise(lambda a, b: a / (1.5 + np.tanh(b))),
    "power": pairwise(lambda a, b: (1.5 + np.tanh(a)) ** np.sin(b)),
    "logaddexp": pairwise(lambda a, b: np.logaddexp(a, b) - 0.5),
    "maximum": kinked(np.maximum),
    "minimum": kinked(np.minimum),
    "where": kinked(lambda a, b: np.where(a > b, a, b)),
    "sum": lambda a, b, k: np.sum(a, axis=axis_of(a, k), keepdims=k >= 4) / (1 + a.size**0.5),
    "mean": over(np.mean),
    "var": over(np.var),
    "prod": lambda a, b, k: np.prod(1 + 0.2 * np.tanh(a), axis=axis_of(a, k)),
    "max": extremum(np.max),
    "min": extremum(np.min),
    "matmul": product,
    "index": index,
    "gather": gather,
    "reshape": reshape,
    "join": join,
}


def branch(a, b, k):
    return np.sin(b) if noted(np.sum(a) - 0.1234) > 0 else b * 0.5 + np.mean(a)


def early(a, b, k):
    if not noted(np.max(a) - 0.4321) > 0 and noted(np.min(b) + 0.777) < 0:
        return a
    return np.cos(a) if noted(a.ravel()[k % a.size] - 0.0321) > 0 else np.tanh(b)


def shrink(a, b, k):
    while noted(np.max(np.abs(a)) - 0.567) > 0:
        a = a * 0.6
    return a


def repeat(a, b, k):
    for _ in range(int(np.abs(3 * np.mean(a))) % 4):
        noted(3 * np.mean(a) - np.round(3 * np.mean(a)) if isinstance(a, np.ndarray | np.generic) else 1.0)
        b = np.sin(b) + 0.1
    return b


BRANCHES = {"branch": branch, "early": early, "shrink": shrink, "repeat": repeat}
ALL = STEPS | BRANCHES

SHAPES = [(), (1,), (3,), (4,), (3, 4), (4, 3), (1, 4), (3, 1), (2, 3, 4), (2, 1, 3)]
OFTEN = ["matmul", "index", "gather", "reshape", "join", "mul", "add"]


def programs(names, size):
    """Programs of up to so many steps; drawn evenly from a seed, cut to a length that shrinks."""

    def make(seed, n):
        rng = np.random.default_rng(seed)
        steps = rng.choice(sorted(names) + 2 * OFTEN, size)
        places = rng.integers(0, 16, (size, 3))
        return [(str(name), int(i), int(j), int(k % 8)) for name, (i, j, k) in zip(steps, places, strict=True)][:n]

    return st.builds(make, st.integers(0, 2**32 - 1), st.integers(1, size))


def values(program, xs):
    """All values of a program, inputs first."""
    found = list(xs)
    for name, i, j, k in program:
        found.append(ALL[name](found[-1 - i % len(found)], found[-1 - j % len(found)], k))
    return found


def loss(program):
    """A number that depends on every value of the program."""

    def f(*xs):
        return sum(np.sum(v * np.linspace(-1.0, 1.3, v.size).reshape(v.shape)) for v in values(program, xs))

    return f


def inputs(shapes, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return [np.asarray(scale * rng.normal(size=s)) for s in shapes]


def gap(f, *xs):
    """How far plain NumPy stays from any kink or branch."""
    gaps.clear()
    quiet(f, *xs)
    return min(gaps, default=np.inf)


profile = settings(
    max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
shapes_of_inputs = st.tuples(st.sampled_from(SHAPES[4:]), st.sampled_from(SHAPES), st.sampled_from(SHAPES))


@profile
@given(programs(STEPS, 12), shapes_of_inputs, st.integers(0, 1000))
def test_straight_programs(program, shapes, seed):
    xs, f = inputs(shapes, seed), loss(program)
    replayed, slopes = wengert.jit(lambda *xs: values(program, xs)), wengert.jit(wengert.grad(f, range(len(xs))))
    naive = wengert.record(lambda *xs: values(program, xs), *xs)
    naive.verify()
    for args in (xs, inputs(shapes, seed + 1), xs):
        found = oracle.forward(naive, args)
        want = values(program, args)
        for got, slot, value in zip(replayed(*args), naive.outputs, want, strict=True):
            same(got, value, 1e4)
            same(found[slot], value, 1e4)
        for got, value in zip(slopes(*args), oracle_grad(f, *args), strict=True):
            same(got, value, 1e5)
    outermost = wengert.grad(f, range(len(xs)))(*xs)
    for got, fused, recorded in zip(outermost, slopes(*xs), recorded_grad(f, *xs), strict=True):
        same(got, fused, 1e4)
        same(recorded, fused, 1e5)
    if gap(f, *xs) > 0.02:
        v = directions(xs)
        inner = sum(np.sum(g * u) for g, u in zip(outermost, v, strict=True))
        near(inner, slope(lambda t: f(*along(xs, v, t)), 1e-4), 1e-6)


@profile
@given(programs(STEPS, 7), shapes_of_inputs, st.integers(0, 1000))
def test_second_derivatives_of_straight_programs(program, shapes, seed):
    xs, f = inputs(shapes, seed), loss(program)
    if not gap(f, *xs) > 0.02:
        return
    v, wrt = directions(xs), range(len(xs))
    first = wengert.grad(f, wrt)
    second = wengert.grad(lambda *xs: sum(np.sum(g * u) for g, u in zip(first(*xs), v, strict=True)), wrt)(*xs)
    for k, got in enumerate(second):
        near(got, slope(lambda t: first(*along(xs, v, t))[k], 1e-4), 1e-5)


@profile
@given(programs(ALL, 9), st.sampled_from(sorted(BRANCHES)), shapes_of_inputs, st.integers(0, 1000))
def test_branching_programs(program, last, shapes, seed):
    """A replay takes the branch that NumPy takes, at whatever inputs it is called, in whatever order."""
    program = [(last, 0, 1, 3), *program, (last, 0, 2, 1)]
    f = loss(program)
    replayed, slopes = wengert.jit(f), wengert.jit(wengert.grad(f, range(len(shapes))))
    once = inputs(shapes, seed)
    calls = [once, [-x for x in once], inputs(shapes, seed + 1, 2.0), inputs(shapes, seed + 2, 0.1), once]
    for args in calls:
        if gap(f, *args) < 1e-9:
            continue
        same(replayed(*args), f(*args), 1e4)
        for got, want in zip(slopes(*args), oracle_grad(f, *args), strict=True):
            same(got, want, 1e5)
        if gap(f, *args) > 0.02:
            v = directions(args)
            inner = sum(np.sum(g * u) for g, u in zip(slopes(*args), v, strict=True))
            near(inner, slope(lambda t: f(*along(args, v, t)), 1e-4), 1e-6)
