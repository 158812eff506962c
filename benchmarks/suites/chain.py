"""chain: twelve cheap elementwise operations and a tanh, summed. Memory traffic, fusion, threads."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness.builders import numpy_like, pytensor_call, torch_like
from harness.model import Call, Case, Suite


def cases(quick: bool) -> list[Case]:
    """The largest without those who make no difference there or would take seconds."""
    largest = Case("n=1e7", {"n": 10**7}, without=("unjitted", "autograd"))
    small = [Case(f"n=1e{k}", {"n": 10**k}) for k in ((3,) if quick else (3, 5))]
    return small if quick else [*small, largest]


def inputs(case: Case) -> tuple[Any, ...]:
    return (np.random.default_rng(3).uniform(-1.0, 1.0, case.n),)


def twelve(x: Any) -> Any:
    """Twelve additions, subtractions and products."""
    y = x * 1.1 + 0.3
    y = y * x - 0.5
    y = y * 0.7 + x
    y = y * y * 0.25
    y = y - x * 0.2
    return y * 0.9 + 0.1


def make(xp: Any, case: Case) -> Any:
    return lambda x: xp.sum(xp.tanh(twelve(x)))


def make_torch(case: Case) -> Any:
    import torch

    return make(torch, case)


def pytensor(case: Case, args: tuple[Any, ...]) -> Call:
    import pytensor.tensor as pt

    x = pt.dvector("x")
    return pytensor_call([x], pt.sum(pt.tanh(twelve(x))), [0], args)


def limit(case: Case, args: tuple[Any, ...]) -> Call:
    """One pass over memory; all threads from a million elements on."""
    from numba import config, njit, prange

    from suites.vectormath import OPTIONS, functions

    tanh = functions("float64")[1]
    block = 8192

    @njit(**OPTIONS)
    def part(x: Any, g: Any) -> float:
        total = 0.0
        for i in range(x.size):
            a = x[i]
            b = a * 1.1 + 0.3
            c = (b * a - 0.5) * 0.7 + a
            z = tanh((c * c * 0.25 - a * 0.2) * 0.9 + 0.1)
            total += z
            g[i] = (1.0 - z * z) * 0.9 * (0.5 * c * (0.7 * (1.1 * a + b) + 1.0) - 0.2)
        return total

    @njit(parallel=config.NUMBA_NUM_THREADS > 1 and case.n >= 1_000_000, **OPTIONS)
    def both(x: Any) -> Any:
        g = np.empty_like(x)
        total = 0.0
        for k in prange((x.size + block - 1) // block):
            total += part(x[k * block : (k + 1) * block], g[k * block : (k + 1) * block])
        return total, g

    return lambda: both(*args)


SUITE = Suite(
    "chain", __doc__, cases, inputs,
    numpy_like(make, [0]) | torch_like(make_torch, [0]) | {"pytensor": pytensor, "limit": limit},
)  # fmt: skip
