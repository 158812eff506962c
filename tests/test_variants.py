"""jit: the branch that the input asks for, found without recording; signatures, captures, threads, copies."""

import copy
import enum
import pickle
import signal
import sys
import threading
import warnings
from collections import OrderedDict, namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_programs import ALL, BRANCHES, gap, inputs, loss, programs, shapes_of_inputs

from wengert import RecordingWarning, errors, grad, jit, nn, tree, value_and_grad

X = np.array([0.5, -1.5, 2.5])
Pair = namedtuple("Pair", "a b")


# --- every kind of decision ----------------------------------------------------------------------------


def newton(x):
    y = x
    while abs(y * y - x) > 1e-12 * x:
        y = 0.5 * (y + x / y)
    return y


def collatz(n, depth=0):
    if n <= 1:
        return depth
    return collatz(n / 2 if n % 2 == 0 else 3 * n + 1, depth + 1)


def early(x):
    if x < -1:
        return x * 0
    for k in range(3):
        if x > k:
            continue
        return x + k
    return np.sqrt(x)


def guarded_maths(x):
    try:
        if x < 0:
            raise ValueError("negative")
        if x == 0:
            raise ZeroDivisionError
        return np.log(x)
    except ValueError:
        return np.exp(x)
    except ZeroDivisionError:
        return x - 7.0
    finally:
        x = None


def chosen(x):
    return [np.sin, np.cos, np.exp][np.argmax(x)](x) + [1.0, 2.0, 3.0][x.argmin()]


def ordered(x):
    return x * 2 if x[0] < x[1] <= x[2] else -x if (x > 0).any() and not (x == 0).all() else x + 1


def trip(x):
    return sum((x * k for k in range(int(np.abs(x[0]) * 3))), np.zeros(3))


def sized(x):
    return x[: int(np.sum(x > 0))]


