"""Backpropagation through time: the adjoint of a scan is a scan in the other direction over its step's adjoint.

The forward scan is made to stack, one slice a step, the values that the adjoint of the step needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wengert.loops.body import active_inputs, body_tape, live_slots, recorder_of
from wengert.loops.checkpointed import checkpointed
from wengert.loops.hoist import hoist
from wengert.loops.op import SCAN
from wengert.ops.elementwise import NEG, Elementwise
from wengert.ops.matmul import MATMUL
from wengert.ops.views import RESHAPE, TRANSPOSE
from wengert.record.recorder import Recorder
from wengert.record.session import recording
from wengert.record.tracer import Tracer
from wengert.shapes import Aval, aval
from wengert.tape import Tape
from wengert.transform.adjoint import Deferred, Walk, add, unbroadcast, walk_back, zeros

_SMALL = 1024
"""Bytes of a value below which it is kept, however cheap it is to compute."""


def adjoint(walk: Walk, at: int, z_bars: list[int | None]) -> list[int | None]:
    """Append the reverse scan; per operand its adjoint. The forward scan learns to stack what it needs."""
    recorder, source = walk.recorder, walk.source
    _, _, ins, params = source.instructions[at]
    if params[-1] and not recorder.derivatives:
        return checkpointed(walk, at, z_bars)
    index, n_const, n_carry, length, reverse, _ = params
    body = source.subtapes[index]
    wanted = active_inputs(body, n_const, n_carry, [s in walk.active for s in ins])
    back = _Reverse(walk, body, n_const, n_carry, length, ins, z_bars, wanted)
    stacks = {s: walk.primal(t) for s, t in back.stack(source, at).items()}
    operands = [recorder.slot(t) for t in back.constants] + back.carry_init(z_bars) + [stacks[s] for s in back.needs]
    operands += [s for k in back.y_used if (s := z_bars[n_carry + k]) is not None]
    recorder.subtapes.append(back.tape)
    new = (len(recorder.subtapes) - 1, len(back.constants), len(back.carried), length, int(not reverse), 0)
    whats = SCAN.infer([recorder.avals[s] for s in operands], (back.tape, *new[1:]))
    found = recorder.emit_many(SCAN, tuple(operands), new, whats)
    if back.norms:
        assert recorder.flow is not None
        recorder.flow.append(list(found[len(found) - len(back.norms) :]))
    increments = back.increments(found, len(ins))
    for part in back.deferred:
        z_stack = found[len(back.carried) + back.ys.index(part.z_bar)]
        increment = _summed(recorder, part, z_stack, stacks, body.avals[part.slot])
        total = {0: so_far} if (so_far := increments[body.inputs.index(part.slot)]) is not None else {}
        add(recorder, total, 0, increment)
        increments[body.inputs.index(part.slot)] = total[0]
    return increments


def _summed(recorder: Recorder, part: Deferred, z_stack: int, stacks: dict[int, int], what: Aval) -> int:
    """A constant's adjoint from all steps at once: one product over time and rows, or one sum."""
    if part.left is None:
        if part.negative:
            z_stack = recorder.emit(NEG, (z_stack,), (), recorder.avals[z_stack])
        return unbroadcast(recorder, z_stack, what)

    def rows(slot: int) -> Tracer:
        stack = recorder.avals[slot]
        shape = (stack.shape[0] * stack.shape[1], stack.shape[2])
        found: Tracer = recorder.bind(RESHAPE, (recorder.tracer(slot),), shape)
        return found

    left = recorder.bind(TRANSPOSE, (rows(stacks[part.left]),), (1, 0))
    found: Tracer = recorder.bind(MATMUL, (left, rows(z_stack)), ())
    return found.slot


