"""Truncated backpropagation through time against windows written out; options of scan that cannot be."""

import functools

import numpy as np
import pytest
from test_checkpoint_scan import B, U, equal, leaves, looped, name, weigh

import wengert.optim
import wengert.train
from wengert import Binomial, grad, jit, scan, value_and_grad
from wengert.errors import CarryError, OptionError, ShapeError

RNG = np.random.default_rng(3)
STEPS = 13
XS = RNG.normal(size=(STEPS, 2, 3))
FIRST = (RNG.normal(size=(2, 3)), np.float64(0.5), np.int64(2), np.True_)
KEEPING = [{}, {"checkpoint": "sqrt"}, {"checkpoint": 4}, {"checkpoint": Binomial(2, 1)}, {"memory": 3000}]


def step(p, carry, x):
    h, scale, n, on = carry
    h = np.tanh(h @ p["u"] + x + scale * p["b"])
    scale = 0.9 * scale + np.where(on, 0.1, -0.1) * np.sum(h * x)
    return (h, scale, n + 1, ~on), {"h": h * scale, "n": 1.0 * n}


def loss(p, h, scale, xs, **options):
    return weigh(scan(functools.partial(step, p), (h, scale, *FIRST[2:]), xs, **options))


PARAMS = {"u": 0.5 * U, "b": B}
ARGS = (PARAMS, *FIRST[:2], XS)


def windows(steps, k, reverse):
    """Where windows of k steps lie, in the order in which they are run."""
    order = list(range(steps))[:: -1 if reverse else 1]
    return [sorted(order[i : i + k]) for i in range(0, steps, k)]


def by_windows(p, h, scale, xs, k, reverse):
    """The sum of the windows' gradients, each from a first carry that is a constant; the last has the last carry."""
    carry = (h, scale, *FIRST[2:])
    p_bar = {name: np.zeros_like(x) for name, x in p.items()}
    xs_bar, first_bar = np.zeros_like(xs), None
    cuts = windows(len(xs), k, reverse)
    for number, rows in enumerate(cuts):
        last = number == len(cuts) - 1

        def part(p, h, scale, xs, carry=carry, rows=rows, last=last):
            found, ys = looped(functools.partial(step, p), (h, scale, *carry[2:]), xs, reverse=reverse)
            on_ys = 0.0
            for place, y in enumerate((ys["h"], ys["n"])):
                width = int(np.prod(np.shape(y)[1:]))
                at = np.arange(rows[0] * width, (rows[-1] + 1) * width)
                on_ys = on_ys + np.sum(np.cos(at + len(FIRST) + place).reshape(np.shape(y)) * y)
            return on_ys + (weigh(found) if last else 0.0)

        bars = grad(part, argnums=(0, 1, 2, 3))(p, *carry[:2], xs[rows])
        p_bar = {name: p_bar[name] + bars[0][name] for name in p}
        xs_bar[rows] = bars[3]
        first_bar = bars[1:3] if first_bar is None else first_bar
        carry, _ = looped(functools.partial(step, p), carry, xs[rows], reverse=reverse)
    return (p_bar, *first_bar, xs_bar)


@pytest.mark.parametrize("keeping", KEEPING, ids=name)
@pytest.mark.parametrize("k", [1, 2, 4, 5, 12, 13, 100])
def test_each_window_is_a_loop_from_a_constant(k, keeping):
    for reverse in (False, True):
        want_value = loss(*ARGS, reverse=reverse)
        want = by_windows(*ARGS, k, reverse)
        f = functools.partial(loss, truncate=k, reverse=reverse, **keeping)
        for both in (value_and_grad(f, argnums=(0, 1, 2, 3)), jit(value_and_grad(f, argnums=(0, 1, 2, 3)))):
            value, found = both(*ARGS)
            equal(value, want_value)
            equal(found, want, 1e-11)


@pytest.mark.parametrize("keeping", KEEPING, ids=name)
@pytest.mark.parametrize("k", [STEPS, STEPS + 1, 10**9])
def test_one_window_is_no_truncation(k, keeping):
    whole = grad(loss, argnums=(0, 1, 2, 3))(*ARGS)
    equal(grad(functools.partial(loss, truncate=k, **keeping), argnums=(0, 1, 2, 3))(*ARGS), whole)


