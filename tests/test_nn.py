"""wengert.nn: modules as trees, what a recording sees of them, dropout, errors."""

import dataclasses
import pickle

import numpy as np
import pytest
from networks import INPUTS, NETWORKS, STEPS, leaves, normal, rng, same

import wengert
from wengert import nn, tree
from wengert.errors import DTypeError, IndexingError, ShapeError, WengertError

# --- modules ---------------------------------------------------------------------------------------------


class Net(nn.Module):
    body: nn.Sequential
    head: nn.Dense
    power: int = nn.static(default=1)

    def __call__(self, x, masks=None):
        return self.head(self.body(x, masks)) ** self.power


def net(power=1, dtype=np.float32):
    source = rng()
    body = nn.Sequential([nn.Dense.init(source, 4, 8, dtype=dtype), nn.tanh, nn.Dropout(0.5)])
    return Net(body, nn.Dense.init(source, 8, 3, bias=False, dtype=dtype), power)


def test_a_module_is_a_tree():
    model = net()
    assert [x.shape for x in leaves(model)] == [(4, 8), (8,), (8, 3)]
    assert tree.paths(model) == [".body.layers[0].w", ".body.layers[0].b", ".head.w"]
    doubled = tree.map(lambda x: 2 * x, model)
    assert isinstance(doubled, Net)
    np.testing.assert_array_equal(doubled.head.w, 2 * model.head.w)
    assert doubled.body.layers[1].f is nn.tanh
    assert doubled.body.layers[2].rate == 0.5
    assert doubled.head.b is None
    assert tree.flatten(net(power=2))[1] != tree.flatten(model)[1] == tree.flatten(doubled)[1]


def test_a_module_is_a_frozen_dataclass():
    model = net()
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.power = 3
    other = dataclasses.replace(model, power=2)
    assert (other.power, other.head) == (2, model.head)
    assert dataclasses.replace(model.body, layers=[nn.relu]).layers[0].f is nn.relu
    assert model != net()
    copied = pickle.loads(pickle.dumps(NETWORKS["gru"]()))
    same(copied, NETWORKS["gru"](), 0)


def test_modules_inherit_fields():
    class Scaled(nn.Dense):
        factor: float = nn.static(default=2.0)

        def __call__(self, x):
            return self.factor * super().__call__(x)

    plain = nn.Dense.init(rng(), 2, 3)
    scaled = Scaled.init(rng(), 2, 3)
    x = np.ones((1, 2), np.float32)
    np.testing.assert_array_equal(scaled(x), 2 * plain(x))
    assert isinstance(tree.map(np.zeros_like, scaled), Scaled)


def test_gradients_are_modules():
    model, x = net(dtype=np.float64), normal(5, 4)
    slope = wengert.grad(lambda model, x: np.sum(model(x)))(model, x)
    assert tree.flatten(slope)[1] == tree.flatten(model)[1]
    h = np.tanh(x @ model.body.layers[0].w)
    np.testing.assert_allclose(slope.head.w, np.repeat(h.sum(axis=0)[:, None], 3, axis=1), rtol=1e-12)
    z_bar = (1 - h * h) * model.head.w.sum(axis=1)
    np.testing.assert_allclose(slope.body.layers[0].w, x.T @ z_bar, rtol=1e-12)
    np.testing.assert_allclose(slope.body.layers[0].b, z_bar.sum(axis=0), rtol=1e-12)


def test_a_jitted_step_on_a_module_learns_and_is_recorded_once():
    recorded = []

    @wengert.jit
    def step(model, x, y, masks):
        recorded.append(1)
        loss = lambda model: nn.softmax_cross_entropy(model(x, masks), y)
        value, slope = wengert.value_and_grad(loss)(model)
        return tree.map(lambda w, g: w - 0.5 * g, model, slope), value

    model, source = net(), rng()
    x = source.normal(size=(64, 4)).astype(np.float32)
    y = np.argmax(x[:, :3], axis=1)
    before = float(nn.softmax_cross_entropy(model(x), y))
    for _ in range(60):
        model, value = step(model, x, y, model.body.masks(source, x))
    assert len(recorded) == 1
    assert value.dtype == np.float32
    assert float(nn.softmax_cross_entropy(model(x), y)) < 0.5 * before
    assert {w.dtype.name for w in leaves(model)} == {"float32"}


