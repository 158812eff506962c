"""Storage is handed out by lifetime: what is dead makes room, and nothing that is alive is written over."""

from itertools import pairwise

import numpy as np
import pytest

import wengert
from wengert.plan.layout import Layout
from wengert.shapes import F64, aval


def room(*shape):
    return aval(F64, shape)


def placed(layout, what):
    number = layout.new(what)
    layout.place[number] = layout.take(what)
    return number


def test_spare_storage_of_the_same_size_is_taken_again():
    layout = Layout(compile=False)
    first = placed(layout, room(100))
    layout.give_back(first)
    assert layout.place[placed(layout, room(100))] == layout.place[first]


def test_smaller_arrays_are_cut_from_larger_spare_storage():
    layout = Layout(compile=False)
    large = placed(layout, room(4000))
    layout.give_back(large)
    top = layout.top
    parts = [placed(layout, room(1000)) for _ in range(4)]
    assert layout.top == top
    assert [layout.place[p] - layout.place[large] for p in parts] == [0, 8000, 16000, 24000]
    assert layout.place[placed(layout, room(1000))] >= top - 64


def test_nothing_alive_overlaps():
    rng = np.random.default_rng(0)
    layout, alive = Layout(compile=False), {}
    for _ in range(2000):
        if alive and rng.random() < 0.5:
            layout.give_back(alive.pop(rng.choice([*alive])))
        else:
            number = placed(layout, room(int(rng.integers(1, 3000))))
            alive[number] = number
        spans = sorted((layout.place[n], layout.place[n] + layout.avals[n].nbytes) for n in alive)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))


@pytest.mark.parametrize("gradient", [False, True])
def test_a_narrowing_network_needs_little_more_than_its_widest_part(gradient):
    rng = np.random.default_rng(0)
    sizes = [300, 250, 200, 150, 100, 50, 10]
    weights = [rng.normal(size=s) / 16 for s in pairwise(sizes)]
    x = rng.normal(size=(200, 300))

    def f(x):
        for w in weights:
            x = np.tanh(x @ w)
        return np.sum(x)

    if not gradient:
        assert wengert.explain(f, x).bytes_kept < 2 * 200 * 250 * 8 + 50_000
    g = wengert.grad(f) if gradient else f
    np.testing.assert_allclose(wengert.jit(g)(x), g(x), rtol=1e-12, atol=1e-14)
