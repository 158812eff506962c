"""The words that kernel text can use besides Python and `math`. Knows no kernel."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def language() -> tuple[Any, dict[str, Any]]:
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
