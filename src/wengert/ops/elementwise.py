"""Elementwise ops, made from the table: values, partials, result dtypes and kernel text. Knows no recording."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import cache, cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from wengert._jit import Scalar
from wengert.errors import DTypeError, ShapeError, at_user
from wengert.ops.spec import BY_NAME, WHOLE, Lowering, Op, Params, bind, register
from wengert.ops.strided import elementwise
from wengert.ops.table import ROWS
from wengert.ops.vecmath import LIMITED, NEGATIVE_POWER, VECTOR, definitions, whole_power
from wengert.shapes import BOOL, DTYPES, F64, I64, Aval, aval, broadcast, supported
from wengert.syntax import expression, parse

Operand = Aval | type
"""An operand's `Aval`, or `float`/`int` for a Python number, which takes its dtype from the others."""


class Resolved(NamedTuple):
    """What is known of an elementwise op once its operands' types are."""

    dtypes: tuple[np.dtype[Any], ...]
    """What the operands are brought to."""
    what: Aval
    exact: bool
    """Whether they are so already (a Python number in its own dtype)."""
    kind: Operand
    """The result as promotion sees it under an operator: Python numbers alone give a Python number."""


class Elementwise(Op):
    """z = formula(x, y, ...), element by element, under NumPy's broadcasting and promotion."""

    def __init__(self, name: str, args: str, formula: str, pulls: Sequence[str], ufunc: str, domain: str):
        self.name = name
        self.args = tuple(args.split())
        self.n_in = len(self.args)
        self.formula = formula
        self.pulls = tuple(pulls)
        self.special = ufunc.removeprefix("special.") if ufunc.startswith("special.") else ""
        """Name of the function of `scipy.special` that the op answers to, which is not imported for it."""
        self.ufunc = getattr(np, ufunc) if ufunc and not self.special else None
        self.domain = domain
        self.in_place = name == "acc"
        self.stops = "power(" in formula
        self.resolve = lru_cache(maxsize=None)(self._resolve)

    # --- meaning -----------------------------------------------------------------------------------

    @cached_property
    def value(self) -> Callable[..., Any]:
        """The formula as a NumPy function of the operands."""
        if self.special:
            import scipy.special  # type: ignore[import-untyped]

            return getattr(scipy.special, self.special)  # type: ignore[no-any-return]
        return _function(self.args, self.formula)

    @cached_property
    def cheap(self) -> bool:
        """Whether computing it again costs no more than reading it from memory: plain arithmetic."""
        calls = {n.func.id for n in ast.walk(parse(self.formula)) if isinstance(n, ast.Call)}  # type: ignore[attr-defined]
        return calls <= {"where", "abs", "mul0"}

    def alone(self, kind: str) -> bool:
        """Whether a kernel of it does more than one loop can: it may stop the replay, or go over its work again."""
        return self._limited if kind == "f" else "power" in _names(self.formula)

    @cached_property
    def _limited(self) -> bool:
        return not _names(self.formula).isdisjoint(LIMITED)

    @cached_property
    def pull_functions(self) -> tuple[Callable[..., Any] | None, ...]:
        """Per operand the adjoint's increment as a NumPy function of (z_bar, operands..., z)."""
        names = ("z_bar", *self.args, "z")
        return tuple(_function(names, _pullback_text(p)) if p else None for p in self.pulls)

    @cached_property
    def fused(self) -> tuple[tuple[Elementwise, tuple[int, ...]] | str, ...]:
        """Per operand the op that computes the increment in one go, and which of (z_bar, operands..., z) it
        takes; or "1", "-1", "" as in the table."""
        return tuple(self._fused(p) for p in self.pulls)

    def _fused(self, pull: str) -> tuple[Elementwise, tuple[int, ...]] | str:
        if pull in ("", "1", "-1"):
            return pull
        text = _pullback_text(pull)
        # A condition comes first, as in the row of `where`: the last operand sets the kernel's dtype.
        order = ("z_bar", *self.args, "z") if self.args[0] != "c" else ("c", "z_bar", *self.args[1:], "z")
        used = [n for n in order if n in _names(text)]
        everything = ("z_bar", *self.args, "z")
        return derived(text, tuple(used)), tuple(everything.index(n) for n in used)

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        if self.ufunc is not None:
            return self.ufunc(*operands)
        out = self.value(*operands)
        sig = tuple(aval(np.asarray(x).dtype, np.shape(x)) for x in operands)
        return np.asarray(out, dtype=self.resolve(sig).what.dtype)

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        return [f and f(z_bar, *operands, z) for f in self.pull_functions]

    # --- types -------------------------------------------------------------------------------------

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        return (self.resolve(tuple(avals)).what,)

    def _resolve(self, sig: tuple[Operand, ...]) -> Resolved:
        kinds = [x.dtype if isinstance(x, Aval) else x for x in sig]
        inner, out = self._dtypes(kinds)
        try:
            shape = broadcast(*(x.shape if isinstance(x, Aval) else () for x in sig))
        except ShapeError as error:
            raise ShapeError(at_user(f"{self.name}: {error}")) from None
        own: dict[Any, Any] = {float: F64, int: I64}
        exact = all(d is own.get(k, k) for d, k in zip(inner, kinds, strict=True))
        what = aval(out, shape)
        plain = {"f": float, "i": int}.get(out.kind) if all(isinstance(k, type) for k in kinds) else None
        return Resolved(inner, what, exact, plain or what)

    def _dtypes(self, kinds: list[Any]) -> tuple[tuple[np.dtype[Any], ...], np.dtype[Any]]:
        if self.ufunc is not None:
            strict = all(isinstance(k, type) for k in kinds)
            asked = [np.dtype(k) if strict and isinstance(k, type) else k for k in kinds]
            try:
                found = self.ufunc.resolve_dtypes((*asked, *[None] * self.ufunc.nout))
            except TypeError as error:
                raise DTypeError(at_user(f"np.{self.ufunc.__name__}: {error}")) from None
            found = tuple(supported(d) for d in found)
            return found[: len(kinds)], found[len(kinds)]
        first = 1 if self.args[0] == "c" else 0
        common = _common(kinds[first:])
        if self.special and common.kind != "f":
            common = F64
        return (BOOL,) * first + (common,) * (len(kinds) - first), common

    def rows(
        self, axes: Sequence[int], avals: Sequence[Aval], params: Params, out: Aval, wanted: int, rows: int
    ) -> tuple[int, Sequence[int]]:
        known = ((axis, a.ndim) for axis, a in zip((*axes, wanted), (*avals, out), strict=True) if axis >= 0)
        axis, ndim = next(known)
        back = axis - ndim  # axes are aligned from the last
        places = [a.ndim + back if a.ndim + back >= 0 and a.shape[back] == rows else WHOLE for a in avals]
        return out.ndim + back, places

    # --- code --------------------------------------------------------------------------------------

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        what, op = plan.aval(outs[0]), self
        if self.in_place:
            if plan.may_take_over(outs[0], ins[0], ins[1:]):
                plan.take_over(outs[0], ins[0], ins[1:])
                elementwise(plan, self.kernel((what, what), what), outs[0], ins[1:])
                return
            op = ADD
        plan.allocate(outs[0])
        elementwise(plan, op.kernel(tuple(plan.aval(s) for s in ins), what), outs[0], ins)

    def kernel(self, ins: tuple[Aval, ...], out: Aval) -> tuple[str, str]:
        """Source and label of the kernel over contiguous operands of these dtypes."""
        kinds = tuple(a.dtype.str[1:] for a in ins)
        return _kernel(self, kinds, out.dtype.str[1:])


