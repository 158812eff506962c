"""The tracer: stands for a value that is being recorded and answers NumPy's protocols. Knows no tape layout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wengert.errors import MutationError, TracerConversionError, WengertError, at_user
from wengert.ops.elementwise import BY_SPECIAL, BY_UFUNC, Elementwise, Operand
from wengert.ops.spec import BY_NAME, Op, Params
from wengert.record.refusals import no_rule, refuse_options
from wengert.record.state import required, thread
from wengert.shapes import Aval

if TYPE_CHECKING:
    from wengert.record.recorder import Recorder

RULES: dict[Any, Callable[..., Any]] = {}
"""NumPy function -> what it does to tracers; filled by the rooms above: `rules`, `indexing`, `values`."""


def _row(name: str) -> Elementwise:
    op = BY_NAME[name]
    assert isinstance(op, Elementwise)
    return op


def _binary(name: str) -> tuple[Callable[[Tracer, Any], Any], Callable[[Tracer, Any], Any]]:
    """An operator and its reflected form."""
    op = _row(name)

    def forward(self: Tracer, other: Any) -> Any:
        return (thread.active or required(self)).pair(op, self, other)

    def reflected(self: Tracer, other: Any) -> Any:
        return (thread.active or required(self)).pair(op, other, self)

    return forward, reflected


def _in_place(name: str) -> Callable[[Tracer, Any], Any]:
    """`x += y`: for a number a new value, as in Python; an array's other names see it, as in NumPy."""
    op = _row(name)

    def update(self: Tracer, other: Any) -> Any:
        recorder = thread.active or required(self)
        found = recorder.pair(op, self, other)
        if not self.aval.shape:
            return found
        if found.aval is not self.aval:
            raise MutationError(
                at_user(f"in-place {name}: the result is {found.aval} and does not fit into the array, {self.aval}")
            )
        recorder.refuse_views(self)
        self.slot, self.recorder = found.slot, recorder
        return self

    return update


def _unary(name: str) -> Callable[[Tracer], Any]:
    op = _row(name)
    return lambda self: (thread.active or required(self)).single(op, self)


_POWERS = {2: _row("square"), 0.5: _row("sqrt"), -1: _row("reciprocal")}