def test_windows_of_one_step_leave_no_past():
    def f(h, xs, **options):
        return scan(lambda h, x: (np.sin(h) * x, None), h, xs, **options)[0]

    xs = np.linspace(0.5, 1.5, 6)
    h = scan(lambda h, x: (np.sin(h) * x, None), 1.0, xs[:-1])[0]
    h_bar, xs_bar = grad(functools.partial(f, truncate=1), argnums=(0, 1))(1.0, xs)
    assert h_bar == 0.0
    np.testing.assert_allclose(xs_bar, [0, 0, 0, 0, 0, np.sin(h)], rtol=1e-14)


def test_no_step_has_no_window():
    assert grad(lambda h: scan(lambda h, x: (h * x, None), h, np.zeros(0), truncate=2)[0])(3.0) == 1.0
    assert grad(lambda h: scan(lambda h, x: (h * x, None), h, np.array([5.0]), truncate=1)[0])(3.0) == 5.0


def test_windows_one_after_another_with_the_carry_passed_on():
    """The stateful form: a jitted gradient for each window, whose carry goes to the next call as an argument."""

    @jit
    def window(p, carry, xs):
        def f(p):
            carry_out, ys = scan(functools.partial(step, p), carry, xs)
            return np.sum(ys["h"] ** 2), carry_out

        (value, carry_out), slope = value_and_grad(f, has_aux=True)(p)
        return value, slope, carry_out

    carry, total, slopes = FIRST, 0.0, {"u": 0.0, "b": 0.0}
    for at in range(0, STEPS, 5):
        value, slope, carry = window(PARAMS, carry, XS[at : at + 5])
        total, slopes = total + value, {name: slopes[name] + slope[name] for name in slopes}

    def at_once(p):
        carry_out, ys = scan(functools.partial(step, p), FIRST, XS, truncate=5)
        return np.sum(ys["h"] ** 2), carry_out

    (value, carry_out), slope = value_and_grad(at_once, has_aux=True)(PARAMS)
    equal(slopes, slope)
    equal(total, value)
    equal(carry, carry_out)


def test_truncation_inside_a_loop_and_without_xs():
    def f(a, **options):
        def inner(c):
            return scan(lambda c, _: (np.sin(c * a), c), c, None, 4, **options)[0]

        return scan(lambda c, _: (inner(c) + a, None), 0.3, None, 3)[0]

    def by_hand(a):
        """Of four sines in windows of three, only the last one is reached by its adjoint, and nothing before it."""
        c = 0.3
        for _ in range(3):
            for _ in range(3):
                c = np.sin(c * a)
            before, c = c, np.sin(c * a) + a
        return before * np.cos(before * a) + 1

    equal(grad(functools.partial(f, truncate=100))(0.8), grad(f)(0.8))
    equal(np.float64(grad(functools.partial(f, truncate=3))(0.8)), np.float64(by_hand(0.8)))


# --- what cannot be --------------------------------------------------------------------------------------------


def run(**options):
    return scan(lambda c, x: (c + x, None), np.zeros(2), np.ones((6, 2)), **options)  # the user's line


@pytest.mark.parametrize("way", [lambda **o: run(**o), lambda **o: jit(lambda: run(**o))()], ids=["called", "jitted"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        *[({"checkpoint": x}, f"checkpoint must be .* not {x!r}") for x in (0, -1, True, 1.5, "root", b"sqrt")],
        ({"checkpoint": Binomial}, "checkpoint must be"),
        *[({"memory": x}, f"memory must be a number of bytes .* not {x!r}") for x in (0, -1, True, 1.5, "", "0 MB")],
        *[({"memory": x}, "text like .200 MB.") for x in ("-3", "12 XB", "MB", "1..2", "nan", "1 2")],
        *[({"truncate": x}, f"truncate must be .* at least 1, not {x!r}") for x in (0, -1, True, 1.5, "2")],
        ({"checkpoint": 2, "memory": 100}, "either checkpoint or memory, not both"),
        ({"memory": 1}, r"needs \d+ bytes for a step and 16 for a carry; at least \d+ bytes must be allowed, not 1"),
    ],
    ids=str,
)
def test_options_that_cannot_be(options, words, way):
    with pytest.raises(OptionError, match=words) as caught:
        way(**options)
    assert "test_truncated_scan.py" in str(caught.value)
    assert "the user's line" in str(caught.value)


