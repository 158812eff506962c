"""The only door to matplotlib: figures without a screen, and without touching its global state."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from wengert.errors import MissingLibraryError


def part(name: str) -> Any:
    """A module of matplotlib."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise MissingLibraryError(
            "this picture is drawn by matplotlib, which is not installed: pip install matplotlib, or "
            "pip install 'wengert[plot]'"
        ) from None
    return import_module(f"{matplotlib.__name__}.{name}")


def figure(width: float, height: float, **options: Any) -> Any:
    """An empty figure of so many inches; it is saved with `savefig` and needs no closing."""
    found = part("figure").Figure(figsize=(width, height), **options)
    part("backends.backend_agg").FigureCanvasAgg(found)
    return found
