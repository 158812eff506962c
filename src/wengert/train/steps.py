"""A training step as one function: gradient, clipping, update; and many of them as one `scan`. Knows no loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert import jit, optim, scan, tree, value_and_grad

Loss = Callable[[Any, Any], Any]
Step = Callable[[Any, Any, Any], tuple[Any, Any, Any, Any]]
"""`params, state, loss, grad_norm = step(params, state, batch)`"""


def make_step(
    loss: Loss, optimizer: optim.Optimizer, clip_norm: float | None = None, clip_value: float | None = None
) -> Step:
    """A whole training step as a pure function: jit it, and it is one replay.

    Parameters
    ----------
    loss
        `loss(params, batch)` returns one float.
    optimizer
        From `wengert.optim`.
    clip_norm, clip_value
        Limits of the gradient's common norm and of its elements, or None; elements are clipped first.

    Returns
    -------
    callable
        `params, state, loss, grad_norm = step(params, state, batch)`; the norm is that before clipping.

    Examples
    --------
    >>> import numpy as np, wengert
    >>> from wengert import optim, train
    >>> opt = optim.sgd(0.5)
    >>> step = wengert.jit(train.make_step(lambda w, x: np.mean((w - x) ** 2), opt))
    >>> w, state, loss, norm = step(0.0, opt.init(0.0), np.array([1.0, 3.0]))
    >>> float(w), float(loss), float(norm)
    (2.0, 5.0, 4.0)
    """

    def step(params: Any, state: Any, batch: Any) -> tuple[Any, Any, Any, Any]:
        value, grads = value_and_grad(loss)(params, batch)
        norm = clipped = optim.global_norm(grads)
        if clip_value is not None:
            grads = optim.clip_by_value(grads, clip_value)
            clipped = None
        if clip_norm is not None:
            grads = optim.clip_by_global_norm(grads, clip_norm, clipped)
        params, state = optimizer.update(params, grads, state)
        return params, state, value, norm

    return step


def make_epoch(step: Step) -> Step:
    """Many steps as one `scan` over stacked minibatches: jit it, and an epoch is one replay.

    Parameters
    ----------
    step
        From `make_step`, or anything of that form.

    Returns
    -------
    callable
        `params, state, losses, grad_norms = epoch(params, state, batches)`, where the leaves of `batches` have one
        axis more than those of a batch, the first: one entry a step.

    Examples
    --------
    >>> import numpy as np, wengert
    >>> from wengert import optim, train
    >>> opt = optim.sgd(0.25)
    >>> epoch = wengert.jit(train.make_epoch(train.make_step(lambda w, x: np.mean((w - x) ** 2), opt)))
    >>> w, state, losses, norms = epoch(0.0, opt.init(0.0), np.array([[1.0, 3.0], [2.0, 2.0]]))
    >>> float(w), losses.tolist()
    (1.5, [5.0, 1.0])
    """

    def epoch(params: Any, state: Any, batches: Any) -> tuple[Any, Any, Any, Any]:
        def body(carry: Any, batch: Any) -> tuple[Any, Any]:
            params, state, loss, norm = step(carry[0], carry[1], batch)
            return (params, state), (loss, norm)

        (params, state), (losses, norms) = scan(body, (params, state), batches)
        return params, state, losses, norms

    return epoch


class Carry:
    """How (params, state) lie in a flat tuple of arrays: what the loop hands from step to step.

    A jitted function of plain arrays is called three times as fast as one of pytrees. Numbers are kept as arrays
    of one element, because a result without axes comes back as a NumPy scalar, which is no array.
    """

    def __init__(self, params: Any, state: Any) -> None:
        leaves, self.structure = tree.flatten((params, state))
        self.shapes = [np.shape(x) for x in leaves]

    def __len__(self) -> int:
        return len(self.shapes)

    def flatten(self, params: Any, state: Any) -> tuple[Any, ...]:
        """Copies of the leaves: what the caller does to his own arrays later does not matter."""
        return tuple(np.array(x, ndmin=1) for x in tree.flatten((params, state))[0])

    def unflatten(self, leaves: Sequence[Any]) -> tuple[Any, Any]:
        """(params, state) again."""
        shaped = [x if shape else x[0] for x, shape in zip(leaves, self.shapes, strict=True)]
        found: tuple[Any, Any] = tree.unflatten(self.structure, shaped)
        return found

    def jitted(self, step: Step, batch_structure: Any) -> Callable[..., Any]:
        """`step`, or an epoch of them, jitted on flat arrays:

        `*carry, loss, grad_norm, sign = f(*carry, *batch)`, where `sign` is finite if all losses and norms are.
        """
        n = len(self)

        def fit_step(*flat: Any) -> tuple[Any, ...]:
            params, state = self.unflatten(flat[:n])
            params, state, loss, norm = step(params, state, tree.unflatten(batch_structure, flat[n:]))
            leaves, _ = tree.flatten((params, state))
            out = [x if shape else np.reshape(x, (1,)) for x, shape in zip(leaves, self.shapes, strict=True)]
            return (*out, loss, norm, np.sum(loss.astype(np.float64)) + np.sum(norm.astype(np.float64)))

        return jit(fit_step)
