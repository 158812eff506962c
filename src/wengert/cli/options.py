"""Values on the command line: what is refused, and how it is said. Knows no command."""

from __future__ import annotations

import argparse
import difflib
import math
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


class Refused(Exception):
    """A bad value that only the command itself can find; its message is the one line that is printed."""


class Parser(argparse.ArgumentParser):
    """Bad values give one clear line and exit code 2."""

    def error(self, message: str) -> Any:
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def number(kind: type, low: float, open_low: bool = False) -> Callable[[str], Any]:
    """A whole number or a number, finite, at least (or more than) `low`."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}") from None
        if not math.isfinite(value) or value < low or (open_low and value == low):
            raise argparse.ArgumentTypeError(f"{text} must be {'more than' if open_low else 'at least'} {low}")
        return value

    return parse


def name(what: str, known: Iterable[str]) -> Callable[[str], str]:
    """One of the known names; others get those that are spelt alike."""
    names = list(known)

    def parse(text: str) -> str:
        if text in names:
            return text
        close = difflib.get_close_matches(text.lower(), names, n=2, cutoff=0.5)
        hint = f"; did you mean {' or '.join(close)}?" if close else "."
        raise argparse.ArgumentTypeError(f"no {what} is called {text!r}{hint} There are: {', '.join(names)}")

    return parse


def output(*suffixes: str) -> Callable[[str], Path]:
    """A file to be written: of a kind that we write, in a folder that is there and can be written to.

    Its suffix must be one of those given, so that a slip overwrites no file of another kind.
    """

    def parse(text: str) -> Path:
        path = Path(text)
        if path.suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(f"{text} must end in {' or '.join(suffixes)}")
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"{text} is a folder; give the name of a file")
        if not path.parent.is_dir():
            raise argparse.ArgumentTypeError(f"{text} cannot be written: there is no folder {path.parent}")
        try:
            with tempfile.TemporaryFile(dir=path.parent):
                pass
            if path.exists() and not os.access(path, os.W_OK):
                raise PermissionError(0, "it may not be changed")
        except OSError as error:
            raise argparse.ArgumentTypeError(f"{text} cannot be written: {error.strerror}") from None
        return path

    return parse


def readable(text: str) -> Path:
    """A file to be read."""
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path
