"""wengert.nn without PyTorch: closed forms, sequences of different lengths, modules as trees, dropout, errors."""

import dataclasses
import pickle

import numpy as np
import pytest

import wengert
from wengert import nn, tree
from wengert.errors import DTypeError, IndexingError, ShapeError, WengertError

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


# --- cells and their layers -------------------------------------------------------------------------------


def test_rnn_cell_by_hand():
    params = {"w": np.array([[2.0]]), "u": np.array([[-1.0]]), "b": np.array([0.5])}
    h, y = nn.rnn_cell(params, np.array([[0.25]]), np.array([[1.0]]))
    assert h.item() == y.item() == np.tanh(2.0 - 0.25 + 0.5)
    h, _ = nn.rnn_cell(params, np.array([[9.0]]), np.array([[1.0]]), nn.relu)
    assert h.item() == 0.0


def test_an_lstm_with_open_gates_adds_up_and_with_a_closed_forget_gate_forgets():
    big = 50.0
    b = np.array([big, big, 0.0, big])
    params = {"w": np.array([[0.0, 0.0, 1.0, 0.0]]), "u": np.zeros((1, 4)), "b": b}
    xs = normal(7, 1, 1)
    start = (np.zeros((1, 1)), np.zeros((1, 1)))
    (_, c), _ = wengert.scan(lambda s, x: nn.lstm_cell(params, s, x), start, xs)
    np.testing.assert_allclose(c, np.tanh(xs).sum(axis=0), rtol=1e-12)
    params["b"] = np.array([big, -800.0, 0.0, big])
    (_, c), _ = wengert.scan(lambda s, x: nn.lstm_cell(params, s, x), start, xs)
    np.testing.assert_allclose(c, np.tanh(xs[-1]), rtol=1e-12)


@pytest.mark.parametrize("reset_after", [True, False])
def test_a_gru_with_its_update_gate_at_one_holds_its_state(reset_after):
    params = {"w": np.zeros((1, 3)), "u": np.ones((1, 3)), "b": np.array([0.0, 800.0, 0.0])}
    if reset_after:
        params["c"] = np.zeros(1)
    h, _ = nn.gru_cell(params, np.array([[0.7]]), np.ones((1, 1)))
    assert h.item() == 0.7


def test_where_the_reset_gate_acts():
    params = {"w": np.zeros((1, 3)), "u": np.array([[0.0, 0.0, 2.0]]), "b": np.array([0.0, -800.0, 0.0])}
    h, x = np.array([[0.3]]), np.ones((1, 1))
    after, _ = nn.gru_cell(params | {"c": np.array([0.6])}, h, x)
    assert after.item() == pytest.approx(np.tanh(0.5 * (2.0 * 0.3 + 0.6)), rel=1e-15)
    before, _ = nn.gru_cell(params, h, x)
    assert before.item() == pytest.approx(np.tanh(2.0 * (0.5 * 0.3)), rel=1e-15)


@each_network
def test_layers_are_cells_in_a_python_loop(name):
    model = randomised(NETWORKS[name](layers=2, bidirectional=True, dtype=np.float64))
    xs = normal(STEPS, BATCH, INPUTS)
    carry, ys = model.over_time(xs)
    for params, layer_carry in zip(model.layers, carry, strict=True):
        outs = []
        for direction, p in enumerate(params):
            c, out = model.first_carry(p, BATCH), [None] * STEPS
            for t in range(STEPS) if direction == 0 else reversed(range(STEPS)):
                c, out[t] = model.cell(p)(c, xs[t])
            same(layer_carry[direction], c)
            outs.append(np.stack(out))
        xs = np.concatenate(outs, axis=-1)
    same(ys, xs)
    same(model(normal(0, BATCH, INPUTS)), np.zeros((0, BATCH, 2 * HIDDEN)))


@each_network
def test_a_first_carry_is_where_the_loop_goes_on(name):
    model = randomised(NETWORKS[name](layers=2, dtype=np.float64))
    xs = normal(STEPS, BATCH, INPUTS)
    middle, first = model.over_time(xs[:2])
    last, second = model.over_time(xs[2:], middle)
    whole = model.over_time(xs)
    same((last, np.concatenate([first, second])), whole)


@each_network
def test_float32_stays_float32(name):
    model = NETWORKS[name](layers=2, bidirectional=True)
    xs = normal(STEPS, BATCH, INPUTS, dtype=np.float32)

    def loss(model, xs, lengths):
        carry, ys = model.over_time(xs, lengths=lengths)
        return np.mean(ys * ys) + sum(np.sum(c) for c in leaves(carry))

    for lengths in (None, np.array([5, 1, 3, 4])):
        value, slopes = wengert.jit(wengert.value_and_grad(loss, (0, 1)))(model, xs, lengths)
        assert {x.dtype.name for x in (value, *leaves(slopes), *leaves(model.over_time(xs, lengths=lengths)))} == {
            "float32"
        }
        want = wengert.grad(loss, (0, 1))(tree.map(np.float64, model), xs.astype(float), lengths)
        for a, b in zip(leaves(slopes), leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())


