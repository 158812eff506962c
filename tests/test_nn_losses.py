"""Layers, activations and losses of wengert.nn where closed forms are known, and far out."""

import numpy as np
import pytest
from networks import RNG, normal

import wengert
from wengert import nn


def test_layer_norm_does_not_see_scale_and_shift_of_its_input():
    layer, x = nn.LayerNorm.init(6, eps=0.0, dtype=np.float64), normal(3, 6)
    y = layer(x)
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-14)
    np.testing.assert_allclose(y.std(axis=-1), 1, rtol=1e-13)
    np.testing.assert_allclose(layer(5 * x - 7), y, rtol=1e-11)


def test_activations_far_out():
    """No overflow, no NaN, no warning; the limits are exact, slopes included."""
    x = np.array([-1e4, -100.0, 0.0, 100.0, 1e4])
    slope = lambda f: wengert.grad(lambda x: np.sum(f(x)))(x).tolist()
    e = np.exp(-100.0)
    assert nn.sigmoid(x).tolist() == pytest.approx([0, e, 0.5, 1, 1], rel=1e-14)
    assert nn.softplus(x).tolist() == pytest.approx([0, e, np.log(2), 100, 1e4], rel=1e-14)
    assert slope(nn.softplus) == pytest.approx([0, e, 0.5, 1, 1], rel=1e-14)
    assert nn.elu(x).tolist() == [-1, -1 + e, 0, 100, 1e4]
    assert slope(nn.elu) == pytest.approx([0, e, 1, 1, 1], rel=1e-14)
    assert slope(nn.relu) == [0, 0, 0, 1, 1]
    assert slope(nn.leaky_relu) == [0.01, 0.01, 0.01, 1, 1]
    assert nn.gelu(x).tolist() == [0, 0, 0, 100, 1e4]
    assert slope(nn.gelu) == [0, 0, 0.5, 1, 1]
    assert nn.swish(x).tolist() == pytest.approx([0, -100 * e, 0, 100, 1e4], rel=1e-14)
    assert np.isnan(nn.relu(np.array([np.nan]))).all()


def test_softmax_with_classes_ruled_out():
    x = np.array([0.0, -np.inf, np.log(3.0)])
    np.testing.assert_allclose(nn.softmax(x), [0.25, 0.0, 0.75], rtol=1e-14)
    np.testing.assert_allclose(nn.softmax(x + 1e3)[[0, 2]], [0.25, 0.75], rtol=1e-12)
    slope = wengert.grad(lambda x: nn.softmax_cross_entropy(x, 0))(x)
    np.testing.assert_allclose(slope, [-0.75, 0.0, 0.75], atol=1e-15)


def test_cross_entropy_of_even_logits_is_the_log_of_the_number_of_classes():
    logits = np.full((4, 10), 7.0)
    assert float(nn.softmax_cross_entropy(logits, np.arange(4))) == pytest.approx(np.log(10), rel=1e-14)
    logits = normal(4, 5)
    labels = np.array([1, 4, 0, 1])
    for mask in (None, np.array([True, False, True, True])):
        by_number = nn.softmax_cross_entropy(logits, labels, mask)
        by_row = nn.softmax_cross_entropy(logits, np.eye(5)[labels], mask)
        assert float(by_number) == pytest.approx(float(by_row), rel=1e-14)


def test_binary_cross_entropies_agree_and_reach_far():
    z, y = np.array([-3.0, 0.2, 2.0, -700.0, 700.0]), np.array([1, 0, 1, 0, 1])
    found = [float(nn.binary_cross_entropy_logits(z[k], y[k])) for k in range(5)]
    assert found == pytest.approx(
        [np.log1p(np.exp(3)), np.log1p(np.exp(0.2)), np.log1p(np.exp(-2)), *2 * [np.exp(-700)]]
    )
    p = nn.sigmoid(z[:3])
    assert float(nn.binary_cross_entropy(p, y[:3])) == pytest.approx(np.mean(found[:3]), rel=1e-13)
    sure = np.array([0.0, 1.0])
    assert float(nn.binary_cross_entropy(sure, sure)) == 0.0
    assert float(nn.binary_cross_entropy(sure, 1 - sure)) == np.inf
    assert wengert.grad(nn.binary_cross_entropy)(sure, sure).tolist() == [0.5, -0.5]


LOSSES = {
    "mse": (nn.mse, lambda: (normal(4, 3, 2), normal(4, 3, 2))),
    "mae": (nn.mae, lambda: (normal(4, 3, 2), normal(4, 3, 2))),
    "huber": (nn.huber, lambda: (normal(4, 3, 2), normal(4, 3, 2))),
    "bce": (nn.binary_cross_entropy, lambda: (RNG.uniform(0.1, 0.9, (4, 3, 2)), RNG.random((4, 3, 2)))),
    "bce logits": (nn.binary_cross_entropy_logits, lambda: (normal(4, 3, 2), RNG.random((4, 3, 2)))),
    "cross entropy": (nn.softmax_cross_entropy, lambda: (normal(4, 3, 2), RNG.integers(0, 2, (4, 3)))),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_mask_leaves_out_what_it_hides(name):
    loss, make = LOSSES[name]
    prediction, target = make()
    mask = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 1], [0, 0, 1]], bool)
    want = loss(prediction[mask], target[mask])
    spoiled, wrong = prediction.copy(), target.copy()
    spoiled[~mask] = np.nan
    wrong[~mask] = -100 if target.dtype.kind == "i" else np.nan
    for f in (loss, wengert.jit(loss)):
        for p, t in ((prediction, target), (spoiled, wrong)):
            assert float(f(p, t, mask=mask)) == pytest.approx(float(want), rel=1e-14)
        assert float(f(prediction, target, mask=np.zeros_like(mask))) == 0.0
    slope = wengert.grad(loss)(spoiled, wrong, mask=mask)
    np.testing.assert_array_equal(slope[~mask], 0)
    np.testing.assert_allclose(slope[mask], wengert.grad(loss)(prediction[mask], target[mask]), rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_have_the_dtype_of_the_prediction(name):
    loss, make = LOSSES[name]
    prediction, target = make()
    for mask in (None, np.ones((4, 3), bool)):
        value, slope = wengert.value_and_grad(loss)(prediction.astype(np.float32), target, mask=mask)
        assert value.dtype == slope.dtype == np.float32
        assert loss(prediction.astype(np.float32), target, mask=mask).dtype == np.float32
        assert float(value) == pytest.approx(float(loss(prediction, target)), rel=1e-5)
