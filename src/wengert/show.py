"""`wengert show`: prints, and draws, the tape of a user's function at example arguments. Public API only."""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

import wengert
from wengert import tree
from wengert.errors import PACKAGE, OptionError, WengertError

DTYPES = {
    **{f"{kind}{8 * size}": np.dtype(f"{kind}{size}") for kind, sizes in (("f", (8, 4)), ("i", (8, 4, 2, 1)))
       for size in sizes},
    **{f"u{8 * size}": np.dtype(f"u{size}") for size in (8, 4, 2, 1)},
    "bool": np.dtype("?"),
}  # fmt: skip
_HOLE = "wengert example "
_EXAMPLE = "f64[3], f32[4,2], 2.0"


def add_command(subparsers: Any) -> None:
    """Put `show` among the commands of a parser."""
    command = subparsers.add_parser(
        "show",
        help="print and draw the tape of a function",
        description="Record a function once and print its tape: the ops in the order in which they are computed, with "
        "shapes, dtypes and the lines they come from.",
        epilog=f"Example: wengert show model.py:loss --args '{_EXAMPLE}' --grad --draw loss.svg",
    )
    add = command.add_argument
    add("function", metavar="MODULE:FUNCTION", help="what to record; also path/to/file.py:function")
    add(
        "--args",
        metavar="ARGS",
        default=None,
        help=f"example arguments, as in '{_EXAMPLE}': types and shapes (filled with random numbers between 0 and 1, "
        "integers with 0), numbers, lists as arrays, tuples and dicts of all these; quote them",
    )
    add("--grad", action="store_true", help="show the tape of the gradient in all arguments of floats")
    add("--draw", metavar="FILE", default=None, help="draw the tape as a graph: .svg, or with matplotlib .png, .pdf")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do what was asked for; the exit code."""
    try:
        with _importing():
            tape = _recorded(options.function, options.args, options.grad)
            console = Console(highlight=False)
            for line in _lines(tape, console.width, "gradient of " if options.grad else ""):
                console.print(_styled(line), soft_wrap=True)
            if options.draw is not None:
                print(f"picture: {_drawn(tape, options.draw)}")
    except OptionError as error:
        print(f"wengert show: {error} (see --help)", file=sys.stderr)
        return 2
    return 0


def _drawn(tape: Any, path: str) -> Path:
    try:
        found: Path = tape.draw(path)
    except (WengertError, OSError) as error:
        raise OptionError(f"--draw: {_first_line(error)}") from None
    return found


# --- the function --------------------------------------------------------------------------------------------


@contextmanager
def _importing() -> Iterator[None]:
    """Modules of the current folder can be imported, as by `python -m`."""
    before = sys.path.copy()
    sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        sys.path[:] = before


def load(name: str) -> Callable[..., Any]:
    """The function that `module:function` or `file.py:function` names."""
    where, colon, path = name.rpartition(":")
    if not (where and colon and path):
        raise OptionError(f"{name!r} is not of the form module:function or file.py:function")
    found: Any = _module(where)
    for part in path.split("."):
        if not hasattr(found, part):
            names = [n for n, x in vars(found).items() if callable(x) and not n.startswith("_")]
            near = difflib.get_close_matches(part, names) or names[:8]
            raise OptionError(f"{where} has no {part!r}" + (f"; it has {', '.join(near)}" if near else ""))
        found = getattr(found, part)
    if not callable(found):
        raise OptionError(f"{name} is a {type(found).__name__}, not a function")
    function: Callable[..., Any] = found
    return function


def _module(where: str) -> ModuleType:
    file = Path(where)
    try:
        if file.suffix != ".py":
            return importlib.import_module(where)
        if not file.is_file():
            raise OptionError(f"there is no file {where}")
        spec = importlib.util.spec_from_file_location(f"wengert_shown_{file.stem}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        sys.path.insert(0, str(file.resolve().parent))
        spec.loader.exec_module(module)
    except OptionError:
        raise
    except (Exception, SystemExit) as error:
        raise OptionError(f"{where} cannot be imported: {_told(error)}") from None
    return module


def _recorded(name: str, args: str | None, gradient: bool) -> Any:
    """The tape of the function, or of its gradient."""
    function = load(name)
    if args is None and (needed := _needed(function)):
        raise OptionError(f"{name} takes {', '.join(needed)}: give --args, as in --args '{_EXAMPLE}'")
    values = arguments(args or "")
    if gradient:
        floats = [k for k, x in enumerate(values) if all(np.asarray(leaf).dtype.kind == "f" for leaf in _leaves(x))]
        if not floats:
            raise OptionError(f"--grad: {name} has no argument of floats; write 2.0 for 2")
        function = wengert.grad(function, argnums=floats[0] if len(floats) == 1 else floats)
    try:
        return wengert.record(function, *values)
    except (Exception, SystemExit) as error:
        raise OptionError(f"{name} failed: {_told(error)}") from None


def _leaves(x: Any) -> list[Any]:
    return tree.flatten(x)[0]


def _needed(function: Callable[..., Any]) -> list[str]:
    """Arguments that a function cannot be called without."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in kinds and p.default is p.empty]


def _told(error: BaseException) -> str:
    """An exception in one line, with the user's innermost line."""
    foreign = (*PACKAGE, "<frozen", os.path.dirname(os.__file__) + os.sep + "importlib")
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(foreign)]
    at = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {_first_line(error)}{at}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or "no message").splitlines()[0]