def test_static_values_are_part_of_the_signature():
    square = wengert.jit(lambda model, x: model(x))
    x = normal(2, 4, dtype=np.float32)
    np.testing.assert_allclose(square(net(1), x), net(1)(x), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(square(net(2), x), net(1)(x) ** 2, rtol=2e-6, atol=1e-7)


def test_a_model_itself_can_be_jitted():
    ids = np.array([[0, 3], [1, 1]])
    source = rng()
    model = nn.Sequential([nn.Embedding.init(source, 4, 3), nn.LSTM.init(source, 3, 2)])
    run = wengert.jit(model)
    same(run(ids), model(ids), 1e-6)
    same(run(ids[::-1]), model(ids[::-1]), 1e-6)
    model.layers[0].table[:] = 0.0  # captured arrays are read at every call
    same(run(ids), model(ids), 1e-6)


def captured_cases():
    """What a jitted function may capture: the arrays, what is made of them, and other contents for them."""
    logits, model, table = normal(4, 3), NETWORKS["gru"](), nn.Embedding(normal(6, 2))
    xs = normal(STEPS, 4, INPUTS, dtype=np.float32)
    return {
        "labels": (lambda z, y: nn.softmax_cross_entropy(z, y), logits, np.array([0, 1, 2, 1]), np.array([2, 2, 0, 1])),
        "loss mask": (
            lambda z, m: nn.mse(z, z * z, mask=m), logits, np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 1], bool)
        ),
        "target": (
            lambda z, y: nn.binary_cross_entropy_logits(z, y), logits.astype(np.float32), normal(4, 3), normal(4, 3)
        ),
        "lengths": (lambda xs, n: model(xs, n), xs, np.array([1, 2, 3, 4]), np.array([5, 0, 2, 4])),
        "steps": (lambda xs, m: model(xs, m), xs, np.ones((STEPS, 4), bool), nn.length_mask([1, 5, 2, 3], STEPS)),
        "inputs": (
            lambda b, xs: nn.over_time(lambda h, x: (h + b * x, h), np.zeros((4, INPUTS)), xs, [1, 5, 2, 3]),
            normal(INPUTS), normal(STEPS, 4, INPUTS), normal(STEPS, 4, INPUTS),
        ),
        "ids": (lambda t, ids: nn.Embedding(t)(ids), table.table, np.array([0, 5]), np.array([3, 3])),
        "dropout mask": (lambda x, m: nn.Dropout(0.5)(x, m), logits, np.ones(3, bool), np.array([1, 0, 1], bool)),
    }  # fmt: skip


@pytest.mark.parametrize("name", captured_cases())
def test_captured_arrays_are_read_at_every_call(name):
    f, argument, array, other = captured_cases()[name]
    run = wengert.jit(lambda x: f(x, array))
    for contents in (array.copy(), other, array.copy()):
        array[...] = contents
        same(run(argument), f(argument, contents), 1e-6)


def test_a_captured_label_that_becomes_wrong_is_noticed():
    labels = np.array([0, 1])
    run = wengert.jit(lambda z: nn.softmax_cross_entropy(z, labels))
    run(np.ones((2, 3)))
    labels[0] = -1
    with pytest.raises(IndexingError, match="out of bounds"):
        run(np.ones((2, 3)))


def test_labels_of_any_integer_type():
    table, want = nn.Embedding(normal(300, 2)), float(nn.softmax_cross_entropy(np.eye(3), np.array([2, 0, 1])))
    for kind in "bBhHiIlL":
        labels = np.array([2, 0, 1], kind)
        for f in (nn.softmax_cross_entropy, wengert.jit(nn.softmax_cross_entropy)):
            assert float(f(np.eye(3), labels)) == pytest.approx(want, rel=1e-14)
        same(wengert.jit(lambda t, i: t(i))(table, labels), table.table[[2, 0, 1]])


def test_the_table_of_a_model():
    class Tagger(nn.Module):
        embed: nn.Embedding
        body: nn.LSTM
        extra: dict

    source = rng()
    model = Tagger(nn.Embedding.init(source, 10, 4), nn.LSTM.init(source, 4, 3, layers=2), {"scale": np.float64(1.0)})
    text = str(model)
    words = [line.split() for line in text.splitlines()]
    assert words[2] == ["model", "Tagger", "221"]
    assert ["embed", "Embedding", "table", "10×4", "40"] in words
    assert ["layers[1][0]", "w", "3×12,", "u", "3×12,", "b", "12", "84"] in words
    assert ["extra", "scale", "scalar", "1"] in words
    assert words[-1] == ["total", "float32,", "float64", "221"]
    assert max(map(len, text.splitlines())) < 100
    assert repr(nn.Dropout(0.5)) == "Dropout(rate=0.5)"
    assert repr(nn.Sequential([nn.relu])) == "Sequential(layers=(Function(f=relu),))"


