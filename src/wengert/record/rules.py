"""NumPy functions on tracers, each in terms of ops or of other NumPy functions. Knows no memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.errors import NoRuleError, ShapeError, at_user
from wengert.ops.elementwise import CAST
from wengert.ops.extreme import ARGMAX, ARGMIN
from wengert.ops.join import CONCATENATE
from wengert.ops.matmul import MATMUL
from wengert.ops.reduce import MAX, MIN, SUM, sum_dtype
from wengert.ops.spec import BY_NAME, Op, bind
from wengert.ops.views import BROADCAST, RESHAPE, TRANSPOSE
from wengert.record.state import current
from wengert.record.tracer import RULES, Tracer
from wengert.shapes import CODE_OF, F64, Shape, normal_axes, normal_axis, reduced, resolve_reshape, supported

Rule = Callable[..., Any]


def rule(*functions: Any) -> Callable[[Rule], Rule]:
    """Register what these NumPy functions do to tracers."""

    def keep(function: Rule) -> Rule:
        for f in functions:
            RULES[f] = function
        return function

    return keep


def traced(x: Any) -> Tracer:
    """An operand as NumPy's functions see it: as an array, also where it was a Python number."""
    return _strong(x if type(x) is Tracer else current().operand(x))


def _cast(x: Tracer, dtype: np.dtype[Any]) -> Tracer:
    if x.aval.dtype is dtype:
        return x
    found: Tracer = bind(CAST, (x,), (CODE_OF[dtype],))
    return found


def _promoted(values: Sequence[Any], dtype: Any = None) -> list[Tracer]:
    """Operands brought to their common dtype, or to the one that was asked for."""
    found = [traced(v) for v in values]
    if dtype is None and len({v.aval.dtype for v in found}) == 1:
        return found
    common = supported(np.result_type(*(v.dtype for v in found)) if dtype is None else np.dtype(dtype))
    return [_cast(v, common) for v in found]


@rule("astype")
def _astype(x: Tracer, dtype: Any) -> Any:
    wanted = supported(np.dtype(dtype))
    return _own(x) if x.aval.dtype is wanted else _cast(x, wanted)


@rule("copy")
def _twin(x: Tracer, _: Any) -> Tracer:
    """The same value, which stays when the array is updated in place."""
    return Tracer(x.recorder, x.slot, x.aval, x.kind)


def _own(x: Tracer) -> Tracer:
    """The same of an array: without the standing of a Python number."""
    return Tracer(x.recorder, x.slot, x.aval)


def _strong(x: Tracer) -> Tracer:
    """Without the standing of a Python number."""
    return x if x.kind is x.aval else _own(x)


# --- reductions --------------------------------------------------------------------------------------


def _reduce(op: Op, x: Any, axis: Any, keepdims: Any, dtype: Any = None) -> Any:
    x = traced(x)
    if dtype is not None and dtype is not x.aval.dtype:
        x = _cast(x, supported(np.dtype(dtype)))
    axes = normal_axes(axis, x.aval.ndim)
    if not axes:
        return x
    return bind(op, (x,), (int(keepdims is not np._NoValue and bool(keepdims)), *axes))


@rule(np.sum)
def _sum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    a = traced(a)
    return _reduce(SUM, a, axis, keepdims, dtype or sum_dtype(a.dtype))


