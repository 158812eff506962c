"""Learning rates as functions of the number of updates made so far. Knows no optimiser.

A schedule is any function of that number, which is traced where the update is jitted: write `np.where`, not `if`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from wengert.optim.core import Schedule, checked_rate, whole, within


def constant(lr: float) -> Schedule:
    """Always `lr`; a plain float in place of a schedule means the same.

    Examples
    --------
    >>> from wengert import optim
    >>> optim.constant(0.1)(1000)
    0.1
    """
    within("lr", lr, 0.0)
    return lambda step: lr


def linear(first: float, last: float, steps: int) -> Schedule:
    """From `first` at step 0 to `last` at step `steps`, and `last` from there on.

    Examples
    --------
    >>> from wengert import optim
    >>> [float(optim.linear(0.0, 1.0, steps=4)(k)) for k in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """
    within("first", first, 0.0)
    within("last", last, 0.0)
    whole("steps", steps)
    return lambda step: first + (last - first) * (np.minimum(step, steps) / steps)


def step_decay(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """`lr`, multiplied by `factor` after every `every` steps (PyTorch's StepLR).

    Examples
    --------
    >>> from wengert import optim
    >>> [float(optim.step_decay(1.0, every=10, factor=0.5)(k)) for k in (0, 9, 10, 25)]
    [1.0, 1.0, 0.5, 0.25]
    """
    within("lr", lr, 0.0)
    whole("every", every)
    within("factor", factor, 0.0)
    return lambda step: lr * factor ** (step // every)


def cosine(lr: float, steps: int, last: float = 0.0) -> Schedule:
    """From `lr` down to `last` in `steps` steps along half a cosine wave, and `last` from there on.

    Notes
    -----
    I. Loshchilov & F. Hutter, *SGDR: stochastic gradient descent with warm restarts*, ICLR 2017, eq. 5
    (PyTorch's CosineAnnealingLR, which goes up again after `steps`). For restarts `join` several.

    Examples
    --------
    >>> from wengert import optim
    >>> [round(float(optim.cosine(1.0, steps=4)(k)), 3) for k in (0, 1, 2, 4, 9)]
    [1.0, 0.854, 0.5, 0.0, 0.0]
    """
    within("lr", lr, 0.0)
    within("last", last, 0.0)
    whole("steps", steps)
    return lambda step: last + (lr - last) * 0.5 * (1 + np.cos(np.pi * (np.minimum(step, steps) / steps)))


def warmup(then: float | Schedule, steps: int) -> Schedule:
    """A linear rise from `1 / steps` of the first rate of `then` to the whole of it, and then `then` from its start.

    Notes
    -----
    P. Goyal et al., *Accurate, large minibatch SGD*, 2017, section 2.2.

    Examples
    --------
    >>> from wengert import optim
    >>> lr = optim.warmup(optim.cosine(1.0, steps=10), steps=4)
    >>> [round(float(lr(k)), 3) for k in (0, 1, 3, 4, 9, 14)]
    [0.25, 0.5, 1.0, 1.0, 0.5, 0.0]
    """
    checked_rate(then)
    whole("steps", steps)
    follow = then if callable(then) else constant(then)

    def rise(step: Any) -> Any:
        return follow(0) * ((step + 1) / steps)

    return join([rise, follow], [steps])


def join(schedules: Sequence[float | Schedule], milestones: Sequence[int]) -> Schedule:
    """One schedule after another; each counts its steps from 0 (PyTorch's SequentialLR).

    Parameters
    ----------
    schedules
        Schedules or plain rates.
    milestones
        The steps at which the second, the third and so on begin; one fewer than schedules, rising.

    Examples
    --------
    >>> from wengert import optim
    >>> lr = optim.join([0.1, optim.linear(1.0, 0.0, steps=10)], [5])
    >>> [float(lr(k)) for k in (0, 4, 5, 10, 15)]
    [0.1, 0.1, 1.0, 0.5, 0.0]
    """
    for lr in schedules:
        checked_rate(lr)
    for n in milestones:
        whole("milestones", n)
    parts = [lr if callable(lr) else constant(lr) for lr in schedules]
    starts = [0, *milestones]
    if len(parts) != len(starts) or any(a >= b for a, b in pairwise(starts)):
        raise ValueError(
            f"{len(parts)} schedules need {len(parts) - 1} rising milestones, not {list(milestones)}: "
            "the steps at which the second, the third and so on begin"
        )

    def at(step: Any) -> Any:
        rate = parts[0](step)
        for start, part in zip(starts[1:], parts[1:], strict=True):
            # The count does not go below 0, so that no schedule is asked for what it does not define.
            rate = np.where(step < start, rate, part(np.maximum(step - start, 0)))
        return rate

    return at
