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

    # Loops over few arrays each: LLVM gives up vectorising when too many might overlap. Indices in place of views:
    # a view costs two atomic instructions.
    @njit(**OPTIONS)
    def forward(z: Any, m: Any, b: Any, gain: Any, c: Any, s: Any, h: Any, t: int, k: int) -> None:
        n = h.shape[2]
        for j in range(4 * n):  # tanh x = 2 logistic(2 x) - 1: all gates in one loop
            z[t, k, j] = gain[j] * logistic(gain[j] * (z[t, k, j] + m[k, j] + b[j])) + (one - gain[j])
        for j in range(n):
            c[t + 1, k, j] = z[t, k, n + j] * c[t, k, j] + z[t, k, j] * z[t, k, 2 * n + j]
        for j in range(n):
            s[t, k, j] = tanh(c[t + 1, k, j])
        for j in range(n):
            h[t + 1, k, j] = z[t, k, 3 * n + j] * s[t, k, j]

    @njit(**OPTIONS)
    def backward(z: Any, c: Any, s: Any, dh: Any, dc: Any, t: int, k: int) -> None:
        n = dh.shape[1]
        for j in range(n):
            dc[k, j] += dh[k, j] * z[t, k, 3 * n + j] * (one - s[t, k, j] * s[t, k, j])
        for j in range(n):
            o = z[t, k, 3 * n + j]
            z[t, k, 3 * n + j] = dh[k, j] * s[t, k, j] * o * (one - o)
        for j in range(n):
            i, g = z[t, k, j], z[t, k, 2 * n + j]
            z[t, k, j] = dc[k, j] * g * i * (one - i)
            z[t, k, 2 * n + j] = dc[k, j] * i * (one - g * g)
        for j in range(n):
            f, e = z[t, k, n + j], dc[k, j]
            z[t, k, n + j] = e * c[t, k, j] * f * (one - f)
            dc[k, j] = e * f

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
        gain = np.ones(4 * n, xs.dtype)
        gain[2 * n : 3 * n] = 2
        for t in range(steps):
            np.dot(h[t], wh, m)
            for k in range(batch):
                forward(z, m, b, gain, c, s, h, t, k)
        value, scale = 0.0, real(2.0 / targets.size)
        back = np.ascontiguousarray(wh.T)
        wanted = targets.reshape(targets.size // (batch * n), batch, n)
        dh = np.zeros((batch, n), xs.dtype)
        dc = np.zeros((batch, n), xs.dtype)
        for t in range(steps - 1, -1, -1):
            if not last or t == steps - 1:
                at = 0 if last else t
                for k in range(batch):
                    part = real(0.0)
                    for j in range(n):
                        e = h[t + 1, k, j] - wanted[at, k, j]
                        part += e * e
                        dh[k, j] += scale * e
                    value += part
            for k in range(batch):
                backward(z, c, s, dh, dc, t, k)
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
