"""Python loops over time as scans: the same values and gradients as turn by turn, in far fewer instructions."""

import numpy as np
import pytest

import wengert
from wengert.transform import shorter

RNG = np.random.default_rng(5)
T = 240
XS = RNG.normal(size=(T, 3))
H = RNG.normal(size=3)
W = RNG.normal(size=(3, 3)) / 2


def accumulated(w, xs):
    h = 0.0
    for t in range(T):
        h = h * 0.9 + np.sum(np.tanh(xs[t] @ w))
    return h * h


def recurrent(w, xs):
    h, total = H, 0.0
    for t in range(T):
        h = np.tanh(xs[t] @ w + h * 0.5)
        total = total + np.sum(h * h)
    return total / T


def backwards(w, xs):
    h = w[0] * 0.0
    for t in reversed(range(T)):
        h = np.sin(h @ w + xs[t])
    return np.sum(h)


def every_second(w, xs):
    h = w[0]
    for t in range(1, T, 2):
        h = np.sin(h @ w + xs[t])
    return np.sum(h)


def differences(w, xs):
    total = 0.0
    for t in range(T - 1):
        d = xs[t + 1] - xs[t] @ w
        total = total + d @ d
    return total


def swapped(w, xs):
    a, b = w[0], w[1]
    for t in range(T):
        a, b = b * 0.9 + xs[t], np.tanh(a)
    return np.sum(a * b)


def first_turn_differs(w, xs):
    h = None
    for t in range(T):
        h = xs[0] @ w if h is None else np.tanh(h) + xs[t] * w[0]
    return np.sum(h)


def outputs_in_a_list(w, xs):
    h, found = w[0], []
    for t in range(T):
        h = np.tanh(h + xs[t])
        if t % 30 == 7:
            found.append(h)
    return np.sum(np.stack(found) * 2.0) + np.sum(h)


def counted(w, xs):
    """An integer goes round as well."""
    n, h = np.argmax(w[0]), w[1]
    for t in range(T):
        n = (n + 1) % 3
        h = np.tanh(h + np.where(n == 0, 1.0, 0.5) * xs[t])
    return np.sum(h)


def nested(w, xs):
    h = w[0]
    for t in range(T // 3):
        for _ in range(3):
            h = np.sin(h) * 1.1 + w[1]
        h = h * xs[t]
    return np.sum(h)


def used_after_the_loop(w, xs):
    h = w[0]
    for t in range(T):
        e = np.exp(-h * h)
        h = h * 0.5 + e * xs[t]
    return np.sum(h * e)


def before_and_after(w, xs):
    v = np.tanh(w) @ w
    h = v[0]
    for t in range(T):
        h = np.tanh(h @ v + xs[t])
    return np.sum((h @ w) ** 2)


def single_numbers(w, xs):
    x, y, a = w[0, 0], w[0, 1], w[1, 2]
    for _ in range(300):
        x, y = x + 0.01 * (np.sin(a * x) - x * y), y + 0.01 * (np.cos(x) - y)
    return x * x + y


def columns(w, xs):
    h = w[0, 0]
    for t in range(T):
        h = np.tanh(h + xs[t, 1] * xs[t, 2])
    return h * h


def reads_what_it_wrote_long_ago(w, xs):
    """Four turns back: four turns are one step."""
    past = [w[0], w[1], w[2], w[0] * 0.5]
    for t in range(T):
        past.append(np.tanh(past[-4] + xs[t]))
    return np.sum(past[-1] * past[-2] + past[-3] * past[-4])


def starts_in_its_first_turn(w, xs):
    before, total = None, w[0]
    for t in range(T):
        a = np.sin(xs[t] * w[1])
        before = a if before is None else before
        total = total + np.cos(before) * w[0]
        before = a
    return np.sum(total)


def a_table_of_its_first_turn(w, xs):
    h, rows = w[0], None
    for t in range(T):
        now = np.tanh(xs * w[1])
        rows = now if rows is None else rows
        h = np.sin(h) + rows[t]
    return np.sum(h)


def plain_data(w, xs):
    h = xs[0]
    for t in range(T):
        h = np.tanh(XS[t] * 2.0 + np.sin(h @ w) * XS[T - 1 - t] + h * xs[1])
    return np.sum(h)


def values_of_another_loop(w, xs):
    rows = [np.tanh(xs[t] @ w + w[0]) for t in range(T)]
    h = w[1]
    for row in rows[::-1]:
        h = np.sin(h * row + np.cos(h) * row * row) + np.tanh(h * w[2]) * row
    return np.sum(h)


ROLLED = [accumulated, recurrent, backwards, every_second, differences, swapped, first_turn_differs, counted,
          nested, used_after_the_loop, before_and_after, single_numbers, reads_what_it_wrote_long_ago,
          outputs_in_a_list, starts_in_its_first_turn, a_table_of_its_first_turn, plain_data]  # fmt: skip
LEFT = [columns, values_of_another_loop]
BOTH = (0, 1)


def scans(f, *args):
    tape = wengert.record(wengert.grad(f, argnums=BOTH), *args)
    return [op.name for op, *_ in tape.instructions].count("scan")


def turn_by_turn(f, *args):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shorter, "WAYS", [])
        return wengert.jit(wengert.value_and_grad(f, argnums=BOTH))(*args)


