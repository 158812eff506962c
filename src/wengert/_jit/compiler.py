"""From kernel text to LLVM's module, by Numba. Knows no cache and no file."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm

from wengert import _straight
from wengert._jit.language import language
from wengert.errors import KernelError
from wengert.syntax import parse


def module(target: Any, source: str, entry: str, arguments: Sequence[str], result: str, symbol: str) -> Any:
    """LLVM's module of one function: Numba compiles it, and it is inlined into its C wrapper."""
    numba, words_of = language()
    scope: dict[str, Any] = dict(words_of)
    try:
        tree = parse(source)
        functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
        straight = {name: n for name, n in functions.items() if n.decorator_list}
        exec(compile(tree, "<wengert kernel>", "exec"), scope)
        for name in functions.keys() - straight.keys() - {entry}:
            scope[name] = numba.njit(error_model="numpy")(scope[name])
        scope |= {name: _inlined(name, straight) for name in straight}
        words = numba.types.CPointer(numba.types.int64)
        types = [words if a == "words" else words_of[a] for a in (result, *arguments)]
        cfunc = numba.cfunc(types[0](*types[1:]), error_model="numpy")(scope[entry])
        text = cfunc.inspect_llvm()
    except Exception as error:
        raise KernelError(f"kernel does not compile: {error}\n{source}") from error
    text = text.replace(cfunc.native_name, symbol)
    # One exported function; everything else may be inlined into it and dropped.
    text = re.sub(rf"^define (?:linkonce_odr )?(?!.*@{symbol}\()", "define internal ", text, flags=re.M)
    text = text.replace("noinline", "alwaysinline").replace("= common ", "= internal ")
    found = llvm.parse_assembly(text)
    found.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=1)  # Numba has optimised already; this inlines
    passes = llvm.create_pass_builder(target, tuning)
    passes.getModulePassManager().run(found, passes)
    foreign = {f.name for f in found.functions if f.is_declaration and not f.name.startswith("llvm.")}
    if any(name.startswith(("numba_", "NRT_", "Py")) for name in foreign):
        raise KernelError(f"kernel would need the Python runtime ({sorted(foreign)}):\n{source}")
    return found


def _inlined(name: str, functions: dict[str, ast.FunctionDef]) -> Any:
    """A `@straight` function as Numba calls it: written out in place, with the type of its first argument."""
    from llvmlite import ir
    from numba.extending import intrinsic

    def build(cg: Any, b: Any, sig: Any, args: Any) -> Any:
        return _straight.Straight(ir, b, functions).call(name, args)

    names = ", ".join(a.arg for a in functions[name].args.args)
    first = functions[name].args.args[0].arg
    return intrinsic(eval(f"lambda ctx, {names}: ({first}({names}), build)", {"build": build}))
