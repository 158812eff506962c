"""The user's arrays while a recording reads them: they must stay as they are. Knows no tape."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SMALL = 1 << 20
"""Arrays of up to so many bytes are compared at the end of a recording."""


_waiting: list[Array] = []
"""Views whose base another thread still holds: they can be written to again when that is over."""


class Held:
    """Arrays that are read-only for a while, and copies of their bytes: another name may still write to them."""

    __slots__ = ("copies", "frozen", "used")

    def __init__(self) -> None:
        self.used = False
        self.frozen: list[Array] = []
        self.copies: list[tuple[Array, bytes]] = []

    def freeze(self, array: Array) -> None:
        """Let nobody write to the array by this name."""
        self.used = True
        flags = array.flags
        if flags.writeable:
            flags.writeable = False
            self.frozen.append(array)

    def compare(self, array: Array, before: Array) -> None:
        """Have it found at the end that the array, which was `before`, was written to by another name."""
        if array.nbytes <= SMALL:
            self.copies.append((array, before.tobytes()))

    def changed(self) -> bool:
        """Whether an array was written to after all."""
        return any(array.tobytes() != before for array, before in self.copies)

    def release(self) -> None:
        """Make the arrays writeable again; a view can only follow its base."""
        waiting = self.frozen
        self.frozen = []
        while _waiting:
            try:
                waiting.append(_waiting.pop())
            except IndexError:
                break
        while waiting:
            rest = []
            for array in waiting:
                try:
                    array.flags.writeable = True
                except ValueError:
                    rest.append(array)
            if len(rest) == len(waiting):
                _waiting.extend(rest)
                break
            waiting = rest
