"""Random weights before training. Uses NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert.errors import ShapeError, at_user


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many numbers go in and come out of a matrix of weights (n_in, n_out)."""
    if len(shape) != 2:
        raise ShapeError(at_user(f"weights of a layer have a shape (n_in, n_out), not {tuple(shape)}"))
    return shape[0], shape[1]


def glorot_uniform(rng: np.random.Generator, shape: Sequence[int], dtype: Any = np.float32) -> Any:
    """Uniform in ±sqrt(6 / (n_in + n_out)): signals and gradients keep their size through tanh layers.

    Parameters
    ----------
    rng
        Source of the random numbers.
    shape
        (n_in, n_out).
    dtype
        float32 or float64.

    Returns
    -------
    array
        Of that shape and dtype.

    Raises
    ------
    ShapeError
        If the shape has not two axes.

    Notes
    -----
    X. Glorot and Y. Bengio, *Understanding the difficulty of training deep feedforward neural networks*,
    AISTATS (2010), equation 16.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> w = nn.glorot_uniform(np.random.default_rng(0), (2, 4))
    >>> w.shape, w.dtype.name, bool(np.abs(w).max() <= 1)
    ((2, 4), 'float32', True)
    """
    limit = np.sqrt(6.0 / sum(_fans(shape)))
    return rng.uniform(-limit, limit, size=tuple(shape)).astype(dtype)


def glorot_normal(rng: np.random.Generator, shape: Sequence[int], dtype: Any = np.float32) -> Any:
    """Normal with variance 2 / (n_in + n_out); parameters, errors and source as for `glorot_uniform`."""
    return (np.sqrt(2.0 / sum(_fans(shape))) * rng.normal(size=tuple(shape))).astype(dtype)


def he_uniform(rng: np.random.Generator, shape: Sequence[int], dtype: Any = np.float32) -> Any:
    """Uniform in ±sqrt(6 / n_in): signals keep their size through relu layers.

    Parameters, result and errors are those of `glorot_uniform`.

    Notes
    -----
    K. He et al., *Delving deep into rectifiers*, ICCV (2015), equation 10.
    """
    limit = np.sqrt(6.0 / _fans(shape)[0])
    return rng.uniform(-limit, limit, size=tuple(shape)).astype(dtype)


def he_normal(rng: np.random.Generator, shape: Sequence[int], dtype: Any = np.float32) -> Any:
    """Normal with variance 2 / n_in; parameters, errors and source as for `he_uniform`."""
    return (np.sqrt(2.0 / _fans(shape)[0]) * rng.normal(size=tuple(shape))).astype(dtype)


def orthogonal(rng: np.random.Generator, shape: Sequence[int], dtype: Any = np.float32) -> Any:
    """A random matrix with orthonormal rows or columns, whichever are fewer: it keeps lengths.

    Products of many such matrices neither vanish nor explode, hence its use for recurrent weights.
    Parameters, result and errors are those of `glorot_uniform`.

    Notes
    -----
    A. M. Saxe et al., *Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks*, ICLR (2014). Uniform over orthogonal matrices by the QR decomposition of a normal one with
    the signs of R's diagonal: F. Mezzadri, *How to generate random matrices from the classical compact
    groups*, Notices of the AMS 54 (2007).

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> q = nn.orthogonal(np.random.default_rng(0), (3, 3), np.float64)
    >>> bool(np.allclose(q.T @ q, np.eye(3)))
    True
    """
    n_in, n_out = _fans(shape)
    q, r = np.linalg.qr(rng.normal(size=(max(n_in, n_out), min(n_in, n_out))))
    q = q * np.sign(np.diag(r))
    return (q if n_in >= n_out else q.T).astype(dtype)
