"""Straight-line functions of numbers, written into LLVM code one by one: no types inferred, no branches.

A kernel's text may define such functions, marked `@straight`; Numba sees a call and nothing of the body, which
is what keeps the compilation of long formulas short. Their language is Python's, as far as it goes without
control flow: assignments (also of tuples), `return`, arithmetic (% is C's fmod), comparisons, and the words
below. Numbers have the type of what they meet; integers are signed and as wide as the floats.

    where(c, a, b)     both sides are evaluated            fma(a, b, c)           one rounding
    abs sqrt rint floor trunc ceil copysign                LLVM's own
    shifted_right(i, n)  zeros move in                     high_product(i, j)     upper half, unsigned
    table(i, a, b, ...)  the i-th of these integers
    bits(x)            a float's bits as an integer        unbits(i)              the float with these bits
    poly(x, a, b, ...) a + b x + ... by Horner's rule      f8(x) f4(x) i8(x) i4(x)   conversions

Other `@straight` functions of the same text can be called, too.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping, Sequence
from typing import Any

Body = Mapping[str, ast.FunctionDef]
_LLVM = {"abs": "fabs", "sqrt": "sqrt", "rint": "rint", "floor": "floor", "trunc": "trunc", "ceil": "ceil",
         "copysign": "copysign"}  # fmt: skip
_FLOATS = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv", ast.Mod: "frem"}
_WHOLES = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.LShift: "shl", ast.RShift: "ashr",
           ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor"}  # fmt: skip
_PLAIN = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.LShift: operator.lshift,
          ast.Pow: operator.pow}  # fmt: skip
_NUMBERS = {"inf": float("inf"), "nan": float("nan")}
_COMPARED = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


class Straight:
    """Writes straight-line functions at a builder's position. `ir` is llvmlite's module of that name."""

    def __init__(self, ir: Any, builder: Any, functions: Body) -> None:
        self.ir = ir
        self.b = builder
        self.functions = functions

    def call(self, name: str, args: Sequence[Any]) -> Any:
        """The value of a function of the text; a tuple where it returns one."""
        node = self.functions[name]
        known = dict(zip([a.arg for a in node.args.args], args, strict=True))
        for line in node.body:
            if isinstance(line, ast.Return):
                assert line.value is not None
                return self.value(line.value, known)
            if isinstance(line, ast.Assign):
                (to,) = line.targets
                found = self.value(line.value, known)
                if isinstance(to, ast.Tuple):
                    known.update(zip([ast.unparse(n) for n in to.elts], found, strict=True))
                else:
                    known[ast.unparse(to)] = found
            else:
                raise SyntaxError(f"not a straight line: {ast.unparse(line)}")
        raise SyntaxError(f"{name} returns nothing")

    def value(self, node: ast.expr, known: dict[str, Any]) -> Any:
        """A typed LLVM value, a plain Python number or a tuple of such."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return known[node.id] if node.id in known else _NUMBERS[node.id]
        if isinstance(node, ast.Tuple):
            return tuple(self.value(n, known) for n in node.elts)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node.op, self.value(node.operand, known))
        if isinstance(node, ast.BinOp):
            return self._binary(type(node.op), self.value(node.left, known), self.value(node.right, known))
        if isinstance(node, ast.Compare):
            (op,), (right,) = node.ops, node.comparators
            return self._compare(_COMPARED[type(op)], self.value(node.left, known), self.value(right, known))
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            return self._word(node.func.id, [self.value(n, known) for n in node.args])
        raise SyntaxError(f"not a straight line: {ast.unparse(node)}")

    # --- numbers ------------------------------------------------------------------------------------

    def _is_float(self, kind: Any) -> bool:
        return isinstance(kind, self.ir.DoubleType | self.ir.FloatType)

    def _typed(self, *values: Any) -> list[Any]:
        """The same values, plain numbers among them brought to the others' type."""
        kind = next(v.type for v in values if not isinstance(v, int | float))
        return [self.ir.Constant(kind, v) if isinstance(v, int | float) else v for v in values]

    def _unary(self, op: ast.unaryop, x: Any) -> Any:
        if isinstance(op, ast.Invert):
            return self.b.not_(x)
        if isinstance(x, int | float):
            return -x
        return self.b.fneg(x) if self._is_float(x.type) else self.b.neg(x)

    def _binary(self, op: type[ast.operator], x: Any, y: Any) -> Any:
        if isinstance(x, int | float) and isinstance(y, int | float):
            return _PLAIN[op](x, y)
        x, y = self._typed(x, y)
        return getattr(self.b, (_FLOATS if self._is_float(x.type) else _WHOLES)[op])(x, y)

    def _compare(self, sign: str, x: Any, y: Any) -> Any:
        x, y = self._typed(x, y)
        if not self._is_float(x.type):
            return self.b.icmp_signed(sign, x, y)
        return self.b.fcmp_unordered(sign, x, y) if sign == "!=" else self.b.fcmp_ordered(sign, x, y)

    # --- words --------------------------------------------------------------------------------------

    def _word(self, name: str, args: list[Any]) -> Any:
        if name in self.functions:
            return self.call(name, args)
        if name == "where":
            return self.b.select(args[0], *self._typed(*args[1:]))
        if name == "fma":
            return self.b.fma(*self._typed(*args))
        if name == "poly":
            x, *terms = self._typed(*args)
            total = terms.pop()
            for term in reversed(terms):
                total = self.b.fma(total, x, term)
            return total
        if name == "table":
            return self._entry(*args)
        if name == "shifted_right":
            return self.b.lshr(*self._typed(*args))
        if name == "high_product":
            width = args[0].type.width
            twice = self.ir.IntType(2 * width)
            product = self.b.mul(*[self.b.zext(a, twice) for a in args])
            return self.b.trunc(self.b.lshr(product, twice(width)), args[0].type)
        if name in ("bits", "unbits"):
            return self.b.bitcast(args[0], self._twin(args[0].type))
        if name in _LLVM:
            args = self._typed(*args)
            kind = args[0].type
            signature = self.ir.FunctionType(kind, [kind] * len(args))
            return self.b.call(self.b.module.declare_intrinsic(f"llvm.{_LLVM[name]}", [kind], signature), args)
        return self._converted(name, args[0])

    def _entry(self, index: Any, *entries: int) -> Any:
        """One of a table of constants, which the module holds once."""
        ir, module = self.ir, self.b.module
        content = ir.Constant(ir.ArrayType(index.type, len(entries)), entries)
        name = f"table.{hash(entries) & 0xFFFFFFFF:x}"
        if name not in module.globals:
            found = ir.GlobalVariable(module, content.type, name)
            found.linkage, found.global_constant, found.initializer = "internal", True, content
        zero = index.type(0)
        return self.b.load(self.b.gep(module.globals[name], [zero, index], inbounds=True))

    def _twin(self, kind: Any) -> Any:
        """The integer type of a float's width, and the other way round."""
        ir = self.ir
        pairs = ((ir.DoubleType(), ir.IntType(64)), (ir.FloatType(), ir.IntType(32)))
        return next(b if kind == a else a for a, b in pairs if kind in (a, b))

    def _converted(self, name: str, x: Any) -> Any:
        ir = self.ir
        to = {"f8": ir.DoubleType(), "f4": ir.FloatType(), "i8": ir.IntType(64), "i4": ir.IntType(32)}[name]
        if isinstance(x, int | float):
            return ir.Constant(to, x)
        if x.type == to:
            return x
        if self._is_float(to):
            if not self._is_float(x.type):
                return self.b.sitofp(x, to)
            return self.b.fpext(x, to) if name == "f8" else self.b.fptrunc(x, to)
        if self._is_float(x.type):
            return self.b.fptosi(x, to)
        return self.b.sext(x, to) if name == "i8" else self.b.trunc(x, to)
