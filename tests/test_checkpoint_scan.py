"""What a loop's gradient keeps changes neither value nor gradient; truncation changes the gradient as it says."""

import functools
import subprocess
import sys

import numpy as np
import pytest

import wengert
from wengert import Binomial, grad, jit, scan, tree, value_and_grad
from wengert.vm import oracle

RNG = np.random.default_rng(11)
WAYS = [
    {"checkpoint": "sqrt"},
    {"checkpoint": 1},
    {"checkpoint": 3},
    {"checkpoint": 1000},
    {"checkpoint": Binomial(1)},
    {"checkpoint": Binomial(3)},
    {"checkpoint": Binomial(2, segment=1)},
    {"checkpoint": Binomial(100, segment=2)},
    {"checkpoint": Binomial(2, segment=1000)},
    {"memory": "1 MB"},
    {"memory": 3000},
]
U, B = 0.4 * RNG.normal(size=(3, 3)), RNG.normal(size=3)


def name(way):
    return " ".join(f"{k}={v}" for k, v in way.items())


def leaves(found):
    return [np.asarray(x) for x in tree.flatten(found)[0]]


def equal(got, want, rtol=1e-12):
    """Equal structure, shapes and dtypes; numbers to rounding of the largest."""
    assert tree.flatten(got)[1] == tree.flatten(want)[1]
    for a, b in zip(leaves(got), leaves(want), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.max(np.abs(b), initial=1.0))


def weigh(found, late=0):
    """One number from all floats, every element with a weight of its own; `late` is where their time begins."""
    total = 0.0
    for k, x in enumerate(tree.flatten(found)[0]):
        if np.result_type(x).kind == "f":
            width = int(np.prod(np.shape(x)[1:]))
            w = np.cos(np.arange(np.size(x)) + late * width + k).reshape(np.shape(x))
            total = total + np.sum(np.asarray(w, np.result_type(x)) * x)
    return total


