"""Losses: means over all elements, or over those that a mask picks. Public API and NumPy only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wengert.errors import DTypeError, ShapeError, at_user
from wengert.nn.activations import log_softmax, softplus
from wengert.nn.checks import array, recorded, shown, whole_numbers, within


def _pair(loss: str, prediction: Any, target: Any) -> tuple[Any, Any]:
    """Prediction and target as arrays of one shape; the target takes the prediction's dtype."""
    prediction, target = array(prediction), array(target)
    if prediction.dtype.kind != "f":
        raise DTypeError(at_user(f"{loss}: the prediction must be of floats; it is {shown(prediction)}"))
    if prediction.shape != target.shape:
        raise ShapeError(
            at_user(
                f"{loss}: prediction and target must have the same shape; they have {tuple(prediction.shape)} and "
                f"{tuple(target.shape)}. Nothing is broadcast here: reshape one of them"
            )
        )
    return prediction, recorded(target).astype(prediction.dtype, copy=False)


def _picks(loss: str, mask: Any, shape: tuple[int, ...]) -> Any:
    """The mask with an axis for each of the losses'."""
    mask = array(mask)
    if mask.dtype.kind != "b":
        raise DTypeError(at_user(f"{loss}: the mask must be of truth values; it is {shown(mask)}"))
    if tuple(mask.shape) != tuple(shape[: len(mask.shape)]):
        raise ShapeError(
            at_user(f"{loss}: the mask must have the shape {tuple(shape)} or its first axes; it is {shown(mask)}")
        )
    return recorded(mask).reshape((*mask.shape, *(1 for _ in shape[len(mask.shape) :])))


def _mean(loss: str, values: Any, mask: Any) -> Any:
    """Mean of the picked values; 0 if there are none."""
    if mask is None:
        return np.mean(values)
    on = _picks(loss, mask, values.shape)
    each = math.prod(values.shape[len(np.shape(mask)) :])
    count = np.maximum(np.sum(on) * each, 1).astype(values.dtype)
    return np.sum(np.where(on, values, 0.0)) / count


def mse(prediction: Any, target: Any, mask: Any = None) -> Any:
    """Mean squared error.

    Parameters
    ----------
    prediction
        float32 or float64, any shape.
    target
        Of the same shape; it takes the prediction's dtype.
    mask
        Truth values of the same shape or of its first axes: which elements count. With (time, batch) of
        outputs (time, batch, n), whole steps. What lies behind it does not matter, not even NaN.

    Returns
    -------
    scalar
        Of the prediction's dtype; 0 if the mask picks nothing.

    Raises
    ------
    ShapeError
        If the shapes differ; nothing is broadcast.
    DTypeError
        If the prediction is not of floats, or the mask not of truth values.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> float(nn.mse(np.array([1.0, 2.0, 9.0]), np.array([0.0, 0.0, 0.0]), mask=np.array([True, True, False])))
    2.5
    """
    prediction, target = _pair("mse", prediction, target)
    return _mean("mse", np.square(prediction - target), mask)


def mae(prediction: Any, target: Any, mask: Any = None) -> Any:
    """Mean absolute error; its derivative where both are equal is 0. Parameters and errors as for `mse`.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> float(nn.mae(np.array([1.0, -3.0]), np.array([0.0, 0.0])))
    2.0
    """
    prediction, target = _pair("mae", prediction, target)
    return _mean("mae", np.abs(prediction - target), mask)


def huber(prediction: Any, target: Any, delta: float = 1.0, mask: Any = None) -> Any:
    """Half the squared error e up to `delta`, and delta * (|e| - delta / 2) beyond. Otherwise as `mse`.

    Notes
    -----
    P. J. Huber, *Robust estimation of a location parameter*, Ann. Math. Statist. 35 (1964).

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> float(nn.huber(np.array([1.0, -3.0]), np.array([0.0, 0.0])))
    1.5
    """
    prediction, target = _pair("huber", prediction, target)
    error = prediction - target
    size = np.abs(error)
    return _mean("huber", np.where(size <= delta, 0.5 * np.square(error), delta * (size - 0.5 * delta)), mask)


