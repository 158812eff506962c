"""What the tests of wengert.nn share: small networks of every kind, random numbers, comparing of trees."""

import numpy as np
import pytest

from wengert import nn, tree

RNG = np.random.default_rng(5)
STEPS, BATCH, INPUTS, HIDDEN = 5, 4, 3, 6


def rng():
    return np.random.default_rng(1)


def normal(*shape, dtype=np.float64):
    return RNG.normal(size=shape).astype(dtype)


def leaves(x):
    return tree.flatten(x)[0]


def same(a, b, tol=1e-12):
    assert tree.flatten(a)[1] == tree.flatten(b)[1]
    for x, y in zip(leaves(a), leaves(b), strict=True):
        assert x.shape == y.shape
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=tol, atol=tol)


def randomised(model):
    """The same model with all weights random, biases and peepholes as well."""
    return tree.map(lambda x: normal(*x.shape, dtype=x.dtype) / 2, model)


NETWORKS = {
    "rnn": lambda **o: nn.RNN.init(rng(), INPUTS, HIDDEN, **o),
    "rnn relu": lambda **o: nn.RNN.init(rng(), INPUTS, HIDDEN, activation=nn.relu, **o),
    "lstm": lambda **o: nn.LSTM.init(rng(), INPUTS, HIDDEN, **o),
    "lstm peepholes": lambda **o: nn.LSTM.init(rng(), INPUTS, HIDDEN, peepholes=True, **o),
    "gru": lambda **o: nn.GRU.init(rng(), INPUTS, HIDDEN, **o),
    "gru reset before": lambda **o: nn.GRU.init(rng(), INPUTS, HIDDEN, reset_after=False, **o),
}
each_network = pytest.mark.parametrize("name", NETWORKS)
