"""Python text to a syntax tree, one thread at a time. Knows nothing of what the text means."""

from __future__ import annotations

import ast
import threading

_lock = threading.Lock()


def parse(text: str) -> ast.Module:
    """`ast.parse`; two threads in it at once make Python 3.11 raise SystemError now and then (CPython issue 106905)."""
    with _lock:
        return ast.parse(text)


def expression(text: str) -> ast.expr:
    """The tree of one expression."""
    with _lock:
        return ast.parse(text, mode="eval").body
