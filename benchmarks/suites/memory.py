"""memory: how much a process's peak memory grows in one gradient through a tanh RNN of 10000 steps.

With all states kept, and with about sqrt(T) of them kept and the others computed again (checkpointing). Before the
measured call the same function has run once with 100 steps, and JAX has compiled it for 10000, so that code and
libraries do not count; inputs are on the library's device by then. One thread: threads need no memory to speak of.
"""

from __future__ import annotations

import inspect
from dataclasses import replace

from harness.model import MARK, Case, NotHere, ProcessSuite

DATA = """
import numpy as np
def data(steps):
    rng = np.random.default_rng(8)
    shapes = ((steps, 8, 4), (4, 64), (64, 64), (64,))
    return [(rng.normal(size=s) / 8.0).astype(np.float32) for s in shapes]
"""
LOSS = """
def loss(xs, wx, wh, b):
    def step(carry, x):
        h, total = carry
        h = {xp}.tanh(x @ wx + h @ wh + b)
        return (h, total + {xp}.mean(h * h)), None
    start = {xp}.zeros((8, 64), np.float32), {xp}.zeros((), np.float32)
    {loop}
    return total / len(xs)
"""
RUN = f"""
small, large = [[on_device(a) for a in data(steps)] for steps in (100, STEPS)]
gradient(*small)
COMPILE
{MARK}
value, slopes = gradient(*large)
result = [float(value)] + [float(np.sum(np.square(np.asarray(g)))) for g in slopes]
"""


def cases(quick: bool) -> list[Case]:
    """The number of steps is a square."""
    n = 400 if quick else 10_000
    names = {False: f"T={n} B=8 H=64 f32", True: f"T={n} B=8 H=64 f32, checkpoints"}
    cases = [Case(names[again], {"T": n, "again": again}, "float32") for again in names]
    return [replace(cases[0], without=("jax", "torch")), cases[1]] if quick else cases


def _run(case: Case, on_device: str = "lambda a: a", compile_it: str = "") -> str:
    return f"on_device = {on_device}\n" + RUN.replace("STEPS", str(case.T)).replace("COMPILE", compile_it)


def wengert(case: Case) -> str:
    import wengert

    if case.again and "checkpoint" not in inspect.signature(wengert.scan).parameters:
        raise NotHere("wengert.scan has no checkpoints yet")
    option = ', checkpoint="sqrt"' if case.again else ""
    loss = LOSS.format(xp="np", loop=f"(_, total), _ = wengert.scan(step, start, xs{option})")
    return (
        DATA
        + "import wengert\n"
        + loss
        + "gradient = wengert.jit(wengert.value_and_grad(loss, (1, 2, 3)))\n"
        + _run(case)
    )


def jax(case: Case) -> str:
    """A scan over scans, the inner one computed again in reverse."""
    loop = "(_, total), _ = jax.lax.scan(step, start, xs)"
    if case.again:
        loop = """pieces = xs.reshape(round(len(xs) ** 0.5), -1, 8, 4)
    piece = jax.checkpoint(lambda carry, xs: jax.lax.scan(step, carry, xs))
    (_, total), _ = jax.lax.scan(piece, start, pieces)"""
    return (
        DATA
        + "import jax\nimport jax.numpy as jnp\n"
        + LOSS.format(xp="jnp", loop=loop)
        + "gradient = jax.jit(jax.value_and_grad(loss, (1, 2, 3)))\n"
        + _run(case, "jax.device_put", "gradient = gradient.lower(*large).compile()")
    )


def torch(case: Case) -> str:
    """PyTorch's own module, over all steps at once or piece by piece under `torch.utils.checkpoint`.

    Its reentrant form keeps no graph of the pieces: 2 MB, where the other one needs 58.
    """
    whole = "    value = (module(xs)[0] ** 2).mean()\n"
    if case.again:
        whole = """
    def piece(h, xs):
        ys, h = module(xs, h)
        return h, (ys ** 2).sum()
    h, value = torch.zeros(1, 8, 64, requires_grad=True), 0.0
    for part in xs.split(round(len(xs) ** 0.5)):
        h, total = checkpoint(piece, h, part, use_reentrant=True)
        value = value + total
    value = value / (len(xs) * 8 * 64)
"""
    return (
        DATA
        + """
import torch
from torch.utils.checkpoint import checkpoint
module = torch.nn.RNN(4, 64)
def gradient(xs, wx, wh, b):
    with torch.no_grad():
        module.weight_ih_l0.copy_(wx.T)
        module.weight_hh_l0.copy_(wh.T)
        module.bias_ih_l0.copy_(b)
        module.bias_hh_l0.zero_()
"""
        + whole
        + """
    weights = [module.weight_ih_l0, module.weight_hh_l0, module.bias_ih_l0]
    for a in weights:
        a.grad = None
    value.backward()
    return value.detach(), [a.grad for a in weights]
"""
        + _run(case, "torch.from_numpy")
    )


def limit(case: Case) -> str:
    """States of one piece at a time, and the state before each piece; one piece is the whole without checkpoints."""
    return (
        DATA
        + f"""
def gradient(xs, wx, wh, b):
    steps = len(xs)
    length = round(steps ** 0.5) if {case.again} else steps
    h = np.zeros((length + 1, 8, 64), np.float32)
    starts = np.zeros((steps // length + 1, 8, 64), np.float32)
    def forward(k):
        h[0] = starts[k]
        for t in range(length):
            h[t + 1] = np.tanh(xs[k * length + t] @ wx + h[t] @ wh + b)
    for k in range(steps // length):
        forward(k)
        starts[k + 1] = h[length]
    value, scale = 0.0, np.float32(2.0 / (steps * 8 * 64))
    gx, gh, gb = np.zeros_like(wx), np.zeros_like(wh), np.zeros_like(b)
    back = np.zeros((8, 64), np.float32)
    for k in range(steps // length - 1, -1, -1):
        forward(k)
        for t in range(length - 1, -1, -1):
            value += np.sum(h[t + 1] ** 2)
            d = (back + scale * h[t + 1]) * (1.0 - h[t + 1] ** 2)
            gx += xs[k * length + t].T @ d
            gh += h[t].T @ d
            gb += d.sum(0)
            back = d @ wh.T
    return value * scale / 2, (gx, gh, gb)
"""
        + _run(case)
    )


SUITE = ProcessSuite(
    "memory", __doc__, cases, {"wengert": wengert, "jax": jax, "torch": torch, "limit": limit}, unit="MB", threads=1
)
