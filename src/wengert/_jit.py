"""The only door to Numba: kernel source in, machine code out, cached by content. Knows no op.

A kernel is Python source text that defines functions over raw pointers; one of them, `kernel`, has the
signature of every kernel:

    kernel(ins, addr, n) -> status      ins   the instruction's own words (see `plan.packets`)
                                        addr  the address of every slot, one int64 each
                                        n     how many elements
                                        status 0 to go on, anything else stops the replay

Numba compiles it (never again for the same text), llvmlite turns the optimised module into an object
file, and that file is what the cache keeps. A process that finds its kernels there imports no Numba.
The key of the cache is the content: source text, this file and `_straight`, processor and LLVM version. So nothing that
an edit has made stale can ever be found.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm

from wengert import _straight
from wengert.errors import KernelError


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
        mine = b"".join(Path(file).read_bytes() for file in (__file__, _straight.__file__))
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


def address(source: str, label: str = "kernel") -> int:
    """Address of the compiled `kernel` that `source` defines; `label` names it in `stats`."""
    found = _addresses.get(source)
    if found is not None:
        return found
    with _lock:
        if source not in _addresses:  # no other thread has been faster
            _addresses[source] = _loaded(source, label)
        return _addresses[source]


def _loaded(source: str, label: str) -> int:
    key = content_key(source)
    machine = _machine()
    path = cache_dir() / f"{key}.o"
    code = _read(path, key)
    if code is None:
        code = _compile(source, f"wengert_{key}", machine)
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


def _compile(source: str, symbol: str, machine: _Machine) -> bytes:
    """Numba compiles the text; LLVM emits code."""
    return bytes(machine.target.emit_object(_module(source, "kernel", ("words", "words", "i8"), "i8", symbol)))


def _module(source: str, entry: str, arguments: Sequence[str], result: str, symbol: str) -> Any:
    """LLVM's module of one function: Numba compiles it, and it is inlined into its C wrapper."""
    machine = _machine()
    numba, language = _language()
    scope: dict[str, Any] = dict(language)
    try:
        tree = ast.parse(source)
        functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
        straight = {name: n for name, n in functions.items() if n.decorator_list}
        exec(compile(tree, "<wengert kernel>", "exec"), scope)
        for name in functions.keys() - straight.keys() - {entry}:
            scope[name] = numba.njit(error_model="numpy")(scope[name])
        scope |= {name: _inlined(name, straight) for name in straight}
        words = numba.types.CPointer(numba.types.int64)
        types = [words if a == "words" else language[a] for a in (result, *arguments)]
        cfunc = numba.cfunc(types[0](*types[1:]), error_model="numpy")(scope[entry])
        text = cfunc.inspect_llvm()
    except Exception as error:
        raise KernelError(f"kernel does not compile: {error}\n{source}") from error
    text = text.replace(cfunc.native_name, symbol)
    # One exported function; everything else may be inlined into it and dropped.
    text = re.sub(rf"^define (?:linkonce_odr )?(?!.*@{symbol}\()", "define internal ", text, flags=re.M)
    text = text.replace("noinline", "alwaysinline").replace("= common ", "= internal ")
    module = llvm.parse_assembly(text)
    module.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=1)  # Numba has optimised already; this inlines
    passes = llvm.create_pass_builder(machine.target, tuning)
    passes.getModulePassManager().run(module, passes)
    foreign = {f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")}
    if any(name.startswith(("numba_", "NRT_", "Py")) for name in foreign):
        raise KernelError(f"kernel would need the Python runtime ({sorted(foreign)}):\n{source}")
    return module


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
    if found:
        return found
    key = content_key(text)
    path = cache_dir() / f"{key}.o"
    code = _read(path, key)
    if code is None:
        if not compile:
            return 0
        code = _fuse(text.replace("@kernel(", f"@wengert_{key}("), {s.symbol: s for s in scalars})
        _write(path, key, code)
        stats.compiled.append(label)
    else:
        stats.loaded.append(label)
    with _lock:
        if text not in _addresses:
            _addresses[text] = _linked(code, key)
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
            function.add_function_attribute("alwaysinline")
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
            known = str(_module(scalar.source, "scalar", scalar.arguments, scalar.result, symbol)).encode()
        _write(path, symbol, known)
        stats.compiled.append(symbol)
    return known.decode()


def _inlined(name: str, functions: dict[str, ast.FunctionDef]) -> Any:
    """A `@straight` function as Numba calls it: written out in place, with the type of its first argument."""
    from llvmlite import ir
    from numba.extending import intrinsic

    def build(cg: Any, b: Any, sig: Any, args: Any) -> Any:
        return _straight.Straight(ir, b, functions).call(name, args)

    names = ", ".join(a.arg for a in functions[name].args.args)
    first = functions[name].args.args[0].arg
    return intrinsic(eval(f"lambda ctx, {names}: ({first}({names}), build)", {"build": build}))


@lru_cache(maxsize=1)
def _language() -> tuple[Any, dict[str, Any]]:
    """Numba, and the words that kernel source can use besides Python and `math`.

    pf8(a) ... pb1(a)   integer address -> typed pointer      get(p, i), put(p, i, v)   no-alias access
    f8(v) ... u1(v)     conversion to a type                  skip(ins, k)   pointer k words on
    where(c, a, b)      a select, both sides evaluated
    call(k, ins, addr, n)   a kernel by address               address_of(p)   pointer -> integer address
    @straight   in front of a function of numbers: written out in place, see `_straight`
    gemm8/gemm4(fn, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)   BLAS by address
    seen(p), say(p, v), swap_if(p, old, new)   atomic access to a word; swap_if tells whether it did
    foreign(fn, a)          a C function of one word, by address
    """
    import math

    import numba
    import numpy
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    i64, i32 = ir.IntType(64), ir.IntType(32)
    c_pointer: Any = types.CPointer
    words = c_pointer(types.int64)
    scope: dict[str, Any] = {name: getattr(math, name) for name in dir(math) if name[0] != "_"}
    scope |= {name: getattr(numpy, name) for name in ("floor", "ceil", "trunc", "rint")}
    short = {"f8": "float64", "f4": "float32", "b1": "uint8"}
    short |= {f"{k}{n}": f"{w}{8 * n}" for k, w in (("i", "int"), ("u", "uint")) for n in (1, 2, 4, 8)}

    def pointer(kind: Any) -> Any:
        @intrinsic
        def cast(ctx: Any, address: Any) -> Any:
            def build(cg: Any, b: Any, sig: Any, args: Any) -> Any:
                return b.inttoptr(args[0], cg.get_value_type(sig.return_type))

            return c_pointer(kind)(types.int64), build

        return cast

    for name, full in short.items():
        scope["p" + name] = pointer(getattr(types, full))
        scope[name] = getattr(numba, full)

    def scope_of(b: Any) -> Any:
        domain = b.module.add_metadata([ir.MetaDataString(b.module, "wengert")])
        one = b.module.add_metadata([ir.MetaDataString(b.module, "result"), domain])
        return b.module.add_metadata([one])

    @intrinsic
    def get(ctx: Any, pointer: Any, index: Any) -> Any:
        def build(cg: Any, b: Any, sig: Any, args: Any) -> Any:
            load = b.load(b.gep(args[0], [args[1]]))
            load.set_metadata("noalias", scope_of(b))
            return load

        return pointer.dtype(pointer, types.int64), build

    @intrinsic
    def put(ctx: Any, pointer: Any, index: Any, value: Any) -> Any:
        def build(cg: Any, b: Any, sig: Any, args: Any) -> Any:
            store = b.store(args[2], b.gep(args[0], [args[1]]))
            store.set_metadata("alias.scope", scope_of(b))
            return cg.get_dummy_value()

        return types.void(pointer, types.int64, pointer.dtype), build

    @intrinsic
    def skip(ctx: Any, pointer: Any, count: Any) -> Any:
        return words(words, types.int64), lambda cg, b, sig, args: b.gep(args[0], [args[1]])

    @intrinsic
    def address_of(ctx: Any, pointer: Any) -> Any:
        return types.int64(words), lambda cg, b, sig, args: b.ptrtoint(args[0], i64)

    @intrinsic
    def call(ctx: Any, kernel: Any, ins: Any, addr: Any, n: Any) -> Any:
        def build(cg: Any, b: Any, sig: Any, args: Any) -> Any:
            kind = ir.FunctionType(i64, [i64.as_pointer(), i64.as_pointer(), i64])
            return b.call(b.inttoptr(args[0], kind.as_pointer()), args[1:])

        return types.int64(types.int64, words, words, types.int64), build

    @intrinsic
    def where(ctx: Any, cond: Any, a: Any, c: Any) -> Any:
        def build(cg: Any, b: Any, sig: Any, args: Any) -> Any:
            flag = b.trunc(args[0], ir.IntType(1)) if args[0].type != ir.IntType(1) else args[0]
            return b.select(flag, args[1], args[2])

        kind = a if a == c else ctx.unify_types(a, c)
        return kind(types.boolean, kind, kind), build

    @intrinsic
    def seen(ctx: Any, pointer: Any) -> Any:
        def build(cg: Any, b: Any, sig: Any, args: Any) -> Any:
            return b.load_atomic(args[0], "acquire", 8)

        return types.int64(words), build

    @intrinsic
    def say(ctx: Any, pointer: Any, value: Any) -> Any:
        def build(cg: Any, b: Any, sig: Any, args: Any) -> Any:
            b.store_atomic(args[1], args[0], "seq_cst", 8)
            return cg.get_dummy_value()

        return types.void(words, types.int64), build

    @intrinsic
    def swap_if(ctx: Any, pointer: Any, old: Any, new: Any) -> Any:
        def build(cg: Any, b: Any, sig: Any, args: Any) -> Any:
            return b.extract_value(b.cmpxchg(args[0], args[1], args[2], "seq_cst", "seq_cst"), 1)

        return types.boolean(words, types.int64, types.int64), build

    @intrinsic
    def foreign(ctx: Any, function: Any, argument: Any) -> Any:
        def build(cg: Any, b: Any, sig: Any, args: Any) -> Any:
            kind = ir.FunctionType(i32, [i64])
            return b.sext(b.call(b.inttoptr(args[0], kind.as_pointer()), [args[1]]), i64)

        return types.int64(types.int64, types.int64), build

    def gemm(real: Any, kind: Any) -> Any:
        @intrinsic
        def product(
            ctx: Any, fn: Any, ta: Any, tb: Any, m: Any, n: Any, k: Any, alpha: Any,
            a: Any, lda: Any, c: Any, ldb: Any, beta: Any, out: Any, ldc: Any,
        ) -> Any:  # fmt: skip
            def build(cg: Any, b: Any, sig: Any, args: Any) -> Any:
                def by_reference(value: Any, llvm_type: Any) -> Any:
                    with b.goto_entry_block():
                        slot = b.alloca(llvm_type)
                    b.store(b.trunc(value, llvm_type) if llvm_type != value.type else value, slot)
                    return b.bitcast(slot, ir.IntType(8).as_pointer())

                fn, ta, tb, m, n, k, alpha, a, lda, c, ldb, beta, out, ldc = args
                char = ir.IntType(8)
                any_pointer = char.as_pointer()
                passed = [by_reference(v, char) for v in (ta, tb)]
                passed += [by_reference(v, i32) for v in (m, n, k)]
                passed += [by_reference(alpha, real), b.inttoptr(a, any_pointer), by_reference(lda, i32)]
                passed += [b.inttoptr(c, any_pointer), by_reference(ldb, i32), by_reference(beta, real)]
                passed += [b.inttoptr(out, any_pointer), by_reference(ldc, i32)]
                signature = ir.FunctionType(ir.VoidType(), [any_pointer] * 13)
                b.call(b.inttoptr(fn, signature.as_pointer()), passed)
                return cg.get_dummy_value()

            whole = types.int64
            return types.void(*[whole] * 6, kind, *[whole] * 4, kind, whole, whole), build

        return product

    scope |= {
        "straight": lambda function: function,
        "get": get, "put": put, "skip": skip, "address_of": address_of, "call": call, "where": where,
        "gemm8": gemm(ir.DoubleType(), types.float64), "gemm4": gemm(ir.FloatType(), types.float32),
        "seen": seen, "say": say, "swap_if": swap_if, "foreign": foreign,
    }  # fmt: skip
    return numba, scope


def blas(name: str) -> int:
    """Address of a BLAS routine, from SciPy's own table.

    Its module is loaded by file, because importing `scipy.linalg` costs ten times as long.
    """
    with _lock:  # a module must not be loaded by two threads at once
        return _routine(name)


@cache
def _routine(name: str) -> int:
    import ctypes
    import importlib.machinery
    import importlib.util

    module = sys.modules.get("scipy.linalg.cython_blas")
    package = importlib.util.find_spec("scipy")
    if module is None and package is not None:
        folder = Path(next(iter(package.submodule_search_locations or ()))) / "linalg"
        finder = importlib.machinery.FileFinder(
            str(folder),
            (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
        )
        spec = finder.find_spec("cython_blas")
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
    if module is None:
        raise KernelError("SciPy's BLAS table (scipy.linalg.cython_blas) was not found")
    capsule = module.__pyx_capi__[name]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return int(api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule)))
