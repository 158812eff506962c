"""Dropout, whose masks are drawn outside a recording and passed in. Public API only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert.errors import DTypeError, ShapeError, WengertError, at_user
from wengert.nn.checks import array, recording, shown
from wengert.nn.module import Module, static


class Dropout(Module):
    """Sets each element to 0 with probability `rate` and scales the others by 1 / (1 - rate).

    A recorded function is replayed, and would replay the random numbers it was recorded with. So a layer
    never draws: the mask is drawn outside with `mask`, and is an argument of what is recorded. Without a
    mask the layer passes x on, which is what evaluation wants.

    Parameters
    ----------
    rate
        Probability of 0, from 0 up to but not including 1.

    Raises
    ------
    ValueError
        If the rate is not in [0, 1).

    Notes
    -----
    N. Srivastava et al., *Dropout*, JMLR 15 (2014). A mask of shape (batch, n) for x of shape (time, batch,
    n) is the same at every step: Y. Gal and Z. Ghahramani, *A theoretically grounded application of dropout
    in recurrent neural networks*, NIPS (2016).

    Examples
    --------
    >>> import numpy as np, wengert
    >>> from wengert import nn
    >>> drop, rng = nn.Dropout(0.5), np.random.default_rng(0)
    >>> loss = wengert.jit(lambda x, mask: np.sum(drop(x, mask)))
    >>> x = np.ones(1000)
    >>> [float(loss(x, drop.mask(rng, x.shape))) for _ in range(3)]
    [1074.0, 1012.0, 1044.0]
    >>> drop(x) is x
    True
    """

    rate: float = static()

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"Dropout: rate must be at least 0 and less than 1; it is {self.rate}")

    def mask(self, rng: np.random.Generator, shape: Sequence[int]) -> Any:
        """Which elements are kept, drawn now.

        Parameters
        ----------
        rng
            Source of the random numbers.
        shape
            That of x, or of its last axes.

        Returns
        -------
        array
            Truth values of that shape.

        Raises
        ------
        WengertError
            Inside a function that is being recorded (by `grad`, `jit`, `scan` or `record`).
        """
        refuse_recording()
        return rng.random(tuple(shape), np.float32) >= self.rate

    def __call__(self, x: Any, mask: Any = None) -> Any:
        """x with zeros where `mask` is false; x itself without a mask."""
        if mask is None:
            return x
        x, mask = array(x), array(mask)
        if mask.dtype.kind != "b":
            raise DTypeError(at_user(f"Dropout takes a mask of truth values, from Dropout.mask; it is {shown(mask)}"))
        ends = tuple(x.shape[len(x.shape) - len(mask.shape) :])
        if len(mask.shape) > len(x.shape) or any(m not in (1, n) for m, n in zip(mask.shape, ends, strict=True)):
            raise ShapeError(at_user(f"Dropout: a mask {shown(mask)} does not fit x, {shown(x)}"))
        return np.where(mask, x * (1.0 / (1.0 - self.rate)), 0.0)


def refuse_recording() -> None:
    """Raise if random numbers drawn now would be frozen into a recording."""
    if recording():
        raise WengertError(
            at_user(
                "a dropout mask drawn inside a recorded function would be the same at every replay. Draw it before "
                "the call, mask = drop.mask(rng, shape), and pass it in as an argument"
            )
        )
