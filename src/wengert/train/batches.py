"""Where batches come from: arrays, a function that draws them, or an iterable. Knows no model.

A source yields `(steps, leaves)`: the leaves of a batch, or, where several steps are one call, of a stack of batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from wengert import tree
from wengert.optim.core import whole

Batch = tuple[int, list[Any]]


class Source(Protocol):
    """What the training loop asks for."""

    structure: Any
    """Of a batch; known when the first has been yielded."""
    per_epoch: int | None
    """Steps in a pass through the data, where that is known."""
    together: int
    """The most steps in what is yielded."""
    stacks: bool
    """Whether what is yielded is a stack of batches."""
    draws: bool
    """Whether an epoch draws from the generator."""
    skips: bool
    """Whether `epoch` finds a place again by skipping; otherwise the state of the generator is the place."""

    def epoch(self, rng: np.random.Generator, skip: int, most: float) -> Iterator[Batch]:
        """The batches of one pass, but for the first `skip`; where steps are taken together none goes over `most`.

        It draws from `rng` in the same way whatever `skip` is.
        """

    def rewound(self) -> bool:
        """Whether a further pass is possible."""

    def described(self) -> dict[str, Any]:
        """What must be the same if a training is to be continued."""


def source(data: Any, batch_size: int | None, batch_axis: Any, options: dict[str, Any]) -> Source:
    """The source for what the user gave as data."""
    if callable(data) and not isinstance(data, np.ndarray):
        found: Source = Drawn(data)
    elif hasattr(data, "__iter__") and not isinstance(data, np.ndarray) and _is_leaf(data):
        found = Iterated(data)
    else:
        return Arrays(data, batch_size, batch_axis, **options)
    if batch_size is not None or options["steps_per_call"] != 1:
        raise ValueError(
            "batch_size and steps_per_call need data in arrays; an iterator, or a function that draws batches, "
            "decides on the size of its batches itself"
        )
    return found


def _is_leaf(data: Any) -> bool:
    leaves, _ = tree.flatten(data)
    return len(leaves) == 1 and leaves[0] is data


class Arrays:
    """Minibatches of a pytree of arrays with a common batch axis, shuffled anew in every epoch."""

    skips = True

    def __init__(
        self,
        data: Any,
        batch_size: int | None,
        batch_axis: Any,
        shuffle: bool = True,
        drop_last: bool = False,
        steps_per_call: int = 1,
        allow_nonfinite: bool = False,
    ) -> None:
        self.arrays, self.axes, self.structure = checked(data, "data", batch_axis, allow_nonfinite)
        self.rows = self.arrays[0].shape[self.axes[0]]
        if batch_size is not None:
            whole("batch_size", batch_size)
            if batch_size > self.rows:
                raise ValueError(
                    f"batch_size={batch_size}, but data has only {self.rows} rows; give a smaller batch_size, or None "
                    "for all rows at once"
                )
        whole("steps_per_call", steps_per_call)
        self.size = batch_size or self.rows
        self.draws = shuffle and self.size < self.rows
        self.drop_last, self.together, self.stacks = drop_last, steps_per_call, steps_per_call > 1
        self.per_epoch: int | None = self.rows // self.size if drop_last else -(-self.rows // self.size)

    def epoch(self, rng: np.random.Generator, skip: int, most: float) -> Iterator[Batch]:
        if self.per_epoch == 1 and not self.stacks:  # all rows at once: one pass is like the other
            while True:
                yield 1, self.arrays
        order = rng.permutation(self.rows) if self.draws else None
        full, rest = divmod(self.rows, self.size)
        buffers: dict[int, list[Any]] = {}
        step = skip
        while step < full:
            n = int(min(self.together, full - step, max(most - step, 1)))
            yield n, self._rows(order, step * self.size, n, self.size, buffers)
            step += n
        if rest and not self.drop_last and step == full:
            yield 1, self._rows(order, full * self.size, 1, rest, buffers)

    def _rows(self, order: Any, start: int, n: int, size: int, buffers: dict[int, list[Any]]) -> list[Any]:
        """`n` batches of `size` rows; stacked if batches are taken together."""
        stop = start + n * size
        if order is None:
            found = [
                x[start:stop] if not axis else x[(slice(None),) * axis + (slice(start, stop),)]
                for x, axis in zip(self.arrays, self.axes, strict=True)
            ]
        else:
            # The gathered rows are overwritten by the next batch: a step has read them by then.
            found = buffers.get(stop - start) or buffers.setdefault(stop - start, self._empty(stop - start))
            rows = order[start:stop]
            for x, axis, out in zip(self.arrays, self.axes, found, strict=True):
                np.take(x, rows, axis, out, "clip")
        if not self.stacks:
            return found
        return [_stacked(x, axis, n, size) for x, axis in zip(found, self.axes, strict=True)]

    def _empty(self, rows: int) -> list[Any]:
        shapes = [(*x.shape[:a], rows, *x.shape[a + 1 :]) for x, a in zip(self.arrays, self.axes, strict=True)]
        return [np.empty(shape, x.dtype) for shape, x in zip(shapes, self.arrays, strict=True)]

    def rewound(self) -> bool:
        return True

    def described(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "batch_size": self.size,
            "shuffle": self.draws,
            "drop_last": self.drop_last,
            "steps_per_call": self.together,
        }


def _stacked(x: Any, axis: int, n: int, size: int) -> Any:
    split = x.reshape(*x.shape[:axis], n, size, *x.shape[axis + 1 :])
    return np.moveaxis(split, axis, 0) if axis else split


class Drawn:
    """Batches without end from a function of a random generator.

    If it has an attribute `described`, a dict of names and numbers, that is what a resumed training must agree on.
    """

    per_epoch: int | None = None
    skips, draws, stacks, together = False, True, False, 1

    def __init__(self, draw: Callable[[np.random.Generator], Any]) -> None:
        self.draw = draw
        self.structure: Any = None

    def epoch(self, rng: np.random.Generator, skip: int, most: float) -> Iterator[Batch]:
        while True:
            yield 1, _leaves(self, self.draw(rng))

    def rewound(self) -> bool:
        return True

    def described(self) -> dict[str, Any]:
        return {"drawn by a function": True} | getattr(self.draw, "described", {})


class Iterated:
    """Batches from an iterable, pass after pass; from an iterator, or a generator, once."""

    per_epoch: int | None = None
    skips, draws, stacks, together = True, False, False, 1

    def __init__(self, batches: Any) -> None:
        self.batches = batches
        self.structure: Any = None
        self.once = iter(batches) if hasattr(batches, "__next__") else None

    def epoch(self, rng: np.random.Generator, skip: int, most: float) -> Iterator[Batch]:
        passing = iter(self.batches) if self.once is None else self.once
        for _ in range(skip):
            next(passing, None)
        for batch in passing:
            yield 1, _leaves(self, batch)

    def rewound(self) -> bool:
        return self.once is None

    def described(self) -> dict[str, Any]:
        return {"iterated": True}


def _leaves(origin: Drawn | Iterated, batch: Any) -> list[Any]:
    """A batch's leaves, its structure that of the first."""
    leaves, structure = tree.flatten(batch)
    if origin.structure is None:
        if not leaves:
            raise ValueError(f"a batch without arrays: {batch!r}")
        origin.structure = structure
    elif structure != origin.structure:
        raise ValueError(f"a batch has the structure {structure}, but the first had {origin.structure}")
    arrays = [x if type(x) is np.ndarray else np.asarray(x) for x in leaves]
    if any(x.dtype.kind not in "fiub" for x in arrays):
        raise TypeError(f"a batch must be a pytree of arrays of numbers, not {batch!r}")
    return arrays


