"""Which instructions of a tape matter: an output or a guard depends on them. Knows no op but the guard."""

from __future__ import annotations

from wengert.ops.guard import GUARD
from wengert.tape import Tape


def live(tape: Tape) -> list[int]:
    """Positions of the instructions that an output or a guard depends on."""
    needed = set(tape.outputs)
    kept: list[int] = []
    instructions = tape.instructions
    for at in range(len(instructions) - 1, -1, -1):
        op, outs, ins, _ = instructions[at]
        if op is GUARD or not needed.isdisjoint(outs):
            needed.update(ins)
            kept.append(at)
    kept.reverse()
    return kept


def pruned(tape: Tape) -> Tape:
    """The tape without the instructions that nothing depends on, and their slots; itself if they are less than half."""
    kept = live(tape)
    if 2 * len(kept) > len(tape):
        return tape
    instructions = [tape.instructions[k] for k in kept]
    sources = (*tape.inputs, *[c.slot for c in tape.consts], *[c.slot for c in tape.captured])
    written = [s for _, outs, _, _ in instructions for s in outs]
    number = {s: k for k, s in enumerate(dict.fromkeys((*sources, *written)))}
    return Tape(
        [(op, tuple([number[s] for s in outs]), tuple([number[s] for s in ins]), params)
         for op, outs, ins, params in instructions],
        [tape.avals[s] for s in number], [number[s] for s in tape.inputs], [number[s] for s in tape.outputs],
        [c._replace(slot=number[c.slot]) for c in tape.consts],
        [c._replace(slot=number[c.slot]) for c in tape.captured],
        [tape.lines[k] for k in kept], tape.subtapes, tape.name,
    )  # fmt: skip