# --- dropout -----------------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean():
    drop, x = nn.Dropout(0.3), np.ones((200, 500), np.float32)
    y = drop(x, drop.mask(rng(), x.shape))
    assert y.dtype == np.float32
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert np.mean(y == 0) == pytest.approx(0.3, abs=0.01)
    assert np.mean(y) == pytest.approx(1.0, abs=0.01)
    assert drop(x) is x
    assert nn.Dropout(0.0).mask(rng(), (9,)).all()


def test_dropout_is_fresh_at_every_call_of_a_jitted_function():
    drop, source, x = nn.Dropout(0.5), rng(), np.ones(50)
    slope = wengert.jit(wengert.grad(lambda x, mask: np.sum(drop(x, mask))))
    seen = []
    for _ in range(3):
        mask = drop.mask(source, x.shape)
        np.testing.assert_array_equal(slope(x, mask), 2.0 * mask)
        seen.append(mask)
    assert not (seen[0] == seen[1]).all()
    assert not (seen[1] == seen[2]).all()


def test_one_mask_for_all_steps():
    x, mask = np.ones((7, 2, 3)), np.array([[True, False, True], [False, True, True]])
    np.testing.assert_array_equal(nn.Dropout(0.5)(x, mask), np.broadcast_to(2.0 * mask, x.shape))


@pytest.mark.parametrize("way", [wengert.jit, wengert.grad, lambda f: lambda x: wengert.record(f, x)])
def test_masks_are_not_drawn_inside_a_recording(way):
    drop, source = nn.Dropout(0.5), rng()
    model = nn.Sequential([nn.Dense.init(source, 2, 2), drop])
    x = np.ones((3, 2), np.float32)
    with pytest.raises(WengertError, match="the same at every replay"):
        way(lambda x: np.sum(drop(x, drop.mask(source, x.shape))))(x)
    with pytest.raises(WengertError, match="the same at every replay"):
        way(lambda x: np.sum(model(x, model.masks(source, x))))(x)


def test_masks_of_a_sequential():
    source = rng()
    inner = nn.Sequential([nn.Dropout(0.5), lambda x: x[:, :2], nn.Dropout(0.1)])
    model = nn.Sequential([nn.Embedding.init(source, 5, 6), inner, nn.relu, nn.Dropout(0.0)])
    masks = model.masks(source, np.array([0, 1, 2]))
    assert masks[0] is None
    assert masks[2] is None
    assert (masks[1][0].shape, masks[1][1], masks[1][2].shape, masks[3].shape) == ((3, 6), None, (3, 2), (3, 2))
    assert masks[3].all()
    x = model.layers[0].table[:3]
    want = nn.relu(np.where(masks[1][2], np.where(masks[1][0], 2 * x, 0)[:, :2] / np.float32(0.9), 0))
    np.testing.assert_allclose(model(np.array([0, 1, 2]), masks), want, rtol=1e-6)


# --- errors ------------------------------------------------------------------------------------------------


def in_sequential(x, **options):
    source = rng()
    nn.Sequential([nn.Dense.init(source, 4, 8), nn.relu, nn.Dense.init(source, 9, 3)])(x)


