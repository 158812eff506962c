"""Ctrl-C as a wish: the step that is being made is finished first. Knows no training loop."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class CtrlC:
    """While it is entered the first Ctrl-C sets `hit`, and a second one raises KeyboardInterrupt as ever.

    Outside the main thread, and where the program has a handler of its own, nothing is changed.
    """

    def __init__(self) -> None:
        self.hit = False
        self.ours = False

    def __enter__(self) -> CtrlC:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._pressed)
            self.ours = True
        return self

    def __exit__(self, *error: object) -> None:
        if self.ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.ours = False

    def _pressed(self, number: int, frame: FrameType | None) -> None:
        if self.hit:
            raise KeyboardInterrupt
        self.hit = True
