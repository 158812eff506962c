"""Programs by the structure of their tapes, so that equal tapes are planned once. Knows no value."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from wengert.plan.lower import lower
from wengert.plan.packets import Program
from wengert.tape import Tape
from wengert.threads import num_threads

Entry = TypeVar("Entry")
_KEPT = 256
_lock = threading.Lock()
_programs: dict[Any, Program] = {}


def program_of(tape: Tape) -> Program:
    """The program of a tape; tapes that differ only in values of constants and arrays share it."""
    return remembered(_programs, (tape.key, num_threads()), lambda: lower(tape))


def remembered(table: dict[Any, Entry], key: Any, make: Callable[[], Entry]) -> Entry:
    """The entry of a table that is kept small: the oldest goes when it is full."""
    found = table.get(key)
    if found is None:
        found = make()
        with _lock:
            while len(table) >= _KEPT:
                del table[next(iter(table))]
            table[key] = found
    return found
