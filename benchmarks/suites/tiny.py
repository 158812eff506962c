"""tiny: f(x) = sin(x) x + exp(-x) at one float. What a call costs when there is almost nothing to compute."""

from __future__ import annotations

import math
from typing import Any

from harness.builders import casadi_buffer, numpy_like, pytensor_call, torch_like
from harness.model import Builder, Call, Case, NotHere, Suite


def cases(quick: bool) -> list[Case]:
    return [Case("jitted", {"jit": True}), Case("not jitted", {"jit": False})]


def inputs(case: Case) -> tuple[Any, ...]:
    return (0.7,)


def make(xp: Any, case: Case) -> Any:
    return lambda x: xp.sin(x) * x + xp.exp(-x)


def make_torch(case: Case) -> Any:
    import torch

    return lambda x: torch.sin(x) * x + torch.exp(-x)


def wengert(case: Case, args: tuple[Any, ...]) -> Call:
    return _jitted_only(_SHARED["wengert"])(case, args)


def jax(case: Case, args: tuple[Any, ...]) -> Call:
    if case.jit:
        return _SHARED["jax"](case, args)
    import jax
    import jax.numpy as jnp

    f = jax.value_and_grad(make(jnp, case), (0,))

    def call() -> Any:
        return f(*args)

    call.note = "no jit"  # type: ignore[attr-defined]
    return call


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


def _jitted_only(builder: Builder) -> Builder:
    """These compile before they run: no part in the case without."""

    def build(case: Case, args: tuple[Any, ...]) -> Call:
        if not case.jit:
            raise NotHere("compiles ahead; see the other case")
        return builder(case, args)

    return build


_SHARED = numpy_like(make, [0])
SUITE = Suite(
    "tiny", __doc__, cases, inputs,
    _SHARED | torch_like(make_torch, [0])
    | {"wengert": wengert, "jax": jax, "jax-tuned": _jitted_only(jax_tuned), "casadi": _jitted_only(casadi),
       "pytensor": _jitted_only(pytensor), "limit": limit},
)  # fmt: skip
