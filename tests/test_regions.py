"""Regions: elementwise work in one loop of machine code gives the very bits that op by op gives."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_programs import STEPS, inputs, loss, programs, shapes_of_inputs

import wengert
from wengert import hot
from wengert.ops.reduce import SUM
from wengert.plan import lower as planning
from wengert.plan.regions import MOST, regions
from wengert.vm.replay import run_once


def both(tape, args):
    """A tape's results op by op, and with its regions compiled; how many words each program has."""
    consts, arrays = [c.value for c in tape.consts], [c.array for c in tape.captured]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "emit_region", lambda *_: False)
        plain = planning.lower(tape)
    fused = planning.lower(tape, compile=True)
    return (*(run_once(p, args, consts, arrays) for p in (plain, fused)), len(plain.code), len(fused.code))


def check(f, *args):
    with np.errstate(all="ignore"):
        tape = wengert.record(f, *args)
    plain, fused, long, short = both(tape, args)
    for a, b in zip(plain, fused, strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)
    return long, short


RNG = np.random.default_rng(0)
X = RNG.normal(size=(33, 17))

FUNCTIONS = {
    "chain": lambda x: np.tanh(x * 1.5 + 0.25) ** 2 - np.exp(-x * x),
    "row and column": lambda x: np.tanh(x + x[0]) * (x - x[:, :1]) / (1.0 + x[3] ** 2),
    "transposed": lambda x: np.sin(x[:17] * x[:17].T + 1.0) - x[:17].T,
    "columns of a step": lambda x: np.cos(x[:, ::2]) * x[:, ::2] + x[:, :9],
    "reversed": lambda x: (x[::-1] - x) * x[:, ::-1] + 2.0,
    "masks": lambda x: np.where((x > 0.1) & ~(x > 1.0), np.sqrt(np.abs(x)), -x) * (x < 0.5),
    "infinite and NaN": lambda x: np.log(x) / (x - x) + np.sqrt(x - 1e308 * 10),
    "whole numbers": lambda x: (np.arange(17) % 3 + x.astype(np.int64) * 2).astype(np.float64) * x,
    "several results": lambda x: (x * 2 + 1, np.exp(x * 2 + 1), np.exp(x * 2 + 1) * x),
    "three axes": lambda x: np.tanh(x[:, None, :] * x[:4, :1] + 1.0) * 2.0,
    "put together": lambda x: np.concatenate([np.tanh(x * 2 + 1), x - 1, np.exp(x * 0.5) + x], axis=1) * 2,
    "put together along rows": lambda x: np.concatenate([x * 2 + 1, (x + 1) * 3]),
    "more than a region holds": lambda x: [x := x * 1.01 + 0.001 for _ in range(MOST)][-1],
    "interleaved with sums": lambda x: (x * 2 + x.sum()) * (np.tanh(x) * 3).sum(axis=0) + np.tanh(x) * x,
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_same_bits(name, dtype):
    f = FUNCTIONS[name]
    long, short = check(f, X.astype(dtype))
    if name != "three axes":
        assert short < long


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(200_003,), (1001, 301), (2, 100_001), (70_001, 5), (40, 300, 41)])
def test_large_ones_are_shared_between_threads(threads, shape):
    before = wengert.num_threads()
    wengert.set_num_threads(threads)
    try:
        x = np.random.default_rng(1).normal(size=shape)
        check(wengert.grad(lambda x: np.sum(np.tanh(x * 1.5 + x[..., :1]) * x + 1.0)), x)
    finally:
        wengert.set_num_threads(before)