# --- sequences of different lengths ------------------------------------------------------------------------


@each_network
@pytest.mark.parametrize("lengths", [[5, 2, 3, 1], [0, 5, 1, 0]], ids=str)
def test_a_padded_batch_is_its_sequences_one_by_one(name, lengths):
    """Outputs, last carries and gradients; whatever is behind the ends, be it NaN."""
    model = randomised(NETWORKS[name](layers=2, bidirectional=True, dtype=np.float64))
    xs = normal(STEPS, BATCH, INPUTS)
    for k, n in enumerate(lengths):
        xs[n:, k] = np.nan
    w, v = normal(STEPS, BATCH, 2 * HIDDEN), normal(BATCH, HIDDEN)

    def value(carry, ys, w, v):
        return np.sum(w * ys) + sum(np.sum(v * c) for c in leaves(carry))

    def padded(model, xs, lengths):
        carry, ys = model.over_time(xs, lengths=lengths)
        return value(carry, ys, w, v), (carry, ys)

    def single(model, xs, k):
        carry, ys = model.over_time(xs)
        return value(carry, ys, w[: len(xs), k : k + 1], v[k : k + 1]), (carry, ys)

    slope, x_slope = 0.0, np.zeros_like(xs)
    both = wengert.grad(padded, (0, 1), has_aux=True)
    (got, got_x), (carry, ys) = both(model, xs, np.array(lengths))
    for k, n in enumerate(lengths):
        (m, x), (c, y) = wengert.grad(single, (0, 1), has_aux=True)(model, xs[:n, k : k + 1], k)
        slope = m if k == 0 else tree.map(np.add, slope, m)
        x_slope[:n, k : k + 1] = x
        same(tree.map(lambda a, k=k: a[k : k + 1], carry), c)
        same(ys[:n, k : k + 1], y)
        assert not ys[n:, k].any()
    same(got, slope, 1e-11)
    same(got_x, x_slope, 1e-11)
    mask = nn.length_mask(lengths, STEPS)
    for form in (lengths, np.array(lengths, np.int32), mask):
        same(wengert.jit(both)(model, xs, form), ((got, got_x), (carry, ys)))


def test_one_jitted_network_serves_all_lengths():
    model = NETWORKS["gru"]()
    xs = normal(STEPS, BATCH, INPUTS, dtype=np.float32)
    recorded = []

    @wengert.jit
    def last(model, xs, lengths):
        recorded.append(1)
        return model.over_time(xs, lengths=lengths)[0][0][0]

    for lengths in ([5, 5, 5, 5], [1, 2, 3, 4], [0, 0, 0, 5]):
        want = model.over_time(xs, lengths=lengths)[0][0][0]
        np.testing.assert_allclose(last(model, xs, np.array(lengths)), want, rtol=1e-6, atol=1e-7)
    assert len(recorded) == 1


def test_a_mask_may_have_holes():
    mask = np.array([[True, False], [False, True], [True, True]])
    total, sums = nn.over_time(lambda c, x: (c + x, 10 * x), np.zeros((2, 1)), np.ones((3, 2, 1)), mask)
    assert total[:, 0].tolist() == [2.0, 2.0]
    assert sums[:, :, 0].tolist() == [[10.0, 0.0], [0.0, 10.0], [10.0, 10.0]]


def test_over_time_takes_any_carry_and_output():
    def step(carry, x):
        count, total = carry["n"], carry["sum"]
        return {"n": count + 1, "sum": total + x}, (x[:, 0], {"twice": 2 * x})

    start = {"n": np.zeros(2, np.int64), "sum": np.zeros((2, 3))}
    xs = normal(4, 2, 3)
    for reverse in (False, True):
        carry, (first, rest) = nn.over_time(step, start, xs, [3, 1], reverse)
        assert carry["n"].tolist() == [3, 1]
        np.testing.assert_allclose(carry["sum"], [xs[:3, 0].sum(0), xs[0, 1]])
        np.testing.assert_array_equal(first[:, 0], [*xs[:3, 0, 0], 0])
        np.testing.assert_array_equal(rest["twice"][:, 1], [2 * xs[0, 1], *np.zeros((3, 3))])


# --- weights: from nothing, from PyTorch's layout ------------------------------------------------------------


