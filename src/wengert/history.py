"""What a jitted function has recorded so far, and when that is worth a warning. Knows no recording."""

from __future__ import annotations

import warnings
from collections import Counter, deque
from collections.abc import Collection
from typing import NamedTuple

from wengert.branches import Recording
from wengert.errors import RecordingWarning, Where, here, line_number, show

_OFTEN, _WITHIN = 16, 20
"""So many recordings within so many calls are worth a warning."""


class CacheInfo(NamedTuple):
    """What a jitted function has recorded."""

    variants: int
    """Recordings that are kept."""
    hits: int
    """Calls that needed no recording (of many threads, a few may be missing)."""
    recordings: int
    """How often the function was recorded."""
    guards: list[tuple[str, int]]
    """The lines where Python looked at a value, and how often a replay met another value there."""

    def __str__(self) -> str:
        rows = [f"{self.variants} variants kept, {self.recordings} recordings, {self.hits} calls replayed"]
        width = max((len(str(n)) for _, n in self.guards), default=0)
        rows += [f"  {n:>{width}} x another value at {line}" for line, n in self.guards]
        return "\n".join(rows)


class History:
    """Counts, for `cache_info`, and the calls of the latest recordings."""

    def __init__(self, name: str, most: int) -> None:
        self.name, self.most = name, most
        self._misses: Counter[str] = Counter()
        self.recordings = 0
        self._recent: deque[tuple[int, Where | None]] = deque(maxlen=_OFTEN)
        self._warned = False

    def info(self, calls: int, kept: Collection[Recording]) -> CacheInfo:
        """All counts, and the lines of all guards."""
        lines = Counter(self._misses)
        for variant in kept:
            for check, n in zip(variant.checks, variant.missed, strict=True):
                lines[_line(check.where)] += n
        return CacheInfo(len(kept), max(calls - self.recordings, 0), self.recordings, lines.most_common())

    def forgotten(self, variant: Recording) -> None:
        """Keep the counts of a recording that is not kept."""
        for check, n in zip(variant.checks, variant.missed, strict=True):
            if n:
                self._misses[_line(check.where)] += n

    def recorded(self, call: int, where: Where | None, alone: bool) -> None:
        """Note a recording, and the guard that asked for it (None for a new signature); warn if there are too many.

        One that begins while another goes on, not `alone`, may be the same one in another thread, and does not count.
        """
        self.recordings += 1
        if not alone:
            return
        self._recent.append((call, where))
        calls = call - self._recent[0][0] + 1
        if self._warned or len(self._recent) < _OFTEN or calls > _WITHIN:
            return
        self._warned = True
        worst, often = Counter(where for _, where in self._recent).most_common(1)[0]
        if worst is None:
            cause = (
                f"{often} times for shapes, dtypes or static values not seen before. Pass numbers as floats or arrays"
            )
        else:
            cause = (
                f"{often} times because Python saw another value than before at\n  {show(worst, full=True)}\n"
                "Write np.where(condition, a, b) where both branches may be computed, or do not jit this function"
            )
        warn(
            f"{self.name} was recorded {_OFTEN} times in {calls} calls, {cause}. A recording costs about as much as "
            f"1000 replays; {self.most} recordings are kept (max_variants)"
        )


def _line(where: Where | None) -> str:
    place, _, text = show(where, full=True).partition("\n")
    return f"{show(where)}  {text.strip()}" if text else place


def warn(text: str) -> None:
    """A `RecordingWarning` at the user's line."""
    where = here()
    place = ("?", 0) if where is None else (where[0].co_filename, line_number(where))
    warnings.warn_explicit(text, RecordingWarning, *place)