def test_the_least_memory_that_is_named_is_enough():
    with pytest.raises(OptionError) as caught:
        run(memory=1)
    least = int(str(caught.value).split("at least ")[1].split()[0])
    assert run(memory=least)[0].tolist() == [6.0, 6.0]
    with pytest.raises(OptionError, match=f"at least {least} bytes"):
        run(memory=least - 1)


@pytest.mark.parametrize("given", [(0,), (-1,), (1.5,), (True,), ("2",), (None,), (2, 0), (2, -1), (2, 1.5), (2, True)])
def test_binomials_that_cannot_be(given):
    with pytest.raises(OptionError, match="must be a whole number of at least 1"):
        Binomial(*given)


@pytest.mark.parametrize("memory", [5000, np.int64(5000), "5000", "5 kB", "5kb", " 5.0 KB ", "4.9 KiB", "0.005MB"])
def test_ways_to_write_an_amount_of_memory(memory):
    assert run(memory=memory)[0].tolist() == [6.0, 6.0]


@pytest.mark.parametrize("way", [{"checkpoint": 2}, {"checkpoint": Binomial(2)}, {"memory": 100}, {"truncate": 2}])
def test_mistakes_in_the_step_are_reported_as_without_options(way):
    xs = np.ones((5, 2))
    for step, init, kind in (
        (lambda c, x: ((c, c), None), np.zeros(2), CarryError),
        (lambda c, x: (c[:1], None), np.zeros(2), CarryError),
        (lambda c, x: (c.astype(np.float32), None), np.zeros(2), CarryError),
        (lambda c, x: c, np.zeros(2), CarryError),
        (lambda c, x: (c + np.ones(3), None), np.zeros(2), ShapeError),
    ):
        with pytest.raises(kind) as plain:
            scan(step, init, xs)
        with pytest.raises(kind) as caught:
            scan(step, init, xs, **way)
        assert str(caught.value).splitlines()[0] == str(plain.value).splitlines()[0]
    with pytest.raises(ShapeError, match="numbers of steps differ"):
        scan(lambda c, x: (c, None), 0.0, (xs, xs[1:]), **way)


@pytest.mark.parametrize("way", [{"truncate": 2}, *KEEPING[1:4]], ids=name)
def test_a_nan_is_found_in_a_loop_that_keeps_little(way):
    """`fit` names the op and the line, whatever the loop keeps."""

    def f(params, batch):
        def step(c, x):
            return np.log(c - x), None  # blamed

        return np.sum(scan(step, params["a"], batch, **way)[0])

    params, batch = {"a": np.array([9.0, 2.0])}, np.ones((12, 1))
    with pytest.raises(wengert.train.NonFiniteError, match="at log") as caught:
        wengert.train.fit(f, params, batch, wengert.optim.sgd(0.1), steps=3, progress=False)
    assert "# blamed" in str(caught.value)


@pytest.mark.parametrize("way", [{}, {"truncate": 2}, {"checkpoint": 4}], ids=name)
def test_the_lines_of_a_printed_tape_are_the_users(way):
    tape = wengert.record(lambda h, xs: scan(lambda h, x: (h * x, h), h, xs, **way), np.ones(2), np.ones((6, 2)))
    sources = (" = input", " = captured", " = const")
    shown = [line for line in str(tape).splitlines() if " = " in line and not any(s in line for s in sources)]
    assert shown
    assert all("test_truncated_scan.py" in line for line in shown)


def test_the_line_of_a_binomial_that_cannot_be_is_named():
    with pytest.raises(OptionError, match=r"test_truncated_scan\.py"):
        Binomial(0)


def test_a_budget_counts_the_loops_inside_the_step():
    """Two hundred steps inside each of fifty: 80 kB a step, 4 MB in all."""

    def step(c, x):
        return scan(lambda a, _: (np.tanh(a + x), None), c, None, 200)[0], None

    def last(h, xs):
        return np.sum(scan(step, h, xs, memory="1 MB")[0])

    tape = wengert.record(grad(last), np.zeros(50), np.ones((50, 50)))
    kept = [tape.avals[s].nbytes for op, outs, _, _ in tape.instructions for s in outs]
    assert sum(kept) < 1_200_000


def test_leaves_of_a_truncated_carry_keep_their_dtypes():
    carry, _ = scan(functools.partial(step, PARAMS), FIRST, XS, truncate=3)
    assert [x.dtype.kind for x in leaves(carry)] == ["f", "f", "i", "b"]