# --- the language of formulas ------------------------------------------------------------------------


def _pullback_text(pull: str) -> str:
    if pull in ("1", "-1"):
        return "z_bar" if pull == "1" else "-z_bar"
    return pull if "z_bar" in pull else f"mul0(z_bar, {pull})"


@cache
def _names(text: str) -> frozenset[str]:
    return frozenset(n.id for n in ast.walk(parse(text)) if isinstance(n, ast.Name))


def _function(args: Sequence[str], text: str) -> Callable[..., Any]:
    def word(name: str) -> Callable[..., Any]:
        return getattr(np, name) if hasattr(np, name) else lambda *xs: bind(BY_NAME[name], xs)

    scope = {name: word(name) for name in _names(text) if name not in args}
    function: Callable[..., Any] = eval(f"lambda {', '.join(args)}: {text}", scope)
    return function


def _common(kinds: Sequence[Any]) -> np.dtype[Any]:
    """NumPy's promotion where `float` and `int` stand for Python numbers."""
    if all(isinstance(k, type) for k in kinds):
        return supported(np.result_type(*kinds))
    return supported(np.result_type(*(k(0) if isinstance(k, type) else k for k in kinds)))


class _ToKernel(ast.NodeTransformer):
    """NumPy's words into kernel words: typed literals, mul0 and power spelt out, vector functions."""

    def __init__(self, kind: str) -> None:
        self.truth = kind == "b1"
        self.kind = "u1" if self.truth else kind
        self.helpers: set[str] = set()
        self.refused = ""
        """A condition on which the kernel stops with status NEGATIVE_POWER."""
        self.far = False
        """Whether functions with a limited range are to be the slow ones without a limit."""
        self.limits: list[str] = []
        """Conditions on which that is needed."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return expression(f"{self.kind}({node.value!r})")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return expression(f"{self.kind}(inf)") if node.id == "inf" else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Invert) and self.truth:  # of a bool kept as a byte
            return expression(f"{ast.unparse(node.operand)} == 0")
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        assert isinstance(node.func, ast.Name)
        name, args = node.func.id, [self.visit(a) for a in node.args]
        a = [ast.unparse(x) for x in args]
        if name == "mul0":
            text = f"where({a[0]} == {self.kind}(0), {self.kind}(0), {a[0]} * ({a[1]}))"
        elif name in VECTOR and self.kind in ("f8", "f4"):
            text = f"{self._vector(name, a)}({', '.join(a)})"
        elif name == "power":
            self.refused = f"{a[1]} < 0"
            text = f"power_{self.kind}({a[0]}, {a[1]})"
        elif name == "fmod" and self.kind[0] != "f":
            rest = f"(({a[0]}) % ({a[1]}))"
            text = f"{rest} - where(({rest} != 0) & ((({a[0]}) < 0) != (({a[1]}) < 0)), {a[1]}, {self.kind}(0))"
        elif name == "where":
            whole = self.kind
            text = f"where({a[0]}, {whole}({a[1]}), {whole}({a[2]}))"
        else:
            text = f"{name}({', '.join(a)})"
        return expression(text)

    def _vector(self, name: str, args: list[str]) -> str:
        """The name under which a vector function is called."""
        if name in LIMITED:
            self.limits.append(f"abs({args[0]}) > {self.kind}({LIMITED[name]!r})")
        self.helpers.add(name)
        return f"{name}_far_{self.kind}" if name in LIMITED and self.far else f"{name}_{self.kind}"


@cache
def _kernel(op: Elementwise, ins: tuple[str, ...], out: str) -> tuple[str, str]:
    kind = ins[-1]
    writer = _ToKernel(kind)

    def stored() -> str:
        formula = ast.unparse(writer.visit(expression(op.formula)))
        value = f"where(({formula}) != 0, u1(1), u1(0))" if out == "b1" else f"{out}({formula})"
        return f"put(Z, i, {value})"

    usual = stored()
    pointers = [f"Z = p{out}(addr[ins[3]])"]
    read = list(zip(op.args, ins, strict=True))
    reads: list[str] = []
    if op.in_place:
        reads.append(f"{op.args[0]} = Z[i]")
        read = read[1:]
    for k, (name, letter) in enumerate(read):
        pointers.append(f"P{k} = p{letter}(addr[ins[{4 + k}]])")
        reads.append(f"{name} = get(P{k}, i)" + (" != 0" if letter == "b1" and kind != "b1" else ""))
    if writer.refused:
        reads.append(f"if {writer.refused}: return {NEGATIVE_POWER}")
    lines = [whole_power(kind) if writer.refused else definitions(writer.helpers, kind), "def kernel(ins, addr, n):"]
    body = ["for i in range(n):", *_indented([*reads, usual])]
    if writer.limits:
        # A vector loop that notices numbers beyond a function's range; those are done again, one by one, from
        # the operands: the result lies apart from them.
        beyond = " | ".join(f"({c})" for c in writer.limits)
        writer.far = True
        again = ["for i in range(n):", *_indented([*reads, f"if {beyond}:", *_indented([stored()])])]
        body = ["some = i8(0)", *body, f"    some |= i8({beyond})", "if some != 0:", *_indented(again)]
    return "\n".join([*lines, *_indented([*pointers, *body, "return 0"])]) + "\n", f"{op.name}.{out}"


def _indented(lines: Sequence[str]) -> list[str]:
    return ["    " + line for line in lines]


@cache
def scalar(op: Elementwise, ins: tuple[str, ...], out: str) -> Scalar | None:
    """The formula as a function of numbers of these dtypes; None where it may stop the replay or has a limit."""
    kind = ins[-1]
    writer = _ToKernel(kind)
    formula = ast.unparse(writer.visit(expression(op.formula)))
    if writer.refused or writer.limits:
        return None
    lines = [f"def scalar({', '.join(op.args)}):"]
    lines += [f"    {a} = {a} != 0" for a, k in zip(op.args, ins, strict=True) if k == "b1" and kind != "b1"]
    value = f"where(({formula}) != 0, u1(1), u1(0))" if out == "b1" else f"{out}({formula})"
    return Scalar(definitions(writer.helpers, kind) + "\n".join([*lines, f"    return {value}"]) + "\n", ins, out)


@cache
def cast_scalar(source: str, result: str) -> Scalar:
    """A conversion as a function of numbers."""
    value = "x" if source == result else f"{result}(x)" if result != "b1" else "where(x != 0, u1(1), u1(0))"
    return Scalar(f"def scalar(x):\n    return {value}\n", (source,), result)


# --- the ops -----------------------------------------------------------------------------------------


@cache
def derived(text: str, used: tuple[str, ...]) -> Elementwise:
    """The op that computes a pullback's formula; equal formulas are one op, whatever their names."""
    tree = expression(text)
    letters = iter("abdefgh")
    rename = {name: "c" if name == "c" else next(letters) for name in used}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in rename:
            node.id = rename[node.id]
    canonical = ast.unparse(tree)
    if canonical == "mul0(a, b)":
        return _row("mul0")
    if canonical not in BY_NAME:
        names = " ".join(rename.values())
        register(Elementwise(canonical, names, canonical, ("",) * len(used), "", "real"))
    return _row(canonical)


