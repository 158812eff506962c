"""Optimisers, schedules and clipping: equal to PyTorch's, to closed forms, and pure functions on pytrees."""

import math

import numpy as np
import pytest

import wengert
from wengert import optim, tree

STEPS = 100
ALL = {
    "sgd": lambda lr: optim.sgd(lr),
    "momentum": lambda lr: optim.sgd(lr, momentum=0.9),
    "nesterov": lambda lr: optim.sgd(lr, momentum=0.8, nesterov=True, weight_decay=0.01),
    "rmsprop": lambda lr: optim.rmsprop(lr),
    "rmsprop, all": lambda lr: optim.rmsprop(lr, decay=0.9, momentum=0.5, centered=True, weight_decay=0.02),
    "adam": lambda lr: optim.adam(lr),
    "adam, decay": lambda lr: optim.adam(lr, b1=0.8, b2=0.99, eps=1e-6, weight_decay=0.03),
    "adamw": lambda lr: optim.adamw(lr),
    "adamw, decay": lambda lr: optim.adamw(lr, weight_decay=0.3),
}


def start(dtype=np.float64):
    rng = np.random.default_rng(3)
    return {"w": rng.normal(size=(4, 3)).astype(dtype), "b": [rng.normal(size=3).astype(dtype), dtype(0.5)]}


def loss(params, x):
    """Not convex, and with gradients of very different sizes."""
    w, (b, c) = params["w"], params["b"]
    return np.mean((np.tanh(x @ w + b) - 0.3) ** 2) + 0.05 * np.sum(w[0] ** 4) + 0.01 * c**2 * np.sum(b**2)


def batches(n, dtype=np.float64):
    return np.random.default_rng(5).normal(size=(n, 8, 4)).astype(dtype)


def trained(opt, clip=lambda grads: grads, n=STEPS, dtype=np.float64, jit=True):
    def step(params, state, x):
        value, grads = wengert.value_and_grad(loss)(params, x)
        return *opt.update(params, clip(grads), state), value

    step = wengert.jit(step) if jit else step
    params = start(dtype)
    state = opt.init(params)
    for x in batches(n, dtype):
        params, state, _ = step(params, state, x)
    return params, state


# --- equal to PyTorch ----------------------------------------------------------------------------------


def by_torch(torch, make, clip=lambda leaves: None, schedule=None):
    """The same training in PyTorch, float64."""
    first = start()
    w = torch.tensor(first["w"], requires_grad=True)
    b = torch.tensor(first["b"][0], requires_grad=True)
    c = torch.tensor(np.array(first["b"][1]), requires_grad=True)
    method = make([w, b, c])
    rates = schedule(method) if schedule else None
    for x in batches(STEPS):
        method.zero_grad()
        out = torch.tanh(torch.tensor(x) @ w + b)
        value = ((out - 0.3) ** 2).mean() + 0.05 * (w[0] ** 4).sum() + 0.01 * c**2 * (b**2).sum()
        value.backward()
        clip([w, b, c])
        method.step()
        if rates:
            rates.step()
    return [x.detach().numpy() for x in (w, b, c)]


def assert_same(params, theirs):
    for ours, other in zip([params["w"], *params["b"]], theirs, strict=True):
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("sgd", lambda t, p: t.optim.SGD(p, lr=0.05)),
        ("momentum", lambda t, p: t.optim.SGD(p, lr=0.05, momentum=0.9)),
        ("nesterov", lambda t, p: t.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.01)),
        ("rmsprop", lambda t, p: t.optim.RMSprop(p, lr=0.05)),
        (
            "rmsprop, all",
            lambda t, p: t.optim.RMSprop(p, lr=0.05, alpha=0.9, momentum=0.5, centered=True, weight_decay=0.02),
        ),
        ("adam", lambda t, p: t.optim.Adam(p, lr=0.05)),
        ("adam, decay", lambda t, p: t.optim.Adam(p, lr=0.05, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.03)),
        ("adamw", lambda t, p: t.optim.AdamW(p, lr=0.05)),
        ("adamw, decay", lambda t, p: t.optim.AdamW(p, lr=0.05, weight_decay=0.3)),
    ],
)
def test_equal_to_pytorch(name, make):
    torch = pytest.importorskip("torch")
    assert_same(trained(ALL[name](0.05))[0], by_torch(torch, lambda p: make(torch, p)))


