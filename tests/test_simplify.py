"""A simplified tape has less on it and gives the same bits."""

import numpy as np
import pytest

import wengert
from wengert.plan.lower import lower
from wengert.plan.simplify import simplify
from wengert.vm.replay import run_once

SPECIAL = np.array([0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan, 5e-324])


def names(tape):
    return [op.name for op, *_ in tape.instructions]


def replayed(tape, *inputs):
    return run_once(lower(tape), inputs, [c.value for c in tape.consts], [c.array for c in tape.captured])


def same_bits(tape, *inputs):
    done = simplify(tape)
    done.tape.verify()
    for a, b in zip(replayed(tape, *inputs), replayed(done.tape, *inputs), strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()
    return done


@pytest.mark.parametrize(
    "f",
    [
        *(lambda x: x * 1.0, lambda x: 1.0 * x, lambda x: x / 1.0),
        *(lambda x: x - 0.0, lambda x: x + -0.0, lambda x: np.negative(-x)),
    ],
)
def test_what_changes_nothing_goes(f):
    done = same_bits(wengert.record(lambda x: np.exp(f(x)), SPECIAL), SPECIAL)
    assert "exp" in names(done.tape)
    assert len(set(names(done.tape)) - {"exp", "neg", "broadcast"}) == 0
    assert done.identities == 1


@pytest.mark.parametrize(
    "f",
    [
        *(lambda x: x + 0.0, lambda x: x * 0.0, lambda x: x - -0.0, lambda x: 0.0 - x, lambda x: 1.0 / x),
        *(lambda x: x - x, lambda x: x / x, lambda x: x * -1.0, lambda x: (x + 1e16) - 1e16),
    ],
)
def test_what_only_seems_to_change_nothing_stays(f):
    done = same_bits(wengert.record(f, SPECIAL), SPECIAL)
    assert done.identities == 0


def test_a_number_that_widens_the_result_stays():
    x = np.ones(3, np.float32)
    done = same_bits(wengert.record(lambda x: (x * np.ones(3), x * np.float64(1)), x), x)
    assert done.tape.avals[done.tape.outputs[1]].dtype == np.float64
    tall = np.ones((3, 1))
    done = same_bits(wengert.record(lambda x: x * np.broadcast_to(1.0, (3, 4)), tall), tall)
    assert replayed(done.tape, tall)[0].shape == (3, 4)


def test_constants_are_computed_once():
    def f(x):
        two = wengert.grad(lambda u: u * 3.0 - u)(1.0)  # recorded here, though no input is in it
        return x * two

    done = same_bits(wengert.record(f, SPECIAL), SPECIAL)
    assert done.folded >= 1
    assert names(done.tape).count("mul") == 1
    assert "sub" not in names(done.tape)


def test_equal_instructions_are_one():
    done = same_bits(wengert.record(lambda x: np.sin(x) * np.cos(x) + np.sin(x), SPECIAL), SPECIAL)
    assert names(done.tape).count("sin") == 1
    assert done.common == 1


def test_guards_keep_their_order_and_their_branches():
    @wengert.jit
    def f(x):
        y = x * 1.0
        if y > 0:
            return np.negative(-y) + 0.0 if np.sin(x) > 0.5 else np.sin(x) * 2
        return y - 0.0

    for x in (1.0, 0.1, -1.0, 1.2, 0.2, -2.0):
        wanted = (x if np.sin(x) > 0.5 else np.sin(x) * 2) if x > 0 else x
        assert f(x) == pytest.approx(wanted, rel=1e-15)


def test_results_are_fresh_where_a_function_gives_back_its_argument():
    x = np.arange(5.0)
    y, z = wengert.jit(lambda x: (x * 1.0, x / 1.0))(x)
    assert not np.shares_memory(x, y)
    assert not np.shares_memory(y, z)
    large = np.arange(5000.0)
    y, z = wengert.jit(lambda x: (x * 1.0, x / 1.0))(large)
    assert not np.shares_memory(large, y)
    assert not np.shares_memory(y, z)
    assert np.array_equal(y, large)
    assert np.array_equal(z, large)


def test_gradients_of_gradients():
    f = wengert.grad(lambda x: wengert.grad(lambda x: np.sum(np.tanh(x) ** 3))(x) @ np.ones(4))
    x = np.linspace(-1, 1, 4)
    tape = wengert.record(f, x)
    done = same_bits(tape, x)
    assert len(done.tape) < len(tape)
