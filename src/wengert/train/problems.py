"""What can go wrong in a training, as exceptions that bring along what has been reached. Knows no loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wengert.errors import WengertError

if TYPE_CHECKING:
    from wengert.train.history import Result


class NonFiniteError(WengertError, FloatingPointError):
    """The loss or its gradient is no longer finite.

    The message names the op and the line that it began at; `result` is what had been reached before that step.
    """

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


class CheckpointError(WengertError, ValueError):
    """A checkpoint that cannot be read, written, or continued from.

    `result` is what had been reached if the training was under way, and None otherwise.
    """

    result: Result | None = None