class _Reverse:
    """The body of the reverse scan: one step of the adjoint.

    Its carry is the adjoints of the forward carry and of the loop's constants (which add up over time); its
    x are the values stacked by the forward scan and the adjoints of ys; its y are the adjoints of xs.
    """

    def __init__(
        self,
        around: Walk,
        body: Tape,
        n_const: int,
        n_carry: int,
        length: int,
        operands: Sequence[int],
        z_bars: list[int | None],
        wanted: set[int],
    ) -> None:
        outer = around.recorder
        self.outer, self.body, self.n_const, self.n_carry = outer, body, n_const, n_carry
        inputs, outputs = body.inputs, body.outputs
        # The body as a recorder: the adjoint's step is its child, so what it uses of the body it lifts.
        self.replayed = recorder_of(body, outer)
        step = Recorder(self.replayed, f"{body.name}'")
        step.derivatives = outer.derivatives
        self.carries = [k for k in range(n_carry) if inputs[n_const + k] in wanted]
        self.consts = [k for k in range(n_const) if inputs[k] in wanted]
        self.xs = [k for k in range(n_const + n_carry, len(inputs)) if inputs[k] in wanted]
        self.y_used = [k for k in range(len(outputs) - n_carry) if z_bars[n_carry + k] is not None]
        self.carried = [inputs[n_const + k] for k in self.carries] + [inputs[k] for k in self.consts]
        bars_in = [step.input(body.avals[s]) for s in self.carried]
        ys_in = [step.input(body.avals[outputs[n_carry + k]]) for k in self.y_used]
        with recording(step):
            bars: dict[int, int] = {}
            given = [outputs[k] for k in self.carries] + [outputs[n_carry + k] for k in self.y_used]
            for slot, tracer in zip(given, [*bars_in[: len(self.carries)], *ys_in], strict=True):
                add(step, bars, slot, tracer.slot)
            carried = self._adjoints(step, bars, bars_in, [s for s in inputs if s in wanted])
            # With all its uses in the step behind it, this is the adjoint of the carry after the step.
            whole = [bars.get(outputs[k]) for k in self.carries] if outer.flow is not None else []
            self.norms = [step.slot(np.sqrt(np.sum(step.tracer(s) ** 2))) for s in whole if s is not None]
        kept = {k: t for k, t in zip(self.consts, bars_in[len(self.carries) :], strict=True) if k in carried}
        bars_in = [*bars_in[: len(self.carries)], *kept.values()]
        self.consts = list(kept)
        self.carried = [inputs[n_const + k] for k in self.carries] + [inputs[k] for k in self.consts]
        out = [carried[n_const + k] for k in self.carries] + [carried[k] for k in self.consts] + self.ys + self.norms
        again = self._computed_again(step, live_slots(step, out))
        used = live_slots(step, out)
        lifts = [t for t in step.lifts if step.lift(t) in used]
        known = [(self._outside(around, operands, t), step.lift(t)) for t in lifts if not self._differs(t)]
        fixed, _ = hoist(outer, step, length, known, [], out, over_time=False)
        self.constants = [t for t, _ in fixed]
        stacked = [t for t in lifts if self._differs(t) and t.slot not in again]
        self.needs = [t.slot for t in stacked]
        slots = [s for _, s in fixed] + [t.slot for t in bars_in]
        slots += [step.lift(t) for t in stacked] + [t.slot for t in ys_in]
        self.tape = body_tape(step, slots, out)

    def _computed_again(self, step: Recorder, used: set[int]) -> set[int]:
        """Values of the forward step that are put into the reverse step as instructions, so that none is stacked.

        Those are cheap ones whose operands are constants or needed in any case: to stack them would only cost
        memory and the time to move it. Small ones cost more to compute than to keep.
        """
        body, first = self.body, []
        needed = {t.slot for t in step.lifts if self._differs(t) and step.lift(t) in used}
        at_hand = needed | set(body.inputs[: self.n_const])
        again = set()
        for (op, outs, ins, params), line in zip(body.instructions, body.lines, strict=True):
            z = outs[0]
            if z not in needed or z in body.outputs[self.n_carry :] or body.avals[z].nbytes < _SMALL:
                continue
            if isinstance(op, Elementwise) and op.cheap and at_hand.issuperset(ins):
                again.add(z)
                slots = [step.lift(self.replayed.tracer(s)) for s in (z, *ins)]
                first.append(((op, (slots[0],), tuple(slots[1:]), params), line))
        step.instructions[:0] = [instruction for instruction, _ in first]
        step.lines[:0] = [line for _, line in first]
        return again

    def _outside(self, around: Walk, operands: Sequence[int], tracer: Tracer) -> Tracer:
        """A constant of the loop as it is known around the loop."""
        inside = tracer.recorder is self.replayed
        slot = around.primal(operands[self.body.inputs.index(tracer.slot)]) if inside else self.outer.lift(tracer)
        return self.outer.tracer(slot)

    def _adjoints(self, step: Recorder, bars: dict[int, int], bars_in: list[Tracer], wrt: list[int]) -> dict[int, int]:
        """Record the step: by input the slot of its carry's result. Sets `ys`: adjoints of xs, what is deferred."""
        body = self.body
        walk = Walk(step, self.replayed, bars, frozenset(body.inputs[: self.n_const]))
        found = walk_back(walk, 0, len(body.instructions), wrt)
        adjoint = dict(zip(wrt, found, strict=True))

        def bar(slot: int) -> int:
            got = adjoint[slot]
            return zeros(step, body.avals[slot]) if got is None else got

        out = {self.n_const + k: bar(body.inputs[self.n_const + k]) for k in self.carries}
        for k, tracer in zip(self.consts, bars_in[len(self.carries) :], strict=True):
            increment = adjoint[body.inputs[k]]
            if increment is not None:
                total = {k: tracer.slot}
                add(step, total, k, increment)
                out[k] = total[k]
        self.deferred = walk.deferred
        self.ys = [bar(body.inputs[k]) for k in self.xs]
        self.ys += [s for s in dict.fromkeys(d.z_bar for d in walk.deferred) if s not in self.ys]
        return out

    def _differs(self, tracer: Tracer) -> bool:
        """Whether a value differs from step to step (else it is one of the loop's constants)."""
        return tracer.recorder is self.replayed and tracer.slot not in self.body.inputs[: self.n_const]

    def carry_init(self, z_bars: list[int | None]) -> list[int]:
        """Adjoints that the reverse scan starts from: those of the final carry, and zeros."""
        given = [z_bars[k] for k in self.carries] + [None] * len(self.consts)
        whats = [self.body.avals[s] for s in self.carried]
        return [zeros(self.outer, what) if bar is None else bar for bar, what in zip(given, whats, strict=True)]

    def stack(self, source: Recorder, at: int) -> dict[int, int]:
        """Slots with all steps' values of what is needed of the body, added to the forward scan's results."""
        op, outs, ins, params = source.instructions[at]
        index, n_const, n_carry, length, *_ = params
        body, first_x = self.body, n_const + n_carry
        extra, results, slots = list(body.outputs), list(outs), {}
        lefts = [d.left for d in self.deferred if d.left is not None]
        for s in dict.fromkeys([*self.needs, *lefts]):
            if s in body.inputs[first_x:]:
                slots[s] = ins[body.inputs.index(s)]
                continue
            if s not in extra[n_carry:]:
                what = self.replayed.avals[s]
                extra.append(s)
                results.append(source.new(aval(what.dtype, (length, *what.shape))))
            slots[s] = results[n_carry + extra[n_carry:].index(s)]
        source.subtapes[index] = body_tape(self.replayed, body.inputs, extra)
        source.instructions[at] = (op, tuple(results), ins, params)
        if len(results) > len(outs) and at < source.evaluated:
            source.grown.append(at)
        return slots

    def increments(self, found: Sequence[int], n: int) -> list[int | None]:
        """Results of the reverse scan, sorted by the forward scan's operands."""
        places = [self.n_const + k for k in self.carries] + self.consts + self.xs
        in_order: list[int | None] = [None] * n
        for place, slot in zip(places, found, strict=False):  # behind them: what is deferred
            in_order[place] = slot
        return in_order


SCAN.adjoint = adjoint  # type: ignore[method-assign]
