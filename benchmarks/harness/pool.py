"""The parent's side of the workers: start, ask, stop."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.model import NotHere
from harness.peers import environment
from harness.worker import receive, send

HERE = Path(__file__).resolve().parent.parent


class WorkerError(Exception):
    """A peer failed: it raised, died or took too long."""


class Remote:
    """One peer's worker process."""

    def __init__(self, peer: str, threads: int, timeout: float, cache_dir: str | None) -> None:
        self.peer = peer
        self.timeout = timeout
        env = environment(threads, cache_dir)
        env["PYTHONPATH"] = os.pathsep.join(p for p in (str(HERE), env.get("PYTHONPATH")) if p)
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness.worker", peer, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=env,
        )  # fmt: skip
        self._facts: dict[str, Any] | None = None
        self.post("hello")

    @property
    def facts(self) -> dict[str, Any]:
        """What the worker said when it came up."""
        if self._facts is None:
            try:
                self._facts = self.collect()
            except WorkerError:
                self.stop()
                raise
        return self._facts

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the worker and wait for its answer."""
        self.facts  # noqa: B018
        self.post(method, *arguments)
        return self.collect()

    def post(self, method: str, *arguments: Any) -> None:
        """Call a method of the worker without waiting."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `collect` will say what happened
            send(self.process.stdin, (method, arguments))

    def collect(self) -> Any:
        """Wait for the next answer."""
        assert self.process.stdout is not None
        try:
            if os.name == "posix" and not select.select([self.process.stdout], [], [], self.timeout)[0]:
                self.stop()
                raise WorkerError(f"no answer after {self.timeout:.0f} s")
            answer = receive(self.process.stdout)
        except (EOFError, BrokenPipeError):
            code = self.process.wait()
            raise WorkerError(f"the worker died with exit code {code}; {self._last_words()}") from None
        if answer[0] == "skip":
            raise NotHere(answer[1])
        if answer[0] != "ok":
            raise WorkerError(answer[1].strip().splitlines()[0][:300])
        return answer[1]

    def alone(self, method: str, *arguments: Any) -> Any:
        """`ask` a worker that rests otherwise: see `resting`."""
        self._signal("SIGCONT")
        try:
            return self.ask(method, *arguments)
        finally:
            self._signal("SIGSTOP")

    def _signal(self, name: str) -> None:
        if os.name == "posix" and self.alive:
            self.process.send_signal(getattr(signal, name))

    @property
    def alive(self) -> bool:
        """Whether it can be asked again."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End the process."""
        if self.alive:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self.log.close()

    def _last_words(self) -> str:
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "it said nothing"


@contextlib.contextmanager
def resting(remotes: Iterable[Remote]) -> Iterator[None]:
    """Workers are stopped, but for the one that is asked `alone`.

    Threads of BLAS and of OpenMP wait for the next work with their core at full load, some for 20 ms: they would take
    it from whoever has the next turn.
    """
    remotes = list(remotes)
    for remote in remotes:
        remote._signal("SIGSTOP")
    try:
        yield
    finally:
        for remote in remotes:
            remote._signal("SIGCONT")


class Pool:
    """The workers of a run, one process for each peer, started when first asked for."""

    def __init__(self, threads: int, timeout: float) -> None:
        self.threads, self.timeout = threads, timeout
        self.remotes: dict[str, Remote] = {}
        self.caches: dict[str, str] = {}

    def get(self, peer: str) -> Remote:
        """The peer's worker; a new one if the last one has died."""
        remote = self.remotes.get(peer)
        if remote is None or not remote.alive:
            remote = self.remotes[peer] = Remote(peer, self.threads, self.timeout, self.caches.get(peer))
        return remote

    def renew(self, peers: Iterable[str], cache_dir: str) -> None:
        """Stop these workers. Those that take their place keep their kernels in `cache_dir`."""
        for peer in peers:
            self.caches[peer] = cache_dir
            if peer in self.remotes:
                self.remotes.pop(peer).stop()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for remote in self.remotes.values():
            remote.stop()
