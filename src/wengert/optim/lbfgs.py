"""L-BFGS by SciPy, on a pytree flattened to one vector. Knows no training loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wengert import jit, tree, value_and_grad
from wengert.optim.core import whole, within

Vector = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Minimum:
    """What `lbfgs` came to."""

    params: Any
    loss: float
    grad_norm: float
    """Largest absolute element of the gradient."""
    steps: int
    evaluations: int
    converged: bool
    message: str
    """Why it ended, in SciPy's words."""


def lbfgs(
    loss: Callable[..., Any],
    params: Any,
    *args: Any,
    steps: int = 1000,
    tolerance: float = 1e-8,
    history: int = 10,
) -> Minimum:
    """Minimise `loss(params, *args)` on all data at once by L-BFGS with SciPy's line search.

    Parameters
    ----------
    loss
        A function of a pytree of floats and of `args` that returns one float.
    params
        Where to start.
    *args
        Passed on, for example data.
    steps
        The most iterations.
    tolerance
        It has converged when no element of the gradient is larger, or the loss changes by rounding only.
    history
        How many pairs approximate the curvature.

    Returns
    -------
    Minimum
        Also after Ctrl-C, with what had been reached.

    Notes
    -----
    D. C. Liu & J. Nocedal, Math. Programming 45 (1989); R. H. Byrd et al., SIAM J. Sci. Comput. 16 (1995). SciPy
    works in float64; a parameter is rounded to its own dtype wherever `loss` sees it.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import optim
    >>> found = optim.lbfgs(lambda p: np.sum((p["x"] - 3) ** 2) + (p["y"] + 1) ** 2, {"x": np.zeros(2), "y": 0.0})
    >>> found.params["x"].round(4).tolist(), round(float(found.params["y"]), 4), found.converged
    ([3.0, 3.0], -1.0, True)
    """
    from scipy.optimize import minimize  # 0.2 s to import: for those who use it

    whole("steps", steps)
    whole("history", history)
    within("tolerance", tolerance, 0.0)
    leaves, structure = tree.flatten(params)
    start, unflatten = _flattened(leaves, structure)
    slope = jit(value_and_grad(loss))
    best: tuple[float, Vector, Vector] = (np.inf, start, np.full_like(start, np.inf))
    evaluations = done = 0

    def value(x: Vector) -> tuple[float, Vector]:
        nonlocal best, evaluations
        found, grads = slope(unflatten(x), *args)
        evaluations += 1
        flat = np.concatenate([np.ravel(g) for g in tree.flatten(grads)[0]]).astype(np.float64)
        if evaluations == 1 and not np.isfinite(found):
            raise ValueError(f"lbfgs cannot start where the loss is {found}; give other first parameters")
        if found < best[0]:
            best = (float(found), x.copy(), flat)
        return float(found), flat

    def count(x: Vector) -> None:
        nonlocal done
        done += 1

    # ftol: it has also converged when the loss does not change any more but for rounding.
    options = {"maxiter": steps, "maxfun": 20 * steps, "maxcor": history, "gtol": tolerance, "ftol": 1e-15}
    try:
        end = minimize(value, start, jac=True, method="L-BFGS-B", callback=count, options=options)
        converged, message = bool(end.success), str(end.message)
    except KeyboardInterrupt:
        converged, message = False, "stopped by Ctrl-C"
    total, x, slopes = best
    norm = float(np.max(np.abs(slopes), initial=0.0))
    return Minimum(unflatten(x), total, norm, done, evaluations, converged or norm <= tolerance, message)


def _flattened(leaves: list[Any], structure: Any) -> tuple[Vector, Callable[[Vector], Any]]:
    """The leaves as one float64 vector, and the way back to their shapes and dtypes."""
    arrays = [np.asarray(x) for x in leaves]
    if not sum(x.size for x in arrays):
        raise ValueError("lbfgs was given no parameters: a pytree without a number in it")
    ends = np.cumsum([x.size for x in arrays])[:-1]

    def back(vector: Vector) -> Any:
        parts = np.split(vector, ends)
        return tree.unflatten(
            structure, [v.reshape(x.shape).astype(x.dtype) for v, x in zip(parts, arrays, strict=True)]
        )

    return np.concatenate([x.ravel() for x in arrays]).astype(np.float64), back
