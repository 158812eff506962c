"""`grad` and `value_and_grad`: what they take, check and return. Knows no op."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import MethodType
from typing import Any

import numpy as np

from wengert import tree
from wengert.errors import (
    DTypeError,
    IntegerGradientError,
    LeakedTracerError,
    NotScalarError,
    ObjectArrayError,
    at_user,
)
from wengert.hot import calls_until_hot, compile_regions
from wengert.ops.views import FRESH
from wengert.plan.cache import remembered
from wengert.plan.live import pruned
from wengert.plan.lower import lower
from wengert.plan.packets import Program
from wengert.plan.slices import push_slices
from wengert.record.following import Following, Past
from wengert.record.noting import Noting
from wengert.record.recorder import Recorder
from wengert.record.session import recording
from wengert.record.state import LEAKED, thread
from wengert.record.tracer import Tracer
from wengert.tape import Tape
from wengert.transform.adjoint import filled, pull_back, zeros
from wengert.transform.habit import Followed, habit
from wengert.transform.shorter import shorter
from wengert.vm.replay import STOPPED, run_once

Function = Callable[..., Any]
_programs: dict[Any, _Planned] = {}


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """A function that returns `f`'s value and its gradient.

    Parameters
    ----------
    f
        A function of NumPy arrays, floats, and pytrees of them that returns one float.
    argnums
        Which positional arguments to differentiate with respect to: a number, or a sequence of numbers.
    has_aux
        If true, `f` returns `(value, aux)`; `aux` is passed through.

    Returns
    -------
    callable
        With the arguments of `f`; returns `(value, gradient)`, or `((value, aux), gradient)`. The gradient
        has the structure, shapes and dtypes of the argument; a tuple of gradients for a sequence of argnums.

    Raises
    ------
    NotScalarError
        If the value is not a single number.
    IntegerGradientError
        If an argument to differentiate with respect to, or the value, is of integers.

    Notes
    -----
    Reverse accumulation on a Wengert list: R. E. Wengert, CACM 7 (1964); Griewank & Walther, *Evaluating
    Derivatives*, 2nd ed. (2008), chapter 3.

    Examples
    --------
    >>> import numpy as np, wengert
    >>> value, slope = wengert.value_and_grad(lambda x: np.sum(x ** 2))(np.array([1.0, 2.0]))
    >>> float(value), slope.tolist()
    (5.0, [2.0, 4.0])
    """

    return _Derivative(f, argnums, has_aux, True)


def grad(f: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of `f`; see `value_and_grad` for all that applies here, too.

    Returns
    -------
    callable
        With the arguments of `f`; returns the gradient, or `(gradient, aux)` with `has_aux`.

    Examples
    --------
    >>> import numpy as np, wengert
    >>> float(wengert.grad(np.sin)(0.0))
    1.0
    >>> float(wengert.grad(wengert.grad(lambda x: x ** 3))(2.0))
    12.0
    """
    return _Derivative(f, argnums, has_aux, False)


class _Derivative:
    # A differentiated function: light, because people write `grad(f)(x)`, and named and documented as `f`.

    __slots__ = ("__wrapped__", "argnums", "has_aux", "with_value")

    def __init__(self, f: Function, argnums: int | Sequence[int], has_aux: bool, with_value: bool) -> None:
        self.__wrapped__ = f
        self.argnums, self.has_aux, self.with_value = argnums, has_aux, with_value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        task = _Task(self.__wrapped__, args, kwargs, self.argnums, self.has_aux)
        value, slope = task.nested(thread.active) if thread.active is not None else task.outermost()
        if self.with_value:
            return value, slope
        return (slope, value[1]) if self.has_aux else slope

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.__wrapped__.__doc__

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "__wrapped__"), name)

    def __repr__(self) -> str:
        return f"<{'value and ' if self.with_value else ''}gradient of {self.__wrapped__!r}>"


