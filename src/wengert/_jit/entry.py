"""A function that compiled code of the user's can call, over workspaces that are ready. Knows no tape and no op.

It takes a free workspace, copies the arguments in, replays, copies the results out, and gives the workspace back. Of
every workspace there is a row of words:

    | state | replay | code | addr | words | value | input 0 ... | result 0 ...
      state   0 free, 1 taken        value, inputs, results   addresses of their bytes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from wengert._jit.language import language

HEAD = 6
"""Words of a row before the inputs."""


class Param(NamedTuple):
    """What an argument must be: `kind` as in kernel text, `shape` None for a plain number."""

    name: str
    kind: str
    shape: tuple[int, ...] | None

    def __str__(self) -> str:
        whole = {"f8": "float64", "f4": "float32", "b1": "bool"}.get(self.kind, self.kind)
        return f"a {whole} number" if self.shape is None else f"an array {whole}{list(self.shape)}"


def entry(
    table: int, rows: int, inputs: Sequence[Param], results: Sequence[Param], value: str, failed: type[Exception]
) -> Any:
    """The function `(inputs..., results...) -> value` as Numba knows functions.

    `table` is the address of the rows, which must stay there as long as anything compiled may call the function;
    `failed` is raised where the replay stops.
    """
    numba, words = language()
    width = HEAD + len(inputs) + len(results)
    everything = [*inputs, *results]
    checks = {f"check_{k}": _checked(p, k >= len(inputs)) for k, p in enumerate(everything)}
    scope = {**words, **checks, "table": _constant(table), "Stopped": failed}
    lines = [f"def value_and_grad({', '.join(f'a{k}' for k in range(len(everything)))}):"]
    for k, p in enumerate(everything):
        lines.append(f"    check_{k}(a{k})")
        if p.shape is not None:
            given = f"the argument {p.name} must have the shape {p.shape}"
            lines += [f"    if a{k}.shape != {p.shape}:", f"        raise ValueError({given!r})"]
    lines += ["    row = pi8(table())", "    k = 0", "    while not swap_if(row, i8(0), i8(1)):", "        k += 1"]
    lines.append(f"        row = pi8(table() + {8 * width} * (k % {rows}))")
    for k, p in enumerate(inputs):
        lines += _copy(p, f"a{k}", HEAD + k, into=True)
    stopped = "the recorded function takes another branch with these values, or an index is out of range there"
    lines += [
        "    status = call(row[1], pi8(row[2]), pi8(row[3]), row[4])",
        "    if status != 0:",  # nothing of the user's has been touched
        "        pi8(row[3])[0] = 0",
        "        say(row, i8(0))",
        f"        raise Stopped({stopped!r})",
        f"    value = p{value}(row[5])[0]",
    ]
    for k, p in enumerate(results, len(inputs)):
        lines += _copy(p, f"a{k}", HEAD + k, into=False)
    lines += ["    say(row, i8(0))", "    return value"]
    exec(compile("\n".join(lines), "<wengert entry>", "exec"), scope)
    return numba.njit(error_model="numpy", nogil=True)(scope["value_and_grad"])


def _copy(p: Param, name: str, word: int, into: bool) -> list[str]:
    """Lines that copy an argument into the workspace, or a result out of it, in C order."""
    if p.shape is None:
        return [f"    p{p.kind}(row[{word}])[0] = {'u1' if p.kind == 'b1' else p.kind}({name})"]
    lines, at, deep = [f"    P = p{p.kind}(row[{word}])", "    j = 0"], [], "    "
    for k, n in enumerate(p.shape):
        lines.append(f"{deep}for i{k} in range({n}):")
        at.append(f"i{k}")
        deep += "    "
    place = f"{name}[{', '.join(at) or '()'}]"
    value = f"u1({place})" if p.kind == "b1" else place
    return [*lines, f"{deep}P[j] = {value}" if into else f"{deep}{place} = P[j]", f"{deep}j += 1"]


def _checked(p: Param, written: bool) -> Any:
    """A call that compiles only where an argument has the right type."""
    from numba.core import errors, types
    from numba.extending import intrinsic

    _, words = language()
    wanted = types.boolean if p.kind == "b1" else words[p.kind]
    weaker = {"f8": types.Number | types.Boolean, "f4": types.Number | types.Boolean, "b1": types.Boolean}

    def fits(x: Any) -> bool:
        if p.shape is None:
            return isinstance(x, weaker.get(p.kind, types.Integer)) and not isinstance(x, types.Complex)
        is_array = isinstance(x, types.Array) and x.dtype == wanted and x.ndim == len(p.shape)
        return is_array and (x.mutable or not written)

    @intrinsic
    def check(ctx: Any, x: Any) -> Any:
        if not fits(x):
            writable = " that can be written to" if written else ""
            raise errors.TypingError(f"the argument {p.name} must be {p}{writable}, not {x}")
        return types.void(x), lambda cg, b, sig, args: cg.get_dummy_value()

    return check


def _constant(address: int) -> Any:
    """An address of this process: Numba must know that code with it cannot be cached on disk."""
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic
    def constant(ctx: Any) -> Any:
        def build(cg: Any, b: Any, sig: Any, args: Any) -> Any:
            pointer = cg.add_dynamic_addr(b, address, info="wengert's workspaces")
            return b.ptrtoint(pointer, cg.get_value_type(types.int64))

        return types.int64(), build

    return constant
