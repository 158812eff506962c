"""A recording from beginning to end: thread state restored, captured arrays guarded, foreign errors explained."""

from __future__ import annotations

from typing import Any

from wengert.errors import (
    PACKAGE,
    IndexingError,
    LeakedTracerError,
    MutationError,
    ObjectArrayError,
    WengertError,
    Where,
    at_user,
)
from wengert.record.recorder import Recorder
from wengert.record.state import thread


class recording:
    """Make a recorder the active one; whatever happens, the previous state comes back."""

    __slots__ = ("before", "recorder")

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __enter__(self) -> Recorder:
        self.before = thread.active
        thread.active = self.recorder
        return self.recorder

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        recorder = self.recorder
        thread.active = self.before
        if recorder.held.used and recorder.parent is None:
            recorder.held.release()
            if kind is None and recorder.held.changed():
                raise MutationError(at_user(_MUTATION))
        found = _translated(error, recorder) if error is not None else None
        if found is not None:
            raise found from (error if found.__cause__ is None else None)


def _translated(error: BaseException | None, recorder: Recorder) -> BaseException | None:
    """What an error of NumPy's or Python's own means here, where it was a tracer that caused it."""
    text = str(error)
    if type(error) is IndexError and "only integers, slices" in text:
        if isinstance(recorder.refused, LeakedTracerError):
            return recorder.refused
        return IndexingError(_at_raise(_PLAIN_INDEXED, error))
    if type(error) is ValueError and isinstance(error.__cause__, WengertError):
        return error.__cause__  # NumPy's "setting an array element with a sequence" over our own error
    if type(error) is ValueError and "read-only" in text and recorder.root.held.used:
        return MutationError(_at_raise(_MUTATION, error))
    if type(error) is TypeError and "loop of ufunc does not support argument" in text:
        return ObjectArrayError(_at_raise(_MIXED, error))
    return None


_PLAIN_INDEXED = (
    "a plain NumPy array cannot be indexed by a traced value. Pass the array into the function as an argument, "
    "where it is traced as well, or make the index a plain integer with int(k); in place of a mask write "
    "np.where(mask, x, 0)"
)
_MIXED = (
    "np.array([...]) of traced and plain numbers is an array of Python objects, which NumPy's functions cannot "
    "work on. Write np.stack([...]) in its place"
)
_MUTATION = (
    "an array that the recording has captured is written in place. The recording reads captured arrays "
    "when it is replayed, so they must not change while it lasts; compute a new array instead "
    "(np.where, np.concatenate), or change it before the function is called"
)


def _at_raise(text: str, error: BaseException) -> str:
    """`text` with the innermost of the user's lines that the error came through."""
    where: Where | None = None
    trace = error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(PACKAGE):
            where = (trace.tb_frame.f_code, trace.tb_lasti)
        trace = trace.tb_next
    return at_user(text, where)
