"""`jit` and `record`: from a call's signature to a program, and the calls. Knows no op and no derivative."""

from __future__ import annotations

import functools
from collections.abc import Callable
from operator import is_
from os import PathLike
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np

from wengert import tree
from wengert.errors import DTypeError, TapeError, at_user
from wengert.hot import calls_until_hot, compile_regions
from wengert.names import argument_names, array_names
from wengert.ops.guard import GUARD
from wengert.plan.lower import lower
from wengert.plan.packets import Program
from wengert.record.recorder import Recorder
from wengert.record.session import recording
from wengert.record.state import thread
from wengert.record.tracer import Tracer
from wengert.tape import Tape
from wengert.vm.replay import GuardMissed, Workspace, run_once

Function = Callable[..., Any]
_MOST_VARIANTS = 64


def jit(f: Function) -> Function:
    """Record `f` once per signature and replay it afterwards.

    A signature is the structure of the arguments and the shape and dtype of every leaf. Python floats and
    ints are inputs; strings, bools and other hashable leaves are part of the signature. Where Python itself
    looks at a value (`if x > 0`), the replay checks that the value is the same, and records the function
    anew for the other branch if it is not. Arrays that `f` captures are read at every call; Python scalars
    that it captures are constants, as in JAX.

    Parameters
    ----------
    f
        A function of NumPy arrays, numbers and pytrees of them. It must have no side effects.

    Returns
    -------
    callable
        With the arguments and results of `f`. Results are fresh arrays. Safe to call from many threads.

    Examples
    --------
    >>> import numpy as np, wengert
    >>> step = wengert.jit(lambda w: w - 0.1 * wengert.grad(lambda w: np.sum(w ** 2))(w))
    >>> step(np.array([1.0, 2.0])).tolist()
    [0.8, 1.6]
    """
    return functools.update_wrapper(Jitted(f), f, updated=())


class _Variant:
    """One recording: its program, how its result is put together, workspaces with constants in place."""

    def __init__(self, recorder: Recorder, out: Any) -> None:
        leaves, self.structure = tree.flatten(out)
        self.leaves = leaves
        self.traced = [k for k, x in enumerate(leaves) if isinstance(x, Tracer | np.ndarray)]
        self.single = len(self.traced) == 1 and leaves[0] is out
        # A tuple of arrays is put together by Python itself, which is faster.
        all_traced = len(self.traced) == len(leaves)
        self.flat = all_traced and type(out) is tuple and len(out) == len(leaves) and all(map(is_, out, leaves))
        tape = recorder.tape([recorder.slot(leaves[k]) for k in self.traced])
        self.program: Program = lower(tape)
        self.tape = tape
        self.pool: list[tuple[Workspace, list[Any]]] = []
        self.calls, self.hot = 0, calls_until_hot(tape)

    def _workspace(self) -> tuple[Workspace, list[Any]]:
        workspace, tape, program = Workspace(self.program), self.tape, self.program
        for port, const in zip(program.consts, tape.consts, strict=True):
            workspace.bind(port, const.value)
        moving = []
        for port, captured in zip(program.captured, tape.captured, strict=True):
            if workspace.bind(port, captured.array) is not captured.array:
                moving.append((port, captured.array))
        return workspace, moving

    def __call__(self, values: list[Any]) -> Any:
        try:
            pair = self.pool.pop()
        except IndexError:
            pair = self._workspace()
        workspace, moving = pair
        alive = [workspace.bind(port, array) for port, array in moving] if moving else None
        try:
            found = workspace.replay(values)
        finally:
            if workspace.program is self.program:
                self.pool.append(pair)
        self.calls += 1
        if self.calls == self.hot:
            compile_regions(self.tape, self._better)
        del alive
        return self._assembled(found)

    def _better(self, program: Program) -> None:
        """Go on with another program for the same tape."""
        self.program, self.pool = program, []

    def unguarded(self, values: list[Any]) -> Any:
        """The recorded path, whatever the guards say: right for the values that it was recorded with.

        A product may round otherwise in the whole program than in the piece that gave Python its value.
        """
        tape = self.tape
        kept = [k for k, (op, *_) in enumerate(tape.instructions) if op is not GUARD]
        free = Tape(
            [tape.instructions[k] for k in kept], tape.avals, tape.inputs, tape.outputs, tape.consts, tape.captured,
            [tape.lines[k] for k in kept], tape.subtapes, tape.name,
        )  # fmt: skip
        consts, arrays = [c.value for c in tape.consts], [c.array for c in tape.captured]
        return self._assembled(run_once(lower(free), values, consts, arrays))

    def _assembled(self, found: list[Any]) -> Any:
        """Results in the structure that the function returned."""
        if self.flat:
            return tuple(found)
        if self.single:
            return found[0]
        leaves = self.leaves.copy()
        for k, x in zip(self.traced, found, strict=True):
            leaves[k] = x
        return tree.unflatten(self.structure, leaves)