SCALARS = [2.0, 0.3, -0.5, -3.0, 0.0, 1.0, 5.0, 17.0, 2.5, 1e-3]
VECTORS = [X, -X, X[::-1], X * 0, np.abs(X), X[[1, 2, 0]], np.sort(X), X - 0.7]
PROGRAMS = {
    "convergence": (newton, [2.0, 0.3, 5.0, 17.0, 1e-3, 1e6]),
    "recursion": (collatz, [1.0, 2.0, 3.0, 7.0, 6.0, 27.0]),
    "early return": (early, SCALARS),
    "exceptions": (guarded_maths, SCALARS),
    "argmax as an index": (chosen, VECTORS),
    "comparisons": (ordered, VECTORS),
    "trip counts": (trip, VECTORS),
    "slices": (sized, VECTORS),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("derivative", [False, True], ids=["value", "gradient"])
def test_the_branch_that_the_input_asks_for(name, derivative):
    f, points = PROGRAMS[name]
    runs = []

    def noted(x):
        runs.append(None)
        return f(x)

    fast = jit(grad(lambda x: np.sum(noted(x)))) if derivative and name != "recursion" else jit(noted)
    plain = grad(lambda x: np.sum(f(x))) if derivative and name != "recursion" else f
    rng = np.random.default_rng(0)
    for k in (*range(len(points)), *rng.permutation(3 * len(points)) % len(points)):
        same(fast(points[k]), plain(points[k]))
    seen = len(runs)
    assert fast.cache_info().recordings == seen <= len(points)
    for k in rng.permutation(3 * len(points)) % len(points):
        fast(points[k])
    assert len(runs) == seen


def test_positions_of_extremes_as_numpy_gives_them():
    rng = np.random.default_rng(0)
    for dtype in (np.float64, np.float32, np.int8, np.uint8, np.bool_):
        for shape in ((5,), (3, 4), (2, 3, 4)):
            x = rng.integers(0, 4, shape).astype(dtype)
            for axis in (None, *range(-len(shape), len(shape))):
                for f in (np.argmax, np.argmin):
                    for keep in (False, True):
                        same(jit(lambda x: f(x, axis=axis, keepdims=keep))(x), f(x, axis=axis, keepdims=keep))
    y = np.array([1.0, np.nan, 3.0, np.nan])
    assert (jit(np.argmax)(y), jit(np.argmin)(y)) == (1, 1)
    assert grad(lambda x: x[np.argmax(x)] ** 2)(np.array([1.0, 3.0, 2.0])).tolist() == [0.0, 6.0, 0.0]
    with pytest.raises(errors.ShapeError, match="empty"):
        jit(np.argmax)(np.zeros((0, 3)))


def test_a_missed_guard_leads_to_its_branch():
    """Of 32 recordings the right one is found by missing no more guards than there are decisions."""

    def bits(x):
        found = 0.0
        for k in range(5):
            found = found * 2 + (1 if x[k] > 0 else 0) + 0 * x[k]
        return found

    f = jit(bits)
    points = [np.array([1.0 if n >> k & 1 else -1.0 for k in range(5)]) for n in range(32)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordingWarning)
        for x in points:
            f(x)
    assert f.cache_info().variants == f.cache_info().recordings == 32
    for k in np.random.default_rng(0).permutation(320) % 32:
        before = sum(n for _, n in f.cache_info().guards)
        assert f(points[k]) == bits(points[k])
        assert sum(n for _, n in f.cache_info().guards) - before <= 5
    assert f.cache_info().recordings == 32


def test_guards_of_different_widths_share_a_prefix():
    def f(x, n, big):
        y = x if n[0] > 0 else -x
        y = y * int(n[1])
        return y + 1 if np.all(big > 0) else y @ np.ones(3)

    fast = jit(f)
    big = np.ones(5000)
    for n in ([1, 2], [0, 2], [1, 3], [1, 2], [0, 70000], [0, 2]):
        for sign in (1, -1):
            n = np.asarray(n)
            same(fast(X, n, sign * big), f(X, n, sign * big))
    assert fast.cache_info().recordings == 8


def test_a_function_that_does_not_repeat_itself_stays_right():
    """Its recordings do not share their guards; the latest way counts, and values decide as ever."""
    turn = [0]

    def f(x):
        turn[0] += 1
        if turn[0] % 2:
            return x + 1 if np.sum(x) > 0 else x + 2
        return x + 1 if np.max(np.abs(x)) > 0 and np.sum(x) > 0 else x + 2

    fast = jit(f)
    for x in (X, -X, X, -X, np.zeros(3), X, -X):
        same(fast(x), x + 1 if np.sum(x) > 0 else x + 2)


profile = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
random_programs = given(programs(ALL, 9), st.sampled_from(sorted(BRANCHES)), shapes_of_inputs, st.integers(0, 1000))


def check_random_program(program, last, shapes, seed):
    program = [(last, 0, 1, 3), *program, (last, 0, 2, 1)]
    f = loss(program)
    fast = jit(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordingWarning)
        for k in range(20):
            args = inputs(shapes, seed + k // 2, (-1.0) ** k * (0.3, 1.0, 2.0)[k % 3])
            if gap(f, *args) > 1e-9:
                same(fast(*args), f(*args), 1e4)
    recordings = fast.cache_info().recordings
    args = inputs(shapes, seed)
    if gap(f, *args) > 1e-9:
        fast(*args)
        assert fast.cache_info().recordings <= recordings + 1


@settings(profile, max_examples=40)
@random_programs
def test_random_programs_at_twenty_inputs(program, last, shapes, seed):
    check_random_program(program, last, shapes, seed)


@pytest.mark.slow
@settings(profile, max_examples=500)
@random_programs
def test_500_random_programs_at_twenty_inputs(program, last, shapes, seed):
    check_random_program(program, last, shapes, seed)


# --- how much is kept ------------------------------------------------------------------------------------


def test_what_was_not_used_for_longest_goes_first():
    f = jit(lambda x: x * int(x), max_variants=3)
    for k in (1, 2, 3, 1, 4, 1, 3, 4):
        assert f(k + 0.5) == (k + 0.5) * k
    assert f.cache_info()[:3] == (3, 4, 4)
    f(2.5)
    assert f.cache_info().recordings == 5
    for k in (2, 3, 4):
        f(k + 0.5)
    assert f.cache_info().recordings == 5


def test_the_bound_holds_for_all_signatures_together():
    f = jit(lambda x: np.sum(x), max_variants=2)
    for n in (1, 2, 3, 1, 2, 3):
        assert f(np.ones(n)) == n
        assert f({"k": np.ones(n)}["k"]) == n
    assert f.cache_info().variants == 2
    assert f.cache_info().recordings == 6
    with pytest.raises(errors.OptionError, match="at least 1"):
        jit(np.sum, max_variants=0)


def test_info_names_the_lines_and_prints():
    def f(x):
        if x > 0:  # the first decision
            return x
        return x * int(x)

    g = jit(f)
    assert g.cache_info() == (0, 0, 0, [])
    for x in (1.0, 2.0, -1.0, -2.0, 1.0):
        g(x)
    info = g.cache_info()
    assert (info.variants, info.hits, info.recordings) == (3, 2, 3)
    (first, n), (second, m) = info.guards
    assert first.startswith("test_variants.py:")
    assert first.endswith("if x > 0:  # the first decision")
    assert second.endswith("return x * int(x)")
    assert (n, m) == (2, 1)
    assert str(info).splitlines()[0] == "3 variants kept, 3 recordings, 2 calls replayed"
    assert "2 x another value at test_variants.py:" in str(info)
    g.clear_cache()
    assert g.cache_info() == (0, 0, 0, [])
    assert g(3.0) == 3.0
    assert g.cache_info().recordings == 1


def test_recording_again_and_again_warns_once_with_the_line():
    f = jit(lambda x: np.sum(x) if np.sum(x) > int(x[0]) else x[0] * 2)
    for k in range(15):
        f(X + k)
    with pytest.warns(RecordingWarning, match=r"(?s)recorded 16 times in 16 calls.*int\(x\[0\]\).*np\.where") as caught:
        f(X + 15)
    assert [w.filename for w in caught] == [__file__]
    for k in range(16, 60):
        f(X + k)


def test_many_shapes_warn_as_well():
    f = jit(np.sum)
    for n in range(1, 16):
        f(np.ones(n))
    with pytest.warns(RecordingWarning, match="shapes, dtypes or static values"):
        f(np.ones(16))


def test_a_few_branches_now_and_then_do_not_warn():
    f = jit(lambda x: x * int(x))
    for k in range(40):
        for _ in range(3):
            f(k + 0.5)


# --- captured values -----------------------------------------------------------------------------------

SCALE = 2.0
TABLE = np.array([1.0, 2.0, 3.0])


def uses_globals(x):
    return inner_global(x) + 1


def inner_global(x):
    return sum(SCALE * v for v in [x])


def test_a_changed_number_is_noticed_once(monkeypatch):
    k, step = 3.0, 1

    class Config:
        rate = 5.0

        def __init__(self):
            self.power = 2
            self.inside = self

    config = Config()

    def closure(x):
        return (lambda y: y * k)(x)

    def attribute(x):
        return x * config.inside.power

    class Model:
        def __init__(self):
            self.gain = 2.0

        def __call__(self, x):
            return x * self.gain

    model = Model()
    functions = {"k": closure, "config.inside.power": attribute, "SCALE": uses_globals, "self.gain": model.__call__}
    jitted = {name: (jit(f), jit(grad(f)), jit(f, check_captured=False)) for name, f in functions.items()}
    before = {name: [f(2.0) for f in fs] for name, fs in jitted.items()}
    k, config.power, model.gain = 4.0, 3, 7.0
    monkeypatch.setitem(globals(), "SCALE", 9.0)
    step += 1
    for name, (plain, derivative, silent) in jitted.items():
        for f in (plain, derivative):
            with pytest.warns(RecordingWarning, match=rf"{name} was .* then and is .* now"):
                f(2.0)
        assert [f(2.0) for f in (plain, derivative, silent)] == before[name]


def test_another_array_under_the_same_name_is_noticed(monkeypatch):
    w = np.ones(3)
    f, g = jit(lambda x: x * w), jit(lambda x: x * TABLE)
    f(X), g(X)
    w *= 2
    assert f(X).tolist() == (2 * X).tolist()
    w = w * 2
    with pytest.warns(RecordingWarning, match="w was an array"):
        assert f(X).tolist() == (2 * X).tolist()
    monkeypatch.setitem(globals(), "TABLE", TABLE * 2)
    with pytest.warns(RecordingWarning, match="TABLE"):
        g(X)


def test_what_is_not_worth_a_warning():
    a, text, count, log = 2.0, "t", 0, []

    def f(x):
        nonlocal count
        count += 1  # its own doing
        log.append(count)
        unused = x
        return unused * a if text else x

    g = jit(f)
    g(1.0)
    a = float("2.0")  # equal
    log.append(None)
    g(1.0)
    g(np.ones(2))
    g(1.0)
    assert count == 2


def test_new_recordings_see_the_new_value():
    k = 2.0
    f = jit(lambda x: x * k)
    f(1.0)
    k = 3.0
    with pytest.warns(RecordingWarning):
        assert f(np.ones(2)).tolist() == [3.0, 3.0]
    assert f(1.0) == 2.0


# --- static arguments ----------------------------------------------------------------------------------


class Mode(enum.Enum):
    UP = 1
    DOWN = 2


def test_static_arguments():
    runs = []

    def f(x, n, how="sum", *, flag=None):
        runs.append(n)
        assert isinstance(n, int)
        y = x
        for _ in range(n):
            y = y * x
        return (np.sum if how == "sum" else np.mean)(y) if flag is None else y

    plain = f
    for g in (jit(f, static_argnums=(1,)), jit(f, static_argnums=-3 + 1), jit(f, static_argnames="n")):
        runs.clear()
        for n in (1, 2, 1, 3, 2):
            same(g(X, n), plain(X, n))
            runs.pop()
            same(g(X, n=n, how="mean"), plain(X, n, "mean"))
            runs.pop()
            same(g(X, n, flag=1.5), plain(X, n, flag=1.5))
            runs.pop()
        assert len(runs) == 9
    same(jit(grad(lambda x, n: np.sum(x**n)), static_argnums=1)(X, 3), 3 * X**2)


def test_static_values_are_told_apart():
    f = jit(lambda x, s: (x * 2, repr(s)), static_argnames=["s"])
    values = [1, 1.0, True, "1", 0.0, -0.0, (1, 2), (1.0, 2), Mode.UP, Mode.DOWN, None, np.float64, float("nan")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordingWarning)
        for s in (*values, *values):
            assert f(2.0, s) == (4.0, repr(s))
            assert f(2.0, s=s) == (4.0, repr(s))
    assert f.cache_info().recordings == 2 * len(values)


def test_static_arguments_that_cannot_be():
    f = jit(lambda x, s: x, static_argnums=1)
    with pytest.raises(errors.DTypeError, match=r"static argument \[1\].*hashable"):
        f(1.0, [1])
    with pytest.raises(ValueError, match="argument 2, but f has 2"):
        jit(_two, static_argnums=2)
    with pytest.raises(ValueError, match="'z', but f takes x, y"):
        jit(_two, static_argnames="z")


def _two(x, y):
    return x


_two.__name__ = "f"


def test_hashable_leaves_are_static_by_themselves():
    f = jit(lambda x, how: x * (2 if how["mode"] is Mode.UP else 3) + (1 if how["on"] else 0))
    for mode, on in ((Mode.UP, True), (Mode.DOWN, True), (Mode.UP, False), (Mode.UP, True)):
        want = X * (2 if mode is Mode.UP else 3) + on
        assert f(X, {"mode": mode, "on": on}).tolist() == want.tolist()
    assert f.cache_info().recordings == 3
    g = jit(lambda x, on: np.where(on, x, -x))  # NumPy's bools are values
    assert g(X, np.bool_(True)).tolist() == X.tolist()
    assert g(X, np.bool_(False)).tolist() == (-X).tolist()
    assert g.cache_info().recordings == 1


# --- arguments of every kind -----------------------------------------------------------------------------


class Ours(np.ndarray):
    pass


def test_arrays_with_a_meaning_of_their_own_are_refused():
    f = jit(lambda x: x * x)
    for x in (np.eye(2).view(np.matrix), np.ma.masked_array([1.0, 2.0], [True, False]), X.view(Ours)):
        for args in ((x,), ([x],)):
            with pytest.raises(TypeError, match=r"np\.asarray"):
                jit(lambda x: np.sum(x[0] if isinstance(x, list) else x))(*args)
        f(np.asarray(x))
        with pytest.raises(TypeError, match=r"np\.asarray"):
            f(x)


def test_arrays_on_disk(tmp_path):
    x = np.memmap(tmp_path / "x", np.float64, "w+", shape=(3,))
    x[:] = X
    assert type(jit(lambda x: x * 2)(x)) is np.ndarray
    assert jit(lambda x: x * 2)(x).tolist() == (2 * X).tolist()


WRONG = [
    np.ones(2, complex),
    np.ones(2, np.float16),
    1j,
    np.array(["a"]),
    np.array([None], object),
    np.datetime64("2020"),
]


@pytest.mark.parametrize("x", WRONG, ids=str)
def test_dtypes_that_cannot_be(x):
    f = jit(lambda x, y: y)
    for _ in range(2):
        with pytest.raises(TypeError):
            f(x, X)
    assert f(X, X).tolist() == X.tolist()


def test_structures_that_change_from_call_to_call():
    """What is remembered of the last structures is not mistaken for the one at hand."""

    def f(t, *rest, **named):
        return tree.map(lambda x: x * 2 if hasattr(x, "dtype") or type(x) in (int, float) else x, (t, rest, named))

    model = nn.Dense.init(np.random.default_rng(0), 3, 2)
    trees = [
        {"a": X, "b": 1.0}, {"b": 1.0, "a": X}, {"a": X, "c": 1.0}, {"a": X, "b": 1}, {"a": X, "b": np.float64(1)},
        {"a": X, "b": "s"}, {"a": X, "b": "t"}, {"a": X, "b": None}, {"a": X, "b": {}}, {"a": X, "b": [X]}, {"a": X},
        {"a": X[:2], "b": 1.0}, {"a": X.astype(np.float32), "b": 1.0}, OrderedDict(a=X, b=1.0), [X, 1.0], Pair(X, 1.0),
        (X, 1.0), [X, [1.0]], {"a": {"b": X}}, {"a": (X,)}, {1: X, 2: 1.0}, {2: 1.0, 1: X}, model, [model, X], None, {},
        [], {"a": True}, {"a": np.True_}, {"a": X.reshape(3, 1)},
    ]  # fmt: skip
    g = jit(f, max_variants=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordingWarning)
        for k in np.random.default_rng(0).permutation(6 * len(trees)) % len(trees):
            for args, named in (((trees[k],), {}), ((trees[k], 1.0), {}), ((X,), {"x": trees[k]})):
                (got, shape), (want, right) = (tree.flatten(h(*args, **named)) for h in (g, f))
                assert shape == right
                for x, y in zip(got, want, strict=True):
                    assert (
                        type(x) is type(y) if isinstance(y, str | bool) else np.asarray(x).dtype == np.asarray(y).dtype
                    )
                    assert np.array_equal(x, y)
    assert g.cache_info().recordings <= 3 * len(trees)


# --- threads, faults, copies -------------------------------------------------------------------------------


def branching(x, k):
    y = np.sum(np.tanh(x)) if x[0] > 0 else np.sum(x * x)
    for _ in range(int(k)):
        y = y * 1.5 if y > 0.5 else y + 0.25
    return y


def test_eight_threads_on_one_function():
    run = jit(value_and_grad(branching))
    rng = np.random.default_rng(0)
    jobs = [(rng.standard_normal(6), float(k % 4)) for k in range(60)]
    want = [value_and_grad(branching)(*job) for job in jobs]
    start = threading.Barrier(8)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def work(seed):
        start.wait()
        order = np.random.default_rng(seed).permutation(len(jobs))
        return [(k, run(*jobs[k])) for k in order]

    try:
        with warnings.catch_warnings(), ThreadPoolExecutor(8) as pool:
            warnings.simplefilter("ignore", RecordingWarning)
            found = list(pool.map(work, range(8)))
    finally:
        sys.setswitchinterval(before)
    for results in found:
        for k, (value, slope) in results:
            same(value, want[k][0])
            same(slope, want[k][1])
    info = run.cache_info()
    assert info.variants <= 64
    for job in jobs:
        run(*job)
    assert run.cache_info().recordings == info.recordings


@pytest.mark.parametrize("fault", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_an_interrupt_leaves_everything_usable(fault):
    fail = [False]

    def f(x):
        if np.sum(x) > 0:
            if fail[0]:
                raise fault
            return x * 2
        return x * 3

    g = jit(grad(lambda x: np.sum(f(x))))
    assert g(-np.ones(2)).tolist() == [3.0, 3.0]
    fail[0] = True
    for _ in range(2):
        with pytest.raises(fault):
            g(np.ones(2))
        assert g(-np.ones(2)).tolist() == [3.0, 3.0]
        assert grad(lambda x: x * x)(3.0) == 6.0
    fail[0] = False
    assert g(np.ones(2)).tolist() == [2.0, 2.0]


def test_an_interrupt_from_outside():
    w = np.ones(50_000)
    g = jit(lambda x: np.sum(np.tanh(x * w)))
    want = g(1.0)
    hits = 0
    for k in range(30):
        timer = threading.Timer(0.0005 * (k % 7), signal.raise_signal, (signal.SIGINT,))
        try:
            timer.start()
            for _ in range(200):
                assert g(1.0) == want
            timer.join()
        except KeyboardInterrupt:
            hits += 1
        timer.join()
    assert hits > 0
    assert g(1.0) == want
    assert w.flags.writeable


@jit
def decorated(x):
    return x * 2 if x > 0 else x


def module_level(x, n):
    return x * n


fast = jit(module_level, static_argnames="n", max_variants=5)


class Methods:
    @jit
    def double(self, x):
        return x * 2


def test_pickling_by_name():
    decorated(1.0)
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    assert pickle.loads(pickle.dumps(Methods.double)) is Methods.double
    fast(2.0, n=3)
    found = pickle.loads(pickle.dumps(fast))
    assert found.cache_info().recordings == 0
    assert (found(2.0, n=3), found(2.0, 3)) == (6.0, 6.0)
    assert found.cache_info().recordings == 2
    text = pickle.loads(pickle.dumps(jit(np.sum)))
    assert text(X) == np.sum(X)
    with pytest.raises(pickle.PicklingError, match=r"lambda.*no name"):
        pickle.dumps(jit(lambda x: x))


def test_deep_copies_record_for_themselves():
    f = jit(lambda x, n: x * n, static_argnums=1)
    assert f(2.0, 3) == 6.0
    g = copy.deepcopy({"f": f})["f"]
    assert g is not f
    assert g.cache_info().recordings == 0
    assert g(2.0, 3) == 6.0
    assert f.cache_info().recordings == 1


def test_a_function_that_calls_its_own_jitted_self():
    @jit
    def power(x, n):
        return x if n <= 1 else x * power(x, n - 1)

    for n in (1, 4, 2, 4):
        assert power(2.0, n) == 2.0**n
    assert power.cache_info().recordings == 3
