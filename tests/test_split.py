"""Loops split by rows: random steps and awkward ones give on three threads what they give on one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wengert
from wengert.loops import lowering
from wengert.ops import matmul

N = 4
"""Rows, hidden units and everything else: as many, so that only what happens to an axis tells which it is."""
STEPS = 3

# e: what the step knows; a, b: earlier values, shape (N, N); all return such a one.
KEEPS_ROWS = [
    lambda e, a, b: np.sin(a) * b,
    lambda e, a, b: a @ e["w"] + b,
    lambda e, a, b: a - 0.1 * b.sum(axis=1, keepdims=True),
    lambda e, a, b: a * b.mean(axis=1)[:, None],
    lambda e, a, b: a + e["v"] * b * e["m"],
    lambda e, a, b: np.where(e["x"][:, :1] > 0, a, b),
    lambda e, a, b: np.concatenate([a, b], axis=1)[:, 1 : N + 1],
    lambda e, a, b: np.concatenate([a.T, b.T])[1 : N + 1].T,
    lambda e, a, b: a[:, ::-1] + b,
    lambda e, a, b: np.concatenate([a.reshape(N, 2, N // 2).sum(axis=1), b[:, : N // 2]], axis=1),
    lambda e, a, b: (a.reshape(N, 1, N) * b[:, None, :]).transpose(1, 0, 2).reshape(N, N),
    lambda e, a, b: (a[:, :, None] * b[:, None, :]).sum(axis=2),
    lambda e, a, b: (a[:, :, None] * b[:, None, :]).sum(axis=1),
    lambda e, a, b: np.broadcast_to(a[:, :1], (N, N)) * b,
    lambda e, a, b: a * e["r"][:, None] + b,
    lambda e, a, b: (a[:, None, :] @ (b[:, :, None] * e["w"]))[:, 0],
    lambda e, a, b: (np.broadcast_to(e["w"], (N, N, N)) @ a[:, :, None])[:, :, 0] - b,
    lambda e, a, b: a - np.max(b, axis=1, keepdims=True),
    lambda e, a, b: (e["w"].T @ a.T).T * b,
    lambda e, a, b: np.stack([a, b], axis=0).sum(axis=0),
    lambda e, a, b: np.stack([a[:, k] for k in range(N)], axis=1) * b,
    lambda e, a, b: (e["w"] * a[:, :, None]).sum(axis=1) + b,
    lambda e, a, b: np.where(e["k"][:, None] == np.arange(N), a, b),
]
MIXES_ROWS = [
    lambda e, a, b: a @ b,
    lambda e, a, b: a.T,
    lambda e, a, b: a.T @ b,
    lambda e, a, b: a @ b.T,
    lambda e, a, b: e["w"] @ a,
    lambda e, a, b: e["w"] * a,
    lambda e, a, b: a - 0.1 * b.sum(axis=0),
    lambda e, a, b: a * b.mean(axis=1),
    lambda e, a, b: a * e["r"],
    lambda e, a, b: a * b[0],
    lambda e, a, b: a[::-1],
    lambda e, a, b: a[e["j"]],
    lambda e, a, b: e["w"][e["k"]] * a,
    lambda e, a, b: a - np.max(b),
    lambda e, a, b: np.concatenate([a, b])[1 : N + 1],
    lambda e, a, b: (a[:, None, :] * b[None, :, :]).sum(axis=1),
    lambda e, a, b: np.swapaxes(a.reshape(N, 2, N // 2), 0, 1).reshape(N, N),
    lambda e, a, b: (a[:, None] @ np.broadcast_to(b, (N, N, N)))[:, 0],
    lambda e, a, b: (a[:, :, None] * b).sum(axis=0),
    lambda e, a, b: np.concatenate([e["w"], a], axis=1)[:, 2 : N + 2],
    lambda e, a, b: a * np.arange(1.0, N + 1)[:, None],
]
SUMS = [  # of rows, to be added up over time
    lambda h, z: h[:, 1:].sum(axis=0),
    lambda h, z: h[:, 1:].T @ z[:, 1:],
    lambda h, z: (h[:, :3].T @ z[:, 1:]).T,
    lambda h, z: -(h[:, 1:, None] * z[:, None, 1:]).sum(axis=0),
    lambda h, z: (h * z).sum(),
]
SECOND = [lambda g, z: g, lambda g, z: 0.5 * g + z, lambda g, z: z * g, lambda g, z: z]
YS = [lambda h, z, r: h, lambda h, z, r: (z * h, r), lambda h, z, r: h[:, 0], lambda h, z, r: {"y": z.sum(axis=1)}]


@pytest.fixture(autouse=True, scope="module")
def shared():
    """Every loop and product that can be shared is shared."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lowering, "_GAIN", -1.0)
        patch.setattr(lowering, "_ROWS", 1)
        patch.setattr(matmul, "_SHARED", 1)
        before = wengert.num_threads()
        yield
        wengert.set_num_threads(before)


def leaves(found):
    return [np.asarray(x) for x in wengert.tree.flatten(found)[0]]


def on_one_and_more(f, *args):
    """The leaves of the results on one thread, and on two and three the same to rounding."""
    wengert.set_num_threads(1)
    want = leaves(wengert.jit(f)(*args))
    for threads in (3, 2):
        wengert.set_num_threads(threads)
        for a, b in zip(leaves(wengert.jit(f)(*args)), want, strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.max(np.abs(b), initial=1, where=np.isfinite(b)))
    return want


