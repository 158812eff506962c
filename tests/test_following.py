"""Un-jitted derivatives follow the last recording: every call gives what the first of a fresh process would give."""

import copy
import gc
import threading
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from helpers import in_threads

import wengert
from wengert import hot
from wengert.record.following import Following
from wengert.record.recorder import Recorder
from wengert.transform import habit

RNG = np.random.default_rng(8)
X = RNG.normal(size=6)
A = RNG.normal(size=(6, 6))


@pytest.fixture(autouse=True)
def forget():
    habit._habits.clear()


@pytest.fixture
def left(monkeypatch) -> list[int]:
    """How often a recording went another way than the one that it followed."""
    times: list[int] = []
    leave = Following._leave
    monkeypatch.setattr(Following, "_leave", lambda self, back: (times.append(1), leave(self, back))[1])
    return times


@pytest.fixture
def recorded(monkeypatch) -> list[int]:
    """How often a value was recorded with nothing to follow."""
    times: list[int] = []
    arguments = Recorder.arguments
    monkeypatch.setattr(Recorder, "arguments", lambda self, values: (times.append(1), arguments(self, values))[1])
    return times


def numeric(f: Callable, x: np.ndarray) -> np.ndarray:
    """The gradient by central differences."""
    out = np.empty_like(x)
    for k in range(x.size):
        d = np.zeros_like(x)
        d.flat[k] = 1e-6
        out.flat[k] = (f(x + d) - f(x - d)) / 2e-6
    return out


def afresh(f: Callable, x: np.ndarray) -> np.ndarray:
    """The gradient by a call that has nothing to follow."""
    kept, habit._habits = habit._habits, {}
    try:
        return wengert.grad(f)(x)
    finally:
        habit._habits = kept


def agrees(f, *calls, rtol=1e-6):
    """Call the gradient of f(x, *rest) at all these arguments, one after another."""
    both = wengert.value_and_grad(f)
    for x, *rest in calls:
        value, slope = both(x, *rest)
        np.testing.assert_allclose(value, f(x, *rest), rtol=1e-12)
        np.testing.assert_allclose(slope, numeric(lambda v, rest=rest: f(v, *rest), x), rtol=rtol, atol=1e-7)


def test_calls_that_agree_record_nothing(recorded, left):
    f = wengert.grad(lambda x: np.sum(np.tanh(A @ x) * x[::-1]) + x[2] ** 3 * 0.5 - np.mean(x, axis=0))
    for k in range(10):
        f(X + k)
    assert len(recorded) == 2
    assert not left


def test_functions_made_anew_are_the_same_function(recorded):
    for k in range(6):
        np.testing.assert_allclose(wengert.grad(lambda x: np.sum(x * x))(X + k), 2 * (X + k))
    assert len(recorded) == 2


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: np.sum(x * y),
        lambda x, y: np.sum(y * x) + np.sum(np.sin(x) / (2.0 + y * y)),
        lambda x, y: np.sum(np.where(y > 0, x, -x) * x),
        lambda x, y: np.sum(np.concatenate([x, y, x * y]) ** 2),
        lambda x, y: np.sum(np.stack([x, y]) @ x),
        lambda x, y: np.dot(x, y) * np.max(x * 2) + y @ x,
        lambda x, y: np.sum(np.clip(x, -0.5, 0.7) * y),
        lambda x, y: np.linalg.norm(x - y),
    ],
)
def test_other_arrays_at_every_call(f, left):
    agrees(f, *[(RNG.normal(size=6), RNG.normal(size=6)) for _ in range(6)])
    assert not left


def test_arrays_of_other_shapes_dtypes_and_layouts():
    def f(x, y):
        return np.sum(x[:, None] * y)

    kinds = [A, A, A, A.T, A[::-1], A[:, :3], A.astype(np.float32), A.astype(int), A[:1], A.tolist(), A, A]
    agrees(f, *[(X, y if isinstance(y, list) else y * 1) for y in kinds for _ in range(3)])


