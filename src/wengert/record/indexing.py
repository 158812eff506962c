"""x[...] on a tracer: what NumPy's index means, as views and gathers. Knows no memory."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from wengert.errors import IndexingError, at_user
from wengert.ops.elementwise import CAST
from wengert.ops.index import GATHER, INDEX, NEW, SLICE, TAKE, WRAP_INDEX
from wengert.ops.spec import bind
from wengert.record.state import current, required, thread
from wengert.record.tracer import RULES, Tracer
from wengert.shapes import CODE_OF, I64


def getitem(x: Tracer, key: Any) -> Any:
    """`x[key]` with integers, slices, ellipsis, newaxis and integer arrays."""
    if type(key) is int and x.aval.shape and -x.aval.shape[0] <= key < x.aval.shape[0]:
        recorder = thread.active or required(x)
        return recorder.item(x.slot if x.recorder is recorder else recorder.lift(x), key % x.aval.shape[0])
    return _general(x, key)


def _general(x: Tracer, key: Any) -> Any:
    keys = _expanded(x, key if isinstance(key, tuple) else (key,))
    params: list[int] = []
    arrays: list[tuple[int, Any]] = []
    axis = place = 0
    for k in keys:
        if k is None:
            params += (NEW, 0, 0, 0)
            place += 1
            continue
        n = x.shape[axis]
        if isinstance(k, slice):
            start, stop, step = _slice(k, n)
            params += (SLICE, start, step, len(range(start, stop, step)))
            place += 1
        elif (number := _integer(k)) is not None:
            if not -n <= number < n:
                raise IndexingError(at_user(f"index {number} is out of bounds for axis {axis} with size {n}"))
            params += (TAKE, number % n, 0, 0)
        else:
            arrays.append((place, _index_array(k)))
            params += (SLICE, 0, 1, n)
            place += 1
        axis += 1
    whole = tuple(v for n in x.shape for v in (SLICE, 0, 1, n))
    base = x if tuple(params) == whole else bind(INDEX, (x,), tuple(params))
    return _gather(base, arrays, _apart(keys)) if arrays else base


def _expanded(x: Tracer, keys: tuple[Any, ...]) -> list[Any]:
    """The key with its ellipsis, or the missing axes at the end, written out."""
    used = sum(1 for k in keys if k is not None and k is not Ellipsis)
    if used > x.ndim:
        raise IndexingError(
            at_user(f"too many indices for array: array is {x.ndim}-dimensional, but {used} were indexed")
        )
    spots = [i for i, k in enumerate(keys) if k is Ellipsis]
    if len(spots) > 1:
        raise IndexingError(at_user("an index can only have a single ellipsis ('...')"))
    fill = [slice(None)] * (x.ndim - used)
    if not spots:
        return [*keys, *fill]
    return [*keys[: spots[0]], *fill, *keys[spots[0] + 1 :]]


def _slice(k: slice, n: int) -> tuple[int, int, int]:
    try:
        parts = (None if v is None else operator.index(v) for v in (k.start, k.stop, k.step))
        return slice(*parts).indices(n)
    except TypeError as error:
        raise IndexingError(at_user(f"slice indices must be integers or None: {error}")) from None


def _integer(k: Any) -> int | None:
    """A plain integer as a number; a traced one stays traced, so that no new recording is needed for it."""
    if isinstance(k, Tracer | bool | np.bool_ | list | tuple):
        return None
    if isinstance(k, np.ndarray) and (k.ndim or k.dtype.kind not in "iu"):
        return None
    try:
        return operator.index(k)
    except TypeError:
        raise IndexingError(
            at_user(
                "only integers, slices (`:`), ellipsis (`...`), np.newaxis and integer arrays are valid "
                f"indices, not {type(k).__name__}"
            )
        ) from None


def _index_array(k: Any) -> Any:
    array = k
    if not isinstance(k, Tracer | np.ndarray):  # a list: its values belong to the tape
        array = np.asarray(k)
        array = current().constant(array.astype(np.int64)) if array.size == 0 else current().operand(k)
    if array.dtype.kind not in "iu":
        what = "a mask of truth values" if array.dtype.kind == "b" else f"an array of {array.dtype}"
        raise IndexingError(
            at_user(
                f"{what} as an index: the result's shape would depend on values. "
                "Write np.where(mask, x, 0), or index with integers, such as np.nonzero(mask) of a plain array"
            )
        )
    return array


def _apart(keys: list[Any]) -> bool:
    """Whether index arrays (integers count, once there is one) are separated by slices or new axes."""
    spots = [i for i, k in enumerate(keys) if k is not None and not isinstance(k, slice)]
    return bool(spots) and spots != list(range(spots[0], spots[-1] + 1))


def _gather(x: Any, arrays: list[tuple[int, Any]], apart: bool) -> Any:
    """Index arrays on their axes, which are first brought side by side and merged into one."""
    axes = [place for place, _ in arrays]
    first = 0 if apart else axes[0]
    if len(axes) == 1 and not apart:
        return bind(GATHER, (x, _whole(arrays[0][1])), (axes[0],))
    rest = [k for k in range(x.ndim) if k not in axes]
    x = np.transpose(x, (*rest[:first], *axes, *rest[first:]))
    lengths = x.shape[first : first + len(axes)]
    merged = x.reshape((*x.shape[:first], math.prod(lengths), *x.shape[first + len(axes) :]))
    index: Any = None
    for (_, array), n in zip(arrays, lengths, strict=True):
        wrapped = _wrapped(x, array, n)
        index = wrapped if index is None else index * n + wrapped
    return bind(GATHER, (merged, index), (first,))


def _whole(array: Any) -> Any:
    """The index in the dtype that gathers read; cast on the tape, since a plain array is read at replay."""
    return array if array.dtype == I64 else current().bind(CAST, (array,), (CODE_OF[I64],))


def _wrapped(x: Tracer, array: Any, n: int) -> Any:
    return x.wengert_bind(WRAP_INDEX, (_whole(array),), (n,))


RULES["getitem"] = getitem
