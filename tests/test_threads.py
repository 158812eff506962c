"""Work shared between threads: the same results as on one, whoever runs the parts."""

import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import in_threads

import wengert
from wengert.errors import OptionError
from wengert.loops import lowering
from wengert.loops.split import split
from wengert.ops import matmul


@pytest.fixture
def shared(monkeypatch):
    """Three threads, and every loop and product that can be shared is shared."""
    monkeypatch.setattr(lowering, "_GAIN", -1.0)
    monkeypatch.setattr(lowering, "_ROWS", 1)
    monkeypatch.setattr(matmul, "_SHARED", 1)
    before = wengert.num_threads()
    yield wengert.set_num_threads
    wengert.set_num_threads(before)


def rnn(h, x, p):
    return np.tanh(x @ p["w"] + h @ p["u"] + p["b"])


def gated(h, x, p):
    z = x @ p["w"] + h @ p["u"] + p["b"]
    gate = 1 / (1 + np.exp(-z - p["peep"] * h))
    return gate * h + (1 - gate) * np.tanh(z)


def concatenated(h, x, p):
    return np.tanh(np.concatenate([x, h], axis=1) @ np.concatenate([p["w"], p["u"]]) + p["b"])


def transposed(h, x, p):
    return np.tanh(p["u"].T @ h.T + p["w"].T @ x.T + p["b"][:, None]).T


def masked(h, x, p):
    new = rnn(h, x, p)
    return np.where(x[:, :1] > 0, new, h) * p["mask"]


def normalised(h, x, p):
    z = rnn(h, x, p)
    z = z - z.mean(axis=1, keepdims=True)
    return z / np.sqrt(1e-3 + (z**2).sum(axis=1, keepdims=True))


def mixing(h, x, p):
    z = rnn(h, x, p)
    return z - z.mean(axis=0)


CELLS = [rnn, gated, concatenated, transposed, masked, normalised, mixing]


def problem(cell, dtype=np.float64, rows=7, hidden=5):
    rng = np.random.default_rng(0)
    shapes = {"w": (3, hidden), "u": (hidden, hidden), "b": (hidden,), "peep": (hidden,), "mask": (rows, 1)}
    params = {k: (0.5 * rng.normal(size=s)).astype(dtype) for k, s in shapes.items()}
    xs = rng.normal(size=(6, rows, 3)).astype(dtype)

    def loss(params, h, xs):
        def step(carry, x):
            h, n = carry
            h = cell(h, x, params)
            return (h, n + 1.0), h * h

        (h, n), ys = wengert.scan(step, (h, 0.0), xs)
        return (np.sum(ys[1:] * xs[1:, :, :1]) + np.sum(h)) / n

    return loss, params, rng.normal(size=(rows, hidden)).astype(dtype), xs


def leaves(found):
    return [np.asarray(x) for x in wengert.tree.flatten(found)[0]]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_shared_loop_has_the_gradient_of_a_whole_one(shared, cell, dtype):
    loss, *args = problem(cell, dtype)
    found = []
    for threads in (1, 3, 2):
        shared(threads)
        found.append(leaves(wengert.jit(wengert.value_and_grad(loss, argnums=(0, 1, 2)))(*args)))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-12 if dtype is np.float64 else 1e-4, atol=1e-12)


def test_second_derivatives_of_shared_loops(shared):
    loss, params, h, xs = problem(gated)

    def twice(u):
        return np.sum(wengert.grad(lambda u: loss({**params, "u": u}, h, xs))(u) ** 2)

    shared(1)
    want = wengert.grad(twice)(params["u"])
    shared(3)
    np.testing.assert_allclose(wengert.grad(twice)(params["u"]), want, rtol=1e-10)


@pytest.mark.parametrize("cell", CELLS)
def test_which_steps_treat_rows_independently(cell):
    loss, *args = problem(cell)
    tape = wengert.record(wengert.grad(loss), *args)
    scans = [(params, tape.subtapes[params[0]]) for op, _, _, params in tape.instructions if op.name == "scan"]
    assert len(scans) == 2
    for params, body in scans:  # of h.T the rows are columns, which are not in one piece
        assert (split(body, params[1], params[2]) is None) == (cell in (mixing, transposed))


