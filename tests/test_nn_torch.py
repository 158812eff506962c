"""wengert.nn equals PyTorch: values and gradients of cells, layers, activations and losses, to rounding."""

import numpy as np
import pytest

import wengert
from wengert import nn

torch = pytest.importorskip("torch")
F = torch.nn.functional

RNG = np.random.default_rng(11)
STEPS, BATCH, INPUTS, HIDDEN = 6, 3, 4, 5
LENGTHS = [4, 6, 1]
KINDS = ["rnn", "rnn relu", "lstm", "gru"]


def close(got, want, what="", tol=1e-12):
    want = want.detach().numpy() if isinstance(want, torch.Tensor) else np.asarray(want)
    got = np.asarray(got)
    assert got.shape == want.shape, what
    assert got.dtype == want.dtype, what
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol * np.max(np.abs(want), initial=1e-3), err_msg=what)


def leaf(x):
    return torch.tensor(x, requires_grad=True)


def torch_module(kind, layers=1, bidirectional=False, bias=True):
    torch.manual_seed(3)
    options = {"num_layers": layers, "bidirectional": bidirectional, "bias": bias, "dtype": torch.float64}
    if kind == "rnn relu":
        options["nonlinearity"] = "relu"
    return getattr(torch.nn, kind.split()[0].upper())(INPUTS, HIDDEN, **options)


def ours(kind, module):
    state = {k: v.numpy() for k, v in module.state_dict().items()}
    return nn.from_torch(state, kind.split()[0], activation=nn.relu if kind == "rnn relu" else np.tanh)


def parts(kind, carry):
    """Our carries as PyTorch's list of stacks: [h], for an LSTM [h, c]."""
    cells = [c for layer in carry for c in layer]
    return [np.stack(x) for x in zip(*cells, strict=True)] if kind == "lstm" else [np.stack(cells)]


def first_carry(kind, count):
    """A random first carry: as ours, with `count[layer][direction]`, and as PyTorch's."""

    def one():
        h, c = RNG.normal(size=(2, BATCH, HIDDEN))
        return (h, c) if kind == "lstm" else h

    carry = tuple(tuple(one() for _ in layer) for layer in count)
    tensors = [leaf(x) for x in parts(kind, carry)]
    return carry, tensors, tuple(tensors) if kind == "lstm" else tensors[0]


def run_torch(module, xs, first, lengths):
    if lengths is None:
        ys, last = module(xs, first)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(xs, torch.tensor(lengths), enforce_sorted=False)
        ys, last = module(packed, first)
        ys, _ = torch.nn.utils.rnn.pad_packed_sequence(ys, total_length=STEPS)
    return ys, list(last) if isinstance(last, tuple) else [last]


def check_recurrent(kind, lengths=None, given=None, layers=1, bidirectional=False, bias=True, way=lambda f: f):
    """Outputs, last carry, and the gradients of all weights, of the input and of the first carry."""
    module = torch_module(kind, layers, bidirectional, bias)
    model = ours(kind, module)
    xs = RNG.normal(size=(STEPS, BATCH, INPUTS))
    carry, tensors, first = first_carry(kind, model.layers)
    x = leaf(xs)
    ys, last = run_torch(module, x, first, lengths)
    weights = [RNG.normal(size=v.shape) for v in (ys, *last)]
    sum((v * torch.tensor(w)).sum() for v, w in zip((ys, *last), weights, strict=True)).backward()

    def loss(model, xs, carry):
        last, ys = model.over_time(xs, carry, lengths=given if given is not None else lengths)
        return sum(np.sum(w * v) for w, v in zip(weights, (ys, *parts(kind, last)), strict=True)), (ys, last)

    slopes, (got, got_last) = way(wengert.grad(loss, argnums=(0, 1, 2), has_aux=True))(model, xs, carry)
    close(got, ys, "outputs")
    for a, b in zip(parts(kind, got_last), last, strict=True):
        close(a, b, "last carry")
    close(slopes[1], x.grad, "slope of the input")
    for a, b in zip(parts(kind, slopes[2]), tensors, strict=True):
        close(a, b.grad, "slope of the first carry")
    theirs = {k: v.grad for k, v in module.named_parameters()}
    for name, slope in nn.to_torch(slopes[0]).items():
        if not name.startswith("bias_hh"):
            close(slope, theirs[name], name)
        elif kind == "gru":
            close(slope[2 * HIDDEN :], theirs[name][2 * HIDDEN :], name)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "packed"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_recurrent(kind, layers, bidirectional, lengths):
    check_recurrent(kind, lengths, layers=layers, bidirectional=bidirectional)


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_jitted(kind):
    check_recurrent(kind, LENGTHS, layers=2, bidirectional=True, way=wengert.jit)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_without_bias(kind):
    check_recurrent(kind, bias=False, bidirectional=True)


