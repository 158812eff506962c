"""What a task is: batches, the loss, a score and reference scores. Knows no particular task. Uses NumPy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

Kind = Literal["regression", "classification", "per-step classification", "forecasting", "language model"]
Loss = Literal["mse", "cross_entropy"]
ScoreName = Literal["accuracy", "mse", "bits per character"]
Split = Literal["train", "test"]


class Batch(NamedTuple):
    """Sequences and what is wanted of them; a pytree, so it can be handed to a jitted function as it is."""

    xs: Any
    """Inputs, of shape (seq_len, batch, n_in)."""
    targets: Any
    """Numbers of the inputs' dtype, of shape (batch, n_out), or (seq_len, batch, n_out) where every step has a target;
    for cross entropy class numbers (int64) of shape (batch,) or (seq_len, batch)."""
    mask: Any = None
    """1 where a step counts, else 0: of shape (seq_len, batch) and the inputs' dtype. None: all count."""


class Reference(NamedTuple):
    """What the trivial predictor of a task reaches."""

    score: float
    loss: float


class Examples(NamedTuple):
    """Some sequences as rows of a table."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True)
class Task:
    """A sequence task with its published difficulty and reference scores.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import tasks
    >>> task = tasks.get("parity")
    >>> batch = task.batch(np.random.default_rng(0), batch=3, seq_len=5)
    >>> batch.xs.shape, batch.targets.shape, task.trivial()
    ((5, 3, 1), (5, 3), 0.5)
    >>> right = np.eye(2)[batch.targets]
    >>> task.score(right, batch), task.is_solved(1.0)
    (1.0, True)
    """

    name: str
    summary: str
    """One line that says what has to be done."""
    source: str
    """Where the task comes from."""
    published: str
    """The difficulty and the criterion as published."""
    kind: Kind
    n_in: int
    n_out: int
    seq_len: int
    """Default length."""
    min_len: int
    per_step: bool
    """Whether every step has a target; otherwise the last step alone answers."""
    loss: Loss
    score_name: ScoreName
    solved: float
    """The score from which on the task counts as solved: at least this accuracy, at most this error."""
    generate: Callable[[np.random.Generator, int, int, np.dtype[Any], Split], Batch]
    """Draws a batch from arguments that have been checked: rng, batch, seq_len, dtype, split."""
    reference: Callable[[int], Reference]
    """Score and loss of the trivial predictor for sequences of a length."""
    row: Callable[[Batch, Any, int], dict[str, str]]
    """One sequence of a batch as text, with the outputs for it (or None), by column."""
    scored_steps: int | None = None
    """If given, the score looks at the last so many steps alone; the loss is not concerned."""
    requires: str | None = None
    """The package that must be installed for the data, if any."""
    count: Callable[[int, Split], int] | None = None
    """How many different sequences of a length a part has; None where they are generated without end."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger score is a better one."""
        return self.score_name == "accuracy"

    def batch(
        self,
        rng: np.random.Generator,
        batch: int,
        seq_len: int | None = None,
        dtype: Any = np.float32,
        split: Split = "train",
    ) -> Batch:
        """Draw sequences.

        Parameters
        ----------
        rng
            The source of all randomness.
        batch
            How many sequences, at least one.
        seq_len
            How long; None for the task's default.
        dtype
            float32 or float64.
        split
            "train" or "test". It matters where the data are finite (series, text, digits); generated sequences
            are new at every call.

        Raises
        ------
        ValueError, TypeError
            Of the argument that does not fit.
        ModuleNotFoundError
            Where a package that carries the data is missing; it says what to install.
        """
        seq_len = self.seq_len if seq_len is None else seq_len
        found = check_request(self.name, rng, batch, seq_len, dtype, self.min_len)
        if split not in get_args(Split):
            raise ValueError(f'split must be "train" or "test", not {split!r}')
        return self.generate(rng, batch, seq_len, found, split)

    def score(self, outputs: Any, batch: Batch) -> float:
        """How good a network's outputs are for a batch, in terms of `score_name`.

        Parameters
        ----------
        outputs
            Of shape (batch, n_out), or (seq_len, batch, n_out) for a task with a target at every step: numbers, or
            logits of the classes.
        batch
            What the outputs answer.
        """
        outputs = np.asarray(outputs)
        wanted = (*np.shape(batch.xs)[0 if self.per_step else 1 : 2], self.n_out)
        if outputs.shape != wanted:
            raise ValueError(f"{self.name}: outputs must have the shape {wanted}, not {outputs.shape}")
        targets, mask = batch.targets, batch.mask
        if self.scored_steps is not None:
            last = slice(-self.scored_steps, None)
            outputs, targets, mask = outputs[last], targets[last], None if mask is None else mask[last]
        return average(MEASURES[self.score_name](outputs, targets), mask)

    def is_solved(self, score: float) -> bool:
        """Whether a score meets the criterion `solved`."""
        return score >= self.solved if self.higher_is_better else score <= self.solved

    def trivial(self, seq_len: int | None = None) -> float:
        """The score of the trivial predictor, which `reference` describes."""
        return self.reference(self.seq_len if seq_len is None else seq_len).score

    def trivial_loss(self, seq_len: int | None = None) -> float:
        """The loss of the trivial predictor: mean squared error, or cross entropy in nats a counted step."""
        return self.reference(self.seq_len if seq_len is None else seq_len).loss

    def describe(self, batch: Batch, outputs: Any = None, limit: int = 5) -> Examples:
        """The first sequences of a batch as text, with what a network answered if its outputs are given.

        Examples
        --------
        >>> import numpy as np
        >>> from wengert import tasks
        >>> task = tasks.get("echo")
        >>> task.describe(task.batch(np.random.default_rng(0), 2, seq_len=12), limit=1).columns
        ('input', 'target')
        """
        count = min(limit, np.shape(batch.xs)[1])
        rows = [self.row(batch, None if outputs is None else np.asarray(outputs), k) for k in range(count)]
        return Examples(tuple(rows[0]) if rows else (), [tuple(row.values()) for row in rows])


