"""Shapes, strides and dtypes: integers in, integers out. Knows no array and no op."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from wengert.errors import DTypeError, ShapeError, at_user

Shape = tuple[int, ...]

DTYPES: tuple[np.dtype[Any], ...] = tuple(
    np.dtype(c) for c in ("f8", "f4", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")
)
"""The dtypes a slot can have; the position is the dtype's code on a tape."""

ALIGN = 64
"""Bytes of a cache line, and of the widest vector."""

CODE_OF = {dtype: code for code, dtype in enumerate(DTYPES)}
F64, F32, I64, BOOL = DTYPES[0], DTYPES[1], DTYPES[2], DTYPES[-1]


class Aval:
    """What is known of a value before it is computed: its dtype and shape. Interned by `aval`."""

    __slots__ = ("code", "dtype", "nbytes", "ndim", "room", "shape", "size")

    def __init__(self, dtype: np.dtype[Any], shape: Shape) -> None:
        self.dtype = dtype
        self.code = CODE_OF[dtype]
        self.shape = shape
        self.ndim = len(shape)
        self.size = math.prod(shape)
        self.nbytes = self.size * dtype.itemsize
        # Small things lie close together in a workspace, larger ones on cache lines.
        unit = 8 if self.nbytes < ALIGN else ALIGN
        self.room = max(8, -(-self.nbytes // unit) * unit)

    def __str__(self) -> str:
        return f"{letter(self.dtype)}[{','.join(map(str, self.shape))}]"

    __repr__ = __str__

    @property
    def is_float(self) -> bool:
        """Whether a derivative with respect to this value makes sense."""
        return self.dtype.kind == "f"


@cache
def aval(dtype: np.dtype[Any], shape: Shape) -> Aval:
    """The one `Aval` of this dtype and shape, so that they compare by identity."""
    return Aval(supported(dtype), shape)


def letter(dtype: np.dtype[Any]) -> str:
    """Short name of a dtype: f64, i32, bool."""
    return "bool" if dtype.kind == "b" else f"{dtype.kind}{8 * dtype.itemsize}"


def supported(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The native form of a dtype that slots can have, or `DTypeError`."""
    code = CODE_OF.get(dtype.newbyteorder("="))
    if code is None:
        names = ", ".join(letter(d) for d in DTYPES)
        raise DTypeError(
            at_user(f"dtype {dtype} is not supported; possible are {names}. Convert with .astype() first.")
        )
    return DTYPES[code]


def contiguous(shape: Shape, itemsize: int) -> Shape:
    """Byte strides of a C-contiguous array."""
    strides, step = [], itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def is_contiguous(shape: Shape, strides: Shape, itemsize: int) -> bool:
    """Whether the strides are those of a C-contiguous array (axes of length 1 are free)."""
    step = itemsize
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n == 0:
            return True
        if n != 1 and stride != step:
            return False
        step *= n
    return True


@lru_cache(maxsize=4096)
def broadcast(*shapes: Shape) -> Shape:
    """The common shape under NumPy's broadcasting rule, or `ShapeError` in NumPy's words."""
    ndim = max(map(len, shapes), default=0)
    out = [1] * ndim
    for shape in shapes:
        for axis, n in enumerate(shape, ndim - len(shape)):
            if n != 1:
                if out[axis] not in (1, n):
                    listed = " ".join(str(s) for s in shapes)
                    raise ShapeError(f"operands could not be broadcast together with shapes {listed}")
                out[axis] = n
    return tuple(out)


def broadcast_strides(shape: Shape, strides: Shape, to: Shape) -> Shape:
    """Byte strides of a view that repeats `shape` up to `to`."""
    lead = len(to) - len(shape)
    kept = (0 if n == 1 and m != 1 else s for n, s, m in zip(shape, strides, to[lead:], strict=True))
    return (0,) * lead + tuple(kept)


def collapse(shape: Shape, strides: Sequence[Shape]) -> tuple[list[int], list[list[int]]]:
    """Merge axes that every operand walks without a gap; drop those of length 1."""
    dims: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        if dims and all(st[-1] == n * s[axis] for st, s in zip(steps, strides, strict=True)):
            dims[-1] *= n
            for st, s in zip(steps, strides, strict=True):
                st[-1] = s[axis]
        else:
            dims.append(n)
            for st, s in zip(steps, strides, strict=True):
                st.append(s[axis])
    return dims, steps


def normal_axis(axis: Any, ndim: int) -> int:
    """A single axis as a number from 0 to ndim - 1."""
    try:
        k = int(axis.__index__())
    except AttributeError:
        raise DTypeError(at_user(f"an axis must be an integer, not {type(axis).__name__}")) from None
    if not -ndim <= k < ndim:
        raise ShapeError(at_user(f"axis {k} is out of bounds for array of dimension {ndim}"))
    return k % ndim


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """`None`, one axis or several as a sorted tuple of numbers from 0 to ndim - 1."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis % ndim,)
    given: Iterable[Any] = axis if isinstance(axis, tuple | list) else (axis,)
    axes = [normal_axis(a, ndim) for a in given]
    if len(set(axes)) != len(axes):
        raise ShapeError(at_user(f"duplicate value in axis {axis}"))
    return tuple(sorted(axes))


def reduced(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """Shape after a reduction over `axes`."""
    if keepdims:
        return tuple(1 if k in axes else n for k, n in enumerate(shape))
    return tuple(n for k, n in enumerate(shape) if k not in axes)


def resolve_reshape(shape: Shape, size: int, wanted: Any) -> Shape:
    """The shape that `reshape` was asked for, with a -1 worked out."""
    parts = tuple(int(n.__index__()) for n in (wanted if isinstance(wanted, tuple | list) else (wanted,)))
    known = math.prod(n for n in parts if n != -1)
    out = parts
    if parts.count(-1) == 1 and known > 0 and size % known == 0:
        out = tuple(size // known if n == -1 else n for n in parts)
    if min(out, default=0) < 0 or math.prod(out) != size:
        raise ShapeError(at_user(f"cannot reshape array of size {size}, shape {shape}, into shape {parts}"))
    return out


def pieces(n: int, parts: int) -> list[tuple[int, int]]:
    """`n` things in so many parts of about equal size: the first of each part, and how many."""
    edges = [n * k // parts for k in range(parts + 1)]
    return [(low, high - low) for low, high in pairwise(edges)]