def test_lengths_as_a_mask():
    mask = np.arange(STEPS)[:, None] < np.array(LENGTHS)
    check_recurrent("lstm", LENGTHS, mask, bidirectional=True)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_torch_reads_what_we_write(kind, bidirectional):
    kinds = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
    model = kinds[kind].init(RNG, INPUTS, HIDDEN, layers=2, bidirectional=bidirectional, dtype=np.float64)
    module = torch_module(kind, 2, bidirectional)
    module.load_state_dict({k: torch.from_numpy(v) for k, v in nn.to_torch(model).items()})
    xs = RNG.normal(size=(STEPS, BATCH, INPUTS))
    close(model(xs), module(torch.tensor(xs))[0])


# --- cells that PyTorch has no module for: their formulas, written down for its own differentiation -------


def gru_of_the_paper(p, h, x):
    n = HIDDEN
    w, u, b = (lambda k, v=v: v[..., k * n : (k + 1) * n] for v in (p["w"], p["u"], p["b"]))
    r = torch.sigmoid(x @ w(0) + h @ u(0) + b(0))
    z = torch.sigmoid(x @ w(1) + h @ u(1) + b(1))
    new = torch.tanh(x @ w(2) + (r * h) @ u(2) + b(2))
    h = z * h + (1 - z) * new
    return h, h


def lstm_with_peepholes(p, carry, x):
    h, c = carry
    n = HIDDEN
    z = x @ p["w"] + h @ p["u"] + p["b"]
    i = torch.sigmoid(z[:, :n] + c * p["p"][0])
    f = torch.sigmoid(z[:, n : 2 * n] + c * p["p"][1])
    c = f * c + i * torch.tanh(z[:, 2 * n : 3 * n])
    h = torch.sigmoid(z[:, 3 * n :] + c * p["p"][2]) * torch.tanh(c)
    return (h, c), h


@pytest.mark.parametrize("name", ["gru of the paper", "lstm with peepholes"])
def test_cells_by_their_formulas(name):
    if name == "lstm with peepholes":
        step, theirs = nn.lstm_cell, lstm_with_peepholes
        params = nn.lstm_init(RNG, INPUTS, HIDDEN, peepholes=True, dtype=np.float64)
        h = tuple(RNG.normal(size=(2, BATCH, HIDDEN)))
    else:
        step, theirs = nn.gru_cell, gru_of_the_paper
        params = nn.gru_init(RNG, INPUTS, HIDDEN, reset_after=False, dtype=np.float64)
        h = RNG.normal(size=(BATCH, HIDDEN))
    params = {k: RNG.normal(size=v.shape) for k, v in params.items()}
    xs = RNG.normal(size=(STEPS, BATCH, INPUTS))
    w = RNG.normal(size=(STEPS, BATCH, HIDDEN))

    p, x = {k: leaf(v) for k, v in params.items()}, leaf(xs)
    carry = tuple(leaf(v) for v in h) if isinstance(h, tuple) else leaf(h)
    start, ys = carry, []
    for t in range(STEPS):
        carry, y = theirs(p, carry, x[t])
        ys.append(y)
    (torch.stack(ys) * torch.tensor(w)).sum().backward()

    def loss(params, h, xs):
        _, ys = wengert.scan(lambda h, x: step(params, h, x), h, xs)
        return np.sum(w * ys), ys

    (gp, gh, gx), got = wengert.grad(loss, (0, 1, 2), has_aux=True)(params, h, xs)
    close(got, torch.stack(ys))
    close(gx, x.grad)
    for k, v in gp.items():
        close(v, p[k].grad, k)
    pairs = zip(gh, start, strict=True) if isinstance(h, tuple) else [(gh, start)]
    for a, b in pairs:
        close(a, b.grad, "first carry")


# --- activations, layers, losses --------------------------------------------------------------------------

X = np.concatenate([RNG.normal(size=40), [0.0, 1e-3, -1e-3, 30.0, -30.0, 3.0, -3.0, 8.0]]).reshape(6, 8)


def check_slope(f, theirs, *args, tol=1e-12):
    """Value, and gradients of all float arguments, un-jitted and jitted."""
    floats = [k for k, a in enumerate(args) if a.dtype.kind == "f"]
    tensors = [leaf(a) if k in floats else torch.tensor(a) for k, a in enumerate(args)]
    out = theirs(*tensors)
    w = RNG.normal(size=out.shape)
    (out * torch.tensor(w)).sum().backward()
    for way in (lambda g: g, wengert.jit):
        close(way(f)(*args), out, tol=tol)
        slopes = way(wengert.grad(lambda *a: np.sum(w * f(*a)), floats))(*args)
        for k, slope in zip(floats, slopes, strict=True):
            close(slope, tensors[k].grad, f"argument {k}", tol=tol)


