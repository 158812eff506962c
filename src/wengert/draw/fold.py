"""What is too long to be drawn instruction by instruction, in groups: loops of Python's, chains, stretches.

Any order of groups found here is one in which the tape could run: a group never waits for one that waits for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from wengert.errors import line_number
from wengert.ops.elementwise import Elementwise
from wengert.tape import Tape

_PERIODS = 60
"""How many lengths of a repeated part are tried."""
_LEAST = 3
"""Passes that make a loop."""


class Group(NamedTuple):
    """Instructions that are drawn as one box; with `times`, a part that many times over."""

    positions: tuple[int, ...]
    times: int = 1

    @property
    def passes(self) -> list[tuple[int, ...]]:
        """The positions pass by pass."""
        size = len(self.positions) // self.times
        return [self.positions[k : k + size] for k in range(0, len(self.positions), size)]


def fold(tape: Tape, positions: Sequence[int], most: int) -> list[Group]:
    """At most `most` groups of the instructions at these positions (one more for each loop among them)."""
    groups = loops(tape, positions)
    if len(groups) <= most:
        return groups
    for largest in (0, 4, 16, 64, len(tape)):
        chained = chains(tape, groups, largest)
        if len(chained) <= most:
            return chained
    return stretches(tape, groups, most)


# --- repeated parts --------------------------------------------------------------------------------------


def loops(tape: Tape, positions: Sequence[int]) -> list[Group]:
    """Parts that follow one another at least three times, with the same ops, types and lines, as one group each."""
    numbers: dict[Hashable, int] = {}
    keys = np.array([numbers.setdefault(_key(tape, k), len(numbers)) for k in positions], dtype=np.int64)
    groups: list[Group] = []
    waiting = [(0, len(keys))]
    while waiting:
        start, stop = waiting.pop()
        found = _longest(keys[start:stop])
        if found is None:
            groups += [Group((k,)) for k in positions[start:stop]]
            continue
        first, period, times = found
        begin, end = start + first, start + first + period * times
        groups.append(Group(tuple(positions[begin:end]), times))
        waiting += [(start, begin), (end, stop)]
    return sorted(groups)


def _key(tape: Tape, position: int) -> Hashable:
    op, outs, _, _ = tape.instructions[position]
    where = tape.lines[position]
    line = None if where is None else (where[0], line_number(where))
    return op.name, tuple(tape.avals[s] for s in outs), line


def _longest(keys: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[int, int, int] | None:
    """(start, period, times) of the repetition that hides most instructions; the shortest period if several do."""
    best: tuple[int, int, int] | None = None
    hidden = _LEAST
    for period in _periods(keys):
        equal = np.concatenate([[False], keys[period:] == keys[:-period], [False]])
        edges = np.flatnonzero(equal[1:] != equal[:-1])
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            times = (stop - start) // period + 1
            if times >= _LEAST and (times - 1) * period > hidden:
                hidden, best = (times - 1) * period, (start, period, times)
    return best


def _periods(keys: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[int]:
    """The most frequent distances between an instruction and the next one like it, shortest first."""
    order = np.argsort(keys, kind="stable")
    same = keys[order[1:]] == keys[order[:-1]]
    count = Counter((order[1:] - order[:-1])[same].tolist())
    return sorted(period for period, _ in count.most_common(_PERIODS))


# --- chains of elementwise instructions --------------------------------------------------------------------


def chains(tape: Tape, groups: Sequence[Group], largest: int) -> list[Group]:
    """Elementwise groups merged along chains, and where chains meet into groups of at most `largest` instructions.

    If nothing else reads a group, or it reads nothing else, merging the two cannot close a cycle.
    """
    home = {s: g for g, group in enumerate(groups) for k in group.positions for s in tape.instructions[k][1]}
    above: list[set[int]] = [set() for _ in groups]
    below: list[set[int]] = [set() for _ in groups]
    for g, group in enumerate(groups):
        above[g] = {home[s] for k in group.positions for s in tape.instructions[k][2] if s in home} - {g}
        for other in above[g]:
            below[other].add(g)
    soft = [g.times == 1 and all(isinstance(tape.instructions[k][0], Elementwise) for k in g.positions) for g in groups]
    members = [list(g.positions) for g in groups]

    def merges(upper: int, lower: int) -> bool:
        ways = (len(below[upper]) == 1) + (len(above[lower]) == 1)
        return soft[lower] and (ways == 2 or (ways == 1 and len(members[upper]) + len(members[lower]) <= largest))

    shown = {home[s] for s in tape.outputs if s in home}
    waiting = [g for g in range(len(groups)) if soft[g] and g not in shown]
    while waiting:
        upper = waiting.pop()
        lower = next((g for g in sorted(below[upper]) if merges(upper, g)), None) if members[upper] else None
        if lower is not None:
            near = {lower} | above[upper] | above[lower]
            _merge(upper, lower, members, above, below)
            waiting += [g for g in sorted(near) if soft[g] and g not in shown]
    found = zip(groups, members, strict=True)
    return [g if len(m) == len(g.positions) else Group(tuple(sorted(m))) for g, m in found if m]


def _merge(upper: int, lower: int, members: list[list[int]], above: list[set[int]], below: list[set[int]]) -> None:
    """Put the upper group into the lower one."""
    members[lower] += members[upper]
    members[upper] = []
    for other in above[upper]:
        below[other].discard(upper)
        below[other].add(lower)
    for other in below[upper]:
        above[other].discard(upper)
        if other != lower:
            above[other].add(lower)
    above[lower] |= above[upper]
    below[lower] |= below[upper]
    above[lower].discard(lower)
    below[lower].discard(lower)
    above[upper], below[upper] = set(), set()


# --- stretches of the tape ---------------------------------------------------------------------------------


def stretches(tape: Tape, groups: Sequence[Group], most: int) -> list[Group]:
    """Neighbours on the tape in one group: those of one line of the user's; if that is not enough, of equal length."""
    single = [g.times == 1 for g in groups]
    lines = [_line(tape, g) if one else object() for g, one in zip(groups, single, strict=True)]
    found = _cut(groups, [a != b for a, b in pairwise(lines)])
    if len(found) > most:
        size = -(-len(found) // most)
        found = _cut(found, [(k + 1) % size == 0 for k in range(len(found) - 1)])
    return found


def _line(tape: Tape, group: Group) -> Hashable:
    where = tape.lines[group.positions[0]]
    return None if where is None else (where[0], line_number(where))


def _cut(groups: Sequence[Group], after: Sequence[bool]) -> list[Group]:
    """Neighbours joined, except where a cut comes after."""
    found: list[list[Group]] = [[]]
    for group, cut in zip(groups, (*after, False), strict=True):
        found[-1].append(group)
        if cut:
            found.append([])
    return [g[0] if len(g) == 1 else Group(tuple(k for part in g for k in part.positions)) for g in found if g]
