"""gru: PyTorch's reset-after GRU (gates r, z, n) over (T, B, I, H); mean-square loss; gradient of all weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from harness.model import Case

from suites import idiom
from suites.recurrent import objective, suite, zeros


def _step(xp: Any, case: Case) -> Any:
    """h, input part, hidden part -> the next h."""
    sigmoid, n = idiom.sigmoid(xp), case.H

    def gates(h: Any, gi: Any, gh: Any) -> Any:
        r = sigmoid(gi[:, :n] + gh[:, :n])
        z = sigmoid(gi[:, n : 2 * n] + gh[:, n : 2 * n])
        new = xp.tanh(gi[:, 2 * n :] + r * gh[:, 2 * n :])
        return (1.0 - z) * new + z * h

    return gates


def make(xp: Any, case: Case) -> Any:
    scan, gates = idiom.scan(xp, case), _step(xp, case)

    def loss(xs: Any, targets: Any, wx: Any, wh: Any, bx: Any, bh: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = gates(h, x @ wx + bx, h @ wh + bh)
            return h, h

        last, outputs = scan(step, zeros(xp, case), xs)
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
    def forward(z: Any, m: Any, bias: Any, bx: Any, bh: Any, before: Any, after: Any) -> None:
        n = before.size
        for j in range(2 * n):
            z[j] = logistic(z[j] + m[j] + bias[j])
        r, u, new, w = z[:n], z[n : 2 * n], z[2 * n :], m[2 * n :]
        for j in range(n):
            w[j] += bh[2 * n + j]
        for j in range(n):
            new[j] = tanh(new[j] + bx[2 * n + j] + r[j] * w[j])
        for j in range(n):
            after[j] = new[j] + u[j] * (before[j] - new[j])

    @njit(**OPTIONS)
    def backward(z: Any, q: Any, before: Any, dh: Any, through: Any) -> None:
        n = dh.size
        r, u, new, w = z[:n], z[n : 2 * n], z[2 * n :], q[2 * n :]
        for j in range(n):
            through[j] = dh[j] * u[j]
        for j in range(n):
            u[j] = (dh[j] - through[j]) * (before[j] - new[j]) * u[j]
        for j in range(n):
            new[j] = (dh[j] - through[j]) * (one - new[j] * new[j])
        for j in range(n):
            q[j] = new[j] * w[j] * r[j] * (one - r[j])
        for j in range(n):
            q[n + j] = u[j]
        for j in range(n):
            w[j] = new[j] * r[j]
        for j in range(n):
            r[j] = q[j]

    @njit(**OPTIONS)
    def both(xs: Any, targets: Any, wx: Any, wh: Any, bx: Any, bh: Any, z: Any, h: Any, q: Any) -> Any:
        steps, batch, _ = xs.shape
        n = wh.shape[0]
        rows = steps * batch
        flat = xs.reshape(rows, xs.shape[2])
        np.dot(flat, wx, z.reshape(rows, 3 * n))
        h[0] = 0
        both_biases = bx + bh
        for t in range(steps):
            m = q[t]
            np.dot(h[t], wh, m)
            for k in range(batch):
                forward(z[t, k], m[k], both_biases, bx, bh, h[t, k], h[t + 1, k])
        value, scale = 0.0, real(2.0 / targets.size)
        back = np.ascontiguousarray(wh.T)
        wanted = targets.reshape(targets.size // (batch * n), batch, n)
        dh = np.zeros((batch, n), xs.dtype)
        through = np.zeros((batch, n), xs.dtype)
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
                backward(z[t, k], q[t, k], h[t, k], dh[k], through[k])
            if t:
                np.dot(q[t], back, dh)
                for k in range(batch):
                    for j in range(n):
                        dh[k, j] += through[k, j]
        di, dm = z.reshape(rows, 3 * n), q.reshape(rows, 3 * n)
        gx, gh = np.zeros_like(bx), np.zeros_like(bh)
        for k in range(rows):
            for j in range(3 * n):
                gx[j] += di[k, j]
                gh[j] += dm[k, j]
        before = h[:steps].reshape(rows, n)
        return value / targets.size, np.dot(flat.T, di), np.dot(before.T, dm), gx, gh

    return both


def frames(T: int, H: int) -> tuple[tuple[int, int], ...]:
    """(steps, width) of each array that the derivative by hand keeps over time."""
    return ((T, 3 * H), (T + 1, H), (T, 3 * H))


SUITE = suite(
    "gru", __doc__, make, by_hand, frames, gates=3, biases=2, module="GRU", jax_tuned={"recompute": True}, quick=0,
)  # fmt: skip