SUMS = {
    "of everything": lambda x: np.sum(np.tanh(x) * 1.5),
    "of rows": lambda x: np.sum(np.exp(-x) * x, axis=-1),
    "of rows, kept": lambda x: np.sum(np.exp(-x) * x, axis=-1, keepdims=True),
    "of columns": lambda x: np.sum(x * x + 1, axis=0),
    "of the middle": lambda x: np.sum(np.stack([x * 2, x + 1], axis=2) * x[:, :, None], axis=1),
    "of both ends": lambda x: np.sum(np.stack([x * 2, x + 1], axis=2) * x[:, :, None], axis=(0, 2)),
    "of a broadcast": lambda x: np.sum((x - x[:1]) * x[:, :1]),
    "of rows of a broadcast": lambda x: np.sum((x[:, None] - x[None, :2]) ** 2, axis=-1),
    "of layers of a broadcast": lambda x: np.sum((x[:, None] - x[None, :2]) ** 2, axis=0),
    "of a view": lambda x: np.sum(x[::2, 1:] * 2 + 1, axis=1) + np.sum(x[::2, ::-1] * 3 + 2),
    "several": lambda x: (np.sum(x * 2, axis=0), np.sum(x * 2), np.sum(np.exp(x * 2), axis=-1), x * 2),
    "whole numbers": lambda x: np.sum((x > 0) * 3, axis=0) + np.sum((x > 0.5) * 2 - 1),
    "used at once": lambda x: (s := np.sum(x * 2)) + np.sum(x * 2 / s, axis=0),
    "infinite and NaN": lambda x: np.sum(np.log(x) * 2, axis=0) + np.sum(1 / (x - x)),
    "zeros of both signs": lambda x: np.sum(x * -0.0 * 1.0 - 0.0, axis=1),
}
SHAPES = [(1, 2), (3, 1), (2, 10), (5, 31), (4, 64), (3, 65), (2, 129), (7, 33), (2, 4095), (2, 4097), (1, 9001)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", SUMS)
def test_sums_in_a_region_have_the_same_bits(name, shape, dtype):
    x = np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)
    check(SUMS[name], x)
    if name not in ("whole numbers", "infinite and NaN", "several"):
        check(wengert.grad(lambda x: np.sum(SUMS[name](x) ** 2)), x)


@pytest.mark.parametrize("name", ["of everything", "of rows", "of columns"])
def test_a_sum_takes_no_packet_of_its_own(name):
    x = np.ones((5, 40))
    found = wengert.explain(SUMS[name], x)
    assert found.calls == 1
    assert [r.instructions for r in found.regions] == [len(wengert.record(SUMS[name], x).instructions)]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("columns", [2, 5, 26, 32, 33, 64, 130])