def test_rows_as_many_as_hidden_units(shared):
    """A weight then looks like a batch; it must not be taken for one."""
    for cell in CELLS[:-1]:
        loss, *args = problem(cell, rows=5, hidden=5)
        shared(1)
        want = leaves(wengert.grad(loss, argnums=(0, 1))(*args))
        shared(2)
        for a, b in zip(want, leaves(wengert.grad(loss, argnums=(0, 1))(*args)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(64, 48, 33), (3, 200, 70), (200, 3, 300), (65, 65, 65), (1, 100, 1000)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_shared_products(shared, shape, dtype):
    shared(3)
    m, n, k = shape
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    tall, wide = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    want = a.astype(np.float64) @ b.astype(np.float64)
    found = wengert.jit(lambda a, b, s, t: (a @ b, s.T @ b, a @ t.T, s.T @ t.T))(a, b, tall, wide)
    for z in found:
        assert z.dtype == dtype
        np.testing.assert_allclose(z, want, atol=1e-4 * k if dtype is np.float32 else 1e-12 * k)


def test_many_threads_of_the_user_at_once(shared):
    shared(2)
    loss, params, h, xs = problem(gated)
    f = wengert.jit(wengert.value_and_grad(loss))
    points = [{**params, "u": params["u"] * s} for s in np.linspace(0.5, 1.5, 8)]
    want = [leaves(f(p, h, xs)) for p in points]
    wrong = []

    def work(k):
        for _ in range(50):
            found = leaves(f(points[k], h, xs))
            if any(not np.array_equal(a, b) for a, b in zip(found, want[k], strict=True)):
                wrong.append(k)

    in_threads(work, 8)
    assert not wrong


def _in_child(queue, call):
    queue.put([x.tolist() for x in leaves(call())])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_the_same_results(shared):
    shared(2)
    loss, *args = problem(rnn)
    f = wengert.jit(wengert.value_and_grad(loss))
    want = [x.tolist() for x in leaves(f(*args))]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    for call in (lambda: f(*args), lambda: wengert.jit(wengert.value_and_grad(loss))(*args)):
        child = context.Process(target=_in_child, args=(queue, call))
        child.start()
        assert queue.get(timeout=60) == want
        child.join()


def test_an_error_in_a_part_is_reported(shared):
    shared(3)
    f = wengert.jit(lambda table, ks: wengert.scan(lambda h, k: (h + table[k], None), np.zeros(6), ks)[0])
    table, ks = np.arange(5.0), np.ones((4, 6), np.int64)
    assert f(table, ks).tolist() == [4.0] * 6
    ks[2, 5] = 7
    with pytest.raises(IndexError, match="out of bounds"):
        f(table, ks)
    ks[2, 5] = 1
    assert f(table, ks).tolist() == [4.0] * 6


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", True, None])
def test_numbers_of_threads_that_cannot_be(bad):
    before = wengert.num_threads()
    with pytest.raises(OptionError, match="whole number of at least 1"):
        wengert.set_num_threads(bad)
    assert wengert.num_threads() == before


def test_an_error_in_a_part_of_a_loop_that_is_run_again(shared):
    shared(3)
    table, good = np.arange(5.0), np.ones((12, 6), np.int64)
    bad = good.copy()
    bad[7, 5] = 9
    for checkpoint in (4, wengert.Binomial(2, 2)):

        def loss(table, ks, checkpoint=checkpoint):
            step = lambda h, k: (np.sin(h + table[k]), None)
            return np.sum(wengert.scan(step, np.zeros(6), ks, checkpoint=checkpoint)[0])

        f = wengert.jit(wengert.grad(loss))
        want = f(table, good)
        with pytest.raises(IndexError, match="out of bounds"):
            f(table, bad)
        np.testing.assert_array_equal(f(table, good), want)


# --- processes: how they begin, split and end ------------------------------------------------------------------

LOOP = """
import os, signal, threading, time
import numpy as np, wengert
from wengert.loops import lowering
lowering._GAIN, lowering._ROWS = -1.0, 1
wengert.set_num_threads(3)
h, xs = np.ones((7, 5)), np.ones((20, 7, 5))
def new():
    return wengert.jit(wengert.value_and_grad(
        lambda u: np.sum(wengert.scan(lambda c, x: (np.tanh(c * u + x), None), h, xs)[0])))
u = np.linspace(0, 1, 5)
"""
EXIT = "f = new(); f(u); print('left')"
EXIT_BUSY = """
def work():
    f = new()
    while True:
        f(u)
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
print('left')
"""
AT_EXIT = "import atexit; atexit.register(lambda: print('left', float(new()(u)[0])))"
FORKS = """
want = new()(u)[0]
f = new()
def family(depth):
    signal.alarm(60)
    good = f(u)[0] == want and new()(u)[0] == want
    if depth:
        child = os.fork()
        if not child:
            os._exit(family(depth - 1))
        good = good and os.waitpid(child, 0)[1] == 0
        good = good and f(u)[0] == want
    return 0 if good else 1
print('left' if family(3) == 0 else 'wrong')
"""
NO_THREAD = """
def refused(self):
    raise RuntimeError("can't start new thread")
start, threading.Thread.start = threading.Thread.start, refused
value = new()(u)[0]
threading.Thread.start = start
print('left' if value == new()(u)[0] else 'wrong')
"""
BLAS_AT_ONCE = """
import importlib.machinery
load = importlib.machinery.ExtensionFileLoader.exec_module
def slowly(self, module):
    time.sleep(0.2)
    load(self, module)
importlib.machinery.ExtensionFileLoader.exec_module = slowly
found = []
def work(n):
    found.append(wengert.jit(lambda a: a @ a)(np.eye(n)).trace() == n)
threads = [threading.Thread(target=work, args=(n,)) for n in (3, 4, 5)]
[t.start() for t in threads], [t.join() for t in threads]
print('left' if found == [True] * 3 else 'wrong')
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(EXIT, id="exit while workers wait"),
        pytest.param(EXIT_BUSY, id="exit while workers work"),
        pytest.param(AT_EXIT, id="first call at exit"),
        pytest.param(FORKS, id="forks of forks"),
        pytest.param(NO_THREAD, id="no thread to be had"),
        pytest.param(BLAS_AT_ONCE, id="first products on three threads"),
    ],
)
def test_processes(program):
    found = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", LOOP + program],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("left")


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("shape", [(5000, 200), (40, 100, 131), (1100, 129)])
def test_sums_over_rows_are_shared_by_columns_to_the_same_bits(shape, dtype):
    x = (100 * np.random.default_rng(0).normal(size=shape)).astype(dtype)
    axes = tuple(range(len(shape) - 1))
    found = []
    before = wengert.num_threads()
    for threads in (1, 2, 3):
        wengert.set_num_threads(threads)
        try:
            found.append(wengert.jit(lambda x: (np.sum(x, axis=axes), np.max(x, axis=axes)))(x))
        finally:
            wengert.set_num_threads(before)
    for total, most in found:
        assert total.tobytes() == found[0][0].tobytes()
        np.testing.assert_array_equal(most, x.max(axis=axes))
    np.testing.assert_allclose(found[0][0], x.astype(np.float64).sum(axis=axes), rtol=1e-4, atol=1e-2)
