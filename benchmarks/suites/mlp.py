"""mlp: a 64-128-10 network on scikit-learn's digits, a batch of 128, float32, softmax cross-entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness.builders import numpy_like, pytensor_call, torch_like
from harness.model import Call, Case, Suite

from suites import datasets, idiom

WRT = (2, 3, 4, 5)


def cases(quick: bool) -> list[Case]:
    return [
        Case(name, {"activation": name, "batch": 128}, "float32") for name in (("tanh",) if quick else ("tanh", "relu"))
    ]


def inputs(case: Case) -> tuple[Any, ...]:
    """A batch, its labels one-hot, and the weights of two layers."""
    x, y = datasets.table("digits.csv.gz")
    rng = np.random.default_rng(5)
    w1, w2 = rng.normal(size=(64, 128)) / 8.0, rng.normal(size=(128, 10)) / 11.0
    arrays = (
        x[: case.batch] / 16.0,
        np.eye(10)[y[: case.batch]],
        w1,
        0.1 * rng.normal(size=128),
        w2,
        0.1 * rng.normal(size=10),
    )
    return tuple(np.ascontiguousarray(a, np.float32) for a in arrays)


def make(xp: Any, case: Case) -> Any:
    logsumexp = idiom.logsumexp(xp)

    def loss(x: Any, onehot: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        z = x @ w1 + b1
        h = xp.tanh(z) if case.activation == "tanh" else xp.maximum(z, 0.0)
        z = h @ w2 + b2
        return xp.mean(logsumexp(z, 1) - xp.sum(z * onehot, axis=1))

    return loss


def make_torch(case: Case) -> Any:
    import torch

    act = torch.tanh if case.activation == "tanh" else torch.relu
    labels = torch.from_numpy(inputs(case)[1].argmax(1))  # as its users have them: faster than one-hot rows

    def loss(x: Any, _: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        logits = torch.addmm(b2, act(torch.addmm(b1, x, w1)), w2)
        return torch.nn.functional.cross_entropy(logits, labels)

    return loss


def pytensor(case: Case, args: tuple[Any, ...]) -> Call:
    import pytensor.tensor as pt

    x, onehot, w1, w2 = (pt.fmatrix(n) for n in ("x", "onehot", "w1", "w2"))
    b1, b2 = pt.fvector("b1"), pt.fvector("b2")
    z = pt.dot(x, w1) + b1
    h = pt.tanh(z) if case.activation == "tanh" else pt.maximum(z, np.float32(0))
    value = -pt.mean(pt.sum(pt.special.log_softmax(pt.dot(h, w2) + b2, axis=1) * onehot, axis=1))
    return pytensor_call([x, onehot, w1, b1, w2, b2], value, WRT, args)


def limit(case: Case, args: tuple[Any, ...]) -> Call:
    """Five products through BLAS, everything else in one pass each."""
    from numba import njit

    from suites.vectormath import OPTIONS, functions

    exp, tanh, _ = functions("float32")
    smooth = case.activation == "tanh"
    one, zero = np.float32(1.0), np.float32(0.0)

    @njit(**OPTIONS)
    def both(x: Any, onehot: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
        rows, hidden, classes = x.shape[0], b1.size, b2.size
        h = np.dot(x, w1)
        for i in range(rows):
            for j in range(hidden):
                a = h[i, j] + b1[j]
                h[i, j] = tanh(a) if smooth else max(a, zero)
        z = np.dot(h, w2)
        share, value = one / np.float32(rows), 0.0
        gb2, gb1 = np.zeros_like(b2), np.zeros_like(b1)
        for i in range(rows):
            top, total, right = np.float32(-np.inf), zero, zero
            for j in range(classes):
                z[i, j] += b2[j]
                top = max(top, z[i, j])
            for j in range(classes):
                a = z[i, j] - top
                right += a * onehot[i, j]
                z[i, j] = exp(a)
                total += z[i, j]
            value += np.log(total) - right
            for j in range(classes):
                z[i, j] = (z[i, j] / total - onehot[i, j]) * share
                gb2[j] += z[i, j]
        gw2 = np.dot(h.T, z)
        d = np.dot(z, w2.T)
        for i in range(rows):
            for j in range(hidden):
                d[i, j] *= one - h[i, j] * h[i, j] if smooth else (one if h[i, j] > zero else zero)
                gb1[j] += d[i, j]
        return value / rows, np.dot(x.T, d), gb1, gw2, gb2

    return lambda: both(*args)


SUITE = Suite(
    "mlp", __doc__, cases, inputs,
    numpy_like(make, WRT) | torch_like(make_torch, WRT) | {"pytensor": pytensor, "limit": limit},
    requires=("sklearn",),
)  # fmt: skip
