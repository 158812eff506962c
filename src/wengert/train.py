"""The training loop: one jitted step (gradient, clip, Adam), checks on fresh sequences. Public API only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert import jit, nn, optim, tasks, value_and_grad

CHECK_EVERY = 50
"""Steps between two looks at fresh sequences."""


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


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step."""

    step: int
    loss: float
    """Mean squared error on the last batch."""
    fresh: float | None
    """The same on fresh sequences, at the last check."""


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    model: Elman
    steps: int
    fresh: float
    solved: bool
    interrupted: bool


def mean_squared_error(model: Elman, xs: Any, targets: Any) -> Any:
    """Loss of an Elman network on a batch of sequences."""
    return nn.mse(model(xs), targets)


def make_step(clip: float) -> Callable[..., Any]:
    """The jitted training step: `model, state, loss = step(model, state, xs, targets, lr)`."""

    @jit
    def step(model: Elman, state: Any, xs: Any, targets: Any, lr: float) -> Any:
        loss, grads = value_and_grad(mean_squared_error)(model, xs, targets)
        grads = optim.clip_by_global_norm(grads, clip)
        model, state = optim.adam(model, grads, state, lr)
        return model, state, loss

    return step


def train_adding(settings: Settings, report: Callable[[Progress], None] = lambda progress: None) -> Result:
    """Train an Elman network on the adding problem until its error on fresh sequences is under the target.

    Parameters
    ----------
    settings
        Sizes, learning rate, seed and so on.
    report
        Called after every step.

    Returns
    -------
    Result
        Also after Ctrl-C, with what had been reached (`interrupted` is true).
    """
    dtype = np.dtype(settings.dtype)
    rng = np.random.default_rng(settings.seed)
    model = Elman.init(rng, 2, settings.hidden, 1, dtype)
    state = optim.adam_init(model)
    step, loss_of = make_step(settings.clip), jit(mean_squared_error)
    done, fresh, interrupted = 0, float("inf"), False
    try:
        while done < settings.steps and fresh >= settings.target:
            xs, targets = tasks.adding(rng, settings.batch, settings.seq_len, dtype)
            model, state, loss = step(model, state, xs, targets, settings.lr)
            done += 1
            if done % CHECK_EVERY == 0 or done == settings.steps:
                fresh = float(loss_of(model, *tasks.adding(rng, 512, settings.seq_len, dtype)))
            report(Progress(done, float(loss), fresh if fresh < float("inf") else None))
    except KeyboardInterrupt:
        interrupted = True
    if done and (interrupted or fresh == float("inf")):
        fresh = float(loss_of(model, *tasks.adding(rng, 512, settings.seq_len, dtype)))
    return Result(model, done, fresh, fresh < settings.target, interrupted)
