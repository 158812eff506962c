"""What is drawn inside the box of a loop: its step, and what comes into it and goes out. Knows no place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from wengert.draw.fold import Group
from wengert.draw.graph import Writer
from wengert.loops.op import Scan
from wengert.ops.spec import Op, Params
from wengert.tape import Tape


class Inside(NamedTuple):
    """A step as a tape of its own."""

    tape: Tape
    titles: dict[int, tuple[str, str]]
    """By input what it is called, and what is said beside it."""
    scalars: Mapping[int, str]
    """Inputs that are plain numbers."""
    carried: list[tuple[int, int]]
    """(result, input): what one step hands to the next."""
    results: dict[int, str]
    """By result what becomes of it."""


def of_op(op: Op, body: Tape, ins: Sequence[int], params: Params, writer: Writer) -> Inside:
    """The body of an op; `ins` are the op's operands around it."""
    if not isinstance(op, Scan) or len(ins) != len(body.inputs):
        return Inside(body, {}, {}, [], {})
    n_const, n_carry = params[1:3]
    titles: dict[int, tuple[str, str]] = {}
    scalars: dict[int, str] = {}
    for k, (slot, given) in enumerate(zip(body.inputs, map(writer.base, ins), strict=True)):
        name, text = writer.facts.names.get(given, ""), writer.scalars.get(given, f"%{given}")
        if k >= n_const:
            titles[slot] = ("carry", f"from {text}") if k < n_const + n_carry else ("x", f"of {text}")
        elif given in writer.scalars and slot not in body.outputs:
            scalars[slot] = text
        else:
            titles[slot] = (name or "constant", text)
    carried = list(zip(body.outputs[:n_carry], body.inputs[n_const : n_const + n_carry], strict=True))
    results: dict[int, str] = {}
    for k, slot in enumerate(body.outputs):
        word = "carry" if k < n_carry else "y"
        if word not in results.get(slot, ""):
            results[slot] = f"{results[slot]}, {word}" if slot in results else word
    return Inside(body, titles, scalars, carried, results)


def of_pass(group: Group, writer: Writer) -> Inside:
    """The second pass of a part of the tape that is repeated."""
    tape, (before, now) = writer.tape, group.passes[:2]
    at = tape.instructions.__getitem__
    instructions = [(op, outs, tuple(map(writer.base, ins)), params) for op, outs, ins, params in map(at, now)]
    mine = [s for _, outs, _, _ in instructions for s in outs]
    last = [s for k in before for s in at(k)[1]]
    titles: dict[int, tuple[str, str]] = {}
    carried: list[tuple[int, int]] = []
    for earlier, (_, _, ins, _) in zip(before, instructions, strict=True):
        for s, other in zip(ins, map(writer.base, at(earlier)[2]), strict=True):
            if s in mine or s in writer.scalars or s in titles:
                continue
            if s in last:
                titles[s] = ("carry", "from the pass before")
                carried.append((mine[last.index(s)], s))
            elif s == other:
                titles[s] = (writer.facts.names.get(s, f"%{s}"), "the same in every pass")
            else:
                titles[s] = (f"like %{s}", "another one every pass")
    inside = set(now)
    read = {writer.base(s) for k, (_, _, ins, _) in enumerate(tape.instructions) if k not in inside for s in ins}
    outputs = [s for s in mine if s in read or s in tape.outputs]
    step = Tape(
        instructions, tape.avals, tuple(titles), outputs, lines=[tape.lines[k] for k in now], subtapes=tape.subtapes
    )
    return Inside(step, titles, writer.scalars, carried, {})
