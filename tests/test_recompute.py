"""Values that are computed again in place of being kept are the same to the bit, and fewer bytes move."""

import numpy as np
import pytest
from test_simplify import replayed

import wengert
from wengert.plan.layout import Layout
from wengert.plan.lower import lowered
from wengert.plan.recompute import recompute
from wengert.plan.simplify import simplify
from wengert.plan.slices import push_slices

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 40)), RNG.normal(size=(60, 40))


def written(tape):
    """Bytes of what regions write."""
    layout = Layout(compile=True, alone=True)
    lowered(tape, layout)
    return sum(tape.avals[s].nbytes for _, results in layout.regions.values() for s in results)


def layer_norm(x, y):
    centred = x - np.mean(x, axis=1, keepdims=True)
    scale = 1.0 / np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + 1e-5)
    return np.sum((centred * scale - y) ** 2)


def softmax(x, y):
    shifted = x - np.max(x, axis=1, keepdims=True)
    return np.sum(np.log(np.sum(np.exp(shifted), axis=1)) - np.sum(shifted * y, axis=1))


def distance(x, y):
    return np.sqrt(np.sum((x - y) ** 2)) + np.sqrt(np.sum((x - y) ** 2 * y))


def products(x, y):
    h = np.tanh(x @ y.T) - 0.5
    return np.sum((h @ y - x) ** 2) + np.log(np.sum((h - 1.0) ** 2))


FUNCTIONS = [layer_norm, softmax, distance, products]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_the_same_bits_and_no_more_of_them(f, dtype):
    args = X.astype(dtype), Y.astype(dtype)
    tape = push_slices(simplify(wengert.record(wengert.value_and_grad(f, (0, 1)), *args)).tape)
    again = recompute(tape)
    again.verify()
    for a, b in zip(replayed(tape, *args), replayed(again, *args), strict=True):
        np.testing.assert_array_equal(a, b)
    assert written(again) <= written(tape)


@pytest.mark.parametrize("f", [layer_norm, softmax, distance], ids=lambda f: f.__name__)
def test_a_difference_is_not_kept_for_the_way_back(f):
    tape = push_slices(simplify(wengert.record(wengert.value_and_grad(f, (0, 1)), X, Y)).tape)
    again = recompute(tape)
    assert len(again) > len(tape)
    assert written(again) < written(tape)


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_jit_agrees_with_differences(f):
    value, slopes = wengert.jit(wengert.value_and_grad(f, (0, 1)))(X, Y)
    assert value == pytest.approx(f(X, Y), rel=1e-12)
    v, w, h = *np.random.default_rng(1).normal(size=(2, *X.shape)), 1e-6
    along = (f(X + h * v, Y + h * w) - f(X - h * v, Y - h * w)) / (2 * h)
    assert np.sum(slopes[0] * v) + np.sum(slopes[1] * w) == pytest.approx(along, rel=1e-6)


def test_what_is_dear_or_small_or_a_result_is_kept():
    def dear(x):
        h = np.exp(x)
        return np.sum(h) * np.sum(h * h / np.sum(h))

    for f, x in ((dear, X), (lambda x: layer_norm(x, x * 2), X[:4, :4]), (lambda x: ((d := x * 2), d / np.sum(d)), X)):
        tape = push_slices(simplify(wengert.record(f, x)).tape)
        assert len(recompute(tape)) == len(tape)
