"""lstm: the LSTM of PyTorch (gates i, f, g, o) over (T, B, I, H); mean-square loss; gradient of all weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from harness.model import Case

from suites import idiom
from suites.recurrent import objective, suite, zeros


def make(xp: Any, case: Case) -> Any:
    scan, sigmoid, n = idiom.scan(xp, case), idiom.sigmoid(xp), case.H

    def loss(xs: Any, targets: Any, wx: Any, wh: Any, b: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            h, c = carry
            z = x @ wx + h @ wh + b
            i, f, o = sigmoid(z[:, :n]), sigmoid(z[:, n : 2 * n]), sigmoid(z[:, 3 * n :])
            c = f * c + i * xp.tanh(z[:, 2 * n : 3 * n])
            h = o * xp.tanh(c)
            return (h, c), h

        (last, _), outputs = scan(step, (zeros(xp, case), zeros(xp, case)), xs)
        return objective(xp, case, last, outputs, targets)

    return loss


@cache
def by_hand(dtype: str, last: bool) -> Any:
    """Backpropagation by hand: products over all steps at once wherever the maths allows it."""
    from numba import njit

    from suites.vectormath import OPTIONS, functions

    _, tanh, logistic = functions(dtype)
    real = np.dtype(dtype).type
    one = real(1.0)

    # Loops over few arrays each: LLVM gives up vectorising when too many might overlap.
    @njit(**OPTIONS)
    def forward(z: Any, m: Any, b: Any, old: Any, c: Any, s: Any, h: Any) -> None:
        n = h.size
        for j in range(2 * n):
            z[j] = logistic(z[j] + m[j] + b[j])
        for j in range(2 * n, 3 * n):
            z[j] = tanh(z[j] + m[j] + b[j])
        for j in range(3 * n, 4 * n):
            z[j] = logistic(z[j] + m[j] + b[j])
        i, f, g, o = z[:n], z[n : 2 * n], z[2 * n : 3 * n], z[3 * n :]
        for j in range(n):
            c[j] = f[j] * old[j] + i[j] * g[j]
        for j in range(n):
            s[j] = tanh(c[j])
        for j in range(n):
            h[j] = o[j] * s[j]

    @njit(**OPTIONS)
    def backward(z: Any, old: Any, s: Any, dh: Any, dc: Any) -> None:
        n = dh.size
        i, f, g, o = z[:n], z[n : 2 * n], z[2 * n : 3 * n], z[3 * n :]
        for j in range(n):
            dc[j] += dh[j] * o[j] * (one - s[j] * s[j])
        for j in range(n):
            o[j] = dh[j] * s[j] * o[j] * (one - o[j])
        for j in range(n):
            a, b = i[j], g[j]
            i[j] = dc[j] * b * a * (one - a)
            g[j] = dc[j] * a * (one - b * b)
        for j in range(n):
            a, e = f[j], dc[j]
            f[j] = e * old[j] * a * (one - a)
            dc[j] = e * a

    @njit(**OPTIONS)
    def both(xs: Any, targets: Any, wx: Any, wh: Any, b: Any, z: Any, h: Any, c: Any, s: Any) -> Any:
        steps, batch, _ = xs.shape
        n = wh.shape[0]
        rows = steps * batch
        flat = xs.reshape(rows, xs.shape[2])
        np.dot(flat, wx, z.reshape(rows, 4 * n))
        h[0] = 0
        c[0] = 0
        m = np.empty((batch, 4 * n), xs.dtype)
        for t in range(steps):
            np.dot(h[t], wh, m)
            for k in range(batch):
                forward(z[t, k], m[k], b, c[t, k], c[t + 1, k], s[t, k], h[t + 1, k])
        value, scale = 0.0, real(2.0 / targets.size)
        back = np.ascontiguousarray(wh.T)
        dh = np.zeros((batch, n), xs.dtype)
        dc = np.zeros((batch, n), xs.dtype)
        for t in range(steps - 1, -1, -1):
            if not last or t == steps - 1:
                target = targets.reshape(targets.size // (batch * n), batch, n)[0 if last else t]
                for k in range(batch):
                    part = real(0.0)
                    for j in range(n):
                        e = h[t + 1, k, j] - target[k, j]
                        part += e * e
                        dh[k, j] += scale * e
                    value += part
            for k in range(batch):
                backward(z[t, k], c[t, k], s[t, k], dh[k], dc[k])
            if t:
                np.dot(z[t], back, dh)
        delta = z.reshape(rows, 4 * n)
        gb = np.zeros_like(b)
        for k in range(rows):
            for j in range(4 * n):
                gb[j] += delta[k, j]
        before = h[:steps].reshape(rows, n)
        return value / targets.size, np.dot(flat.T, delta), np.dot(before.T, delta), gb

    return both


def frames(T: int, H: int) -> tuple[tuple[int, int], ...]:
    """(steps, width) of each array that the derivative by hand keeps over time."""
    return ((T, 4 * H), (T + 1, H), (T + 1, H), (T, H))


SUITE = suite(
    "lstm", __doc__, make, by_hand, frames, gates=4, biases=1, module="LSTM", jax_tuned={"recompute": True}, quick=1,
)  # fmt: skip
