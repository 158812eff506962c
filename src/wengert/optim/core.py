"""What every optimiser is made of: the pair of functions, numbers checked, dtypes kept. Knows no method."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert import tree

Schedule = Callable[[Any], Any]
"""From the number of updates made so far (0 before the first) to a learning rate."""
State = dict[str, Any]


@dataclass(frozen=True)
class Optimizer:
    """A method of descent as two pure functions.

    Attributes
    ----------
    init
        `state = init(params)`: the state before the first update. Its `"step"` counts the updates.
    update
        `params, state = update(params, grads, state)`: new ones; what was given is left as it is.
        Parameters keep their dtypes, and the state has those of the parameters.
    name
        What it is, for messages.
    """

    init: Callable[[Any], State]
    update: Callable[[Any, Any, State], tuple[Any, State]]
    name: str

    def __repr__(self) -> str:
        return f"<optimiser {self.name}>"


Rule = Callable[[Any, Any, State, Any, Any], tuple[Any, State]]
"""`params, moments = rule(params, grads, moments, lr, step)`; `step` is 1 at the first update."""


def optimizer(name: str, lr: float | Schedule, moments: tuple[str, ...], rule: Rule) -> Optimizer:
    """An optimiser from its rule: the state is the step count and the named moments, zero at first."""
    checked_rate(lr)

    def init(params: Any) -> State:
        return {"step": np.int64(0)} | {key: tree.map(_zeros, params) for key in moments}

    def update(params: Any, grads: Any, state: State) -> tuple[Any, State]:
        _check_fit(params, grads)
        rate = lr(state["step"]) if callable(lr) else lr
        step = state["step"] + 1
        grads = tree.map(like, grads, params)
        params, found = rule(params, grads, {key: state[key] for key in moments}, rate, step)
        return params, {"step": step} | found

    return Optimizer(init, update, name)


def add_weight_decay(grads: Any, params: Any, decay: float) -> Any:
    """Gradients with `decay * params` added: the gradient of half of `decay` times the squared norm.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import optim
    >>> optim.add_weight_decay([np.array([1.0])], [np.array([2.0])], 0.1)[0].tolist()
    [1.2]
    """
    return tree.map(lambda g, p: g + decay * p, grads, params) if decay else grads


def like(x: Any, p: Any) -> Any:
    """`x` in the dtype of `p`; a Python number stays one, since it takes the dtype of what it meets."""
    if type(x) in (int, float):
        return x
    dtype = getattr(p, "dtype", np.float64)
    return x if x.dtype == dtype else x.astype(dtype)


def _zeros(p: Any) -> Any:
    return np.zeros_like(p) if np.ndim(p) else np.zeros_like(p)[()]


def _check_fit(params: Any, grads: Any) -> None:
    """Raise unless the gradient has the parameters' structure and shapes."""
    leaves, structure = tree.flatten(params)
    others, found = tree.flatten(grads)
    if structure != found:
        raise ValueError(
            f"the gradient has the structure {found} and the parameters have {structure}; "
            "give the gradient with respect to these parameters"
        )
    for k, (p, g) in enumerate(zip(leaves, others, strict=True)):
        if np.shape(p) != np.shape(g):
            raise ValueError(
                f"the gradient{tree.paths(grads)[k]} has shape {np.shape(g)}, the parameter has {np.shape(p)}"
            )


def checked_rate(lr: float | Schedule) -> None:
    """Raise unless it is a learning rate: a number that is not negative, or a schedule."""
    if not callable(lr):
        within("lr", lr, 0.0)


def within(name: str, value: Any, low: float, high: float = math.inf) -> None:
    """Raise unless a number lies in [low, high), and is finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        what = "a number" if name != "lr" else "a number or a schedule (a function of the step number)"
        raise TypeError(f"{name} must be {what}, not {value!r}")
    if not low <= value < high:
        bounds = f"at least {low:g}" + (f" and less than {high:g}" if high < math.inf else " and finite")
        raise ValueError(f"{name}={value:g} must be {bounds}")


def whole(name: str, value: Any) -> None:
    """Raise unless it is a positive whole number."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < 1:
        raise ValueError(f"{name}={value} must be at least 1")