class _Task:
    """One call of a differentiated function."""

    def __init__(
        self, f: Function, args: tuple[Any, ...], kwargs: dict[str, Any], argnums: int | Sequence[int], has_aux: bool
    ) -> None:
        self.f, self.args, self.kwargs, self.has_aux = f, list(args), kwargs, has_aux
        self.single = isinstance(argnums, int)
        self.argnums = [argnums] if isinstance(argnums, int) else list(argnums)
        for n in self.argnums:
            if not -len(args) <= n < len(args):
                raise TypeError(
                    at_user(f"argnums={n}, but {_name(f)} was called with {len(args)} positional arguments")
                )
        self.leaves = [args[n] for n in self.argnums]
        self.structure: tree.Structure | None = None
        for x in self.leaves:
            kind = type(x)
            if kind is not float and (kind is not np.ndarray or x.dtype.kind != "f"):
                break
        else:
            return  # the usual call: nothing to take apart, nothing to refuse
        if len(self.leaves) > 1 or type(self.leaves[0]) not in (float, np.ndarray, Tracer):
            self.leaves, self.structure = tree.flatten(tuple(self.leaves))
        for k, leaf in enumerate(self.leaves):
            self._check(k, leaf)
            if type(leaf) not in (float, np.ndarray, Tracer):
                self.leaves[k] = np.asarray(leaf)

    def _check(self, k: int, leaf: Any) -> None:
        kind = type(leaf)
        if kind is Tracer and thread.active is None:
            raise LeakedTracerError(at_user(LEAKED.format(leaf.aval)))
        if kind is float or (kind in (np.ndarray, Tracer) and leaf.dtype.kind == "f"):
            return
        found = np.asarray(leaf) if kind is not Tracer else leaf
        if found.dtype.kind == "f":
            return
        text = f"argument {self._path(k)} of {_name(self.f)}"
        if found.dtype == object:
            raise ObjectArrayError(at_user(f"{text} is {leaf!r}: gradients need floating-point numbers"))
        if found.dtype.kind == "c":
            raise DTypeError(at_user(f"{text} has dtype {found.dtype}: complex numbers are not supported"))
        raise IntegerGradientError(
            at_user(
                f"{text} has dtype {found.dtype}: a gradient with respect to integers is not defined. "
                "Pass a float (2.0 for 2, x.astype(float) for x), or leave the argument out of argnums"
            )
        )

    def _path(self, k: int) -> str:
        """The k-th leaf as the caller would name it: the argument's number, then the way inside it."""
        for n in self.argnums:
            paths = tree.paths(self.args[n])
            if k < len(paths):
                return f"{n % len(self.args)}{paths[k]}"
            k -= len(paths)
        raise AssertionError("every leaf belongs to an argument")

    def outermost(self) -> Any:
        """Record, or follow the last recording; find or make the program; replay."""
        known = habit(self.f, self.leaves)
        followed = known.next()
        recorder = known.recorder(_name(self.f)) if followed is None else followed.past.recorder
        try:
            with recording(recorder):
                value, aux = self._call(recorder, recorder.arguments(self.leaves))
                results = [value]
                if self.has_aux:
                    leaves, structure = tree.flatten(aux)
                    picked = [k for k, leaf in enumerate(leaves) if _is_traced(leaf)]
                    results += [leaves[k] for k in picked]
                if followed is not None and type(recorder) is Following and recorder.arrived(results):
                    try:
                        found = followed.replay(recorder)
                    except STOPPED:  # the lines of the program may be another function's
                        found, followed = self._replay(recorder, results)
                else:
                    found, followed = self._replay(recorder, results)
        finally:
            if thread.active is not None:  # an interrupt can come at any time, also while a recording ends
                thread.active = None
                recorder.held.release()
        if followed is not None:
            known.keep(followed)
        if not self.has_aux:
            return found[0], self._shaped(found[1:])
        for k, leaf in zip(picked, found[1:], strict=False):
            leaves[k] = leaf
        return (found[0], tree.unflatten(structure, leaves)), self._shaped(found[len(results) :])

    def _replay(self, recorder: Recorder, results: list[Any]) -> tuple[list[Any], Followed | None]:
        """What has been recorded, run; and what the next call can follow."""
        slots = [self._value_slot(recorder, results[0]), *map(recorder.slot, results[1:])]
        past = _past(recorder, results)
        consts, arrays = recorder.consts, recorder.captured
        sources = (*[c.slot for c in consts], -1, *[c.slot for c in arrays]) if consts or arrays else ()
        if recorder.infinite:
            sources += (-1, *recorder.infinite)
        bodies = tuple([t.key for t in recorder.subtapes]) if recorder.subtapes else ()
        # Slots are numbered in the order of recording, so the sources and results say what the rest is.
        wrt = recorder.inputs
        key = (tuple(recorder.instructions), tuple(recorder.avals), sources, bodies, (*slots, -1, *wrt))
        ours = len(consts)
        entry = _programs.get(key)
        fresh = entry is None
        if entry is None:
            entry = remembered(_programs, key, lambda: _planned(recorder, slots, wrt))
        entry.calls += 1
        if entry.calls == entry.hot:
            compile_regions(partial(push_slices, entry.tape), entry.better)
        values = [c.value for c in consts[:ours]] + entry.further
        inputs = [recorder.values[s] for s in wrt]
        try:
            found = run_once(entry.program, inputs, values, [c.array for c in arrays])
        except STOPPED:
            if fresh:
                raise
            _programs.pop(key, None)  # the program was another function's: once more, so that the line named is ours
            return self._replay(recorder, results)
        return found, None if past is None else Followed(past, entry.tape, entry.program, values)

    def nested(self, recorder: Recorder) -> Any:
        """Append to the recording that is going on."""
        fresh = []
        for x in self.leaves:
            operand = recorder.operand(x)
            slot = recorder.emit(FRESH, (recorder.slot(operand),), (), operand.aval)
            fresh.append(Tracer(recorder, slot, operand.aval, operand.kind))
        start = len(recorder.instructions)
        value, aux = self._call(recorder, fresh)
        slot = self._value_slot(recorder, value)
        results, slopes = _gradient(recorder, start, [slot], [t.slot for t in fresh])
        result: Any = recorder.tracer(results[0])
        if self.has_aux:
            result = (result, aux)
        return result, self._shaped([recorder.tracer(s) for s in slopes])

    def _call(self, recorder: Recorder, tracers: list[Tracer]) -> tuple[Any, Any]:
        chosen = tracers if self.structure is None else tree.unflatten(self.structure, tracers)
        for n, x in zip(self.argnums, chosen):
            self.args[n] = x
        recorder.derivatives += 1
        try:
            out = self.f(*self.args, **self.kwargs)
        finally:
            recorder.derivatives -= 1
        if not self.has_aux:
            return out, None
        if not isinstance(out, tuple) or len(out) != 2:
            raise TypeError(at_user(f"with has_aux=True {_name(self.f)} must return (value, aux), not {_kind(out)}"))
        return out

    def _value_slot(self, recorder: Recorder, value: Any) -> int:
        """The slot of what `f` returned, which must be one float."""
        if type(value) is Tracer and not value.aval.shape and value.aval.is_float:
            return recorder.slot(value)
        constant = isinstance(value, int | float | np.generic) or (isinstance(value, np.ndarray) and not value.ndim)
        if constant and not _is_traced(value):
            return recorder.slot(float(value))
        if isinstance(value, np.ndarray) and value.dtype == object:
            value = recorder.stacked(value)
        if not isinstance(value, Tracer | np.ndarray):
            raise NotScalarError(
                at_user(f"grad needs a function that returns one number; {_name(self.f)} returned {_kind(value)}")
            )
        if value.shape:
            raise NotScalarError(
                at_user(
                    f"grad needs a function that returns one number; {_name(self.f)} returned an array of shape "
                    f"{value.shape}. Reduce it, for example with np.sum or np.mean"
                )
            )
        if value.dtype.kind != "f":
            raise IntegerGradientError(
                at_user(
                    f"{_name(self.f)} returned {value.dtype}: the gradient of integers is not defined; return a float"
                )
            )
        return recorder.slot(value)

    def _shaped(self, slopes: list[Any]) -> Any:
        """Gradients in the structure of the arguments."""
        if self.structure is None:
            return slopes[0] if self.single else tuple(slopes)
        found = tree.unflatten(self.structure, slopes)
        return found[0] if self.single else found