class Jitted:
    """A function recorded once per signature; see `jit`."""

    def __init__(self, f: Function) -> None:
        self.f = f
        self._variants: dict[Any, list[_Variant]] = {}
        self._plain: dict[Any, list[_Variant]] = {}

    def __repr__(self) -> str:
        return f"<wengert.jit of {self.f!r}>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if thread.active is not None:
            return self.f(*args, **kwargs)
        if not kwargs:
            sig = []
            for x in args:
                kind = type(x)
                if kind is np.ndarray:
                    sig.append((x.dtype, x.shape))
                elif kind is float:
                    sig.append(float)  # type: ignore[arg-type]
                else:
                    break
            else:
                return self._call(self._plain, tuple(sig), args, kwargs, args, None)
        leaves, structure = tree.flatten((args, kwargs))
        numbers = [x for x in leaves if _is_number(x)]
        key = (structure, *map(_signature, leaves))
        return self._call(self._variants, key, args, kwargs, numbers, (leaves, structure))

    def _call(self, table: Any, key: Any, args: Any, kwargs: Any, values: Any, flat: Any) -> Any:
        variants = table.get(key)
        if variants is None:
            variants = table[key] = []
        for k, variant in enumerate(variants):
            try:
                found = variant(values)
            except GuardMissed:
                continue
            if k:  # the branch taken last is tried first
                variants.insert(0, variants.pop(k))
            return found
        leaves, structure = flat if flat is not None else tree.flatten((args, kwargs))
        variant = self._record(leaves, structure)
        variants.insert(0, variant)
        del variants[_MOST_VARIANTS:]
        try:
            return variant(values)
        except GuardMissed:
            return variant.unguarded(values)

    def _record(self, leaves: list[Any], structure: Any) -> _Variant:
        recorder = Recorder(name=getattr(self.f, "__name__", ""), guarded=True)
        with recording(recorder):
            traced = [recorder.argument(x) if _is_number(x) else x for x in leaves]
            args, kwargs = tree.unflatten(structure, traced)
            out = self.f(*args, **kwargs)
            return _Variant(recorder, out)


def _is_number(x: Any) -> bool:
    return isinstance(x, np.ndarray | np.generic | float | int | complex) and not isinstance(x, bool)


def _signature(x: Any) -> Any:
    kind = type(x)
    if kind is np.ndarray or isinstance(x, np.ndarray | np.generic):
        return (x.dtype, x.shape)
    if kind is float or kind is int or kind is complex:
        return kind
    try:
        hash(x)
    except TypeError:
        raise DTypeError(
            at_user(
                f"an argument of a jitted function is a {kind.__name__}: neither a number or array, nor a container "
                "that optree knows, nor hashable. Register its class as a pytree, or capture it in a closure"
            )
        ) from None
    return (kind, x)


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
        self.example = [recorder.values[s] for s in base.inputs]
        """The inputs that the tape was recorded with."""
        self.names: dict[int, str] = {}
        """What the function calls slots: its arguments, and arrays that it captures."""
        self.results: dict[int, str] = {}
        """Where in the function's result slots are, as Python would write it."""
        for slot, path in zip(base.outputs, tree.paths(out), strict=True):
            self.results[slot] = f"{self.results[slot]}, {path}" if slot in self.results else path
        self._program: Program | None = None

    def __call__(self, *args: Any) -> Any:
        """Replay forward at other values of the same structure, shapes and dtypes."""
        leaves = self._leaves(args)
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
        self, path: str | PathLike[str], *args: Any, values: bool = True, adjoints: bool = True, of: int | None = None
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
        if args:
            inputs = self._leaves(args)
            self(*args)  # refuses where another branch would be taken
        facts = Facts(self, inputs, values=values, adjoints=adjoints, of=of, names=self.names, results=self.results)
        return draw(self, path, facts)


def record(f: Function, *args: Any) -> RecordedTape:
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
        `print(tape)` shows it, `tape.verify()` checks it, `tape(*args)` replays it forward, `tape.draw("f.svg")`
        draws it.

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
        tape = RecordedTape(recorder, structure, f(*tree.unflatten(structure, traced)))
    tape.names |= zip(tape.inputs, argument_names(f, args), strict=True)
    captured = array_names(f, [c.array for c in tape.captured])
    tape.names |= {c.slot: name for c, name in zip(tape.captured, captured, strict=True) if name}
    return tape
