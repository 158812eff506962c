"""Long runs: random programs with branches at many inputs, and many threads on shared functions for a minute.

python -m pytest -m slow tests/test_stress_slow.py
"""

import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_programs import ALL, BRANCHES, gap, inputs, loss, programs, same, shapes_of_inputs

import wengert

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore::wengert.RecordingWarning")  # that it records often is not the question
@settings(max_examples=500, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(programs(ALL, 9), st.sampled_from(sorted(BRANCHES)), shapes_of_inputs, st.integers(0, 1000))
def test_500_branching_programs_at_20_inputs(program, last, shapes, seed):
    """Every replay has NumPy's value, whatever branch the input asks for."""
    f = loss([(last, 0, 1, 3), *program, (last, 0, 2, 1)])
    replayed = wengert.jit(f)
    for k in range(20):
        args = inputs(shapes, seed + k, (1.0, 0.1, 3.0)[k % 3])
        if gap(f, *args) >= 1e-9:
            same(replayed(*args), f(*args), 1e4)


def newton(a):
    x = a
    while abs(x * x - a) > 1e-9 * a:
        x = 0.5 * (x + a / x)
    return x if x > 1.2 else -x


def recurrent(w, xs):
    h, ys = wengert.scan(lambda h, x: ((h := np.tanh(x + h @ w)), h), np.zeros((8, w.shape[0])), xs)
    return np.mean(ys**2) + np.sum(h)


def test_8_threads_for_a_minute():
    """Branches, loops that are shared between threads, regions that are compiled meanwhile: always the same bits."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(16, 16)) / 4
    root, loop = wengert.jit(wengert.value_and_grad(newton)), wengert.jit(wengert.value_and_grad(recurrent))
    chain = wengert.jit(wengert.value_and_grad(lambda x: np.sum(np.tanh(x * 2 + 1) * np.exp(-x * x))))
    cases = [(root, (float(a),)) for a in rng.uniform(0.5, 9.0, 12)]
    cases += [(loop, (w, rng.normal(size=(20, 8, 16)))) for _ in range(4)]
    cases += [(chain, (rng.normal(size=n),)) for n in (10, 1000, 100_000)]
    wanted = [f(*args) for f, args in cases]
    faults, calls = [], [0] * 8
    until = time.monotonic() + 60

    def work(number):
        mine = np.random.default_rng(number)
        while time.monotonic() < until and not faults:
            k = mine.integers(len(cases))
            f, args = cases[k]
            value, slope = f(*args)
            if value != wanted[k][0] or not np.array_equal(slope, wanted[k][1]):
                faults.append((k, value, wanted[k][0]))
            calls[number] += 1

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"\n{sum(calls)} calls by 8 threads")
    assert not faults
    assert min(calls) > 100