def _row(name: str) -> Elementwise:
    op = BY_NAME[name]
    assert isinstance(op, Elementwise)
    return op


class Cast(Op):
    """Convert to another dtype, as `astype` does."""

    name = "cast"

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        return (aval(DTYPES[params[0]], avals[0].shape),)

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        return np.asarray(operands[0]).astype(DTYPES[params[0]])

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        return [z_bar.astype(operands[0].dtype) if operands[0].dtype.kind == "f" else None]

    def rows(
        self, axes: Sequence[int], avals: Sequence[Aval], params: Params, out: Aval, wanted: int, rows: int
    ) -> tuple[int, Sequence[int]]:
        axis = max(axes[0], wanted)
        return axis, (axis,)

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        plan.allocate(outs[0])
        kinds = plan.aval(ins[0]).dtype.str[1:], plan.aval(outs[0]).dtype.str[1:]
        elementwise(plan, cast_kernel(*kinds), outs[0], ins)

    def describe(self, params: Params) -> str:
        return ""


@cache
def cast_kernel(source: str, result: str) -> tuple[str, str]:
    """Kernel that converts contiguous elements; with equal dtypes, the copy."""
    value = "get(X, i)"
    if result == "b1":
        value = f"where({value} != 0, u1(1), u1(0))" if source != "b1" else value
    else:
        value = f"{result}({value})"
    text = (
        f"def kernel(ins, addr, n):\n    Z = p{result}(addr[ins[3]])\n    X = p{source}(addr[ins[4]])\n"
        f"    for i in range(n):\n        put(Z, i, {value})\n    return 0\n"
    )
    return text, f"cast.{source}.{result}"


for _cells in ROWS:
    _name, _args, _formula, *_rest = _cells
    register(Elementwise(_name, _args, _formula, _rest[:-2], _rest[-2], _rest[-1]))

WHERE, MUL0, ACC, NEG, ADD, SUB, MUL, DIV, CUT = (
    _row(n) for n in ("where", "mul0", "acc", "neg", "add", "sub", "mul", "div", "cut")
)
CAST = register(Cast())
BY_SPECIAL = {op.special: op for op in BY_NAME.values() if isinstance(op, Elementwise) and op.special}
"""Ops that answer to functions of `scipy.special`, by name."""
BY_UFUNC = {op.ufunc: op for op in BY_NAME.values() if isinstance(op, Elementwise) and op.ufunc is not None}
