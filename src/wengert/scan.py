"""`scan`: a loop whose step is recorded once and replayed T times; backpropagation through time.

The op and its adjoint are in this one file. Forward and reverse are the same op: the adjoint of a scan is a
scan in the other direction over the adjoint of its step, with the values that this needs stacked by the
forward scan, one slice a step.

    operands   constants of the loop ... | initial carry ... | xs ...          (xs and ys: time is axis 0)
    results    final carry ... | ys ...
    body       inputs: constants, carry, x      outputs: carry, y
    params     body | n_const | n_carry | length | reverse
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert import _jit, tree
from wengert.errors import CarryError, ShapeError, at_user
from wengert.ops.spec import Lowering, Op, Params, register
from wengert.plan.packets import RUN
from wengert.record.recorder import Recorder, recording
from wengert.record.state import thread
from wengert.record.tracer import Tracer
from wengert.shapes import Aval, aval
from wengert.tape import Tape
from wengert.transform.adjoint import Walk, add, pull_back, zeros
from wengert.vm import oracle

# | kernel | size | n | run | T | reverse | start | words | n_x | n_y | n_c | n_move | moves at | then
#   x: | slot | stack | bytes |      y: | slot | stack | bytes |
#   c: | in | out | kind | initial | final | home of in | home of out | bytes |
#   body words, and behind them the moves: | slot | base | offset |
# A step sets the address of its x and y slots, then those of views of them, and runs the body. A carry's
# result becomes the next step's input by address: kind 0 it is the same storage; 1 the two change places;
# 2 it lies in a stack of ys and is read there.
_HEAD = 13
_SOURCE = f"""
def kernel(ins, addr, n):
    T = ins[4]
    n_x = ins[8]
    n_y = ins[9]
    n_c = ins[10]
    x0 = {_HEAD}
    y0 = x0 + 3 * n_x
    c0 = y0 + 3 * n_y
    moves = ins[12]
    for j in range(n_c):
        c = c0 + 8 * j
        addr[ins[c]] = addr[ins[c + 5]]
        if ins[c + 2] == 1:
            addr[ins[c + 1]] = addr[ins[c + 6]]
        D = pu1(addr[ins[c]])
        S = pu1(addr[ins[c + 3]])
        for b in range(ins[c + 7]):
            put(D, b, get(S, b))
    for step in range(T):
        t = T - 1 - step if ins[5] != 0 else step
        for j in range(n_x):
            x = x0 + 3 * j
            addr[ins[x]] = addr[ins[x + 1]] + t * ins[x + 2]
        for j in range(n_y):
            y = y0 + 3 * j
            addr[ins[y]] = addr[ins[y + 1]] + t * ins[y + 2]
        for j in range(ins[11]):
            m = moves + 3 * j
            addr[ins[m]] = addr[ins[m + 1]] + ins[m + 2]
        status = call(ins[3], skip(ins, ins[6]), addr, ins[7])
        if status != 0:
            return status
        for j in range(n_c):
            c = c0 + 8 * j
            if ins[c + 2] == 1:
                other = addr[ins[c]]
                addr[ins[c]] = addr[ins[c + 1]]
                addr[ins[c + 1]] = other
            elif ins[c + 2] == 2:
                addr[ins[c]] = addr[ins[c + 1]]
    for j in range(n_c):
        c = c0 + 8 * j
        D = pu1(addr[ins[c + 4]])
        S = pu1(addr[ins[c]])
        for b in range(ins[c + 7]):
            put(D, b, get(S, b))
    return 0