def check_request(name: str, rng: Any, batch: Any, seq_len: Any, dtype: Any, min_len: int) -> np.dtype[Any]:
    """Raise for what cannot be drawn; otherwise the dtype."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a generator, such as np.random.default_rng(0), not a {type(rng).__name__}")
    for what, value in (("batch", batch), ("seq_len", seq_len)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise TypeError(f"{what} must be a whole number, not {value!r}")
    if batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch}")
    if seq_len < min_len:
        raise ValueError(f"seq_len of {name} must be at least {min_len}, not {seq_len}")
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype must be float32 or float64, not {dtype!r}")
    return found


# --- measures: of every counted step, before the mean -----------------------------------------------------


def _hits(outputs: Any, targets: Any) -> Any:
    return (outputs.argmax(axis=-1) == targets).astype(np.float64)


def _squares(outputs: Any, targets: Any) -> Any:
    return np.square(outputs.astype(np.float64) - targets).mean(axis=-1)


def _bits(outputs: Any, targets: Any) -> Any:
    logits = outputs.astype(np.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    of_target = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return (np.log(np.exp(logits).sum(axis=-1)) - of_target) / np.log(2)


MEASURES: dict[ScoreName, Callable[[Any, Any], Any]] = {"accuracy": _hits, "mse": _squares, "bits per character": _bits}


def average(values: Any, mask: Any) -> float:
    """The mean of what counts."""
    return float(values.mean() if mask is None else (values * mask).sum() / mask.sum())


# --- what tasks share ------------------------------------------------------------------------------------------


def installed(module: str, task: str, package: str) -> Any:
    """A module that carries a task's data, or the error that says what to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the task {task} takes its data from {package}: pip install {package}, or pip install 'wengert[examples]'",
            name=error.name,
        ) from error


def one_hot(ids: Any, n: int, dtype: Any) -> Any:
    """Rows of the unit matrix, one an id."""
    return np.eye(n, dtype=dtype)[ids]


def chance(n: int) -> Reference:
    """Reference of n equally likely classes: 1 in n is right, and the cross entropy is log n."""
    return Reference(1 / n, float(np.log(n)))


def squared(error: float) -> Reference:
    """Reference of a task whose score and loss are both the mean squared error."""
    return Reference(error, error)


# --- text ------------------------------------------------------------------------------------------------------


def shortened(text: str, width: int = 48) -> str:
    """The text with its middle left out if it is too wide for a table."""
    return text if len(text) <= width else f"{text[: width // 2 - 1]} … {text[-(width // 2) + 2 :]}"


def numbers(values: Any, digits: int = 2, most: int = 12) -> str:
    """Numbers in a row, the middle left out if they are too many."""
    words = [f"{v:.{digits}f}" for v in values]
    if len(words) > most:
        words[most // 2 : -(most // 2)] = ["…"]
    return " ".join(words)


def symbol_row(alphabet: str, classes: tuple[str, ...]) -> Callable[[Batch, Any, int], dict[str, str]]:
    """The row of a task that reads symbols, one-hot, and answers with a class after the last or at every step."""

    def row(batch: Batch, outputs: Any, k: int) -> dict[str, str]:
        def spelt(ids: Any) -> str:
            return shortened("".join(classes[i] for i in np.atleast_1d(ids)))

        found = {
            "input": shortened("".join(alphabet[i] for i in batch.xs[:, k].argmax(axis=-1))),
            "target": spelt(batch.targets[..., k]),
        }
        if outputs is not None:
            found["answer"] = spelt(outputs[..., k, :].argmax(axis=-1))
        return found

    return row
