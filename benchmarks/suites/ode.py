"""ode: Lotka-Volterra by 1000 Runge-Kutta steps; gradient of the final state's square in start and parameters."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from harness.builders import casadi_buffer, noted, numpy_like, torch_like, tuned
from harness.model import Call, Case, Suite

from suites import idiom

H = 0.01


def cases(quick: bool) -> list[Case]:
    """As a loop and as a scan. Libraries that have only the loop stand in the first case; JAX, which would compile
    the unrolled loop for minutes, stands in both with its scan."""
    steps = 20 if quick else 1000
    without: tuple[str, ...] = ("unjitted", "autograd", "torch", "torch-compile", "casadi")
    if quick:
        without += ("jax",)  # the same as in the first case
    return [
        Case(f"Python loop, {steps} steps", {"steps": steps, "scan": False}),
        Case(f"scan, {steps} steps", {"steps": steps, "scan": True}, without=without),
    ]


def inputs(case: Case) -> tuple[Any, ...]:
    return np.array([1.0, 0.5]), np.array([1.1, 0.4, 0.1, 0.4])


def step(x: Any, y: Any, a: Any, b: Any, c: Any, d: Any) -> tuple[Any, Any]:
    """One classical Runge-Kutta step."""

    def rate(x: Any, y: Any) -> tuple[Any, Any]:
        return a * x - b * x * y, c * x * y - d * y

    k1, l1 = rate(x, y)
    k2, l2 = rate(x + 0.5 * H * k1, y + 0.5 * H * l1)
    k3, l3 = rate(x + 0.5 * H * k2, y + 0.5 * H * l2)
    k4, l4 = rate(x + H * k3, y + H * l3)
    return x + H / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4), y + H / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)


def looped(case: Case) -> Any:
    def f(start: Any, p: Any) -> Any:
        x, y, rates = start[0], start[1], [p[k] for k in range(4)]
        for _ in range(case.steps):
            x, y = step(x, y, *rates)
        return x * x + y * y

    return f


def make(xp: Any, case: Case) -> Any:
    """wengert as the case says; JAX always with lax.scan, as its users would; autograd has only the loop."""
    if xp.__name__ != "jax.numpy" and not case.scan:
        return looped(case)
    scan = idiom.scan(xp, case)

    def f(start: Any, p: Any) -> Any:
        rates = [p[k] for k in range(4)]
        (x, y), _ = scan(lambda u, _: (step(*u, *rates), None), (start[0], start[1]), None, length=case.steps)
        return x * x + y * y

    return f


def casadi(case: Case, args: tuple[Any, ...]) -> Call:
    import casadi as ca

    start, p = ca.SX.sym("start", 2), ca.SX.sym("p", 4)
    value = looped(case)(start, p)
    f = ca.Function("f", [start, p], [value, ca.gradient(value, start), ca.gradient(value, p)])
    return casadi_buffer(f, args, [np.zeros(1), np.zeros(2), np.zeros(4)])


@cache
def adjoint(steps: int) -> Any:
    """The discrete adjoint by hand, stages kept."""
    from numba import njit

    h = H

    @njit(error_model="numpy")
    def rate(x: float, y: float, p: Any) -> Any:
        return p[0] * x - p[1] * x * y, p[2] * x * y - p[3] * y

    @njit(error_model="numpy")
    def back(x: float, y: float, p: Any, u: float, v: float, g: Any) -> Any:
        g[0] += u * x
        g[1] -= u * x * y
        g[2] += v * x * y
        g[3] -= v * y
        return u * (p[0] - p[1] * y) + v * p[2] * y, v * (p[2] * x - p[3]) - u * p[1] * x

    @njit(error_model="numpy")
    def both(start: Any, p: Any) -> Any:
        path = np.empty((steps + 1, 2))
        stages = np.empty((steps, 3, 2))
        path[0] = start
        for t in range(steps):
            x, y = path[t, 0], path[t, 1]
            k1, l1 = rate(x, y, p)
            x2, y2 = x + 0.5 * h * k1, y + 0.5 * h * l1
            k2, l2 = rate(x2, y2, p)
            x3, y3 = x + 0.5 * h * k2, y + 0.5 * h * l2
            k3, l3 = rate(x3, y3, p)
            x4, y4 = x + h * k3, y + h * l3
            k4, l4 = rate(x4, y4, p)
            stages[t, 0, 0], stages[t, 0, 1] = x2, y2
            stages[t, 1, 0], stages[t, 1, 1] = x3, y3
            stages[t, 2, 0], stages[t, 2, 1] = x4, y4
            path[t + 1, 0] = x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
            path[t + 1, 1] = y + h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)
        x, y = path[steps, 0], path[steps, 1]
        g = np.zeros(4)
        u, v = 2.0 * x, 2.0 * y
        for t in range(steps - 1, -1, -1):
            s = stages[t]
            a4, b4 = back(s[2, 0], s[2, 1], p, h / 6.0 * u, h / 6.0 * v, g)
            a3, b3 = back(s[1, 0], s[1, 1], p, h / 3.0 * u + h * a4, h / 3.0 * v + h * b4, g)
            a2, b2 = back(s[0, 0], s[0, 1], p, h / 3.0 * u + 0.5 * h * a3, h / 3.0 * v + 0.5 * h * b3, g)
            a1, b1 = back(path[t, 0], path[t, 1], p, h / 6.0 * u + 0.5 * h * a2, h / 6.0 * v + 0.5 * h * b2, g)
            u, v = u + a1 + a2 + a3 + a4, v + b1 + b2 + b3 + b4
        return x * x + y * y, np.array([u, v]), g

    return both


def limit(case: Case, args: tuple[Any, ...]) -> Call:
    both = adjoint(case.steps)
    return lambda: both(*args)


_SHARED = numpy_like(make, [0, 1]) | torch_like(looped, [0, 1])
_JAX = _SHARED["jax"]
SUITE = Suite(
    "ode", __doc__, cases, inputs,
    _SHARED
    | {"jax": lambda case, args: noted(_JAX(case, args), "lax.scan"), "jax-tuned": tuned(_JAX, recompute=True),
       "casadi": casadi, "limit": limit},
)  # fmt: skip
