"""`fit`: what it learns, when it stops, what it says of a NaN, and what it refuses."""

import os
import re
import signal
import threading

import numpy as np
import pytest

import wengert
from wengert import nn, optim, tasks, train, tree

X = np.random.default_rng(0).normal(size=(40, 3))
DATA = {"x": X, "y": X @ np.array([1.0, -2.0, 0.5]) + 0.3}
EXACT = np.linalg.lstsq(np.column_stack([X, np.ones(40)]), DATA["y"], rcond=None)[0]


def zero(dtype=np.float64):
    return {"w": np.zeros(3, dtype), "b": dtype(0.0)}


def squares(params, batch):
    return np.mean((batch["x"] @ params["w"] + params["b"] - batch["y"]) ** 2)


def run(optimizer=None, params=None, data=None, loss=squares, **options):
    options = {"progress": False} | options
    params, data = zero() if params is None else params, DATA if data is None else data
    return train.fit(loss, params, data, optimizer or optim.sgd(0.1), **options)


def same(a, b):
    for x, y in zip(tree.flatten(a)[0], tree.flatten(b)[0], strict=True):
        np.testing.assert_array_equal(x, y)


# --- it trains ---------------------------------------------------------------------------------------------


def test_full_batch_descent_is_the_loop_written_by_hand():
    params, opt = zero(), optim.sgd(0.1, momentum=0.5)
    state = opt.init(params)
    losses, norms = [], []
    for _ in range(20):
        value, grads = wengert.value_and_grad(squares)(params, DATA)
        losses.append(value)
        norms.append(optim.global_norm(grads))
        params, state = opt.update(params, grads, state)
    found = run(opt, epochs=20)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-12)
    np.testing.assert_allclose(found.grad_norms, norms, rtol=1e-12)
    np.testing.assert_allclose(found.params["w"], params["w"], rtol=1e-12)
    assert (found.steps, found.epochs, found.reason) == (20, 20, "epochs")
    assert int(found.state["step"]) == 20


def test_minibatches_lead_to_the_solution_of_linear_algebra():
    found = run(optim.adam(optim.cosine(0.1, 1500)), batch_size=8, epochs=300)
    np.testing.assert_allclose([*found.params["w"], found.params["b"]], EXACT, atol=1e-4)
    assert found.losses[-1] < 1e-6 < found.losses[0]


def test_an_epoch_takes_every_row_once_in_a_new_order():
    seen = []
    rows = {"k": np.arange(10.0)}
    watched = lambda p, batch: np.sum(batch["k"]) * 0.0 + p["w"] ** 2
    collect = lambda p, batch: seen.append(batch["k"].copy()) or 0.0
    params = {"w": 1.0}
    run(params=params, data=rows, loss=watched, metrics={"rows": collect}, check_every=1, batch_size=4, epochs=2)
    assert [len(s) for s in seen] == [4, 4, 2] * 2
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)
    seen.clear()
    options = {"metrics": {"rows": collect}, "check_every": 1, "batch_size": 4, "drop_last": True, "shuffle": False}
    run(params=params, data=rows, loss=watched, epochs=2, **options)
    assert [list(s) for s in seen] == [[0, 1, 2, 3], [4, 5, 6, 7]] * 2


def test_sequences_with_time_first_are_cut_along_their_batch_axis():
    xs = np.random.default_rng(1).normal(size=(5, 12, 2))
    data = (xs, xs.sum(axis=(0, 2))[:, None])
    shapes = []

    def loss(params, batch):
        shapes.append((batch[0].shape, batch[1].shape))
        return np.mean((np.sum(batch[0] @ params, axis=0) - batch[1]) ** 2)

    for together in (1, 2):
        found = train.fit(
            loss, np.zeros((2, 1)), data, optim.adam(0.05), batch_axis=(1, 0), batch_size=3, epochs=200,
            steps_per_call=together, progress=False,
        )  # fmt: skip
        np.testing.assert_allclose(found.params, 1.0, atol=1e-3)
    assert set(shapes) == {((5, 3, 2), (3, 1))}


