"""A loss that is not finite: `fit` names the op and the line that it began at, and loses nothing."""

import numpy as np
import pytest

import wengert
from wengert import optim, train

X = np.random.default_rng(0).normal(size=(40, 3))
DATA = {"x": X, "y": X @ np.array([1.0, -2.0, 0.5]) + 0.3}
ZERO = {"w": np.zeros(3), "b": 0.0}


def squares(params, batch):
    return np.mean((batch["x"] @ params["w"] + params["b"] - batch["y"]) ** 2)


def refused(loss, params, data, **options):
    with pytest.raises(train.NonFiniteError) as caught:
        train.fit(
            loss, params, data, options.pop("optimizer", optim.sgd(1.0)), progress=False, **{"steps": 100} | options
        )
    return caught.value, str(caught.value)


def test_the_op_that_makes_a_nan_is_named_with_its_line():
    def loss(params, batch):
        innocent = np.where(batch > 0.5, np.sqrt(batch - 0.5), 0.0)
        shrinking = params["a"] - batch
        return np.sum(np.log(shrinking)) + np.sum(innocent)

    error, text = refused(loss, {"a": 2.0}, np.array([0.2, 0.1]))
    assert "the loss is not finite" in text
    assert "at log, whose result has 2 of 2 elements not finite, the first (nan) at [0]" in text
    assert "return np.sum(np.log(shrinking))" in text
    assert "test_nan.py" in text
    assert isinstance(error, FloatingPointError)
    assert error.result.reason == "not finite"
    assert error.result.steps == len(error.result.losses) == int(text.split()[1].strip(":")) - 1
    assert np.isfinite(error.result.params["a"])


def test_a_branch_that_is_not_taken_is_not_blamed():
    def loss(params, batch):
        logs = np.log(batch - params["a"])
        powers = np.exp(1000.0 * params["a"] * batch)
        return np.sum(np.where(batch > params["a"], logs, powers))

    _, text = refused(loss, {"a": 1.0}, np.array([3.0, 1.0]))
    assert "at exp" in text
    assert "operand 3000.0 there" in text


def test_a_nan_of_constants_is_named_where_it_arises():
    def loss(params, batch):
        scores = np.where(batch > 0, params["a"], -np.inf)
        scores = scores - np.max(scores)
        return np.sum(np.exp(scores))

    _, text = refused(loss, {"a": 1.0}, np.array([-1.0, -2.0]))
    assert "at sub" in text
    assert "operands -inf, -inf there" in text
    assert "scores = scores - np.max(scores)" in text


def test_a_nan_in_a_loop_over_time_is_named_with_its_step():
    def loss(params, batch):
        def step(h, x):
            h = np.exp(params * h + x)
            return h, None

        return scanned(step, batch)

    def scanned(step, batch):
        return wengert.scan(step, np.ones(2), batch)[0].sum()

    _, text = refused(loss, np.array([1.0, 2.0]), np.ones((10, 2)))
    assert "in step 2 of the loop at exp" in text
    assert "h = np.exp(params * h + x)" in text


def test_a_nan_on_the_way_back_is_named_by_the_line_it_belongs_to():
    def loss(params, batch):
        return np.sum(np.sqrt(params["a"] * batch))

    _, text = refused(loss, {"a": 1.0}, np.array([0.0, 1.0]))
    assert "its gradient with respect to params['a'] is not" in text
    assert "on the way back" in text
    assert "np.sqrt(params" in text


def test_a_nan_in_a_batch_is_named():
    def batches():
        for k in range(5):
            x = X.copy()
            x[1, 2] = np.nan if k == 3 else 0.0
            yield {"x": x, "y": DATA["y"]}

    error, text = refused(squares, ZERO, batches(), optimizer=optim.sgd(0.1))
    assert "step 4: " in text
    assert "batch['x'] has 1 of 120 elements not finite, the first (nan) at [1, 2]" in text
    assert error.result.steps == 3


