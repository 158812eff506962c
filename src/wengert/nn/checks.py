"""What layers and losses are given: checks with their messages, and looking up rows. Knows no layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert import grad
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
    """`x`, if its values are 0 ... count - 1; unknown values (of a recording) lead to an index error at replay.

    NumPy would count negative ones from the end.
    """
    if isinstance(x, np.ndarray | np.generic):
        wrong = (flat := np.ravel(x))[(flat < 0) | (flat >= count)]
        if wrong.size:
            raise IndexingError(
                at_user(f"{what} must be from 0 to {count - 1}; {int(wrong[0])} was given ({wrong.size} of {x.size})")
            )
        return x
    return np.where(x < 0, count, x)


def rows(table: Any, index: Any) -> Any:
    """`table[index]`, also where the index is traced and the table a plain array, which NumPy would look into."""
    if isinstance(table, np.ndarray) and not isinstance(index, np.ndarray | np.generic):
        # An argument of a nested derivative is traced; that of a constant costs nothing.
        _, table = grad(lambda table: (0.0, table), has_aux=True)(table)
    return table[index]
