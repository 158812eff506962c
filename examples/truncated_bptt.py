"""Truncated backpropagation through time: what a window of k steps costs in gradient, and in what can be learned.

An Elman network reads +1 and -1 and is to answer with the product of what it reads and what it read six steps before:
exclusive or over a delay, nothing for a linear read-out. scan(..., truncate=k) cuts the adjoint every k steps; the
value stays as it is. The same gradient comes from the stateful form: windows of k steps are differentiated one by one,
and only the carry, as numbers, is handed on. Its use is an update after every window, on streams without end (Williams
& Peng 1990). The carry still tells a short window what came before it: short windows learn, too, but slowly.

    python examples/truncated_bptt.py --out pictures
"""

import time

import numpy as np
from common import options, panels, save

import wengert
from wengert import nn, optim

DELAY, LENGTH, BATCH, HIDDEN, RATE, FORGET = 6, 96, 16, 32, 2e-3, 0.5
WINDOWS = (1, 2, 3, 6, 12, 24, 48)


def draw_batch(rng):
    xs = rng.choice([-1.0, 1.0], (LENGTH, BATCH, 1))
    targets, mask = np.zeros_like(xs), np.zeros_like(xs)
    targets[DELAY:], mask[DELAY:] = xs[DELAY:] * xs[:-DELAY], 1
    return xs, targets, mask


def start(rng):
    """A network that forgets: orthogonal recurrent weights would hold the past without any learning."""
    cell = nn.rnn_init(rng, 1, HIDDEN, dtype=np.float64)
    return {"cell": cell | {"u": FORGET * cell["u"]}, "out": nn.Dense.init(rng, HIDDEN, 1, dtype=np.float64)}


def squares(params, carry, batch, truncate=None):
    """Sum of the squared errors of the steps that count, and the last carry."""
    xs, targets, mask = batch
    step = lambda h, x: nn.rnn_cell(params["cell"], h, x)  # noqa: E731
    carry, ys = wengert.scan(step, carry, xs, truncate=truncate)
    return np.sum(mask * (params["out"](ys) - targets) ** 2), carry


def silence():
    return np.zeros((BATCH, HIDDEN))


def pieces(batch, k):
    return [tuple(x[t : t + k] for x in batch) for t in range(0, LENGTH, k)]


def gradients(params, batch):
    """By the recurrent weights: the truncated gradient against the full one, and against that of the stateful form."""

    def by_weights(carry, batch, k=None):
        """The gradient, as a vector, and the last carry."""
        slopes, carry = wengert.grad(squares, has_aux=True)(params, carry, batch, k)
        return slopes["cell"]["u"].reshape(-1), carry

    full, rows = by_weights(silence(), batch)[0], []
    for k in WINDOWS:
        cut, _ = by_weights(silence(), batch, k)
        carry, total = silence(), 0.0
        for piece in pieces(batch, k):
            slope, carry = by_weights(carry, piece)
            total = total + slope
        cosine = cut @ full / np.linalg.norm(cut) / np.linalg.norm(full)
        distance, off = np.linalg.norm(cut - full), np.linalg.norm(cut - total)
        rows.append((k, cosine, distance / np.linalg.norm(full), off / np.linalg.norm(cut)))
    return rows


def learn(seed, steps, k=None, stateful=False):
    """Train on sequences of LENGTH steps: in one piece, cut every k steps, or window by window with an update each."""
    rng = np.random.default_rng(seed)
    params, opt = start(rng), optim.adam(RATE)
    state = opt.init(params)

    @wengert.jit
    def step(params, state, carry, batch):
        def loss(params):
            total, last = squares(params, carry, batch, None if stateful else k)
            return total / np.maximum(np.sum(batch[2]), 1.0), last

        (value, last), slopes = wengert.value_and_grad(loss, has_aux=True)(params)
        params, state = opt.update(params, optim.clip_by_global_norm(slopes, 1.0), state)
        return params, state, last, value

    losses, began = [], time.perf_counter()
    for _ in range(steps):
        batch = draw_batch(rng)
        carry, values = silence(), []
        for piece in pieces(batch, k) if stateful else [batch]:
            params, state, carry, value = step(params, state, carry, piece)
            values.append(float(value))
        losses.append(np.mean(values))
    return params, np.array(losses), time.perf_counter() - began


def draw(rows, runs):
    figure, (left, right) = panels(2)
    k, cosine, distance, _ = np.transpose(rows)
    left.plot(k, distance, "o-", label="distance / length of the full gradient")
    left.plot(k, cosine, "s-", label="cosine of the angle to it")
    left.axvline(DELAY, color="grey", linestyle=":", label="delay to be learned")
    left.set(xlabel="steps in a window", ylim=(-0.05, 1.3), xscale="log", xticks=WINDOWS, xticklabels=WINDOWS)
    left.set_title("truncated against full gradient, half trained")
    for name, (_, losses, _) in runs.items():
        smooth = np.convolve(losses, np.ones(25) / 25, "valid")
        right.plot(25 + np.arange(len(smooth)), smooth, label=name)
    right.axhline(1, color="black", linestyle=":", label="without learning")
    right.set(xlabel="batch", ylabel="mean squared error", yscale="log", title="training")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def main():
    asked = options(__doc__.splitlines()[0], seed=0, steps=1000)
    steps = 40 if asked.quick else asked.steps
    half_trained, _, _ = learn(asked.seed, steps // 4)
    rows = gradients(half_trained, draw_batch(np.random.default_rng(asked.seed)))
    print(f"gradients by the recurrent weights after {steps // 4} batches")
    print("window   cosine to the full gradient   relative distance   off the stateful form")
    for k, cosine, distance, off in rows:
        print(f"{k:6} {cosine:29.4f} {distance:19.4f} {off:23.1e}")
    plans = (
        {"full": {}} | {f"k = {k}": {"k": k} for k in (12, 3, 1)} | {"k = 12, stateful": {"k": 12, "stateful": True}}
    )
    runs = {name: learn(asked.seed, steps, **plan) for name, plan in plans.items()}
    for name, (_, losses, seconds) in runs.items():
        last = np.mean(losses[-25:])
        print(f"{name:17} mean squared error {last:.5f} after {steps} batches in {seconds:.1f} s")
    save(draw(rows, runs), asked.out, "truncated_bptt.png")


if __name__ == "__main__":
    main()
