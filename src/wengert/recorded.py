"""`record` and `load`: one call as a tape that can be printed, saved and called. Knows no op and no derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wengert import tree
from wengert.errors import TapeError, at_user
from wengert.plan.lower import lower
from wengert.plan.packets import Program
from wengert.record.recorder import Recorder
from wengert.record.session import recording
from wengert.tape import Tape
from wengert.vm.replay import GuardMissed, Workspace


class RecordedTape(Tape):
    """A tape that remembers the structure of its function's arguments and result, and can be called."""

    def __init__(self, recorder: Recorder, structure: Any, out: Any) -> None:
        leaves, self.out_structure = tree.flatten(out)
        outputs = [recorder.slot(x) for x in leaves]
        base = recorder.tape(outputs)
        super().__init__(
            base.instructions, base.avals, base.inputs, base.outputs, base.consts, base.captured, base.lines,
            base.subtapes, base.name,
        )  # fmt: skip
        self.structure = structure
        self._program: Program | None = None

    def __call__(self, *args: Any) -> Any:
        """Replay forward at other values of the same structure, shapes and dtypes."""
        leaves, structure = tree.flatten(args)
        if structure != self.structure:
            raise TapeError(at_user(f"the tape was recorded with arguments {self.structure}, not {structure}"))
        for slot, x in zip(self.inputs, leaves, strict=True):
            found, wanted = np.asarray(x), self.avals[slot]
            if found.shape != wanted.shape or not np.can_cast(found.dtype, wanted.dtype, "same_kind"):
                raise TapeError(
                    at_user(f"the tape was recorded with {wanted} here, not {found.dtype}{list(found.shape)}")
                )
        if self._program is None:
            self._program = lower(self)
        workspace = Workspace(self._program)
        for port, const in zip(self._program.consts, self.consts, strict=True):
            workspace.bind(port, const.value)
        alive = [workspace.bind(p, c.array) for p, c in zip(self._program.captured, self.captured, strict=True)]
        try:
            results = workspace.replay(leaves)
        except GuardMissed:
            raise TapeError(
                at_user(
                    "at these values the function would take another branch than the one on the tape; "
                    "record it again, or use jit, which does so by itself"
                )
            ) from None
        del alive
        return tree.unflatten(self.out_structure, results)


def record(f: Callable[..., Any], *args: Any) -> RecordedTape:
    """Record one call of `f` and return the tape: to print, to verify, to replay.

    Parameters
    ----------
    f
        A function of NumPy arrays, numbers and pytrees of them.
    *args
        Example arguments; their values matter only where Python looks at them.

    Returns
    -------
    Tape
        `print(tape)` shows it, `tape.verify()` checks it, `tape(*args)` replays it forward.

    Examples
    --------
    >>> import numpy as np, wengert
    >>> tape = wengert.record(lambda x, y: np.sin(x) * y, 1.0, 2.0)
    >>> [op.name for op, *_ in tape.instructions]
    ['sin', 'mul']
    >>> float(tape(0.0, 3.0))
    0.0
    """
    leaves, structure = tree.flatten(args)
    recorder = Recorder(name=getattr(f, "__name__", ""), guarded=True)
    with recording(recorder):
        traced = [recorder.argument(x) for x in leaves]
        return RecordedTape(recorder, structure, f(*tree.unflatten(structure, traced)))
