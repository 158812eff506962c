"""Loops of the forward pass are rolled up before its adjoint is written, which is short then, too. Knows no op.

What has been recorded stays: somebody may hold its slots. The results are computed once more by fewer instructions,
which are appended. None of these may read what the old ones computed: the adjoint is written of the new ones alone.
What nobody reads any longer goes when the tape is planned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wengert.ops.guard import GUARD
from wengert.plan.live import live
from wengert.plan.rolled import roll
from wengert.record.recorder import Recorder
from wengert.tape import Tape

_LONG = 500
"""Instructions from which it is worth looking for loops."""
_SHORTER = 4
"""How many times shorter it must become."""


def shorter(recorder: Recorder, start: int, outputs: list[int]) -> tuple[int, list[int]]:
    """Fewer instructions, appended, for outputs of what has been recorded since `start`: where they begin, and the
    slots that stand for the outputs. The same start and slots if there is no loop."""
    segment = recorder.instructions[start:]
    if len(segment) < _LONG or recorder.flow is not None or any(op is GUARD for op, *_ in segment):
        return start, outputs  # guards, and who asks for the flow of adjoints, need what has been recorded
    lines = recorder.lines[start:]
    whole = Tape(segment, recorder.avals, (), outputs, recorder.consts, (), lines, recorder.subtapes)
    kept = live(whole)
    if len(kept) < _LONG:
        return start, outputs
    tape = Tape(
        [segment[k] for k in kept], recorder.avals, (), outputs, recorder.consts, (), [lines[k] for k in kept],
        recorder.subtapes,
    )  # fmt: skip
    for way in WAYS:
        found = way(recorder, tape)
        if found is not None:
            return start + len(segment), found
    return start, outputs


def much_shorter(instructions: int, tape: Tape) -> bool:
    """Whether so many instructions are worth it in place of a tape."""
    return _SHORTER * instructions <= len(tape)


class Copy:
    """Instructions of a tape appended to a recorder once more, under other slots."""

    def __init__(self, recorder: Recorder, tape: Tape) -> None:
        self.recorder, self.tape = recorder, tape
        self.slots: dict[int, int] = {}
        """Slots of the tape by those that stand for them."""
        self.written = {s for _, outs, _, _ in tape.instructions for s in outs}

    def slot(self, s: int) -> int:
        """What stands for a slot; itself if it is from before the tape."""
        found = self.slots.get(s)
        if found is None:
            assert s not in self.written, "an instruction of the copy would read what the original computed"
            return s
        return found

    def append(self, positions: Iterable[int]) -> None:
        """Append these instructions."""
        recorder, tape = self.recorder, self.tape
        before = recorder.line
        try:
            for at in positions:
                op, outs, ins, params = tape.instructions[at]
                recorder.line = tape.lines[at]
                if op.bodies:  # an adjoint may have a body give more results, so each instruction has its own
                    bodies = range(len(recorder.subtapes), len(recorder.subtapes) + op.bodies)
                    recorder.subtapes.extend(tape.subtapes[k] for k in params[: op.bodies])
                    params = (*bodies, *params[op.bodies :])
                whats = [tape.avals[s] for s in outs]
                self.slots.update(
                    zip(outs, recorder.emit_many(op, tuple(map(self.slot, ins)), params, whats), strict=True)
                )
        finally:
            recorder.line = before


def as_arrays(recorder: Recorder, tape: Tape) -> list[int] | None:
    """Loops over elements as array instructions."""
    found = roll(tape)
    if found is tape:
        return None
    kept = live(found)
    if not much_shorter(len(kept), tape):
        return None
    copy = Copy(recorder, found)
    known = {c.slot for c in recorder.consts}
    for const in found.consts:
        if const.slot not in known:
            copy.slots[const.slot] = slot = recorder.new(found.avals[const.slot])
            recorder.consts.append(const._replace(slot=slot))
    copy.append(kept)
    return [copy.slot(s) for s in found.outputs]


WAYS: list[Callable[[Recorder, Tape], list[int] | None]] = [as_arrays]
"""They append what a tape computes, much shorter, and give its outputs, if they can. `loops.turns` adds another one."""