def test_clipping_is_equal_to_pytorch():
    torch = pytest.importorskip("torch")
    method = lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)
    opt = optim.sgd(0.05, momentum=0.9)
    theirs = by_torch(torch, method, lambda p: torch.nn.utils.clip_grad_norm_(p, 0.7))
    assert_same(trained(opt, lambda g: optim.clip_by_global_norm(g, 0.7))[0], theirs)
    theirs = by_torch(torch, method, lambda p: torch.nn.utils.clip_grad_value_(p, 0.05))
    assert_same(trained(opt, lambda g: optim.clip_by_value(g, 0.05))[0], theirs)


def test_schedules_are_equal_to_pytorch():
    torch = pytest.importorskip("torch")
    rates = torch.optim.lr_scheduler
    method = lambda p: torch.optim.Adam(p, lr=0.05)
    theirs = by_torch(torch, method, schedule=lambda m: rates.StepLR(m, 30, gamma=0.3))
    assert_same(trained(optim.adam(optim.step_decay(0.05, every=30, factor=0.3)))[0], theirs)
    theirs = by_torch(torch, method, schedule=lambda m: rates.CosineAnnealingLR(m, STEPS, eta_min=0.001))
    assert_same(trained(optim.adam(optim.cosine(0.05, STEPS, last=0.001)))[0], theirs)
    theirs = by_torch(
        torch, method, schedule=lambda m: rates.SequentialLR(
            m, [rates.LinearLR(m, 0.1, 1.0, 20), rates.CosineAnnealingLR(m, 80)], [20]
        )
    )  # fmt: skip
    ours = optim.join([optim.linear(0.005, 0.05, 20), optim.cosine(0.05, 80)], [20])
    assert_same(trained(optim.adam(ours))[0], theirs)


