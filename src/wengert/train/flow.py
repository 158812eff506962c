"""How a network's gradient flows through time: norms by step, and their picture. Public API only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import wengert
from wengert import plots


@dataclass(frozen=True)
class Flow:
    """Norms of the adjoint of a carry, from the first step to the last."""

    norms: list[list[np.ndarray[Any, Any]]]
    """For each scan, in the order they are run, for each leaf of its carry: an array of shape (T,)."""

    def decay(self, scan: int = 0, leaf: int = 0) -> float:
        """By what factor the norm changes a step, going back in time: its geometric mean.

        Under 1 gradients vanish, over 1 they explode.
        """
        norms = self.norms[scan][leaf]
        if len(norms) < 2 or not norms[-1]:
            return float("nan")
        return float((norms[0] / norms[-1]) ** (1 / (len(norms) - 1)))

    def plot(self, path: str | Path, labels: Any = None) -> Path:
        """Draw all norms over time, on a logarithmic scale. Needs matplotlib (`pip install 'wengert[plot]'`)."""
        curves = [norms for scan in self.norms for norms in scan]
        names = labels or [f"scan {k}, leaf {j}" for k, scan in enumerate(self.norms) for j in range(len(scan))]
        return plots.gradient_flow(dict(zip(names, curves, strict=True)), path=path)


def gradient_flow(loss: Any, *args: Any, argnums: int | tuple[int, ...] = 0) -> Flow:
    """The norm of the adjoint of the carry at every time step of the scans in `loss(*args)`.

    Parameters
    ----------
    loss
        A function that returns one number and runs a `scan` (a recurrent layer does).
    args
        Its arguments.
    argnums
        Which of them the derivative is taken in.

    Returns
    -------
    Flow
        The norms, and `plot`. To look again and again while training, keep `wengert.gradient_flow(loss)`, which is
        recorded once.

    Examples
    --------
    >>> import numpy as np, wengert
    >>> from wengert import train
    >>> loss = lambda u, xs: wengert.scan(lambda h, x: (np.tanh(u * h + x), None), 0.0, xs)[0]
    >>> flow = train.gradient_flow(loss, 0.5, np.zeros(30))
    >>> round(flow.decay(), 6)
    0.5
    """
    return Flow(wengert.gradient_flow(loss, argnums)(*args))
