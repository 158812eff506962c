"""Sequence tasks: generators of batches with published difficulty and reference scores. Uses NumPy only.

`get(name)` gives a `Task`, `REGISTRY` holds all of them in their published or default form; the functions that end
in `_task` make them with other settings.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from wengert.tasks.characters import VOCABULARY, characters_task, decode, draw_character, encode, entropy, text
from wengert.tasks.digits import digits_task
from wengert.tasks.logic import brackets_task, parity_task
from wengert.tasks.memory import (
    TRIVIAL_ADDING,
    adding,
    adding_task,
    copy_memory_task,
    delayed_recall_task,
    echo_task,
    temporal_order_task,
)
from wengert.tasks.series import mackey_glass, mackey_glass_task, sine_task, sunspots_task
from wengert.tasks.spec import Batch, Examples, Reference, Task

__all__ = [
    "REGISTRY",
    "TRIVIAL_ADDING",
    "VOCABULARY",
    "Batch",
    "Examples",
    "Reference",
    "Task",
    "adding",
    "adding_task",
    "brackets_task",
    "characters_task",
    "copy_memory_task",
    "decode",
    "delayed_recall_task",
    "digits_task",
    "draw_character",
    "echo_task",
    "encode",
    "entropy",
    "get",
    "mackey_glass",
    "mackey_glass_task",
    "parity_task",
    "sine_task",
    "sunspots_task",
    "temporal_order_task",
    "text",
]

_MAKERS = (
    adding_task,
    copy_memory_task,
    delayed_recall_task,
    temporal_order_task,
    parity_task,
    brackets_task,
    echo_task,
    sine_task,
    mackey_glass_task,
    sunspots_task,
    digits_task,
    characters_task,
)

REGISTRY: Mapping[str, Task] = MappingProxyType({task.name: task for task in (make() for make in _MAKERS)})
"""Every task by its name, in its default form; read-only."""


def get(name: str) -> Task:
    """The task of that name.

    Raises
    ------
    ValueError
        Where there is none; the message names those that are spelt alike, and all.

    Examples
    --------
    >>> from wengert import tasks
    >>> tasks.get("adding").n_in
    2
    >>> tasks.get("ading")                                                        # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: no task is called 'ading'; did you mean 'adding'? There are: adding, copy, recall, ...
    """
    if name in REGISTRY:
        return REGISTRY[name]
    close = difflib.get_close_matches(str(name), REGISTRY, n=3)
    hint = f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else "."
    raise ValueError(f"no task is called {name!r}{hint} There are: {', '.join(REGISTRY)}")