ACTIVATIONS = {
    "sigmoid": (nn.sigmoid, torch.sigmoid),
    "tanh": (nn.tanh, torch.tanh),
    "relu": (nn.relu, F.relu),
    "leaky_relu": (nn.leaky_relu, F.leaky_relu),
    "leaky_relu 0.2": (lambda x: nn.leaky_relu(x, 0.2), lambda x: F.leaky_relu(x, 0.2)),
    "elu": (nn.elu, F.elu),
    "elu 0.5": (lambda x: nn.elu(x, 0.5), lambda x: F.elu(x, 0.5)),
    "gelu": (nn.gelu, lambda x: F.gelu(x, approximate="tanh")),
    "softplus": (nn.softplus, lambda x: torch.logaddexp(x, torch.zeros_like(x))),
    "swish": (nn.swish, F.silu),
    "softmax": (nn.softmax, lambda x: F.softmax(x, -1)),
    "softmax 0": (lambda x: nn.softmax(x, axis=0), lambda x: F.softmax(x, 0)),
    "log_softmax": (nn.log_softmax, lambda x: F.log_softmax(x, -1)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name):
    check_slope(*ACTIVATIONS[name], X)


def test_dense():
    check_slope(
        lambda x, w, b: nn.Dense(w, b)(x), lambda x, w, b: F.linear(x, w.T, b),
        RNG.normal(size=(2, 3, 4)), RNG.normal(size=(4, 5)), RNG.normal(size=5),
    )  # fmt: skip


def test_layer_norm():
    check_slope(
        lambda x, g, b: nn.LayerNorm(g, b)(x), lambda x, g, b: F.layer_norm(x, (4,), g, b, 1e-5),
        RNG.normal(size=(2, 3, 4)), RNG.normal(size=4), RNG.normal(size=4),
    )  # fmt: skip


def test_embedding():
    ids = np.array([[0, 2, 2], [4, 0, 2]])
    check_slope(
        lambda table, ids: nn.Embedding(table)(ids), lambda t, i: F.embedding(i, t), RNG.normal(size=(5, 3)), ids
    )


def test_dropout():
    keep = RNG.random((6, 8)) < 0.6
    check_slope(lambda x, keep: nn.Dropout(0.4)(x, keep), lambda x, keep: x * keep / 0.6, X, keep)


Y = RNG.normal(size=X.shape)
BITS = (RNG.random(X.shape) < 0.5).astype(float)
PART = RNG.random(X.shape)
CLASSES = RNG.integers(0, 8, 6)
LOSSES = {
    "mse": (nn.mse, F.mse_loss, X, Y),
    "mae": (nn.mae, F.l1_loss, X, Y),
    "huber": (nn.huber, F.huber_loss, X, Y),
    "huber 0.3": (lambda x, y: nn.huber(x, y, delta=0.3), lambda x, y: F.huber_loss(x, y, delta=0.3), X, Y),
    "bce": (nn.binary_cross_entropy, F.binary_cross_entropy, 0.01 + 0.98 * RNG.random(X.shape), PART),
    "bce logits": (nn.binary_cross_entropy_logits, F.binary_cross_entropy_with_logits, X, BITS),
    "bce logits soft": (nn.binary_cross_entropy_logits, F.binary_cross_entropy_with_logits, X, PART),
    "cross entropy": (nn.softmax_cross_entropy, F.cross_entropy, X, CLASSES),
    "cross entropy one-hot": (nn.softmax_cross_entropy, F.cross_entropy, X, np.eye(8)[CLASSES]),
    "cross entropy soft": (nn.softmax_cross_entropy, F.cross_entropy, X, PART),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    check_slope(*LOSSES[name])


def test_masked_cross_entropy_is_that_of_ignored_labels():
    logits, labels = RNG.normal(size=(4, 3, 5)), RNG.integers(0, 5, (4, 3))
    mask = RNG.random((4, 3)) < 0.6
    check_slope(
        lambda z, y: nn.softmax_cross_entropy(z, np.where(mask, y, -100), mask=mask),
        lambda z, y: F.cross_entropy(z.reshape(-1, 5), torch.where(torch.tensor(mask), y, -100).reshape(-1)),
        logits, labels,
    )  # fmt: skip
