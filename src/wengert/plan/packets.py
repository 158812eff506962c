"""A program: the packets of a tape and where its slots lie. Knows no tape and no Python value.

A program is one flat array of int64 words, packet behind packet,

    ┌────────┬──────┬───┬───────────┐
    │ kernel │ size │ n │ words ... │     kernel: its address   size: words in the packet
    └────────┴──────┴───┴───────────┘     n: elements           words: slots and integers, the kernel's own

and a workspace: bytes for everything that is computed, and one address a slot. Kernels find a slot by its
number in that table, so a program is shared by all threads, and a workspace belongs to one.

    addr   │ fault │ slot 1 │ slot 2 │ ...      fault: the packet that stopped the replay
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from wengert.shapes import Aval, Shape

Words = np.ndarray[Any, np.dtype[np.int64]]

RUN = """
def kernel(ins, addr, n):
    p = ins
    left = n
    while left > 0:
        status = call(p[0], p, addr, p[2])
        if status != 0:
            if addr[0] == 0:
                addr[0] = address_of(p)
            return status
        left -= p[1]
        p = skip(p, p[1])
    return 0
"""
"""The replay loop. It has the signature of a kernel, so a loop's body is replayed by the same code."""


@dataclass(frozen=True)
class Port:
    """A slot that the caller fills or reads: where it lies, and the views of it that move with it."""

    number: int
    aval: Aval
    offset: int | None
    """Byte offset in the workspace; None if it lies where the caller's array lies."""
    strides: Shape
    moves: tuple[tuple[int, int], ...] = ()
    """Slots at a byte offset from this one, whose address must be set with it."""

    @cached_property
    def moved(self) -> tuple[Words, Words]:
        """The same as two arrays: slots, offsets. (A Python loop over elements makes a view of each.)"""
        numbers, offsets = np.array(self.moves, dtype=np.int64).reshape(-1, 2).T.copy()
        return numbers, offsets


@dataclass(frozen=True)
class Program:
    """Packets ready to be replayed, and their layout."""

    code: Words
    addresses: Words
    """Per slot its byte offset in the workspace; what is not there is set by a port."""
    nbytes: int
    inputs: tuple[Port, ...]
    consts: tuple[Port, ...]
    captured: tuple[Port, ...]
    outputs: tuple[Port, ...]
    origin: tuple[list[int], list[Any], list[int]]
    """Of every packet, in order: its word position, the tape it comes from and the instruction there."""
    pool: list[Any] = field(default_factory=list)
    """Workspaces that no thread is using."""
