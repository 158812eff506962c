"""Gradients kept in bounds, by value or by their common norm. Knows no optimiser."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert import tree
from wengert.optim.core import like


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


def clip_by_global_norm(grads: Any, limit: float, norm: Any = None) -> Any:
    """Scale all leaves so that their common norm is at most `limit`.

    The factor is `min(1, limit / (norm + 1e-6))`, as in PyTorch's `clip_grad_norm_`.

    Parameters
    ----------
    grads
        A pytree of arrays; leaves keep their dtypes.
    limit
        The largest norm.
    norm
        The norm of `grads`, where it has been computed already.

    Notes
    -----
    R. Pascanu, T. Mikolov & Y. Bengio, *On the difficulty of training recurrent neural networks*, ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import optim
    >>> optim.clip_by_global_norm([np.array([3.0, 4.0])], 1.0)[0].round(3).tolist()
    [0.6, 0.8]
    """
    _check_limit(limit)
    norm = global_norm(grads) if norm is None else norm
    scale = np.minimum(limit / (norm + 1e-6), 1.0)
    return tree.map(lambda g: g * like(scale, g), grads)


def clip_by_value(grads: Any, limit: float) -> Any:
    """Every element clipped to [-limit, limit].

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import optim
    >>> optim.clip_by_value([np.array([-3.0, 0.5])], 1.0)[0].tolist()
    [-1.0, 0.5]
    """
    _check_limit(limit)
    return tree.map(lambda g: np.clip(g, -limit, limit), grads)


def _check_limit(limit: Any) -> None:
    if isinstance(limit, int | float | np.number) and not limit > 0:
        raise ValueError(f"limit={limit:g} must be more than 0")
