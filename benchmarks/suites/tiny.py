"""tiny: f(x) = sin(x) x + exp(-x) at one float. What a call costs when there is almost nothing to compute."""

from __future__ import annotations

import math
from typing import Any

from harness.builders import casadi_buffer, numpy_like, pytensor_call, torch_like
from harness.model import Call, Case, Suite


def cases(quick: bool) -> list[Case]:
    """The case without jit is for those whose users work so."""
    compiled = ("wengert", "jax", "jax-tuned", "torch-compile", "casadi", "pytensor")
    return [Case("jitted", {"jit": True}), Case("not jitted", {"jit": False}, without=compiled)]


def inputs(case: Case) -> tuple[Any, ...]:
    return (0.7,)


def make(xp: Any, case: Case) -> Any:
    return lambda x: xp.sin(x) * x + xp.exp(-x)


def make_torch(case: Case) -> Any:
    import torch

    return lambda x: torch.sin(x) * x + torch.exp(-x)


def jax_tuned(case: Case, args: tuple[Any, ...]) -> Call:
    """The argument stays on JAX's device as a 0-d array, in place of a Python float at each call."""
    import jax.numpy as jnp

    return _SHARED["jax"](case, tuple(jnp.asarray(x, case.dtype) for x in args))


def casadi(case: Case, args: tuple[Any, ...]) -> Call:
    import casadi as ca
    import numpy as np

    x = ca.SX.sym("x")
    value = ca.sin(x) * x + ca.exp(-x)
    f = ca.Function("f", [x], [value, ca.gradient(value, x)])
    return casadi_buffer(f, [np.array(args)], [np.zeros(1), np.zeros(1)])


def pytensor(case: Case, args: tuple[Any, ...]) -> Call:
    import numpy as np
    import pytensor.tensor as pt

    x = pt.dscalar("x")
    return pytensor_call([x], pt.sin(x) * x + pt.exp(-x), [0], [np.array(args[0])])


def limit(case: Case, args: tuple[Any, ...]) -> Call:
    from numba import njit

    @njit
    def both(x: float) -> tuple[float, float]:
        s, e = math.sin(x), math.exp(-x)
        return s * x + e, math.cos(x) * x + s - e

    return lambda: both(*args)


_SHARED = numpy_like(make, [0])
SUITE = Suite(
    "tiny", __doc__, cases, inputs,
    _SHARED | torch_like(make_torch, [0])
    | {"jax-tuned": jax_tuned, "casadi": casadi, "pytensor": pytensor, "limit": limit},
)  # fmt: skip