@each_network
@pytest.mark.parametrize("bias", [True, False])
def test_first_weights(name, bias):
    model = NETWORKS[name](layers=2, bidirectional=True, bias=bias, dtype=np.float64)
    for k, layer in enumerate(model.layers):
        for p in layer:
            n_in = INPUTS if k == 0 else 2 * HIDDEN
            assert p["w"].shape[0] == n_in
            assert np.abs(p["w"]).max() <= np.sqrt(6 / (n_in + HIDDEN))
            for q in np.split(p["u"], p["u"].shape[1] // HIDDEN, axis=1):
                np.testing.assert_allclose(q @ q.T, np.eye(HIDDEN), atol=1e-14)
            if not bias:
                assert p["b"] is None
            elif name.startswith("lstm"):
                np.testing.assert_array_equal(p["b"], np.repeat([0.0, 1.0, 0.0, 0.0], HIDDEN))
            else:
                assert not p["b"].any()


def test_forget_bias():
    assert (nn.lstm_init(rng(), 2, 3, forget_bias=2.5)["b"][3:6] == 2.5).all()
    with pytest.raises(ValueError, match="forget_bias needs bias=True"):
        nn.lstm_init(rng(), 2, 3, bias=False, forget_bias=2.0)


def test_initialisers():
    shape = (400, 200)
    for f, variance, bound in [
        (nn.glorot_uniform, 2 / 600, np.sqrt(6 / 600)),
        (nn.glorot_normal, 2 / 600, None),
        (nn.he_uniform, 2 / 400, np.sqrt(6 / 400)),
        (nn.he_normal, 2 / 400, None),
    ]:
        w = f(rng(), shape)
        assert (w.shape, w.dtype) == (shape, np.float32)
        assert np.var(w) == pytest.approx(variance, rel=0.03), f.__name__
        assert abs(np.mean(w)) < 5 * np.sqrt(variance / w.size)
        largest = np.abs(w).max()
        assert largest > 3.5 * np.sqrt(variance) if bound is None else 0.99 * bound < largest <= bound
        np.testing.assert_array_equal(w, f(rng(), shape))
        with pytest.raises(ShapeError, match=r"\(n_in, n_out\), not \(3,\)"):
            f(rng(), (3,))


@pytest.mark.parametrize("shape", [(6, 6), (3, 7), (7, 3), (1, 1)])
def test_orthogonal(shape):
    q = nn.orthogonal(rng(), shape, np.float64)
    assert q.shape == shape
    gram = q @ q.T if shape[0] <= shape[1] else q.T @ q
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-14)
    assert nn.orthogonal(rng(), shape).dtype == np.float32


def test_orthogonal_matrices_are_spread_evenly():
    """Without the signs of R the first element would never be positive on average."""
    source = rng()
    found = [nn.orthogonal(source, (2, 2), np.float64) for _ in range(800)]
    assert abs(np.mean([q[0, 0] for q in found])) < 0.1
    assert 0.4 < np.mean([np.linalg.det(q) > 0 for q in found]) < 0.6


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_torch_layout_and_back(kind, bidirectional, bias):
    model = randomised(NETWORKS[kind](layers=3, bidirectional=bidirectional, bias=bias))
    state = nn.to_torch(model)
    assert ("weight_ih_l2_reverse" in state) is bidirectional
    assert ("bias_hh_l1" in state) is bias
    assert all(x.flags.c_contiguous and x.dtype == np.float32 for x in state.values())
    same(nn.from_torch(state, kind), model, 0)
    inside = {f"encoder.{k}": v for k, v in state.items()} | {"head.weight": np.zeros(3)}
    same(nn.from_torch(inside, kind, prefix="encoder."), model, 0)


def test_torch_layout_refuses_what_does_not_fit():
    state = nn.to_torch(NETWORKS["lstm"]())
    for change, error, words in [
        ({"weight_hr_l0": np.zeros((2, 6))}, ValueError, "weight_hr_l0 have no place"),
        (
            {"bias_hh_l0": np.zeros(23, np.float32)},
            ShapeError,
            r"bias_hh_l0 of a lstm takes \(24,\); it was given \(23,\)",
        ),
        ({"bias_hh_l0": np.zeros(24)}, DTypeError, "it was given float64 beside float32"),
    ]:
        with pytest.raises(error, match=words):
            nn.from_torch(state | change, "lstm")
    with pytest.raises(ValueError, match="missing are bias_hh_l0"):
        nn.from_torch({k: v for k, v in state.items() if k != "bias_hh_l0"}, "lstm")
    with pytest.raises(ValueError, match=r"missing are .*given are none"):
        nn.from_torch({}, "gru")
    with pytest.raises(ValueError, match="rnn, lstm, gru, not 'LSTM'"):
        nn.from_torch(state, "LSTM")
    with pytest.raises(ShapeError, match=r"weight_ih_l0 of a gru takes \(18, 3\); it was given \(24, 3\)"):
        nn.from_torch(state, "gru")
    for model, words in [
        (NETWORKS["lstm peepholes"](), "no LSTM with peepholes"),
        (NETWORKS["gru reset before"](), "before the recurrent product"),
        (nn.Dense.init(rng(), 2, 3), "not a Dense"),
    ]:
        with pytest.raises(ValueError, match=words):
            nn.to_torch(model)


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


# --- layers and losses: closed forms ---------------------------------------------------------------------------


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
