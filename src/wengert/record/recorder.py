"""The recorder: appends instructions, finds slots for operands, gives values on demand. Knows no derivative.

There is one active recorder a thread. Loops record their body with a child: a tracer of a parent that the
body uses becomes an extra input of the body (it is lifted). Constants and captured arrays always belong to
the outermost recorder, so a body's tape depends on its inputs alone.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from wengert.errors import (
    PACKAGE,
    LeakedTracerError,
    MutationError,
    ObjectArrayError,
    WengertError,
    Where,
    at_user,
    here,
)
from wengert.ops.elementwise import CAST, MUL, MUL0, Elementwise, Operand
from wengert.ops.index import INDEX, SLICE, TAKE
from wengert.ops.spec import Op, Params
from wengert.ops.views import BROADCAST, RESHAPE, TRANSPOSE
from wengert.record.held import Held
from wengert.record.state import LEAKED
from wengert.record.tracer import Tracer
from wengert.shapes import BOOL, F64, Aval, aval, supported
from wengert.tape import Captured, Const, Instruction, Tape

_SCALAR = aval(F64, ())
VIEWS = (INDEX, RESHAPE, TRANSPOSE, BROADCAST)
FINITE = float(np.finfo(np.float32).max)
"""A number of at most so much is finite in any floating-point dtype."""


class Missing:
    """Stands for an argument that was not given."""


@lru_cache(maxsize=4096)
def _inferred(op: Op, avals: tuple[Aval, ...], params: Params) -> tuple[Aval, ...]:
    return op.infer(avals, params)


class Recorder:
    """A tape being written."""

    notes = False
    """Whether calls of NumPy's functions are to come in by `called` and `applied`."""

    def __init__(self, parent: Recorder | None = None, name: str = "", guarded: bool = False) -> None:
        self.parent = parent
        self.name = name
        self.guarded = guarded
        self.derivatives: int = parent.derivatives if parent is not None else 0
        """How many derivatives are being taken around this point: inner ones must be differentiable."""
        self.instructions: list[Instruction] = []
        self.avals: list[Aval] = []
        self.lines: list[Where | None] = []
        self.inputs: list[int] = []
        self.consts: list[Const] = []
        self.captured: list[Captured] = []
        self.subtapes: list[Tape] = []
        self.lifts: list[Tracer] = []
        self.values: dict[int, Any] = {}
        self.evaluated = 0
        """How many instructions have their values."""
        self.grown: list[int] = []
        """Earlier instructions that have got further results since."""
        self.line: Where | None = None
        """Set while a derivative or what a rule records is appended: the line that it belongs to."""
        self.flow: list[list[int]] | None = None
        """If a list: the adjoints of loops append to it, by carry, slots of the norms of the carry's adjoint."""
        self.refused: WengertError | None = None
        """Why a tracer could not be an index, for `recording`: NumPy hides it behind an error of its own."""
        self.finite: set[int] = set()
        """Slots that are constant numbers, and finite."""
        self.infinite: list[int] = []
        """Slots of those that are not: a program for them is not one for finite numbers, see `scaling`."""
        self._items: dict[tuple[int, int], int] = {}
        self._const_slots: dict[Any, int] = {}
        self._capture_slots: dict[int, int] = {}
        self._lifted: dict[tuple[int, int], int] = {}
        self.held = Held()

    def is_constant(self, slot: int) -> bool:
        """Whether a slot is a number of the user's own program."""
        return slot in self._const_slots.values()

    @property
    def root(self) -> Recorder:
        """The outermost recorder, which owns constants and captured arrays (no attribute: no cycle)."""
        return self if self.parent is None else self.parent.root

    # --- appending -----------------------------------------------------------------------------------

    def new(self, what: Aval) -> int:
        """A slot."""
        self.avals.append(what)
        return len(self.avals) - 1

    def emit(self, op: Op, ins: tuple[int, ...], params: Params, what: Aval) -> int:
        """Append an instruction with one result; its slot."""
        avals = self.avals
        slot = len(avals)
        avals.append(what)
        self.instructions.append((op, (slot,), ins, params))
        self.lines.append(self.line or here())
        return slot

    def emit_many(self, op: Op, ins: tuple[int, ...], params: Params, whats: Sequence[Aval]) -> tuple[int, ...]:
        """Append an instruction with any number of results."""
        slots = tuple(self.new(w) for w in whats)
        self.instructions.append((op, slots, ins, params))
        self.lines.append(self.line or here())
        return slots

    def input(self, what: Aval, value: Any = None, kind: Operand | None = None) -> Tracer:
        """A new input; with a value, values that depend on it can be asked for."""
        slot = self.new(what)
        self.inputs.append(slot)
        if value is not None:
            self.values[slot] = value
        return Tracer(self, slot, what, kind)

    def argument(self, x: Any) -> Tracer:
        """A new input for an argument of the user's: a number or an array."""
        if type(x) is float:
            return self.input(_SCALAR, x, float)
        given = np.array(x)
        return self.input(aval(given.dtype, given.shape), given, int if type(x) is int else None)

    def arguments(self, values: list[Any]) -> list[Tracer]:
        """A new input for each of a function's arguments."""
        return [self.argument(x) for x in values]

    def tracer(self, slot: int) -> Tracer:
        """The tracer of a slot."""
        return Tracer(self, slot, self.avals[slot])

    def tape(self, outputs: Sequence[int]) -> Tape:
        """What has been recorded, frozen."""
        return Tape(
            self.instructions, self.avals, self.inputs, outputs, self.consts, self.captured,
            self.lines, self.subtapes, self.name,
        )  # fmt: skip

    def item(self, slot: int, position: int) -> Tracer:
        """`x[position]`, what Python loops are made of; asked for again, it is the same slot."""
        key = (slot, position)
        found = self._items.get(key)
        if found is None:
            x = self.avals[slot]
            params: tuple[int, ...] = (TAKE, position, 0, 0)
            for n in x.shape[1:]:
                params += (SLICE, 0, 1, n)
            found = self._items[key] = self.emit(INDEX, (slot,), params, aval(x.dtype, x.shape[1:]))
        return self.tracer(found)

    # --- operands ------------------------------------------------------------------------------------

    def bind(self, op: Op, operands: Sequence[Any], params: Params) -> Any:
        """Record an op on anything that can be an operand."""
        if isinstance(op, Elementwise):
            return self.elementwise(op, operands)
        slots = tuple([x.slot if type(x) is Tracer and x.recorder is self else self.slot(x) for x in operands])
        if op.n_out == 1:
            return self.tracer(self.apply(op, slots, params))
        whats = op.infer([self.avals[s] for s in slots], params)
        return [self.tracer(s) for s in self.emit_many(op, slots, params, whats)]

    def apply(self, op: Op, ins: tuple[int, ...], params: Params) -> int:
        """Record an op with one result on slots; the result's slot."""
        avals = self.avals
        return self.emit(op, ins, params, _inferred(op, tuple([avals[s] for s in ins]), params)[0])

    def called(self, function: Callable[..., Any], x: Any, y: Any = Missing) -> Any:
        """A call of one of NumPy's functions, as the user made it."""
        return function(x) if y is Missing else function(x, y)

    def applied(self, function: Callable[..., Any], given: Sequence[Any], n: int) -> Any:
        """The same with any arguments: the first n, then the names of the others, then those."""
        middle = (n + len(given)) // 2
        return function(*given[:n], **dict(zip(given[n:middle], given[middle:], strict=True)))

    def ruled(self, rule: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any] | None = None) -> Any:
        """What a rule makes of its operands; all that it records belongs to one line, which is looked up once."""
        if self.line is not None:
            return rule(*args, **kwargs) if kwargs else rule(*args)
        self.line = here()
        try:
            return rule(*args, **kwargs) if kwargs else rule(*args)
        finally:
            self.line = None

    def direct(self, rule: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
        """The same for an operator's rule."""
        return self.ruled(rule, (x, y))

    def single(self, op: Elementwise, x: Tracer, weak: bool = True) -> Tracer:
        """`elementwise` of one tracer, the short way where nothing needs to be looked at."""
        if x.recorder is self:
            entry = op.resolve((x.kind,))
            if entry.exact:
                return self._append(op, (x.slot,), entry.what, entry.kind if weak else entry.what)
        return self.elementwise(op, (x,), weak)

    def pair(self, op: Elementwise, x: Any, y: Any) -> Tracer:
        """`elementwise` of an operator's two operands, the short way for tracers and Python numbers."""
        kind_x, kind_y = type(x), type(y)
        first = x.slot if kind_x is Tracer and x.recorder is self else None
        second = y.slot if kind_y is Tracer and y.recorder is self else None
        if first is not None and second is not None:
            entry = op.resolve((x.kind, y.kind))
        elif first is not None and (kind_y is float or kind_y is int):
            entry = op.resolve((x.kind, kind_y))
        elif second is not None and (kind_x is float or kind_x is int):
            entry = op.resolve((kind_x, y.kind))
        else:
            return self.elementwise(op, (x, y), True)
        try:
            if first is None and entry.dtypes[1] is y.aval.dtype:
                first = self.const(x, entry.dtypes[0])
            elif second is None and entry.dtypes[0] is x.aval.dtype:
                second = self.const(y, entry.dtypes[1])
        except OverflowError:
            pass
        if first is None or second is None or not (entry.exact or kind_x is not kind_y):
            return self.elementwise(op, (x, y), True)
        return self._append(op, (first, second), entry.what, entry.kind)

    def _append(self, op: Elementwise, ins: tuple[int, ...], what: Aval, kind: Operand) -> Tracer:
        """`emit`, written out for the path of nearly every recorded operation."""
        slot = len(self.avals)
        self.avals.append(what)
        self.instructions.append((op, (slot,), ins, ()))
        if self.line is None:
            frame = sys._getframe(3)
            code = frame.f_code
            self.lines.append(here() if code.co_filename.startswith(PACKAGE) else (code, frame.f_lasti))
        else:
            self.lines.append(self.line)
        return Tracer(self, slot, what, kind)

    def elementwise(self, op: Elementwise, operands: Sequence[Any], weak: bool = False) -> Tracer:
        """Record an elementwise op; `weak` lets a result of Python numbers alone stay one."""
        found = [x if type(x) in (Tracer, float, int) else self.operand(x) for x in operands]
        if op is MUL0 and type(found[1]) is not int:
            op = self.scaling(found[1])
        entry = op.resolve(tuple([x.kind if type(x) is Tracer else type(x) for x in found]))
        slots = []
        for x, dtype in zip(found, entry.dtypes, strict=True):
            if type(x) is Tracer:
                slots.append(self.cast(x.slot if x.recorder is self else self.lift(x), dtype))
            else:
                try:
                    slots.append(self.const(x, dtype))
                except OverflowError:
                    if entry.what.dtype != BOOL:
                        raise
                    # NumPy compares by value with integers that the dtype cannot hold.
                    return self.elementwise(op, [v if type(v) is Tracer else np.float64(v) for v in found])
        slot = self.emit(op, tuple(slots), (), entry.what)
        return Tracer(self, slot, entry.what, entry.kind if weak else entry.what)

    def refuse_views(self, tracer: Tracer) -> None:
        """Raise if an array that is to be updated in place is a view, or has views: they would not follow."""
        slot = tracer.slot if tracer.recorder is self else -1
        for op, outs, ins, _ in reversed(self.instructions):
            if op in VIEWS and (slot in ins or slot in outs):
                raise MutationError(
                    at_user(
                        f"an array ({tracer.aval}) is updated in place while it is a view of another, or views of it "
                        "exist; they would not follow. Write x = x + y in place of x += y"
                    )
                )
            if slot in outs:
                return

    def cast(self, slot: int, dtype: np.dtype[Any]) -> int:
        """The slot in another dtype."""
        before = self.avals[slot]
        if before.dtype is dtype:
            return slot
        what = aval(dtype, before.shape)
        return self.emit(CAST, (slot,), (what.code,), what)

    def slot(self, x: Any) -> int:
        """The slot of an operand, which is captured or made a constant where it is not traced."""
        tracer = self.operand(x)
        return tracer.slot if tracer.recorder is self else self.lift(tracer)

    def operand(self, x: Any) -> Tracer:
        """Anything that can be an operand as a tracer of this recorder or one around it."""
        if type(x) is Tracer:
            return x
        root = self.root
        if isinstance(x, np.ndarray):
            if x.dtype == object:
                return self.stacked(x)
            return root.tracer(root.capture(x))
        if isinstance(x, bool | int | float | np.generic):
            dtype = np.asarray(x).dtype
            slot = root.const(x, supported(dtype))
            return Tracer(root, slot, root.avals[slot], type(x) if type(x) in (float, int) else None)
        array = np.asarray(x)
        if array.dtype == object:
            return self.stacked(array)
        return self.constant(array)

    def constant(self, array: np.ndarray[Any, Any]) -> Tracer:
        """An array that nobody else holds, as a value on the tape."""
        root = self.root
        found = root.tracer(root.new(aval(supported(array.dtype), array.shape)))
        root.consts.append(Const(found.slot, np.array(array, dtype=found.dtype)))
        return found

    def stacked(self, array: np.ndarray[Any, Any]) -> Tracer:
        """An object array that NumPy made of tracers, as the stack that was meant."""
        if not any(type(x) is Tracer for x in array.flat):
            kinds = sorted({type(x).__name__ for x in array.flat}) or ["nothing"]
            raise ObjectArrayError(
                at_user(
                    f"an object array of shape {array.shape} holding {', '.join(kinds)} cannot be recorded; "
                    "give it a numeric dtype"
                )
            )
        parts: Any = [x if type(x) is Tracer else self.operand(x) for x in array.flat]
        flat: Any = np.stack(parts)
        inner = flat.shape[1:]
        found: Tracer = flat.reshape(array.shape + inner)
        return found

    def const(self, value: Any, dtype: np.dtype[Any]) -> int:
        """The slot of a constant scalar; equal constants share it."""
        key = (dtype, value) if value else (dtype, str(value))
        slot = self._const_slots.get(key)
        if slot is None:
            root = self.root
            if root is not self:
                there = root.const(value, dtype)
                slot, finite = self.lift(root.tracer(there)), there in root.finite
            else:
                slot = self.new(aval(dtype, ()))
                typed = np.array(value, dtype)[()]
                finite = math.isfinite(typed)  # in its own dtype
                self.consts.append(Const(slot, typed))
                self.values[slot] = typed
            self._const_slots[key] = slot
            if finite:
                self.finite.add(slot)
            else:
                self.infinite.append(slot)
        return slot

    def scaling(self, x: Any) -> Elementwise:
        """What multiplies an adjoint by x: `mul0`, or `mul` where x is a finite number and zero times it is zero."""
        number = abs(x) <= FINITE if type(x) is float else x.recorder is self and x.slot in self.finite
        return MUL if number else MUL0

    def forget_constants(self) -> None:
        """Let no later constant share the slot of an earlier one."""
        self._const_slots.clear()

    def capture(self, array: np.ndarray[Any, Any]) -> int:
        """The slot of an array of the user's, which stays unchanged while the recording lasts."""
        slot = self._capture_slots.get(id(array))
        if slot is None:
            slot = self.new(aval(supported(array.dtype), array.shape))
            self.captured.append(Captured(slot, array))
            self._capture_slots[id(array)] = slot
            self.held.freeze(array)
            self.held.compare(array, array)
        return slot

    def check(self, tracer: Tracer) -> None:
        """Raise unless the tracer belongs to this recorder or to one around it."""
        around: Recorder | None = self
        while around is not None and around is not tracer.recorder:
            around = around.parent
        if around is None:
            raise LeakedTracerError(at_user(LEAKED.format(tracer.aval)))

    def lift(self, tracer: Tracer) -> int:
        """The slot by which a tracer of a recorder around this one is known here."""
        if tracer.recorder is self:
            return tracer.slot
        key = (id(tracer.recorder), tracer.slot)
        slot = self._lifted.get(key)
        if slot is None:
            self.check(tracer)
            slot = self.new(tracer.aval)
            self.lifts.append(tracer)
            self._lifted[key] = slot
        return slot
