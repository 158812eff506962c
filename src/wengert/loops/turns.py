"""Python loops over time become scans: what a `for` leaves on a tape, turn after turn, is one step and its carry.

    h = tanh(x[0] * w + h)   h = tanh(x[1] * w + h)  ...      ->      h, _ = scan(step, h, x)

Turns are alike if they have the same ops, and every operand is, in each of them: a value of the same turn; one of the
turn before (a carry); the same slot (a constant of the loop); an element of an array, evenly further every turn, or an
array of its own (an x). All that comes from outside must be there before the first turn. It is the loop that the middle
of the tape is in which is found. Knows indices, concatenation and the recording of a scan, no other op.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from wengert.loops.scan import record_scan
from wengert.ops.index import INDEX, SLICE, TAKE
from wengert.ops.join import CONCATENATE
from wengert.ops.views import RESHAPE
from wengert.record.recorder import Recorder
from wengert.record.state import current
from wengert.record.tracer import Tracer
from wengert.tape import Tape
from wengert.transform.shorter import WAYS, Copy, much_shorter

_FEWEST = 16
"""Turns from which a loop is a scan."""
_TRIED = 64
"""Distances that are tried as the length of a turn."""
_LOOPS = 8
"""Of these that repeat, how many are looked at closely."""
_UNEVEN = 3
"""Turns at the beginning that may be unlike the others."""

Ints = np.ndarray[Any, np.dtype[np.int64]]


def as_scan(recorder: Recorder, tape: Tape) -> list[int] | None:
    """Append what the tape computes with its loop as a scan; the outputs. None if there is no such loop."""
    columns = _Columns(tape)
    for first, period, turns in islice(columns.runs(), _LOOPS):
        for skipped in range(_UNEVEN + 1):
            if turns - skipped >= _FEWEST:
                loop = _Loop(columns, first + skipped * period, period, turns - skipped)
                found = loop.append(recorder) if loop.understood() else None
                if found is not None:
                    return found
    return None


WAYS.append(as_scan)


class _Columns:
    """A tape as arrays: by instruction its result, its operands one after another, and what it is."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        instructions = tape.instructions
        outs = [s[0] if s else -1 for _, s, _, _ in instructions]
        ins = [s for _, _, s, _ in instructions]
        self.outs: Ints = np.array(outs)
        self.ins: Ints = np.fromiter(chain.from_iterable(ins), np.int64)
        count = np.fromiter(map(len, ins), np.int64)
        self.begin: Ints = np.concatenate([[0], np.cumsum(count)])
        """Where each one's operands begin."""
        # What must be equal in all turns, as numbers: the op, the result's aval (they are interned), the parameters,
        # where an index may take another element, how many operands. Several results make one unlike all others.
        numbers: dict[Any, int] = {}
        kinds = [op.code if len(s) == 1 else -1 - k for k, (op, s, _, _) in enumerate(instructions)]
        whats = [*map(id, map(tape.avals.__getitem__, outs))]
        given = [numbers.setdefault(len(p) if op is INDEX else p, len(numbers)) for op, _, _, p in instructions]
        self.alike: Ints = np.stack([np.array(kinds), np.array(whats), np.array(given), count])

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """Where most of the tape may be turns of a loop: first instruction, instructions a turn, turns."""
        alike, n, middle = self.alike, len(self.tape), len(self.tape) // 2
        same = np.flatnonzero((alike[:, middle + 1 :] == alike[:, middle, None]).all(0)) + 1
        for period in same[:_TRIED].tolist():
            if period * _FEWEST > n or middle + 2 * period > n:
                return
            if not (alike[:, middle : middle + period] == alike[:, middle + period : middle + 2 * period]).all():
                continue
            differ = np.flatnonzero((alike[:, :-period] != alike[:, period:]).any(0))
            at = int(np.searchsorted(differ, middle))
            first = int(differ[at - 1]) + 1 if at else 0
            stop = (int(differ[at]) if at < len(differ) else n - period) + period
            turns = (stop - first) // period
            if much_shorter(n - (turns - 1) * period, self.tape):
                yield first, period, turns