def looped(f, init, xs=None, length=None, reverse=False):
    """The loop that scan's docstring shows, in plain Python."""
    length = len(tree.flatten(xs)[0][0]) if tree.flatten(xs)[0] else length
    carry, ys = init, [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        carry, ys[t] = f(carry, tree.map(lambda x: x[t], xs))
    return carry, tree.map(lambda *y: np.stack(y), *ys) if ys else None


# --- steps ---------------------------------------------------------------------------------------------------


def elman(p, h, x):
    h = np.tanh(h @ p["u"] + x + p["b"])
    return h, h * h


def everything(p, c, x):
    """A carry of arrays, floats, a counter and a switch in a dict; ys as a pytree; a loop inside."""
    (h, scale), switch = c["state"], c["on"]
    h = np.tanh(h @ p["u"] + x["a"] + scale * p["b"])
    scale = 0.9 * scale + 0.01 * np.sum(h * x["a"])
    inner, powers = scan(lambda q, _: (q * 0.5 + scale, q), np.sum(h), None, 3)
    y = {"h": h * scale, "more": [inner + 1.0 * c["n"], np.where(switch, scale, -scale), powers]}
    return {"state": (h, scale), "n": c["n"] + x["k"], "on": ~switch}, y


def clock(p, c, x):
    """No xs at all, and a carry of which part has no derivative."""
    n, v = c
    return (n + 1, np.sin(v * p["b"]) + 0.1 * n), v


def no_carry(p, c, x):
    return None, np.sin(x * p["b"])


def fresh(p, c, x):
    """The carry goes around for nothing: no step depends on the one before."""
    return x * p["b"], c


def given(kind, steps):
    """A step, its first carry, its xs, and the keyword that it needs."""
    xs = 0.5 * np.random.default_rng(steps).normal(size=(steps, 2, 3))
    first = np.ones((2, 3))
    return {
        "elman": (elman, first, xs, {}),
        "everything": (
            everything,
            {"state": (first, np.float64(0.5)), "n": np.int64(0), "on": np.False_},
            {"a": xs, "k": np.arange(steps)},
            {},
        ),
        "clock": (clock, (np.int64(0), np.ones(3)), None, {"length": steps}),
        "no carry": (no_carry, None, xs, {}),
        "fresh": (fresh, first, xs, {}),
    }[kind]


KINDS = ["elman", "everything", "clock", "no carry", "fresh"]
PARAMS = {"u": U, "b": B}


def floats(xs):
    """The part of xs that has a derivative, and how to put it back."""
    if isinstance(xs, dict):
        return xs["a"], lambda a: {**xs, "a": a}
    return xs, lambda a: a


def loss_of(kind, steps, loop=scan, used="both", **options):
    """A scalar of carry, ys or both; its arguments: parameters, the carry's first array, xs."""
    step, init, xs, extra = given(kind, steps)
    _, whole = floats(xs)

    def start(h):
        if kind == "clock":
            return (np.int64(0), h)
        return {**init, "state": (h, init["state"][1])} if kind == "everything" else h

    def loss(p, h, a):
        carry, ys = loop(lambda c, x: step(p, c, x), start(h), whole(a), **extra, **options)
        both = (carry if used != "ys" else None, ys if used != "carry" else None)
        return weigh(both) + 0.0 * np.sum(p["b"])

    h = {"clock": np.ones(3), "no carry": None}.get(kind, np.ones((2, 3)))
    return loss, (PARAMS, h, floats(xs)[0])


# --- the same values, the same gradients ---------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS, ids=name)
@pytest.mark.parametrize("kind", KINDS)
def test_checkpointing_changes_neither_value_nor_gradient(kind, way):
    for steps in (0, 1, 2, 7, 12, 13):
        for reverse in (False, True):
            loss, args = loss_of(kind, steps, reverse=reverse)
            want = value_and_grad(loss, argnums=(0, 1, 2))(*args)
            saving = value_and_grad(loss_of(kind, steps, reverse=reverse, **way)[0], argnums=(0, 1, 2))
            replayed = jit(saving)
            equal(saving(*args), want)
            equal(replayed(*args), want)
            for a, b in zip(leaves(replayed(*args)), leaves(replayed(*args)), strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("used", ["carry", "ys", "both"])
@pytest.mark.parametrize("kind", ["elman", "everything"])
@pytest.mark.parametrize("steps", [1, 5, 6])
def test_it_is_the_python_loop(kind, used, steps):
    for reverse in (False, True):
        loss, args = loss_of(kind, steps, looped, used, reverse=reverse)
        want = value_and_grad(loss, argnums=(0, 1, 2))(*args)
        for way in ({}, *WAYS[::3], {"truncate": steps}, {"truncate": 100, "checkpoint": 2}):
            for wrt in (0, 1, 2, (0, 1, 2)):
                got = jit(value_and_grad(loss_of(kind, steps, scan, used, reverse=reverse, **way)[0], argnums=wrt))(
                    *args
                )
                slopes = want[1] if wrt == (0, 1, 2) else want[1][wrt]
                equal(got, (want[0], slopes), 1e-11)


@pytest.mark.parametrize("way", WAYS, ids=name)
def test_the_naive_replay_of_the_tape_agrees(way):
    for reverse in (False, True):
        loss, args = loss_of("elman", 7, reverse=reverse, **way)
        tape = wengert.record(value_and_grad(loss, argnums=(0, 1)), *args)
        tape.verify()
        values = oracle.forward(tape, leaves(args))
        found = value_and_grad(loss, argnums=(0, 1))(*args)
        for slot, x in zip(tape.outputs, leaves(found), strict=True):
            np.testing.assert_allclose(values[slot], x, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("way", [*WAYS[::2], {"truncate": 3}, {"truncate": 3, "checkpoint": 2}], ids=name)
def test_float32_stays_float32(way):
    u, xs = U.astype(np.float32), RNG.normal(size=(13, 2, 3)).astype(np.float32)

    def loss(u, h, xs, **options):
        h, ys = scan(lambda h, x: (np.tanh(h @ u + x), h), h, xs, **options)
        return weigh((h, ys))

    args = (u, np.zeros((2, 3), np.float32), xs)
    got = value_and_grad(functools.partial(loss, **way), argnums=(0, 1, 2))(*args)
    assert {x.dtype for x in leaves(got)} == {np.dtype(np.float32)}
    if "truncate" not in way:
        equal(got, value_and_grad(loss, argnums=(0, 1, 2))(*args), 1e-5)


@pytest.mark.parametrize("way", [*WAYS[:-1], {"truncate": 2}], ids=name)
def test_a_python_float_as_carry_takes_the_dtype_of_the_loop(way):
    xs = np.arange(6, dtype=np.float32)
    for start in (0.0, (0.0, 0)):

        def step(c, x):
            first = c[0] if isinstance(c, tuple) else c
            new = first * 0.5 + x
            return ((new, c[1] + 1) if isinstance(c, tuple) else new), new

        got, want = scan(step, start, xs, **way), scan(step, start, xs)
        equal(got, want, 1e-6)
        assert leaves(got)[0].dtype == np.float32


@pytest.mark.parametrize("way", WAYS, ids=name)
def test_values_that_the_step_captures(way):
    """Arrays and traced values of around the loop, and of around the loop around it."""
    table = RNG.normal(size=(5, 3))
    ks = RNG.integers(0, 5, size=(11, 2))

    def loss(a, table, **options):
        outer = np.sin(a)

        def step(h, k):
            h = np.tanh(h * outer + table[k] @ U * a.sum())
            return h, np.sum(h, axis=1)

        return weigh(scan(step, np.zeros((2, 3)), ks, **options))

    args, wrt = (np.array([0.1, 0.7, -0.4]), table), (0, 1)
    equal(jit(grad(functools.partial(loss, **way), wrt))(*args), grad(loss, wrt)(*args))


@pytest.mark.parametrize("way", [*WAYS, {"truncate": 2}, {"truncate": 2, "checkpoint": 3}], ids=name)
def test_second_derivatives(way):
    def loss(h, xs, **options):
        return scan(lambda c, x: (np.sin(c) * x, None), h, xs, **options)[0]

    f, xs = functools.partial(loss, **way), np.linspace(0.5, 1.5, 7)
    same = functools.partial(loss, **({"truncate": 2} if "truncate" in way else {}))
    for twice in (
        lambda f: grad(grad(f)),
        lambda f: grad(jit(grad(f))),
        lambda f: jit(grad(jit(grad(jit(f))))),
        lambda f: grad(lambda h, xs: np.sum(grad(f, argnums=1)(h, xs) ** 2)),
    ):
        equal(twice(f)(1.2, xs), twice(same)(1.2, xs), 1e-11)
        if "truncate" not in way:
            equal(twice(f)(1.2, xs), twice(lambda h, xs: looped(lambda c, x: (np.sin(c) * x, c), h, xs)[0])(1.2, xs))


@pytest.mark.parametrize("way", WAYS[::2], ids=name)
def test_gradients_inside_loops_and_loops_inside_loops(way):
    """An inner optimisation by gradient steps, differentiated; a checkpointed loop in a checkpointed one."""

    def inner(w, a, **options):
        return scan(lambda c, x: (np.sin(c * a) + x * w, None), w, np.linspace(0, 1, 8), **options)[0]

    def descended(a, **options):
        return scan(lambda w, _: (w - 0.1 * grad(inner)(w, a, **options), None), 0.3, None, 5, **options)[0]

    def nested(a, **options):
        return scan(lambda w, _: (np.tanh(inner(w, a, **options)), w), 0.3, None, 5, **options)[0]

    for f in (descended, nested):
        want = grad(f)(0.8)
        saving = functools.partial(f, **way)
        for got in (grad(saving)(0.8), jit(grad(saving))(0.8), grad(jit(saving))(0.8), jit(grad(jit(saving)))(0.8)):
            equal(got, want, 1e-11)


def test_one_loop_differentiated_twice_in_one_program():
    """The stored carries are needed by two adjoints, of which the first must not spoil them for the second."""

    def loss(a, b, **options):
        h, ys = scan(lambda h, x: (np.tanh(h @ U * a + x), h), np.ones((2, 3)) * b, np.ones((9, 2, 3)), **options)
        return np.sum(h) * a, np.sum(ys)

    def both(a, b, **options):
        first = grad(lambda a, b: loss(a, b, **options)[0], argnums=(0, 1))(a, b)
        second = grad(lambda a, b: loss(a, b, **options)[1], argnums=(0, 1))(a, b)
        return first, second

    for way in WAYS:
        equal(jit(functools.partial(both, **way))(0.7, 1.1), both(0.7, 1.1))


def test_a_nan_of_an_early_step_is_not_lost():
    def loss(h, xs, **options):
        return np.sum(scan(lambda h, x: (np.sqrt(h - x), None), h, xs, **options)[0])

    h, xs = np.array([9.0, 1.0]), np.array([[0.0, 2.0], *[[0.0, 0.0]] * 9])
    want = value_and_grad(loss, argnums=(0, 1))(h, xs)
    assert np.isnan(want[0])
    for way in WAYS:
        got = value_and_grad(functools.partial(loss, **way), argnums=(0, 1))(h, xs)
        for a, b in zip(leaves(got), leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


# --- memory ------------------------------------------------------------------------------------------------------


PEAK = """
import numpy as np, wengert
def peak():  # of this program alone: the peak that getrusage knows is handed on by the process that started it
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
rng = np.random.default_rng(0)
u, w = (0.1 * rng.normal(size=s).astype(np.float32) for s in ((64, 64), (1, 64)))
xs, h = rng.normal(size=(20_000, 16, 1)).astype(np.float32), np.zeros((16, 64), np.float32)
def gradient(xs, **options):
    return wengert.jit(wengert.grad(lambda u: np.mean(wengert.scan(
        lambda h, x: (np.tanh(h @ u + x * w), None), h, xs, **options)[0] ** 2)))(u)
options = {options}
gradient(xs[:50]), gradient(xs[:50], checkpoint=5)
before = peak()
gradient(xs, **options)
print((peak() - before) / 1024)
"""


def peak(**options):
    """Mebibytes that a gradient adds to the peak of a process of its own."""
    source = PEAK.replace("{options}", repr(options)).replace("Binomial", "wengert.Binomial")
    found = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    return float(found.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="peaks in KiB are Linux's")
def test_the_peak_of_memory_is_lower():
    assert peak() > 70  # the carries of 20 000 steps, 16 times 64 single-precision numbers each, are 78 MiB
    for way in ({"checkpoint": "sqrt"}, {"checkpoint": Binomial(10)}, {"memory": "20 MB"}):
        assert peak(**way) < 40