"""


class Scan(Op):
    """carry, ys = scan(step, carry, xs); see the module for operands and parameters."""

    name = "scan"
    n_out = 2
    has_body = True

    def infer(self, avals: Sequence[Aval], params: Any) -> tuple[Aval, ...]:
        body, n_const, n_carry, length, _ = params
        whats = [body.avals[s] for s in body.outputs]
        for k, (given, slot) in enumerate(zip(avals, body.inputs, strict=True)):
            wanted = body.avals[slot]
            if k >= n_const + n_carry:
                wanted = aval(wanted.dtype, (length, *wanted.shape))
            if given is not wanted:
                raise ShapeError(f"scan: operand {k} is {given}, its body takes {wanted}")
        return (*whats[:n_carry], *(aval(y.dtype, (length, *y.shape)) for y in whats[n_carry:]))

    def forward(self, operands: Sequence[Any], params: Any) -> Any:
        body, n_const, n_carry, length, reverse = params
        consts, carry, xs = operands[:n_const], operands[n_const : n_const + n_carry], operands[n_const + n_carry :]
        whats = [body.avals[s] for s in body.outputs[n_carry:]]
        ys: list[Any] = [np.empty((length, *y.shape), y.dtype) for y in whats]
        for t in reversed(range(length)) if reverse else range(length):
            values = oracle.forward(body, [*consts, *carry, *(x[t] for x in xs)])
            out = [values[s] for s in body.outputs]
            carry = out[:n_carry]
            for stack, y in zip(ys, out[n_carry:], strict=True):
                stack[t] = y
        return (*carry, *ys)

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Any) -> Sequence[Any]:
        """The oracle's own: every step replayed backwards on its own, nothing shared with `adjoint`."""
        body, n_const, n_carry, length, reverse = params
        consts, carry, xs = operands[:n_const], operands[n_const : n_const + n_carry], operands[n_const + n_carry :]
        order = list(reversed(range(length)) if reverse else range(length))
        steps = []
        for t in order:
            values = oracle.forward(body, [*consts, *carry, *(x[t] for x in xs)])
            steps.append(values)
            carry = [values[s] for s in body.outputs[:n_carry]]
        carry_bar = list(z_bar[:n_carry])
        const_bars = [np.zeros_like(c) for c in consts]
        x_bars = [np.zeros_like(x) for x in xs]
        for t, values in zip(reversed(order), reversed(steps), strict=True):
            bars: dict[int, Any] = {}
            given = [*carry_bar, *(y[t] for y in z_bar[n_carry:])]
            for slot, bar in zip(body.outputs, given, strict=True):
                bars[slot] = bars[slot] + bar if slot in bars else bar
            found = oracle.backward(body, values, bars)
            back = [found.get(s, np.zeros_like(values[s])) for s in body.inputs]
            const_bars = [c + b for c, b in zip(const_bars, back[:n_const], strict=True)]
            carry_bar = back[n_const : n_const + n_carry]
            for stack, bar in zip(x_bars, back[n_const + n_carry :], strict=True):
                stack[t] = bar
        return [*const_bars, *carry_bar, *x_bars]

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Any) -> None:
        body, n_const, n_carry, length, reverse = params
        consts, carry, xs = ins[:n_const], ins[n_const : n_const + n_carry], ins[n_const + n_carry :]
        initial, stacks = [plan.dense(s) for s in carry], [plan.dense(s) for s in xs]
        for s in outs:
            plan.allocate(s)
        carry_in = [plan.floating(plan.aval(s)) for s in carry]
        x_in = [plan.floating(body.avals[s]) for s in body.inputs[n_const + n_carry :]]
        homes = [(plan.scratch(plan.aval(s).nbytes), plan.scratch(plan.aval(s).nbytes)) for s in carry]
        start = len(plan.code)
        size = _HEAD + 3 * len(xs) + 3 * (len(outs) - n_carry) + 8 * n_carry
        plan.packet(_SOURCE, "scan", length, *[0] * (size - 3))
        words, results = plan.body(body, [*consts, *carry_in, *x_in], carry_in)
        carry_out, ys = results[:n_carry], results[n_carry:]
        head = [_jit.address(RUN, "replay"), length, reverse, size, words, len(xs), len(ys), n_carry, 0, size + words]
        for slot, stack in zip(x_in, stacks, strict=True):
            head += (slot, stack, plan.aval(slot).nbytes)
        for slot, stack in zip(ys, outs[n_carry:], strict=True):
            head += (slot, stack, plan.aval(slot).nbytes)
        placed = set(ys)
        for into, out, first, last, home in zip(carry_in, carry_out, initial, outs[:n_carry], homes, strict=True):
            kind = 2 if out in placed else 0 if plan.root_of(out) == into else 1
            head += (into, out, kind, first, last, *home, plan.aval(into).nbytes)
        moves = [m for s in dict.fromkeys((*carry_in, *x_in, *results)) for m in plan.moves(s)]
        head[8] = len(moves)
        plan.code[start + 3 : start + size] = head
        for move in moves:
            plan.code += move
        plan.code[start + 1] = len(plan.code) - start

    def describe(self, params: Params) -> str:
        body, _, _, length, reverse = params
        return f"body={body} length={length}" + (" reverse" if reverse else "")

    # --- backpropagation through time ----------------------------------------------------------------

    def adjoint(self, walk: Walk, at: int, z_bars: list[int | None]) -> list[int | None]:
        """Append the reverse scan; per operand its adjoint. The forward scan learns to stack what it needs."""
        recorder, source = walk.recorder, walk.source
        _, _, ins, params = source.instructions[at]
        index, n_const, n_carry, length, reverse = params
        body = source.subtapes[index]
        wanted = _active_inputs(body, n_const, n_carry, [s in walk.active for s in ins])
        back = _Reverse(recorder, body, n_const, n_carry, z_bars, wanted)
        stacks = [walk.primal(s) for s in back.stack(source, at)]
        operands = back.constant_operands(walk, ins) + back.carry_init(z_bars) + stacks
        operands += [s for k in back.y_used if (s := z_bars[n_carry + k]) is not None]
        recorder.subtapes.append(back.tape)
        new = (len(recorder.subtapes) - 1, len(back.constants), len(back.carried), length, int(not reverse))
        whats = self.infer([recorder.avals[s] for s in operands], (back.tape, *new[1:]))
        found = recorder.emit_many(self, tuple(operands), new, whats)
        return back.increments(found, len(ins))


