"""Gradient flow: the norm of the adjoint of a loop's carry, step by step."""

import numpy as np
import pytest

import wengert
from wengert import nn, train
from wengert.errors import OptionError

RNG = np.random.default_rng(0)


def test_norms_are_those_of_the_adjoint_of_each_carry():
    """Against the gradient in a perturbation of every carry."""
    w, xs, target = RNG.normal(size=(4, 4)), RNG.normal(size=(7, 3, 4)), RNG.normal(size=(7, 3, 4))

    def loss(w, nudge=None):
        def step(carry, x):
            h, c = carry
            x, dh, dc = x
            h, c = np.tanh(h @ w + x) + c + dh, 0.9 * c + h.sum(axis=1, keepdims=True) + dc
            return (h, c), (h * c, h)

        zero = (np.zeros((7, 3, 4)), np.zeros((7, 3, 1))) if nudge is None else nudge
        (h, c), (ys, hs) = wengert.scan(step, (np.zeros((3, 4)), np.zeros((3, 1))), (xs, *zero))
        return np.sum(ys * target) + np.sum(hs**2) + np.sum(h * c)

    found = wengert.gradient_flow(loss)(w)
    nudges = (np.zeros((7, 3, 4)), np.zeros((7, 3, 1)))
    bars = wengert.grad(loss, argnums=1)(w, nudges)
    assert len(found) == 1
    for norms, bar in zip(found[0], bars, strict=True):
        np.testing.assert_allclose(norms, np.sqrt((bar**2).sum(axis=(1, 2))), rtol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_linear_loop_has_powers(reverse):
    loss = lambda u: wengert.scan(lambda h, x: (u * h + x, None), 1.0, np.ones(6), reverse=reverse)[0]
    powers = 0.5 ** np.arange(5, -1, -1.0)
    np.testing.assert_allclose(wengert.gradient_flow(loss)(0.5)[0][0], powers[::-1] if reverse else powers)


def test_it_is_recorded_once_and_scans_keep_their_order():
    calls = []

    def loss(u, xs):
        calls.append(1)
        h, _ = wengert.scan(lambda h, x: (u * h + x, None), 0.0, xs)
        g, _ = wengert.scan(lambda g, x: (u * u * g + h, None), 0.0, xs[:3])
        return g

    flow = wengert.gradient_flow(loss)
    first, second = flow(0.5, np.ones(5))
    flow(0.7, np.ones(5))
    assert len(calls) == 1
    assert first[0].shape == (5,)
    np.testing.assert_allclose(second[0], [0.0625, 0.25, 1.0])


def test_without_a_scan_it_says_so():
    with pytest.raises(OptionError, match="needs a function with a scan"):
        wengert.gradient_flow(lambda x: x * x)(2.0)


def test_an_elman_net_loses_and_an_lstm_keeps_a_signal_over_200_steps(tmp_path):
    rng = np.random.default_rng(1)
    xs = rng.normal(size=(200, 8, 2))
    flows = {}
    for name, cell in (("rnn", nn.RNN), ("lstm", nn.LSTM)):
        net = cell.init(rng, 2, 16, dtype=np.float64)
        if name == "rnn":
            net = wengert.tree.map(lambda a: 0.5 * a, net)
        else:  # forget gates wide open
            forget = np.repeat([0.0, 6.0, 0.0, 0.0], 16)
            net = wengert.tree.map(lambda a: a + forget if a.ndim == 1 else 0.3 * a, net)
        flows[name] = train.gradient_flow(lambda net, xs: np.sum(net(xs)[-1] ** 2), net, xs)
    assert flows["rnn"].decay() < 0.8
    hidden, cells = flows["rnn"].norms[0][0], flows["lstm"].norms[0][1]
    assert hidden[0] < 1e-12 * hidden[-1]
    assert cells[0] > 0.1 * cells[-1] > 0
    pytest.importorskip("matplotlib")
    assert flows["rnn"].plot(tmp_path / "flow.png").stat().st_size > 5000
