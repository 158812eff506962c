"""Walks a segment of a tape backwards and appends its adjoint. Knows ops only by their pullbacks.

The adjoint is not a second interpreter but more instructions on the same tape, written by the chain rule:
for z = op(x, y, ...) with adjoint z_bar, each operand's adjoint gains `pullback(z_bar)`. So a gradient is
replayed, planned and printed as any other code, and can be differentiated again.

Where nothing will differentiate it again, the increment of an elementwise op is one instruction (its row's
formula, fused); inside another derivative the formula is recorded op by op.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from wengert.ops.elementwise import ACC, ADD, MUL0, NEG, Elementwise
from wengert.ops.index import INDEX, INDEX_ADD, SLICE, SPARSE, Segment, segments, singles
from wengert.ops.join import CONCATENATE
from wengert.ops.matmul import MATMUL
from wengert.ops.reduce import SUM
from wengert.ops.spec import Op, Params
from wengert.ops.views import BROADCAST, RESHAPE, TRANSPOSE
from wengert.record.recorder import Recorder
from wengert.record.tracer import Tracer
from wengert.shapes import Aval, aval, reduced

Slots = tuple[int, ...]
Bars = dict[int, int]
"""Slot -> the slot that holds its adjoint so far."""


class Deferred(NamedTuple):
    """A part of a loop constant's adjoint that is not summed step by step but computed once, after the loop."""

    slot: int
    """The constant."""
    z_bar: int
    """The adjoint, in the step of the reverse loop, that all steps' values are needed of."""
    left: int | None
    """For z = left @ constant the left operand; None for z = ... + constant (or minus, with `negative`)."""
    negative: bool = False


class Walk:
    """A walk over `source` that appends to `recorder`: usually the same; in a loop the adjoint's own step."""

    def __init__(self, recorder: Recorder, source: Recorder, bars: Bars, constants: frozenset[int]) -> None:
        self.recorder, self.source, self.bars = recorder, source, bars
        self.constants = constants
        """Of a loop: slots that are the same in every step."""
        self.active: set[int] = set()
        self.deferred: list[Deferred] = []
        self.parts: dict[int, list[tuple[Params, int]]] = {}
        """Adjoints of x[index] that are still to be put into the adjoint of x: the index, and their slots."""

    def primal(self, slot: int) -> int:
        """The source's slot as the recorder knows it."""
        return slot if self.source is self.recorder else self.recorder.lift(self.source.tracer(slot))


def pull_back(recorder: Recorder, start: int, stop: int, bars: Bars, wrt: Sequence[int]) -> list[int | None]:
    """Append the adjoint of instructions `start` to `stop`; the adjoints of `wrt`, None where there is none.

    `bars` holds the adjoints of the results. Only slots that depend on `wrt` are followed.
    """
    return walk_back(Walk(recorder, recorder, bars, frozenset()), start, stop, wrt)


def walk_back(walk: Walk, start: int, stop: int, wrt: Sequence[int]) -> list[int | None]:
    """`pull_back` where the instructions may be another recorder's (a parent's): see `Walk`."""
    recorder, bars = walk.recorder, walk.bars
    walk.active, positions = _activity(walk.source, start, stop, wrt)
    before = recorder.line
    try:
        for at in reversed(positions):
            op, outs, ins, params = walk.source.instructions[at]
            for s in outs:
                if s in walk.parts:
                    _settle(walk, s)
            if any(s in bars for s in outs):
                recorder.line = walk.source.lines[at]
                _step(walk, at, op, outs, ins, params)
        for s in list(walk.parts):
            _settle(walk, s)
    finally:
        recorder.line = before
    return [bars.get(s) for s in wrt]


def _activity(recorder: Recorder, start: int, stop: int, wrt: Sequence[int]) -> tuple[set[int], list[int]]:
    """Slots that depend on `wrt` and carry a derivative, and the instructions that write them."""
    active, positions, avals = set(wrt), [], recorder.avals
    for at in range(start, stop):
        _, outs, ins, _ = recorder.instructions[at]
        if not active.isdisjoint(ins):
            found = [s for s in outs if avals[s].is_float]
            if found:
                active.update(found)
                positions.append(at)
    return active, positions


def _step(walk: Walk, at: int, op: Op, outs: Slots, ins: Slots, params: Params) -> None:
    """One instruction's part of the chain rule."""
    recorder, bars = walk.recorder, walk.bars
    if isinstance(op, Elementwise):
        _elementwise(walk, op, outs[0], ins)
        return
    if op in SPARSE:
        _sparse(walk, op, outs[0], ins, params)
        return
    if op is MATMUL and _defers_product(walk, outs[0], ins):
        return
    if op.n_out != 1:
        increments = op.adjoint(walk, at, [bars.get(s) for s in outs])  # type: ignore[attr-defined]
    else:
        traced = [walk.source.tracer(s) for s in ins]
        found = op.pullback(recorder.tracer(bars[outs[0]]), traced, walk.source.tracer(outs[0]), params)
        increments = [recorder.slot(x) if isinstance(x, Tracer) else None for x in found]
    for slot, increment in zip(ins, increments, strict=True):
        if increment is not None and slot in walk.active:
            add(recorder, bars, slot, increment)


def _defers_product(walk: Walk, z: int, ins: Slots) -> bool:
    """z = h @ W with a loop's constant W: its adjoint is one product after the loop, over all steps at once."""
    recorder, (h, w) = walk.recorder, ins
    avals = walk.source.avals
    if w not in walk.active or w not in walk.constants or h in walk.constants or avals[h].ndim != 2:
        return False
    z_bar = walk.bars[z]
    walk.deferred.append(Deferred(w, z_bar, h))
    if h in walk.active:
        turned = recorder.bind(TRANSPOSE, (walk.source.tracer(w),), (1, 0))
        add(recorder, walk.bars, h, recorder.bind(MATMUL, (recorder.tracer(z_bar), turned), ()).slot)
    return True


