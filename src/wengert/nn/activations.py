"""Activation functions: element by element, and softmax along an axis. Public API and NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.nn.checks import array


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), exact to rounding far out on both sides.

    Parameters
    ----------
    x
        float32 or float64, any shape.

    Returns
    -------
    array
        Of the same shape and dtype, as for all functions here.

    Examples
    --------
    >>> from wengert import nn
    >>> float(nn.sigmoid(0.0))
    0.5
    """
    from scipy.special import expit  # a third of a second, which only those who need it wait for

    return expit(x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent, `np.tanh`."""
    return np.tanh(x)


def relu(x: Any) -> Any:
    """max(x, 0). Its derivative at 0 is 0; that of `np.maximum(x, 0)` would be half.

    Notes
    -----
    V. Nair and G. E. Hinton, *Rectified linear units improve restricted Boltzmann machines*, ICML (2010).

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> nn.relu(np.array([-1.0, 0.0, 2.0])).tolist()
    [0.0, 0.0, 2.0]
    """
    x = array(x)
    return np.where(x <= 0, 0.0, x)


def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """x where it is positive, else slope * x (the derivative at 0 is `slope`).

    Notes
    -----
    A. L. Maas et al., *Rectifier nonlinearities improve neural network acoustic models*, ICML workshop (2013).

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> nn.leaky_relu(np.array([-1.0, 2.0])).tolist()
    [-0.01, 2.0]
    """
    x = array(x)
    return np.where(x > 0, x, slope * x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where it is positive, else alpha * (exp(x) - 1) (the derivative at 0 is `alpha`).

    Notes
    -----
    D.-A. Clevert et al., *Fast and accurate deep network learning by exponential linear units*, ICLR (2016).

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> nn.elu(np.array([-np.log(2.0), 2.0])).round(12).tolist()
    [-0.5, 2.0]
    """
    x = array(x)
    positive = x > 0
    return np.where(positive, x, alpha * np.expm1(np.where(positive, 0.0, x)))


def gelu(x: Any) -> Any:
    """x times the normal distribution function at x, in the form with tanh that GPT-2 and BERT use.

    It is PyTorch's `gelu(x, approximate="tanh")`, and within 5e-4 of the one with the error function.

    Notes
    -----
    D. Hendrycks and K. Gimpel, *Gaussian error linear units*, arXiv:1606.08415 (2016), section 2.

    Examples
    --------
    >>> from wengert import nn
    >>> round(float(nn.gelu(1.0)), 6)
    0.841192
    """
    x = array(x)
    return 0.5 * x * (1.0 + np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow.

    Notes
    -----
    C. Dugas et al., *Incorporating second-order functional knowledge for better option pricing*, NIPS (2000).

    Examples
    --------
    >>> from wengert import nn
    >>> float(nn.softplus(1000.0))
    1000.0
    """
    with np.errstate(invalid="ignore"):  # NumPy warns of a NaN here, as it does not elsewhere
        return np.logaddexp(x, 0.0)


def swish(x: Any) -> Any:
    """x * sigmoid(x); PyTorch's SiLU.

    Notes
    -----
    P. Ramachandran et al., *Searching for activation functions*, arXiv:1710.05941 (2017).

    Examples
    --------
    >>> from wengert import nn
    >>> round(float(nn.swish(1.0)), 6)
    0.731059
    """
    return x * sigmoid(x)


def _shifted(x: Any, axis: int) -> Any:
    """Less its maximum along an axis, so that exp cannot overflow."""
    x = array(x)
    return x - np.max(x, axis=axis, keepdims=True)


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) along an axis, without overflow.

    Parameters
    ----------
    x
        float32 or float64.
    axis
        Along which the results add up to 1.

    Notes
    -----
    J. S. Bridle, *Probabilistic interpretation of feedforward classification network outputs*, in
    *Neurocomputing* (1990).

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> nn.softmax(np.array([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """
    e = np.exp(_shifted(x, axis))
    return e / np.sum(e, axis=axis, keepdims=True)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of `softmax`, finite where that underflows.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> nn.log_softmax(np.array([0.0, 1000.0])).tolist()
    [-1000.0, 0.0]
    """
    s = _shifted(x, axis)
    return s - np.log(np.sum(np.exp(s), axis=axis, keepdims=True))
