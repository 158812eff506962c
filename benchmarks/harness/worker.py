"""A worker: one process for one peer. Builds cases and times calls when it is told to, over two pipes.

Messages are pickles with an 8-byte length before them. Standard output belongs to the pipe; whatever a library
prints goes to standard error.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import struct
import sys
import time
import traceback
from typing import Any, BinaryIO

from harness.model import Call, Case, NotHere
from harness.peers import PEERS, as_numpy, native, pin
from harness.warmup import blas, warm_up


def send(pipe: BinaryIO, message: Any) -> None:
    """One message, whole."""
    data = pickle.dumps(message, protocol=5)
    pipe.write(struct.pack("<Q", len(data)))
    pipe.write(data)
    pipe.flush()


def receive(pipe: BinaryIO) -> Any:
    """The next message; EOFError when the other side is gone."""
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    return pickle.loads(pipe.read(struct.unpack("<Q", head)[0]))


class Worker:
    """What one peer's process knows: its peer and the case that is being measured."""

    def __init__(self, peer: str, threads: int) -> None:
        self.peer = PEERS[peer]
        self.threads = threads
        self.call: Call | None = None
        self.compile_events: dict[str, float] = {}

    def hello(self) -> dict[str, Any]:
        """Import the peer, bring its machinery up with a trivial function, and say what was found."""
        facts = {"threads": warm_up(self.peer, self.threads, self.compile_events)}
        gc.collect()
        gc.freeze()  # what the libraries hold is not searched again before every turn
        return facts

    def blas(self) -> list[str]:
        """Every BLAS that is loaded by now."""
        return blas()

    def prepare(self, suite: str, case: Case, again: bool) -> dict[str, Any]:
        """Build the case and call it once: the first call, and the result to be compared."""
        from suites import load

        loaded = load(suite)
        self.call = None
        gc.collect()
        if self.peer.family == "jax":
            import jax

            jax.config.update("jax_enable_x64", case.dtype == "float64")
        arguments = native(self.peer, loaded.inputs(case))
        self.compile_events.clear()
        kernels = _kernels_compiled(self.peer.package)
        start = time.perf_counter()
        built = loaded.builders[self.peer.name](case, arguments)
        call = self._blocking(built)
        result = call()
        facts: dict[str, Any] = {"first": time.perf_counter() - start}
        facts |= dict(self.compile_events)
        if again and self.peer.package == "wengert":
            start = time.perf_counter()
            call = self._blocking(loaded.builders[self.peer.name](case, arguments))
            result = call()
            facts["record"] = time.perf_counter() - start
            facts["compile"] = max(0.0, facts["first"] - facts["record"])
            facts["kernels"] = _kernels_compiled("wengert") - kernels
        self.call = call
        facts["note"] = getattr(built, "note", "")
        facts["result"] = as_numpy(result)
        return facts

    def _blocking(self, call: Call) -> Call:
        if self.peer.family != "jax":
            return call
        from jax import block_until_ready

        return lambda: block_until_ready(call())

    def settle(self, seconds: float) -> float:
        """Warm up for so long; the fastest call so far in seconds."""
        assert self.call is not None
        best, stop = float("inf"), time.perf_counter() + seconds
        while True:
            start = time.perf_counter()
            self.call()
            end = time.perf_counter()
            best = min(best, end - start)
            if end >= stop:
                return best

    def calibrate(self, target: float) -> int:
        """How many calls fill the target time."""
        calls = 1
        while True:
            taken = self._timed(calls)
            if taken >= target or calls >= 1 << 22:
                return calls
            grow = 2.0 if taken <= 0 else min(16.0, 1.2 * target / taken)
            calls = max(calls + 1, int(calls * grow))

    def turn(self, calls: int) -> float:
        """One turn: a tenth of the calls (at least one) untimed, then all of them timed; seconds a call."""
        gc.collect()
        self._timed(max(1, calls // 10))
        return self._timed(calls) / calls

    def _timed(self, calls: int) -> float:
        call = self.call
        assert call is not None
        gc.disable()
        try:
            start = time.perf_counter()
            for _ in range(calls):
                call()
            return time.perf_counter() - start
        finally:
            gc.enable()


def _kernels_compiled(package: str) -> int:
    if package != "wengert":
        return 0
    from wengert import _jit

    return len(_jit.stats.compiled)


def main() -> None:
    """Answer requests until the pipe closes."""
    name, threads = sys.argv[1], int(sys.argv[2])
    pin(threads)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), "rb")
    worker = Worker(name, threads)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            method, arguments = receive(requests)
            try:
                send(answers, ("ok", getattr(worker, method)(*arguments)))
            except NotHere as why:
                send(answers, ("skip", str(why)))
            except Exception as error:
                send(answers, ("error", f"{type(error).__name__}: {error}", traceback.format_exc()))


if __name__ == "__main__":
    main()
