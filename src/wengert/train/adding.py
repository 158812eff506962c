"""The adding problem as a ready-made training, with the settings that the command line offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert import nn, optim, tasks
from wengert.train.history import Result
from wengert.train.loop import fit
from wengert.train.progress import Status

CHECK_EVERY = 50
"""Steps between two looks at fresh sequences."""
_FRESH = 512
"""Sequences in such a look."""


@dataclass(frozen=True)
class Settings:
    """What a run is made of; the command line has an option for each."""

    steps: int = 20_000
    seq_len: int = 30
    batch: int = 32
    hidden: int = 64
    lr: float = 2e-3
    clip: float = 1.0
    seed: int = 0
    dtype: str = "float32"
    target: float = 0.01


class Elman(nn.Module):
    """An Elman network (tanh) with a linear read-out after the last step."""

    cell: nn.RNN
    readout: nn.Dense

    @classmethod
    def init(cls, rng: np.random.Generator, n_in: int, hidden: int, n_out: int, dtype: Any = np.float32) -> Elman:
        """A new network."""
        return cls(nn.RNN.init(rng, n_in, hidden, dtype=dtype), nn.Dense.init(rng, hidden, n_out, dtype=dtype))

    def __call__(self, xs: Any) -> Any:
        """Answers of shape (batch, n_out) to inputs of shape (time, batch, n_in)."""
        carry, _ = self.cell.over_time(xs)
        return self.readout(carry[-1][0])


def mean_squared_error(model: Elman, batch: Any) -> Any:
    """Loss of an Elman network on a batch of sequences and their targets."""
    xs, targets = batch
    return nn.mse(model(xs), targets)


def train_adding(settings: Settings, progress: bool | Callable[[Status], Any] = False) -> Result:
    """Train an Elman network on the adding problem until its error on fresh sequences is under the target.

    Parameters
    ----------
    settings
        Sizes, learning rate, seed and so on.
    progress
        As in `fit`.

    Returns
    -------
    Result
        Its `validation` is the mean squared error on fresh sequences.
    """

    def sequences(count: int) -> Callable[[np.random.Generator], Any]:
        return lambda rng: tasks.adding(rng, count, settings.seq_len, np.dtype(settings.dtype))

    params = Elman.init(np.random.default_rng(settings.seed), 2, settings.hidden, 1, np.dtype(settings.dtype))
    return fit(
        mean_squared_error,
        params,
        sequences(settings.batch),
        optim.adam(settings.lr),
        steps=settings.steps,
        seed=settings.seed,
        clip_norm=settings.clip,
        validation=sequences(_FRESH),
        check_every=CHECK_EVERY,
        target=settings.target,
        progress=progress,
    )