@pytest.mark.parametrize("values", [
    [2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 2.0],
    [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    [1, 1, 1, 1.0, 1.0, True, True, 1, np.float32(1.0), np.float64(1.0)],
    [0.0, 0.0, 0.0, -0.0, 0.0, -0.0],
    [np.nan, np.nan, np.nan, 1.0],
    [2.0, 2.0, np.inf, 2.0, 2.0, 2.0, np.inf],
])  # fmt: skip
def test_numbers_that_change(values):
    for number in values:
        for x in (np.array([-1.5, 0.0, 2.0]), np.float32([-1.5, 0.0, 2.0])):

            def f(x, number=number):
                return np.sum(x * number + np.arctan2(number, x) + np.copysign(x, number))

            with np.errstate(all="ignore"):
                value, slope = wengert.value_and_grad(f)(x)
                want = f(x)
                fresh = afresh(f, x)
            assert value.dtype == want.dtype
            np.testing.assert_allclose(value, want, rtol=1e-6)
            np.testing.assert_array_equal(slope, fresh)


@pytest.fixture
def compiled_soon(monkeypatch):
    """Programs are compiled at the fourth call that follows, at once."""
    monkeypatch.setattr(hot, "_FEWEST", 4)
    monkeypatch.setattr(hot, "_SPENT", 0.0)
    monkeypatch.setattr(hot._worker, "add", lambda tape, done: done(wengert.plan.lower.lower(tape(), compile=True)))


def test_numbers_that_change_are_followed(left, compiled_soon):
    def f(x, rate, n):
        return np.sum(np.exp(x * rate) + rate / (x * x + 1.0)) * 2.0 + np.mean(x * n)

    for k in range(40):
        rate = 0.5 if k < 8 else 0.5 + 0.01 * k
        agrees(f, (X, rate, 6.0 if k < 20 else 6.0 + k))
    assert len(left) <= 2  # the mean's number of elements was the same number by chance


def test_loops_that_are_rolled_up(left, compiled_soon):
    """What is left of the tape has other slots than the recording."""

    def f(x, y, rate):
        h, total = x * y, 0.0
        for k in range(200):
            h = np.tanh(h * rate + y)
            total = total + x[k % 6]
        return np.sum(h) + total

    for k in range(30):
        y = RNG.normal(size=6)
        agrees(f, (X + 0.1 * k, y, 0.5 if k < 12 else 0.5 + 0.01 * k), rtol=1e-5)
    assert not left


def test_numbers_that_were_equal_by_chance(left, compiled_soon):
    def f(x, a, b):
        return np.sum(np.sin(x * a) + np.cos(x) * b)

    for k in range(30):
        agrees(f, (X, 2.0, 2.0 if k < 9 else 3.0 + k % 5))
    assert len(left) == 1


def test_numbers_that_change_before_the_call_goes_another_way(left, compiled_soon):
    def f(x, a, way):
        y = x * a
        return np.sum(np.sin(y) if way else np.cos(y) * a + 2.0)

    for k in range(60):
        agrees(f, (X, 1.0 + 0.1 * (k % 3), k % 15 != 14))
    assert left


@pytest.mark.parametrize("numbers", [[1e300, 2e300, 1e-300], [np.float32(0.1), np.float32(0.2)], [3, 4, 5, -6],
                                     [np.float64(0.1), np.float64(-0.0), np.float64(0.0)]])  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_of_any_kind(numbers, dtype, compiled_soon):
    x = np.array([-1.0, 0.0, 2.0], dtype)
    with np.errstate(all="ignore"):
        for k in range(24):
            n = numbers[0] if k < 8 else numbers[k % len(numbers)]

            def f(x, n=n):
                return np.sum(np.arctan(x * n))

            value, slope = wengert.value_and_grad(f)(x)
            want = f(x)
            assert value.dtype == want.dtype
            np.testing.assert_allclose(value, want, rtol=1e-5)
            np.testing.assert_allclose(slope, afresh(f, x), rtol=1e-5)


def test_exponents_axes_and_indices_that_change():
    def f(x, p, axis, k):
        return np.sum(np.sum(x**p, axis=axis) ** 2) + x[k] @ x[:, k] + np.sum(x[k:])

    x = np.abs(A) + 0.1
    calls = [(2, 0, 1)] * 3 + [(2.0, 0, 1), (3, 1, 2), (3, 1, 2), (0.5, 1, 2), (2.5, 0, 1), (2.5, None, 1), (2, 0, 1)]
    agrees(f, *[(x, *c) for c in calls], rtol=1e-5)


def test_control_flow_of_python():
    turns = iter([3, 3, 3, 5, 2, 3, 0, 3, 3, 3])

    def f(x, n):
        for _ in range(n):
            x = np.sin(x) * 1.5
        return np.sum(x) if n != 2 else x[0]

    agrees(f, *[(X, n) for n in turns])


def test_control_flow_that_looks_at_values():
    def f(x):
        while np.sum(x * x) > 1.0:
            x = x * 0.7
        return np.sum(x**3) if x[0] > 0 else np.sum(x)

    agrees(f, *[(X * s,) for s in (1.0, 1.0, 1.0, -1.0, 2.0, 0.1, -3.0, 1.0)])


def test_two_ways_in_turns():
    count = [0]

    def f(x):
        count[0] += 1
        return np.sum(np.sin(x) if count[0] % 2 else np.cos(x) * 2.0)

    slope = wengert.grad(f)
    for k in range(20):
        np.testing.assert_allclose(slope(X), np.cos(X) if k % 2 == 0 else -2 * np.sin(X))


@pytest.mark.parametrize("first", [0, 2, 5])
def test_a_longer_and_a_shorter_way(first):
    lengths = [3] * first + [4, 4, 4, 3, 3, 3, 5, 2]
    for n in lengths:
        got = wengert.grad(lambda x, n=n: [x := x * 2.0 for _ in range(n)][-1])(1.0)
        assert got == 2.0**n


def test_the_same_array_twice_and_two_equal_ones():
    def f(x, a, b):
        return np.sum(x * a) + np.sum(x * x * b)

    same, other = A[0].copy(), A[0].copy()
    agrees(f, *[(X, *pair) for pair in ((same, same), (same, same), (same, same), (same, other), (other, A[1]),
                                        (other, A[1]), (A[2], A[3]), (same, same))])  # fmt: skip


def test_an_array_that_is_changed_between_calls():
    y = A[0].copy()
    slope = wengert.grad(lambda x: np.sum(x * y))
    for k in range(8):
        np.testing.assert_array_equal(slope(X), y)
        y[k % 6] += 1.0


def test_an_array_that_is_changed_by_another_name_between_its_uses():
    y = A[0].copy()
    other = y[:]
    change = [False]

    def f(x):
        z = np.sum(x * y)
        if change[0]:
            other[0] = 7.0
        return z + np.sum(x * x * y)

    slope = wengert.grad(f)
    for _ in range(4):
        slope(X)
    change[0] = True
    with pytest.raises(wengert.errors.MutationError):
        slope(X)
    change[0] = False
    np.testing.assert_allclose(slope(X), y + 2 * X * y)
    assert y.flags.writeable


def test_arguments_changed_while_the_function_runs():
    x = X.copy()

    def f(v):
        z = np.sum(v * v)
        x[:] = 0.0
        return z

    slope = wengert.grad(f)
    for _ in range(6):
        x[:] = X
        np.testing.assert_array_equal(slope(x), 2 * X)


def test_results_belong_to_the_caller():
    f = wengert.value_and_grad(lambda x, y: (np.sum(x * x * y), x * 1.0), argnums=(0, 1), has_aux=True)
    kept = []
    for k in range(6):
        (value, aux), (dx, dy) = f(X + k, X - k)
        kept.append((k, value, aux.copy(), dx.copy(), dy.copy(), aux, dx, dy))
    for k, value, *copies, aux, dx, dy in kept:
        for a, b in zip(copies, (aux, dx, dy), strict=True):
            np.testing.assert_array_equal(a, b)
            b[:] = np.nan
        np.testing.assert_allclose(value, np.sum((X + k) ** 2 * (X - k)))
    f(X, X)


@pytest.mark.parametrize("kept", [True, False])
def test_tracers_that_outlive_the_call(kept):
    store = []

    def f(x):
        y = np.sin(x)
        out = np.sum(y * (store[0] if kept and store else 2.0))
        store[:] = [y]
        return out

    slope = wengert.grad(f)
    slope(X)
    for _ in range(5):
        if kept:
            with pytest.raises(wengert.errors.LeakedTracerError):
                slope(X)
        else:
            np.testing.assert_allclose(slope(X), 2 * np.cos(X))


def test_an_exception_leaves_everything_as_it_was():
    fail = [False]
    y = A[0].copy()

    def f(x):
        z = np.sin(x * y)
        if fail[0]:
            raise KeyError("mine")
        return np.sum(z)

    slope = wengert.grad(f)
    want = slope(X)
    for k in range(12):
        fail[0] = k % 3 == 2
        if fail[0]:
            with pytest.raises(KeyError, match="mine"):
                slope(X)
        else:
            np.testing.assert_array_equal(slope(X), want)
        assert y.flags.writeable


def test_bad_shapes_name_the_line():
    slope = wengert.grad(lambda x, y: np.sum(x * y))
    for _ in range(4):
        slope(X, X)
    with pytest.raises(wengert.errors.ShapeError, match=r"np.sum\(x"):
        slope(X, np.ones(5))
    slope(X, X)


def test_an_index_out_of_range_names_its_own_line():
    def f(x, k, late):
        if late:
            return np.sum(x[k])  # late
        return np.sum(x[k])  # soon

    slope = wengert.grad(f)
    k = np.array([1, 2])
    for _ in range(4):
        np.testing.assert_array_equal(slope(X, k, False), [0, 1, 1, 0, 0, 0])
    for late, line in ((False, "soon"), (True, "late"), (False, "soon")):
        with pytest.raises(IndexError, match=f"# {line}"):
            slope(X, np.array([1, 9]), late)


def test_integers_to_negative_powers_name_their_own_line():
    def f(x, less, late):
        n = np.argmax(x) - less
        if late:
            return np.sum(x) * 2**n  # late
        return np.sum(x) * 2**n  # soon

    slope = wengert.grad(f)
    x, none = np.array([1.0, 2.0, 5.0]), np.array([0])
    for _ in range(4):
        np.testing.assert_array_equal(slope(x, none[0], False), np.full(3, 4.0))
    for late, line in ((False, "soon"), (True, "late"), (False, "soon")):
        with pytest.raises(wengert.errors.NegativePowerError, match=f"# {line}"):
            slope(x, none[0] + 7, late)


def test_an_array_that_is_also_looked_into():
    def chosen(x, m):
        return np.sum(np.where(m, x, [m, m]))

    def picked(x, i):
        return np.sum(x[i, [i, i]])

    def limited(x, w):
        return np.sum(np.clip(x, w, [w, w]))

    x = np.array([[1.0, 10.0], [100.0, 1000.0]])
    for f, first, last in (
        (chosen, [True, False], [False, False]), (picked, [0, 1], [1, 0]), (limited, [1.0, 2.0], [3.0, 4.0])
    ):  # fmt: skip
        for value in (first, first, first, last, first):
            value = np.array(value)
            assert wengert.value_and_grad(f)(x, value)[0] == f(x, value)


@pytest.mark.parametrize("other", [lambda y: y.copy(), np.copy, lambda y: y.astype(float), lambda y: +y, copy.copy,
                                   copy.deepcopy, lambda y: np.clip(y, None, None), lambda y: np.array(y, copy=True)
                                   if isinstance(y, np.ndarray) else y.copy()])  # fmt: skip
def test_copies(other):
    kept, mode = [], ["usual"]

    def f(x):
        y = np.sin(x)
        z = other(y)
        y += 1.0
        if mode[0] == "keep":
            kept.append(other(y))
        return np.sum((kept[-1] if mode[0] == "use" else z) * y)

    slope = wengert.value_and_grad(f)
    want = np.sum(np.sin(X) * (np.sin(X) + 1.0))
    for _ in range(4):
        np.testing.assert_allclose(slope(X)[0], want)
    mode[0] = "keep"
    slope(X * 5)
    mode[0] = "usual"
    for _ in range(3):
        np.testing.assert_allclose(slope(X)[0], want)
    mode[0] = "use"
    with pytest.raises(wengert.errors.LeakedTracerError):
        slope(X)


def test_copies_of_python_numbers_keep_giving_way():
    x = np.ones(3, np.float32)
    value, slope = wengert.value_and_grad(lambda s: np.sum(x * copy.copy(s) + x * +s))(2.0)
    assert value.dtype == np.float32
    assert slope == 6.0


def test_functions_with_equal_recordings_name_their_own_lines():
    k = [np.array([0, 1])]

    def first(x):
        return np.sum(x[k[0]])  # first

    def second(x):
        return np.sum(x[k[0]])  # second

    for f in (first, second, second, second, second):
        wengert.grad(f)(X)
    k[0] = np.array([0, 17])
    for _ in range(2):
        for f, name in ((second, "second"), (first, "first")):
            with pytest.raises(IndexError, match=f"# {name}"):
                wengert.grad(f)(X)


def test_a_traced_value_that_is_looked_at_names_its_own_line():
    k = np.array([17])

    def first(x):
        return x[0] if x[k][0] > 0 else x[1]  # first

    def second(x):
        return x[0] if x[k][0] > 0 else x[1]  # second

    for _ in range(2):
        for f, name in ((first, "first"), (second, "second")):
            with pytest.raises(IndexError, match=f"# {name}"):
                wengert.grad(f)(X)


def test_the_flow_of_gradients_inside():
    flow = [False]

    def f(u):
        y = u * 2.0
        if flow[0]:
            last = lambda u: wengert.scan(lambda h, x: (u * h + x, None), 0.0, np.ones(4))[0]
            y = y + np.sum(wengert.gradient_flow(last)(u)[0][0])
        return y

    for _ in range(4):
        assert wengert.value_and_grad(f)(0.5) == (1.0, 2.0)
    flow[0] = True
    assert wengert.value_and_grad(f)(0.5) == (2.875, 4.75)


@pytest.mark.parametrize("again", [False, True])
def test_a_captured_array_that_the_function_writes_to(again):
    """What was used before counts as it was then, as in NumPy; recorded, or used again, it is an error."""
    c, write = np.ones(6), [False]

    def f(x):
        y = np.sum(x * c)
        if write[0]:
            c[0] = 5.0
        return y + np.sum(x * c) if again else y

    slope = wengert.grad(f)
    for _ in range(4):
        slope(X)
    write[0] = True
    if again:
        with pytest.raises(wengert.errors.MutationError):
            slope(X)
    else:
        np.testing.assert_array_equal(slope(X), np.ones(6))
    habit._habits.clear()
    with pytest.raises(wengert.errors.MutationError, match=r"c\[0\] = 5.0"):
        slope(X)


def test_a_view_of_an_array_that_another_thread_holds_is_writeable_again():
    base = np.ones(6)
    view = base[:3]
    inside, done = threading.Event(), threading.Event()

    def slow(x):
        y = np.sum(x * base)
        inside.set()
        done.wait(10)
        return y

    thread = threading.Thread(target=lambda: wengert.grad(slow)(X))
    thread.start()
    inside.wait(10)
    wengert.grad(lambda x: np.sum(x * view))(X[:3])
    done.set()
    thread.join()
    wengert.grad(lambda x: np.sum(x * base))(X)
    assert view.flags.writeable
    assert base.flags.writeable


def test_a_leaked_tracer_as_the_argument():
    kept = []
    wengert.grad(lambda x: [kept.append(x * 1.0), np.sum(x)][1])(X[0])
    for _ in range(4):
        with pytest.raises(wengert.errors.LeakedTracerError):
            wengert.grad(lambda x: x * 2.0)(kept[0])


def test_python_numbers_are_shown_as_such(monkeypatch):
    monkeypatch.setattr(hot, "_FEWEST", 3)
    monkeypatch.setattr(hot, "_SPENT", 0.0)
    monkeypatch.setattr(hot._worker, "add", lambda tape, done: done(wengert.plan.lower.lower(tape(), compile=True)))
    shown = []

    def f(x, show):
        if show:
            shown.append(repr(x))
        return x * 2.0

    for k in range(12):
        wengert.grad(f)(1.5, k % 8 == 7 or k == 0)
    assert shown == ["Tracer(1.5)"] * 2


def test_nested_derivatives():
    def f(x, k):
        return wengert.grad(lambda y: np.sin(y * k) * x)(x * 2.0)

    for _ in range(5):
        np.testing.assert_allclose(wengert.grad(f)(0.7, 3.0), 3 * np.cos(4.2) - 3 * 0.7 * 6 * np.sin(4.2), rtol=1e-12)


def test_scans_jitted_functions_and_values_inside():
    inner = wengert.jit(lambda x: np.sum(np.tanh(x)))

    def f(x):
        h, _ = wengert.scan(lambda h, v: (np.sin(h + v), h), 0.5, x)
        text = f"{x}"  # looking at a value
        return h + inner(x) + len(text) * 0.0

    for k in range(6):
        x = X + k
        np.testing.assert_allclose(wengert.grad(f)(x), numeric(f_plain, x), rtol=1e-6, atol=1e-8)


def f_plain(x):
    h = 0.5
    for v in x:
        h = np.sin(h + v)
    return h + np.sum(np.tanh(x))


def test_updates_in_place():
    def f(x):
        total, y = 0.0, x * 1.0
        for k in range(3):
            total += x[k] * 2.0
            y += x * float(k)
        return total * np.sum(y)

    agrees(f, *[(X + k,) for k in range(6)])


def test_pytrees_of_another_structure():
    def f(p):
        return sum(np.sum(v * (k + 1.0)) for k, v in enumerate(p.values() if isinstance(p, dict) else p))

    for _ in range(4):
        for p in ({"a": X, "b": X}, [X, X], (X, X), {"b": X, "c": X}):
            slope = wengert.grad(f)(p)
            assert type(slope) is type(p)
            first, second = slope.values() if isinstance(p, dict) else slope
            np.testing.assert_array_equal(first, np.ones(6))
            np.testing.assert_array_equal(second, np.full(6, 2.0))


def test_the_input_and_a_constant_as_the_value():
    for _ in range(5):
        assert wengert.value_and_grad(lambda x: x)(2.0) == (2.0, 1.0)
        assert wengert.value_and_grad(lambda x: 3.5)(2.0) == (3.5, 0.0)


def test_the_compiled_program_takes_over(monkeypatch, left):
    monkeypatch.setattr(hot, "_FEWEST", 4)
    monkeypatch.setattr(hot, "_SPENT", 0.0)
    tasks = []
    monkeypatch.setattr(hot._worker, "add", lambda tape, done: tasks.append((tape, done)))
    large = RNG.normal(size=(400, 400))  # more than is copied

    def f(x, w, y, big):
        return np.sum(np.tanh(w @ x) * y * 2.0) + np.sum(big * x[0]) + w[0, 0]

    both = wengert.value_and_grad(f, argnums=(0, 1))
    for k in range(14):
        args = X + k, A * k, RNG.normal(size=6), large + k
        value, (dx, dw) = both(*args)
        np.testing.assert_allclose(value, f(*args), rtol=1e-11)
        x, w, y, big = args
        t = np.tanh(w @ x)
        np.testing.assert_allclose(dx, w.T @ ((1 - t * t) * y * 2.0) + np.eye(6)[0] * np.sum(big), rtol=1e-9, atol=1e-9)
        want = np.outer((1 - t * t) * y * 2.0, x)
        want[0, 0] += 1.0
        np.testing.assert_allclose(dw, want, rtol=1e-9, atol=1e-12)
        if k == 8:
            ((tape, done),) = tasks
            done(wengert.plan.lower.lower(tape(), compile=True))
    assert not left
    assert large.flags.writeable


def test_another_way_after_the_compiled_program_has_taken_over(monkeypatch):
    monkeypatch.setattr(hot, "_FEWEST", 4)
    monkeypatch.setattr(hot, "_SPENT", 0.0)
    monkeypatch.setattr(hot._worker, "add", lambda tape, done: done(wengert.plan.lower.lower(tape(), compile=True)))
    numbers = [0.5] * 9 + [1.5] + [0.5] * 9 + [2.5] * 9
    for k, number in enumerate(numbers):
        y = RNG.normal(size=6)
        got = wengert.grad(lambda x, y=y, n=number: np.sum(x * y * n) + np.sum(np.exp(x * n)))(X - k / 9)
        np.testing.assert_allclose(got, y * number + number * np.exp((X - k / 9) * number), rtol=1e-12)


def test_threads():
    def f(x, y):
        return np.sum(np.tanh(A @ x) * y * 2.0)

    slope = wengert.grad(f)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(300):
            x, y = rng.normal(size=6), rng.normal(size=6)
            want = A.T @ ((1 - np.tanh(A @ x) ** 2) * y * 2.0)
            if not np.allclose(slope(x, y), want, rtol=1e-9):
                wrong.append(seed)

    in_threads(work, 8)
    assert not wrong


def test_threads_that_meet_the_same_fault():
    def first(x, k):
        return np.sum(x[k] * 2.0)

    def second(x, k):
        return np.sum(x[k] * 2.0)  # second

    wengert.grad(first)(X, np.array([0, 1]))
    errors = []

    def work(_):
        for _ in range(40):
            try:
                wengert.grad(second)(X, np.array([0, 17]))
            except Exception as error:
                errors.append(error)

    in_threads(work, 8)
    assert len(errors) == 320
    assert {type(e) for e in errors} == {wengert.errors.IndexingError}
    assert all("# second" in str(e) for e in errors)


def test_nothing_of_the_users_is_kept():
    slope = wengert.grad(lambda x, y: np.sum(x * y))
    for _ in range(4):
        y = np.ones(6)
        seen = weakref.ref(y)
        slope(X, y)
        del y
        gc.collect()
        assert seen() is None


def test_a_table_of_many_functions_stays_small():
    for k in range(400):
        scope: dict[str, Callable] = {}
        exec(f"def f(x): return x * {k}.0", scope)
        for _ in range(2):
            assert wengert.grad(scope["f"])(1.0) == k
    assert len(habit._habits) <= 256
