"""Values on demand: what a traced value is right now, for Python to look at. Knows no derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

from wengert.errors import TracerConversionError, at_user, here
from wengert.ops.guard import GUARD
from wengert.plan.cache import program_of
from wengert.plan.lower import lower
from wengert.record.recorder import Recorder
from wengert.record.tracer import RULES, Tracer
from wengert.shapes import Aval
from wengert.tape import Const, Instruction, Tape
from wengert.vm.replay import STOPPED, run_once


def value(recorder: Recorder, tracer: Tracer, what: str, guard: bool = True) -> Any:
    """The concrete value of a tracer. In a guarded recording it becomes a condition for the replay."""
    owner = tracer.recorder
    recorder.check(tracer)
    if owner.parent is not None:
        raise TracerConversionError(at_user(_IN_LOOP.format(what, tracer.aval)))
    if tracer.slot not in owner.values:
        evaluate(owner)
    found = owner.values[tracer.slot]
    if guard and owner.guarded and not owner.is_constant(tracer.slot):
        wanted = owner.new(tracer.aval)
        owner.consts.append(Const(wanted, np.array(found)))
        owner.instructions.append((GUARD, (), (tracer.slot, wanted), ()))
        owner.lines.append(here())
    return found


def evaluate(recorder: Recorder) -> None:
    """Replay what has no value yet. The same kernels as in the final replay give the same bits."""
    values, instructions = recorder.values, recorder.instructions
    for slot, array in (*recorder.captured, *recorder.consts):
        values.setdefault(slot, array)
    pending = [*recorder.grown, *range(recorder.evaluated, len(instructions))]
    tape, sources, written = _segment(recorder, [at for at in pending if instructions[at][0] is not GUARD])
    inputs = [values[s] for s in sources]
    try:
        found = run_once(program_of(tape), inputs, (), ())
    except STOPPED:  # the program may be another function's: once more, so that the line named is ours
        found = run_once(lower(tape), inputs, (), ())
    values.update(zip(written, found, strict=True))
    recorder.grown.clear()
    recorder.evaluated = len(instructions)


def _segment(recorder: Recorder, pending: list[int]) -> tuple[Tape, list[int], list[int]]:
    """These instructions as a tape of its own, the slots it takes from before, and those it gives values to.

    Slots are numbered anew, so that the turns of a `while` loop are the same tape and planned once.
    """
    values = recorder.values
    number: dict[int, int] = {}
    sources: list[int] = []
    avals: list[Aval] = []

    def fresh(slot: int) -> int:
        number[slot] = len(avals)
        avals.append(recorder.avals[slot])
        return number[slot]

    renamed: list[Instruction] = []
    written: list[tuple[int, int]] = []
    for at in pending:
        op, outs, ins, params = recorder.instructions[at]
        for slot in ins:
            if slot not in number:
                fresh(slot)
                sources.append(slot)
        inside = tuple(number[s] for s in ins)
        results = []
        for slot in outs:
            if slot in values:  # known already: computed once more, under a name that nobody reads
                results.append(len(avals))
                avals.append(recorder.avals[slot])
            else:
                results.append(fresh(slot))
                written.append((slot, number[slot]))
        renamed.append((op, tuple(results), inside, params))
    tape = Tape(
        renamed, avals, [number[s] for s in sources], [n for _, n in written],
        lines=[recorder.lines[at] for at in pending], subtapes=recorder.subtapes, name=recorder.name,
    )  # fmt: skip
    return tape, sources, [slot for slot, _ in written]


RULES["value"] = value

_IN_LOOP = (
    "{} of a traced value ({}) inside a scan step: the step is recorded once for all times, so the value "
    "differs from step to step. Write np.where(condition, a, b), or use a plain Python loop"
)