F32 = np.float32
ERRORS = {
    "width": (lambda: nn.Dense.init(rng(), 4, 8)(np.ones((2, 5), F32)), ShapeError,
              r"Dense takes \(\.\.\., 4\) of float32; it was given \(2, 5\) of float32"),
    "dtype": (lambda: nn.Dense.init(rng(), 4, 8)(np.ones((2, 4))), DTypeError,
              r"Dense takes .* of float32; it was given \(2, 4\) of float64. Write x.astype\(np.float32\)"),
    "scalar": (lambda: nn.LayerNorm.init(4)(1.0), ShapeError, r"LayerNorm takes \(\.\.\., 4\).*given \(\) of float64"),
    "between layers": (lambda: in_sequential(np.ones((2, 4), F32)), ShapeError,
                       r"layer 2 of Sequential: Dense takes \(\.\.\., 9\) of float32; it was given \(2, 8\)"),
    "recorded": (lambda: wengert.jit(nn.Dense.init(rng(), 4, 8))(np.ones((2, 5), F32)), ShapeError, "Dense takes"),
    "axes": (lambda: NETWORKS["lstm"]()(np.ones((2, 3), F32)), ShapeError,
             r"LSTM takes \(time, batch, 3\) of float32; it was given \(2, 3\)"),
    "carry": (lambda: NETWORKS["gru"]().over_time(np.ones((2, 4, 3), F32), np.zeros((4, 6), F32)), ShapeError,
              r"GRU takes a first carry carry\[layer\]\[direction\]"),
    "carry's shape": (lambda: NETWORKS["gru"]().over_time(np.ones((2, 4, 3), F32), ((np.zeros((3, 6), F32),),)),
                      ShapeError, r"GRU: the first carry\[0\]\[0\] takes \(4, 6\) .* given \(3, 6\)"),
    "lengths": (lambda: NETWORKS["gru"]()(np.ones((2, 4, 3), F32), [1, 2, 3, 0]), IndexingError,
                "lengths must be from 0 to the 2 steps of xs"),
    "too few lengths": (lambda: NETWORKS["gru"]()(np.ones((2, 4, 3), F32), [1, 2]), ShapeError,
                        r"lengths \(2,\) of int64 do not fit xs of shape \(2, 4, 3\)"),
    "lengths' dtype": (lambda: NETWORKS["gru"]()(np.ones((2, 4, 3), F32), [1.0] * 4), DTypeError, "must be integers"),
    "lengths' axes": (lambda: nn.length_mask([[1]], 2), ShapeError, r"the shape \(batch,\)"),
    "mask's shape": (lambda: NETWORKS["gru"]()(np.ones((2, 4, 3), F32), np.ones((4, 2), bool)), ShapeError,
                     r"lengths \(4, 2\) of bool do not fit xs"),
    "no layer": (lambda: NETWORKS["gru"](layers=0), ValueError, "at least one layer, not 0"),
    "id": (lambda: nn.Embedding.init(rng(), 5, 2)(np.array([0, 5, -1])), IndexingError,
           r"Embedding: ids must be from 0 to 4; 5 was given \(2 of 3\)"),
    "id recorded": (lambda: wengert.jit(lambda m, i: m(i))(nn.Embedding.init(rng(), 5, 2), np.array([-1])),
                    IndexingError, "out of bounds"),
    "id's dtype": (lambda: nn.Embedding.init(rng(), 5, 2)(np.array([0.0])), DTypeError, "ids must be integers"),
    "label": (lambda: nn.softmax_cross_entropy(np.ones((2, 3)), np.array([0, 3])), IndexingError,
              r"class numbers must be from 0 to 2; 3 was given \(1 of 2\)"),
    "label recorded": (lambda: wengert.jit(nn.softmax_cross_entropy)(np.ones((2, 3)), np.array([3, 0])),
                       IndexingError, "out of bounds"),
    "negative label recorded": (lambda: wengert.jit(nn.softmax_cross_entropy)(np.ones((2, 3)), np.array([0, -1])),
                                IndexingError, "out of bounds"),
    "label's dtype": (lambda: nn.softmax_cross_entropy(np.ones((2, 3)), np.zeros(2)), DTypeError, "must be integers"),
    "labels' shape": (lambda: nn.softmax_cross_entropy(np.ones((2, 3)), np.array([0])), ShapeError,
                      r"logits of shape \(2, 3\) .* numbers of shape \(2,\) or one-hot .* they have \(1,\)"),
    "integer logits": (lambda: nn.softmax_cross_entropy(np.ones((2, 3), int), np.array([0, 1])), DTypeError, "logits"),
    "target's shape": (lambda: nn.mse(np.ones(3), np.ones((3, 1))), ShapeError,
                       r"mse: .*\(3,\) and \(3, 1\).*broadcast"),
    "integer prediction": (lambda: nn.mae(np.ones(3, int), np.ones(3)), DTypeError,
                           "mae: the prediction must be of floats"),
    "loss mask": (lambda: nn.mse(np.ones((3, 2)), np.ones((3, 2)), np.ones(2, bool)), ShapeError,
                  r"mse: the mask must have the shape \(3, 2\) or its first axes"),
    "loss mask's dtype": (lambda: nn.huber(np.ones(3), np.ones(3), mask=np.ones(3)), DTypeError, "truth values"),
    "rate": (lambda: nn.Dropout(1.0), ValueError, "less than 1; it is 1.0"),
    "dropout mask": (lambda: nn.Dropout(0.5)(np.ones((2, 3)), np.ones(2, bool)), ShapeError, "does not fit x"),
    "dropout mask's dtype": (lambda: nn.Dropout(0.5)(np.ones(3), np.ones(3)), DTypeError, "mask of truth values"),
    "masks": (lambda: nn.Sequential([nn.relu])(np.ones(3), (None, None)), ShapeError, "from the method masks"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_was_given_and_what_is_taken(name):
    make, kind, words = ERRORS[name]
    with pytest.raises(kind, match=words):
        make()