def binary_cross_entropy(probability: Any, target: Any, mask: Any = None) -> Any:
    """Mean of -y log p - (1 - y) log(1 - p), where 0 log 0 is 0. Otherwise as `mse`.

    A probability of exactly 0 for what happened costs inf. Where p is the sigmoid of something, use
    `binary_cross_entropy_logits`, which does not lose precision near 0 and 1.

    Parameters
    ----------
    probability
        p, from 0 to 1.
    target
        y, 0 or 1 or a probability.
    mask
        As for `mse`.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> round(float(nn.binary_cross_entropy(np.array([0.5, 1.0]), np.array([1, 1]))), 6)
    0.346574
    """
    p, y = _pair("binary_cross_entropy", probability, target)
    with np.errstate(divide="ignore"):  # log 0 is meant
        yes, no = np.log(p), np.log1p(-p)
    happened = np.where(y == 0, 0.0, y * np.where(y == 0, 0.0, yes))
    not_happened = np.where(y == 1, 0.0, (1.0 - y) * np.where(y == 1, 0.0, no))
    return _mean("binary_cross_entropy", -(happened + not_happened), mask)


def binary_cross_entropy_logits(logits: Any, target: Any, mask: Any = None) -> Any:
    """`binary_cross_entropy` of sigmoid(logits), exact to rounding for logits of any size. Otherwise as `mse`.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> float(nn.binary_cross_entropy_logits(np.array([-1000.0, 1000.0]), np.array([1, 1])))
    500.0
    """
    z, y = _pair("binary_cross_entropy_logits", logits, target)
    return _mean("binary_cross_entropy_logits", y * softplus(-z) + (1.0 - y) * softplus(z), mask)


def softmax_cross_entropy(logits: Any, labels: Any, mask: Any = None) -> Any:
    """Mean of -log softmax(logits)[label] over the last axis, without overflow.

    Parameters
    ----------
    logits
        float32 or float64 of shape (..., classes).
    labels
        Class numbers, integers of shape (...); or one-hot rows or probabilities of shape (..., classes).
    mask
        Truth values of shape (...) or of its first axes: which rows count. The labels of the others are not
        looked at, so that padding may have any.

    Returns
    -------
    scalar
        Of the logits' dtype; 0 if the mask picks nothing.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If class numbers are not integers.
    IndexingError
        If a class number is negative or too large; in a recording, when it is replayed.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import nn
    >>> logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    >>> round(float(nn.softmax_cross_entropy(logits, np.array([0, 2]))), 6)     # -(log 0.5 + log 0.8) / 2
    0.458145
    >>> round(float(nn.softmax_cross_entropy(logits, np.array([0, -1]), mask=np.array([True, False]))), 6)
    0.693147
    """
    name = "softmax_cross_entropy"
    logits, labels = array(logits), array(labels)
    if logits.dtype.kind != "f" or not len(logits.shape):
        raise DTypeError(at_user(f"{name}: logits are floats of shape (..., classes); they are {shown(logits)}"))
    if labels.shape == logits.shape:
        logits, labels = _pair(name, logits, labels)
        return _mean(name, -np.sum(labels * log_softmax(logits), axis=-1), mask)
    shape, classes = tuple(logits.shape[:-1]), logits.shape[-1]
    if tuple(labels.shape) != shape:
        raise ShapeError(
            at_user(
                f"{name}: for logits of shape {tuple(logits.shape)} labels are class numbers of shape {shape} or "
                f"one-hot of the logits' shape; they have {tuple(labels.shape)}"
            )
        )
    labels = whole_numbers(f"{name}: class numbers", labels)
    if mask is not None:
        labels = np.where(_picks(name, mask, shape), labels, 0)
    labels = within(f"{name}: class numbers", labels, classes)
    logs = log_softmax(logits).reshape(-1)
    # A wrong number that is known at replay only must not end up in another row.
    places = np.where(labels < classes, np.arange(math.prod(shape)).reshape(shape) * classes + labels, logs.size)
    return _mean(name, -recorded(logs)[places], mask)
