"""The character model on English text that every Python installation carries. Knows no model. Uses NumPy only."""

from __future__ import annotations

import string
from functools import cache
from typing import Any

import numpy as np

from wengert.tasks.spec import Batch, Reference, Split, Task, one_hot, shortened

VOCABULARY = "\n" + "".join(sorted(string.digits + string.ascii_letters + string.punctuation + " "))
"""Newline and the 95 printable characters of ASCII; a character's number is its place."""

_PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "\t": " "})
_TEST_PART = 0.1


def encode(text: str) -> Any:
    """Characters to numbers (int64); typographic quotes and dashes become plain ones.

    Examples
    --------
    >>> from wengert import tasks
    >>> tasks.encode("if\\n").tolist(), tasks.decode([73, 70, 0])
    ([74, 71, 0], 'he\\n')
    """
    ids = [VOCABULARY.find(c) for c in text.translate(_PLAIN)]
    if -1 in ids:
        unknown = sorted({c for c in text.translate(_PLAIN) if c not in VOCABULARY})
        raise ValueError(f"not in the vocabulary (newline and printable ASCII): {' '.join(map(repr, unknown))}")
    return np.array(ids, np.int64)


def decode(ids: Any) -> str:
    """Numbers to characters.

    Examples
    --------
    >>> from wengert import tasks
    >>> tasks.decode(tasks.encode("a + b"))
    'a + b'
    """
    return "".join(VOCABULARY[i] for i in np.asarray(ids).reshape(-1))


def draw_character(rng: np.random.Generator, logits: Any, temperature: float = 1.0) -> int:
    """Draw the number of the next character from a model's logits.

    Parameters
    ----------
    rng
        Source of the choice.
    logits
        Of shape (len(VOCABULARY),), or any other number of classes.
    temperature
        1 draws from the model's distribution, less prefers the likely, 0 takes the likeliest.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import tasks
    >>> tasks.draw_character(np.random.default_rng(0), np.array([0.0, 50.0, 1.0]))
    1
    """
    if not temperature >= 0:
        raise ValueError(f"temperature must be at least 0, not {temperature}")
    logits = np.asarray(logits, dtype=np.float64)
    if temperature == 0:
        return int(logits.argmax())
    chances = np.exp((logits - logits.max()) / temperature)
    return int(rng.choice(len(chances), p=chances / chances.sum()))


@cache
def text() -> str:
    """The help topics of Python's reference manual (`pydoc_data.topics`), cleaned.

    Topics stand in alphabetical order; indentation, rows of dashes and table borders, and characters outside the
    vocabulary are gone, runs of blanks are one blank. About 400 000 characters; which, depends on the version of
    Python.

    Examples
    --------
    >>> from wengert import tasks
    >>> print(tasks.text()[:63])
    The "assert" statement
    <BLANKLINE>
    Assert statements are a convenient way
    """
    from pydoc_data.topics import topics

    lines = "\n\n".join(topics[name] for name in sorted(topics)).translate(_PLAIN).splitlines()
    kept: list[str] = []
    for line in lines:
        plain = " ".join("".join(c for c in line if c in VOCABULARY).split())
        if any(c.isalnum() for c in plain) or (not plain and kept and kept[-1]):
            kept.append(plain)
    return "\n".join(kept)


@cache
def _ids(split: Split) -> Any:
    ids = encode(text())
    cut = round(len(ids) * (1 - _TEST_PART))
    part = ids[:cut] if split == "train" else ids[cut:]
    part.flags.writeable = False
    return part


def entropy(order: int = 0) -> float:
    """Bits a character of the whole text, given the `order` characters before it, from their frequencies.

    Order 0 is the entropy of single characters. Frequencies of longer words are seldom sound: the entropy of order
    3 and more is far too small, for most words are seen but once (Shannon, *Prediction and Entropy of Printed
    English*, 1951).

    Examples
    --------
    >>> from wengert import tasks
    >>> tasks.entropy(0) > tasks.entropy(1) > tasks.entropy(2) > 0
    True
    """
    if order < 0:
        raise ValueError(f"order must be at least 0, not {order}")
    return _block_bits(order + 1) - _block_bits(order)


def _block_bits(length: int) -> float:
    """Entropy of words of a length, in bits."""
    ids = encode(text())
    words = np.zeros(len(ids) - max(length - 1, 0), np.int64)
    for k in range(length):
        words = np.unique(words * len(VOCABULARY) + ids[k : k + len(words)], return_inverse=True)[1]
    counts = np.bincount(words)
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())


def character_frequencies() -> Any:
    """Share of every character in the training part, each counted once more than it occurs, so that none is 0."""
    counts = np.bincount(_ids("train"), minlength=len(VOCABULARY)) + 1
    return counts / counts.sum()


def _reference(seq_len: int) -> Reference:
    bits = float(-np.log2(character_frequencies())[_ids("test")].mean())
    return Reference(bits, bits * float(np.log(2)))


def _row(batch: Batch, outputs: Any, k: int) -> dict[str, str]:
    def spelt(ids: Any) -> str:
        return shortened(decode(ids).replace("\n", "⏎"))

    found = {"input": spelt(batch.xs[:, k].argmax(axis=-1)), "next characters": spelt(batch.targets[:, k])}
    if outputs is not None:
        found["likeliest answers"] = spelt(outputs[:, k].argmax(axis=-1))
    return found


def characters_task() -> Task:
    """Next-character prediction on real English text: the help topics that come with Python (`text`).

    The first nine tenths of the text are for training, the rest for the test. The trivial predictor knows the
    frequencies of characters in the training part; its score is the cross entropy of the test part.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import tasks
    >>> task = tasks.get("text")
    >>> xs, targets, _ = task.batch(np.random.default_rng(0), batch=4, seq_len=30)
    >>> bool((xs[1:].argmax(-1) == targets[:-1]).all()), xs.shape, 4 < task.trivial() < 5
    (True, (30, 4, 96), True)
    """

    def generate(rng: np.random.Generator, batch: int, seq_len: int, dtype: Any, split: Split) -> Batch:
        ids = _ids(split)
        if seq_len >= len(ids):
            raise ValueError(f"seq_len {seq_len} is too long for the {split} part: at most {len(ids) - 1}")
        places = rng.integers(0, len(ids) - seq_len, batch) + np.arange(seq_len)[:, None]
        return Batch(one_hot(ids[places], len(VOCABULARY), dtype), ids[places + 1])

    return Task(
        name="text",
        summary="predict the next character of English text (Python's help topics)",
        source="Sutskever, Martens & Hinton, Generating Text with Recurrent Neural Networks, ICML 2011; text of "
        "pydoc_data.topics",
        published="bits per character: 1.6 on Wikipedia (Sutskever et al.), about 1 for people (Shannon 1951); here "
        "solved under 2.5, less than the entropy given the two characters before",
        kind="language model",
        n_in=len(VOCABULARY),
        n_out=len(VOCABULARY),
        seq_len=64,
        min_len=1,
        per_step=True,
        loss="cross_entropy",
        score_name="bits per character",
        solved=2.5,
        generate=generate,
        reference=_reference,
        row=_row,
        count=lambda seq_len, split: len(_ids(split)) - seq_len,
    )
