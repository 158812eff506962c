"""rnn: a tanh Elman network over (T, B, I, H); mean-square loss; value and gradient of all weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from harness.model import Case

from suites import idiom
from suites.recurrent import objective, suite, zeros


def make(xp: Any, case: Case) -> Any:
    scan = idiom.scan(xp, case)

    def loss(xs: Any, targets: Any, wx: Any, wh: Any, b: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = xp.tanh(x @ wx + h @ wh + b)
            return h, h

        last, outputs = scan(step, zeros(xp, case), xs)
        return objective(xp, case, last, outputs, targets)

    return loss


@cache
def by_hand(dtype: str, last: bool) -> Any:
    """Backpropagation by hand: products over all steps at once wherever the maths allows it."""
    from numba import njit

    from suites.vectormath import OPTIONS, functions

    _, tanh, _ = functions(dtype)
    real = np.dtype(dtype).type

    @njit(**OPTIONS)
    def both(xs: Any, targets: Any, wx: Any, wh: Any, b: Any, z: Any, h: Any) -> Any:
        steps, batch, _ = xs.shape
        hidden = wh.shape[0]
        rows = steps * batch
        flat = xs.reshape(rows, xs.shape[2])
        np.dot(flat, wx, z.reshape(rows, hidden))
        h[0] = 0
        m = np.empty((batch, hidden), xs.dtype)
        for t in range(steps):
            np.dot(h[t], wh, m)
            for i in range(batch):
                for j in range(hidden):
                    h[t + 1, i, j] = tanh(z[t, i, j] + m[i, j] + b[j])
        d, value = z, 0.0
        scale = real(2.0 / targets.size)
        back = np.ascontiguousarray(wh.T)
        wanted = targets.reshape(targets.size // (batch * hidden), batch, hidden)
        m[:] = 0
        for t in range(steps - 1, -1, -1):
            if not last or t == steps - 1:
                at = 0 if last else t
                for i in range(batch):
                    part = real(0.0)
                    for j in range(hidden):
                        e = h[t + 1, i, j] - wanted[at, i, j]
                        part += e * e
                        m[i, j] += scale * e
                    value += part
            for i in range(batch):
                for j in range(hidden):
                    d[t, i, j] = m[i, j] * (real(1.0) - h[t + 1, i, j] * h[t + 1, i, j])
            if t:
                np.dot(d[t], back, m)
        delta = d.reshape(rows, hidden)
        gb = np.zeros_like(b)
        for i in range(rows):
            for j in range(hidden):
                gb[j] += delta[i, j]
        before = h[:steps].reshape(rows, hidden)
        return value / targets.size, np.dot(flat.T, delta), np.dot(before.T, delta), gb

    return both


def frames(T: int, H: int) -> tuple[tuple[int, int], ...]:
    """(steps, width) of each array that the derivative by hand keeps over time."""
    return ((T, H), (T + 1, H))


SUITE = suite(
    "rnn", __doc__, make, by_hand, frames, gates=1, biases=1, module="RNN", jax_tuned={"unroll": 4}, quick=0,
)  # fmt: skip