def _active_inputs(body: Tape, n_const: int, n_carry: int, given: list[bool]) -> set[int]:
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


class _Reverse:
    """The body of the reverse scan: one step of the adjoint.

    Its carry is the adjoints of the forward carry and of the loop's constants (which add up over time); its
    x are the values stacked by the forward scan and the adjoints of ys; its y are the adjoints of xs.
    """

    def __init__(
        self, outer: Recorder, body: Tape, n_const: int, n_carry: int, z_bars: list[int | None], wanted: set[int]
    ) -> None:
        self.outer, self.body, self.n_const, self.n_carry = outer, body, n_const, n_carry
        inputs, outputs = body.inputs, body.outputs
        # The body as a recorder: the adjoint's step is its child, so what it uses of the body it lifts.
        self.replayed = _recorder_of(body, outer)
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
            out = self._adjoints(step, bars, bars_in, [s for s in inputs if s in wanted])
        self.constants = [t for t in step.lifts if not self._differs(t)]
        stacked = [t for t in step.lifts if self._differs(t)]
        self.needs = [t.slot for t in stacked]
        slots = [step.lift(t) for t in self.constants] + [t.slot for t in bars_in]
        slots += [step.lift(t) for t in stacked] + [t.slot for t in ys_in]
        self.tape = _body_tape(step, slots, out)

    def _adjoints(self, step: Recorder, bars: dict[int, int], bars_in: list[Tracer], wrt: list[int]) -> list[int]:
        """Slots of the step's results: adjoints of the carry, sums for the constants, adjoints of x."""
        body = self.body
        found = pull_back(step, 0, len(body.instructions), bars, wrt, self.replayed)
        adjoint = dict(zip(wrt, found, strict=True))

        def bar(slot: int) -> int:
            got = adjoint[slot]
            return zeros(step, body.avals[slot]) if got is None else got

        out = [bar(body.inputs[self.n_const + k]) for k in self.carries]
        for k, tracer in zip(self.consts, bars_in[len(self.carries) :], strict=True):
            total = {k: tracer.slot}
            if (increment := adjoint[body.inputs[k]]) is not None:
                add(step, total, k, increment)
            out.append(total[k])
        return out + [bar(body.inputs[k]) for k in self.xs]

    def _differs(self, tracer: Tracer) -> bool:
        """Whether a value differs from step to step (else it is one of the loop's constants)."""
        return tracer.recorder is self.replayed and tracer.slot not in self.body.inputs[: self.n_const]

    def constant_operands(self, walk: Walk, ins: Sequence[int]) -> list[int]:
        """Slots around the loop for the reverse step's constants."""
        inside, replayed = self.body.inputs, self.replayed
        return [
            walk.primal(ins[inside.index(t.slot)]) if t.recorder is replayed else self.outer.lift(t)
            for t in self.constants
        ]

    def carry_init(self, z_bars: list[int | None]) -> list[int]:
        """Adjoints that the reverse scan starts from: those of the final carry, and zeros."""
        given = [z_bars[k] for k in self.carries] + [None] * len(self.consts)
        whats = [self.body.avals[s] for s in self.carried]
        return [zeros(self.outer, what) if bar is None else bar for bar, what in zip(given, whats, strict=True)]

    def stack(self, source: Recorder, at: int) -> list[int]:
        """Slots with all steps' values of what the reverse step needs, added to the forward scan's results."""
        op, outs, ins, params = source.instructions[at]
        index, n_const, n_carry, length, _ = params
        body, first_x = self.body, n_const + n_carry
        extra, results, slots = list(body.outputs), list(outs), []
        for s in self.needs:
            if s in body.inputs[first_x:]:
                slots.append(ins[body.inputs.index(s)])
                continue
            if s not in extra[n_carry:]:
                what = self.replayed.avals[s]
                extra.append(s)
                results.append(source.new(aval(what.dtype, (length, *what.shape))))
            slots.append(results[n_carry + extra[n_carry:].index(s)])
        source.subtapes[index] = _body_tape(self.replayed, body.inputs, extra)
        source.instructions[at] = (op, tuple(results), ins, params)
        return slots

    def increments(self, found: Sequence[int], n: int) -> list[int | None]:
        """Results of the reverse scan, sorted by the forward scan's operands."""
        places = [self.n_const + k for k in self.carries] + self.consts + self.xs
        in_order: list[int | None] = [None] * n
        for place, slot in zip(places, found, strict=True):
            in_order[place] = slot
        return in_order