def close(got, want, rtol=1e-11):
    for a, b in zip(wengert.tree.flatten(got)[0], wengert.tree.flatten(want)[0], strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("f", ROLLED + LEFT)
def test_gradients_are_those_of_the_turns(f):
    want = turn_by_turn(f, W, XS)
    both = wengert.value_and_grad(f, argnums=BOTH)
    np.testing.assert_allclose(want[0], f(W, XS), rtol=1e-12)
    for _ in range(3):
        close(both(W, XS), want)
    close(wengert.jit(both)(W, XS), want)
    close(wengert.jit(both)(W * 0.5, XS + 1.0), turn_by_turn(f, W * 0.5, XS + 1.0))


@pytest.mark.parametrize("f", ROLLED)
def test_the_adjoint_is_of_a_scan(f):
    tape = wengert.record(wengert.grad(f, argnums=BOTH), W, XS)
    forward = len(wengert.record(f, W, XS))
    assert scans(f, W, XS) >= 2  # forward and back
    assert len(tape) < forward + forward // 2


@pytest.mark.parametrize("f", LEFT)
def test_other_loops_stay_as_they_are(f):
    assert scans(f, W, XS) == 0


def test_precision_is_kept():
    w, xs = W.astype(np.float32), XS.astype(np.float32)

    def loop(w, xs):
        h = w[0]
        for t in range(T):
            h = np.tanh(h @ w + xs[t]) * np.float32(0.5)
        return np.sum(h)

    assert scans(loop, w, xs)
    close(wengert.value_and_grad(loop, argnums=BOTH)(w, xs), turn_by_turn(loop, w, xs), rtol=1e-5)


def test_constants_of_later_calls_are_followed():
    def derivative(scale, x):
        def loop(x):
            for _ in range(400):
                x = x + 0.01 * np.sin(x * scale)
            return x

        return wengert.value_and_grad(loop)(x)

    for scale in (0.5, 0.7, 0.5, -0.0, np.inf, 0.7):
        with np.errstate(invalid="ignore"):
            got = derivative(scale, 0.3)

            def loop(x, scale=scale):
                for _ in range(400):
                    x = x + 0.01 * np.sin(x * scale)
                return x

            np.testing.assert_equal(got[0], loop(0.3))
    step = 1e-6
    np.testing.assert_allclose(
        derivative(0.7, 0.3)[1],
        (derivative(0.7, 0.3 + step)[0] - derivative(0.7, 0.3 - step)[0]) / (2 * step),
        rtol=1e-5,
    )


def test_second_derivatives():
    def loop(x):
        y = x
        for _ in range(300):
            y = y + 0.01 * np.sin(y) * x
        return y

    slope = wengert.grad(wengert.grad(loop))
    step = 1e-5
    want = (wengert.grad(loop)(0.7 + step) - wengert.grad(loop)(0.7 - step)) / (2 * step)
    np.testing.assert_allclose(slope(0.7), want, rtol=1e-7)
    np.testing.assert_allclose(wengert.jit(slope)(0.7), slope(0.7), rtol=1e-12)


def test_values_that_leave_the_function_by_another_way():
    def outer(w):
        seen = []

        def loop(w):
            h = w[0]
            for t in range(T):
                h = np.tanh(h @ w + XS[t, :3])
                seen.append(h)
            return np.sum(h)

        slope = wengert.grad(loop)(w)
        return np.sum(slope) + np.sum(seen[5])

    h = W[0]
    for t in range(6):
        h = np.tanh(h @ W + XS[t])
    slope = wengert.grad(backwards_free)(W)
    np.testing.assert_allclose(wengert.jit(outer)(W), np.sum(slope) + np.sum(h), rtol=1e-12)


def backwards_free(w):
    h = w[0]
    for t in range(T):
        h = np.tanh(h @ w + XS[t, :3])
    return np.sum(h)


def test_aux_comes_along():
    def loop(w, xs):
        h, norms = w[0], []
        for t in range(T):
            h = np.tanh(h @ w + xs[t])
            if t == 50:
                norms.append(h)
        return np.sum(h), (h, norms)

    (value, (last, norms)), slope = wengert.value_and_grad(loop, has_aux=True)(W, XS)
    want, (h, kept) = loop(W, XS)
    np.testing.assert_allclose(value, want, rtol=1e-12)
    np.testing.assert_allclose(last, h, rtol=1e-12)
    np.testing.assert_allclose(norms[0], kept[0], rtol=1e-12)
    close(slope, turn_by_turn(lambda w, xs: loop(w, xs)[0], W, XS)[1][0])


def test_guards_see_what_has_been_recorded():
    def loop(x):
        n = 0
        while x > 1e-3 and n < 400:
            x = x * 0.97 + 1e-9
            n += 1
        return x

    g = wengert.jit(wengert.value_and_grad(loop))
    for x in (1.0, 0.5, 2.0, 1.0):
        value, slope = g(x)
        n, y = 0, x
        while y > 1e-3 and n < 400:
            y, n = y * 0.97 + 1e-9, n + 1
        np.testing.assert_allclose((value, slope), (y, 0.97**n), rtol=1e-10)


def test_faults_name_the_line_of_the_loop():
    def loop(table, start):
        total, k = 0.0, np.argmax(start)
        for _ in range(T):
            total = total + table[k]  # the line
            k = k + 1
        return total

    with pytest.raises(IndexError, match="the line"):
        wengert.grad(loop)(np.ones(50), np.ones(4))


@pytest.mark.parametrize("f", [recurrent, accumulated, nested])
def test_tapes_are_legal_to_second_order(f, tmp_path):
    def slope_size(w, xs):
        return np.sum(wengert.grad(f)(w, xs) ** 2)

    for g in (wengert.grad(f), wengert.grad(slope_size)):
        tape = wengert.record(g, W, XS)
        tape.verify()
        tape.save(tmp_path / "tape.npz")
        np.testing.assert_array_equal(wengert.load(tmp_path / "tape.npz")(W, XS), tape(W, XS))


def test_turns_that_do_not_matter_are_not_gone_through():
    def early(w, x):
        h, seen = x, []
        for _ in range(400):
            h = (h @ w) * 10.0
            seen.append(h)
        return np.sum(seen[2])

    with np.errstate(all="ignore"):
        np.testing.assert_allclose(wengert.grad(early)(np.eye(3) * 3.0, np.ones(3)), 27000.0)


def test_a_loop_that_nobody_reads():
    def watched(w):
        for _ in range(600):
            np.tanh(w)
        return np.sum(w * w)

    def whole(w):
        g = wengert.grad(watched)(w)
        for k in range(700):
            g = np.sin(g) if k % 7 else np.cos(g) * w
        return np.sum(g)

    g = np.full(3, 2.0)
    for k in range(700):
        g = np.sin(g) if k % 7 else np.cos(g)
    np.testing.assert_allclose(wengert.jit(whole)(np.ones(3)), np.sum(g), rtol=1e-12)
    np.testing.assert_allclose(wengert.jit(wengert.value_and_grad(watched))(np.ones(3))[1], 2.0)


def test_the_flow_of_gradients_is_that_of_the_users_scans():
    def loss(u, xs):
        h, _ = wengert.scan(lambda h, x: (np.tanh(u * h + x), None), 0.0, xs)
        for _ in range(300):
            h = np.sin(h) * u
        return h

    flow = wengert.gradient_flow(loss)(0.5, np.linspace(-1, 1, 40))
    assert [[norms.shape for norms in scan] for scan in flow] == [[(40,)]]
