"""Any task of `wengert.tasks` as a ready-made training: settings, model, loss, score. Knows no file and no display."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wengert import jit, nn, optim, tasks, tree
from wengert.tasks import Batch, Task
from wengert.train.batches import Drawn
from wengert.train.checkpoint import continues
from wengert.train.history import Result
from wengert.train.loop import fit
from wengert.train.progress import Status
from wengert.train.steps import Loss

CELLS: Mapping[str, type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CELL_NAMES = {"rnn": "Elman network (tanh)", "lstm": "LSTM", "gru": "GRU"}
OPTIMIZERS: Mapping[str, Callable[..., optim.Optimizer]] = {
    "adam": optim.adam,
    "adamw": optim.adamw,
    "rmsprop": optim.rmsprop,
    "sgd": lambda lr: optim.sgd(lr, momentum=0.9),
}
"""By name; sgd has a momentum of 0.9."""
_FRESH = 512
"""Sequences that a check looks at, or fewer where each has many answers."""
_ANSWERS = 8192


@dataclass(frozen=True)
class Settings:
    """What a training is made of; the command line has an option for each. None is the task's default."""

    task: str = "adding"
    cell: str = "rnn"
    layers: int = 1
    hidden: int = 64
    seq_len: int | None = None
    batch: int = 32
    steps: int = 20_000
    lr: float = 2e-3
    clip: float = 1.0
    optimizer: str = "adam"
    dtype: str = "float32"
    seed: int = 0
    check_every: int = 50

    @property
    def length(self) -> int:
        """Steps of a sequence."""
        return tasks.get(self.task).seq_len if self.seq_len is None else self.seq_len


class SequenceModel(nn.Module):
    """Recurrent layers and a linear read-out, after every step or after the last.

    Parameters
    ----------
    body
        `nn.RNN`, `nn.LSTM` or `nn.GRU`.
    readout
        From its outputs to the task's.
    per_step
        Whether there is an answer at every step.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import tasks, train
    >>> task = tasks.get("recall")
    >>> model = train.SequenceModel.init(np.random.default_rng(0), task, cell="gru", hidden=8)
    >>> model(task.batch(np.random.default_rng(0), batch=5).xs).shape
    (5, 4)
    """

    body: nn.RNN | nn.LSTM | nn.GRU
    readout: nn.Dense
    per_step: bool = nn.static()

    @classmethod
    def init(
        cls, rng: np.random.Generator, task: Task, *, cell: str = "rnn", layers: int = 1, hidden: int = 64,
        dtype: Any = np.float32,
    ) -> SequenceModel:  # fmt: skip
        """A new model for a task; `cell` is "rnn", "lstm" or "gru"."""
        body = CELLS[cell].init(rng, task.n_in, hidden, layers=layers, dtype=dtype)
        return cls(body, nn.Dense.init(rng, hidden, task.n_out, dtype=dtype), task.per_step)

    def __call__(self, xs: Any) -> Any:
        """Answers of shape (time, batch, n_out), or (batch, n_out), to inputs of shape (time, batch, n_in)."""
        carry, ys = self.body.over_time(xs)
        if self.per_step:
            return self.readout(ys)
        return self.readout(tree.flatten(carry[-1][0])[0][0])  # h; an LSTM carries (h, c)

    def onward(self, carry: Any, xs: Any) -> tuple[Any, Any]:
        """From a carry (None for zeros) over xs: the last carry, and the answer after the last step."""
        carry, ys = self.body.over_time(xs, carry)
        return carry, self.readout(ys[-1])


@dataclass(frozen=True)
class Sequences:
    """Draws batches of a task: what `fit` is given as data, and for its checks."""

    settings: Settings
    count: int
    split: Any = "train"

    def __call__(self, rng: np.random.Generator) -> Batch:
        """A batch."""
        s = self.settings
        return tasks.get(s.task).batch(rng, self.count, s.length, np.dtype(s.dtype), self.split)

    @property
    def described(self) -> dict[str, Any]:
        """What must be the same where a training is continued."""
        same = {name: getattr(self.settings, name) for name in ("task", "cell", "layers", "hidden", "dtype", "batch")}
        return same | {"seq_len": self.settings.length}


@dataclass(frozen=True)
class Trained:
    """What a training on a task came to.

    Attributes
    ----------
    settings, result
        How it was trained, and what `fit` returned.
    model
        The model that solved the task; otherwise that with the least validation loss.
    score
        Of that model on fresh sequences, or those of the test part; NaN before the first check.
    step
        The step that it is of.
    solved
        Whether the score meets the task's criterion.
    """

    settings: Settings
    result: Result
    model: SequenceModel = field(repr=False)
    score: float
    step: int
    solved: bool


