"""`jit`: from a call's signature to a recording, and the calls. Knows no op and no derivative."""

from __future__ import annotations

import copy
import functools
import pickle
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from operator import is_
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from wengert import tree
from wengert.branches import Branches, Check
from wengert.captures import Watch
from wengert.errors import OptionError, Where
from wengert.history import CacheInfo, History, warn
from wengert.hot import calls_until_hot, compile_regions
from wengert.ops.guard import GUARD
from wengert.plan.lower import lower
from wengert.plan.packets import Program
from wengert.plan.passes import passed
from wengert.record.recorder import Recorder
from wengert.record.session import recording
from wengert.record.state import thread
from wengert.record.tracer import Tracer
from wengert.signature import SCALARS, Route, Static, Statics, is_number, leaf_key
from wengert.tape import Tape
from wengert.vm.replay import GuardMissed, Workspace, run_once

Function = Callable[..., Any]
_ROUTES = 8
"""Signatures that are tried before the structure of the arguments is worked out."""
_WATCHED, _EVERY = 64, 63
"""Captured values are looked at in so many calls, and then in one of 64: that costs nothing."""


def jit(
    f: Function,
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Iterable[str] = (),
    check_captured: bool = True,
    max_variants: int = 64,
) -> Function:
    """Record `f` once per signature and replay it afterwards.

    A signature is the structure of the arguments and the shape and dtype of every leaf. Python floats and
    ints are inputs; strings, bools and other hashable leaves are part of the signature. Where Python itself
    looks at a value (`if x > 0`, `int(n)`, a list's index), the replay checks that the value is the same, and goes
    on with the recording of the branch that this value asks for, or records it. Arrays that `f` captures are read
    at every call; Python scalars that it captures are constants, as in JAX.

    Parameters
    ----------
    f
        A function of NumPy arrays, numbers and pytrees of them. It must have no side effects.
    static_argnums, static_argnames
        Arguments, by position or by name, that are no inputs but part of the signature: `f` sees them as they are,
        and is recorded anew for every other value. They must be hashable.
    check_captured
        Whether to warn, once, when a number that `f` captures has changed since `f` was recorded, or a name that
        stands for an array stands for another one: replays do not follow.
    max_variants
        How many recordings to keep; the one that was not used for longest goes first.

    Returns
    -------
    callable
        With the arguments and results of `f`. Results are fresh arrays. Safe to call from many threads. It has two
        methods: `cache_info()`, the numbers of recordings, of calls that needed none, and the lines where values
        decided; and `clear_cache()`.

    Raises
    ------
    ValueError
        If a static argument does not exist.
    OptionError
        If `max_variants` is less than 1.

    Warns
    -----
    RecordingWarning
        If nearly every call needs a new recording, with the line that causes it; see also `check_captured`.

    Examples
    --------
    >>> import numpy as np, wengert
    >>> step = wengert.jit(lambda w: w - 0.1 * wengert.grad(lambda w: np.sum(w ** 2))(w))
    >>> step(np.array([1.0, 2.0])).tolist()
    [0.8, 1.6]
    >>> power = wengert.jit(lambda x, n: x if n == 0 else x * x ** (n - 1), static_argnums=1)
    >>> float(power(2.0, 3)), float(power(2.0, 3)), float(power(2.0, 0))
    (8.0, 8.0, 2.0)
    >>> power.cache_info().recordings
    2
    """
    if max_variants < 1:
        raise OptionError(f"max_variants must be at least 1, not {max_variants}")
    statics = None
    if static_argnums != () or static_argnames != ():
        statics = Statics(f, static_argnums, static_argnames)
    return functools.update_wrapper(Jitted(f, statics, check_captured, max_variants), f, updated=())


