"""`fit`: what it takes, and what it checks before anything runs. The loop itself is in `run`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wengert import optim
from wengert.optim.core import whole, within
from wengert.train.batches import Source, numbers, source
from wengert.train.history import Result
from wengert.train.progress import Status, display
from wengert.train.run import Limits, Run, Saving
from wengert.train.steps import Loss, make_step
from wengert.train.stopping import Criteria
from wengert.train.watch import Watch


def fit(
    loss: Loss,
    params: Any,
    data: Any,
    optimizer: optim.Optimizer,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    batch_axis: Any = 0,
    shuffle: bool = True,
    drop_last: bool = False,
    steps_per_call: int = 1,
    seed: int = 0,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    validation: Any = None,
    metrics: Mapping[str, Callable[..., Any]] | Sequence[Callable[..., Any]] = (),
    check_every: int | None = None,
    target: float | None = None,
    tolerance: float | None = None,
    patience: int = 5,
    early_stopping: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 30.0,
    resume: bool = False,
    progress: bool | Callable[[Status], Any] = True,
    callback: Callable[[Status], Any] | None = None,
    allow_nonfinite: bool = False,
) -> Result:
    """Minimise a loss over minibatches.

    Every step is one replay: gradient, clipping and update are recorded once. Ctrl-C finishes the step, saves, and
    returns what has been reached.

    Parameters
    ----------
    loss
        `loss(params, batch)` returns one float, usually a mean over the batch. Must be fit for `wengert.jit`.
    params
        A pytree of float arrays and floats, where to start. It is left as it is.
    data
        One of three. A pytree of arrays with as many rows each: minibatches are taken of it. A function of a
        `numpy.random.Generator` that draws a batch (its attribute `described`, if there is one, is a dict of what must
        be the same for `resume`). An iterable of batches (an iterator or generator is used once).
    optimizer
        From `wengert.optim`.
    epochs, steps
        The most passes through the data and the most steps. One of them, or a criterion, must be given.
    batch_size
        Rows a step; None for all. The last batch of an epoch may be smaller, or is left out with `drop_last`.
    batch_axis
        Which axis of the arrays counts the rows: a number, or a pytree of them like the data. For sequences with time
        first, `(time, batch, features)`, it is 1.
    shuffle, seed
        Whether each epoch takes the rows in a new order, and the seed of everything that is drawn.
    steps_per_call
        How many steps one call of compiled code makes, as a `scan` over stacked minibatches: faster where a step
        takes microseconds. Checks come at the end of a call. Needs data in arrays.
    clip_norm, clip_value
        Limits for the gradient's norm and for its elements.
    validation
        A pytree of arrays, or a function of a generator that draws one: `loss` on it, as a whole, at every check.
    metrics
        Functions `metric(params, batch)` of one number, by name or in a sequence, computed at every check in plain
        NumPy, on the validation data or else on the last batch.
    check_every
        Steps from check to check. None: an epoch, or 100 steps where the data is not in arrays.
    target
        Stop when the validation loss (without validation: the mean training loss) at a check is not above it.
    tolerance, patience
        Convergence: stop when the mean training loss has changed by less than `tolerance` at `patience` checks in a
        row.
    early_stopping
        Stop when the validation loss has not got better for so many checks; the best parameters are `result.best`.
    checkpoint, checkpoint_every
        A file that is written at the start, every so many seconds and at the end, always whole: a crash at any moment
        loses at most the work since the last time.
    resume
        Continue from the checkpoint if the file exists; the result is that of a run that was never interrupted, to
        the bit. Model, data and batches must be the same; limits, criteria and learning rate may differ.
    progress
        True: a live line on a terminal, plain lines elsewhere. False: nothing. A function: called with a `Status` some
        ten times a second.
    callback
        Called with a `Status` at every check; training stops if it returns True.
    allow_nonfinite
        Accept NaN and infinities in the data, for a loss that masks them.

    Returns
    -------
    Result
        The parameters, why it ended, and the history.

    Raises
    ------
    NonFiniteError
        If the loss or the gradient is not finite: it names the op and your line that it began at, and holds the result
        up to then.
    CheckpointError
        If the checkpoint is damaged, newer than this wengert, of another model, in the way, or cannot be written.
    ValueError, TypeError
        If an argument does not make sense: nothing has happened then.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import optim, train
    >>> x = np.linspace(-1.0, 1.0, 64)
    >>> line = lambda p, batch: np.mean((p["a"] * batch["x"] + p["b"] - batch["y"]) ** 2)
    >>> found = train.fit(line, {"a": 0.0, "b": 0.0}, {"x": x, "y": 3 * x + 1}, optim.sgd(0.3),
    ...                   batch_size=16, epochs=100, target=1e-12, progress=False)
    >>> found.reason, round(float(found.params["a"]), 4), round(float(found.params["b"]), 4)
    ('target', 3.0, 1.0)
    """
    criteria = Criteria(target, tolerance, patience, early_stopping)
    for name, value in (("epochs", epochs), ("steps", steps), ("check_every", check_every)):
        if value is not None:
            whole(name, value)
    for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        if limit is not None and not limit > 0:
            raise ValueError(f"{name}={limit} must be more than 0")
    within("checkpoint_every", checkpoint_every, 0.0)
    _check_params(params)
    if not isinstance(optimizer, optim.Optimizer):
        raise TypeError(f"optimizer must come from wengert.optim, for example optim.adam(1e-3), not {optimizer!r}")
    options = {"shuffle": shuffle, "drop_last": drop_last, "steps_per_call": steps_per_call}
    batches = source(data, batch_size, batch_axis, options | {"allow_nonfinite": allow_nonfinite})
    if resume and checkpoint is None:
        raise ValueError("resume=True needs to know from what: give checkpoint=")
    if early_stopping is not None and validation is None:
        raise ValueError("early_stopping watches the validation loss: give validation=")
    _check_end(batches, epochs, steps, criteria)
    watch = Watch(loss, validation, metrics, criteria, seed, allow_nonfinite)
    return Run(
        step=make_step(loss, optimizer, clip_norm, clip_value),
        params=params,
        state=optimizer.init(params),
        source=batches,
        seed=seed,
        limits=Limits(steps, epochs, check_every or batches.per_epoch or 100),
        watch=watch,
        saving=None if checkpoint is None else Saving(checkpoint, checkpoint_every, resume),
        display=display(progress),
        callback=callback,
    ).result()


def _check_params(params: Any) -> None:
    arrays, paths, _ = numbers(params, "params", False)
    for path, x in zip(paths, arrays, strict=True):
        if x.dtype.kind != "f":
            raise TypeError(
                f"{path} has dtype {x.dtype}: parameters must be floats (write 2.0 for 2, x.astype(float) for x); "
                "keep what is not trained outside of params"
            )


def _check_end(batches: Source, epochs: int | None, steps: int | None, criteria: Criteria) -> None:
    if epochs is not None and not batches.skips:
        raise ValueError("epochs needs data that has an end; a function that draws batches has none: give steps=")
    if epochs is None and steps is None and not criteria.any() and batches.rewound():
        raise ValueError("nothing would end the training: give epochs=, steps=, target=, tolerance= or early_stopping=")