def _recorder_of(body: Tape, outer: Recorder) -> Recorder:
    replayed = Recorder(outer, body.name)
    replayed.instructions, replayed.avals = list(body.instructions), list(body.avals)
    replayed.lines, replayed.inputs = list(body.lines), list(body.inputs)
    replayed.subtapes = list(body.subtapes)
    return replayed


def _body_tape(step: Recorder, inputs: Sequence[int], outputs: Sequence[int]) -> Tape:
    return Tape(
        step.instructions, step.avals, inputs, outputs, lines=step.lines, subtapes=step.subtapes, name=step.name
    )


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """A loop over time whose step is recorded once, with the meaning of

        carry, ys = init, []
        for x in xs:
            carry, y = f(carry, x)
            ys.append(y)
        return carry, stack(ys)

    Its gradient is exact backpropagation through time. Cost and memory are linear in the number of steps;
    recording does not depend on it.

    Parameters
    ----------
    f
        The step: `f(carry, x)` returns `(carry, y)`. Carry, x and y are pytrees of arrays and floats; the
        carry keeps its structure, shapes and dtypes.
    init
        The first carry.
    xs
        A pytree of arrays whose axis 0 is time, or None.
    length
        Number of steps; needed where `xs` has no leaves.
    reverse
        Go from the last x to the first; `ys[t]` still belongs to `xs[t]`.

    Returns
    -------
    carry, ys
        The last carry, and the results stacked along axis 0.

    Raises
    ------
    CarryError
        If the carry that the step returns has another structure, shape or dtype than the one it was given.

    Notes
    -----
    P. J. Werbos, *Backpropagation through time*, Proc. IEEE 78 (1990).

    Examples
    --------
    >>> import numpy as np, wengert
    >>> total, sums = wengert.scan(lambda c, x: (c + x, c + x), 0.0, np.array([1.0, 2.0, 3.0]))
    >>> float(total), sums.tolist()
    (6.0, [1.0, 3.0, 6.0])
    """
    recorder = thread.active
    if recorder is None:
        from wengert.function import jit

        return jit(lambda init, xs: scan(f, init, xs, length, reverse))(init, xs)  # type: ignore[no-any-return]
    init_leaves, carry_structure = tree.flatten(init)
    xs_leaves, xs_structure = tree.flatten(xs)
    carry = [_strong(recorder.operand(x)) for x in init_leaves]
    stacks = [_strong(recorder.operand(x)) for x in xs_leaves]
    steps = _length(length, xs, stacks)
    step = Recorder(recorder, getattr(f, "__name__", "step"))
    with recording(step):
        carry_in = [step.input(t.aval) for t in carry]
        x_in = [step.input(aval(t.dtype, t.shape[1:])) for t in stacks]
        out = f(tree.unflatten(carry_structure, carry_in), tree.unflatten(xs_structure, x_in))
        if not isinstance(out, tuple) or len(out) != 2:
            raise CarryError(at_user(f"the step of a scan must return (carry, y), not a {type(out).__name__}"))
        carry_out = _carry(step, init, carry, carry_structure, out[0])
        y_leaves, y_structure = tree.flatten(out[1])
        y_slots = [step.slot(y) for y in y_leaves]
    inputs = [step.lift(t) for t in step.lifts] + [t.slot for t in (*carry_in, *x_in)]
    body = _body_tape(step, inputs, [*carry_out, *y_slots])
    recorder.subtapes.append(body)
    operands = [recorder.slot(t) for t in (*step.lifts, *carry, *stacks)]
    params = (len(recorder.subtapes) - 1, len(step.lifts), len(carry), steps, int(reverse))
    whats = SCAN.infer([recorder.avals[s] for s in operands], (body, *params[1:]))
    found = [recorder.tracer(s) for s in recorder.emit_many(SCAN, tuple(operands), params, whats)]
    n = len(carry)
    return tree.unflatten(carry_structure, found[:n]), tree.unflatten(y_structure, found[n:])


