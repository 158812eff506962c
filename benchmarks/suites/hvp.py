"""hvp: the Hessian of Rosenbrock's function times a vector, each library in its own best way."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness.builders import casadi_buffer
from harness.model import Call, Case, Suite


def cases(quick: bool) -> list[Case]:
    return [Case(f"rosen n=1e{k}", {"n": 10**k}) for k in ((2,) if quick else (3, 5))]


def inputs(case: Case) -> tuple[Any, ...]:
    rng = np.random.default_rng(6)
    return rng.uniform(-1.5, 1.5, case.n), rng.normal(size=case.n)


def rosen(x: Any) -> Any:
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def wengert(case: Case, args: tuple[Any, ...]) -> Call:
    """Reverse over reverse: the gradient of the gradient's product with v."""
    import wengert

    slope = wengert.grad(rosen)
    f = wengert.jit(lambda x, v: wengert.grad(lambda x: np.sum(slope(x) * v))(x))
    return lambda: f(*args)


def jax(case: Case, args: tuple[Any, ...]) -> Call:
    """Forward over reverse."""
    import jax

    f = jax.jit(lambda x, v: jax.jvp(jax.grad(rosen), (x,), (v,))[1])
    return lambda: f(*args)


def torch(case: Case, args: tuple[Any, ...]) -> Call:
    """Reverse twice."""
    import torch

    x, v = args
    x = x.detach().clone().requires_grad_()

    def call() -> Any:
        (slope,) = torch.autograd.grad(rosen(x), x, create_graph=True)
        return torch.autograd.grad(slope, x, v)

    return call


def autograd(case: Case, args: tuple[Any, ...]) -> Call:
    import autograd
    import autograd.numpy as anp

    f = autograd.hessian_vector_product(lambda x: anp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2))
    return lambda: f(*args)


def casadi(case: Case, args: tuple[Any, ...]) -> Call:
    import casadi as ca

    x, v = ca.SX.sym("x", case.n), ca.SX.sym("v", case.n)
    value = ca.sum1(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)
    f = ca.Function("f", [x, v], [ca.jtimes(ca.gradient(value, x), x, v)])
    return casadi_buffer(f, args, [np.zeros(case.n)])


def limit(case: Case, args: tuple[Any, ...]) -> Call:
    """A tridiagonal matrix times a vector."""
    from numba import njit

    @njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
    def product(x: Any, v: Any) -> Any:
        n = x.size
        out = np.empty(n)
        out[0] = (1200.0 * x[0] * x[0] - 400.0 * x[1] + 2.0) * v[0] - 400.0 * x[0] * v[1]
        for i in range(1, n - 1):
            own = 1200.0 * x[i] * x[i] - 400.0 * x[i + 1] + 202.0
            out[i] = own * v[i] - 400.0 * (x[i - 1] * v[i - 1] + x[i] * v[i + 1])
        out[n - 1] = 200.0 * v[n - 1] - 400.0 * x[n - 2] * v[n - 2]
        return out

    return lambda: product(*args)


SUITE = Suite(
    "hvp", __doc__, cases, inputs,
    {"wengert": wengert, "jax": jax, "torch": torch, "autograd": autograd, "casadi": casadi, "limit": limit},
)  # fmt: skip
