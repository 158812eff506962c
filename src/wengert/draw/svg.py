"""A picture as the text of an SVG file. Knows pictures only; needs no library."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from wengert.draw.picture import Box, Line, Picture, Point, Step, Text

_FONT = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"


def svg(picture: Picture) -> str:
    """The whole file; it is valid XML and stands alone."""
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    w, h = _number(picture.width), _number(picture.height)
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img">'
    yield f"<title>{_text(picture.title)}</title>"
    yield f'<rect width="{w}" height="{h}" fill="#ffffff"/>'
    yield f'<g font-family="{_FONT}">'
    yield "<style>text { white-space: pre; pointer-events: none } path:hover { stroke-width: 2.6 }</style>"
    for item in picture.items:
        if isinstance(item, Text):
            yield _of_text(item)
        elif isinstance(item, Box):
            yield _of_box(item)
        else:
            yield _of_line(item)
    yield "</g>"
    yield "</svg>"


def _of_text(item: Text) -> str:
    extra = (' font-weight="bold"' if item.bold else "") + (' text-anchor="end"' if item.right else "")
    place = f'x="{_number(item.x)}" y="{_number(item.y)}" font-size="{_number(item.size)}"'
    return f'<text {place} fill="{item.colour}"{extra}>{_text(item.text)}</text>'


def _of_box(item: Box) -> str:
    place = " ".join(
        f'{name}="{_number(value)}"'
        for name, value in (("x", item.x), ("y", item.y), ("width", item.width), ("height", item.height))
    )
    look = f'rx="{_number(item.radius)}" fill="{item.fill}" stroke="{item.stroke}"'
    look += f' stroke-width="{_number(item.thickness)}"' + (' stroke-dasharray="4 3"' if item.dashed else "")
    return f"<rect {place} {look}{_end('rect', item.note)}"


def _of_line(item: Line) -> str:
    path = " ".join(f"M{_point(start)}" + "".join(map(_step, steps)) for start, steps in item.strokes)
    look = f'fill="{item.colour}"' if item.fill else f'fill="none" stroke="{item.colour}"'
    if not item.fill:
        look += f' stroke-width="{_number(item.thickness)}"' + (' stroke-dasharray="5 4"' if item.dashed else "")
    return f"<path d={quoteattr(path)} {look}{_end('path', item.note)}"


def _end(tag: str, note: str) -> str:
    return f"><title>{_text(note)}</title></{tag}>" if note else "/>"


def _text(text: str) -> str:
    """Text for XML, without the characters that XML does not have."""
    return escape("".join(" " if (c < " " and c != "\n") or "\ud800" <= c <= "\udfff" else c for c in text))


def _step(step: Step) -> str:
    return f"{'C' if len(step) == 3 else 'L'}{' '.join(map(_point, step))}"


def _point(point: Point) -> str:
    return f"{_number(point[0])},{_number(point[1])}"


def _number(x: float) -> str:
    return f"{x:.1f}".rstrip("0").rstrip(".") if x else "0"
