"""njit_value_and_grad: called from compiled code it gives what value_and_grad gives, or says clearly that it cannot."""

import os
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest

import wengert
from wengert import njit_value_and_grad, value_and_grad


def f(x, a, m):
    return np.sum(np.sin(x) * a + m @ x)


def example(rng, dtype="f8"):
    return rng.normal(size=5).astype(dtype), 2.0, rng.normal(size=(5, 5)).astype(dtype)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_values_and_gradients_of_all_arguments(dtype):
    rng = np.random.default_rng(0)
    function = njit_value_and_grad(f, *example(rng, dtype), argnums=(0, 1, 2))
    for _ in range(3):
        args = example(rng, dtype)
        bars = np.empty(5, dtype), np.empty(()), np.empty((5, 5), dtype)
        value, slopes = value_and_grad(f, argnums=(0, 1, 2))(*args)
        assert function(*args, *bars) == value
        for bar, slope in zip(bars, slopes):
            assert np.array_equal(bar, slope)


def test_arguments_and_gradients_may_have_any_strides():
    rng = np.random.default_rng(1)
    x, a, m = example(rng)
    function = njit_value_and_grad(f, x, a, m, argnums=(0, 2))
    wide = np.repeat(x, 3)[::3]
    bars = np.zeros((5, 2))[:, 0], np.empty((5, 5), order="F")
    x.flags.writeable = False
    assert function(wide, a, m.T, *bars) == function(x, a, np.ascontiguousarray(m.T), *map(np.empty_like, bars))
    slopes = wengert.grad(f, argnums=(0, 2))(x, a, m.T)
    assert np.array_equal(bars[0], slopes[0])
    assert np.array_equal(bars[1], slopes[1])


@pytest.mark.parametrize("n", [3, 40_000])
def test_a_gradient_may_be_written_over_its_argument(n):
    x = np.random.default_rng(2).normal(size=n)
    wanted = wengert.grad(lambda x: np.sum(np.tanh(x) ** 3))(x)
    njit_value_and_grad(lambda x: np.sum(np.tanh(x) ** 3), x)(x, x)
    assert np.allclose(x, wanted, rtol=1e-15, atol=0)


def test_a_whole_loop_is_compiled():
    target = np.array([1.0, -2.0])
    slope = njit_value_and_grad(lambda x: np.sum((x - target) ** 2), np.zeros(2))

    @numba.njit
    def descend(x, steps):
        x_bar = np.empty_like(x)
        for _ in range(steps):
            slope(x, x_bar)
            x -= 0.1 * x_bar
        return x

    assert np.allclose(descend(np.zeros(2), 200), target, rtol=1e-12)
    target[:] = 5.0, 6.0  # captured arrays are read at every call
    assert np.allclose(descend(np.zeros(2), 200), target, rtol=1e-12)


def test_loops_over_time():
    def loss(u, xs):
        carry, _ = wengert.scan(lambda h, x: (np.tanh(u * h + x), None), 0.0, xs)
        return carry**2

    xs = np.linspace(-1, 1, 3000)  # lies apart from the workspace
    u_bar, xs_bar = np.empty(()), np.empty_like(xs)
    value = njit_value_and_grad(loss, 0.5, xs, argnums=(0, 1))(0.7, xs, u_bar, xs_bar)
    wanted, slopes = value_and_grad(loss, argnums=(0, 1))(0.7, xs)
    assert np.allclose([value, u_bar], [wanted, slopes[0]], rtol=1e-14)
    assert np.allclose(xs_bar, slopes[1], rtol=1e-13, atol=0)


def test_integers_and_bools_are_arguments():
    def g(x, k, mask):
        return np.sum(np.where(mask, x, 0.0)) * k

    x, mask = np.arange(3.0), np.array([True, False, True])
    function = njit_value_and_grad(g, x, 2, mask)
    x_bar = np.empty(3)
    assert function(x, 3, ~mask, x_bar) == 3.0
    assert x_bar.tolist() == [0.0, 3.0, 0.0]


def test_many_threads_share_it():
    rng = np.random.default_rng(3)
    m = rng.normal(size=(30, 30))
    function = njit_value_and_grad(lambda x: np.sum(np.tanh(m @ x) ** 2), np.zeros(30))
    xs = rng.normal(size=(8, 50, 30))
    wanted = np.empty_like(xs)
    for k in np.ndindex(8, 50):
        function(xs[k], wanted[k])
    found = np.empty_like(xs)
    threads = [threading.Thread(target=lambda k=k: [function(x, g) for x, g in zip(xs[k], found[k])]) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(found, wanted)


def test_another_branch_raises_and_leaves_it_usable():
    function = njit_value_and_grad(lambda x: x * x if x > 0 else -x, 1.0)
    x_bar = np.empty(())
    for _ in range(200):  # more often than there are workspaces
        with pytest.raises(wengert.errors.TapeError, match="another branch"):
            function(-1.0, x_bar)
    assert function(3.0, x_bar) == 9.0
    assert x_bar == 6.0


def test_a_branch_that_is_not_there_leaves_the_arguments_alone():
    function = njit_value_and_grad(lambda x: np.sum(x * x) if x[0] > 0 else np.sum(x), np.ones(3))
    x = np.array([-1.0, 2.0, 3.0])
    with pytest.raises(wengert.errors.TapeError, match="another branch"):
        function(x, x)
    assert x.tolist() == [-1.0, 2.0, 3.0]


def test_wrong_arguments_are_refused():
    x, x_bar = np.zeros(3), np.zeros(3)
    function = njit_value_and_grad(lambda x: np.sum(x**2), x)
    with pytest.raises(ValueError, match=r"argument x must have the shape \(3,\)"):
        function(np.zeros(4), x_bar)
    with pytest.raises(ValueError, match=r"argument x_bar must have the shape \(3,\)"):
        function(x, np.zeros(2))
    for wrong in (np.zeros(3, "f4"), np.zeros((3, 1)), 1.0, np.zeros(3, int)):
        with pytest.raises(numba.TypingError):
            function(wrong, x_bar)
    x_bar.flags.writeable = False
    with pytest.raises(numba.TypingError):
        function(x, x_bar)


def test_what_cannot_be_compiled_is_said_at_once():
    with pytest.raises(wengert.errors.TapeError, match="argument 0 is a dict"):
        njit_value_and_grad(lambda p: p["a"] ** 2, {"a": 1.0})
    crossed = np.ones((4, 4))[:, ::2]
    with pytest.raises(wengert.errors.TapeError, match="not contiguous"):
        njit_value_and_grad(lambda x: np.sum(crossed * x), 1.0)
    with pytest.raises(wengert.errors.NotScalarError):
        njit_value_and_grad(lambda x: x, np.zeros(2))


CACHED = """
import numba, numpy as np, wengert

slope = wengert.njit_value_and_grad(lambda x: x**3, 1.0)

@numba.njit(cache=True)
def twice(x):
    x_bar = np.empty(())
    return slope(x, x_bar) + slope(x, x_bar)

print(twice(2.0))
"""


def test_code_with_its_addresses_is_not_cached_on_disk(tmp_path):
    """In a process of its own: Numba's cache looks at every module that is loaded, some of which warn of that."""
    program = tmp_path / "program.py"
    program.write_text(CACHED)
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    found = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, env=env, check=True)
    assert found.stdout == "16.0\n"
    assert "dynamic globals" in found.stderr
    assert not list(tmp_path.rglob("*.nbi"))