def test_threads_share_sums_over_rows(columns, threads):
    """Also of so few columns that their number is part of the code."""
    before = wengert.num_threads()
    wengert.set_num_threads(threads)
    try:
        m = np.random.default_rng(0).normal(size=(400_000 // columns, columns))
        check(lambda m: (np.sum(m * m, axis=0), np.sum(m * 2 + 1, axis=1), np.sum(m * 3), m * m), m)
        check(wengert.grad(lambda m: np.sum(np.tanh(m + m[0]))), m)
    finally:
        wengert.set_num_threads(before)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(STEPS, 12), shapes_of_inputs, st.integers(0, 1000))
def test_random_programs_and_their_gradients(program, shapes, seed):
    xs = inputs(shapes, seed)
    check(wengert.value_and_grad(loss(program), argnums=tuple(range(len(xs)))), *xs)


def test_an_instruction_waits_for_nothing_that_needs_it():
    """The order that regions are put into is one in which everything is written before it is read."""
    for f in FUNCTIONS.values():
        with np.errstate(all="ignore"):
            tape = wengert.record(f, X)
        everything = list(range(len(tape.instructions)))
        order, found = regions(tape, everything)
        assert sorted(order) == everything
        known = {*tape.inputs, *(c.slot for c in (*tape.consts, *tape.captured))}
        for at in order:
            _, outs, ins, _ = tape.instructions[at]
            assert known.issuperset(ins)
            known.update(outs)
        for start, stop in found.items():
            inside = [tape.instructions[at] for at in order[start:stop]]
            shapes = {tape.avals[outs[0]].shape for op, outs, _, _ in inside if op is not SUM}
            shapes |= {tape.avals[ins[0]].shape for op, _, ins, _ in inside if op is SUM}
            assert len(shapes) == 1
            sums = {outs[0] for op, outs, _, _ in inside if op is SUM}
            assert sums.isdisjoint(s for _, _, ins, _ in inside for s in ins)
            assert 1 < stop - start <= MOST


def test_a_function_that_is_called_often_changes_over_without_a_trace(monkeypatch):
    monkeypatch.setattr(hot, "_FEWEST", 3)
    monkeypatch.setattr(hot, "_SPENT", 0.0)

    def f(x, w):
        h, ys = wengert.scan(lambda h, x: (np.tanh(x @ w + h) * 0.5 + h * 0.25, h * 2 + x.sum()), np.zeros(5), x)
        return np.sum(ys**2) + np.sum(h)

    step = wengert.jit(wengert.value_and_grad(f, argnums=(0, 1)))
    x, w = RNG.normal(size=(6, 4)), RNG.normal(size=(4, 5))
    done = []
    monkeypatch.setattr(hot._worker, "add", lambda tape, better: done.append((tape, better)))
    want = wengert.tree.flatten(step(x, w))[0]
    for call in range(12):
        if call == 8:
            ((tape, better),) = done  # asked for once
            better(planning.lower(tape(), compile=True))
        for a, b in zip(want, wengert.tree.flatten(step(x, w))[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_compiler_thread_does_its_work():
    tape = wengert.record(lambda x: np.tanh(x * 3 + 1) * x, X)
    done = threading.Event()
    hot.compile_regions(lambda: tape, lambda program: done.set())
    assert done.wait(timeout=60)


def test_it_can_be_switched_off(monkeypatch):
    tape = wengert.record(lambda x: x * 2 + 1, X)
    assert hot.calls_until_hot(tape) > 0
    monkeypatch.setenv("WENGERT_COMPILE_REGIONS", "0")
    assert hot.calls_until_hot(tape) == 0


def turns(x):
    """A Python loop over elements: a tape of single numbers."""
    total, h = 0.0, x[0]
    for k in range(1, 40):
        h = np.tanh(x[k] * h + 0.5) if k % 2 else x[k] - h * h
        total = total + h * h + x[k] / (1.0 + abs(h))
    return total


def test_loops_over_elements():
    long, short = check(wengert.value_and_grad(turns), RNG.normal(size=40))
    assert short < long / 1.5


def test_equal_turns_share_their_code():
    def f(x):
        h = x
        for _ in range(400):
            h = h + 0.01 * np.sin(h) * x - h * h * 0.001
        return h

    tape = wengert.record(wengert.grad(f), 0.5)
    order, found = regions(tape, list(range(len(tape.instructions))), singles=True)
    codes = [tuple(tape.instructions[at][0].name for at in order[a:b]) for a, b in found.items()]
    assert len(codes) > 20
    assert 4 * len(set(codes)) <= len(codes)


LOOPS = {
    "every element once": lambda x: sum(np.tanh(x[i]) * (i + 1.0) for i in range(len(x))),
    "neighbours": lambda x: sum((x[i + 1] - x[i] ** 2) ** 2 * x[i] for i in range(len(x) - 1)),
    "backwards, and with gaps": lambda x: sum(np.exp(-x[-i] * x[-i]) for i in range(3, len(x))),
    "few of many": lambda x: x[1] * x[4] + x[1],
    "and the whole": lambda x: np.sum(x * x) + sum(x[i] ** 3 for i in range(len(x))),
    "of another array": lambda x: sum(y * (k + 0.5) for k, y in enumerate(np.tanh(x * 2.0))),
    "one number of several axes": lambda x: np.sum((x[:1] * 2.0 + x[1]) * x[2] + x[:1, None] * 1.5),
    "comparisons": lambda x: sum(np.where((x[i] > 0) & (x[i] < 1), x[i] ** 2, -x[i]) for i in range(len(x))),
    "slices between": lambda x: sum(x[i] * np.sum(x[i : i + 2]) for i in range(len(x) - 1)),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", LOOPS)
def test_loops_over_elements_and_their_gradients(name, dtype):
    f = LOOPS[name]
    x = np.random.default_rng(5).normal(size=12).astype(dtype)
    check(wengert.value_and_grad(f), x)
    slope = wengert.grad(f)(x)
    assert slope.dtype == dtype
    for k, e in enumerate(np.eye(len(x))):
        if dtype == np.float64:
            assert slope[k] == pytest.approx((f(x + 1e-6 * e) - f(x - 1e-6 * e)) / 2e-6, rel=1e-6, abs=1e-8)
    v = np.linspace(-1, 1, len(x)).astype(dtype)
    second = wengert.grad(lambda x: np.sum(wengert.grad(f)(x) * v))
    check(second, x)
    if dtype == np.float64:
        by_differences = (wengert.grad(f)(x + 1e-6 * v) - wengert.grad(f)(x - 1e-6 * v)) / 2e-6
        np.testing.assert_allclose(second(x), by_differences, rtol=1e-5, atol=1e-7)


def test_elements_of_an_array_that_is_read_where_it_lies():
    """Its views' addresses are set at every call."""

    def f(x):
        return sum(np.tanh(x[i]) * x[-i] for i in range(40)) + np.sum(x) * 0.1

    slope = wengert.jit(wengert.grad(f))
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=3000)
        wanted = np.full(3000, 0.1)
        for i in range(40):
            wanted[i] += (1 - np.tanh(x[i]) ** 2) * x[-i]
            wanted[-i] += np.tanh(x[i])
        np.testing.assert_allclose(slope(x), wanted, rtol=1e-13)
