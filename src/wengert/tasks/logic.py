"""Tasks of counting: parity and the depth of brackets. Knows no model. Uses NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.tasks.spec import Batch, Split, Task, chance, numbers, one_hot, shortened, squared

# --- parity ------------------------------------------------------------------------------------------------------


def parity_task() -> Task:
    """Parity: at every step, is the number of ones so far odd?

    The exclusive or of all bits read up to now, so one wrong step spoils all that follow. Elman's XOR in time is
    the case of two bits, there hidden in a stream in which the third bit of every triple is to be predicted.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import tasks
    >>> batch = tasks.get("parity").batch(np.random.default_rng(0), batch=1, seq_len=6)
    >>> batch.xs[:, 0, 0].astype(int).tolist(), batch.targets[:, 0].tolist()
    ([1, 1, 1, 0, 0, 0], [1, 0, 1, 1, 1, 1])
    """

    def generate(rng: np.random.Generator, batch: int, seq_len: int, dtype: Any, split: Split) -> Batch:
        bits = rng.integers(0, 2, (seq_len, batch))
        return Batch(bits[:, :, None].astype(dtype), bits.cumsum(axis=0) % 2)

    def row(batch: Batch, outputs: Any, k: int) -> dict[str, str]:
        def spelt(values: Any) -> str:
            return shortened("".join(str(int(v)) for v in values))

        found = {"bits": spelt(batch.xs[:, k, 0]), "parity": spelt(batch.targets[:, k])}
        if outputs is not None:
            found["answer"] = spelt(outputs[:, k].argmax(axis=-1))
        return found

    return Task(
        name="parity",
        summary="is the number of ones so far odd? (temporal XOR)",
        source="Elman, Finding Structure in Time, Cognitive Science 14 (1990), XOR in time; running parity as in "
        "Bengio, Simard & Frasconi 1994",
        published="two bits (Elman), hundreds of bits with the answer at the end alone (Bengio et al.)",
        kind="per-step classification",
        n_in=1,
        n_out=2,
        seq_len=12,
        min_len=2,
        per_step=True,
        loss="cross_entropy",
        score_name="accuracy",
        solved=0.99,
        generate=generate,
        reference=lambda seq_len: chance(2),
        row=row,
    )


# --- brackets ----------------------------------------------------------------------------------------------------


def _opening(height: Any, left: int) -> Any:
    """Chance that a uniformly random Dyck word opens a bracket at this height with so many symbols left.

    From the ballot numbers (Arnold & Sleep, *Uniform random generation of balanced parenthesis strings*, 1980).
    """
    return (height + 2) * (left - height) / (2 * left * (height + 1))


def depth_moments(seq_len: int) -> tuple[float, float]:
    """Mean and variance of the depth over all steps of all Dyck words of a length, by summing over all heights.

    Examples
    --------
    >>> from wengert.tasks.logic import depth_moments
    >>> mean, variance = depth_moments(4)             # ()() has depths 1 0 1 0, (()) has 1 2 1 0
    >>> round(mean, 9), round(variance, 9)
    (0.75, 0.4375)
    """
    heights = np.arange(seq_len // 2 + 2)
    share = np.zeros(len(heights))
    share[0] = 1.0
    first = second = 0.0
    for step in range(seq_len):
        up = share * np.clip(_opening(heights, seq_len - step), 0, 1)
        down = share - up
        share = np.zeros_like(share)
        share[1:] += up[:-1]
        share[:-1] += down[1:]
        first += float(share @ heights) / seq_len
        second += float(share @ heights**2) / seq_len
    return first, second - first * first


def _dyck_words(rng: np.random.Generator, batch: int, seq_len: int) -> tuple[Any, Any]:
    """Words drawn uniformly: 1 where a bracket closes, and the depth after every symbol, both (seq_len, batch)."""
    chances = rng.random((seq_len, batch))
    depths = np.zeros((seq_len + 1, batch), np.int64)
    for step in range(seq_len):
        opens = chances[step] < _opening(depths[step], seq_len - step)
        depths[step + 1] = depths[step] + np.where(opens, 1, -1)
    return (np.diff(depths, axis=0) < 0).astype(np.int64), depths[1:]


def _bracket_row(batch: Batch, outputs: Any, k: int) -> dict[str, str]:
    found = {
        "word": shortened("".join("()"[i] for i in batch.xs[:, k].argmax(axis=-1))),
        "depth": numbers(batch.targets[:, k, 0], digits=0, most=24),
    }
    if outputs is not None:
        found["answer"] = numbers(outputs[:, k, 0], digits=1)
    return found


def brackets_task() -> Task:
    """Counting brackets: at every step, how many are open?

    Words are drawn uniformly among all balanced ones of the length (Dyck words). The trivial predictor always
    answers the mean depth; its error is the variance, summed over all words by `depth_moments`. The mean alone has
    a closed form: (4**n - C(2n+1, n)) / (2n C_n) with n = seq_len / 2 and the Catalan number C_n.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import tasks
    >>> task = tasks.get("brackets")
    >>> task.describe(task.batch(np.random.default_rng(1), batch=2, seq_len=12)).rows
    [('((()))((()))', '1 2 3 2 1 0 1 2 3 2 1 0'), ('()((())()())', '1 0 1 2 3 2 1 2 1 2 1 0')]
    """

    def generate(rng: np.random.Generator, batch: int, seq_len: int, dtype: Any, split: Split) -> Batch:
        closing, depths = _dyck_words(rng, batch, _even(seq_len))
        return Batch(one_hot(closing, 2, dtype), depths[:, :, None].astype(dtype))

    return Task(
        name="brackets",
        summary="how many brackets are open? (depth of Dyck words)",
        source="Gers & Schmidhuber, LSTM Recurrent Networks Learn Simple Context-Free and Context-Sensitive Languages, "
        "IEEE Trans. Neural Networks 12 (2001), counting",
        published="n opening, then n closing brackets, n up to 10 in training; here solved with a mean squared error "
        "under 0.01, so that rounding gives the depth",
        kind="regression",
        n_in=2,
        n_out=1,
        seq_len=20,
        min_len=2,
        per_step=True,
        loss="mse",
        score_name="mse",
        solved=0.01,
        generate=generate,
        reference=lambda seq_len: squared(depth_moments(_even(seq_len))[1]),
        row=_bracket_row,
    )


def _even(seq_len: int) -> int:
    if seq_len % 2:
        raise ValueError(f"seq_len of brackets must be even (a balanced word), not {seq_len}; take {seq_len + 1}")
    return seq_len
