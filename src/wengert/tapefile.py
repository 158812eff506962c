"""A tape as a file: written and read without pickle, checked before it is believed. Knows no program and no recording.

The file is one `.npz` archive. `header` is JSON text as bytes; all that is long is an array of its own:

    header        format, version, digest, ops by name, dtypes and shapes, places in the source, per tape its slots
    code.k        tape k as `Tape.code` has it, with places in the header's list of ops instead of op codes
    types.k       per slot its place in the list of dtypes and shapes
    lines.k       per instruction its place in the list of places in the source, or -1
    const.k.i     value of its i-th constant             captured.k.i    its i-th captured array, as it was when saved

Tape 0 is the tape itself, the others are bodies of loops. An op that was made on the fly is named by its formula and
made again from it. A formula is arithmetic, comparisons and the functions of the table of ops, and nothing else: a
file cannot run code.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from wengert import tree
from wengert._version import VERSION
from wengert.errors import TapeError, Where, line_number
from wengert.ops.elementwise import Elementwise, derived
from wengert.ops.spec import BY_NAME, Op
from wengert.ops.table import ROWS
from wengert.shapes import Aval, aval
from wengert.syntax import expression, parse
from wengert.tape import Captured, Const, Instruction, Tape

FORMAT = 1
_LONGEST = 10_000
"""Characters of a formula; real ones have a few hundred."""

Path_ = str | os.PathLike[str]
Arrays = dict[str, Any]


class Saved(NamedTuple):
    """What a file holds."""

    tape: Tape
    arguments: tree.Structure
    result: tree.Structure


class _Table:
    """Things by their place in a list."""

    def __init__(self) -> None:
        self.place: dict[Any, int] = {}

    def __call__(self, x: Any) -> int:
        return self.place.setdefault(x, len(self.place))


# --- writing -----------------------------------------------------------------------------------------


def save(path: Path_, tape: Tape, arguments: tree.Structure, result: tree.Structure) -> None:
    """Write a tape, and the structure of its arguments and of its result."""
    try:
        shapes = [tree.described(arguments), tree.described(result)]
    except TypeError as error:
        raise TapeError(
            f"a tape whose arguments or result hold a {error} cannot be saved, since it must load without the source. "
            "Record a function of dicts, lists and tuples, with that object captured or taken apart"
        ) from None
    arrays: Arrays = {}
    ops, avals, places = _Table(), _Table(), _Table()
    listed = list({id(t): t for t in _all(tape)}.values())
    tapes = [_written(k, t, listed, (ops, avals, places), arrays) for k, t in enumerate(listed)]
    header = {
        "format": FORMAT,
        "version": VERSION,
        "arguments": shapes[0],
        "result": shapes[1],
        "ops": [[op.name, " ".join(op.args) if isinstance(op, Elementwise) else None] for op in ops.place],
        "avals": [[a.dtype.str[1:], list(a.shape)] for a in avals.place],
        "places": list(places.place),
        "tapes": tapes,
    }
    header["digest"] = _digest(header, arrays)
    packed = io.BytesIO()
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez_compressed(packed, header=text, **arrays)
    target = Path(path)
    unfinished = target.with_name(target.name + ".unfinished")
    unfinished.write_bytes(packed.getvalue())
    unfinished.replace(target)


def _all(tape: Tape) -> Iterator[Tape]:
    """The tape and all bodies inside it."""
    yield tape
    for sub in tape.subtapes:
        yield from _all(sub)


def _written(
    k: int, tape: Tape, listed: Sequence[Tape], tables: tuple[_Table, _Table, _Table], arrays: Arrays
) -> dict[str, Any]:
    """A tape's entry in the header; its arrays are added."""
    ops, avals, places = tables
    words: list[int] = []
    for op, outs, ins, params in tape.instructions:
        size = 4 + len(outs) + len(ins) + len(params)
        words += (ops(op), size, len(outs), len(ins), *outs, *ins, *params)
    arrays[f"code.{k}"] = np.array(words, np.int64)
    arrays[f"types.{k}"] = np.array([avals(a) for a in tape.avals], np.int64)
    arrays[f"lines.{k}"] = np.array([-1 if w is None else places(_place(w)) for w in tape.lines], np.int64)
    for name, sources in (("const", tape.consts), ("captured", tape.captured)):
        for i, (slot, value) in enumerate(sources):
            arrays[f"{name}.{k}.{i}"] = np.array(value, tape.avals[slot].dtype, order="C")
    return {
        "name": tape.name,
        "inputs": tape.inputs,
        "outputs": tape.outputs,
        "const": [c.slot for c in tape.consts],
        "captured": [c.slot for c in tape.captured],
        "subtapes": [next(n for n, t in enumerate(listed) if t is sub) for sub in tape.subtapes],
    }


