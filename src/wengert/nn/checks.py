"""What layers and losses are given: checks with their messages, and its place in a recording. Knows no layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert import grad, jit
from wengert.errors import DTypeError, IndexingError, ShapeError, at_user


def array(x: Any) -> Any:
    """An array, or what stands for one while a function is recorded, as it is; anything else as an array."""
    x = x if hasattr(x, "shape") and hasattr(x, "dtype") else np.asarray(x)
    if x.dtype == object:  # NumPy made an array of traced numbers
        return np.stack(x.ravel().tolist()).reshape(x.shape)
    return x


def shown(x: Any) -> str:
    """`(8, 32) of float32`."""
    return f"{tuple(x.shape)} of {x.dtype}"


def takes(layer: str, x: Any, shape: tuple[int | str, ...], like: Any) -> Any:
    """`x` as an array, if it has such a shape and the dtype of `like`.

    Names in `shape` stand for any size; "..." in front for any axes.
    """
    x = array(x)
    wanted = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''}) of {like.dtype}"
    tail = shape[1:] if shape[0] == "..." else shape
    fits = len(x.shape) >= len(tail) if shape[0] == "..." else len(x.shape) == len(tail)
    ends = x.shape[len(x.shape) - len(tail) :]
    if not fits or any(isinstance(n, int) and n != k for n, k in zip(tail, ends, strict=False)):
        raise ShapeError(at_user(f"{layer} takes {wanted}; it was given {shown(x)}"))
    if x.dtype != like.dtype:
        raise DTypeError(at_user(f"{layer} takes {wanted}; it was given {shown(x)}. Write x.astype(np.{like.dtype})"))
    return x


def whole_numbers(what: str, x: Any) -> Any:
    """`x` as an array of integers."""
    x = array(x)
    if x.dtype.kind not in "iu":
        raise DTypeError(at_user(f"{what} must be integers; given were {shown(x)}"))
    return x


def within(what: str, x: Any, count: int) -> Any:
    """`x`, whose values must be 0 ... count - 1, for use as an index; one that is not known yet fails at replay.

    NumPy would count negative ones from the end.
    """
    if isinstance(x, np.ndarray | np.generic):
        wrong = (flat := np.ravel(x))[(flat < 0) | (flat >= count)]
        if wrong.size:
            raise IndexingError(
                at_user(f"{what} must be from 0 to {count - 1}; {int(wrong[0])} was given ({wrong.size} of {x.size})")
            )
    x = recorded(x).astype(np.int64, copy=False)
    return x if isinstance(x, np.ndarray | np.generic) else np.where(x < 0, count, x)


_echo = jit(lambda x: x)


def recording() -> bool:
    """Whether a function is being recorded: there a jitted one is called as it is, and gives back the float itself."""
    return type(_echo(0.0)) is float


def recorded(x: Any) -> Any:
    """`x` as a part of the recording that is going on, if there is one.

    A captured array is read at every replay. But what NumPy computes of plain arrays alone is computed once,
    while recording, and a plain array cannot be indexed by traced numbers.
    """
    if not isinstance(x, np.ndarray) or not recording():
        return x
    kind = x.dtype.kind
    # What a nested derivative is taken of is traced; that of a constant costs nothing.
    _, traced = grad(lambda x: (0.0, x), has_aux=True)(x if kind == "f" else 0.0)
    if kind == "f":
        return traced
    return x | (traced != 0) if kind == "b" else x + traced.astype(x.dtype)
