"""The adjoint of a loop that keeps few carries: its reverse step computes the forward step again.

What the reverse step needs of the forward step it computes from the carry before that step, which comes from a
stored one (see `loops.schedule`). So memory is that of the stored carries and of one step, which usually is a segment:
a loop over several steps of the user's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wengert.loops.body import active_inputs, body_tape, recorder_of
from wengert.loops.op import SCAN
from wengert.loops.revolve import REVOLVE, SAVE
from wengert.record.recorder import Recorder
from wengert.record.session import recording
from wengert.record.tracer import Tracer
from wengert.tape import Tape
from wengert.transform.adjoint import Walk, add, pull_back, zeros


def checkpointed(walk: Walk, at: int, z_bars: list[int | None]) -> list[int | None]:
    """Append the adjoint of a scan that keeps few carries; per operand its adjoint. The scan learns to store them."""
    recorder, source = walk.recorder, walk.source
    _, _, ins, params = source.instructions[at]
    index, n_const, n_carry, length, reverse, snapshots = params
    body = source.subtapes[index]
    back = _Reverse(recorder, body, n_const, n_carry, z_bars, [s in walk.active for s in ins])
    kept = _store(source, at, n_carry)
    given = dict(zip(body.inputs[n_const : n_const + n_carry], z_bars, strict=False))
    first = [given.get(s) for s in back.carried]
    init = [zeros(recorder, body.avals[s]) if b is None else b for s, b in zip(back.carried, first, strict=True)]
    first_x = n_const + n_carry
    known = [walk.primal(s) for s in ins]
    y_bars = [s for k in back.y_used if (s := z_bars[n_carry + k]) is not None]
    operands = [*known[:n_const], *(walk.primal(s) for s in kept), *known[first_x:]]
    operands += [*(recorder.lift(t) for t in back.lifts), *known[:n_const], *init, *known[first_x:], *y_bars]
    recorder.subtapes += [body, back.tape]
    number = len(recorder.subtapes)
    n_back = len(back.lifts) + n_const
    new = (n_const, n_carry, len(ins) - first_x, length, reverse, snapshots, n_back, len(init))
    resolved: Any = (body, back.tape, *new)
    whats = REVOLVE.infer([recorder.avals[s] for s in operands], resolved)
    found = recorder.emit_many(REVOLVE, tuple(operands), (number - 2, number - 1, *new), whats)
    result = dict(zip((*back.carried, *back.x_wanted), found, strict=False))
    return [result.get(s) for s in body.inputs]


def _store(source: Recorder, at: int, n_carry: int) -> list[int]:
    """Turn the scan into one that stores carries; the slots of their stacks."""
    op, outs, ins, params = source.instructions[at]
    if op is SCAN:
        resolved: Any = (source.subtapes[params[0]], *params[1:])
        whats = SAVE.infer([source.avals[s] for s in ins], resolved)
        outs = (*outs, *(source.new(w) for w in whats[len(outs) :]))
        source.instructions[at] = (SAVE, outs, ins, params)
        if at < source.evaluated:
            source.grown.append(at)
    return list(outs[len(outs) - n_carry :])


class _Reverse:
    """The reverse step: constants | adjoints of carry and constants | the carry before, x, adjoints of y."""

    def __init__(
        self, outer: Recorder, body: Tape, n_const: int, n_carry: int, z_bars: list[int | None], given: list[bool]
    ) -> None:
        inputs, outputs = body.inputs, body.outputs
        wanted = active_inputs(body, n_const, n_carry, given)
        self.step = step = recorder_of(body, outer)
        step.name, step.derivatives = f"{body.name}'", outer.derivatives
        carries = [k for k in range(n_carry) if inputs[n_const + k] in wanted]
        self.consts = [s for s in inputs[:n_const] if s in wanted]
        self.carried = [inputs[n_const + k] for k in carries] + self.consts
        self.x_wanted = [s for s in inputs[n_const + n_carry :] if s in wanted]
        self.y_used = [k for k in range(len(outputs) - n_carry) if z_bars[n_carry + k] is not None]
        bars_in = [step.input(body.avals[s]) for s in self.carried]
        ys_in = [step.input(body.avals[outputs[n_carry + k]]) for k in self.y_used]
        seeds = [outputs[k] for k in carries] + [outputs[n_carry + k] for k in self.y_used]
        with recording(step):
            bars: dict[int, int] = {}
            for slot, tracer in zip(seeds, [*bars_in[: len(carries)], *ys_in], strict=True):
                add(step, bars, slot, tracer.slot)
            wrt = [*self.carried, *self.x_wanted]
            adjoint = dict(zip(wrt, pull_back(step, 0, len(body.instructions), bars, wrt), strict=True))
            for slot, so_far in zip(self.consts, bars_in[len(carries) :], strict=True):
                total = {slot: so_far.slot}
                if (increment := adjoint[slot]) is not None:
                    add(step, total, slot, increment)
                adjoint[slot] = total[slot]
            out = [zeros(step, body.avals[s]) if adjoint[s] is None else adjoint[s] for s in wrt]
        self.lifts: Sequence[Tracer] = step.lifts
        slots = [step.lift(t) for t in step.lifts] + list(inputs[:n_const]) + [t.slot for t in bars_in]
        slots += [*inputs[n_const:], *(t.slot for t in ys_in)]
        self.tape = body_tape(step, slots, [s for s in out if s is not None])
