"""Python loops over time become scans: what a `for` leaves on a tape, turn after turn, is one step and its carry.

    h = tanh(x[0] * w + h)   h = tanh(x[1] * w + h)  ...      ->      h, _ = scan(step, h, x)

Turns are alike if they have the same ops, and every operand is, in each of them: a value of the same turn; one of the
turn before (a carry); the same slot (a constant of the loop); or an element of an array, evenly further every turn (an
x). Knows indices and the recording of a scan, no other op.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from wengert.loops.scan import record_scan
from wengert.ops.index import INDEX, SLICE, TAKE
from wengert.record.recorder import Recorder
from wengert.record.state import current
from wengert.record.tracer import Tracer
from wengert.tape import Tape
from wengert.transform.shorter import SHORTER, WAYS, repeated

_FEWEST = 16
"""Turns from which a loop is a scan."""
_TRIED = 64
"""Distances that are tried as the length of a turn."""
_UNEVEN = 3
"""Turns at the beginning that may be unlike the others."""

Ints = np.ndarray[Any, np.dtype[np.int64]]


def scanned(recorder: Recorder, tape: Tape) -> list[int] | None:
    """Append what the tape computes with its loop as a scan; the outputs. None if there is no such loop."""
    for first, period, turns in _runs(tape):
        for skipped in range(_UNEVEN + 1):
            if turns - skipped >= _FEWEST:
                loop = _Loop(tape, first + skipped * period, period, turns - skipped)
                if loop.understood():
                    return loop.append(recorder)
    return None


WAYS.append(scanned)


def _runs(tape: Tape) -> Iterator[tuple[int, int, int]]:
    """Where most of a tape may be turns of a loop: first instruction, instructions a turn, turns."""
    alike = _alike(tape)
    n, middle = len(tape), len(tape) // 2
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
        if SHORTER * (n - (turns - 1) * period) <= n:
            yield first, period, turns


def _alike(tape: Tape) -> Ints:
    """By instruction, in rows, what must be equal in all turns; an index may take another element in each."""
    numbers: dict[Any, int] = {}
    avals = tape.avals
    rows: tuple[list[int], ...] = ([], [], [])
    for k, (op, outs, ins, params) in enumerate(tape.instructions):
        rows[0].append(op.code if len(outs) == 1 else -1 - k)
        rows[1].append(id(avals[outs[0]]) if outs else 0)
        rows[2].append(numbers.setdefault((len(ins), len(params) if op is INDEX else params), len(numbers)))
    return np.array(rows)


class _Loop:
    """Turns of a loop, and what each operand of a turn is."""

    def __init__(self, tape: Tape, first: int, period: int, turns: int) -> None:
        self.tape, self.first, self.period, self.turns = tape, first, period, turns
        rows = tape.instructions[first : first + period * turns]
        self.turn = rows[:period]
        self.rest = tape.instructions[first + period * turns :]
        self.outs: Ints = np.fromiter(chain.from_iterable(r[1] for r in rows), np.int64).reshape(turns, period)
        self.ins: Ints = np.fromiter(chain.from_iterable(r[2] for r in rows), np.int64).reshape(turns, -1)
        self.rows = rows
        self.local: dict[int, int] = {}
        """Operand (counted through the turn) -> which value of the same turn it is."""
        self.carried: dict[int, int] = {}
        """Operand -> which value of the turn before."""
        self.init: dict[int, int] = {}
        """Value that is carried -> the slot that stands for it in the first turn."""
        self.x: dict[int, tuple[int, Any]] = {}
        """Value that is an element of an array -> the array, and the index of all of them."""

    def understood(self) -> bool:
        """Whether every operand is one of the four."""
        k = 0
        for j, (op, _, ins, params) in enumerate(self.turn):
            if op is INDEX:
                index = self._index(j, self.ins[:, k])
                if index is not None:
                    self.x[j] = index
                elif any(self.rows[t * self.period + j][3] != params for t in range(1, self.turns)):
                    return False
            for _ in ins:
                if j not in self.x and not self._operand(k):
                    return False
                k += 1
        avals = self.tape.avals
        return all(avals[s] is avals[int(self.outs[0, j])] for j, s in self.init.items())

    def _operand(self, k: int) -> bool:
        column = self.ins[:, k]
        for t, kind in ((1, self.local), (0, self.carried)):
            j = int(np.searchsorted(self.outs[t], column[1]))
            if j < self.period and self.outs[t, j] == column[1]:
                kind[k] = j
                if t:
                    return bool((column == self.outs[:, j]).all())
                start = int(column[0])
                return bool((column[1:] == self.outs[:-1, j]).all()) and self.init.setdefault(j, start) == start
        return bool((column == column[0]).all())

    def _index(self, j: int, sources: Ints) -> tuple[int, Any] | None:
        """The array of which turn t reads x[start + t * step], and the index of all that are read."""
        every = [self.rows[t * self.period + j][3] for t in range(self.turns)]
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
        tape, turns = self.tape, self.turns
        last = {int(self.outs[-1, j]): j for j in self.init}
        place = {s: divmod(k, self.period) for k, s in enumerate(self.outs.ravel().tolist())}
        read = {s for _, _, ins, _ in self.rest for s in ins} | set(tape.outputs)
        wanted = [s for s in read if s in place and s not in last]
        if SHORTER * (self.first + self.period + len(self.rest) + len(wanted)) > len(tape):
            return None
        number = repeated(recorder, tape, range(self.first), {})
        kept = sorted({place[s][1] for s in wanted})
        carried = list(self.init)
        init = tuple(recorder.tracer(number.get(s, s)) for s in self.init.values())
        xs = tuple(recorder.bind(INDEX, (recorder.tracer(number.get(s, s)),), params) for s, params in self.x.values())

        def step(carry: Sequence[Tracer], x: Sequence[Tracer]) -> Any:
            values = self._step(
                recorder, number, dict(zip(carried, carry, strict=True)), dict(zip(self.x, x, strict=True))
            )
            return tuple(values[j] for j in carried), tuple(values[j] for j in kept)

        carry, ys = record_scan(step, init, xs, turns, False)
        number |= {int(self.outs[-1, j]): h.slot for j, h in zip(carried, carry, strict=True)}
        for s in wanted:
            t, j = place[s]
            number[s] = recorder.item(ys[kept.index(j)].slot, t).slot
        number = repeated(recorder, tape, range(self.first + self.period * turns, len(tape)), number)
        return [number.get(s, s) for s in tape.outputs]

    def _step(
        self, outer: Recorder, number: dict[int, int], carry: dict[int, Tracer], x: dict[int, Tracer]
    ) -> dict[int, Tracer]:
        """Record one turn in the active recorder; its values."""
        inner = current()
        values: dict[int, Tracer] = {}
        k = 0
        for j, ((op, outs, ins, params), line) in enumerate(
            zip(self.turn, self.tape.lines[self.first :], strict=False)
        ):
            inner.line = line
            slots = []
            for s in ins:
                if k in self.local:
                    slots.append(values[self.local[k]].slot)
                elif k in self.carried:
                    slots.append(carry[self.carried[k]].slot)
                elif j not in x:
                    slots.append(self._constant(outer, inner, number.get(s, s)))
                k += 1
            values[j] = x[j] if j in x else inner.tracer(inner.emit(op, tuple(slots), params, self.tape.avals[outs[0]]))
        inner.line = None
        return values

    def _constant(self, outer: Recorder, inner: Recorder, slot: int) -> int:
        lifted = inner.lift(outer.tracer(slot))
        if slot in outer.finite:
            inner.finite.add(lifted)
        return lifted
