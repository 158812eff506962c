"""Recurrent cells as plain functions on pytree parameters. Uses the public API only."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert import scan

Params = dict[str, Any]


def orthogonal(rng: np.random.Generator, n: int, dtype: Any) -> Any:
    """A random orthogonal matrix: it keeps the length of what it multiplies (Saxe et al. 2014)."""
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    return (q * np.sign(np.diag(r))).astype(dtype)


def glorot(rng: np.random.Generator, n_in: int, n_out: int, dtype: Any) -> Any:
    """Uniform weights whose variance keeps signals and gradients alike in size (Glorot & Bengio 2010)."""
    limit = np.sqrt(6.0 / (n_in + n_out))
    return rng.uniform(-limit, limit, size=(n_in, n_out)).astype(dtype)


def elman_init(rng: np.random.Generator, n_in: int, hidden: int, n_out: int, dtype: Any = np.float32) -> Params:
    """Parameters of an Elman network with a linear read-out.

    Parameters
    ----------
    rng
        Source of the random weights.
    n_in, hidden, n_out
        Sizes of input, hidden state and output.
    dtype
        float32 or float64.

    Returns
    -------
    dict
        `w` (n_in, hidden), `u` (hidden, hidden), `b` (hidden,), `v` (hidden, n_out), `c` (n_out,).
    """
    return {
        "w": glorot(rng, n_in, hidden, dtype),
        "u": orthogonal(rng, hidden, dtype),
        "b": np.zeros(hidden, dtype),
        "v": glorot(rng, hidden, n_out, dtype),
        "c": np.zeros(n_out, dtype),
    }


def elman_last(params: Params, xs: Any) -> Any:
    """The read-out after the last step of h = tanh(x W + h U + b) (Elman 1990).

    Parameters
    ----------
    params
        From `elman_init`.
    xs
        Inputs of shape (time, batch, n_in).

    Returns
    -------
    array
        Of shape (batch, n_out).

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> params = nn.elman_init(np.random.default_rng(0), 2, 8, 1)
    >>> nn.elman_last(params, np.zeros((5, 3, 2), np.float32)).shape
    (3, 1)
    """

    def step(h: Any, x: Any) -> tuple[Any, None]:
        return np.tanh(x @ params["w"] + h @ params["u"] + params["b"]), None

    hidden = params["u"].shape[0]
    h, _ = scan(step, np.zeros((xs.shape[1], hidden), params["u"].dtype), xs)
    return h @ params["v"] + params["c"]