# --- example arguments -----------------------------------------------------------------------------------------


def arguments(text: str) -> list[Any]:
    """Example arguments as they are written on the command line.

    Examples
    --------
    >>> x, n, p = arguments("f32[4,2], 3, {'w': [1.0, 2.0]}")
    >>> x.dtype.name, x.shape, n, p["w"].tolist()
    ('float32', (4, 2), 3, [1.0, 2.0])
    """
    rng = np.random.default_rng(0)
    holes: list[Any] = []

    def hole(match: re.Match[str]) -> str:
        holes.append(_example(match[1], match[2], rng))
        return f"'{_HOLE}{len(holes) - 1}'"

    filled = re.sub(r"\b([A-Za-z]\w*)\s*\[([^\[\]]*)\]", hole, text)
    try:
        found = ast.literal_eval(f"({filled},)") if filled.strip() else ()
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise OptionError(f"--args: {text!r} is not understood; write it as in '{_EXAMPLE}, [1, 2]'") from None
    return [_value(x, holes) for x in found]


def _example(name: str, shape: str, rng: np.random.Generator) -> Any:
    """Numbers of a type and shape."""
    if name not in DTYPES:
        raise OptionError(f"--args: {name!r} is not a type; possible are {', '.join(DTYPES)}")
    try:
        sizes = tuple(int(n) for n in shape.split(",") if n.strip())
    except ValueError:
        sizes = (-1,)
    if min(sizes, default=0) < 0:
        raise OptionError(f"--args: [{shape}] is not a shape; write whole numbers, as in {name}[3,4]")
    dtype = DTYPES[name]
    values = (
        rng.random(sizes) if dtype.kind == "f" else rng.random(sizes) < 0.5 if dtype.kind == "b" else np.zeros(sizes)
    )
    return np.asarray(values).astype(dtype)


def _value(x: Any, holes: Sequence[Any]) -> Any:
    """A literal with examples put in; lists are arrays."""
    if isinstance(x, str) and x.startswith(_HOLE):
        return holes[int(x.removeprefix(_HOLE))]
    if isinstance(x, dict):
        return {key: _value(v, holes) for key, v in x.items()}
    if isinstance(x, tuple):
        return tuple(_value(v, holes) for v in x)
    if not isinstance(x, list):
        return x
    try:
        found = np.array(x)
    except ValueError:
        found = np.array(None)
    if found.dtype.kind not in "fiub":
        raise OptionError(f"--args: {x} is not an array of numbers; use a tuple or dict for parts of other shapes")
    return found


# --- the printed tape ------------------------------------------------------------------------------------------


def _lines(tape: Any, width: int, before: str) -> Iterator[str]:
    """The tape as text that fits the terminal."""
    given = ", ".join(f"{tape.names.get(s, f'%{s}')}: {tape.avals[s]}" for s in tape.inputs)
    results = ", ".join(str(tape.avals[s]) for s in tape.outputs)
    count: dict[str, int] = {}
    for op, *_ in tape.instructions:
        count[op.name] = count.get(op.name, 0) + 1
    ops = ", ".join(f"{n} {name}" for name, n in sorted(count.items(), key=lambda item: -item[1]))
    plural = "" if len(tape) == 1 else "s"
    for text in (
        f"{before}{tape.name or 'tape'}({given}) -> {results or 'nothing'}",
        f"{len(tape)} instruction{plural}: {ops or 'none'}",
    ):
        yield from textwrap.wrap(text, width, subsequent_indent="    ")
    yield ""
    rows = [_row(line, tape.names) for line in str(tape).splitlines()[1:]]
    right = max(len(where) for _, _, where in rows)
    column: dict[str, int] = {}  # by indentation, how wide the texts with a line of the user's beside them are
    for indent, text, where in rows:
        room = max(width - len(indent) - right - 4, 24)
        column[indent] = max(column.get(indent, 0), min(len(text), room) if where else 0)
    for indent, text, where in rows:
        left = column[indent] if where else max(width - len(indent), 24)
        first, *rest = textwrap.wrap(text, left, subsequent_indent="      ", break_on_hyphens=False)
        yield f"{indent}{first:<{left}}   {where}".rstrip()
        yield from (indent + line for line in rest)


def _row(line: str, names: dict[int, str]) -> tuple[str, str, str]:
    """A line of a printed tape as its indentation, its text and the user's line; sources of the tape by name."""
    text = line.strip()
    indent = line[: len(line) - len(line.lstrip())]
    left, _, where = text.partition("   ")
    found = re.match(r"%(\d+) = (?:input|captured)(?= )", left)
    if found is not None and indent == "  ":
        left = f"{found[0]} {names.get(int(found[1]), '')}".rstrip() + left[found.end() :]
    return indent, left, "" if where.strip().startswith("<frozen") else where.strip()


def _styled(line: str) -> Text:
    """Colours on a terminal: slots, types, lines of the user's."""
    text = Text(line)
    text.highlight_regex(r"%\d+", "cyan")
    text.highlight_regex(r"\b(?:[fiu]\d+|bool)\[[\d,]*\]", "green")
    text.highlight_regex(r"\S+\.py:\d+$", "dim")
    return text