def test_a_function_may_draw_the_batches():
    draw = lambda rng: {"x": (x := rng.normal(size=(16, 3))), "y": x @ np.array([1.0, 2.0, 3.0])}
    first, second = (run(optim.adam(0.05), data=draw, steps=400, seed=7, validation=draw) for _ in range(2))
    np.testing.assert_allclose(first.params["w"], [1, 2, 3], atol=1e-2)
    same(first.params, second.params)
    assert first.checks["step"].tolist() == [100, 200, 300, 400]
    assert (first.checks["validation"] == second.checks["validation"]).all()


def test_batches_may_come_from_a_generator_or_any_iterable():
    rows = [{k: v[8 * j : 8 * j + 8] for k, v in DATA.items()} for j in range(5)]
    once = run(data=(b for b in rows))
    assert (once.reason, once.steps, once.epochs) == ("exhausted", 5, 1)

    class Again:
        def __iter__(self):
            return iter(rows)

    again = run(data=Again(), epochs=3)
    assert (again.reason, again.steps, again.epochs) == ("epochs", 15, 3)
    plain = run(batch_size=8, shuffle=False, epochs=3)
    same(again.params, plain.params)
    np.testing.assert_array_equal(again.losses, plain.losses)


def test_steps_together_are_the_same_steps():
    options = {"batch_size": 6, "epochs": 4, "clip_norm": 0.5, "seed": 3}
    one = run(optim.adam(0.01), **options)
    for together in (2, 4, 100):
        many = run(optim.adam(0.01), steps_per_call=together, **options)
        np.testing.assert_allclose(many.losses, one.losses, rtol=1e-12)
        np.testing.assert_allclose(many.params["w"], one.params["w"], rtol=1e-12)
        assert many.steps == one.steps == 28
    assert run(batch_size=6, steps=5, steps_per_call=4).steps == 5


def test_a_step_and_an_epoch_are_recorded_once():
    calls = []

    def counted(params, batch):
        calls.append(1)
        return squares(params, batch)

    run(loss=counted, batch_size=8, epochs=30)
    assert len(calls) == 1
    opt = optim.adam(0.01)
    step = train.make_step(counted, opt, clip_norm=1.0)
    epoch = wengert.jit(train.make_epoch(step))
    stacked = {k: v.reshape(5, 8, *v.shape[1:]) for k, v in DATA.items()}
    params = zero()
    state = opt.init(params)
    params, state, losses, norms = epoch(params, state, stacked)
    calls.clear()
    for _ in range(3):
        params, state, losses, norms = epoch(params, state, stacked)
    assert calls == []
    assert int(state["step"]) == 20
    by_steps, one = (zero(), opt.init(zero())), wengert.jit(step)
    for _ in range(4):
        for j in range(5):
            *by_steps, loss, norm = one(*by_steps, {k: v[j] for k, v in stacked.items()})
    same((params, state), by_steps)
    assert (losses[-1], norms[-1]) == (loss, norm)


