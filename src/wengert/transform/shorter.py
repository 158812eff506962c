"""Loops of the forward pass are rolled up before its adjoint is written, which is short then, too. Knows no op.

What has been recorded stays: somebody may hold its slots. The results are computed once more by the fewer
instructions, and what nobody reads any longer goes when the tape is planned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wengert.ops.guard import GUARD
from wengert.plan.live import pruned
from wengert.plan.rolled import roll
from wengert.record.recorder import Recorder
from wengert.tape import Tape

_LONG = 500
"""Instructions from which it is worth looking for loops."""
SHORTER = 4
"""How many times shorter it must become."""


def shorter(recorder: Recorder, start: int, outputs: list[int]) -> tuple[int, list[int]]:
    """Fewer instructions, appended, for outputs of what has been recorded since `start`: where they begin, and the
    slots that stand for the outputs. The same start and slots if there is no loop."""
    segment = recorder.instructions[start:]
    if len(segment) < _LONG or any(op is GUARD for op, *_ in segment):  # guards need what has been recorded
        return start, outputs
    tape = Tape(segment, recorder.avals, (), outputs, recorder.consts, (), recorder.lines[start:], recorder.subtapes)
    for way in WAYS:
        found = way(recorder, tape)
        if found is not None:
            return start + len(segment), found
    return start, outputs


def rolled(recorder: Recorder, tape: Tape) -> list[int] | None:
    """Loops over elements as array instructions."""
    found = roll(tape)
    if found is tape or SHORTER * len(found := pruned(found)) > len(tape):
        return None
    known = {c.slot for c in recorder.consts}
    number: dict[int, int] = {}
    for const in found.consts:
        if const.slot not in known:
            number[const.slot] = slot = recorder.new(found.avals[const.slot])
            recorder.consts.append(const._replace(slot=slot))
    number = repeated(recorder, found, range(len(found)), number)
    return [number.get(s, s) for s in found.outputs]


WAYS: list[Callable[[Recorder, Tape], list[int] | None]] = [rolled]
"""They append what a tape computes, and give its outputs, if that makes it shorter; `loops` has another one."""


def repeated(recorder: Recorder, tape: Tape, positions: Iterable[int], number: dict[int, int]) -> dict[int, int]:
    """Append instructions of a tape once more; their slots, and the given ones, by those on the tape."""
    number = number.copy()
    before = recorder.line
    for at in positions:
        op, outs, ins, params = tape.instructions[at]
        recorder.line = tape.lines[at]
        if op.bodies:  # an adjoint may have a body give more results, so each instruction has its own
            bodies = range(len(recorder.subtapes), len(recorder.subtapes) + op.bodies)
            recorder.subtapes.extend(tape.subtapes[k] for k in params[: op.bodies])
            params = (*bodies, *params[op.bodies :])
        slots = recorder.emit_many(op, tuple([number.get(s, s) for s in ins]), params, [tape.avals[s] for s in outs])
        number.update(zip(outs, slots, strict=True))
    recorder.line = before
    return number
