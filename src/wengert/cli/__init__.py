"""The command line: finds the command, runs it, turns errors into one line and an exit code. Knows no task."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from wengert import show
from wengert._version import VERSION
from wengert.cli import evaluate, sample, tasks, train
from wengert.cli.options import Parser, Refused
from wengert.train import CheckpointError, NonFiniteError

INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended."""


def parser() -> argparse.ArgumentParser:
    """The command line's grammar. A command adds itself with `add`, and names what is to be run as `run`."""
    top = Parser(prog="wengert", description="Gradients of plain NumPy code at compiled speed.")
    top.add_argument("--version", action="version", version=f"wengert {VERSION}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for command in (train, tasks, evaluate, sample):
        command.add(commands)
    show.add_command(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `wengert` command.

    Parameters
    ----------
    argv
        The words behind the program's name; None for those of the shell.

    Returns
    -------
    int
        0: done. 1: it failed. 2: bad values (raised as SystemExit where the grammar finds them). 130: Ctrl-C.
    """
    options = parser().parse_args(argv)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _said("stopped", INTERRUPTED)
    except BrokenPipeError:  # whoever read us has seen enough; what is still to be flushed goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except NonFiniteError as error:
        return _said(f"wengert {options.command}: {error}; a smaller --lr may help", 1)
    except (Refused, CheckpointError, ModuleNotFoundError) as error:
        return _said(f"wengert {options.command}: {error}", 2)


def _said(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code