def test_an_epoch_of_a_recurrent_network_is_one_scan():
    rng = np.random.default_rng(0)
    task = tasks.get("adding")
    params = train.SequenceModel.init(rng, task, hidden=6)
    batches = [tasks.adding(rng, 8, 5) for _ in range(4)]

    def loss(model, batch):
        return nn.mse(model(batch[0]), batch[1])

    opt = optim.rmsprop(1e-2)
    step = train.make_step(loss, opt, clip_norm=1.0)
    found = wengert.jit(train.make_epoch(step))(params, opt.init(params), tuple(map(np.stack, zip(*batches))))
    now, one = (params, opt.init(params)), wengert.jit(step)
    for batch in batches:
        *now, last, _ = one(*now, batch)
    for a, b in zip(tree.flatten(found[:2])[0], tree.flatten(now)[0], strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert found[2][-1] == pytest.approx(float(last), rel=1e-5)


def test_parameters_keep_dtype_and_are_not_written_to():
    data = {k: v.astype(np.float32) for k, v in DATA.items()}
    params = zero(np.float32)
    before = tree.map(np.copy, params)
    found = run(optim.adam(0.1), params=params, data=data, batch_size=8, epochs=3)
    same(params, before)
    assert {x.dtype for x in tree.flatten(found.params)[0]} == {np.dtype(np.float32)}
    assert np.shape(found.params["b"]) == ()


def test_clipping_bounds_the_step():
    found = run(optim.sgd(1.0), clip_norm=0.01, steps=1)
    moved = np.sqrt(np.sum(found.params["w"] ** 2) + found.params["b"] ** 2)
    assert moved == pytest.approx(0.01, rel=1e-4)
    assert found.grad_norms[0] > 1
    found = run(optim.sgd(1.0), clip_value=0.01, steps=1)
    np.testing.assert_allclose(np.abs(found.params["w"]), 0.01)


# --- it stops ----------------------------------------------------------------------------------------------


def test_it_stops_at_the_target():
    found = run(epochs=1000, target=0.05)
    assert (found.reason, found.solved) == ("target", True)
    assert found.losses[-1] <= 0.05 < found.losses[-2]


def test_it_stops_when_the_loss_does_not_change_any_more():
    found = run(epochs=10_000, tolerance=1e-8, patience=3)
    assert (found.reason, found.solved) == ("converged", True)
    changes = np.abs(np.diff(found.losses))
    assert (changes[-3:] < 1e-8).all()
    assert changes[-4] >= 1e-8
    assert found.steps < 1000


def test_it_stops_early_and_keeps_the_best():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(8, 20))
    data, other = {"x": x[:4], "y": rng.normal(size=4)}, {"x": x[4:], "y": rng.normal(size=4)}
    params = {"w": 0.1 * rng.normal(size=20), "b": 0.0}
    found = run(optim.sgd(0.02), params, data, epochs=1000, validation=other, early_stopping=6)
    values = found.checks["validation"]
    assert found.reason == "early stopping"
    assert len(values) == np.argmin(values) + 1 + 6
    assert found.best_step == found.checks["step"][np.argmin(values)]
    assert squares(found.best, other) == pytest.approx(values.min(), rel=1e-12)
    assert found.validation == values[-1] > values.min()


def test_a_callback_sees_every_check_and_may_stop():
    seen = []
    found = run(batch_size=10, epochs=9, check_every=2, callback=lambda s: seen.append(s) or s.step >= 6)
    assert [s.step for s in seen] == [2, 4, 6]
    assert (found.reason, found.steps) == ("callback", 6)
    assert [s.loss for s in seen] == pytest.approx(found.losses[:6].reshape(3, 2).mean(axis=1).tolist())
    same(seen[-1].params, found.params)


def test_metrics_are_computed_on_the_validation_data():
    worst = lambda p, batch: np.max(np.abs(batch["x"] @ p["w"] + p["b"] - batch["y"]))

    def size(params, batch):
        return len(batch["x"])

    held = {k: v[:7] for k, v in DATA.items()}
    found = run(epochs=3, validation=held, metrics={"worst": worst})
    assert found.checks["worst"][-1] == worst(found.params, held)
    assert run(batch_size=15, epochs=2, metrics=[size]).checks["size"].tolist() == [10, 10]


def test_ctrl_c_returns_what_has_been_reached():
    def press(status):
        if status.step == 30:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    found = run(epochs=10_000, callback=press)
    assert (found.reason, found.interrupted, found.steps) == ("interrupted", True, 30)
    same(found.params, run(epochs=30).params)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_ends_a_step_that_hangs():
    def stuck():
        yield from ({k: v[:8] for k, v in DATA.items()} for _ in range(3))
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(60)

    found = run(data=stuck())
    assert (found.interrupted, found.steps) == (True, 3)


def test_it_runs_outside_the_main_thread():
    found = []
    worker = threading.Thread(target=lambda: found.append(run(epochs=5)))
    worker.start()
    worker.join()
    same(found[0].params, run(epochs=5).params)


# --- what it shows -------------------------------------------------------------------------------------------


def test_it_shows_nothing_on_demand(capsys):
    run(epochs=20)
    assert capsys.readouterr() == ("", "")


def test_elsewhere_than_on_a_terminal_lines_are_plain(capsys):
    stop = []
    timer = threading.Timer(1.2, lambda: stop.append(1))
    timer.start()
    found = run(optim.sgd(1e-6), batch_size=8, epochs=10**9, progress=True, callback=lambda s: bool(stop))
    timer.join()
    lines = capsys.readouterr().out.splitlines()
    assert found.reason == "callback"
    assert lines
    for line in lines:
        assert re.match(r"step +\d+  epoch \d+/1000000000  loss \S+  gradient \S+ +\d+ steps/s  ETA \S+$", line), line


