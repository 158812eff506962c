"""The order of boxes and lines in every layer: few crossings. Knows layers and links only."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_SWEEPS = 12


class Link(NamedTuple):
    """A line from one layer to the next: things, and where on them it starts and ends (-1/2 left, 1/2 right)."""

    tail: int
    head: int
    start: float
    end: float


Side = Sequence[Sequence[tuple[int, float, float]]]
"""Per thing its neighbours on one side: which, where on it, where on the thing itself."""


def ordered(layer: Sequence[int], links: Sequence[Link]) -> list[list[int]]:
    """Per layer its things from left to right.

    Barycentre sweeps, then exchanges of neighbours as long as crossings get fewer: Gansner, Koutsofios, North & Vo,
    *A technique for drawing directed graphs*, IEEE Trans. SE 19 (1993), section 3.
    """
    up: list[list[tuple[int, float, float]]] = [[] for _ in layer]
    down: list[list[tuple[int, float, float]]] = [[] for _ in layer]
    for tail, head, start, end in links:
        up[head].append((tail, start, end))
        down[tail].append((head, end, start))
    rows = _first_order(layer, up, down)
    best, fewest = rows, _crossings(rows, down)
    for turn in range(_SWEEPS):
        if not fewest:
            break
        rows = [list(row) for row in rows]
        sweep = range(1, len(rows)) if turn % 2 == 0 else range(len(rows) - 2, -1, -1)
        for at in sweep:
            _by_barycentre(rows, at, up if turn % 2 == 0 else down, -1 if turn % 2 == 0 else 1)
        _exchange(rows, up, down)
        found = _crossings(rows, down)
        if found < fewest:
            best, fewest = rows, found
    return best


def _first_order(layer: Sequence[int], up: Side, down: Side) -> list[list[int]]:
    """Depth first from below: the operands of a thing lie side by side."""
    rows: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
    seen = [False] * len(layer)
    roots = [k for k in range(len(layer)) if not down[k]] + list(range(len(layer)))
    for root in roots:
        stack = [root]
        while stack:
            k = stack.pop()
            if seen[k]:
                continue
            seen[k] = True
            rows[layer[k]].append(k)
            stack += [j for j, _, _ in sorted(up[k], key=lambda link: -link[2]) if not seen[j]]
    return rows


def _by_barycentre(rows: list[list[int]], at: int, side: Side, step: int) -> None:
    """Sort a layer by the mean place of each thing's neighbours; one without keeps its place."""
    place = {k: p for p, k in enumerate(rows[at + step])}
    row = rows[at]

    def mean(k: int, own: int) -> float:
        near = side[k]
        return sum(place[j] + there for j, there, _ in near) / len(near) if near else float(own)

    scale = (len(rows[at + step]) or 1) / (len(row) or 1)
    keys = {k: mean(k, 0) if side[k] else p * scale for p, k in enumerate(row)}
    row.sort(key=keys.__getitem__)


def _exchange(rows: list[list[int]], up: Side, down: Side) -> None:
    """Exchange neighbours while that removes crossings."""
    for _ in range(8):
        better = False
        for at, row in enumerate(rows):
            above = {k: p for p, k in enumerate(rows[at - 1])} if at else {}
            below = {k: p for p, k in enumerate(rows[at + 1])} if at + 1 < len(rows) else {}
            for p in range(len(row) - 1):
                a, b = row[p], row[p + 1]
                now = _between(up[a], up[b], above) + _between(down[a], down[b], below)
                then = _between(up[b], up[a], above) + _between(down[b], down[a], below)
                if then < now:
                    row[p], row[p + 1] = b, a
                    better = True
        if not better:
            return


def _between(
    left: Sequence[tuple[int, float, float]], right: Sequence[tuple[int, float, float]], place: dict[int, int]
) -> int:
    """Crossings of the lines of two neighbours on one side."""
    ends = [place[j] + there for j, there, _ in right]
    return sum(place[j] + there > other for j, there, _ in left for other in ends)


def _crossings(rows: list[list[int]], down: Side) -> int:
    """All crossings."""
    total = 0
    for row, below in pairwise(rows):
        place = {k: p for p, k in enumerate(below)}
        lines = [(p + here, place[j] + there) for p, k in enumerate(row) for j, there, here in down[k]]
        seen: list[float] = []
        for _, end in sorted(lines):
            total += len(seen) - bisect_right(seen, end)
            insort(seen, end)
    return total
