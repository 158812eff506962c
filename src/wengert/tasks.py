"""Sequence tasks: generators of batches with a known difficulty. Uses NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np

TRIVIAL_ADDING = 1 / 6
"""Mean squared error of always answering 1: the variance of the sum of two uniform numbers."""


def adding(rng: np.random.Generator, batch: int, seq_len: int, dtype: Any = np.float32) -> tuple[Any, Any]:
    """A batch of the adding problem (Hochreiter & Schmidhuber, *Long Short-Term Memory*, 1997).

    Each sequence has two channels: numbers uniform in [0, 1), and marks, which are 1 at two places (one in
    each half) and 0 elsewhere. The target is the sum of the two marked numbers.

    Parameters
    ----------
    rng
        Source of the sequences.
    batch, seq_len
        How many sequences, and how long (at least 2).
    dtype
        float32 or float64.

    Returns
    -------
    xs, targets
        Of shapes (seq_len, batch, 2) and (batch, 1).

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import tasks
    >>> xs, targets = tasks.adding(np.random.default_rng(0), batch=4, seq_len=10)
    >>> xs.shape, targets.shape, xs[:, :, 1].sum(axis=0).tolist()
    ((10, 4, 2), (4, 1), [2.0, 2.0, 2.0, 2.0])
    """
    half = seq_len // 2
    values = rng.random((seq_len, batch))
    marks = np.zeros((seq_len, batch))
    columns = np.arange(batch)
    marks[rng.integers(0, half, batch), columns] = 1
    marks[rng.integers(half, seq_len, batch), columns] = 1
    xs = np.stack([values, marks], axis=-1).astype(dtype)
    return xs, (values * marks).sum(axis=0)[:, None].astype(dtype)
