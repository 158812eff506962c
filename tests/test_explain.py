"""explain: its numbers are those of what runs."""

import numpy as np
import pytest

import wengert
from wengert import explain


def test_what_goes_and_what_is_left():
    def f(x):
        np.tanh(x)  # for nobody
        y = np.exp(x) * 1.0
        return np.sum((y + np.exp(x)).reshape(2, 50), axis=0)

    found = explain(f, np.ones(100))
    assert (found.recorded, found.dead, found.identities, found.common, found.views) == (7, 1, 1, 1, 1)
    assert [(r.instructions, r.results, r.shape, r.times) for r in found.regions] == [(2, 1, (100,), 1)]
    assert found.packets == found.calls == 2
    assert found.kernels == {"region of 2": 1, "sum.f8": 1}
    assert found.bytes_moved == 800 + 800 + 800 + 400
    assert found.bytes_kept >= 800 + 800


def test_loops_count_every_step():
    def f(h, xs):
        carry, _ = wengert.scan(lambda h, x: (np.tanh(0.5 * h + x), None), h, xs)
        return carry

    short, long = (explain(f, np.ones(8), np.ones((n, 8))) for n in (10, 30))
    assert short.packets == long.packets
    assert {r.times for r in short.regions} == {10}
    assert {r.times for r in long.regions} == {30}
    step = 8 + 3 * 64  # 0.5; h, x and the new h
    assert (short.bytes_moved, long.bytes_moved) == (10 * step, 30 * step)
    assert long.calls - short.calls == 20


def test_a_gradient_keeps_what_its_backward_pass_reads():
    x = np.linspace(0.5, 1.0, 3000)

    def f(x):
        for _ in range(4):
            x = np.tanh(x)[::-1]
        return np.sum(x)

    assert explain(wengert.grad(f), x).bytes_kept > explain(f, x).bytes_kept


def test_its_text_says_all_of_it():
    text = str(explain(wengert.grad(lambda x: np.sum(np.tanh(x) ** 2)), np.ones(9)))
    for word in ("instructions recorded", "gone", "regions", "calls", "kept", "moved", "kernels", "test_explain.py:"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_jitted_function_can_be_explained_and_errors_pass():
    assert explain(wengert.jit(lambda x: x * 2), 1.0).recorded == 1
    assert explain(lambda x: 3.0, 1.0).packets == 0
    with pytest.raises(ZeroDivisionError):
        explain(lambda x: 1 / 0, 1.0)


def test_loops_over_elements_are_said_to_be_arrays():
    def f(x):
        return sum((x[i] * x[i] + 1.0 for i in range(len(x))), 0.0)

    found = wengert.explain(f, np.ones(50))
    assert found.rolled > 90
    assert found.calls == 2
    assert "into arrays" in str(found)
