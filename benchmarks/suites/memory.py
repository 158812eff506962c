"""memory: how much a process's peak memory grows in one gradient through a tanh RNN of 10000 steps.

Before the measured call the same function has run once with 10 steps, so that code and libraries do not count.
"""

from __future__ import annotations

from harness.model import MARK, Case, ProcessSuite

DATA = """
import numpy as np
def data(steps):
    rng = np.random.default_rng(8)
    shapes = ((steps, 8, 4), (4, 64), (64, 64), (64,))
    return [(rng.normal(size=s) / 8.0).astype(np.float32) for s in shapes]
"""
STEP = """
def loss(xs, wx, wh, b):
    def step(h, x):
        h = {xp}.tanh(x @ wx + h @ wh + b)
        return h, h
    last, outputs = {scan}(step, {xp}.zeros((8, 64), np.float32), xs)
    return {xp}.mean(outputs ** 2)
"""
RUN = f"""
small, large = data(10), data(STEPS)
gradient(*small)
{MARK}
value, slopes = gradient(*large)
result = [float(value)] + [float(np.sum(np.square(np.asarray(g)))) for g in slopes]
"""


def cases(quick: bool) -> list[Case]:
    return [Case(f"T={n} B=8 H=64 f32", {"T": n}, "float32") for n in ((200,) if quick else (10_000,))]


def _run(case: Case) -> str:
    return RUN.replace("STEPS", str(case.T))


def wengert(case: Case) -> str:
    return (
        DATA
        + "import wengert\n"
        + STEP.format(xp="np", scan="wengert.scan")
        + ("gradient = wengert.jit(wengert.value_and_grad(loss, (1, 2, 3)))\n" + _run(case))
    )


def jax(case: Case) -> str:
    return (
        DATA
        + "import jax\nimport jax.numpy as jnp\n"
        + STEP.format(xp="jnp", scan="jax.lax.scan")
        + ("gradient = jax.jit(jax.value_and_grad(loss, (1, 2, 3)))\n" + _run(case))
    )


def torch(case: Case) -> str:
    return (
        DATA
        + """
import torch
module = torch.nn.RNN(4, 64)
def gradient(xs, wx, wh, b):
    with torch.no_grad():
        module.weight_ih_l0.copy_(torch.from_numpy(wx.T))
        module.weight_hh_l0.copy_(torch.from_numpy(wh.T))
        module.bias_ih_l0.copy_(torch.from_numpy(b))
        module.bias_hh_l0.zero_()
    value = (module(torch.from_numpy(xs))[0] ** 2).mean()
    slopes = torch.autograd.grad(value, [module.weight_ih_l0, module.weight_hh_l0, module.bias_ih_l0])
    return value.detach(), slopes
"""
        + _run(case)
    )


def limit(case: Case) -> str:
    return (
        DATA
        + """
def gradient(xs, wx, wh, b):
    steps = len(xs)
    h = np.zeros((steps + 1, 8, 64), np.float32)
    for t in range(steps):
        h[t + 1] = np.tanh(xs[t] @ wx + h[t] @ wh + b)
    value, scale = np.mean(h[1:] ** 2), np.float32(2.0 / h[1:].size)
    gx, gh, gb = np.zeros_like(wx), np.zeros_like(wh), np.zeros_like(b)
    back = np.zeros((8, 64), np.float32)
    for t in range(steps - 1, -1, -1):
        d = (back + scale * h[t + 1]) * (1.0 - h[t + 1] ** 2)
        gx += xs[t].T @ d
        gh += h[t].T @ d
        gb += d.sum(0)
        back = d @ wh.T
    return value, (gx, gh, gb)
"""
        + _run(case)
    )


SUITE = ProcessSuite(
    "memory", __doc__, cases, {"wengert": wengert, "jax": jax, "torch": torch, "limit": limit}, unit="MB", rounds=3
)
