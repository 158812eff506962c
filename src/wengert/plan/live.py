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
    """The tape without instructions that nothing depends on; itself if they are few."""
    kept = live(tape)
    if 2 * len(kept) > len(tape):
        return tape
    return Tape(
        [tape.instructions[k] for k in kept], tape.avals, tape.inputs, tape.outputs, tape.consts, tape.captured,
        [tape.lines[k] for k in kept], tape.subtapes, tape.name,
    )  # fmt: skip
