"""logreg: logistic regression with an L2 penalty on scikit-learn's breast cancer data, 569 rows of 30."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness.builders import numpy_like, pytensor_call, torch_like
from harness.model import Call, Case, Suite

from suites import datasets

PENALTY = 0.01


def cases(quick: bool) -> list[Case]:
    return [Case("breast cancer")]


def inputs(case: Case) -> tuple[Any, ...]:
    """Standardised features with a column of ones, labels -1 and 1, weights."""
    x, y = datasets.table("breast_cancer.csv", skip=1)
    x = (x - x.mean(0)) / x.std(0)
    x = np.ascontiguousarray(np.hstack([x, np.ones((len(x), 1))]))
    return x, np.where(y == 1, 1.0, -1.0), 0.1 * np.random.default_rng(4).normal(size=x.shape[1])


def make(xp: Any, case: Case) -> Any:
    def loss(x: Any, s: Any, w: Any) -> Any:
        return xp.mean(xp.logaddexp(0.0, -s * (x @ w))) + PENALTY * xp.sum(w * w)

    return loss


def make_torch(case: Case) -> Any:
    import torch

    # softplus is linear beyond 20, which is good to 2e-9; of five ways to write this loss it is the fastest.
    return lambda x, s, w: torch.mean(torch.nn.functional.softplus(-s * (x @ w))) + PENALTY * torch.sum(w * w)


def pytensor(case: Case, args: tuple[Any, ...]) -> Call:
    import pytensor.tensor as pt

    x, s, w = pt.dmatrix("x"), pt.dvector("s"), pt.dvector("w")
    value = pt.mean(pt.softplus(-s * pt.dot(x, w))) + PENALTY * pt.sum(w * w)
    return pytensor_call([x, s, w], value, [2], args)


def limit(case: Case, args: tuple[Any, ...]) -> Call:
    """Two products, one pass; a logarithm of a product in place of the sum of logarithms."""
    from numba import njit

    from suites.vectormath import OPTIONS, functions

    exp = functions("float64")[0]

    @njit(**OPTIONS)
    def both(x: Any, s: Any, w: Any) -> Any:
        n = s.size
        z = np.dot(x, w)
        total = 0.0
        for start in range(0, n, 512):
            product = 1.0
            for i in range(start, min(n, start + 512)):
                margin = -s[i] * z[i]
                e = exp(-abs(margin))
                product *= 1.0 + e
                total += max(margin, 0.0)
                p = (1.0 if margin > 0 else e) / (1.0 + e)
                z[i] = -s[i] * p / n
            total += np.log(product)
        g = np.dot(z, x)
        square = 0.0
        for j in range(w.size):
            square += w[j] * w[j]
            g[j] += 2.0 * PENALTY * w[j]
        return total / n + PENALTY * square, g

    return lambda: both(*args)


SUITE = Suite(
    "logreg", __doc__, cases, inputs,
    numpy_like(make, [2]) | torch_like(make_torch, [2]) | {"pytensor": pytensor, "limit": limit},
    requires=("sklearn",),
)  # fmt: skip
