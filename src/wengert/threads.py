"""Worker threads, and the mailboxes by which compiled code hands them packets. Knows no op and no plan.

A worker waits in compiled code, without Python's lock. It has a mailbox of int64 words on cache lines of its own:

    | state | packets | addr | words | status | run | . | . |  semaphore: work  |  semaphore: done  |
      state   0 no worker   1 idle   2 taken by who splits   3 posted   4 done   5 taken by the worker

Whoever splits work takes idle workers, posts all parts but the first, runs the first itself, then those that no worker
has begun (it sleeps: waking it takes longer than many a part), and waits for the others. A part that finds no idle
worker (another thread of the user's has it, or there is none) is run by the caller, too: the same parts in the same
places, so results do not depend on who ran them.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading

import numpy as np

from wengert import _jit
from wengert.errors import OptionError

MOST = 32
"""Threads at most: what there are mailboxes for."""
_WORDS, _WORK, _DONE = 16, 8, 12
_SPINS = 400_000
"""Looks at a mailbox before a thread goes to sleep: some 200 us, so that it is awake from fork to fork, from call to
call in a loop."""

_SERVE = f"""
def kernel(ins, addr, n):
    while True:
        spins = {_SPINS}
        while spins > 0 and seen(ins) != 3:
            spins -= 1
        foreign(addr[0], address_of(skip(ins, {_WORK})))
        if swap_if(ins, 3, 5):
            ins[4] = call(ins[5], pi8(ins[1]), pi8(ins[2]), ins[3])
            say(ins, 4)
            foreign(addr[1], address_of(skip(ins, {_DONE})))
    return 0
"""

# | fork | size | parts | run | mailboxes | wait | post | start, words of each part | the parts' packets ...
HEAD = 7
FORK = f"""
def kernel(ins, addr, n):
    taken = i8(0)
    for j in range(1, n):
        box = pi8(ins[4] + {8 * _WORDS} * (j - 1))
        part = {HEAD} + 2 * j
        if swap_if(box, 1, 2):
            taken |= i8(1) << j
            box[1] = address_of(skip(ins, ins[part]))
            box[2] = address_of(addr)
            box[3] = ins[part + 1]
            box[5] = ins[3]
            say(box, 3)
            foreign(ins[6], address_of(skip(box, {_WORK})))
    status = i8(0)
    for j in range(n):
        part = {HEAD} + 2 * j
        if (taken >> j) & 1 == 0:
            found = call(ins[3], skip(ins, ins[part]), addr, ins[part + 1])
            status = where(status == 0, found, status)
    for j in range(1, n):
        if (taken >> j) & 1 == 1:
            box = pi8(ins[4] + {8 * _WORDS} * (j - 1))
            part = {HEAD} + 2 * j
            if swap_if(box, 3, 2):
                found = call(ins[3], skip(ins, ins[part]), addr, ins[part + 1])
            else:
                spins = {_SPINS}
                while spins > 0 and seen(box) != 4:
                    spins -= 1
                while seen(box) != 4:
                    foreign(ins[5], address_of(skip(box, {_DONE})))
                found = box[4]
            status = where(status == 0, found, status)
            say(box, 1)
    return status
"""


class _Pool:
    """The workers of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        raw = np.zeros((MOST + 1) * _WORDS, dtype=np.int64)
        first = -(raw.ctypes.data // 8) % _WORDS
        self.boxes = raw[first : first + MOST * _WORDS].reshape(MOST, _WORDS)
        self.threads: list[threading.Thread] = []
        self.calls = np.zeros(2, dtype=np.int64)
        self.chosen: int | None = None

    def start(self, count: int) -> None:
        """Have so many workers."""
        with self.lock:
            if len(self.threads) >= count:
                return
            libc = ctypes.CDLL(None)
            self.calls[:] = [ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (libc.sem_wait, libc.sem_post)]
            serve = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(
                _jit.address(_SERVE, "serve")
            )
            while len(self.threads) < count:
                box = self.boxes[len(self.threads)]
                for semaphore in (_WORK, _DONE):
                    if libc.sem_init(ctypes.c_void_p(box[semaphore:].ctypes.data), 0, 0):
                        return
                arguments = (box.ctypes.data, self.calls.ctypes.data, 0)
                thread = threading.Thread(target=serve, args=arguments, name="wengert", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no more threads in this process: parts are run by the caller
                    return
                self.threads.append(thread)
                box[0] = 1

    def forget(self) -> None:
        """In a forked child there are no workers; its mailboxes say so."""
        self.lock = threading.Lock()
        self.threads.clear()
        self.boxes[:] = 0


_pool = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)


def mailboxes(parts: int) -> tuple[int, int, int]:
    """Addresses that a fork of so many parts needs: mailboxes, wait, post. Starts the workers."""
    _pool.start(parts - 1)
    return int(_pool.boxes.ctypes.data), int(_pool.calls[0]), int(_pool.calls[1])


def num_threads() -> int:
    """How many threads a call may use.

    Examples
    --------
    >>> import wengert
    >>> wengert.num_threads() >= 1
    True
    """
    if _pool.chosen is None:
        _pool.chosen = _default()
    return _pool.chosen


def set_num_threads(n: int) -> None:
    """Set how many threads a call may use, itself included.

    What has been planned before keeps its number of parts: set it before the first call. The environment variable
    `WENGERT_NUM_THREADS` sets it for a process; without it, it is the number of processors the process may use.
    BLAS is called in pieces that it computes on the calling thread, so its own threads do not matter here.

    Parameters
    ----------
    n
        At least 1; more than 32 count as 32.

    Raises
    ------
    OptionError
        If `n` is not a whole number of at least 1.

    Examples
    --------
    >>> import wengert
    >>> before = wengert.num_threads()
    >>> wengert.set_num_threads(1)
    >>> wengert.num_threads()
    1
    >>> wengert.set_num_threads(before)
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise OptionError(f"set_num_threads takes a whole number of at least 1, not {n!r}")
    _pool.chosen = min(int(n), MOST)


def _default() -> int:
    text = os.environ.get("WENGERT_NUM_THREADS", "")
    if text:
        if not text.isdecimal() or int(text) < 1:
            raise OptionError(f"WENGERT_NUM_THREADS must be a whole number of at least 1, not {text!r}")
        return min(int(text), MOST)
    if sys.platform != "linux":
        return 1  # semaphores in plain memory are Linux's
    return min(len(os.sched_getaffinity(0)), MOST)
