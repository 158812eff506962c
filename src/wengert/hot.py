"""Programs that are run often get their regions compiled, in the background. Knows no call and no value."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

from wengert.plan.lower import lower
from wengert.plan.packets import Program
from wengert.tape import Tape

_SPENT = 3e7
"""Nanoseconds that a program has taken, by a rough count, before its regions are worth compiling."""
_FEWEST, _MOST = 10, 5000


def calls_until_hot(tape: Tape) -> int:
    """After how many calls a tape's regions should be compiled; 0 for never."""
    if os.environ.get("WENGERT_COMPILE_REGIONS", "1") == "0":
        return 0
    return int(min(_MOST, max(_FEWEST, _SPENT / (1000 + _work(tape)))))


def _work(tape: Tape) -> float:
    """About how many nanoseconds a replay takes."""
    total = 0.0
    for op, outs, _, params in tape.instructions:
        total += 5 + sum(tape.avals[s].nbytes for s in outs) / 8
        if op.bodies:
            total += params[op.bodies + 2] * _work(tape.subtapes[params[0]])
    return total


class _Worker:
    """One thread that compiles; it is started when there is something to do, and not waited for at the end."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.busy = threading.Lock()
        self.todo: SimpleQueue[tuple[Callable[[], Tape], Callable[[Program], None]]] = SimpleQueue()
        self.thread: threading.Thread | None = None
        self.stopping = False

    def add(self, tape: Callable[[], Tape], done: Callable[[Program], None]) -> None:
        with self.lock:
            self.todo.put((tape, done))
            if self.thread is None or not self.thread.is_alive():
                self.thread = threading.Thread(target=self.run, name="wengert compiler", daemon=True)
                self.thread.start()

    def run(self) -> None:
        while True:
            tape, done = self.todo.get()
            with self.busy:
                if self.stopping:
                    return
                done(lower(tape(), compile=True))

    def stop(self) -> None:
        """At the end of the process: nothing new is begun, and LLVM is not left in the middle of something."""
        self.stopping = True
        self.busy.acquire(timeout=10)


_worker = _Worker()
atexit.register(_worker.stop)


def _forget() -> None:
    global _worker
    _worker = _Worker()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def compile_regions(tape: Callable[[], Tape], done: Callable[[Program], None]) -> None:
    """Plan a tape once more with all regions compiled, in the background; `done` gets the program."""
    _worker.add(tape, done)