class _Variant:
    """One recording: its program, how its result is put together, workspaces with constants in place."""

    def __init__(self, recorder: Recorder, out: Any) -> None:
        leaves, self.structure = tree.flatten(out)
        self.leaves = leaves
        self.traced = [k for k, x in enumerate(leaves) if isinstance(x, Tracer | np.ndarray)]
        self.single = len(self.traced) == 1 and leaves[0] is out
        # A tuple of arrays is put together by Python itself, which is faster.
        all_traced = len(self.traced) == len(leaves)
        self.flat = all_traced and type(out) is tuple and len(out) == len(leaves) and all(map(is_, out, leaves))
        tape = passed(recorder.tape([recorder.slot(leaves[k]) for k in self.traced])).tape
        self.program: Program = lower(tape)
        self.tape = tape
        self.pool: list[tuple[Workspace, list[Any]]] = []
        self.calls, self.hot = 0, calls_until_hot(tape)
        self.checks, self.depth_of = _checks(tape)
        self.missed = [0] * len(self.checks)
        self.path: list[Any] = []
        self.used = 0

    def _workspace(self) -> tuple[Workspace, list[Any]]:
        workspace, tape, program = Workspace(self.program), self.tape, self.program
        for port, const in zip(program.consts, tape.consts, strict=True):
            workspace.bind(port, const.value)
        moving = []
        for port, captured in zip(program.captured, tape.captured, strict=True):
            if workspace.bind(port, captured.array) is not captured.array:
                moving.append((port, captured.array))
        return workspace, moving

    def __call__(self, values: Sequence[Any]) -> Any:
        try:
            pair = self.pool.pop()
        except IndexError:
            pair = self._workspace()
        workspace, moving = pair
        alive = [workspace.bind(port, array) for port, array in moving] if moving else None
        try:
            found = workspace.replay(values)
        except GuardMissed:
            self._give_back(pair)
            raise  # whatever else happens, an interrupt among it, the workspace is not used again
        self._give_back(pair)
        self.calls += 1
        if self.calls == self.hot:
            compile_regions(lambda: self.tape, self._better)
        del alive
        return self._assembled(found)

    def _give_back(self, pair: tuple[Workspace, list[Any]]) -> None:
        if pair[0].program is self.program:
            self.pool.append(pair)

    def _better(self, program: Program) -> None:
        """Go on with another program for the same tape."""
        self.program, self.pool = program, []

    def unguarded(self, values: Sequence[Any]) -> Any:
        """The recorded path, whatever the guards say: right for the values that it was recorded with.

        A product may round otherwise in the whole program than in the piece that gave Python its value.
        """
        tape = self.tape
        kept = [k for k, (op, *_) in enumerate(tape.instructions) if op is not GUARD]
        free = Tape(
            [tape.instructions[k] for k in kept], tape.avals, tape.inputs, tape.outputs, tape.consts, tape.captured,
            [tape.lines[k] for k in kept], tape.subtapes, tape.name,
        )  # fmt: skip
        consts, arrays = [c.value for c in tape.consts], [c.array for c in tape.captured]
        return self._assembled(run_once(lower(free), values, consts, arrays))

    def _assembled(self, found: list[Any]) -> Any:
        """Results in the structure that the function returned."""
        if self.flat:
            return tuple(found)
        if self.single:
            return found[0]
        if len(found) == len(self.leaves):
            return tree.unflatten(self.structure, found)
        leaves = self.leaves.copy()
        for k, x in zip(self.traced, found, strict=True):
            leaves[k] = x
        return tree.unflatten(self.structure, leaves)


def _checks(tape: Tape) -> tuple[list[Check], dict[int, int]]:
    """The guards of a tape, and the place among them of an instruction that is one."""
    consts = {c.slot: c.value for c in tape.consts}
    spots = [k for k, (op, *_) in enumerate(tape.instructions) if op is GUARD]
    checks = []
    for k in spots:
        slot, wanted = tape.instructions[k][2]
        value = np.asarray(consts[wanted], tape.avals[wanted].dtype).tobytes()
        checks.append(Check((k, slot), value, tape.lines[k]))
    return checks, {k: depth for depth, k in enumerate(spots)}


