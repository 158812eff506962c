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

from harness.agree import worst
from harness.model import Call, Case, NotHere
from harness.peers import PEERS, as_numpy, blocking, native, pin, prepare
from harness.warmup import blas, choose_blas_threads, compile_in_background, warm_up


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


LONG = 0.1
"""Turns longer than this, in seconds, start without untimed calls: they warm themselves."""


class Worker:
    """What one peer's process knows: its peer and the case that is being measured."""

    def __init__(self, peer: str, threads: int) -> None:
        self.peer = PEERS[peer]
        self.threads = threads
        self.call: Call | None = None
        self.arguments: tuple[Any, ...] = ()
        self.compile_events: dict[str, float] = {}

    def hello(self) -> dict[str, Any]:
        """Import the peer, bring its machinery up with a trivial function, and say what was found."""
        facts = {"threads": warm_up(self.peer, self.threads, self.compile_events)}
        _freeze()
        return facts

    def blas(self) -> list[str]:
        """Every BLAS that is loaded by now."""
        return blas()

    def prepare(self, suite: str, case: Case, again: bool) -> dict[str, Any]:
        """Build the case and call it once: the first call, and the result to be compared."""
        from suites import load

        loaded = load(suite)
        self.call, self.arguments = None, ()
        gc.unfreeze()
        gc.collect()
        prepare(self.peer, case.dtype)
        self.arguments = arguments = native(self.peer, loaded.inputs(case))
        self.compile_events.clear()
        kernels = _kernels_compiled(self.peer.package)
        start = time.perf_counter()
        built = loaded.builders[self.peer.name](case, arguments)
        call = blocking(self.peer, built)
        result = call()
        facts: dict[str, Any] = {"first": time.perf_counter() - start}
        facts |= dict(self.compile_events)
        if again and self.peer.package == "wengert":
            start = time.perf_counter()
            call = blocking(self.peer, loaded.builders[self.peer.name](case, arguments))
            result = call()
            facts["record"] = time.perf_counter() - start
            facts["compile"] = max(0.0, facts["first"] - facts["record"])
            facts["kernels"] = _kernels_compiled("wengert") - kernels
        if self.peer.name == "wengert":
            facts["background"] = compile_in_background(call)
            first, result = as_numpy(result), call()
            if worst(first, as_numpy(result)) > case.tolerance:
                raise RuntimeError("the result changed when the function had been compiled")
        if self.peer.name == "limit":
            facts["blas threads"] = choose_blas_threads(call, self.threads)
        self.call = call
        facts["note"] = getattr(built, "note", "")
        facts["result"] = as_numpy(result)
        _freeze()
        return facts

    def elsewhere(self) -> list[Any]:
        """The result after every input but labels was changed in place; [] where there is none. For NumPy's arrays.

        The result of the call before must not change with it. The inputs are put back afterwards.
        """
        assert self.call is not None
        before = self.call()
        kept = as_numpy(before)
        arrays = [a for a in self.arguments if hasattr(a, "flags") and not set(a.ravel()[:100].tolist()) <= {0.0, 1.0}]
        copies = [a.copy() for a in arrays]
        for a in arrays:
            a *= a.dtype.type(1.01)
        found = as_numpy(self.call())
        for a, copy in zip(arrays, copies):
            a[...] = copy
        if self.peer.package == "wengert":
            for a, b in zip(kept, as_numpy(before)):
                if a.tobytes() != b.tobytes():
                    raise RuntimeError("a second call changed the result of the first")
        return found if arrays else []

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

    def turn(self, calls: int, once: float) -> float:
        """One turn of so many calls that take `once` seconds each; seconds a call. A tenth goes before, untimed."""
        gc.collect()
        if calls * once < LONG:
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


def _freeze() -> None:
    """What is held now is not searched again before every turn."""
    gc.collect()
    gc.freeze()


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
