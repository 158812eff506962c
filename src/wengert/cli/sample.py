"""`wengert sample`: text from a saved character model."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from wengert import jit, tasks
from wengert.cli.options import Refused, number, readable
from wengert.train import SequenceModel, load_model


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    command = commands.add_parser(
        "sample",
        help="write text with a saved character model",
        description="Write text, character by character, with a model that `wengert train text --save` wrote.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.set_defaults(run=run)
    command.add_argument("file", type=readable, help="the model")
    command.add_argument("--length", type=number(int, 1), default=400, help="characters")
    command.add_argument(
        "--temperature", type=number(float, 0), default=0.8, help="0: always the likeliest; 1: as the model says"
    )
    command.add_argument("--seed", type=number(int, 0), default=0, help="of the choices")
    command.add_argument("--prompt", type=_prompt, default="\n", help="what the text starts with")


def _prompt(text: str) -> str:
    try:
        tasks.encode(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not text:
        raise argparse.ArgumentTypeError("it needs one character at least")
    return text


def written(model: SequenceModel, prompt: str, length: int, temperature: float, rng: np.random.Generator) -> Any:
    """Yield `length` characters, one after another."""
    onward = jit(lambda model, carry, xs: model.onward(carry, xs))
    letters = np.eye(len(tasks.VOCABULARY), dtype=model.readout.w.dtype)
    carry, logits = model.onward(None, letters[tasks.encode(prompt)][:, None])
    for _ in range(length):
        chosen = tasks.draw_character(rng, logits[0], temperature)
        yield tasks.VOCABULARY[chosen]
        carry, logits = onward(model, carry, letters[chosen][None, None])


def run(options: argparse.Namespace) -> int:
    """Load and write."""
    saved = load_model(options.file)
    if saved.settings.task != "text":
        raise Refused(f"{options.file} is a model of {saved.settings.task}; only one of text can write")
    rng = np.random.default_rng(options.seed)
    sys.stdout.write(options.prompt.lstrip("\n"))
    try:
        for character in written(saved.model, options.prompt, options.length, options.temperature, rng):
            sys.stdout.write(character)
            if character == "\n":
                sys.stdout.flush()
    finally:
        sys.stdout.write("\n")
    return 0