def new_model(settings: Settings) -> SequenceModel:
    """The model that a training with these settings starts with."""
    s = settings
    rng = np.random.default_rng(s.seed)
    return SequenceModel.init(
        rng, tasks.get(s.task), cell=s.cell, layers=s.layers, hidden=s.hidden, dtype=np.dtype(s.dtype)
    )


def task_loss(task: Task) -> Loss:
    """`loss(model, batch)` of a task: mean squared error or cross entropy of the steps that count."""
    measure = {"mse": nn.mse, "cross_entropy": nn.softmax_cross_entropy}[task.loss]

    def loss(model: Any, batch: Batch) -> Any:
        return measure(model(batch.xs), batch.targets, None if batch.mask is None else batch.mask > 0)

    return loss


def check_checkpoint(settings: Settings, path: str | os.PathLike[str]) -> None:
    """Raise a CheckpointError unless a training with these settings could continue from the file."""
    continues(path, Drawn(Sequences(settings, settings.batch)).described())


class Score:
    """A task's score at a check: its loss in other units where it is that, else measured."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.unit = {"mse": 1.0, "bits per character": 1 / math.log(2)}.get(task.score_name)
        if task.scored_steps is not None:
            self.unit = None
        self.answers = jit(lambda model, xs: model(xs))

    def measured(self, model: Any, batch: Batch) -> float:
        """Of a model's answers to a batch."""
        return self.task.score(self.answers(model, batch.xs), batch)

    def metrics(self) -> dict[str, Callable[..., float]]:
        """What `fit` has to compute beside the loss."""
        return {} if self.unit is not None else {self.task.score_name: self.measured}

    def of(self, validation: float | None, metrics: Mapping[str, float]) -> float:
        """From the figures of a check."""
        if self.unit is None:
            return metrics.get(self.task.score_name, math.nan)
        return math.nan if validation is None else validation * self.unit

    def scores(self, result: Result) -> dict[int, float]:
        """At the checks of a training, by step."""
        checks = result.checks
        found = [self.of(*row) for row in self._rows(checks)]
        return {int(step): score for step, score in zip(checks["step"], found, strict=True)}

    def _rows(self, checks: Mapping[str, Any]) -> list[tuple[float | None, dict[str, float]]]:
        count = len(checks["step"])
        return [
            (
                float(checks["validation"][k]) if "validation" in checks else None,
                {name: float(checks[name][k]) for name in self.metrics() if name in checks},
            )
            for k in range(count)
        ]


def train_task(
    settings: Settings,
    *,
    progress: bool | Callable[[Status], Any] = False,
    checkpoint: Any = None,
    resume: bool = False,
    seconds: float | None = None,
) -> Trained:
    """Train a recurrent network on a task until it is solved, on fresh sequences (or those of the test part).

    Parameters
    ----------
    settings
        Task, cell, sizes, learning rate and so on; `suited` gives some that do.
    progress, checkpoint, resume
        As in `fit`.
    seconds
        Stop at the first check after so much time.

    Raises
    ------
    ValueError, ModuleNotFoundError
        If the task does not exist, cannot have such sequences, or needs a package.
    NonFiniteError, CheckpointError
        As in `fit`.

    Examples
    --------
    >>> from wengert import train
    >>> found = train.train_task(train.Settings("parity", cell="gru", hidden=16, seq_len=3, lr=0.01))
    >>> found.solved, found.score > 0.99
    (True, True)
    """
    task = tasks.get(settings.task)
    score = Score(task)
    count = max(32, min(_FRESH, _ANSWERS // settings.length)) if task.per_step else _FRESH
    if task.count is not None:
        count = min(count, task.count(settings.length, "test"))

    def enough(status: Status) -> bool:
        done = task.is_solved(score.of(status.validation, status.metrics))
        return done or (seconds is not None and status.seconds >= seconds)

    result = fit(
        task_loss(task),
        new_model(settings),
        Sequences(settings, settings.batch),
        OPTIMIZERS[settings.optimizer](settings.lr),
        steps=settings.steps,
        seed=settings.seed,
        clip_norm=settings.clip,
        validation=Sequences(settings, count, "test"),
        metrics=score.metrics(),
        check_every=settings.check_every,
        checkpoint=checkpoint,
        resume=resume,
        progress=progress,
        callback=enough,
    )
    return trained(settings, result)


def trained(settings: Settings, result: Result) -> Trained:
    """The result of `fit` seen as that of a task."""
    task = tasks.get(settings.task)
    scores = Score(task).scores(result)
    last = max(scores, default=0)
    solved = bool(scores) and task.is_solved(scores[last])
    step = last if solved or result.best_step is None else result.best_step
    model = result.params if solved or result.best is None else result.best
    return Trained(settings, result, model, scores.get(step, math.nan), step, solved)