# --- checks ----------------------------------------------------------------------------------------------


def checked(data: Any, name: str, batch_axis: Any, allow_nonfinite: bool) -> tuple[list[Any], list[int], Any]:
    """Arrays, batch axes and structure of data in arrays; raises if they are not what they must be."""
    arrays, paths, structure = numbers(data, name, allow_nonfinite)
    axes = _axes(batch_axis, structure, len(arrays))
    found = []
    for k, (path, x) in enumerate(zip(paths, arrays, strict=True)):
        if not -x.ndim <= axes[k] < x.ndim:
            hint = "; lists are containers: make an array of it with np.array" if not x.ndim else ""
            raise ValueError(f"{path} has shape {x.shape}, which has no batch axis {axes[k]}{hint}")
        axes[k] %= x.ndim
        found.append(f"{path} has {x.shape[axes[k]]}")
    if len({x.shape[a] for x, a in zip(arrays, axes, strict=True)}) > 1:
        raise ValueError(
            f"the numbers of rows differ: {', '.join(found)}; where rows are not on axis 0 give batch_axis, "
            "a number or a pytree of them like the data"
        )
    return arrays, axes, structure


def numbers(data: Any, name: str, allow_nonfinite: bool) -> tuple[list[Any], list[str], Any]:
    """Arrays, their names and the structure of a pytree of numbers, none of them empty."""
    leaves, structure = tree.flatten(data)
    if not leaves:
        raise ValueError(f"{name} is empty: a pytree without arrays")
    paths = [f"{name}{p}" for p in tree.paths(data)]
    arrays = [np.asarray(x) for x in leaves]
    for path, x in zip(paths, arrays, strict=True):
        if x.dtype.kind not in "fiub":
            raise TypeError(f"{path} has dtype {x.dtype}; arrays of numbers are needed")
        if not x.size:
            raise ValueError(f"{path} is empty: its shape is {x.shape}")
        if not allow_nonfinite:
            _check_finite(path, x)
    return arrays, paths, structure


def _axes(batch_axis: Any, structure: Any, n: int) -> list[int]:
    if isinstance(batch_axis, int | np.integer):
        return [int(batch_axis)] * n
    axes, found = tree.flatten(batch_axis)
    if found != structure or not all(isinstance(a, int | np.integer) for a in axes):
        raise ValueError(f"batch_axis={batch_axis!r} must be a whole number, or a pytree of them like the data")
    return [int(a) for a in axes]


def _check_finite(path: str, x: Any) -> None:
    if x.dtype.kind != "f":
        return
    with np.errstate(all="ignore"):
        if np.isfinite(np.sum(x)):  # without an array of truth values in the usual case
            return
    bad = ~np.isfinite(x)
    count = int(np.count_nonzero(bad))
    if count:  # the sum alone may have overflowed
        first = tuple(int(k) for k in np.argwhere(bad)[0])
        raise ValueError(
            f"{path} holds {count} of {x.size} values that are not finite, the first ({x[first]}) at {list(first)}; "
            "if the loss masks them, pass allow_nonfinite=True"
        )
