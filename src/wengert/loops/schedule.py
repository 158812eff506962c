"""When to store the carry of a long loop and when to compute it again: integers in, integers out.

A loop of `units` (steps, or segments of steps) is reversed with few stored carries: forward once, then again from a
stored carry to each unit that is next to be reversed. With the binomial schedule no other needs fewer forward units.
A. Griewank & A. Walther, *Algorithm 799: revolve*, ACM TOMS 26 (2000).
"""

from __future__ import annotations

from math import comb

ADVANCE, STORE, RESTORE, REVERSE = 0, 1, 2, 3
Action = tuple[int, int, int]
"""`(ADVANCE, to unit, -)`, `(STORE, place, -)`, `(RESTORE, place, its unit)` or `(REVERSE, unit, -)`."""


def binomial(units: int, snapshots: int) -> list[Action]:
    """The schedule with the fewest forward units that keeps at most so many carries, the first one included.

    Examples
    --------
    >>> from wengert.loops.schedule import binomial
    >>> [(kind, at) for kind, at, _ in binomial(3, 2)]
    [(1, 0), (0, 1), (1, 1), (0, 2), (3, 2), (2, 1), (3, 1), (2, 0), (3, 0)]
    """
    if not units:
        return []
    found: list[Action] = [(STORE, 0, 0)]
    # To be reversed: units `low` to `high`, from the carry in `place`; the next `spare` places are free.
    waiting = [(0, units, 0, min(snapshots, units) - 1)]
    at = 0
    while waiting:
        low, high, place, spare = waiting.pop()
        if at != low:
            found.append((RESTORE, place, low))
        if high - low == 1:
            found.append((REVERSE, low, 0))
            at = -1
            continue
        at = low + first_part(high - low, spare + 1) if spare else high - 1
        found.append((ADVANCE, at, 0))
        waiting.append((low, at, place, spare))
        if spare:
            found.append((STORE, place + 1, 0))
            waiting.append((at, high, place + 1, spare - 1))
        else:
            found.append((REVERSE, at, 0))
            at = -1
    return found


def _reach(snapshots: int, times: int) -> int:
    """The longest loop that can be reversed when no unit is computed more than `times` times (paper: beta)."""
    return comb(snapshots + times, snapshots)


def _times(units: int, snapshots: int) -> int:
    """How often a unit must be computed at most."""
    times = 1
    while _reach(snapshots, times) < units:
        times += 1
    return times


def first_part(units: int, snapshots: int) -> int:
    """Where the next carry is stored in an optimal schedule."""
    times = _times(units, snapshots)
    return max(units - _reach(snapshots - 1, times), _reach(snapshots, times - 2) if times > 1 else 1, 1)


def forward_units(units: int, snapshots: int) -> int:
    """The number of forward units of an optimal schedule (paper: t), the first sweep included.

    Examples
    --------
    >>> from wengert.loops.schedule import forward_units
    >>> forward_units(10, 3), forward_units(100, 100)
    (15, 99)
    """
    times = _times(units, snapshots)
    return times * units - _reach(snapshots + 1, times - 1)


def forward_sweep(actions: list[Action]) -> int:
    """How many of the actions come before the first unit is reversed."""
    return next((k for k, (kind, _, _) in enumerate(actions) if kind == REVERSE), 0)
