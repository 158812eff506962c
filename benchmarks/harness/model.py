"""What a suite is made of: cases, inputs, and one builder for each peer. Knows no peer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Call = Callable[[], Any]
"""One evaluation. Returns a nest of numbers and arrays: the value, then the gradients. An attribute `note` says
in what way the peer computes it, where that is not its usual one."""

TOLERANCE = {"float64": 1e-8, "float32": 1e-3}
"""Largest allowed |a - b| / max|b| over one array; the longest sums and deepest loops need this much."""


MARK = "# --- measured ---"
"""The line of a script behind which growth of memory counts."""


class NotHere(Exception):
    """Raised by a builder: this peer does not take part in this case, and why."""


@dataclass(frozen=True)
class Case:
    """One problem of one size."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float64"
    rtol: float | None = None
    sweep: str = ""
    """For cases that form a line over one parameter: that parameter's name."""
    slow_peers: tuple[str, ...] = ()
    """Peers that take long here and run with --slow only."""
    without: tuple[str, ...] = ()
    """Peers whose users would not do this with them, or who do it in another case of the suite."""

    @property
    def tolerance(self) -> float:
        """How far results may lie apart, relative to the largest element."""
        return TOLERANCE[self.dtype] if self.rtol is None else self.rtol

    def __getattr__(self, name: str) -> Any:
        try:
            return self.params[name]
        except KeyError:
            raise AttributeError(name) from None

    def __reduce__(self) -> tuple[Any, ...]:
        return Case, tuple(dict(v) if k == "params" else v for k, v in vars(self).items())


Builder = Callable[[Case, tuple[Any, ...]], Call]
"""From a case and its inputs (already in the peer's own array type) to the call that is timed."""


@dataclass(frozen=True)
class Suite:
    """A family of cases that are timed call by call, in workers."""

    name: str
    about: str
    cases: Callable[[bool], Sequence[Case]]
    inputs: Callable[[Case], tuple[Any, ...]]
    builders: Mapping[str, Builder]
    requires: tuple[str, ...] = ()
    """Packages without which the suite is skipped."""
    lacking: Callable[[], str] = str
    """What wengert lacks for this suite, in words; "" where it lacks nothing."""
    kind: str = "call"


@dataclass(frozen=True)
class ProcessSuite:
    """A family of cases where a whole fresh process is measured: its text is plain Python.

    A script sets `result`, a list of numbers. `unit` is what is measured: "s" for the time from the start
    of the script, "MB" for the growth of the process's peak memory after the line `# --- measured ---`.
    """

    name: str
    about: str
    cases: Callable[[bool], Sequence[Case]]
    scripts: Mapping[str, Callable[[Case], str]]
    unit: str = "s"
    rounds: int = 5
    requires: tuple[str, ...] = ()
    lacking: Callable[[], str] = str
    kind: str = "process"
    threads: int = 0
    """Threads for every peer, where it is not the number that was asked for."""
    whole_process: bool = False
    """Measure from the start of the interpreter to its exit, instead of from the first line of the script."""