def _past(recorder: Recorder, results: list[Any]) -> Past | None:
    """What the next call can follow to results like these, if it can."""
    if not isinstance(recorder, Noting) or not recorder.known:
        return None
    return Past(recorder, results) if all(type(x) is Tracer and x.recorder is recorder for x in results) else None


class _Planned:
    """The program for a recorded value and its gradient; the same recording finds it again."""

    def __init__(self, tape: Tape, further: list[Any]) -> None:
        self.tape, self.program = tape, lower(tape)
        self.further = further
        """Values of constants that the adjoint added."""
        self.calls, self.hot = 0, calls_until_hot(tape)

    def better(self, program: Program) -> None:
        """Go on with another program for the same tape."""
        self.program = program


def _planned(recorder: Recorder, slots: list[int], wrt: list[int]) -> _Planned:
    """The program for what has been recorded: its results, and the gradient of the first."""
    ours = len(recorder.consts)
    recorder.forget_constants()  # the program is for other constants as well: 1.0 here may be 2.0 there
    results, slopes = _gradient(recorder, 0, slots, wrt)
    return _Planned(pruned(recorder.tape([*results, *slopes])), [c.value for c in recorder.consts[ours:]])


def _gradient(recorder: Recorder, start: int, results: list[int], wrt: list[int]) -> tuple[list[int], list[int]]:
    """The results of what has been recorded since `start`, and the gradient of the first."""
    start, results = shorter(recorder, start, results)
    stop = len(recorder.instructions)
    bars = {results[0]: filled(recorder, 1.0, recorder.avals[results[0]])}
    found = pull_back(recorder, start, stop, bars, wrt)
    return results, [
        zeros(recorder, recorder.avals[s]) if bar is None else bar for s, bar in zip(wrt, found, strict=True)
    ]


def _is_traced(x: Any) -> bool:
    return type(x) is Tracer or (isinstance(x, np.ndarray) and x.dtype == object)


def _name(f: Function) -> str:
    return getattr(f, "__name__", type(f).__name__)


def _kind(x: Any) -> str:
    return f"a {type(x).__name__}"
