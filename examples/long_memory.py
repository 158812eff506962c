"""Backpropagation through a hundred thousand steps: memory against time, with and without checkpoints.

The gradient of an LSTM over T steps needs what the forward pass computed. wengert.scan keeps it all, or with
checkpoint="sqrt" every root of T-th carry, from which the rest is computed a second time (Chen et al., *Training deep
nets with sublinear memory cost*, 2016), or with checkpoint=wengert.Binomial(8) eight carries, placed so that as few
steps as possible are computed again (Griewank & Walther, *Revolve*, 2000). Each figure comes from a process of its own:
its peak of memory over what it took before, and the least time of a few calls after the first. Fresh memory costs time,
too, so that keeping everything is not always the fastest.

    python examples/long_memory.py --out pictures
"""

import multiprocessing
import resource
import sys
import time
from pathlib import Path

import numpy as np
from common import options, panels, save

import wengert
from wengert import nn

BATCH, HIDDEN = 4, 32
WAYS = {"everything": None, '"sqrt"': "sqrt", "Binomial(8)": wengert.Binomial(8)}


def loss(params, xs, checkpoint):
    zeros = np.zeros((BATCH, HIDDEN), xs.dtype)
    step = lambda carry, x: (nn.lstm_cell(params, carry, x)[0], None)  # noqa: E731
    (h, _), _ = wengert.scan(step, (zeros, zeros), xs, checkpoint=checkpoint)
    return np.mean(np.square(h))


def gradient(way, steps, dtype=np.float32):
    """The gradient as a function without arguments, recorded at its first call."""
    rng = np.random.default_rng(0)
    params = nn.lstm_init(rng, 1, HIDDEN, dtype=dtype)
    xs = rng.normal(size=(steps, BATCH, 1)).astype(dtype)
    slope = wengert.jit(wengert.grad(lambda params, xs: loss(params, xs, WAYS[way])))
    return lambda: slope(params, xs)


def peak():
    """The most memory that this process has taken so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def measure(way, steps, answer):
    """Run in a process of its own."""
    gradient(way, 50)()  # kernels, and what else is needed once
    before, slope = peak(), gradient(way, steps)
    slope()
    times = []
    while len(times) < 5 and sum(times) < 1:
        began = time.perf_counter()
        slope()
        times.append(time.perf_counter() - began)
    answer.send((peak() - before, min(times)))


def measured(way, steps):
    fresh = multiprocessing.get_context("spawn")
    ours, theirs = fresh.Pipe()
    process = fresh.Process(target=measure, args=(way, steps, theirs))
    process.start()
    theirs.close()
    found = ours.recv()
    process.join()
    return found


def difference(steps=2000):
    """How far the gradients are apart, relative to the largest element, in float64."""
    slopes = [np.concatenate([g.reshape(-1) for g in gradient(way, steps, np.float64)().values()]) for way in WAYS]
    return max(np.abs(s - slopes[0]).max() for s in slopes[1:]) / np.abs(slopes[0]).max()


def draw(lengths, found):
    figure, axes = panels(2)
    for k, (axis, what) in enumerate(zip(axes, ("memory in MB", "time in s"))):
        for way, style in zip(WAYS, ("o-", "s-", "^-")):
            axis.plot(lengths, [found[way, steps][k] for steps in lengths], style, label=way)
        axis.set(xlabel="steps", ylabel=what, xscale="log", yscale="log", title=what.split()[0])
        axis.grid(alpha=0.3)
        axis.legend(title="kept")
    return figure


def main():
    asked = options(__doc__.splitlines()[0], steps=100_000)
    most = 1000 if asked.quick else asked.steps
    lengths = [n for n in (100, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000) if n < most] + [most]
    print(f"an LSTM of {HIDDEN} units in float32, {BATCH} sequences; gradients differ by {difference():.1e} at most")
    print("  steps" + "".join(f"{way:>22}" for way in WAYS))
    found = {}
    for steps in lengths:
        for way in WAYS:
            found[way, steps] = measured(way, steps)
        told = "".join(f"{memory:9.1f} MB {time:7.4f} s" for memory, time in (found[way, steps] for way in WAYS))
        print(f"{steps:7}{told}", flush=True)
    save(draw(lengths, found), asked.out, "long_memory.png")


if __name__ == "__main__":
    main()
