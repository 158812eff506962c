"""Gradient clipping and Adam as pure functions on pytrees, so that a whole step can be jitted. Public API only."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert import tree


def global_norm(grads: Any) -> Any:
    """Euclidean norm of all leaves together.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import optim
    >>> float(optim.global_norm({"a": np.array([3.0]), "b": np.array([4.0])}))
    5.0
    """
    leaves, _ = tree.flatten(grads)
    return np.sqrt(sum(np.sum(np.square(g)) for g in leaves))


def clip_by_global_norm(grads: Any, limit: float) -> Any:
    """Scale all leaves so that their common norm is at most `limit` (Pascanu et al. 2013).

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import optim
    >>> optim.clip_by_global_norm([np.array([3.0, 4.0])], 1.0)[0].round(3).tolist()
    [0.6, 0.8]
    """
    norm = global_norm(grads)
    scale = limit / np.maximum(norm, limit)
    return tree.map(lambda g: g * scale.astype(g.dtype), grads)


def adam_init(params: Any) -> dict[str, Any]:
    """Adam's state before the first step: both moments zero."""
    return {"t": 0.0, "m": tree.map(np.zeros_like, params), "v": tree.map(np.zeros_like, params)}


def adam(
    params: Any, grads: Any, state: dict[str, Any], lr: Any, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> tuple[Any, dict[str, Any]]:
    """One step of Adam (Kingma & Ba 2015, algorithm 1).

    Parameters
    ----------
    params, grads
        Pytrees of one structure.
    state
        From `adam_init` or the step before.
    lr, b1, b2, eps
        The paper's alpha, beta1, beta2 and epsilon.

    Returns
    -------
    params, state
        New ones; the old are left as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import optim
    >>> w, state = optim.adam([np.array([1.0])], [np.array([5.0])], optim.adam_init([np.array([1.0])]), lr=0.1)
    >>> w[0].round(6).tolist()
    [0.9]
    """
    t = state["t"] + 1.0
    m = tree.map(lambda m, g: b1 * m + (1 - b1) * g, state["m"], grads)
    v = tree.map(lambda v, g: b2 * v + (1 - b2) * (g * g), state["v"], grads)
    rate = lr / (1 - b1**t)
    root = 1 / (1 - b2**t)

    def update(p: Any, m: Any, v: Any) -> Any:
        # The scalars keep their precision and the parameters their dtype.
        return (p - rate * m / (np.sqrt(root * v) + eps)).astype(p.dtype)

    return tree.map(update, params, m, v), {"t": t, "m": m, "v": v}
