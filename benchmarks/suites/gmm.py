"""gmm: ADBench's Gaussian mixture log-likelihood, d = 10, k = 25, n = 1000; gradient of all parameters.

F. Srajer, Z. Kukelova, A. Fitzgibbon, "A benchmark of selected algorithmic differentiation tools on some
problems in computer vision and machine learning", Optimization Methods and Software 33 (2018).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from harness.builders import numpy_like, torch_like
from harness.model import Call, Case, Suite

from suites import idiom

GAMMA, M = 1.0, 0


def cases(quick: bool) -> list[Case]:
    d, k, n = (3, 4, 20) if quick else (10, 25, 1000)
    return [Case(f"d={d} k={k} n={n}", {"d": d, "k": k, "n": n})]


def inputs(case: Case) -> tuple[Any, ...]:
    """Weights, means, packed inverse covariance factors, points."""
    rng = np.random.default_rng(7)
    d, k = case.d, case.k
    icf = rng.normal(size=(k, d * (d + 1) // 2)) * 0.5
    return rng.normal(size=k), rng.uniform(size=(k, d)), icf, rng.uniform(size=(case.n, d))


def places(d: int) -> Any:
    """Where each entry of the lower triangular factor stands in [0, exp(diagonal), strict lower part by columns]."""
    index = np.zeros((d, d), np.int64)
    index[np.diag_indices(d)] = 1 + np.arange(d)
    at = 1 + d
    for j in range(d):
        index[j + 1 :, j] = np.arange(at, at + d - 1 - j)
        at += d - 1 - j
    return index


def constant(case: Case) -> float:
    """The terms without parameters."""
    d, k, n = case.d, case.k, case.n
    degrees = d + M + 1
    log_gamma = 0.25 * d * (d - 1) * math.log(math.pi)
    log_gamma += sum(math.lgamma(0.5 * degrees + 0.5 * (1 - j)) for j in range(1, d + 1))
    prior = degrees * d * (math.log(GAMMA) - 0.5 * math.log(2.0)) - log_gamma
    return -n * d * 0.5 * math.log(2.0 * math.pi) - k * prior


def make(xp: Any, case: Case) -> Any:
    d, k, n = case.d, case.k, case.n
    index, fixed = places(d).ravel(), constant(case)
    logsumexp = idiom.logsumexp(xp)

    def loss(alphas: Any, means: Any, icf: Any, x: Any) -> Any:
        log_diagonal, lower = icf[:, :d], icf[:, d:]
        diagonal, logdets = xp.exp(log_diagonal), xp.sum(log_diagonal, axis=1)
        packed = xp.concatenate([xp.zeros((k, 1)), diagonal, lower], axis=1)
        factors = xp.reshape(packed[:, index], (k, d, d))
        centred = x[None, :, :] - means[:, None, :]
        y = xp.matmul(centred, xp.swapaxes(factors, 1, 2))
        inner = (alphas + logdets)[:, None] - 0.5 * xp.sum(y * y, axis=2)
        prior = 0.5 * GAMMA**2 * (xp.sum(diagonal**2) + xp.sum(lower**2)) - M * xp.sum(logdets)
        return fixed + xp.sum(logsumexp(inner, 0)) - n * logsumexp(alphas, 0) + prior

    return loss


def make_torch(case: Case) -> Any:
    import torch

    d, k, n = case.d, case.k, case.n
    index, fixed = torch.from_numpy(places(d).ravel()), constant(case)

    def loss(alphas: Any, means: Any, icf: Any, x: Any) -> Any:
        log_diagonal, lower = icf[:, :d], icf[:, d:]
        diagonal, logdets = torch.exp(log_diagonal), log_diagonal.sum(1)
        packed = torch.cat([torch.zeros((k, 1), dtype=icf.dtype), diagonal, lower], 1)
        factors = packed[:, index].reshape(k, d, d)
        y = torch.bmm(x[None] - means[:, None], factors.transpose(1, 2))
        inner = (alphas + logdets)[:, None] - 0.5 * (y * y).sum(2)
        prior = 0.5 * GAMMA**2 * ((diagonal**2).sum() + (lower**2).sum()) - M * logdets.sum()
        return fixed + torch.logsumexp(inner, 0).sum() - n * torch.logsumexp(alphas, 0) + prior

    return loss


def limit(case: Case, args: tuple[Any, ...]) -> Call:
    """Two products for each component, the softmax weights in one pass."""
    from numba import njit

    from suites.vectormath import OPTIONS, functions

    d, k, n = case.d, case.k, case.n
    index, fixed = places(d), constant(case)
    exp = functions("float64")[0]

    @njit(**OPTIONS)
    def both(alphas: Any, means: Any, icf: Any, x: Any, centred: Any, y: Any, inner: Any) -> Any:
        factors, logdets = np.zeros((k, d, d)), np.zeros(k)
        square = 0.0
        for a in range(k):
            for j in range(d):
                logdets[a] += icf[a, j]
                factors[a, j, j] = np.exp(icf[a, j])
                square += factors[a, j, j] ** 2
                for i in range(j + 1, d):
                    factors[a, i, j] = icf[a, index[i, j] - 1]
                    square += factors[a, i, j] ** 2
        for a in range(k):
            for i in range(n):
                for j in range(d):
                    centred[a, i, j] = x[i, j] - means[a, j]
            np.dot(centred[a], factors[a].T, y[a])
            for i in range(n):
                total = 0.0
                for j in range(d):
                    total += y[a, i, j] * y[a, i, j]
                inner[a, i] = alphas[a] + logdets[a] - 0.5 * total
        top, total = np.empty(n), np.zeros(n)
        for i in range(n):
            top[i] = inner[0, i]
        for a in range(1, k):
            for i in range(n):
                top[i] = max(top[i], inner[a, i])
        for a in range(k):
            for i in range(n):
                inner[a, i] = exp(inner[a, i] - top[i])
                total[i] += inner[a, i]
        value = fixed + 0.5 * GAMMA**2 * square
        for i in range(n):
            value += top[i] + np.log(total[i])
            total[i] = 1.0 / total[i]
        high, whole, soft = -np.inf, 0.0, np.empty(k)
        for a in range(k):
            high = max(high, alphas[a])
        for a in range(k):
            soft[a] = np.exp(alphas[a] - high)
            whole += soft[a]
        value -= n * (high + np.log(whole))
        ga, gm, gi, column = np.empty(k), np.zeros((k, d)), np.empty_like(icf), np.empty(d)
        for a in range(k):
            weight = 0.0
            for i in range(n):
                w = inner[a, i] * total[i]
                weight += w
                for j in range(d):
                    y[a, i, j] *= -w
            ga[a] = weight - n * soft[a] / whole
            g = np.dot(y[a].T, centred[a])
            for j in range(d):
                column[j] = 0.0
            for i in range(n):
                for j in range(d):
                    column[j] += y[a, i, j]
            for j in range(d):
                for i in range(j, d):
                    gm[a, j] -= column[i] * factors[a, i, j]
            for j in range(d):
                q = factors[a, j, j]
                gi[a, j] = weight - M + (g[j, j] + GAMMA**2 * q) * q
                for i in range(j + 1, d):
                    gi[a, index[i, j] - 1] = g[i, j] + GAMMA**2 * factors[a, i, j]
        return value, ga, gm, gi

    space = np.empty((k, n, d)), np.empty((k, n, d)), np.empty((k, n))
    return lambda: both(*args, *space)


SUITE = Suite(
    "gmm", __doc__, cases, inputs,
    numpy_like(make, [0, 1, 2]) | torch_like(make_torch, [0, 1, 2]) | {"limit": limit},
)  # fmt: skip