# --- pure functions on pytrees ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_recorded_or_not_the_same(name):
    opt = ALL[name](optim.warmup(0.05, 5))
    ours, state = trained(opt, n=12)
    plain, other = trained(opt, n=12, jit=False)
    for a, b in zip(tree.flatten((ours, state))[0], tree.flatten((plain, other))[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert int(state["step"]) == 12


@pytest.mark.parametrize("name", ALL)
def test_float32_stays_float32(name):
    params, state = trained(
        ALL[name](optim.cosine(0.05, 50)), lambda g: optim.clip_by_global_norm(g, 1.0), 3, np.float32
    )
    assert [x.dtype for x in tree.flatten(params)[0]] == [np.float32] * 3
    kinds = {x.dtype for x in tree.flatten({k: v for k, v in state.items() if k != "step"})[0]}
    assert kinds <= {np.dtype(np.float32)}
    assert state["step"].dtype == np.int64
    opt = ALL[name](0.05)
    first = start(np.float32)
    wide = tree.map(lambda p: np.ones_like(p, dtype=np.float64), first)
    assert {x.dtype for x in tree.flatten(opt.update(first, wide, opt.init(first))[0])[0]} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", ALL)
def test_nothing_given_is_changed(name):
    opt = ALL[name](0.1)
    params = start()
    state, grads = opt.init(params), tree.map(np.ones_like, params)
    before = tree.map(np.copy, (params, state, grads))
    opt.update(params, grads, state)
    for a, b in zip(tree.flatten((params, state, grads))[0], tree.flatten(before)[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_jitted_step_is_recorded_once_and_its_count_goes_on():
    calls = []

    def counted(params, x):
        calls.append(1)
        return loss(params, x)

    opt = optim.adam(optim.step_decay(0.1, every=10, factor=0.5))

    @wengert.jit
    def step(params, state, x):
        value, grads = wengert.value_and_grad(counted)(params, x)
        return *opt.update(params, optim.clip_by_global_norm(grads, 1.0), state), value

    params = start()
    state = opt.init(params)
    for x in batches(40):
        params, state, _ = step(params, state, x)
    assert int(state["step"]) == 40
    assert len(calls) == 1


def test_numbers_are_parameters_too():
    opt = optim.adam(0.1)
    params, state = {"a": 1.0, "b": np.float32(1.0)}, opt.init({"a": 1.0, "b": np.float32(1.0)})
    for _ in range(300):
        params, state = opt.update(params, {"a": 2 * params["a"], "b": 2 * params["b"]}, state)
    assert params["a"] == pytest.approx(0.0, abs=1e-3)
    assert params["b"].dtype == np.float32


def test_a_hundred_adam_steps_are_those_of_the_paper():
    rng = np.random.default_rng(0)
    w, m, v = rng.normal(size=3), np.zeros(3), np.zeros(3)
    opt = optim.adam(0.01)
    params, state = {"w": w}, opt.init({"w": w})
    for t in range(1, 101):
        g = rng.normal(size=3)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w = w - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        params, state = opt.update(params, {"w": g}, state)
    np.testing.assert_allclose(params["w"], w, rtol=1e-12)


def test_weight_decay_alone_shrinks_by_its_closed_form():
    params = {"w": np.array([2.0, -1.0])}
    for opt, factor in ((optim.sgd(0.1, weight_decay=0.5), 0.95), (optim.adamw(0.1, weight_decay=0.5), 0.95)):
        now, state = params, opt.init(params)
        for _ in range(10):
            now, state = opt.update(now, {"w": np.zeros(2)}, state)
        np.testing.assert_allclose(now["w"], params["w"] * factor**10, rtol=1e-12)


# --- clipping ----------------------------------------------------------------------------------------------


def test_clipping_by_norm_keeps_the_direction_and_leaves_small_gradients_alone():
    small = {"a": np.array([0.3]), "b": np.array([0.4])}
    assert optim.clip_by_global_norm(small, 1.0)["a"][0] == 0.3
    large = {"a": np.array([30.0]), "b": np.array([40.0])}
    clipped = optim.clip_by_global_norm(large, 1.0)
    assert float(optim.global_norm(clipped)) == pytest.approx(1.0)
    assert clipped["b"][0] / clipped["a"][0] == pytest.approx(4 / 3)
    known = optim.clip_by_global_norm(large, 1.0, norm=optim.global_norm(large))
    assert known["a"][0] == clipped["a"][0]
    assert optim.clip_by_global_norm({"a": np.zeros(2)}, 1.0)["a"].tolist() == [0.0, 0.0]


def test_clipping_keeps_dtypes():
    mixed = [np.full(3, 9.0, np.float32), np.full(3, 9.0)]
    assert [g.dtype for g in optim.clip_by_global_norm(mixed, 1.0)] == [np.float32, np.float64]
    assert [g.dtype for g in optim.clip_by_value(mixed, 1.0)] == [np.float32, np.float64]


# --- schedules ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schedule",
    [
        optim.constant(0.3),
        optim.linear(0.1, 0.9, 7),
        optim.step_decay(0.3, 4, 0.5),
        optim.cosine(0.3, 9, 0.01),
        optim.warmup(optim.cosine(0.3, 9), 4),
        optim.join([0.1, optim.step_decay(1.0, 3), optim.cosine(0.4, 3)], [5, 11]),
    ],
)
def test_a_schedule_is_the_same_traced(schedule):
    traced = wengert.jit(lambda step: schedule(step) * 1.0)
    for k in range(20):
        assert float(traced(np.int64(k))) == pytest.approx(float(schedule(k)), rel=1e-14)


def test_cosine_and_warmup_follow_their_formulas():
    rate = optim.warmup(optim.cosine(2.0, 10, last=0.5), 5)
    rise = [2.0 * (k + 1) / 5 for k in range(5)]
    fall = [0.5 + 1.5 * (1 + math.cos(math.pi * k / 10)) / 2 for k in range(10)]
    assert [float(rate(k)) for k in range(20)] == pytest.approx([*rise, *fall, *[0.5] * 5])


# --- L-BFGS --------------------------------------------------------------------------------------------------


def rosenbrock(params):
    x = np.concatenate([params["head"], params["tail"]])
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_lbfgs_finds_the_minimum_of_rosenbrock():
    found = optim.lbfgs(rosenbrock, {"head": np.full(4, -1.2), "tail": np.ones((3,))})
    assert found.converged
    np.testing.assert_allclose(found.params["head"], 1.0, atol=1e-7)
    np.testing.assert_allclose(found.params["tail"], 1.0, atol=1e-7)
    assert found.loss < 1e-14
    assert found.grad_norm < 1e-6
    assert found.evaluations >= found.steps > 10


def test_lbfgs_solves_least_squares_as_linear_algebra_does():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=50)
    found = optim.lbfgs(lambda p, x, y: np.mean((x @ p["w"] + p["b"] - y) ** 2), {"w": np.zeros(4), "b": 0.0}, x, y)
    exact = np.linalg.lstsq(np.column_stack([x, np.ones(50)]), y, rcond=None)[0]
    np.testing.assert_allclose([*found.params["w"], found.params["b"]], exact, atol=1e-7)


def test_lbfgs_keeps_dtypes_and_stops_at_the_limit():
    found = optim.lbfgs(rosenbrock, {"head": np.full(2, -1.2, np.float32), "tail": np.zeros(2)}, steps=3)
    assert (found.params["head"].dtype, found.params["tail"].dtype) == (np.float32, np.float64)
    assert found.steps == 3
    assert not found.converged


def test_lbfgs_returns_what_it_has_at_ctrl_c():
    def loss(params):
        if params["head"][0] > -1.1:  # seen by Python: the function is recorded anew, and interrupts
            raise KeyboardInterrupt
        return rosenbrock(params)

    found = optim.lbfgs(loss, {"head": np.full(2, -1.2), "tail": np.zeros(2)})
    assert found.message == "stopped by Ctrl-C"
    assert not found.converged
    assert found.loss <= rosenbrock({"head": np.full(2, -1.2), "tail": np.zeros(2)})


# --- bad input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: optim.sgd(-0.1), ValueError, "lr=-0.1 must be at least 0"),
        (lambda: optim.adam(math.nan), ValueError, "lr=nan"),
        (lambda: optim.adam("fast"), TypeError, "a number or a schedule"),
        (lambda: optim.adam(b1=1.0), ValueError, "b1=1 must be at least 0 and less than 1"),
        (lambda: optim.adamw(weight_decay=-1), ValueError, "weight_decay=-1"),
        (lambda: optim.rmsprop(decay=2), ValueError, "decay=2"),
        (lambda: optim.sgd(0.1, nesterov=True), ValueError, "needs a momentum"),
        (lambda: optim.cosine(0.1, 0), ValueError, "steps=0 must be at least 1"),
        (lambda: optim.cosine(0.1, 2.5), TypeError, "steps must be a whole number"),
        (lambda: optim.join([0.1, 0.2], [5, 9]), ValueError, "2 schedules need 1 rising milestones"),
        (lambda: optim.join([0.1, 0.2, 0.3], [9, 5]), ValueError, "rising milestones"),
        (lambda: optim.clip_by_value([np.ones(2)], 0), ValueError, "limit=0 must be more than 0"),
        (lambda: optim.clip_by_global_norm([np.ones(2)], -1.0), ValueError, "limit=-1"),
        (lambda: optim.lbfgs(lambda p: 0.0, {}), ValueError, "no parameters"),
        (lambda: optim.lbfgs(lambda p: np.log(p), -1.0), ValueError, "cannot start where the loss is nan"),
    ],
)  # fmt: skip
def test_bad_values_are_named(make, kind, words):
    with pytest.raises(kind, match=words.replace("(", r"\(")):
        make()


def test_a_gradient_of_another_model_is_refused():
    opt = optim.sgd(0.1)
    params = {"w": np.zeros(3)}
    with pytest.raises(ValueError, match="structure"):
        opt.update(params, {"v": np.zeros(3)}, opt.init(params))
    with pytest.raises(ValueError, match=r"gradient\['w'\] has shape \(2,\), the parameter has \(3,\)"):
        opt.update(params, {"w": np.zeros(2)}, opt.init(params))