def test_a_function_is_told_how_it_stands():
    seen = []
    run(data=lambda rng: DATA, steps=10**9, progress=lambda s: seen.append(s), validation=DATA,
        callback=lambda s: len(seen) > 2)  # fmt: skip
    assert all(s.steps == 10**9 and s.rate > 0 and s.validation is not None for s in seen)
    assert [s.step for s in seen] == sorted(s.step for s in seen)


def test_a_result_says_how_it_ended():
    assert re.match(r"target reached after \d+ steps in \d+\.\d s: loss 0\.0", str(run(epochs=100, target=0.05)))


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({}, ValueError, "nothing would end the training"),
        ({"epochs": 0}, ValueError, "epochs=0 must be at least 1"),
        ({"steps": 2.5}, TypeError, "steps must be a whole number"),
        ({"epochs": 1, "batch_size": 41}, ValueError, "batch_size=41, but data has only 40 rows"),
        ({"epochs": 1, "batch_size": 0}, ValueError, "batch_size=0 must be at least 1"),
        ({"epochs": 1, "steps_per_call": 0}, ValueError, "steps_per_call=0"),
        ({"epochs": 1, "clip_norm": 0.0}, ValueError, "clip_norm=0.0 must be more than 0"),
        ({"epochs": 1, "data": {}}, ValueError, "data is empty: a pytree without arrays"),
        ({"epochs": 1, "data": {"x": np.zeros((0, 3))}}, ValueError, r"data['x'] is empty: its shape is (0, 3)"),
        ({"epochs": 1, "data": {"x": X, "y": np.ones(39)}}, ValueError, "data['x'] has 40, data['y'] has 39"),
        ({"epochs": 1, "data": {"x": [1.0, 2.0]}}, ValueError, "lists are containers"),
        ({"epochs": 1, "data": {"x": np.array(["a"])}}, TypeError, "data['x'] has dtype <U1"),
        ({"epochs": 1, "batch_axis": 2}, ValueError, "which has no batch axis 2"),
        ({"epochs": 1, "batch_axis": (0, 0)}, ValueError, "batch_axis=(0, 0) must be a whole number, or a pytree"),
        ({"epochs": 1, "params": {}}, ValueError, "params is empty"),
        ({"epochs": 1, "params": {"w": np.zeros(3, int)}}, TypeError, "params['w'] has dtype int64"),
        ({"epochs": 1, "params": {"w": np.array([np.inf])}}, ValueError, "params['w'] holds 1 of 1 values"),
        ({"epochs": 1, "validation": {"x": np.array([np.nan])}}, ValueError, "validation['x'] holds 1 of 1"),
        ({"epochs": 1, "early_stopping": 3}, ValueError, "give validation="),
        ({"epochs": 1, "resume": True}, ValueError, "give checkpoint="),
        ({"epochs": 1, "patience": 0}, ValueError, "patience=0"),
        ({"tolerance": -1.0}, ValueError, "tolerance=-1"),
        ({"target": np.nan}, ValueError, "target=nan"),
        ({"epochs": 1, "metrics": {"loss": squares}}, ValueError, "a metric cannot be named 'loss'"),
        ({"epochs": 1, "optimizer": "adam"}, TypeError, "optimizer must come from wengert.optim"),
        ({"epochs": 1, "data": lambda rng: DATA}, ValueError, "a function that draws batches has none"),
        ({"steps": 1, "data": lambda rng: DATA, "batch_size": 3}, ValueError, "batch_size and steps_per_call need"),
        ({"steps": 1, "data": iter(())}, ValueError, "data has no batches"),
        ({"steps": 1, "data": iter([None])}, ValueError, "a batch without arrays"),
        ({"steps": 1, "data": iter(["abc"])}, TypeError, "a batch must be a pytree of arrays of numbers"),
        ({"steps": 3, "data": iter([DATA, (X, X)])}, ValueError, "but the first had"),
    ],
)  # fmt: skip
def test_bad_input_is_named(options, kind, words):
    with pytest.raises(kind, match=re.escape(words)):
        run(**options)


def test_an_error_in_the_loss_is_the_users_own():
    with pytest.raises(ZeroDivisionError):
        run(loss=lambda p, batch: 1 / 0, epochs=1)
