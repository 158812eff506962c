"""The one piece of state that a thread has: which recorder is being written to. Knows nothing else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from wengert.errors import LeakedTracerError, at_user

if TYPE_CHECKING:
    from wengert.record.recorder import Recorder
    from wengert.record.tracer import Tracer

LEAKED = (
    "a traced value ({}) is used outside the recording it belongs to. It was stored in a variable that "
    "outlives the function; return it instead"
)


class _Thread(threading.local):
    active: Recorder | None = None


thread = _Thread()


def current() -> Recorder:
    """The active recorder, for operations that may be given no traced value at all."""
    if thread.active is None:
        raise LeakedTracerError(at_user(LEAKED.format("unknown")))
    return thread.active


def required(tracer: Tracer) -> Recorder:
    """The active recorder; there must be one where a traced value is used."""
    recorder = thread.active
    if recorder is None:
        raise LeakedTracerError(at_user(LEAKED.format(tracer.aval)))
    return recorder
