"""rosen: Rosenbrock's function, as a Python loop over elements and as array code."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness.builders import casadi_buffer, numpy_like, pytensor_call, torch_like
from harness.model import Builder, Call, Case, NotHere, Suite


def cases(quick: bool) -> list[Case]:
    if quick:
        return [Case("loop n=30", {"n": 30, "loop": True}), Case("vector n=1000", {"n": 1000, "loop": False})]
    return [
        Case("loop n=1e3", {"n": 1000, "loop": True}),
        Case("vector n=1e3", {"n": 1000, "loop": False}),
        Case("vector n=1e6", {"n": 1_000_000, "loop": False}),
    ]


def inputs(case: Case) -> tuple[Any, ...]:
    return (np.random.default_rng(1).uniform(-1.5, 1.5, case.n),)


def make(xp: Any, case: Case) -> Any:
    def loop(x: Any) -> Any:
        total = 0.0
        for i in range(case.n - 1):
            total = total + 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
        return total

    def vector(x: Any) -> Any:
        return xp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    return loop if case.loop else vector


def make_torch(case: Case) -> Any:
    import torch

    return make(torch, case)


def casadi(case: Case, args: tuple[Any, ...]) -> Call:
    import casadi as ca

    if case.loop:
        x = ca.SX.sym("x", case.n)
        value = make(ca, case)(x)
    else:
        x = ca.SX.sym("x", case.n)
        value = ca.sum1(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)
    f = ca.Function("f", [x], [value, ca.gradient(value, x)])
    return casadi_buffer(f, [args[0]], [np.zeros(1), np.zeros(case.n)])


def pytensor(case: Case, args: tuple[Any, ...]) -> Call:
    import pytensor.tensor as pt

    x = pt.dvector("x")
    value = pt.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)
    return pytensor_call([x], value, [0], args)


def limit(case: Case, args: tuple[Any, ...]) -> Call:
    """One pass over memory; all threads from a million elements on."""
    from numba import config, njit, prange

    options = {"error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
    block = 8192

    @njit(**options)
    def part(x: Any, g: Any, first: int, end: int) -> float:
        total = 0.0
        for i in range(first, end):
            d, e, before = x[i + 1] - x[i] * x[i], 1.0 - x[i], x[i] - x[i - 1] * x[i - 1]
            total += 100.0 * d * d + e * e
            g[i] = 200.0 * before - 400.0 * x[i] * d - 2.0 * e
        return total

    @njit(parallel=config.NUMBA_NUM_THREADS > 1 and case.n >= 1_000_000, **options)
    def both(x: Any) -> Any:
        n = x.size
        g = np.empty(n)
        d, e = x[1] - x[0] * x[0], 1.0 - x[0]
        total = 100.0 * d * d + e * e
        g[0] = -400.0 * x[0] * d - 2.0 * e
        for k in prange((n - 2 + block - 1) // block):
            total += part(x, g, 1 + k * block, min(n - 1, 1 + (k + 1) * block))
        g[n - 1] = 200.0 * (x[n - 1] - x[n - 2] * x[n - 2])
        return total, g

    return lambda: both(*args)


def only(builder: Builder, loop: bool) -> Builder:
    """The builder for one form of the function; the other form is not what this peer's users would write."""

    def build(case: Case, args: tuple[Any, ...]) -> Call:
        if case.loop != loop:
            raise NotHere("not what its users would write")
        return builder(case, args)

    return build


def small(builder: Builder, largest: int) -> Builder:
    """The builder up to a size; beyond it the peer would need minutes to build its graph."""

    def build(case: Case, args: tuple[Any, ...]) -> Call:
        if case.n > largest:
            raise NotHere(f"only up to n = {largest}: one node for each scalar operation")
        return builder(case, args)

    return build


SUITE = Suite(
    "rosen", __doc__, cases, inputs,
    numpy_like(make, [0]) | torch_like(make_torch, [0])
    | {"casadi": small(casadi, 10_000), "pytensor": only(pytensor, False), "limit": limit},
)  # fmt: skip
