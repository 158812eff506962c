"""blackscholes: a million European calls: price, delta, gamma, theta, rho and vega, each library in its own best way.

F. Black, M. Scholes, "The pricing of options and corporate liabilities", Journal of Political Economy 81 (1973).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from harness.model import Call, Case, Suite

from suites import idiom


def cases(quick: bool) -> list[Case]:
    return [Case("n=1e2", {"n": 100})] if quick else [Case("n=1e4", {"n": 10_000}), Case("n=1e6", {"n": 1_000_000})]


def inputs(case: Case) -> tuple[Any, ...]:
    """Spot, strike, years to expiry, rate, volatility."""
    rng = np.random.default_rng(9)
    ranges = ((50.0, 150.0), (50.0, 150.0), (0.1, 2.0), (0.0, 0.1), (0.1, 0.5))
    return tuple(rng.uniform(*ends, case.n) for ends in ranges)


def lacking() -> str:
    """What wengert needs for this: the normal distribution function."""
    import wengert
    from wengert.errors import WengertError

    try:
        wengert.record(lambda x: idiom.ndtr(np)(x), 0.5)
    except WengertError:
        return "needs scipy.special.ndtr, which wengert does not have yet"
    return ""


def price(xp: Any) -> Any:
    """The price of a call."""
    ndtr = idiom.ndtr(xp)

    def f(s: Any, k: Any, t: Any, r: Any, v: Any) -> Any:
        deviation = v * xp.sqrt(t)
        d1 = (xp.log(s / k) + (r + 0.5 * v * v) * t) / deviation
        return s * ndtr(d1) - k * xp.exp(-r * t) * ndtr(d1 - deviation)

    return f


def wengert(case: Case, args: tuple[Any, ...]) -> Call:
    """Gradients of the sum; gamma as the gradient of the sum of deltas."""
    import wengert

    f = price(np)

    @wengert.jit
    def greeks(s: Any, k: Any, t: Any, r: Any, v: Any) -> Any:
        total = lambda s, t, r, v: np.sum(f(s, k, t, r, v))  # noqa: E731
        delta, theta, rho, vega = wengert.grad(total, (0, 1, 2, 3))(s, t, r, v)
        gamma = wengert.grad(lambda s: np.sum(wengert.grad(total)(s, t, r, v)))(s)
        return f(s, k, t, r, v), (delta, gamma, theta, rho, vega)

    return lambda: greeks(*args)


def jax(case: Case, args: tuple[Any, ...]) -> Call:
    """The same, with delta and gamma together from forward over reverse."""
    import jax
    import jax.numpy as jnp

    f = price(jnp)

    @jax.jit
    def greeks(s: Any, k: Any, t: Any, r: Any, v: Any) -> Any:
        total = lambda s, t, r, v: jnp.sum(f(s, k, t, r, v))  # noqa: E731
        theta, rho, vega = jax.grad(total, (1, 2, 3))(s, t, r, v)
        delta, gamma = jax.jvp(lambda s: jax.grad(total)(s, t, r, v), (s,), (jnp.ones_like(s),))
        return f(s, k, t, r, v), (delta, gamma, theta, rho, vega)

    return lambda: greeks(*args)


def torch(case: Case, args: tuple[Any, ...]) -> Call:
    """One reverse pass that is recorded, a second one through delta."""
    import torch

    f = price(torch)
    s, k, t, r, v = (x.requires_grad_(n != 1) for n, x in enumerate(args))
    ones = torch.ones_like(k)

    def call() -> Any:
        value = f(s, k, t, r, v)
        delta, theta, rho, vega = torch.autograd.grad(value, (s, t, r, v), ones, create_graph=True)
        (gamma,) = torch.autograd.grad(delta, s, ones)
        return value, (delta, gamma, theta, rho, vega)

    return call


def autograd(case: Case, args: tuple[Any, ...]) -> Call:
    import autograd
    import autograd.numpy as anp

    f = price(anp)
    s, k, t, r, v = args

    def total(s: Any, t: Any, r: Any, v: Any) -> Any:
        return anp.sum(f(s, k, t, r, v))

    first = autograd.grad(total, (0, 1, 2, 3))
    second = autograd.elementwise_grad(autograd.grad(total))

    def call() -> Any:
        delta, theta, rho, vega = first(s, t, r, v)
        return f(*args), (delta, second(s, t, r, v), theta, rho, vega)

    return call


def limit(case: Case, args: tuple[Any, ...]) -> Call:
    """The formulas of the textbook in one pass over memory; all threads from a hundred thousand options on.

    N(-x) = exp(-x^2/2) t q(t) for x >= 0, t = 2 / (2 + x / sqrt 2), q a polynomial fitted to erfcx here (4e-14), so
    that density and distribution share one exponential.
    """
    from numba import config, njit, prange
    from numpy.polynomial import chebyshev
    from scipy.special import erfcx

    from suites.vectormath import OPTIONS, functions, logarithm

    def tail(u: Any) -> Any:
        t = np.maximum((u + 1.0) / 2.0, 1e-12)
        return 0.5 * erfcx(2.0 / t - 2.0) / t

    c = tuple(float(x) for x in chebyshev.cheb2poly(chebyshev.chebinterpolate(tail, 20)))
    top, root, density = len(c) - 1, math.sqrt(0.5), 1.0 / math.sqrt(2.0 * math.pi)
    exp, log = functions("float64")[0], logarithm()

    # Loops over few arrays each: LLVM gives up vectorising when too many might overlap.
    @njit(**OPTIONS)
    def distribution(d: Any, e: Any, out: Any) -> None:
        for i in range(d.size):
            t = 2.0 / (2.0 + abs(d[i]) * root)
            u = 2.0 * t - 1.0
            q = c[top]
            for n in range(top - 1, -1, -1):
                q = q * u + c[n]
            small = e[i] * t * q
            out[i] = 1.0 - small if d[i] > 0.0 else small

    @njit(**OPTIONS)
    def bell(d: Any, out: Any) -> None:
        for i in range(d.size):
            out[i] = exp(-0.5 * d[i] * d[i])

    @njit(**OPTIONS)
    def part(
        s: Any, k: Any, t: Any, r: Any, v: Any, price: Any, delta: Any, gamma: Any, theta: Any, rho: Any, vega: Any
    ) -> None:
        n = s.size
        root_t, d1, d2, e1, e2, cash = (np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n))
        for i in range(n):
            root_t[i] = math.sqrt(t[i])
        for i in range(n):
            d1[i] = log(s[i] / k[i])
        for i in range(n):
            d1[i] = (d1[i] + (r[i] + 0.5 * v[i] * v[i]) * t[i]) / (v[i] * root_t[i])
        for i in range(n):
            d2[i] = d1[i] - v[i] * root_t[i]
        bell(d1, e1)
        bell(d2, e2)
        distribution(d1, e1, delta)
        distribution(d2, e2, cash)
        for i in range(n):
            cash[i] *= k[i] * exp(-r[i] * t[i])
        for i in range(n):
            price[i] = s[i] * delta[i] - cash[i]
        for i in range(n):
            gamma[i] = density * e1[i] / (s[i] * v[i] * root_t[i])
        for i in range(n):
            vega[i] = s[i] * density * e1[i] * root_t[i]
        for i in range(n):
            theta[i] = 0.5 * vega[i] * v[i] / t[i] + r[i] * cash[i]
        for i in range(n):
            rho[i] = t[i] * cash[i]

    block = 1024

    @njit(parallel=config.NUMBA_NUM_THREADS > 1 and case.n >= 100_000, **OPTIONS)
    def greeks(s: Any, k: Any, t: Any, r: Any, v: Any) -> Any:
        n = s.size
        price, delta, gamma, theta, rho, vega = (
            np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
        )  # fmt: skip
        for j in prange((n + block - 1) // block):
            a, b = j * block, min(n, (j + 1) * block)
            part(s[a:b], k[a:b], t[a:b], r[a:b], v[a:b],
                 price[a:b], delta[a:b], gamma[a:b], theta[a:b], rho[a:b], vega[a:b])  # fmt: skip
        return price, (delta, gamma, theta, rho, vega)

    return lambda: greeks(*args)


SUITE = Suite(
    "blackscholes", __doc__, cases, inputs,
    {"wengert": wengert, "jax": jax, "torch": torch, "autograd": autograd, "limit": limit},
    lacking=lacking,
)  # fmt: skip