class Tracer:
    """A value that does not exist yet: a slot of the tape that is being written.

    It has the shape and dtype that NumPy's result would have, and takes part in operators, ufuncs and
    NumPy functions as an array does. Asking for its truth, as an index or to print it gives the concrete
    value. Turning it into a plain float does not: the gradient would be lost.
    """

    __slots__ = ("aval", "kind", "recorder", "slot")
    __array_priority__ = 1000

    def __init__(self, recorder: Recorder, slot: int, what: Aval, kind: Operand | None = None) -> None:
        self.recorder = recorder
        self.slot = slot
        self.aval = what
        self.kind: Operand = kind or what
        """What promotion sees: the `Aval`, or `float` or `int` for a Python number, which gives way (NEP 50)."""

    def wengert_bind(self, op: Op, operands: Sequence[Any], params: Params) -> Any:
        return required(self).bind(op, operands, params)

    # --- attributes ----------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        return self.aval.ndim

    @property
    def size(self) -> int:
        return self.aval.size

    @property
    def itemsize(self) -> int:
        return self.aval.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.aval.nbytes

    @property
    def T(self) -> Any:
        return np.transpose(self)  # type: ignore[call-overload]

    @property
    def mT(self) -> Any:
        return np.swapaxes(self, -1, -2)  # type: ignore[call-overload]

    @property
    def real(self) -> Any:
        return self

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[k] for k in range(self.shape[0]))

    # --- operators -----------------------------------------------------------------------------------

    __add__, __radd__ = _binary("add")
    __sub__, __rsub__ = _binary("sub")
    __mul__, __rmul__ = _binary("mul")
    __truediv__, __rtruediv__ = _binary("div")
    __floordiv__, __rfloordiv__ = _binary("floordiv")
    __mod__, __rmod__ = _binary("mod")
    __iadd__ = _in_place("add")
    __isub__ = _in_place("sub")
    __imul__ = _in_place("mul")
    __itruediv__ = _in_place("div")
    __and__, __rand__ = _binary("bitwise_and")
    __or__, __ror__ = _binary("bitwise_or")
    __xor__, __rxor__ = _binary("bitwise_xor")
    __lt__ = _binary("less")[0]
    __le__ = _binary("less_equal")[0]
    __gt__ = _binary("greater")[0]
    __ge__ = _binary("greater_equal")[0]
    __eq__ = _binary("equal")[0]  # type: ignore[assignment]
    __ne__ = _binary("not_equal")[0]  # type: ignore[assignment]
    __neg__ = _unary("neg")
    __abs__ = _unary("abs")
    __hash__ = None  # type: ignore[assignment]

    def __pos__(self) -> Any:
        return self.copy()

    def __invert__(self) -> Any:
        return required(self).single(_row("logical_not" if self.dtype.kind == "b" else "invert"), self)

    def __pow__(self, other: Any) -> Any:
        # The exponents that NumPy's own operator treats apart.
        if type(other) in (int, float) and self.aval.is_float and other in _POWERS:
            return (thread.active or required(self)).single(_POWERS[other], self)
        return required(self).pair(_row("power"), self, other)

    def __rpow__(self, other: Any) -> Any:
        return required(self).pair(_row("power"), other, self)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __matmul__(self, other: Any) -> Any:
        return required(self).direct(RULES[np.matmul], self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return required(self).direct(RULES[np.matmul], other, self)

    # --- indexing ------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        recorder = thread.active or required(self)
        if type(key) is int and not recorder.notes:
            return RULES["getitem"](self, key)  # one instruction at most: it finds its line itself
        return recorder.direct(RULES["getitem"], self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise MutationError(
            at_user(
                f"a traced array ({self.aval}) cannot be written in place; build the new array instead, "
                "for example with np.where(mask, value, x), np.concatenate or np.stack"
            )
        )

    # --- values on demand ----------------------------------------------------------------------------

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                at_user(
                    "The truth value of an array with more than one element is ambiguous. "
                    f"Use a.any() or a.all(); its shape is {self.shape}"
                )
            )
        truth = self if self.dtype.kind == "b" else self != 0
        return bool(RULES["value"](required(self), truth, "the truth value"))

    def __int__(self) -> int:
        if self.size != 1:
            raise TypeError(at_user(f"only a single number can be converted to int, not shape {self.shape}"))
        whole = self.astype(np.int64) if self.dtype.kind != "i" else self
        return int(np.asarray(RULES["value"](required(self), whole, "the integer value")).reshape(()))

    __trunc__ = __int__

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.shape:
            raise TypeError(f"only integer scalars can be used as an index, not {self.aval}")
        try:
            return int(self)
        except WengertError as error:  # NumPy swallows it; `recording` brings it back
            if thread.active is not None:
                thread.active.refused = error
            raise

    def __floor__(self) -> int:
        return int(np.floor(self))  # type: ignore[call-overload]

    def __ceil__(self) -> int:
        return int(np.ceil(self))  # type: ignore[call-overload]

    def __round__(self, digits: int | None = None) -> Any:
        return int(np.rint(self)) if digits is None else np.rint(self * 10**digits) / 10**digits  # type: ignore[call-overload]

    def __float__(self) -> float:
        text = _FLOAT if self.aval.is_float else _WHOLE
        raise TracerConversionError(at_user(text.format(self.aval)))

    def __complex__(self) -> complex:
        raise TracerConversionError(at_user(_FLOAT.format(self.aval)))

    def _shown(self) -> Any:
        try:
            return RULES["value"](required(self), self, "printing", guard=False)
        except (TracerConversionError, RuntimeError):
            return None

    def __repr__(self) -> str:
        value = self._shown()
        return f"Tracer({self.aval})" if value is None else f"Tracer({value!r})"

    def __str__(self) -> str:
        value = self._shown()
        return f"Tracer({self.aval})" if value is None else str(value)

    def __format__(self, spec: str) -> str:
        value = self._shown()
        return f"Tracer({self.aval})" if value is None else format(value, spec)

    # --- NumPy's protocols ---------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        recorder = thread.active or required(self)
        if recorder.notes and method == "__call__":
            if kwargs or len(inputs) > 2:
                return recorder.applied(ufunc, (*inputs, *kwargs, *kwargs.values()), len(inputs))
            return recorder.called(ufunc, *inputs)
        dtype = None
        if kwargs:
            dtype = kwargs.pop("dtype", None)
            refuse_options(ufunc.__name__, kwargs)
        if method == "__call__":
            if dtype is not None:
                inputs = tuple(recorder.operand(x).astype(dtype) for x in inputs)
            op = BY_UFUNC.get(ufunc) or _special(ufunc)
            if op is not None:
                return recorder.single(op, inputs[0], False) if len(inputs) == 1 else recorder.elementwise(op, inputs)
            rule = RULES.get(ufunc)
            if rule is not None:
                return recorder.ruled(rule, inputs)
        if method == "reduce" and ufunc in REDUCTIONS:
            options = {} if dtype is None else {"dtype": dtype}
            axis, keepdims = kwargs.get("axis", 0), kwargs.get("keepdims", False)
            return REDUCTIONS[ufunc](inputs[0], axis=axis, keepdims=keepdims, **options)
        raise no_rule(ufunc.__name__ + ("" if method == "__call__" else f".{method}"), "numpy", (*RULES, *BY_UFUNC))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        recorder = thread.active or required(self)
        if recorder.notes:
            if kwargs or not 1 <= len(args) <= 2:
                return recorder.applied(func, (*args, *kwargs, *kwargs.values()), len(args))
            return recorder.called(func, *args)
        rule = RULES.get(func)
        if rule is None:
            raise no_rule(func.__name__, getattr(func, "__module__", "numpy") or "numpy", (*RULES, *BY_UFUNC))
        if not kwargs:
            return recorder.ruled(rule, args)
        refuse_options(func.__name__, kwargs)
        return recorder.ruled(rule, args, kwargs)

    # --- array methods -------------------------------------------------------------------------------

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        return required(self).direct(RULES["astype"], self, dtype)

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, order=order)  # type: ignore[call-overload]

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)  # type: ignore[call-overload]

    def sum(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        return np.sum(self, axis=axis, dtype=dtype, keepdims=keepdims)  # type: ignore[call-overload]

    def copy(self) -> Any:
        return required(self).direct(RULES["copy"], self, None)

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def item(self) -> Any:
        raise TracerConversionError(at_user(_FLOAT.format(self.aval)))

    def tolist(self) -> Any:
        raise TracerConversionError(at_user(_FLOAT.format(self.aval)))


def _special(ufunc: Any) -> Elementwise | None:
    """The op of a function of `scipy.special`; that module is loaded if the user has such a function."""
    op = BY_SPECIAL.get(ufunc.__name__)
    return op if op and ufunc is getattr(sys.modules.get("scipy.special"), op.special, None) else None


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def method(self: Tracer, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = name
    return method


for _name in ("mean", "max", "min", "prod", "var", "std", "any", "all", "dot", "ravel", "squeeze", "swapaxes",
              "clip", "take", "argmax", "argmin"):  # fmt: skip
    setattr(Tracer, _name, _method(_name))
Tracer.flatten = _method("ravel")  # type: ignore[attr-defined]
# NumPy calls these methods on the elements of an object array: np.sin(np.array([a, b])).
for _ufunc, _op in BY_UFUNC.items():
    if len(_op.args) == 1 and not hasattr(Tracer, _ufunc.__name__):
        setattr(Tracer, _ufunc.__name__, _method(_ufunc.__name__))

REDUCTIONS: dict[Any, Callable[..., Any]] = {
    np.add: np.sum,
    np.maximum: np.max,
    np.minimum: np.min,
    np.multiply: np.prod,
    np.logical_and: np.all,
    np.logical_or: np.any,
}

_FLOAT = (
    "a traced value ({}) would become a plain Python or NumPy number here, and its gradient would be lost. "
    "In place of float(x) use x itself; in place of math.sin(x) write np.sin(x); in place of out[i] = x on "
    "a plain array collect the values in a list and np.stack them"
)


_WHOLE = (
    "a traced integer ({}) would become a plain number here. Write int(n) for its value: the recording then "
    "holds for this value alone, which jit checks at every call"
)
