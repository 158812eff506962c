"""rosen: Rosenbrock's function, as a Python loop over elements and as array code."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness.builders import casadi_buffer, numpy_like, pytensor_call, torch_like
from harness.model import Call, Case, Suite


def cases(quick: bool) -> list[Case]:
    """The loop is not what PyTensor's users would write; CasADi makes one node of each scalar operation."""
    if quick:
        return [_loop("loop n=30", 30), Case("vector n=1000", {"n": 1000, "loop": False}, without=("jax-tuned",))]
    return [
        _loop("loop n=1e2", 100),
        _loop("loop n=1e3", 1000, slow_peers=("jax",)),  # XLA compiles it for 40 s
        Case("vector n=1e3", {"n": 1000, "loop": False}, without=("jax-tuned",)),
        Case("vector n=1e6", {"n": 1_000_000, "loop": False}, without=("jax-tuned", "casadi", "unjitted")),
    ]


def _loop(name: str, n: int, slow_peers: tuple[str, ...] = ()) -> Case:
    return Case(name, {"n": n, "loop": True}, without=("pytensor",), slow_peers=slow_peers)


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


def jax_tuned(case: Case, args: tuple[Any, ...]) -> Call:
    """The loop as a scan over pairs of neighbours, whose compile time does not depend on n."""
    import jax
    import jax.numpy as jnp

    def add(total: Any, pair: Any) -> Any:
        x, after = pair
        return total + 100.0 * (after - x**2) ** 2 + (1.0 - x) ** 2, None

    f = jax.jit(jax.value_and_grad(lambda x: jax.lax.scan(add, jnp.zeros(()), (x[:-1], x[1:]), unroll=4)[0], (0,)))
    return lambda: f(*args)


def casadi(case: Case, args: tuple[Any, ...]) -> Call:
    import casadi as ca

    x = ca.SX.sym("x", case.n)
    value = make(ca, case)(x) if case.loop else ca.sum1(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)
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


SUITE = Suite(
    "rosen", __doc__, cases, inputs,
    numpy_like(make, [0]) | torch_like(make_torch, [0])
    | {"jax-tuned": jax_tuned, "casadi": casadi, "pytensor": pytensor, "limit": limit},
)  # fmt: skip
