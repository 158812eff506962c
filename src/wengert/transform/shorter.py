"""Loops of the forward pass are rolled up before its adjoint is written, which is short then, too. Knows no op.

What has been recorded stays: somebody may hold its slots. The results are computed once more by the fewer
instructions, and what nobody reads any longer goes when the tape is planned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wengert.ops.guard import GUARD
from wengert.plan.live import pruned
from wengert.plan.rolled import roll
from wengert.record.recorder import Recorder
from wengert.tape import Tape

_LONG = 500
"""Instructions from which it is worth looking for loops."""
_SHORTER = 4
"""How many times shorter it must become."""


def shorter(recorder: Recorder, start: int, stop: int, outputs: Sequence[int]) -> list[int]:
    """These outputs of a segment, as slots that fewer instructions, appended here, compute; or the same slots."""
    same = list(outputs)
    if stop - start < _LONG:
        return same
    segment = recorder.instructions[start:stop]
    if any(op is GUARD for op, *_ in segment):
        return same  # they need what has been recorded
    tape = Tape(
        segment, recorder.avals, (), outputs, recorder.consts, (), recorder.lines[start:stop], recorder.subtapes
    )
    for way in WAYS:
        found = pruned(way(tape))
        if _SHORTER * len(found) <= len(tape):
            return _appended(recorder, found)
    return same


WAYS: list[Callable[[Tape], Tape]] = [roll]


def _appended(recorder: Recorder, tape: Tape) -> list[int]:
    """Append a tape whose sources are slots of the recorder."""
    known = {c.slot for c in recorder.consts}
    number: dict[int, int] = {}
    for const in tape.consts:
        if const.slot not in known:
            number[const.slot] = slot = recorder.new(tape.avals[const.slot])
            recorder.consts.append(const._replace(slot=slot))
    before = recorder.line
    for (op, outs, ins, params), line in zip(tape.instructions, tape.lines, strict=True):
        recorder.line = line
        slots = recorder.emit_many(op, tuple([number.get(s, s) for s in ins]), params, [tape.avals[s] for s in outs])
        number.update(zip(outs, slots, strict=True))
    recorder.line = before
    return [number.get(s, s) for s in tape.outputs]
