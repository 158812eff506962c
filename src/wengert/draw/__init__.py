"""Pictures of tapes: a graph of boxes in an SVG file, or with matplotlib in a PNG or PDF. Knows no recording."""

from __future__ import annotations

import os
from pathlib import Path

from wengert.draw.build import MOST, graph_of
from wengert.draw.facts import Facts
from wengert.draw.graph import files_of
from wengert.draw.raster import save
from wengert.draw.scene import picture_of
from wengert.draw.svg import svg
from wengert.errors import OptionError
from wengert.tape import Tape

__all__ = ["Facts", "draw"]

KINDS = (".svg", ".png", ".pdf")


def draw(tape: Tape, path: str | os.PathLike[str], facts: Facts, most: int = MOST) -> Path:
    """Draw a tape as a graph; see `RecordedTape.draw`."""
    target = Path(path)
    if target.suffix.lower() not in KINDS:
        raise OptionError(f"a tape is drawn as {', '.join(KINDS)}, not as {target.suffix or 'a file without ending'!r}")
    picture = picture_of(graph_of(tape, facts, most), tape.name or "tape", _under(tape, facts))
    if target.suffix.lower() == ".svg":
        target.write_text(svg(picture), encoding="utf-8")
    else:
        save(picture, target)
    return target


def _under(tape: Tape, facts: Facts) -> list[str]:
    """What is said below the heading."""
    files = [os.path.basename(f) for f in files_of(tape)]
    place = f" · {files[0]}" if len(files) == 1 else ""
    found = [f"{len(tape)} instruction{'s' if len(tape) != 1 else ''}{place}"]
    if facts.of is not None:
        found.append(f"∂ derivative of the result %{facts.of} by the value in the box")
    elif facts.missing:
        found.append(facts.missing)
    return found