def _elementwise(walk: Walk, op: Elementwise, z: int, ins: Slots) -> None:
    recorder, avals = walk.recorder, walk.source.avals
    z_bar = walk.bars[z]
    z_type = recorder.avals[z_bar]
    for k, slot in enumerate(ins):
        pull = op.fused[k]
        if slot not in walk.active or not pull:
            continue
        if slot in walk.constants and isinstance(pull, str):
            walk.deferred.append(Deferred(slot, z_bar, None, pull == "-1"))
            continue
        if pull == "1":
            increment = z_bar
        elif pull == "-1":
            increment = recorder.emit(NEG, (z_bar,), (), z_type)
        elif recorder.derivatives:
            function = op.pull_functions[k]
            assert function is not None
            found = function(recorder.tracer(z_bar), *map(walk.source.tracer, ins), walk.source.tracer(z))
            increment = recorder.slot(found)
        else:
            assert not isinstance(pull, str)
            last = len(ins) + 1
            used = tuple([z_bar if i == 0 else walk.primal(z if i == last else ins[i - 1]) for i in pull[1]])
            times = recorder.scaling(recorder.tracer(used[1])) if pull[0] is MUL0 else pull[0]
            increment = recorder.emit(times, used, (), z_type)
        if avals[slot] is not recorder.avals[increment]:
            increment = unbroadcast(recorder, increment, avals[slot])
        add(recorder, walk.bars, slot, increment)


def unbroadcast(recorder: Recorder, slot: int, what: Aval) -> int:
    """Sum over the axes along which an operand was repeated."""
    shape = recorder.avals[slot].shape
    lead = len(shape) - what.ndim
    axes = (*range(lead), *(k + lead for k, n in enumerate(what.shape) if n == 1 and shape[k + lead] != 1))
    if axes:
        slot = recorder.emit(SUM, (slot,), (0, *axes), aval(what.dtype, reduced(shape, axes, False)))
    return slot if recorder.avals[slot] is what else recorder.emit(RESHAPE, (slot,), what.shape, what)


def _sparse(walk: Walk, op: Op, z: int, ins: Slots, params: Params) -> None:
    """An index's adjoint is summed into its part of the operand's adjoint."""
    recorder, bars, x = walk.recorder, walk.bars, ins[0]
    if x not in walk.active:
        return
    if op is INDEX:
        walk.parts.setdefault(x, []).append((params, bars[z]))
        return
    what = walk.source.avals[x]
    if x not in bars:
        bars[x] = zeros(recorder, what)
    bars[x] = recorder.emit(SPARSE[op], (bars[x], walk.primal(ins[1]), bars[z]), params, what)


def _settle(walk: Walk, x: int) -> None:
    """Put the parts of an adjoint together: side by side where that is possible, else added one after another."""
    recorder, bars, what = walk.recorder, walk.bars, walk.source.avals[x]
    sums: dict[Params, int] = {}
    for params, z_bar in walk.parts.pop(x):
        add(recorder, sums, params, z_bar)
    parts = [*sums.items()]
    found = segments(what.shape, [*sums])
    if found is not None and (x not in bars or all(len(s.parts) == 1 for s in found[1])):
        axis, cut = found
        pieces = [_segment(recorder, parts, what, axis, s) for s in cut]
        add(recorder, bars, x, recorder.emit(CONCATENATE, tuple(pieces), (axis,), what))
        return
    places = singles(what.shape, [*sums])
    if places is not None:
        zero = recorder.const(0.0, what.dtype) if -1 in places else -1
        whole = recorder.emit(CONCATENATE, tuple(zero if k < 0 else parts[k][1] for k in places), (0,), what)
        add(recorder, bars, x, whole)
        return
    if x not in bars:
        bars[x] = zeros(recorder, what)
    for params, z_bar in parts:
        bars[x] = recorder.emit(INDEX_ADD, (bars[x], z_bar), params, what)


def _segment(recorder: Recorder, parts: Sequence[tuple[Params, int]], what: Aval, axis: int, segment: Segment) -> int:
    """The adjoint of one stretch of an axis: the sum of what the slices that take it say of it."""
    shape = what.shape
    mine = aval(what.dtype, (*shape[:axis], segment.stop - segment.start, *shape[axis + 1 :]))
    found = -1
    for k in segment.parts:
        params, z_bar = parts[k]
        if recorder.avals[z_bar] is not mine:
            whole = [(SLICE, 0, 1, n) for n in mine.shape]
            whole[axis] = (SLICE, segment.start - params[4 * axis + 1], 1, mine.shape[axis])
            z_bar = recorder.emit(INDEX, (z_bar,), sum(whole, ()), mine)
        found = z_bar if found < 0 else recorder.emit(ADD, (found, z_bar), (), mine)
    return zeros(recorder, mine) if found < 0 else found


def add(recorder: Recorder, bars: dict[Any, int], slot: Any, increment: int) -> None:
    """Adjoints add up."""
    so_far = bars.get(slot)
    if so_far is None:
        bars[slot] = increment
    else:
        what = recorder.avals[increment]
        op = ADD if what.size == 1 else ACC
        bars[slot] = recorder.emit(op, (so_far, increment), (), what)


def zeros(recorder: Recorder, what: Aval) -> int:
    """A slot of zeros: one number, seen as many."""
    return filled(recorder, 0.0, what)


def filled(recorder: Recorder, value: Any, what: Aval) -> int:
    """A slot that holds one constant everywhere."""
    slot = recorder.const(value, what.dtype)
    return recorder.emit(BROADCAST, (slot,), what.shape, what) if what.shape else slot
