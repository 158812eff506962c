"""Handwritten digits, read row by row. Knows no model. Uses NumPy only, and scikit-learn for the images."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from wengert.tasks.spec import Batch, Split, Task, chance, installed

ROWS = 8
_TEST_PART = 360
_SHADES = " ░▒▓█"


@cache
def _images(split: Split) -> tuple[Any, Any]:
    """Images in [0, 1] of shape (n, 8, 8) and their digits; which ones, never changes."""
    data = installed("sklearn.datasets", "digits", "scikit-learn").load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    part = order[_TEST_PART:] if split == "train" else order[:_TEST_PART]
    images, digits = data.images[part] / 16, data.target[part].astype(np.int64)
    images.flags.writeable = digits.flags.writeable = False
    return images, digits


def _row(batch: Batch, outputs: Any, k: int) -> dict[str, str]:
    shades = (np.asarray(batch.xs[:, k], dtype=np.float64) * (len(_SHADES) - 1)).round().astype(int)
    found = {
        "image": "\n".join("".join(_SHADES[s] for s in line) for line in shades),
        "digit": str(batch.targets[k]),
    }
    if outputs is not None:
        found["answer"] = str(outputs[k].argmax())
    return found


def digits_task() -> Task:
    """Handwritten digits, 8 rows of 8 pixels one after another; which digit was it?

    1797 images from scikit-learn, 360 of them for the test, chosen once and for all. The trivial predictor guesses.

    Examples
    --------
    >>> from wengert import tasks
    >>> task = tasks.get("digits")
    >>> task.n_in, task.seq_len, task.trivial()
    (8, 8, 0.1)
    """

    def generate(rng: np.random.Generator, batch: int, seq_len: int, dtype: Any, split: Split) -> Batch:
        if seq_len != ROWS:
            raise ValueError(f"seq_len of digits must be {ROWS}, the rows of an image, not {seq_len}")
        images, digits = _images(split)
        chosen = rng.integers(0, len(digits), batch)
        return Batch(images[chosen].transpose(1, 0, 2).astype(dtype), digits[chosen])

    return Task(
        name="digits",
        summary="name a handwritten digit from its 8 rows",
        source="Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI 1998, in scikit-learn; row by row "
        "as in Le, Jaitly & Hinton 2015 (pixel by pixel)",
        published="98 % by the nearest neighbour of whole images (Alpaydin & Kaynak); here solved at 95 %",
        kind="classification",
        n_in=ROWS,
        n_out=10,
        seq_len=ROWS,
        min_len=ROWS,
        per_step=False,
        loss="cross_entropy",
        score_name="accuracy",
        solved=0.95,
        generate=generate,
        reference=lambda seq_len: chance(10),
        row=_row,
        requires="scikit-learn",
        count=lambda seq_len, split: len(_images(split)[1]),
    )
