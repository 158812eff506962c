"""The command line: `wengert train adding`. Options and messages; the work is done in `train`."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from wengert import show, tasks, train
from wengert._version import VERSION

DEFAULTS = train.Settings()


class _Parser(argparse.ArgumentParser):
    """Bad values give one clear line and exit code 2."""

    def error(self, message: str) -> Any:
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def _number(kind: type, low: float, open_low: bool = False) -> Callable[[str], Any]:
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


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = _Parser(prog="wengert", description="Gradients of plain NumPy code at compiled speed.")
    top.add_argument("--version", action="version", version=f"wengert {VERSION}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    command = commands.add_parser(
        "train",
        help="train a small network on a task",
        description="Train an Elman network (tanh) on a sequence task by backpropagation through time, with Adam, "
        "until the mean squared error on fresh sequences is under 0.01.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("task", choices=["adding"], help="the adding problem of Hochreiter & Schmidhuber (1997)")
    add = command.add_argument
    add("--steps", type=_number(int, 1), default=DEFAULTS.steps, help="stop after this many steps at the latest")
    add("--seq-len", type=_number(int, 2), default=DEFAULTS.seq_len, help="length of a sequence")
    add("--batch", type=_number(int, 1), default=DEFAULTS.batch, help="sequences a step")
    add("--hidden", type=_number(int, 1), default=DEFAULTS.hidden, help="size of the hidden state")
    add("--lr", type=_number(float, 0, True), default=DEFAULTS.lr, help="learning rate")
    add("--clip", type=_number(float, 0, True), default=DEFAULTS.clip, help="largest norm of the gradient")
    add("--seed", type=_number(int, 0), default=DEFAULTS.seed, help="of weights and sequences")
    add("--dtype", choices=["float32", "float64"], default=DEFAULTS.dtype, help="of weights and sequences")
    add("--quiet", action="store_true", help="print the result alone")
    show.add_command(commands)
    return top


def _samples(result: train.Result, settings: train.Settings) -> Table:
    """What the network answers on a few sequences it has not seen."""
    dtype = np.dtype(settings.dtype)
    xs, targets = tasks.adding(np.random.default_rng(settings.seed + 10**6), 5, settings.seq_len, dtype)
    answers = result.params(xs)
    table = Table(title="Test sequences", title_justify="left")
    for name in ("marked values", "sum", "answer", "error"):
        table.add_column(name, justify="right")
    for k in range(xs.shape[1]):
        values = xs[xs[:, k, 1] == 1, k, 0]
        target, answer = float(targets[k, 0]), float(answers[k, 0])
        table.add_row(
            " + ".join(f"{v:.3f}" for v in values), f"{target:.3f}", f"{answer:.3f}", f"{answer - target:+.3f}"
        )
    return table


def _train(options: argparse.Namespace) -> int:
    console = Console(highlight=False)
    settings = train.Settings(
        options.steps,
        options.seq_len,
        options.batch,
        options.hidden,
        options.lr,
        options.clip,
        options.seed,
        options.dtype,
    )
    if not options.quiet:
        console.print(
            f"adding problem, {settings.seq_len} steps: Elman network, {settings.hidden} hidden units, "
            f"{settings.dtype}; always answering 1 has a mean squared error of {tasks.TRIVIAL_ADDING:.3f}"
        )
    result = train.train_adding(settings, progress=not options.quiet)
    if result.steps == 0:
        console.print("stopped before the first step")
        return 130
    state = "solved" if result.solved else "stopped by Ctrl-C" if result.interrupted else "not solved"
    console.print(
        f"{state} after {result.steps} steps in {result.seconds:.1f} s: "
        f"mean squared error {result.validation:.4f} on fresh sequences"
        + ("" if result.solved else f" (solved is under {settings.target})")
    )
    if not options.quiet:
        console.print(_samples(result, settings))
    return 130 if result.interrupted else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `wengert` command."""
    try:
        options = parser().parse_args(argv)
        return int(options.run(options)) if "run" in options else _train(options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
