"""The time of a training, read so rarely that reading it costs nothing. Knows step numbers only."""

from __future__ import annotations

import time

PERIOD = 0.1
"""Seconds between two looks, which are also the display's."""


class Clock:
    """Says after how many steps to look again, so that there are some ten looks a second, however long a step is."""

    def __init__(self, spent: float = 0.0, step: int = 0) -> None:
        self.began = self.saved = time.perf_counter()
        self.spent, self.first = spent, step
        self.running: tuple[float, int] | None = None
        """Where the rate counts from: behind the first step, which is recorded and perhaps compiled."""
        self.looked = (self.began, step)
        self.due = step + 1

    def look(self, step: int) -> bool:
        """Whether a period is over; sets `due`, the step at which to look again."""
        now = time.perf_counter()
        if self.running is None:
            self.due = step + 1
            if step > self.first:
                self.running = self.looked = (now, step)
            return False
        before, at = self.looked
        passed, done = now - before, step - at
        if passed >= PERIOD:
            self.looked = (now, step)
            self.due = step + max(1, int(done * PERIOD / passed) // 2)
            return True
        # The guess may be wrong by much at first: at most twice as many steps as were made in this period.
        if step >= self.due:
            self.due = step + max(1, min(2 * done, int(done * (PERIOD - passed) / passed)))
        return False

    def rate(self, step: int) -> float:
        """Steps a second, 0 before that is known."""
        if self.running is None or step == self.running[1]:
            return 0.0
        return (step - self.running[1]) / (time.perf_counter() - self.running[0])

    def seconds(self) -> float:
        """Time spent, that of earlier runs included."""
        return self.spent + time.perf_counter() - self.began

    def since_save(self) -> float:
        """Seconds since the last checkpoint."""
        return time.perf_counter() - self.saved

    def save(self) -> None:
        """A checkpoint has been written now."""
        self.saved = time.perf_counter()
