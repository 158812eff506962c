"""hessian: dense Hessians in a hundred variables, each library in its own best way.

`rosen` is Rosenbrock's function, whose Hessian is tridiagonal; `logistic` a logistic regression on 500 rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from harness.builders import casadi_buffer, noted
from harness.model import Call, Case, Suite

ROWS = 500


def cases(quick: bool) -> list[Case]:
    n = 5 if quick else 100
    return [
        Case(f"rosen n={n}", {"n": n, "of": "rosen"}),
        Case(f"logistic n={n}", {"n": n, "of": "logistic"}, without=("casadi",)),
    ]


def inputs(case: Case) -> tuple[Any, ...]:
    """The point, and the data: rows times their labels."""
    rng = np.random.default_rng(10)
    x = rng.uniform(-1.5, 1.5, case.n)
    return (x, rng.normal(size=(ROWS, case.n)) / np.sqrt(case.n)) if case.of == "logistic" else (x,)


def make(xp: Any, case: Case) -> Any:
    def rosen(x: Any) -> Any:
        return xp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    def logistic(w: Any, rows: Any) -> Any:
        return xp.mean(xp.logaddexp(0.0, -(rows @ w))) + 0.01 * xp.sum(w * w)

    return rosen if case.of == "rosen" else logistic


def wengert(case: Case, args: tuple[Any, ...]) -> Call:
    """`wengert.hessian` where it exists; else column by column from a jitted product of Hessian and vector."""
    import wengert

    f = make(np, case)
    if hasattr(wengert, "hessian"):
        whole = wengert.jit(wengert.hessian(f))
        return lambda: whole(*args)
    slope = wengert.grad(f)
    product = wengert.jit(lambda v, x, *rest: wengert.grad(lambda x: np.sum(slope(x, *rest) * v))(x))
    columns = np.eye(case.n)

    return noted(lambda: np.stack([product(v, *args) for v in columns]), "column by column")


def jax(case: Case, args: tuple[Any, ...]) -> Call:
    """Forward over reverse, all columns at once."""
    import jax
    import jax.numpy as jnp

    f = jax.jit(jax.hessian(make(jnp, case)))
    return lambda: f(*args)


def torch(case: Case, args: tuple[Any, ...]) -> Call:
    """Forward over reverse, all columns at once."""
    import torch

    softplus = torch.nn.functional.softplus
    logistic = lambda w, rows: torch.mean(softplus(-(rows @ w))) + 0.01 * torch.sum(w * w)  # noqa: E731
    f = torch.func.hessian(make(torch, case) if case.of == "rosen" else logistic)
    return lambda: f(*args)


def autograd(case: Case, args: tuple[Any, ...]) -> Call:
    import autograd
    import autograd.numpy as anp

    f = autograd.hessian(make(anp, case))
    return lambda: f(*args)


def casadi(case: Case, args: tuple[Any, ...]) -> Call:
    """Its Hessian is sparse; it is made dense for the result."""
    import casadi as ca

    x = ca.SX.sym("x", case.n)
    value = ca.sum1(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)
    f = ca.Function("f", [x], [ca.densify(ca.hessian(value, x)[0])])
    return casadi_buffer(f, args, [np.zeros((case.n, case.n))])


def limit(case: Case, args: tuple[Any, ...]) -> Call:
    """Three diagonals; or one product of the weighted rows with themselves."""
    from numba import njit

    from suites.vectormath import OPTIONS, functions

    exp = functions("float64")[0]

    @njit(**OPTIONS)
    def rosen(x: Any) -> Any:
        n = x.size
        out = np.zeros((n, n))
        for i in range(n - 1):
            out[i, i] += 1200.0 * x[i] * x[i] - 400.0 * x[i + 1] + 2.0
            out[i + 1, i + 1] = 200.0
            out[i, i + 1] = out[i + 1, i] = -400.0 * x[i]
        return out

    @njit(**OPTIONS)
    def logistic(w: Any, rows: Any) -> Any:
        z = np.dot(rows, w)
        weighted = np.empty_like(rows)
        for i in range(z.size):
            e = exp(-abs(z[i]))
            weight = e / ((1.0 + e) * (1.0 + e)) / z.size
            for j in range(w.size):
                weighted[i, j] = weight * rows[i, j]
        out = np.dot(weighted.T, rows)
        for j in range(w.size):
            out[j, j] += 0.02
        return out

    f = rosen if case.of == "rosen" else logistic
    return lambda: f(*args)


SUITE = Suite(
    "hessian", __doc__, cases, inputs,
    {"wengert": wengert, "jax": jax, "torch": torch, "autograd": autograd, "casadi": casadi, "limit": limit},
)  # fmt: skip
