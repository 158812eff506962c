"""Every exception of the library, and the user's line they point at. Knows no tape and no op."""

from __future__ import annotations

import linecache
import os
import sys
from importlib.util import find_spec
from types import CodeType, FrameType

import numpy

_OPTREE = find_spec("optree")
_FILES = (__file__, numpy.__file__, _OPTREE and _OPTREE.origin)
PACKAGE = tuple(os.path.dirname(os.path.abspath(f)) + os.sep for f in _FILES if f)
"""Folders whose frames are not the user's: ours, and those of NumPy and optree, which call us back."""

Where = tuple[CodeType, int]
"""A place in the user's program: a code object and the offset of the instruction in it."""


class WengertError(Exception):
    """Base of every error that wengert raises on purpose."""


class ShapeError(WengertError, ValueError):
    """Operands whose shapes do not fit the operation."""


class DTypeError(WengertError, TypeError):
    """A dtype that the operation, or wengert as a whole, cannot work with."""


class IntegerGradientError(DTypeError):
    """A gradient was asked with respect to, or of, integers."""


class NotScalarError(WengertError, TypeError):
    """`grad` was given a function whose result is not one number."""


class TracerConversionError(WengertError, TypeError):
    """A traced value would leave the recording as a plain number, and its gradient would be lost."""


class LeakedTracerError(WengertError, RuntimeError):
    """A traced value was used after, or outside, the recording it belongs to."""


class NoRuleError(WengertError, TypeError):
    """A NumPy function that wengert has no derivative rule for."""


class MutationError(WengertError, ValueError):
    """An in-place write that a recording cannot follow."""


class ObjectArrayError(WengertError, TypeError):
    """A NumPy array of Python objects where numbers are needed."""


class CarryError(WengertError, TypeError):
    """The carry that a `scan` step returned does not match the carry it was given."""


class IndexingError(WengertError, IndexError):
    """An index that is out of range, or of a kind that a recording cannot follow."""


class NegativePowerError(WengertError, ValueError):
    """An integer to a negative integer power, whose value is no integer."""


class TapeError(WengertError, ValueError):
    """A tape that breaks one of the rules that `Tape.verify` defines, or is called wrongly."""


class OptionError(WengertError, ValueError):
    """An option has a value that it cannot have."""


class MissingLibraryError(WengertError, ImportError):
    """A library that only some of wengert needs is not installed."""


class KernelError(WengertError, RuntimeError):
    """A kernel could not be compiled or loaded."""


class RecordingWarning(RuntimeWarning):
    """A jitted function is recorded again and again, or does not follow something that it has captured."""


_OURS: dict[str, bool] = {}
"""Whether a source file is one of this package: asked for many times at every recorded operation."""


def here() -> Where | None:
    """The user's place in the program right now: the innermost frame that is not of this package.

    Cheap, because it is asked for at every recorded operation; decoded only when it is shown.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        ours = _OURS.get(name)
        if ours is None:
            ours = _OURS[name] = name.startswith(PACKAGE)
        if not ours and not (name == "<string>" and frame.f_globals.get("__name__", "").startswith("wengert.")):
            break
        frame = frame.f_back
    return None if frame is None else (frame.f_code, frame.f_lasti)


def line_number(where: Where) -> int:
    """Source line of a place."""
    code, lasti = where
    for start, end, line in code.co_lines():
        if start <= lasti < end and line is not None:
            return line
    return code.co_firstlineno


def show(where: Where | None, *, full: bool = False) -> str:
    """`model.py:12`, or with `full` the path, the function and the text of the line."""
    if where is None:
        return "?"
    code, number = where[0], line_number(where)
    if not full:
        return f"{os.path.basename(code.co_filename)}:{number}"
    text = linecache.getline(code.co_filename, number).strip()
    place = f'File "{code.co_filename}", line {number}, in {code.co_name}'
    return f"{place}\n    {text}" if text else place


def at_user(message: str, where: Where | None = None) -> str:
    """`message` with the user's line below it."""
    where = here() if where is None else where
    return message if where is None else f"{message}\n  {show(where, full=True)}"