def _strong(x: Tracer) -> Tracer:
    return Tracer(x.recorder, x.slot, x.aval)


def _length(length: int | None, xs: Any, stacks: Sequence[Tracer]) -> int:
    """The number of steps, on which all xs must agree."""
    paths = tree.paths(xs)
    found: dict[str, int] = {}
    for path, x in zip(paths, stacks, strict=True):
        if not x.ndim:
            raise ShapeError(at_user(f"scan: xs{path} is a scalar; its axis 0 must be time"))
        found[f"xs{path}"] = x.shape[0]
    if length is not None:
        found["length"] = int(length)
    if not found:
        raise ShapeError(at_user("scan: without xs the number of steps is unknown; give length="))
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{k} has {n}" for k, n in found.items())
        raise ShapeError(at_user(f"scan: the numbers of steps differ: {listed}"))
    return next(iter(found.values()))


def _carry(step: Recorder, init: Any, carry: Sequence[Tracer], structure: Any, out: Any) -> list[int]:
    """Slots of the returned carry, which must look like the one that was given."""
    leaves, found = tree.flatten(out)
    if found != structure:
        raise CarryError(
            at_user(
                f"scan: the step was given a carry of structure {structure} and returned {found}; "
                "return the same containers with the same keys"
            )
        )
    slots = []
    for path, before, leaf in zip(tree.paths(init), carry, leaves, strict=True):
        after = step.operand(leaf)
        slot = step.slot(after)
        if isinstance(after.kind, type) and after.aval is not before.aval and not before.shape:
            slot = step.cast(slot, before.dtype)
        if step.avals[slot] is not before.aval:
            fix = f".astype(np.{before.dtype})" if after.shape == before.shape else f".reshape({before.shape})"
            if after.shape != before.shape and after.size != before.aval.size:
                fix = f" with the shape {before.shape}, or start from a carry of shape {after.shape}"
            raise CarryError(
                at_user(
                    f"scan: the carry{path} was {before.aval} and the step returned {after.aval}; "
                    f"return carry{path}{fix}"
                )
            )
        slots.append(slot)
    return slots


SCAN = register(Scan())