class Jitted:
    """A function recorded once per signature and branch; see `jit`."""

    def __init__(
        self, f: Function, statics: Statics | None = None, check_captured: bool = True, max_variants: int = 64
    ) -> None:
        self.f = f
        self._statics, self._check_captured, self._most = statics, check_captured, max_variants
        self._lock = threading.Lock()
        self._recording = 0
        """How many threads are recording it now."""
        self.clear_cache()

    def __repr__(self) -> str:
        return f"<wengert.jit of {self.f!r}>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def clear_cache(self) -> None:
        """Forget all recordings, and what `cache_info` counts."""
        with self._lock:
            self._table: dict[Any, Branches] = {}
            self._routes: list[Route] = []
            self._kept: dict[_Variant, Branches] = {}
            self._watch = Watch(self.f) if self._check_captured else None
            self._history = History(repr(self), self._most)
            self._tick = 0

    def cache_info(self) -> CacheInfo:
        """What has been recorded; prints as a few lines."""
        with self._lock:
            return self._history.info(self._tick, self._kept)

    # --- calls ---------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if thread.active is not None:
            return self.f(*args, **kwargs)
        if self._statics is not None:
            args, kwargs = self._statics.marked(args, kwargs)
        if not kwargs:
            sig: list[Any] = []
            for x in args:
                kind = type(x)
                if kind is np.ndarray or kind in SCALARS:
                    sig.append((x.dtype, x.shape))
                elif kind is float or kind is int:
                    sig.append(kind)
                else:
                    break
            else:
                key = tuple(sig)
                branches = self._table.get(key)
                return self._answer(Branches(key) if branches is None else branches, args, args, kwargs)
        for k, route in enumerate(self._routes):
            values = route.values(args, kwargs)
            if values is not None:
                if k:
                    self._first(route)
                return self._answer(route.branches, values, args, kwargs)
        return self._by_structure(args, kwargs)

    def _by_structure(self, args: Any, kwargs: Any) -> Any:
        leaves, structure = tree.flatten((args, kwargs))
        key = (structure, *map(leaf_key, leaves))
        branches = self._table.get(key)
        if branches is None:
            branches = Branches(key)
        route = Route(args, kwargs, leaves, branches)
        if route.usable:
            self._first(route)
        return self._answer(branches, [x for x in leaves if is_number(x)], args, kwargs)

    def _first(self, route: Route) -> None:
        """Let a route be tried first; the list is replaced, since other threads may be reading it."""
        others = [r for r in self._routes if r is not route and r.branches is not route.branches]
        self._routes = [route, *others[: _ROUTES - 1]]

    def _answer(self, branches: Branches, values: Sequence[Any], args: Any, kwargs: Any) -> Any:
        """The result of the recording that the values ask for."""
        self._tick = tick = self._tick + 1
        if self._watch is not None and (tick < _WATCHED or not tick & _EVERY):
            self._look_around(self._watch)
        variant = branches.current
        shared = -1
        check: Check | None = None
        while variant is not None:
            try:
                found = variant(values)
            except GuardMissed as miss:
                position, seen = miss.args
                depth = variant.depth_of[position]
                variant.missed[depth] += 1
                check = variant.checks[depth]
                shared = depth if shared < 0 else shared
                variant = branches.sibling(variant, depth, seen)
                continue
            variant.used = tick
            if shared >= 0:
                branches.use(variant, shared)
            return found
        variant = self._recorded(branches, check and check.where, args, kwargs)
        try:
            return variant(values)
        except GuardMissed:
            return variant.unguarded(values)

    # --- recordings ----------------------------------------------------------------------------------

    def _recorded(self, branches: Branches, where: Where | None, args: Any, kwargs: Any) -> _Variant:
        """A new recording, in its place."""
        watch = self._watch
        with self._lock:
            self._history.recorded(self._tick, where, alone=not self._recording)
            self._recording += 1
        try:
            reads = watch.before() if watch is not None else []
            variant = self._record(args, kwargs)
            if watch is not None:
                watch.after(reads)
        finally:
            with self._lock:
                self._recording -= 1
        with self._lock:
            variant.used = self._tick
            for gone in branches.insert(variant):
                self._forget(gone)
            self._kept[variant] = self._table[branches.key] = branches
            if len(self._kept) > self._most:
                self._evict(min((v for v in self._kept if v is not variant), key=lambda v: v.used))
        return variant

    def _record(self, args: Any, kwargs: Any) -> _Variant:
        leaves, structure = tree.flatten((args, kwargs))
        recorder = Recorder(name=getattr(self.f, "__name__", ""), guarded=True)
        with recording(recorder):
            traced = [recorder.argument(x) if is_number(x) else x.value if type(x) is Static else x for x in leaves]
            args, kwargs = tree.unflatten(structure, traced)
            return _Variant(recorder, self.f(*args, **kwargs))

    def _evict(self, variant: _Variant) -> None:
        branches = self._kept[variant]
        branches.remove(variant)
        self._forget(variant)
        if branches.root is None and self._table.get(branches.key) is branches:
            del self._table[branches.key]

    def _forget(self, variant: _Variant) -> None:
        if self._kept.pop(variant, None) is not None:
            self._history.forgotten(variant)

    def _look_around(self, watch: Watch) -> None:
        changed = watch.changed()
        if changed:
            self._watch = None
            warn(
                f"{self!r} was recorded with a captured value that has changed since: {changed}. Replays go on with "
                "what was recorded. Pass it as an argument, or keep it in an array that is changed in place; "
                "check_captured=False silences this"
            )

    # --- copies --------------------------------------------------------------------------------------

    def _options(self) -> dict[str, Any]:
        chosen = self._statics
        return {
            "static_argnums": () if chosen is None else tuple(sorted(chosen.numbers)),
            "static_argnames": () if chosen is None else tuple(sorted(chosen.names)),
            "check_captured": self._check_captured,
            "max_variants": self._most,
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> Function:
        return jit(copy.deepcopy(self.f, memo), **self._options())

    def __reduce__(self) -> Any:
        """By name, as functions are pickled; the copy records anew."""
        module, name = getattr(self.f, "__module__", None), getattr(self.f, "__qualname__", None)
        if isinstance(self.f, FunctionType):
            found: Any = sys.modules.get(str(module))
            for part in str(name).split("."):
                found = getattr(found, part, None)
            if found is self:
                return name
            if found is not self.f:
                raise pickle.PicklingError(
                    f"{self!r} cannot be pickled: {module}.{name} is not the name of a function of a module. Define "
                    "it with def at the top of a module that can be imported; a lambda or an inner function has no name"
                )
        return functools.partial(jit, **self._options()), (self.f,)
