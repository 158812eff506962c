"""Machine code by content: what is compiled, where it is kept. Knows no word of the kernel language."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import llvmlite
import llvmlite.binding as llvm

from wengert import _straight
from wengert._jit import compiler, language


class Stats:
    """What this process has compiled with Numba and what it took from the cache."""

    def __init__(self) -> None:
        self.compiled: list[str] = []
        self.loaded: list[str] = []

    def __repr__(self) -> str:
        return f"Stats(compiled={len(self.compiled)}, loaded={len(self.loaded)})"


stats = Stats()
_lock = threading.RLock()


def cache_dir() -> Path:
    """Folder of the machine-code cache: `WENGERT_CACHE_DIR`, or the user's cache folder."""
    chosen = os.environ.get("WENGERT_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "wengert"


class _Machine:
    """This processor as LLVM sees it, and the engine that holds the loaded code."""

    def __init__(self) -> None:
        for start in (llvm.initialize_native_target, llvm.initialize_native_asmprinter):
            start()
        cpu = llvm.get_host_cpu_name()
        features = llvm.get_host_cpu_features().flatten()
        target = llvm.Target.from_default_triple()
        self.target = target.create_target_machine(
            cpu=cpu, features=features, opt=3, reloc="default", codemodel="jitdefault"
        )
        module = llvm.parse_assembly("")
        module.triple = target.triple
        self.engine = llvm.create_mcjit_compiler(module, self.target)
        files = (__file__, compiler.__file__, language.__file__, _straight.__file__)
        mine = b"".join(Path(file).read_bytes() for file in files)
        self.salt = hashlib.sha256(
            b"\0".join([mine, cpu.encode(), features.encode(), llvmlite.__version__.encode()])
        ).digest()


@lru_cache(maxsize=1)
def _machine() -> _Machine:
    return _Machine()


def content_key(source: str) -> str:
    """The name of a kernel's machine code: a hash of everything that it depends on."""
    return hashlib.sha256(_machine().salt + source.encode()).hexdigest()[:40]


_addresses: dict[str, int] = {}
_absent: set[str] = set()
"""Texts of fused kernels that the cache did not have when somebody asked."""
_labels: dict[int, str] = {}


def address(source: str, label: str = "kernel") -> int:
    """Address of the compiled `kernel` that `source` defines; `label` names it in `stats`."""
    found = _addresses.get(source)
    if found is not None:
        return found
    with _lock:
        if source not in _addresses:  # no other thread has been faster
            _addresses[source] = found = _loaded(source, label)
            _labels[found] = label
        return _addresses[source]


def label(kernel: int) -> str:
    """The name of a kernel by its address."""
    return _labels.get(kernel, "?")


def _loaded(source: str, label: str) -> int:
    key = content_key(source)
    path = cache_dir() / f"{key}.o"
    code = _read(path, key)
    if code is None:
        code = _emitted(source, f"wengert_{key}")
        _write(path, key, code)
        stats.compiled.append(label)
    else:
        stats.loaded.append(label)
    return _linked(code, key)


def _linked(code: bytes, key: str) -> int:
    """Address of a kernel from its object code."""
    engine = _machine().engine
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return int(engine.get_function_address(f"wengert_{key}"))


def _seal(key: str, code: bytes) -> bytes:
    """What a file must begin with to be the code of this kernel, whole."""
    return hashlib.sha256(key.encode() + code).digest()


def _read(path: Path, key: str) -> bytes | None:
    """A cached object file, or None when it is missing, damaged or another kernel's."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    seal, code = data[:32], data[32:]
    return code if _seal(key, code) == seal else None


def _write(path: Path, key: str, code: bytes) -> None:
    """Store atomically; a folder that cannot be written only costs the next process its time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(_seal(key, code) + code)
        os.replace(name, path)
    except OSError:
        pass


def _emitted(source: str, symbol: str) -> bytes:
    """Numba compiles the text; LLVM emits code."""
    target = _machine().target
    module = compiler.module(target, source, "kernel", ("words", "words", "i8"), "i8", symbol)
    return bytes(target.emit_object(module))


# --- several functions in one kernel -----------------------------------------------------------------------


class Scalar(NamedTuple):
    """A function of numbers, in kernel language, that fused kernels call: its text defines `scalar`."""

    source: str
    arguments: tuple[str, ...]
    result: str

    @property
    def symbol(self) -> str:
        """Its name in LLVM's text: a hash of the content, so that a text that calls it is content, too."""
        return f"scalar_{content_key(repr(self))}"


def fused(text: str, label: str, scalars: Iterable[Scalar], compile: bool) -> int:
    """Address of the kernel `@kernel` that LLVM text defines, which may call scalars by their symbols.

    Without `compile` only a kernel that this process or the cache has is found; 0 where there is none.
    """
    found = _addresses.get(text, 0)
    if found or (text in _absent and not compile):
        return found
    key = content_key(text)
    path = cache_dir() / f"{key}.o"
    code = _read(path, key)
    if code is None:
        if not compile:
            _absent.add(text)
            return 0
        code = _fuse(text.replace("@kernel(", f"@wengert_{key}("), {s.symbol: s for s in scalars})
        _write(path, key, code)
        stats.compiled.append(label)
    else:
        stats.loaded.append(label)
    with _lock:
        if text not in _addresses:
            _addresses[text] = found = _linked(code, key)
            _labels[found] = label
        return _addresses[text]


def _fuse(text: str, scalars: dict[str, Scalar]) -> bytes:
    """Object code: the scalars are linked in, inlined and vectorised with the loop around them."""
    machine = _machine()
    module = llvm.parse_assembly(text)
    module.triple = machine.target.triple
    module.data_layout = str(machine.target.target_data)
    for symbol, scalar in scalars.items():
        module.link_in(llvm.parse_assembly(_scalar_text(symbol, scalar)))
    for function in module.functions:
        if function.name in scalars:
            function.linkage = "internal"
    module.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = tuning.slp_vectorization = True
    passes = llvm.create_pass_builder(machine.target, tuning)
    passes.getModulePassManager().run(module, passes)
    return bytes(machine.target.emit_object(module))


def _scalar_text(symbol: str, scalar: Scalar) -> str:
    """LLVM's text of a scalar, from the cache or compiled by Numba."""
    path = cache_dir() / f"{symbol}.ll"
    known = _read(path, symbol)
    if known is None:
        with _lock:
            module = compiler.module(_machine().target, scalar.source, "scalar", *scalar[1:], symbol)
            # In the text, since older versions of llvmlite put the attribute in the wrong place.
            marked = re.sub(rf"^(define .*@{symbol}\(.*)\{{$", r"\1alwaysinline {", str(module), flags=re.M)
            known = marked.encode()
        _write(path, symbol, known)
        stats.compiled.append(symbol)
    return known.decode()
