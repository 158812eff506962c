"""How a run is made, and what it found. Knows no peer and measures nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.model import Case
from harness.peers import OURS
from harness.stats import Spread


@dataclass(frozen=True)
class Method:
    """How long and how often."""

    rounds: int = 9
    least: int = 3
    """No peer gets fewer turns than this, however slow it is."""
    batch: float = 0.03
    """A turn repeats the call until about so many seconds are filled."""
    settle: float = 0.1
    """Warm-up before the first turn, in seconds; one call at least."""
    budget: float = 3.0
    """Seconds a peer may take for all its turns at one case; slow calls get fewer turns."""
    enough: float = 0.01
    """From five turns on, a peer whose quartiles lie this close together (relative to the median) has had enough."""
    process_budget: float = 12.0
    """The same for whole processes, all peers of a case together."""
    timeout: float = 240.0
    threads: int = 1
    slow: bool = False
    quick: bool = False


@dataclass
class Report:
    """Everything that one run found."""

    results: list[dict[str, Any]] = field(default_factory=list)
    further_looks: list[dict[str, Any]] = field(default_factory=list)
    """Figures measured again because --compare found them slower."""
    skipped: list[dict[str, str]] = field(default_factory=list)
    mismatches: list[dict[str, str]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    workers: dict[str, dict[str, Any]] = field(default_factory=dict)
    spent: dict[str, dict[str, float]] = field(default_factory=dict)
    """Seconds of this run by suite and by what they were spent on."""

    def skip(self, suite: str, case: str, peer: str, reason: str) -> None:
        self.skipped.append({"suite": suite, "case": case, "peer": peer, "reason": reason})

    def fail(self, suite: str, case: str, peer: str, reason: str) -> None:
        self.failures.append({"suite": suite, "case": case, "peer": peer, "reason": reason})

    @contextlib.contextmanager
    def clock(self, suite: str, what: str) -> Iterator[None]:
        """Add the time that the block takes to `spent`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            book = self.spent.setdefault(suite, {})
            book[what] = book.get(what, 0.0) + time.perf_counter() - start

    @property
    def failed(self) -> bool:
        """A mismatch of anyone or a failure of wengert makes the run fail."""
        return bool(self.mismatches) or any(f["peer"] in OURS for f in self.failures)


def row_of(suite: str, case: Case, peer: str, unit: str, found: Spread) -> dict[str, Any]:
    """A line of the results."""
    return {"suite": suite, "case": case.name, "params": dict(case.params), "dtype": case.dtype, "sweep": case.sweep,
            "peer": peer, "unit": unit, **asdict(found)}  # fmt: skip