def _place(where: Where) -> tuple[str, int, str]:
    """File (without its folder, which is nobody's business), line and function."""
    return os.path.basename(where[0].co_filename), line_number(where), where[0].co_name


def _digest(header: dict[str, Any], arrays: Arrays) -> str:
    text = hashlib.sha256(json.dumps({k: v for k, v in header.items() if k != "digest"}, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        text.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return text.hexdigest()


# --- reading -----------------------------------------------------------------------------------------


def load(path: Path_) -> Saved:
    """Read a tape that `save` has written, or raise `TapeError`."""
    raw = Path(path).read_bytes()
    try:
        return _read(raw)
    except TapeError as error:
        raise TapeError(f"{path}: {error}") from error.__cause__
    except Exception as error:  # a damaged archive makes zipfile, zlib, NumPy and json raise whatever they like
        raise TapeError(f"{path} is damaged, or no tape: {type(error).__name__}: {error}") from error


def _read(raw: bytes) -> Saved:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        if archive.testzip() is not None:
            raise TapeError("the file is damaged: a part of it does not match its checksum")
    with np.load(io.BytesIO(raw), allow_pickle=False) as found:
        if "header" not in found:
            raise TapeError("the file is a NumPy archive, but no tape")
        header = json.loads(found["header"].tobytes().decode())
        if header["format"] != FORMAT:
            raise TapeError(
                f"the file has format {header['format']}, written by wengert {header.get('version')}; "
                f"this is wengert {VERSION}, which reads format {FORMAT}"
            )
        arrays = {name: found[name] for name in found.files if name != "header"}
    if header["digest"] != _digest(header, arrays):
        raise TapeError("the file is damaged: its content does not match its digest")
    ops = [_op(name, args) for name, args in header["ops"]]
    avals = [aval(np.dtype(kind), tuple(map(int, shape))) for kind, shape in header["avals"]]
    places = [cast(Where, (_Saved(*place), 0)) for place in header["places"]]
    if any(n < 0 for a in avals for n in a.shape):
        raise TapeError("a shape has a negative length")
    tape = _tape(0, header["tapes"], arrays, (ops, avals, places), {})
    tape.verify()
    return Saved(tape, tree.structure_of(header["arguments"]), tree.structure_of(header["result"]))


def _tape(
    k: int,
    entries: Sequence[dict[str, Any]],
    arrays: Arrays,
    tables: tuple[list[Op], list[Aval], list[Where]],
    known: dict[int, Tape],
) -> Tape:
    """Tape k, its bodies first."""
    if k in known:
        return known[k]
    ops, avals, places = tables
    entry = entries[k]

    def source(kind: Any, name: str) -> list[Any]:
        found = [arrays[f"{name}.{k}.{i}"] for i in range(len(entry[name]))]
        return [kind(int(slot), x if x.ndim else x[()]) for slot, x in zip(entry[name], found, strict=True)]

    known[k] = Tape(
        instructions=list(_instructions(arrays[f"code.{k}"].tolist(), ops)),
        avals=[avals[n] for n in arrays[f"types.{k}"].tolist()],
        inputs=[int(s) for s in entry["inputs"]],
        outputs=[int(s) for s in entry["outputs"]],
        consts=source(Const, "const"),
        captured=[Captured(c.slot, np.asarray(c.array)) for c in source(Captured, "captured")],
        lines=[None if n < 0 else places[n] for n in arrays[f"lines.{k}"].tolist()],
        subtapes=[_tape(n, entries, arrays, tables, known) for n in entry["subtapes"]],
        name=str(entry["name"]),
    )
    return known[k]


def _instructions(words: list[int], ops: Sequence[Op]) -> Iterator[Instruction]:
    at = 0
    while at < len(words):
        op, size, n_out, n_in = words[at : at + 4]
        body = words[at + 4 : at + size]
        if len(body) != size - 4 or size < 4 + n_out + n_in or min(op, n_out, n_in) < 0:
            raise TapeError(f"the code is cut off at word {at}")
        yield ops[op], tuple(body[:n_out]), tuple(body[n_out : n_out + n_in]), tuple(body[n_out + n_in :])
        at += size


class _Saved:
    """Stands for the code object of a place in a source that need not be here."""

    def __init__(self, file: str, line: int, name: str) -> None:
        self.co_filename, self.co_firstlineno, self.co_name = f"<saved tape>/{file}", int(line), str(name)

    def co_lines(self) -> list[tuple[int, int, int]]:
        return [(0, 1, self.co_firstlineno)]


# --- ops by name -------------------------------------------------------------------------------------


def _op(name: str, args: str | None) -> Op:
    """The op of this name; one that is a formula is made again."""
    if name in BY_NAME:
        return BY_NAME[name]
    if args is None:
        raise TapeError(f"the tape needs the op {name!r}, which wengert {VERSION} does not have")
    letters = tuple(args.split())
    _check_formula(name, letters)
    found = derived(name, letters)
    if found.name != name or found.args != letters:
        raise TapeError(f"an op has another formula than its name says: {name[:80]!r}")
    return found


_GRAMMAR = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name, ast.Load, ast.Constant,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.BitAnd, ast.BitOr, ast.BitXor, ast.Invert, ast.USub,
    ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq,
)  # fmt: skip


@cache
def _functions() -> frozenset[str]:
    """All functions that formulas of the table call."""
    formulas = [text for row in ROWS for text in row[2:-2] if text]
    calls = [n.func for text in formulas for n in ast.walk(parse(text)) if isinstance(n, ast.Call)]
    return frozenset({f.id for f in calls if isinstance(f, ast.Name)} | {"mul0"})


def _check_formula(text: str, args: Sequence[str]) -> None:
    """Raise unless a formula is arithmetic on its arguments: it is going to be compiled."""
    if len(text) > _LONGEST or not all(len(a) == 1 and "a" <= a <= "h" for a in args):
        raise TapeError("an op's formula is too long, or its operands have no proper names")
    parsed = expression(text)
    called = [n.func for n in ast.walk(parsed) if isinstance(n, ast.Call)]
    for node in ast.walk(parsed):
        wrong = not isinstance(node, _GRAMMAR)
        if isinstance(node, ast.Call):
            wrong = not isinstance(node.func, ast.Name) or node.func.id not in _functions() or bool(node.keywords)
        elif isinstance(node, ast.Name):
            wrong = node.id not in args and node.id != "inf" and not any(node is f for f in called)
        elif isinstance(node, ast.Constant):
            wrong = not isinstance(node.value, int | float) or isinstance(node.value, bool) or abs(node.value) > 2**53
        if wrong:
            raise TapeError(f"an op's formula is no arithmetic: {text[:80]!r}")
    if ast.unparse(parsed) != text:
        raise TapeError(f"an op's formula is not written as wengert writes it: {text[:80]!r}")
