"""Loops over elements, rolled up into array instructions, give the very bits of the loop."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_simplify import names, replayed

import wengert
from wengert.ops.chain import CHAIN
from wengert.plan.passes import passed
from wengert.plan.rolled import roll

RNG = np.random.default_rng(0)
X, M = RNG.uniform(-1, 1, 40), RNG.uniform(-1, 1, (12, 5))


def same_bits(f, *inputs):
    tape = wengert.record(f, *inputs)
    rolled = roll(tape)
    rolled.verify()
    planned = passed(tape).tape
    planned.verify()
    want = replayed(tape, *inputs)
    for found in (replayed(rolled, *inputs), replayed(planned, *inputs)):
        for a, b in zip(want, found, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    return tape, rolled


def rosen(x):
    total = 0.0
    for i in range(len(x) - 1):
        total = total + 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


def pairs(x):
    total = x[0]
    for i in range(len(x)):
        for j in range(i):
            total = total + np.exp(-((x[i] - x[j]) ** 2))
    return total


def matrix(m):
    total = 0.0
    for i in range(m.shape[0]):
        for j in range(m.shape[1]):
            total += math.sin(i) * np.tanh(m[i, j]) * m[i][0]
    return total


def recurrence(x):
    s = x[0]
    for k in range(1, len(x)):
        s = np.tanh(s * 0.9 + x[k])
    return s


def backwards(x):
    total = 0.0
    for i in reversed(range(len(x))):
        total = x[i] * x[len(x) - 1 - i] + total
    return total


def squares(x):
    return np.stack([x[i] * x[i] - 1.0 for i in range(len(x))])


def branches(x):
    total = 0.0
    for i in range(len(x)):
        if x[i] > 0:
            total = total + np.sqrt(x[i])
        else:
            total = total - x[i] * 2.0
    return total


def every_third(x):
    return sum((x[i] * 3.0 - 1.0 for i in range(0, len(x), 3)), np.float64(0))


def same_number(x):
    a = np.exp(x[0])
    return sum((np.sin(x[1]) * a + x[i] for i in range(len(x))), np.float64(0))


def two_passes(x):
    mean = sum((x[i] for i in range(len(x))), 0.0) / len(x)
    return sum(((x[i] - mean) ** 2 for i in range(len(x))), 0.0)


def product(x):
    p = x[0]
    for i in range(1, len(x)):
        p = p * (1.0 + x[i] * 0.1)
    return p


def mixed(x):
    y = np.tanh(x) * 2.0
    total = np.sum(y)
    for i in range(len(x)):
        total = total + y[i] * x[i] + np.sum(y[: i % 3])
    return total


def numbers_first(x):
    values = [np.cos(x[i]) for i in range(len(x))]
    half = [values[i] * values[i + 1] for i in range(0, len(x) - 1, 2)]
    return sum(half, 0.0) + values[3] * values[7]


def a_sum_that_others_read(x):
    squares = [x[i] * x[i] for i in range(len(x))]
    start = squares[0] + squares[1]
    copies = [start + squares[2] for _ in range(10)]
    total = copies[0]
    for k in range(3, len(x)):
        total = total + squares[k]
    return total + copies[1] * copies[5]


def a_view_of_a_number(x):
    same = [x[0] * 2.0 for _ in range(20)]
    y, z = same[5][None], np.tanh(x[3])[None]
    return np.stack([y[0] * x[i] + z[0] for i in range(len(x))])


LOOPS = [rosen, pairs, recurrence, backwards, squares, every_third, same_number, two_passes, product, mixed]
LOOPS += [numbers_first, branches, a_view_of_a_number, a_sum_that_others_read]


def gradient(f):
    return wengert.grad(lambda x: np.sum(f(x)))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("f", [*LOOPS, matrix], ids=lambda f: f.__name__)
def test_the_same_bits(f, dtype):
    x = (M if f is matrix else X).astype(dtype)
    x = x[:20] if f is pairs else x
    same_bits(f, x)
    same_bits(gradient(f), x)


@pytest.mark.parametrize("f", [rosen, pairs, two_passes, same_number], ids=lambda f: f.__name__)
def test_the_second_order(f):
    slope = gradient(f)
    same_bits(wengert.grad(lambda x: np.sum(slope(x) ** 2)), X[:15])


@pytest.mark.parametrize("f", [*LOOPS, matrix], ids=lambda f: f.__name__)
def test_jit_agrees_with_the_plain_function(f):
    x = M if f is matrix else X
    np.testing.assert_allclose(wengert.jit(f)(x), f(x), rtol=1e-13)
    np.testing.assert_allclose(wengert.jit(gradient(f))(x), gradient(f)(x), rtol=1e-12, atol=1e-14)


def test_special_values_go_through():
    x = X.copy()
    x[[3, 8, 20, 21]] = np.nan, np.inf, 0.0, -0.0
    with np.errstate(all="ignore"):
        for f in (rosen, squares, backwards):
            same_bits(f, x)
            same_bits(gradient(f), x)


def test_a_loop_is_a_few_instructions():
    x = np.linspace(-1, 1, 500)
    tape, _ = same_bits(wengert.value_and_grad(rosen), x)
    assert len(tape) > 4000  # the forward pass as it was recorded; the adjoint is of what it was rolled up to
    few = passed(tape).tape
    assert len([op for op, _, _, _ in few.instructions if op.name not in ("index", "reshape", "broadcast")]) < 40
    assert names(few).count("chain") == 1


def test_what_depends_on_the_last_turn_stays_as_it_is():
    tape = wengert.record(recurrence, X)
    assert names(roll(tape)).count("tanh") == len(X) - 1


def test_what_lies_unevenly_is_gathered():
    _, rolled = same_bits(pairs, X[:12])
    assert "gather" in names(rolled)


def test_short_loops_and_arrays_are_left_alone():
    for f, x in ((rosen, X[:4]), (lambda x: np.tanh(x) * 2, X)):
        tape = wengert.record(f, x)
        assert roll(tape) is tape


def test_long_tapes_without_loops_over_elements_are_given_up_early():
    tape = wengert.record(lambda x: [s := x[0]] and [s := np.sin(s) * x[1] for _ in range(4000)][-1], X)
    assert roll(tape) is tape


def test_guards_keep_their_order_and_see_their_values():
    def f(x):
        total = 0.0
        for i in range(len(x)):
            total = total + x[i] * x[i]
            if i % 10 == 9 and total > 100.0:
                return -total
        return total

    g = wengert.jit(f)
    for scale in (1.0, 3.0, 10.0, 100.0, 1.0, 10.0):
        assert g(X * scale) == f(X * scale)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_loops(data):
    n = data.draw(st.integers(9, 24))
    steps = data.draw(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6)
    )
    stride = data.draw(st.integers(1, 2))

    def f(x):
        total = x[0] * 0.5
        for i in range(0, n - 4, stride):
            values = [x[i], x[i + 1], x[(i * 7) % n], total * 0.0 + 1.0, x[2]]
            for op, a, b in steps:
                u, v = values[a % len(values)], values[b % len(values)]
                values.append([u + v, u - v, u * v, np.tanh(u), np.where(u > v, u, v), u / (v * v + 1.0)][op])
            total = total + values[-1]
        return total

    x = np.random.default_rng(data.draw(st.integers(0, 1000))).normal(size=n)
    same_bits(f, x)
    same_bits(gradient(f), x)


def test_a_sum_in_order():
    x, y = RNG.normal(size=9), RNG.normal(size=9)
    total = np.float64(0.25)
    for a, b in zip(x, y, strict=True):
        total = (total + a) + b
    assert CHAIN.forward([np.float64(0.25), x, y], ()) == total
    bars = CHAIN.pullback(np.float64(2.0), [np.float64(0.25), x, y], total, ())
    assert float(bars[0]) == 2.0
    assert all((b == 2.0).all() and b.shape == (9,) for b in bars[1:])