def test_an_update_that_overflows_is_named_and_undone():
    loss = lambda p, batch: np.mean(batch * p["a"] ** 2)
    error, text = refused(loss, {"a": 1.0}, np.ones(3), optimizer=optim.sgd(1e308))
    assert "params['a'] has the value -inf already" in text
    assert "the learning rate is too large" in text
    assert (error.result.params["a"], error.result.steps) == (1.0, 0)


def test_a_norm_that_overflows_is_told_from_a_gradient_that_does():
    loss = lambda p, batch: np.sum(p["a"] * batch)
    data = np.full(3, 1e30, np.float32)
    _, text = refused(loss, {"a": np.ones(3, np.float32)}, data)
    assert "the gradient is finite, but its norm overflows: elements of params['a'] are as large as 1e+30" in text


def test_a_nan_among_steps_taken_together_has_its_own_step():
    loss = lambda p, batch: np.mean(np.log(p["a"] - batch))
    data = np.array([0.1, 0.1, 0.1, 5.0, 0.1, 0.1])
    error, text = refused(
        loss, {"a": 2.0}, data, optimizer=optim.sgd(1e-3), batch_size=1, shuffle=False, steps_per_call=6
    )
    assert "step 4: the loss is not finite" in text
    assert error.result.steps == 0


def test_a_validation_loss_that_is_not_finite_stops_as_well():
    loss = lambda p, batch: np.mean(np.log(p["a"] - batch))
    error, text = refused(loss, {"a": 2.0}, np.array([0.1]), validation=np.array([3.0]), optimizer=optim.sgd(1e-3))
    assert "step 1, validation: the loss is not finite" in text
    assert "at log" in text
    assert error.result.steps == 1


def test_masked_nan_in_the_data_is_allowed_on_demand():
    x = X.copy()
    x[3] = np.nan
    known = lambda p, batch: np.mean(np.where(np.isnan(batch["x"]), 0.0, batch["x"] * p["w"]) ** 2)
    with pytest.raises(ValueError, match=r"data\['x'\] holds 3 of 120 values that are not finite, .* at \[3, 0\]"):
        train.fit(known, {"w": np.ones(3)}, DATA | {"x": x}, optim.sgd(0.1), epochs=1, progress=False)
    found = train.fit(
        known, {"w": np.ones(3)}, {"x": x}, optim.sgd(0.1), epochs=50, allow_nonfinite=True, progress=False
    )
    assert found.losses[-1] < found.losses[0]


def test_a_search_that_fails_does_not_hide_what_happened(monkeypatch):
    def broken(*args):
        raise RuntimeError("no tape")

    monkeypatch.setattr("wengert.train.blame.record", broken)
    error, text = refused(lambda a, batch: np.sum(np.log(a - batch)), 0.1, np.array([0.2]))
    assert "where it begins was not found (RuntimeError: no tape)" in text
    assert error.result.steps == 0


@pytest.mark.parametrize("transform", [lambda f: f, wengert.jit], ids=["plain", "jit"])
def test_a_zero_adjoint_stays_zero_beside_an_infinite_constant(transform):
    """Also where a program for a finite constant in the same place is known already."""
    for c in (2.0, np.inf, np.nan, 2.0):
        slope = transform(wengert.grad(lambda x, c=c: np.sum(np.where(x > 1.0, x * c, 0.0))))
        assert slope(np.zeros(3)).tolist() == [0.0, 0.0, 0.0]
        scanned = wengert.grad(
            lambda x, c=c: wengert.scan(lambda h, _: (np.where(h > 1.0, h * c, 0.0), None), x, None, 3)[0]
        )
        assert transform(scanned)(0.0) == 0.0


@pytest.mark.parametrize("transform", [lambda f: f, wengert.jit], ids=["plain", "jit"])
def test_a_constant_that_is_infinite_in_float32_is_no_finite_one(transform):
    x = np.array([-1.0, 2.0, 0.5], np.float32)
    with np.errstate(over="ignore"):
        slope = transform(wengert.grad(lambda x: np.sum(np.where(x > 0, x, x * 1e300))))(x)
    assert slope.tolist() == [np.inf, 1.0, 1.0]
