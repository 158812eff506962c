"""lstm_adbench: ADBench's LSTM with diagonal weights: 2 layers, 1024 characters of 14 bits; gradient of all weights.

After `lstm_l2_c1024` of https://github.com/microsoft/ADBench, with its formulas (the 2 in the log-sum-exp is in them)
and the distribution of its parameters; its text is replaced by random bits.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from harness.builders import numpy_like, torch_like
from harness.model import Call, Case, Suite

from suites import idiom


def cases(quick: bool) -> list[Case]:
    layers, characters, bits = (2, 8, 3) if quick else (2, 1024, 14)
    params = {"layers": layers, "characters": characters, "bits": bits}
    return [Case(f"l={layers} c={characters} b={bits}", params, without=("unjitted", "autograd"))]


def inputs(case: Case) -> tuple[Any, ...]:
    """Weight and bias of each layer's four gates, three vectors around the layers, the state, the characters."""
    rng = np.random.default_rng(11)
    rows, bits = 2 * case.layers, case.bits
    main, extra, state = (rng.random(s) for s in ((rows, 4 * bits), (3, bits), (rows, bits)))
    return main, extra, state, rng.integers(0, 2, (case.characters, bits)).astype(float)


def make(xp: Any, case: Case) -> Any:
    scan, sigmoid = idiom.scan(xp, case), idiom.sigmoid(xp)
    layers, n = range(case.layers), case.bits

    def loss(main: Any, extra: Any, state: Any, text: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            after = []
            x = x * extra[0]
            for k in layers:
                h, c = carry[2 * k], carry[2 * k + 1]
                gates = xp.concatenate([x, h, x, h]) * main[2 * k] + main[2 * k + 1]
                s = sigmoid(gates[: 3 * n])
                c = c * s[:n] + s[n : 2 * n] * xp.tanh(gates[3 * n :])
                x = s[2 * n :] * xp.tanh(c)
                after += [x, c]
            return tuple(after), x * extra[1] + extra[2]

        _, y = scan(step, tuple(state[k] for k in range(2 * len(layers))), text[:-1])
        norm = xp.log(xp.sum(xp.exp(y), 1) + 2.0)
        return -xp.mean(text[1:] * (y - norm[:, None]))

    return loss


def make_torch(case: Case) -> Any:
    import torch

    return make(torch, case)


LANES = 8
"""Vectors are padded to a multiple of this."""


@cache
def by_hand() -> Any:
    """Backpropagation by hand over padded vectors: all values are kept, and weight gradients are summed at the end.

    u is [x, h, x, h], the factor of each gate's weight; z the gates f, i, o, g and later their adjoints.
    """
    from numba import njit

    from suites.vectormath import OPTIONS, functions

    exp, tanh, logistic = functions("float64")

    # Loops over few arrays each: LLVM gives up vectorising when too many might overlap.
    @njit(**OPTIONS)
    def forward(w: Any, b: Any, x: Any, h: Any, u: Any, z: Any, old: Any, c: Any, s: Any, out: Any) -> None:
        n = x.size
        for j in range(n):
            u[j] = x[j]
            u[2 * n + j] = x[j]
        for j in range(n):
            u[n + j] = h[j]
            u[3 * n + j] = h[j]
        for j in range(3 * n):
            z[j] = logistic(u[j] * w[j] + b[j])
        for j in range(3 * n, 4 * n):
            z[j] = tanh(u[j] * w[j] + b[j])
        for j in range(n):
            c[j] = old[j] * z[j] + z[n + j] * z[3 * n + j]
        for j in range(n):
            s[j] = tanh(c[j])
        for j in range(n):
            out[j] = z[2 * n + j] * s[j]

    @njit(**OPTIONS)
    def backward(w: Any, old: Any, z: Any, s: Any, dx: Any, dh: Any, dc: Any) -> None:
        n = s.size  # dh is the adjoint of the output; it becomes that of h
        f, i, o, g = z[:n], z[n : 2 * n], z[2 * n : 3 * n], z[3 * n :]
        for j in range(n):
            dc[j] += dh[j] * o[j] * (1.0 - s[j] * s[j])
        for j in range(n):
            o[j] = dh[j] * s[j] * o[j] * (1.0 - o[j])
        for j in range(n):
            a, b = i[j], g[j]
            i[j] = dc[j] * b * a * (1.0 - a)
            g[j] = dc[j] * a * (1.0 - b * b)
        for j in range(n):
            a, e = f[j], dc[j]
            f[j] = e * old[j] * a * (1.0 - a)
            dc[j] = e * a
        for j in range(n):
            dx[j] = f[j] * w[j] + o[j] * w[2 * n + j]
        for j in range(n):
            dh[j] = i[j] * w[n + j] + g[j] * w[3 * n + j]

    @njit(**OPTIONS)
    def weigh(z: Any, u: Any, gw: Any, gb: Any) -> None:
        for j in range(z.size):
            gw[j] += z[j] * u[j]
        for j in range(z.size):
            gb[j] += z[j]

    @njit(**OPTIONS)
    def output(h: Any, gold: Any, extra: Any, scale: float, dh: Any, e: Any, ge: Any) -> float:
        value, norm, golds = 0.0, 2.0, 0.0
        for j in range(gold.size):
            y = h[j] * extra[1, j] + extra[2, j]
            value += gold[j] * y
            golds += gold[j]
            e[j] = y
        for j in range(e.size):
            e[j] = exp(e[j])
        for j in range(gold.size):
            norm += e[j]
        for j in range(gold.size):
            a = (golds / norm * e[j] - gold[j]) * scale
            ge[2, j] += a
            ge[1, j] += a * h[j]
            dh[j] += a * extra[1, j]
        return value - golds * np.log(norm)

    @njit(**OPTIONS)
    def padded(rows: Any, width: int) -> Any:
        """Rows of gates, each gate padded to `width`."""
        bits = rows.shape[1] // 4
        out = np.zeros((rows.shape[0], 4 * width))
        for k in range(rows.shape[0]):
            for j in range(rows.shape[1]):
                out[k, j // bits * width + j % bits] = rows[k, j]
        return out

    @njit(**OPTIONS)
    def both(main: Any, extra: Any, state: Any, text: Any, x: Any, h: Any, c: Any, s: Any, u: Any, z: Any) -> Any:
        layers, steps, width, bits = z.shape[0], z.shape[1], x.shape[1], text.shape[1]
        last, w = layers - 1, padded(main, width)
        for k in range(layers):
            for j in range(bits):
                h[k, 0, j], c[k, 0, j] = state[2 * k, j], state[2 * k + 1, j]
        for t in range(steps):
            for j in range(bits):
                x[t, j] = text[t, j] * extra[0, j]
            for k in range(layers):
                forward(w[2 * k], w[2 * k + 1], x[t] if k == 0 else h[k - 1, t + 1], h[k, t], u[k, t], z[k, t], c[k, t],
                        c[k, t + 1], s[k, t], h[k, t + 1])  # fmt: skip
        g, ge, value, scale = np.zeros_like(w), np.zeros_like(extra), 0.0, 1.0 / (steps * bits)
        dh, dc, dx, e = np.zeros((layers, width)), np.zeros((layers, width)), np.zeros(width), np.zeros(width)
        for t in range(steps - 1, -1, -1):
            value += output(h[last, t + 1], text[t + 1], extra, scale, dh[last], e, ge)
            for k in range(last, -1, -1):
                backward(w[2 * k], c[k, t], z[k, t], s[k, t], dx, dh[k], dc[k])
                weigh(z[k, t], u[k, t], g[2 * k], g[2 * k + 1])
                if k:
                    for j in range(width):
                        dh[k - 1, j] += dx[j]
            for j in range(bits):
                ge[0, j] += dx[j] * text[t, j]
        gm = np.empty_like(main)
        for k in range(2 * layers):
            for j in range(4 * bits):
                gm[k, j] = g[k, j // bits * width + j % bits]
        return -value * scale, gm, ge

    return both


def limit(case: Case, args: tuple[Any, ...]) -> Call:
    """Backpropagation by hand, vectors padded to whole registers."""
    both, steps, layers, width = by_hand(), case.characters - 1, case.layers, -(-case.bits // 8) * 8
    shapes = [(steps, width), *2 * [(layers, steps + 1, width)], (layers, steps, width)]
    space = [np.zeros(s) for s in (*shapes, *2 * [(layers, steps, 4 * width)])]
    return lambda: both(*args, *space)


SUITE = Suite(
    "lstm_adbench", __doc__, cases, inputs,
    numpy_like(make, [0, 1]) | torch_like(make_torch, [0, 1]) | {"limit": limit},
)  # fmt: skip