@rule(np.max, np.amax)
def _max(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return _reduce(MAX, a, axis, keepdims)


@rule(np.min, np.amin)
def _min(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return _reduce(MIN, a, axis, keepdims)


def _count(x: Tracer, axis: Any) -> int:
    return math.prod(x.shape[k] for k in normal_axes(axis, x.ndim))


@rule(np.mean)
def _mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    a = traced(a)
    if dtype is None and not a.aval.is_float:
        dtype = np.float64
    return _sum(a, axis, dtype, keepdims=keepdims) / float(_count(a, axis))


@rule(np.var)
def _var(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    a = traced(a)
    if dtype is not None or not a.aval.is_float:
        a = _cast(a, supported(np.dtype(dtype or np.float64)))
    centred = a - _mean(a, axis, keepdims=True)
    return _sum(centred * centred, axis, keepdims=keepdims) / float(_count(a, axis) - ddof)


@rule(np.std)
def _std(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    return _root(_var(a, axis, dtype, ddof=ddof, keepdims=keepdims))


def _root(square: Any) -> Any:
    """The square root whose derivative at 0 is 0: of a norm at the origin, of constants' deviation."""
    at_zero = square == 0
    return np.where(at_zero, 0.0, np.sqrt(np.where(at_zero, 1.0, square)))


@rule(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if ord not in (None, 2, "fro") or (ord == 2 and traced(x).ndim != 1 and not isinstance(axis, int)):
        raise NoRuleError(at_user(f"np.linalg.norm with ord={ord!r} has no derivative rule; ord=2 on vectors has"))
    x = traced(x)
    x = x if x.aval.is_float else _cast(x, F64)
    return _root(_sum(np.square(x), axis, keepdims=keepdims))


@rule(np.prod)
def _prod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    """A tree of products: its adjoint needs no division, so zeros are exact, to any order."""
    a = traced(a)
    a = _cast(a, supported(np.dtype(dtype)) if dtype is not None else sum_dtype(a.dtype))
    axes = normal_axes(axis, a.ndim)
    keep = keepdims is not np._NoValue and bool(keepdims)
    shape = reduced(a.shape, axes, keep)
    rest = [k for k in range(a.ndim) if k not in axes]
    x = np.transpose(a, (*rest, *axes)).reshape((*(a.shape[k] for k in rest), -1 if a.size else 0))  # type: ignore[call-overload]
    if x.shape[-1] == 0:
        return np.ones_like(a, shape=shape)
    while x.shape[-1] > 1:
        half = x.shape[-1] // 2
        pairs = x[..., :half] * x[..., half : 2 * half]
        x = pairs if x.shape[-1] % 2 == 0 else np.concatenate([pairs, x[..., 2 * half :]], axis=-1)
    return x.reshape(shape)


@rule(np.any)
def _any(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return _reduce(MAX, traced(a) != 0, axis, keepdims)


@rule(np.all)
def _all(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return _reduce(MIN, traced(a) != 0, axis, keepdims)


@rule(np.argmax)
def _argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    return _place(ARGMAX, a, axis, keepdims)


@rule(np.argmin)
def _argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    return _place(ARGMIN, a, axis, keepdims)


def _place(op: Op, a: Any, axis: Any, keepdims: Any) -> Any:
    a = traced(a)
    shape = reduced(a.shape, normal_axes(axis, a.ndim), bool(keepdims is not np._NoValue and keepdims))
    flat = _ravel(a) if axis is None else a
    return _shaped(bind(op, (flat,), (0 if axis is None else normal_axis(axis, a.ndim),)), shape)


# --- shapes ------------------------------------------------------------------------------------------


@rule(np.reshape)
def _reshape(a: Any, /, shape: Any = None, order: str = "C", **options: Any) -> Any:
    if order != "C":
        raise NoRuleError(at_user(f"reshape with order={order!r} is not supported; transpose first"))
    a = traced(a)
    return _shaped(a, resolve_reshape(a.shape, a.size, shape))


def _shaped(a: Tracer, shape: Shape) -> Any:
    return a if a.shape == shape else bind(RESHAPE, (a,), shape)


@rule(np.ravel)
def _ravel(a: Any, order: str = "C") -> Any:
    return _reshape(a, (-1,) if traced(a).size else (0,), order)


@rule(np.transpose, np.permute_dims)
def _transpose(a: Any, axes: Any = None) -> Any:
    a = traced(a)
    fits = axes is None or len(axes) == a.ndim
    order = tuple(reversed(range(a.ndim))) if axes is None else tuple(normal_axis(k, a.ndim) for k in axes if fits)
    if sorted(order) != list(range(a.ndim)):
        raise ShapeError(at_user(f"axes {axes} don't match array of shape {a.shape}"))
    return a if order == tuple(range(a.ndim)) else bind(TRANSPOSE, (a,), order)


@rule(np.swapaxes)
def _swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    a = traced(a)
    order = list(range(a.ndim))
    i, j = normal_axis(axis1, a.ndim), normal_axis(axis2, a.ndim)
    order[i], order[j] = order[j], order[i]
    return _transpose(a, order)


@rule(np.moveaxis)
def _moveaxis(a: Any, source: Any, destination: Any) -> Any:
    a = traced(a)
    first, last = ((v,) if isinstance(v, int) else tuple(v) for v in (source, destination))
    moved = [normal_axis(k, a.ndim) for k in first]
    order = [k for k in range(a.ndim) if k not in moved]
    for to, k in sorted(zip((normal_axis(k, a.ndim) for k in last), moved, strict=True)):
        order.insert(to, k)
    return _transpose(a, order)


@rule(np.broadcast_to)
def _broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    array = traced(array)
    wanted = tuple(shape) if isinstance(shape, tuple | list) else (int(shape),)
    return array if array.shape == wanted else bind(BROADCAST, (array,), wanted)


@rule(np.expand_dims)
def _expand_dims(a: Any, axis: Any) -> Any:
    a = traced(a)
    given = axis if isinstance(axis, tuple | list) else (axis,)
    axes = normal_axes(tuple(given), a.ndim + len(given)) if given else ()
    rest = iter(a.shape)
    return _shaped(a, tuple(1 if k in axes else next(rest) for k in range(a.ndim + len(given))))


@rule(np.squeeze)
def _squeeze(a: Any, axis: Any = None) -> Any:
    a = traced(a)
    ones = tuple(k for k, n in enumerate(a.shape) if n == 1)
    axes = ones if axis is None else normal_axes(axis, a.ndim)
    if not set(axes) <= set(ones):
        raise ShapeError(
            at_user(f"cannot select an axis to squeeze out which has size not equal to one: {axis} of {a.shape}")
        )
    return _shaped(a, tuple(n for k, n in enumerate(a.shape) if k not in axes))


@rule(np.atleast_1d)
def _atleast_1d(a: Any) -> Any:
    a = traced(a)
    return a if a.ndim else _shaped(a, (1,))


# --- joining and choosing ------------------------------------------------------------------------------


@rule(np.concatenate)
def _concatenate(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "") -> Any:
    parts = _promoted(list(arrays), dtype)
    if axis is None:
        parts, axis = [_ravel(p) for p in parts], 0
    if not parts[0].ndim:
        raise ShapeError(at_user("zero-dimensional arrays cannot be concatenated; use np.stack"))
    return bind(CONCATENATE, parts, (normal_axis(axis, parts[0].ndim),))


@rule(np.stack)
def _stack(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "") -> Any:
    parts = [traced(a) for a in arrays]
    if len({p.shape for p in parts}) > 1:
        listed = ", ".join(str(p.shape) for p in parts)
        raise ShapeError(at_user(f"stack: all input arrays must have the same shape; shapes are {listed}"))
    return _concatenate([_expand_dims(p, normal_axis(axis, p.ndim + 1)) for p in parts], axis, dtype=dtype)


@rule(np.vstack)
def _vstack(tup: Any, *, dtype: Any = None, casting: str = "") -> Any:
    rows = [p if (p := traced(a)).ndim > 1 else _reshape(p, (1, -1)) for a in tup]
    return _concatenate(rows, 0, dtype=dtype)


@rule(np.hstack)
def _hstack(tup: Any, *, dtype: Any = None, casting: str = "") -> Any:
    parts = [_atleast_1d(a) for a in tup]
    return _concatenate(parts, 0 if parts[0].ndim == 1 else 1, dtype=dtype)


@rule(np.where)
def _where(condition: Any, *choices: Any) -> Any:
    if len(choices) != 2:
        raise NoRuleError(at_user("np.where(condition) alone has a result whose shape depends on values"))
    condition = traced(condition)
    if condition.dtype.kind != "b":
        condition = condition != 0
    return bind(BY_NAME["where"], (condition, *choices))


@rule(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None) -> Any:
    a = traced(a)
    low, high = a_min if min is None else min, a_max if max is None else max
    if low is None and high is None:
        return _own(a)
    if not a.aval.is_float and (low is None or high is None):
        return np.maximum(a, low) if high is None else np.minimum(a, high)
    return bind(BY_NAME["clip"], (a, -math.inf if low is None else low, math.inf if high is None else high))


@rule(np.take)
def _take(a: Any, indices: Any, axis: Any = None) -> Any:
    a = traced(a)
    if axis is None:
        return _ravel(a)[indices]
    return a[(slice(None),) * normal_axis(axis, a.ndim) + (indices,)]


# --- products ----------------------------------------------------------------------------------------


@rule(np.matmul)
def _matmul(x1: Any, x2: Any) -> Any:
    a, b = _promoted((x1, x2))
    if not a.ndim or not b.ndim:
        raise ShapeError(at_user(f"matmul: operands must have at least one axis; shapes {a.shape} and {b.shape}"))
    recorder = current()
    x, y = recorder.slot(a), recorder.slot(b)
    if a.ndim == 1:
        x = recorder.apply(RESHAPE, (x,), (1, *a.shape))
    if b.ndim == 1:
        y = recorder.apply(RESHAPE, (y,), (*b.shape, 1))
    z = recorder.apply(MATMUL, (x, y), ())
    if a.ndim == 1 or b.ndim == 1:
        *lead, m, n = recorder.avals[z].shape
        z = recorder.apply(RESHAPE, (z,), (*lead, *(m,) * (a.ndim > 1), *(n,) * (b.ndim > 1)))
    return recorder.tracer(z)


@rule(np.dot)
def _dot(a: Any, b: Any, out: Any = None) -> Any:
    x, y = traced(a), traced(b)
    if not x.ndim or not y.ndim:
        return x * y
    if y.ndim <= 2:
        return _matmul(x, y)
    flat = _moveaxis(y, -2, 0).reshape((y.shape[-2], -1))
    return _matmul(x, flat).reshape((*x.shape[:-1], *y.shape[:-2], y.shape[-1]))


@rule(np.inner)
def _inner(a: Any, b: Any) -> Any:
    y = traced(b)
    return _dot(a, y if y.ndim < 2 else _swapaxes(y, -1, -2))


@rule(np.outer)
def _outer(a: Any, b: Any, out: Any = None) -> Any:
    return _reshape(a, (-1, 1)) * _reshape(b, (1, -1))


# --- making ------------------------------------------------------------------------------------------


def _filled(a: Any, value: Any, dtype: Any, shape: Any) -> Any:
    a = traced(a)
    kind = supported(np.dtype(dtype)) if dtype is not None else a.dtype
    if type(value) in (int, float):
        value = np.array(value, kind)[()]  # an integer that does not fit is refused, as NumPy does
    wanted = a.shape if shape is None else tuple(shape) if isinstance(shape, tuple | list) else (int(shape),)
    return _broadcast_to(_cast(traced(value), kind), wanted)


@rule(np.zeros_like)
def _zeros_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **o: Any) -> Any:
    return _filled(a, 0, dtype, shape)


@rule(np.ones_like)
def _ones_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **o: Any) -> Any:
    return _filled(a, 1, dtype, shape)


@rule(np.full_like)
def _full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **o: Any
) -> Any:
    return _filled(a, fill_value, dtype, shape)


@rule(np.copy)
def _copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    return _own(traced(a))


@rule(np.shape)
def _shape(a: Any) -> Any:
    return a.shape


@rule(np.ndim)
def _ndim(a: Any) -> Any:
    return a.ndim


@rule(np.size)
def _size(a: Any, axis: Any = None) -> Any:
    return a.size if axis is None else a.shape[axis]


@rule(np.iscomplexobj)
def _iscomplexobj(x: Any) -> Any:
    return False


@rule(np.result_type)
def _result_type(*values: Any) -> Any:
    kinds = [v if type(v) is not Tracer else v.kind(0) if isinstance(v.kind, type) else v.dtype for v in values]
    return np.result_type(*kinds)