class _Operand(NamedTuple):
    """What an operand is in every turn."""

    kind: str
    """`own`: a value of this turn; `carry`: of the turn before; `fixed`: a slot; `each`: an array of its own."""
    which: int = -1
    """Of the turn's values; the slot."""


class _Loop:
    """Turns of a loop, and what each operand of a turn is."""

    def __init__(self, columns: _Columns, first: int, period: int, turns: int) -> None:
        self.tape, self.first, self.period, self.turns = columns.tape, first, period, turns
        self.stop = first + period * turns
        self.turn = self.tape.instructions[first : first + period]
        self.outs: Ints = columns.outs[first : self.stop].reshape(turns, period)
        self.ins: Ints = columns.ins[columns.begin[first] : columns.begin[self.stop]].reshape(turns, -1)
        self.operands: list[_Operand] = []
        """Of all instructions of a turn, one after another."""
        self.init: dict[int, int] = {}
        """Value of a turn that is carried on -> the slot that stands for it in the first turn."""
        self.elements: dict[int, tuple[int, Any]] = {}
        """Value of a turn that is an element of an array -> the array, and the index of all that are read."""
        self.each: dict[int, Ints] = {}
        """Operand -> the slots that it is."""

    def understood(self) -> bool:
        """Whether every operand is one of the kinds."""
        for j, (op, _, ins, params) in enumerate(self.turn):
            if op is INDEX:
                every = [self.tape.instructions[at][3] for at in range(self.first + j, self.stop, self.period)]
                element = self._element(every, self.ins[:, len(self.operands)])
                if element is not None:
                    self.elements[j] = element
                elif any(p != params for p in every):
                    return False
            for _ in ins:
                operand = self._operand(len(self.operands))
                if operand is None:
                    return False
                self.operands.append(operand)
        outside = [*self.init.values(), *[array for array, _ in self.elements.values()]]
        avals = self.tape.avals
        same = all(avals[s] is avals[int(self.outs[0, j])] for j, s in self.init.items())
        return same and not self._inside(np.array(outside, np.int64))

    def _operand(self, k: int) -> _Operand | None:
        column = self.ins[:, k]
        for t, kind in ((1, "own"), (0, "carry")):
            j = int(np.searchsorted(self.outs[t], column[1]))
            if j < self.period and self.outs[t, j] == column[1]:
                if t:
                    return _Operand(kind, j) if (column == self.outs[:, j]).all() else None
                start = int(column[0])
                fits = (column[1:] == self.outs[:-1, j]).all() and self.init.setdefault(j, start) == start
                return _Operand(kind, j) if fits else None
        if self._inside(column):
            return None
        if (column == column[0]).all():
            return _Operand("fixed", int(column[0]))
        what = self.tape.avals[int(column[0])]
        if not what.ndim or any(self.tape.avals[s] is not what for s in column.tolist()):
            return None
        self.each[k] = column
        return _Operand("each")

    def _places(self, slots: Ints) -> Ints:
        """Where in the loop slots are computed, counted through all turns; -1 outside."""
        flat = self.outs.ravel()
        places = np.minimum(np.searchsorted(flat, slots), len(flat) - 1)
        return np.where(flat[places] == slots, places, -1)

    def _inside(self, slots: Ints) -> bool:
        """Whether one of the slots is computed in the loop."""
        return bool((self._places(slots) >= 0).any())

    def _element(self, every: list[Any], sources: Ints) -> tuple[int, Any] | None:
        """The array of which turn t reads x[start + t * step], and the index of all that are read."""
        kind, start = every[0][:2]
        step = every[1][1] - start
        shape = self.tape.avals[int(sources[0])].shape
        rest = [word for n in shape[1:] for word in (SLICE, 0, 1, n)]
        wanted = [(TAKE, start + t * step, 0, 0, *rest) for t in range(self.turns)]
        if kind != TAKE or not step or every != wanted or not (sources == sources[0]).all():
            return None
        return int(sources[0]), (SLICE, start, step, self.turns, *rest)

    # --- the new instructions --------------------------------------------------------------------------

    def append(self, recorder: Recorder) -> list[int] | None:
        """The outputs, computed by a scan; None if too much of the loop is read afterwards."""
        tape, period = self.tape, self.period
        last = {int(self.outs[-1, j]) for j in self.init}
        rest = tape.instructions[self.stop :]
        read = np.unique(np.array([*tape.outputs, *[s for _, _, ins, _ in rest for s in ins]]))
        places = self._places(read)
        wanted = {s: divmod(at, period) for s, at in zip(read.tolist(), places.tolist(), strict=True)
                  if at >= 0 and s not in last}  # fmt: skip
        if not much_shorter(self.first + period + len(rest) + len(wanted), tape):
            return None
        kept = {j: k for k, j in enumerate(sorted({j for _, j in wanted.values()}))}
        if not self.init and not kept:
            return None
        copy = Copy(recorder, tape)
        copy.append(range(self.first))
        init = tuple(recorder.tracer(copy.slot(s)) for s in self.init.values())

        def step(carry: Sequence[Tracer], xs: Sequence[Sequence[Tracer]]) -> Any:
            values = self._step(copy, dict(zip(self.init, carry, strict=True)), *xs)
            return tuple(values[j] for j in self.init), tuple(values[j] for j in kept)

        carry, ys = record_scan(step, init, self._stacks(copy), self.turns, False)
        copy.slots |= {int(self.outs[-1, j]): h.slot for j, h in zip(self.init, carry, strict=True)}
        for s, (t, j) in wanted.items():
            copy.slots[s] = recorder.item(ys[kept[j]].slot, t).slot
        copy.append(range(self.stop, len(tape)))
        return [copy.slot(s) for s in tape.outputs]

    def _stacks(self, copy: Copy) -> tuple[tuple[Tracer, ...], tuple[Tracer, ...]]:
        """What differs from turn to turn, as arrays over time."""
        recorder, avals = copy.recorder, self.tape.avals
        elements = [
            recorder.bind(INDEX, (recorder.tracer(copy.slot(s)),), params) for s, params in self.elements.values()
        ]
        each = []
        for column in self.each.values():
            slots = column.tolist()
            joined = recorder.bind(CONCATENATE, [recorder.tracer(copy.slot(s)) for s in slots], (0,))
            each.append(recorder.bind(RESHAPE, (joined,), (self.turns, *avals[slots[0]].shape)))
        return tuple(elements), tuple(each)

    def _step(
        self, copy: Copy, carry: dict[int, Tracer], elements: Sequence[Tracer], each: Sequence[Tracer]
    ) -> dict[int, Tracer]:
        """Record one turn in the active recorder; its values."""
        inner, lines = current(), self.tape.lines[self.first : self.first + self.period]
        values = dict(zip(self.elements, elements, strict=True))
        own = dict(zip(self.each, each, strict=True))
        operands = iter(enumerate(self.operands))
        for j, ((op, outs, ins, params), line) in enumerate(zip(self.turn, lines, strict=True)):
            inner.line = line
            mine = [next(operands) for _ in ins]
            if j not in self.elements:
                slots = [self._slot(copy, inner, k, operand, values, carry, own) for k, operand in mine]
                values[j] = inner.tracer(inner.emit(op, tuple(slots), params, self.tape.avals[outs[0]]))
        inner.line = None
        return values

    @staticmethod
    def _slot(
        copy: Copy, inner: Recorder, k: int, operand: _Operand,
        values: dict[int, Tracer], carry: dict[int, Tracer], own: dict[int, Tracer],
    ) -> int:  # fmt: skip
        """The slot of an operand in the step."""
        if operand.kind == "fixed":
            slot = copy.slot(operand.which)
            lifted = inner.lift(copy.recorder.tracer(slot))
            if slot in copy.recorder.finite:
                inner.finite.add(lifted)
            return lifted
        return {"own": values, "carry": carry}[operand.kind][operand.which].slot if k not in own else own[k].slot
