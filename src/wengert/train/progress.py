"""What a training shows of itself: a live line on a terminal, plain lines elsewhere. Knows no loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Status:
    """Where a training stands.

    Attributes
    ----------
    step, steps
        Steps made, and the most that will be (None if there is no limit).
    epoch, epochs
        Passes through the data that are complete, and the most there will be, or None.
    loss
        Mean training loss of the last hundred steps, or at a check of all since the last check.
    grad_norm
        Norm of the last gradient, before clipping.
    validation, metrics
        At the last check; None, or empty, before the first.
    rate
        Steps a second.
    seconds
        Time spent, earlier runs that were resumed included.
    params
        The parameters. They are the training's own: read them only.
    """

    step: int
    steps: int | None
    epoch: int
    epochs: int | None
    loss: float
    grad_norm: float
    validation: float | None
    metrics: dict[str, float]
    rate: float
    seconds: float
    params: Any = field(repr=False)

    def __str__(self) -> str:
        told = [f"step {self.step:>6}"]
        if self.epochs is not None:
            told.append(f"epoch {self.epoch}/{self.epochs}")
        told.append(f"loss {self.loss:.4g}")
        if self.validation is not None:
            told.append(f"validation {self.validation:.4g}")
        told += [f"{name} {value:.4g}" for name, value in self.metrics.items()]
        told.append(f"gradient {self.grad_norm:.2g}")
        if self.rate:
            told.append(f"{self.rate:5.0f} steps/s")
            if self.steps is not None:
                told.append(f"ETA {_clock((self.steps - self.step) / self.rate)}")
        return "  ".join(told)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Silent:
    """Shows nothing, or hands what there is to show to a function."""

    def __init__(self, told: Callable[[Status], Any] = lambda status: None) -> None:
        self.told = told

    def __enter__(self) -> Silent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __call__(self, status: Status) -> None:
        self.told(status)


class Lines(Silent):
    """A plain line now and then: every half second at first, and more and more rarely, so that logs stay short."""

    def __init__(self) -> None:
        self.pause, self.next = 0.5, 0.0

    def __call__(self, status: Status) -> None:
        now = time.perf_counter()
        if now >= self.next:
            if self.next:
                print(status, flush=True)
                self.pause = min(1.1 * self.pause, 30.0)
            self.next = now + self.pause


class OnTerminal(Silent):
    """A bar where the number of steps is known, and a line that changes; both go when the training ends."""

    def __init__(self, console: Console) -> None:
        self.live = Live(Text("the first step is recorded"), console=console, transient=True, auto_refresh=False)

    def __enter__(self) -> OnTerminal:
        self.live.start(refresh=True)
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def __call__(self, status: Status) -> None:
        shown = Table.grid()
        if status.steps is not None:
            shown.add_row(ProgressBar(status.steps, status.step, width=60))
        shown.add_row(Text(str(status)))
        self.live.update(shown, refresh=True)


def display(progress: bool | Callable[[Status], Any]) -> Silent:
    """The display for `fit`'s argument."""
    if callable(progress):
        return Silent(progress)
    if not progress:
        return Silent()
    console = Console(highlight=False)
    return OnTerminal(console) if console.is_terminal else Lines()
