"""A tape whose slices are pushed towards what lies in memory gives the same bits."""

import numpy as np
import pytest
from test_simplify import names, replayed

import wengert
from wengert.ops.index import SLICE, segments
from wengert.plan.simplify import simplify
from wengert.plan.slices import push_slices

RNG = np.random.default_rng(0)
X, M = RNG.normal(size=100), RNG.normal(size=(40, 30))


def same_bits(f, *inputs):
    tape = simplify(wengert.record(f, *inputs)).tape
    pushed = push_slices(tape)
    pushed.verify()
    for a, b in zip(replayed(tape, *inputs), replayed(pushed, *inputs), strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()
    return tape, pushed


VECTORS = {
    "rosen": lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
    "three neighbours": lambda x: np.sum((x[2:] - 2 * x[1:-1] + x[:-2]) ** 2),
    "of a product": lambda x: np.sum((x * x + 1)[1:] * (x * x + 1)[:-1]),
    "of functions": lambda x: np.sum(np.exp(x)[1:] * np.tanh(x)[:-1]),
    "steps": lambda x: np.sum((x * 2)[::2] * (x * 3)[1::2]),
    "backwards": lambda x: np.sum((x * 2)[::-1] * (x + 1)),
    "slices of slices": lambda x: np.sum((((x * 2)[1:] + 1)[1:] * 3)[:-2] ** 2),
    "whole and parts": lambda x: np.sum(x * 2) * np.sum((x * 2)[:50]) + np.sum((x * 2)[50:] ** 2),
    "single elements": lambda x: (x * x)[0] + np.sum((x * x)[1:] * x[0]),
    "put together": lambda x: np.sum(np.concatenate([(x * 2)[10:], (x * 2)[:10]]) ** 3),
    "taken apart and put together": lambda x: np.sum(np.concatenate([x[:10], x[10:]])[5:] * 3),
    "mixed types": lambda x: np.sum((x.astype(np.float32) * 2)[1:].astype(np.float64) * x[:-1]),
    "masked": lambda x: np.sum(np.where(x[1:] > x[:-1], x[1:] - x[:-1], 0.0) ** 2),
    "gap": lambda x: np.sum(x[10:30] ** 2 + x[50:70]),
    "one slice": lambda x: np.sum(x[90:] ** 2),
}
MATRICES = {
    "rows": lambda x: np.sum((x[1:] - x[:-1]) ** 2),
    "columns": lambda x: np.sum((x[:, 1:] * x[:, :-1]) ** 2),
    "laplace": lambda x: np.sum((4 * x[1:-1, 1:-1] - x[2:, 1:-1] - x[:-2, 1:-1] - x[1:-1, 2:] - x[1:-1, :-2]) ** 2),
    "broadcast": lambda x: np.sum((x + x[:1])[1:] * (x * x[:, :1])[:-1]),
    "gates with a bias": lambda x: np.sum(
        np.tanh((x + x[3] * 2)[:, :10]) * (x + x[3] * 2)[:, 10:20] * (x * x[:, :1])[:, 20:]
    ),
    "gates": lambda x: np.sum(np.tanh(x)[:, :10] * (x * 2)[:, 10:20] + (x + 1)[:, 20:]),
}


@pytest.mark.parametrize("order", ["value", "gradient", "second"])
@pytest.mark.parametrize("name", [*VECTORS, *MATRICES])
def test_the_same_bits(name, order):
    f, x = (VECTORS[name], X) if name in VECTORS else (MATRICES[name], M)
    slope = wengert.grad(f)
    what = {"value": f, "gradient": slope, "second": wengert.grad(lambda x: np.sum(slope(x) ** 2))}[order]
    same_bits(what, x)


@pytest.mark.parametrize("name", [*VECTORS, *MATRICES])
def test_the_gradient_is_that_of_differences(name):
    f, x = (VECTORS[name], X) if name in VECTORS else (MATRICES[name], M)
    v, h = np.random.default_rng(1).normal(size=x.shape), 0.5 if name == "mixed types" else 1e-6  # it is quadratic
    along = (f(x + h * v) - f(x - h * v)) / (2 * h)
    tolerance = 1e-6
    np.testing.assert_allclose(np.sum(wengert.jit(wengert.grad(f))(x) * v), along, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(wengert.jit(wengert.grad(f))(x), wengert.grad(f)(x), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(
    ("f", "shape"),
    [
        (lambda x: (x * 2.0)[:, 0:0], (100, 1)),
        (lambda x: (x[:, None] * 2.0)[:, 0:0], (100,)),
        (lambda x: np.sum((x * 2.0 + x)[:, 1:], axis=0), (100, 1)),
        (lambda x: np.concatenate([(x * 2.0 + x)[:, 1:], (x * 2.0 + x)[:, :1]], axis=1), (100, 1)),
        (lambda x: np.where(x > 0, x, x[:1])[0:0], (2, 70)),
        (lambda x: (x + x[:1])[1:1], (3, 70)),
    ],
)
def test_empty_slices_and_axes_of_length_one(f, shape):
    _, pushed = same_bits(f, np.ones(shape))
    assert [pushed.avals[s].shape for s in pushed.outputs] == [f(np.ones(shape)).shape]


@pytest.mark.parametrize("shape", [(3,), (33, 40), (600,)])
def test_a_value_and_its_own_reversal(shape):
    """The sum in place must not write what it is still to read."""
    x = np.random.default_rng(0).normal(size=shape)

    def f(x):
        m = x * 2.0
        return np.sum((m[::-1] + m) ** 2)

    for slope in (wengert.grad(f), wengert.jit(wengert.grad(f))):
        np.testing.assert_allclose(slope(x), 16 * (x + x[::-1]), rtol=1e-12)
    np.testing.assert_allclose(wengert.grad(lambda x: np.sum((x[::-1] * x) ** 2))(x), 4 * x * x[::-1] ** 2, rtol=1e-12)


def test_nothing_is_written_that_is_only_read_in_parts():
    def slope(x):
        return wengert.grad(VECTORS["rosen"])(x)

    _, pushed = same_bits(slope, X)
    whole = {s for op, _, ins, _ in pushed.instructions if op.name == "index" for s in ins}
    assert whole.isdisjoint(outs[0] for op, outs, _, _ in pushed.instructions if op.name not in ("index", "broadcast"))


def test_what_is_dear_is_computed_once():
    _, pushed = same_bits(lambda x: np.exp(x)[1:] * np.exp(x)[:-1], X)
    assert names(pushed).count("exp") == 1
    _, pushed = same_bits(lambda x: np.exp(x)[50:] * np.exp(x)[:50], X)  # no element twice
    assert names(pushed).count("exp") == 2


def test_slices_side_by_side_are_one():
    _, pushed = same_bits(lambda x: np.concatenate([x[:10], x[10:30]]) * 2, X)
    assert "concatenate" not in names(pushed)


def test_small_arrays_are_left_alone():
    tape = simplify(wengert.record(lambda x: (x * 2)[1:], np.ones(8))).tape
    assert push_slices(tape) is tape


def test_an_axis_in_segments():
    def cut(*spans):
        return segments((10,), [(SLICE, start, 1, stop - start) for start, stop in spans])

    assert cut((0, 10)) is None
    assert cut((2, 5))[1] == [(0, 2, ()), (2, 5, (0,)), (5, 10, ())]
    assert cut((1, 10), (0, 9))[1] == [(0, 1, (1,)), (1, 9, (0, 1)), (9, 10, (0,))]
    assert cut(*((k, k + 1) for k in range(10)))[1] == [(k, k + 1, (k,)) for k in range(10)]
    assert cut(*((k, k + 5) for k in range(5))) is None  # too many that overlap
    assert segments((10,), [(SLICE, 0, 2, 5)]) is None
    assert segments((4, 4), [(SLICE, 0, 1, 2, SLICE, 0, 1, 2)]) is None
    assert segments((4, 4), [(SLICE, 0, 1, 4, SLICE, 1, 1, 2)])[0] == 1
