"""Recurrent cells and their layers without PyTorch: closed forms, different lengths, first weights, layouts."""

import numpy as np
import pytest
from networks import BATCH, HIDDEN, INPUTS, NETWORKS, STEPS, each_network, leaves, normal, randomised, rng, same

import wengert
from wengert import nn, tree
from wengert.errors import DTypeError, ShapeError

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
