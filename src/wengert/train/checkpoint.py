"""Files that hold a pytree: written all at once or not at all, and refused if damaged. Knows no training loop.

A file is a NumPy `.npz` archive without pickled objects:

    header      JSON as bytes: format, version, path of every leaf, what else the writer wants to keep
    leaf0 ...   the leaves, in the order of the header
    more:name   further arrays, of any shape
    checksum    SHA-256 of all of that
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from wengert import tree
from wengert._version import VERSION
from wengert.train.problems import CheckpointError

FORMAT = 1
"""Goes up when an older wengert could not read the file any more."""
_NAME = "wengert checkpoint"


@dataclass(frozen=True)
class Stored:
    """What a file holds."""

    tree: Any
    info: dict[str, Any] = field(default_factory=dict)
    """Numbers, strings, lists and dicts of them."""
    more: dict[str, Any] = field(default_factory=dict)
    """Arrays whose shapes are not known beforehand."""


def save(path: str | os.PathLike[str], params: Any) -> None:
    """Write a pytree of arrays to a file, whole or not at all: a crash leaves what was there before.

    Parameters
    ----------
    path
        Of the file, by custom with the ending `.npz`.
    params
        A pytree of arrays and numbers.

    Raises
    ------
    CheckpointError
        If the file cannot be written.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from wengert import train
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "model.npz")
    >>> train.save(path, {"w": np.arange(3.0)})
    >>> train.load(path, like={"w": np.zeros(3)})
    {'w': array([0., 1., 2.])}
    >>> folder.cleanup()
    """
    write(path, Stored(params))


def load(path: str | os.PathLike[str], like: Any) -> Any:
    """Read a pytree from a file that `save` wrote, or that `fit` wrote: then it is the parameters.

    Parameters
    ----------
    path
        Of the file.
    like
        A pytree of the same structure, shapes and dtypes, for example freshly drawn parameters.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, newer than this wengert, or of another model; the first leaf that differs
        is named.
    """
    header, arrays = _read(path)
    part = header["info"].get("parameters", "")
    picked = [(p.removeprefix(part), x) for p, x in zip(header["leaves"], arrays["leaves"]) if p.startswith(part)]
    return _matched(path, picked, like)


def write(path: str | os.PathLike[str], stored: Stored) -> None:
    """`save` with all that a `Stored` holds."""
    leaves, _ = tree.flatten(stored.tree)
    header = {
        "format": _NAME,
        "version": FORMAT,
        "wengert": VERSION,
        "leaves": tree.paths(stored.tree),
        "info": stored.info,
    }
    members = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
    members |= {f"leaf{k}": np.asarray(x) for k, x in enumerate(leaves)}
    members |= {f"more:{k}": np.asarray(x) for k, x in stored.more.items()}
    for name, x in members.items():
        if x.dtype.hasobject:
            raise CheckpointError(f"{name} is of dtype {x.dtype}, which cannot be saved: only numbers can")
    members["checksum"] = _checksum(members)
    _replace(Path(path), members)


def about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The `info` that `write` was given: what a file says of itself before its tree is known."""
    found: dict[str, Any] = _read(path)[0]["info"]
    return found


def continues(path: str | os.PathLike[str], source: Mapping[str, Any]) -> None:
    """Raise unless a file holds a training that had the same source of batches."""
    info, name = about(path), os.fspath(path)
    if "source" not in info:
        raise CheckpointError(f"{name} holds no training that could be continued; it was not changed")
    theirs = info["source"]
    for key in source | theirs:
        if source.get(key) != theirs.get(key):
            raise CheckpointError(
                f"{name} is of a training with {key}={theirs.get(key)}, and this one has {key}={source.get(key)}: "
                "it can only be continued with the same batches"
            )


def read(path: str | os.PathLike[str], like: Any) -> Stored:
    """What `write` wrote, its tree matched with one of the same structure, shapes and dtypes."""
    header, arrays = _read(path)
    found = _matched(path, list(zip(header["leaves"], arrays["leaves"], strict=True)), like)
    return Stored(found, header["info"], arrays["more"])


def _replace(path: Path, members: Mapping[str, Any]) -> None:
    """The file appears under its name when all of it is on the disk, and not before."""
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; give the name of a file in it")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **members)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        if os.name == "posix":  # the new name itself must reach the disk, too
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise CheckpointError(f"the checkpoint {path} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def tidy(path: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed while they wrote this file have left beside it."""
    path = Path(path)
    for old in path.parent.iterdir() if path.parent.is_dir() else ():
        if old.name.startswith(f".{path.name}.") and old.name.endswith(".tmp"):
            number = old.name.removeprefix(f".{path.name}.").removesuffix(".tmp")
            if number.isdigit() and not _alive(int(number)):
                with contextlib.suppress(OSError):
                    old.unlink()


def _alive(process: int) -> bool:
    if os.name != "posix":
        return True  # there, os.kill would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _checksum(members: Mapping[str, Any]) -> Any:
    text = hashlib.sha256()
    for name, x in members.items():
        text.update(f"{name} {x.dtype.str} {x.shape}\n".encode())
        text.update(np.ascontiguousarray(x).tobytes())
    return np.frombuffer(text.digest(), np.uint8)


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header, and arrays by kind; all checks that need no model."""
    if not os.path.isfile(path):
        raise CheckpointError(f"there is no checkpoint {os.fspath(path)}")
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            members = {name: archive[name] for name in archive.files}
        sum_ = members.pop("checksum")
        header = json.loads(members["header"].tobytes())
        if header["format"] != _NAME:
            raise ValueError(header["format"])
        version = int(header["version"])
        intact = np.array_equal(sum_, _checksum(members))
    except Exception as error:
        raise CheckpointError(
            f"{os.fspath(path)} is damaged, or no checkpoint of wengert's ({type(error).__name__}); it was not changed"
        ) from error
    if version > FORMAT:
        raise CheckpointError(
            f"{os.fspath(path)} was written by wengert {header.get('wengert', '?')} in format {version}; "
            f"this is wengert {VERSION}, which reads up to format {FORMAT}: upgrade it"
        )
    if not intact:
        raise CheckpointError(f"{os.fspath(path)} is damaged: its checksum is wrong; it was not changed")
    leaves = [members[f"leaf{k}"] for k in range(len(header["leaves"]))]
    more = {name.removeprefix("more:"): x for name, x in members.items() if name.startswith("more:")}
    return header, {"leaves": leaves, "more": more}


def _matched(path: str | os.PathLike[str], stored: list[tuple[str, Any]], like: Any) -> Any:
    """The leaves in the structure of `like`; the first that differs is named."""
    leaves, structure = tree.flatten(like)
    ours = list(zip(tree.paths(like), map(np.asarray, leaves), strict=True))
    for theirs, mine in zip_longest(stored, ours):
        if theirs is None or mine is None or theirs[0] != mine[0] or _kind(theirs[1]) != _kind(mine[1]):
            raise CheckpointError(
                f"{os.fspath(path)} is a checkpoint of another model: it holds {_leaf(theirs)} where this one has "
                f"{_leaf(mine)}; it was not changed"
            )
    return tree.unflatten(structure, [x if x.ndim else x[()] for _, x in stored])


def _kind(x: Any) -> tuple[Any, ...]:
    return (x.dtype, x.shape)


def _leaf(entry: tuple[str, Any] | None) -> str:
    if entry is None:
        return "no further leaf"
    name, x = entry
    return f"{name or 'a leaf'}: {x.dtype}{list(x.shape)}"