BODIES = st.lists(
    st.tuples(
        st.one_of(*[st.sampled_from(KEEPS_ROWS)] * 7, st.sampled_from(MIXES_ROWS)),
        st.integers(0, 3),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=7,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    body=BODIES, total=st.sampled_from(SUMS), second=st.sampled_from(SECOND), of_step=st.sampled_from(YS),
    options=st.sampled_from([{}, {}, {"reverse": True}, {"checkpoint": 2}, {"truncate": 2}]),
)  # fmt: skip
def test_random_steps(body, total, second, of_step, options):
    rng = np.random.default_rng(0)
    draw = rng.normal
    params = {"w": draw(size=(N, N)), "v": draw(size=N), "m": draw(size=(N, 1))}
    h, g, r, xs = draw(size=(N, N)), draw(size=(N, N)), draw(size=N), draw(size=(STEPS, N, N))
    ks, j = rng.integers(0, N, (STEPS, N)), rng.integers(0, N, N)

    def loss(params, h, g, r, xs):
        def step(carry, x):
            h, g, r, summed, n = carry
            e = {**params, "r": r, "x": x[0], "k": x[1], "j": j}
            values = [g, x[0], h]
            for f, back, other in body:
                a, b = values[-1 - back % len(values)], values[other % len(values)]
                values.append(np.tanh(f(e, a, b)))
            new, z = values[-1], values[-2]
            return (new, second(g, z), r + z[:, 1], summed + total(new, z), n + 1.0), of_step(new, z, r)

        shape = total(h, h).shape
        carry, ys = wengert.scan(step, (h, g, r, np.zeros(shape), 0.0), (xs, ks), **options)
        parts = wengert.tree.flatten((carry, ys))[0]
        return sum(np.sum(np.cos(np.arange(x.size).reshape(x.shape) * 1.3) * x) for x in parts)

    on_one_and_more(wengert.value_and_grad(loss, argnums=(0, 1, 2, 3, 4)), params, h, g, r, xs)


H = np.linspace(-1, 1, 10).reshape(5, 2)
X = np.array([1.0, -2.0, 0.5])
WIDE = np.sin(np.arange(30.0)).reshape(3, 5, 2)
CUBE = np.sin(np.arange(27.0)).reshape(3, 3, 3)
K = np.arange(10).reshape(5, 2)
AWKWARD = {
    "no step": (lambda c, x: (c + x, c), H, WIDE[:0]),
    "no column": (lambda c, x: (c + x, c), H[:, :0], WIDE[:, :, :0]),
    "integers": (lambda c, x: (c + x.sum(axis=1, keepdims=True), c > 2), K, WIDE.astype(int)),
    "one value as several ys": (lambda c, x: (c + x, (c, c, x, c + x)), H, WIDE),
    "a y that is whole": (lambda c, x: (c * x, (c[:, 0], x)), H, X),
    "carries that change places": (lambda c, x: ((c[1], c[0] * x), None), (H, 2 * H), X),
    "a view of a constant": (lambda c, x: (c * WIDE[0][::-1] + WIDE[1:, :2, :2].T[:, 0].sum(), c), H, X),
    "a transposed constant": (lambda c, x: (c * np.ascontiguousarray(H.T).T + x, c), H, X),
    "rows of a vector": (lambda c, x: (np.sin(c) * x, c[:, None] * np.ones((1, 7))), np.arange(7.0), X),
    "columns of a vector": (lambda c, x: (np.sin(c) * x, c[None, :] * np.ones((7, 1))), np.arange(7.0), X),
    "a sum that starts": (lambda c, x: ((c[0] * x, c[1] + c[0].sum(axis=0)), None), (H, np.ones(2)), X),
    "a sum from infinity": (lambda c, x: ((c[0] * x, c[1] + c[0].sum(axis=0)), None), (H, np.array([np.inf, 1])), X),
    "a sum that alternates": (lambda c, x: ((c[0] * x, -c[1] + c[0].sum(axis=0)), None), (H, np.ones(2)), X),
    "a sum that doubles": (lambda c, x: ((c[0] * x, c[1] + c[1] + c[0].sum(axis=0)), None), (H, np.ones(2)), X),
    "a sum of integers": (lambda c, x: ((c[0] + 1, c[1] + c[0].sum(axis=0)), None), (K, K[0]), X),
    "a sum of no step": (lambda c, x: ((c[0] * x, c[1] + c[0].sum(axis=0)), None), (H, np.ones(2)), X[:0]),
    "a sum that is used": (lambda c, x: ((c[0] * c[1], c[1] + c[0].sum(axis=0)), c[1]), (H, np.ones(2)), X),
    "sums that change places": (
        lambda c, x: ((c[0] * x, c[2] + c[0].sum(axis=0), c[1]), None), (H, np.ones(2), np.zeros(2)), X,
    ),
    "stacked matrices": (lambda c, x: (np.sin(c @ c.transpose(0, 2, 1)) * x, c.sum(axis=(1, 2))), WIDE[:, :2], X),
    "a matrix of a stack": (lambda c, x: (np.sin(c @ c[0]) * x, c.sum(axis=(1, 2))), CUBE, X),
}  # fmt: skip


@pytest.mark.parametrize("case", AWKWARD)
def test_awkward_steps(case):
    step, init, xs = AWKWARD[case]
    found = on_one_and_more(lambda init, xs: wengert.scan(step, init, xs), init, xs)
    carry, ys = init, []
    for x in xs:
        carry, y = step(carry, x)
        ys.append(y)
    want = leaves((carry, wengert.tree.map(lambda *y: np.stack(y), *ys) if ys else None))
    for a, b in zip(found, want, strict=bool(ys)):
        np.testing.assert_allclose(a, b, rtol=1e-12)
