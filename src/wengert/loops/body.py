"""A loop's step as a tape and as a recorder, and what of it a derivative reaches. Knows no adjoint."""

from __future__ import annotations

from collections.abc import Sequence

from wengert.plan.common import without_common
from wengert.record.recorder import Recorder
from wengert.tape import Tape


def active_inputs(body: Tape, n_const: int, n_carry: int, given: list[bool]) -> set[int]:
    """Body inputs that an adjoint flows to: the active operands, and carries that come to depend on them."""
    wanted = {s for s, on in zip(body.inputs, given, strict=True) if on and body.avals[s].is_float}
    carries = body.inputs[n_const : n_const + n_carry]
    while True:
        reached = set(wanted)
        for _, outs, ins, _ in body.instructions:
            if not reached.isdisjoint(ins):
                reached.update(s for s in outs if body.avals[s].is_float)
        more = {c for c, out in zip(carries, body.outputs, strict=False) if out in reached} - wanted
        if not more:
            return wanted
        wanted |= more


def live_slots(step: Recorder, outputs: Sequence[int]) -> set[int]:
    """Slots that the outputs depend on."""
    live = set(outputs)
    for _, outs, ins, _ in reversed(step.instructions):
        if not live.isdisjoint(outs):
            live.update(ins)
    return live


def recorder_of(body: Tape, outer: Recorder) -> Recorder:
    replayed = Recorder(outer, body.name)
    replayed.instructions, replayed.avals = list(body.instructions), list(body.avals)
    replayed.lines, replayed.inputs = list(body.lines), list(body.inputs)
    replayed.subtapes = list(body.subtapes)
    return replayed


def body_tape(step: Recorder, inputs: Sequence[int], outputs: Sequence[int]) -> Tape:
    """The step as a tape: what its outputs depend on, each thing computed once."""
    live = live_slots(step, outputs)
    pairs = zip(step.instructions, step.lines, strict=True)
    kept = [(instruction, line) for instruction, line in pairs if not live.isdisjoint(instruction[1])]
    instructions, lines, outputs = without_common([i for i, _ in kept], [line for _, line in kept], outputs)
    return Tape(instructions, step.avals, inputs, outputs, lines=lines, subtapes=step.subtapes, name=step.name)
