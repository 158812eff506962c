"""All passes from tape to tape, in their order. Knows none of them from inside."""

from __future__ import annotations

from typing import NamedTuple

from wengert.plan.live import pruned
from wengert.plan.recompute import recompute
from wengert.plan.rolled import roll
from wengert.plan.simplify import simplify
from wengert.plan.slices import push_slices
from wengert.tape import Tape

_SHORT = 3000
"""Instructions from which simplifying a tape costs more than its first replays gain."""


class Passed(NamedTuple):
    """What is left of a tape, and how many instructions went, and why."""

    tape: Tape
    rolled: int = 0
    """Into array instructions."""
    folded: int = 0
    identities: int = 0
    common: int = 0


def passed(tape: Tape) -> Passed:
    """The tape as it is worth planning: what it computes is the same."""
    tape = pruned(tape)
    rolled = roll(tape)
    fewer = max(len(tape) - len(rolled), 0)
    if len(rolled) >= _SHORT:
        return Passed(rolled, fewer)
    done = simplify(rolled)
    return Passed(recompute(push_slices(done.tape)), fewer, done.folded, done.identities, done.common)
