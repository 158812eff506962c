"""A pendulum's gravity from a noisy measurement: scipy.optimize with exact gradients through an ODE solver.

The angle obeys a'' = -(g / l) sin(a) - c a' (not the small-angle formula: the swing is wide). It is integrated by the
classical Runge-Kutta method in wengert.scan, so the solver's own steps are differentiated. Fitted are g, the damping c,
the first angle and the first speed. The gradient costs one more replay however many parameters there are; by finite
differences SciPy needs five solutions for one gradient and gets half the digits. The second derivative, the gradient of
the gradient, gives the standard errors.

    python examples/scipy_fit.py --out pictures
"""

import numpy as np
from common import options, panels, save
from scipy.optimize import minimize

import wengert

LENGTH, NOISE = 1.0, 0.05
NAMES = ("g", "damping", "angle", "speed")
TRUE = np.array([9.81, 0.25, 2.4, 0.0])
START = np.array([8.0, 0.1, 2.0, 0.5])


def acceleration(p, angle, speed):
    return -p[0] / LENGTH * np.sin(angle) - p[1] * speed


def swing(p, times):
    """Angles at the given times, which are evenly spaced and start at 0."""
    dt = times[1] - times[0]

    def step(state, _):
        angle, speed = state
        a1, v1 = speed, acceleration(p, angle, speed)
        a2, v2 = speed + dt / 2 * v1, acceleration(p, angle + dt / 2 * a1, speed + dt / 2 * v1)
        a3, v3 = speed + dt / 2 * v2, acceleration(p, angle + dt / 2 * a2, speed + dt / 2 * v2)
        a4, v4 = speed + dt * v3, acceleration(p, angle + dt * a3, speed + dt * v3)
        new = (angle + dt / 6 * (a1 + 2 * a2 + 2 * a3 + a4), speed + dt / 6 * (v1 + 2 * v2 + 2 * v3 + v4))
        return new, angle

    _, angles = wengert.scan(step, (p[2], p[3]), times)
    return angles


def misfit(p, times, measured):
    """Half the sum of squares in units of the noise: minus the logarithm of the likelihood."""
    return np.sum(np.square((swing(p, times) - measured) / NOISE)) / 2


def fit(times, measured):
    """By BFGS, with exact gradients and with finite differences."""
    how = {"x0": START, "args": (times, measured), "method": "BFGS", "options": {"gtol": 1e-3}}
    exact = minimize(wengert.jit(wengert.value_and_grad(misfit)), jac=True, **how)
    rough = minimize(wengert.jit(misfit), **how)
    return exact, rough


def standard_errors(p, times, measured):
    """From the curvature at the minimum: the inverse of the matrix of second derivatives is the covariance."""
    row = wengert.jit(wengert.grad(lambda p, k, *data: wengert.grad(misfit)(p, *data) @ k))
    hessian = np.stack([row(p, k, times, measured) for k in np.eye(len(p))])
    return np.sqrt(np.diag(np.linalg.inv(hessian)))


def draw(times, measured, found):
    figure, (left, right) = panels(2)
    angles = wengert.jit(swing)
    left.plot(times, measured, ".", color="grey", markersize=3, label="measured")
    left.plot(times, angles(START, times), "--", color="tab:orange", label="start")
    left.plot(times, angles(found, times), color="tab:blue", label="fitted")
    left.set(xlabel="time in s", ylabel="angle", title="a damped pendulum")
    left.legend()
    residuals = (measured - angles(found, times)) / NOISE
    right.plot(times, residuals, ".", color="tab:blue", markersize=4)
    right.axhline(0, color="black", linewidth=1)
    right.axhspan(-2, 2, color="tab:blue", alpha=0.1)
    right.set(xlabel="time in s", ylabel="residual / noise", ylim=(-4.5, 4.5), title="what the fit leaves over")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


def main():
    asked = options(__doc__.splitlines()[0], seed=0)
    times = np.linspace(0.0, 10.0, 201 if asked.quick else 1001)
    measured = wengert.jit(swing)(TRUE, times) + np.random.default_rng(asked.seed).normal(0, NOISE, times.shape)
    exact, rough = fit(times, measured)
    errors = standard_errors(exact.x, times, measured)
    print("parameter    true   fitted   standard error   off by")
    for name, true, value, error in zip(NAMES, TRUE, exact.x, errors):
        print(f"{name:9} {true:7.3f}  {value:7.4f}  {error:15.4f}   {(value - true) / error:+.1f} standard errors")
    print(f"chi squared {2 * exact.fun:.0f} for {times.size - len(TRUE)} degrees of freedom")
    for name, run in (("exact gradients", exact), ("finite differences", rough)):
        print(f"{name:18}: {run.nit} iterations, {run.nfev} solutions, {run.message}")
    save(draw(times, measured, exact.x), asked.out, "scipy_fit.png")


if __name__ == "__main__":
    main()
