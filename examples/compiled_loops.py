"""Gradients inside compiled loops: a Hamiltonian Monte Carlo chain and the fit of an ODE, each one @njit function.

wengert.njit_value_and_grad(f, ...) gives a function that Numba's compiled code calls: no Python between two gradients.

First a linear regression with a Gaussian prior, whose posterior is known: the chain (Duane et al. 1987; Neal 2011)
must find its mean and standard deviations. Then the rates of growth and death of predator and prey (Lotka-Volterra)
from noisy counts: the misfit is differentiated through 400 Runge-Kutta steps, and a descent with the step lengths of
Barzilai and Borwein (1988) runs until the gradient vanishes.

    python examples/compiled_loops.py --out pictures
"""

import time

import numba
import numpy as np
from common import options, panels, save

import wengert

TRUE = np.array([1.1, 0.4, 0.1, 0.4])
RATES = ("prey grows", "prey eaten", "predator grows", "predator dies")
FIRST, DT, NOISE = (10.0, 5.0), 0.05, 0.3


# --- a posterior ---------------------------------------------------------------------------------------------


def regression(rng, rows=60):
    xs = np.column_stack([np.ones(rows), rng.normal(size=(rows, 2)) @ [[1.0, 0.8], [0.0, 0.6]]])
    return xs, xs @ [0.5, -1.0, 2.0] + rng.normal(size=rows)


def sampler(xs, ys):
    """The chain as one compiled function."""

    def energy(w):  # minus the logarithm of the posterior: unit noise, prior of variance 1
        return np.sum((xs @ w - ys) ** 2) / 2 + np.sum(w**2) / 2

    slope = wengert.njit_value_and_grad(energy, np.zeros(xs.shape[1]))

    @numba.njit
    def chain(w, draws, leaps, size, seed):
        np.random.seed(seed)
        found = np.empty((draws, w.size))
        w_bar, accepted = np.empty_like(w), 0
        for k in range(draws):
            new, momentum = w.copy(), np.random.standard_normal(w.size)
            step = size * np.random.uniform(0.8, 1.2)  # no orbit is followed for ever
            before = slope(new, w_bar) + np.sum(momentum**2) / 2
            after = before
            for _ in range(leaps):
                momentum -= step / 2 * w_bar
                new += step * momentum
                after = slope(new, w_bar)
                momentum -= step / 2 * w_bar
            after += np.sum(momentum**2) / 2
            if np.log(np.random.random()) < before - after:
                w = new
                accepted += 1
            found[k] = w
        return found, accepted / draws

    return chain


def posterior(xs, ys):
    """Mean and standard deviations in closed form (Bishop 2006, equations 3.50 and 3.51)."""
    covariance = np.linalg.inv(xs.T @ xs + np.eye(xs.shape[1]))
    return covariance @ xs.T @ ys, np.sqrt(np.diag(covariance))


# --- an ODE --------------------------------------------------------------------------------------------------


def populations(rates, steps):
    def change(prey, predators):
        return rates[0] * prey - rates[1] * prey * predators, rates[2] * prey * predators - rates[3] * predators

    def step(state, _):
        x, y = state
        a1, b1 = change(x, y)
        a2, b2 = change(x + DT / 2 * a1, y + DT / 2 * b1)
        a3, b3 = change(x + DT / 2 * a2, y + DT / 2 * b2)
        a4, b4 = change(x + DT * a3, y + DT * b3)
        new = x + DT / 6 * (a1 + 2 * a2 + 2 * a3 + a4), y + DT / 6 * (b1 + 2 * b2 + 2 * b3 + b4)
        return new, np.stack(new)

    _, found = wengert.scan(step, FIRST, np.zeros(steps))
    return found


def fitter(counts):
    """The fit as one compiled function."""

    def misfit(logs):  # of the logarithms of the rates, which keeps them positive
        return np.mean(((populations(np.exp(logs), len(counts)) - counts) / NOISE) ** 2) / 2

    slope = wengert.njit_value_and_grad(misfit, np.zeros(len(TRUE)))

    @numba.njit
    def fit(logs, most):
        slopes, old_slopes = np.empty_like(logs), np.empty_like(logs)
        losses = np.empty(most)
        rate, change = 1e-5, np.zeros_like(logs)
        for k in range(most):
            losses[k] = slope(logs, slopes)
            if np.sqrt(np.sum(slopes**2)) < 1e-6:
                return logs, losses[: k + 1]
            if k:
                bend = slopes - old_slopes
                rate = abs(np.sum(change * bend)) / np.sum(bend**2)
            old_slopes[:] = slopes
            change = -rate * slopes
            logs = logs + change
        return logs, losses

    return fit


def draw(found, mean, spread, losses):
    figure, (left, right) = panels(2)
    for k, color in enumerate(("tab:blue", "tab:orange", "tab:green")):
        left.hist(found[:, k], bins=60, density=True, alpha=0.5, color=color)
        at = mean[k] + spread[k] * np.linspace(-4, 4, 200)
        left.plot(at, np.exp(-(((at - mean[k]) / spread[k]) ** 2) / 2) / spread[k] / np.sqrt(2 * np.pi), color=color)
    left.set(xlabel="weight", ylabel="density", title="draws, and the posterior in closed form")
    right.semilogy(losses)
    right.set(xlabel="step", ylabel="half the mean square misfit", title="rates of predator and prey")
    right.grid(alpha=0.3)
    return figure


def main():
    asked = options(__doc__.splitlines()[0], seed=0, draws=50_000)
    rng = np.random.default_rng(asked.seed)
    xs, ys = regression(rng)
    chain = sampler(xs, ys)
    start = np.zeros(xs.shape[1])
    chain(start, 1, 1, 0.1, 0)  # Numba compiles the loop
    began = time.perf_counter()
    found, accepted = chain(start, 4000 if asked.quick else asked.draws, 10, 0.12, asked.seed)
    seconds = time.perf_counter() - began
    mean, spread = posterior(xs, ys)
    print(f"{len(found):,} draws in {seconds:.2f} s, {seconds / len(found) / 10 * 1e6:.2f} us a gradient; ", end="")
    print(f"{100 * accepted:.0f} % accepted")
    print("weight    mean   known    deviation   known")
    for k in range(len(mean)):
        print(f"{k:6} {found[:, k].mean():7.3f} {mean[k]:7.3f} {found[:, k].std():12.4f} {spread[k]:7.4f}")

    counts = wengert.jit(lambda rates: populations(rates, 400))(TRUE) + rng.normal(0, NOISE, (400, 2))
    fit = fitter(counts)
    fit(np.log(TRUE), 1)
    began = time.perf_counter()
    logs, losses = fit(np.log([1.0, 0.35, 0.12, 0.45]), 5000)
    print(f"\nan ODE fitted in {len(losses)} steps, {time.perf_counter() - began:.2f} s; misfit {losses[-1]:.4f}")
    for name, rate, true in zip(RATES, np.exp(logs), TRUE):
        print(f"{name:15} {rate:.4f}, in truth {true}")
    save(draw(found, mean, spread, losses), asked.out, "compiled_loops.png")


if __name__ == "__main__":
    main()
