"""`record` and `load`: one call as a tape that can be printed, saved and called. Knows no op and no derivative."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from wengert import tapefile, tree
from wengert.errors import TapeError, at_user
from wengert.names import argument_names, array_names
from wengert.plan.lower import lower
from wengert.plan.packets import Program
from wengert.record.recorder import Recorder
from wengert.record.session import recording
from wengert.tape import Tape
from wengert.vm.replay import GuardMissed, run_once


class RecordedTape(Tape):
    """A tape that remembers the structure of its function's arguments and result, and can be called."""

    def __init__(self, base: Tape, structure: tree.Structure, out_structure: tree.Structure) -> None:
        super().__init__(
            base.instructions, base.avals, base.inputs, base.outputs, base.consts, base.captured, base.lines,
            base.subtapes, base.name,
        )  # fmt: skip
        self.structure, self.out_structure = structure, out_structure
        self.example: list[Any] | None = None
        """The inputs that the tape was recorded with; a loaded tape has none."""
        self.names: dict[int, str] = {}
        """What the function calls slots: its arguments, and arrays that it captures."""
        self.results: dict[int, str] = {}
        """Where in the function's result slots are, as Python would write it."""
        self._program: Program | None = None

    def __call__(self, *args: Any) -> Any:
        """Replay forward at other values of the same structure, shapes and dtypes."""
        leaves = self._leaves(args)
        if self._program is None:
            self._program = lower(self)
        consts, arrays = [c.value for c in self.consts], [c.array for c in self.captured]
        try:
            results = run_once(self._program, leaves, consts, arrays)
        except GuardMissed:
            raise TapeError(
                at_user(
                    "at these values the function would take another branch than the one on the tape; "
                    "record it again, or use jit, which does so by itself"
                )
            ) from None
        return tree.unflatten(self.out_structure, results)

    def _leaves(self, args: tuple[Any, ...]) -> list[Any]:
        """The arguments' leaves, which must have the structure, shapes and dtypes of those recorded with."""
        leaves, structure = tree.flatten(args)
        if structure != self.structure:
            raise TapeError(at_user(f"the tape was recorded with arguments {self.structure}, not {structure}"))
        for slot, x in zip(self.inputs, leaves, strict=True):
            found, wanted = np.asarray(x), self.avals[slot]
            if found.shape != wanted.shape or not np.can_cast(found.dtype, wanted.dtype, "same_kind"):
                raise TapeError(
                    at_user(f"the tape was recorded with {wanted} here, not {found.dtype}{list(found.shape)}")
                )
        return leaves

    def draw(
        self,
        path: str | os.PathLike[str],
        *args: Any,
        values: bool = True,
        adjoints: bool = True,
        of: int | None = None,
    ) -> Path:
        """Draw the tape as a graph: ops, shapes, the user's lines, values, and adjoints in red.

        Up to about 100 boxes every instruction is one. Above that, parts that repeat (a Python loop) become one box
        with a single pass inside, chains of elementwise instructions one box, and so on until it can be read. A
        `scan` is a box with its step inside. Constants that are numbers stand in the box that reads them; what the
        result does not depend on is left out. In a browser, the pointer on a box shows its whole line.

        Parameters
        ----------
        path
            Where to write: `.svg` needs nothing installed, `.png` and `.pdf` need matplotlib.
        *args
            The arguments at which to show values and adjoints, those that it was recorded with if there are none.
        values, adjoints
            Whether to show them: numbers as they are, arrays by mean and range.
        of
            The number of the output whose derivatives the adjoints are: one that is a single float. None: the only
            one that is.

        Returns
        -------
        Path
            Where the picture is.

        Raises
        ------
        OptionError
            If the path's ending is another one, or output `of` is not one float.
        TapeError
            If the arguments do not fit, or the function would take another branch with them.
        MissingLibraryError
            If the format needs matplotlib and it is not installed.

        Notes
        -----
        Values and adjoints are those of the naive replay in NumPy, op by op.

        Examples
        --------
        >>> import numpy as np, tempfile, wengert
        >>> tape = wengert.record(lambda x: np.sin(x) * x, 1.3)
        >>> path = tape.draw(tempfile.mkdtemp() + "/tape.svg")
        >>> path.read_text().startswith("<svg")
        True
        """
        from wengert.draw import Facts, draw

        inputs = self.example
        if inputs is None and not args and (values or adjoints):
            raise TapeError(at_user("a loaded tape is drawn with values only where arguments are given"))
        if args:
            inputs = self._leaves(args)
            self(*args)  # refuses where another branch would be taken
        facts = Facts(
            self, inputs or [], values=values, adjoints=adjoints, of=of, names=self.names, results=self.results
        )
        return draw(self, path, facts)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tape to a file that `wengert.load` reads without the source of the function, and without pickle.

        Captured arrays are saved with the values that they have now.

        Parameters
        ----------
        path
            Where to; usually `something.npz`. An existing file is replaced only when the new one is complete.

        Raises
        ------
        TapeError
            If arguments or result are in containers other than dicts, lists and tuples.
        """
        tapefile.save(path, self, self.structure, self.out_structure)


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
        `print(tape)` shows it, `tape.verify()` checks it, `tape(*args)` replays it forward,
        `tape.save(path)` writes it to a file, `tape.draw("f.svg")` draws it.

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
        out = f(*tree.unflatten(structure, traced))
        results, out_structure = tree.flatten(out)
        tape = RecordedTape(recorder.tape([recorder.slot(x) for x in results]), structure, out_structure)
    tape.example = [recorder.values[s] for s in tape.inputs]
    for slot, place in zip(tape.outputs, tree.paths(out), strict=True):
        tape.results[slot] = f"{tape.results[slot]}, {place}" if slot in tape.results else place
    tape.names |= zip(tape.inputs, argument_names(f, args), strict=True)
    captured = array_names(f, [c.array for c in tape.captured])
    tape.names |= {c.slot: name for c, name in zip(tape.captured, captured, strict=True) if name}
    return tape


def load(path: str | os.PathLike[str]) -> RecordedTape:
    """Read a tape that was saved with `tape.save(path)`.

    On the same machine it gives the same results to the bit. The file is checked before anything of it is used, and
    nothing in it is executed but wengert's own ops. Captured arrays belong to the loaded tape.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Tape
        To print, to verify, to call, as from `record`.

    Raises
    ------
    TapeError
        If the file is damaged, is no tape, or was written by a newer version.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import numpy as np, os, tempfile, wengert
    >>> path = os.path.join(tempfile.mkdtemp(), "slope.npz")
    >>> wengert.record(wengert.grad(lambda x: np.sum(x ** 3)), np.ones(2)).save(path)
    >>> wengert.load(path)(np.array([1.0, 2.0])).tolist()
    [3.0, 12.0]
    """
    return RecordedTape(*tapefile.load(path))
