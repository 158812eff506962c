"""The table of elementwise ops: one row an op. Only formulas; how they are used is not known here.

A row is: name, operands, value, then for each operand its derivative; then the NumPy ufunc that it
answers to (or `special.` and the name of one of SciPy's) and the domain that tests draw operands from.
Formulas are NumPy's words over the operands and the result `z`. They are read three ways: by Numba
(kernels), by tracers (derivatives of derivatives) and by NumPy (the oracle).

A derivative is one of
    "y"                     a partial ∂z/∂x: the adjoint's increment is mul0(z_bar, partial), where a zero
                            adjoint wins over an infinite or NaN partial
    "where(c, z_bar, 0)"    a whole pullback, where `z_bar` occurs in it
    "1", "-1"               passes the adjoint on
    ""                      no derivative (piecewise constant, or not a number)
"""

from __future__ import annotations

ROWS: tuple[tuple[str, ...], ...] = (
    # name        operands  value                         ∂x, ∂y, ∂w ...                         ufunc, domain
    ("add",         "x y",  "x + y",                      "1", "1",                                "add", "real"),
    ("sub",         "x y",  "x - y",                      "1", "-1",                               "subtract", "real"),
    ("mul",         "x y",  "x * y",                      "y", "x",                                "multiply", "real"),
    ("div",         "x y",  "x / y",                      "1 / y", "-z / y",                       "divide", "nonzero"),
    ("floordiv",    "x y",  "x // y",                     "", "",                                  "floor_divide", "nonzero"),
    ("mod",         "x y",  "x % y",                      "1", "-floor(x / y)",                    "remainder", "nonzero"),
    ("fmod",        "x y",  "fmod(x, y)",                 "1", "-trunc(x / y)",                    "fmod", "nonzero"),
    ("neg",         "x",    "-x",                         "-1",                                    "negative", "real"),
    ("positive",    "x",    "x",                          "1",                                     "positive", "real"),
    ("abs",         "x",    "abs(x)",                     "where(x > 0, z_bar, where(x < 0, -z_bar, 0))", "absolute", "nonzero"),
    ("fabs",        "x",    "abs(x)",                     "where(x > 0, z_bar, where(x < 0, -z_bar, 0))", "fabs", "nonzero"),
    ("copysign",    "x y",  "copysign(x, y)",
        "where(x == 0, 0, where((x > 0) == (z > 0), z_bar, -z_bar))", "",                          "copysign", "nonzero"),
    ("sign",        "x",    "where(x > 0, 1, where(x < 0, -1, where(x == 0, 0, x)))", "",          "sign", "nonzero"),
    ("square",      "x",    "x * x",                      "2 * x",                                 "square", "real"),
    ("sqrt",        "x",    "sqrt(x)",                    "0.5 / z",                               "sqrt", "positive"),
    ("cbrt",        "x",    "cbrt(x)",                    "1 / (3 * z * z)",                       "cbrt", "nonzero"),
    ("reciprocal",  "x",    "1 / x",                      "-z * z",                                "reciprocal", "nonzero"),
    ("power",       "x y",  "power(x, y)",  "mul0(y, power(x, y - 1))",
        "where(x == 0, 0, z * log(where(x == 0, 1, x)))",                                          "power", "positive"),
    ("float_power", "x y",  "power(x, y)",  "mul0(y, power(x, y - 1))",
        "where(x == 0, 0, z * log(where(x == 0, 1, x)))",                                          "float_power", "positive"),
    ("exp",         "x",    "exp(x)",                     "z",                                     "exp", "real"),
    ("exp2",        "x",    "exp2(x)",                    "0.6931471805599453 * z",                "exp2", "real"),
    ("expm1",       "x",    "expm1(x)",                   "exp(x)",                                "expm1", "real"),
    ("log",         "x",    "log(x)",                     "1 / x",                                 "log", "positive"),
    ("log1p",       "x",    "log1p(x)",                   "1 / (1 + x)",                           "log1p", "positive"),
    ("log2",        "x",    "log2(x)",                    "1.4426950408889634 / x",                "log2", "positive"),
    ("log10",       "x",    "log10(x)",                   "0.4342944819032518 / x",                "log10", "positive"),
    ("logaddexp",   "x y",
        "where(x == y, x + 0.6931471805599453, where(x > y, x, y) + log1p(exp(-abs(x - y))))",
        "where(z == -inf, 0, where((x == y) & (z == inf), 0.5, expit(x - y)))",
        "where(z == -inf, 0, where((x == y) & (z == inf), 0.5, expit(y - x)))",                                   "logaddexp", "real"),
    ("logaddexp2",  "x y",
        "where(x == y, x + 1, where(x > y, x, y) + 1.4426950408889634 * log1p(exp2(-abs(x - y))))",
        "where(z == -inf, 0, where((x == y) & (z == inf), 0.5, expit(0.6931471805599453 * (x - y))))",
        "where(z == -inf, 0, where((x == y) & (z == inf), 0.5, expit(0.6931471805599453 * (y - x))))",            "logaddexp2", "real"),
    ("sin",         "x",    "sin(x)",                     "cos(x)",                                "sin", "real"),
    ("cos",         "x",    "cos(x)",                     "-sin(x)",                               "cos", "real"),
    ("tan",         "x",    "tan(x)",                     "1 + z * z",                             "tan", "unit"),
    ("sinc",        "x",
        "where(abs(x) < 0.08, 1 - 1.6449340668482264 * x * x * (1 - 0.4934802200544679 * x * x * (1 - "
        "0.23499058097831804 * x * x * (1 - 0.13707783890401887 * x * x * (1 - 0.08972367637353962 * x * x)))), "
        "sin(3.141592653589793 * x) / (3.141592653589793 * x))",
        "where(abs(x) < 0.08, -3.289868133696453 * x * (1 - 0.9869604401089358 * x * x * (1 - "
        "0.35248587146747706 * x * x * (1 - 0.18277045187202513 * x * x * (1 - 0.11215459546692452 * x * x)))), "
        "(cos(3.141592653589793 * x) - z) / x)",                                                   "", "real"),
    ("deg2rad",     "x",    "0.017453292519943295 * x",   "0.017453292519943295",                  "deg2rad", "real"),
    ("rad2deg",     "x",    "57.29577951308232 * x",      "57.29577951308232",                     "rad2deg", "real"),
    ("arcsin",      "x",    "arcsin(x)",                  "1 / sqrt((1 - x) * (1 + x))",           "arcsin", "unit"),
    ("arccos",      "x",    "arccos(x)",                  "-1 / sqrt((1 - x) * (1 + x))",          "arccos", "unit"),
    ("arctan",      "x",    "arctan(x)",                  "1 / (1 + x * x)",                       "arctan", "real"),
    ("arctan2",     "x y",  "arctan2(x, y)",
        "where((x == 0) & (y == 0), 0, y / (x * x + y * y))",
        "where((x == 0) & (y == 0), 0, -x / (x * x + y * y))",                                     "arctan2", "real"),
    ("hypot",       "x y",  "hypot(x, y)",  "where(z == 0, 0, x / z)", "where(z == 0, 0, y / z)",  "hypot", "real"),
    ("sinh",        "x",    "sinh(x)",                    "cosh(x)",                               "sinh", "real"),
    ("cosh",        "x",    "cosh(x)",                    "sinh(x)",                               "cosh", "real"),
    ("tanh",        "x",    "tanh(x)",                    "1 - z * z",                             "tanh", "real"),
    ("arcsinh",     "x",    "arcsinh(x)",                 "1 / hypot(x, 1)",                       "arcsinh", "real"),
    ("arccosh",     "x",    "arccosh(x)",                 "1 / sqrt((x - 1) * (x + 1))",           "arccosh", "beyond"),
    ("arctanh",     "x",    "arctanh(x)",                 "1 / ((1 - x) * (1 + x))",               "arctanh", "unit"),
    ("expit",       "x",    "expit(x)",                   "z * (1 - z)",                           "special.expit", "real"),
    ("erf",         "x",    "erf(x)",                     "1.1283791670955126 * exp(-x * x)",      "special.erf", "real"),
    ("erfc",        "x",    "erfc(x)",                    "-1.1283791670955126 * exp(-x * x)",     "special.erfc", "real"),
    ("ndtr",        "x",    "ndtr(x)",                    "0.3989422804014327 * exp(-0.5 * x * x)", "special.ndtr", "real"),
    ("maximum",     "x y",  "where((x >= y) | (x != x), x, y)",
        "where(x > y, z_bar, where(x == y, 0.5 * z_bar, 0))",
        "where(y > x, z_bar, where(x == y, 0.5 * z_bar, 0))",                                      "maximum", "real"),
    ("minimum",     "x y",  "where((x <= y) | (x != x), x, y)",
        "where(x < y, z_bar, where(x == y, 0.5 * z_bar, 0))",
        "where(y < x, z_bar, where(x == y, 0.5 * z_bar, 0))",                                      "minimum", "real"),
    ("fmax",        "x y",  "where((x >= y) | (y != y), x, y)",
        "where((x > y) | (y != y), z_bar, where(x == y, 0.5 * z_bar, 0))",
        "where((y > x) | (x != x), z_bar, where(x == y, 0.5 * z_bar, 0))",                         "fmax", "real"),
    ("fmin",        "x y",  "where((x <= y) | (y != y), x, y)",
        "where((x < y) | (y != y), z_bar, where(x == y, 0.5 * z_bar, 0))",
        "where((y < x) | (x != x), z_bar, where(x == y, 0.5 * z_bar, 0))",                         "fmin", "real"),
    ("clip",        "x a b",
        "where((where((x >= a) | (x != x), x, a) <= b) | (x != x) | (a != a), where((x >= a) | (x != x), x, a), b)",
        "where((x >= a) & (x <= b), z_bar, 0)",
        "where((x < a) & (a <= b), z_bar, 0)",
        "where((x > b) | (a > b), z_bar, 0)",                                                      "", "real"),
    ("where",       "c x y", "where(c, x, y)",            "", "where(c, z_bar, 0)", "where(c, 0, z_bar)", "", "real"),
    ("floor",       "x",    "floor(x)",                   "",                                      "floor", "real"),
    ("ceil",        "x",    "ceil(x)",                    "",                                      "ceil", "real"),
    ("trunc",       "x",    "trunc(x)",                   "",                                      "trunc", "real"),
    ("rint",        "x",    "rint(x)",                    "",                                      "rint", "real"),
    ("heaviside",   "x y",  "where(x < 0, 0, where(x > 0, 1, where(x == 0, y, x)))",
        "", "where(x == 0, z_bar, 0)",                                                             "heaviside", "nonzero"),
    ("less",        "x y",  "x < y",                      "", "",                                  "less", "real"),
    ("less_equal",  "x y",  "x <= y",                     "", "",                                  "less_equal", "real"),
    ("greater",     "x y",  "x > y",                      "", "",                                  "greater", "real"),
    ("greater_equal", "x y", "x >= y",                    "", "",                                  "greater_equal", "real"),
    ("equal",       "x y",  "x == y",                     "", "",                                  "equal", "real"),
    ("not_equal",   "x y",  "x != y",                     "", "",                                  "not_equal", "real"),
    ("isnan",       "x",    "x != x",                     "",                                      "isnan", "real"),
    ("isinf",       "x",    "(x == inf) | (x == -inf)",   "",                                      "isinf", "real"),
    ("isfinite",    "x",    "x - x == 0",                 "",                                      "isfinite", "real"),
    ("logical_and", "x y",  "(x != 0) & (y != 0)",        "", "",                                  "logical_and", "real"),
    ("logical_or",  "x y",  "(x != 0) | (y != 0)",        "", "",                                  "logical_or", "real"),
    ("logical_not", "x",    "x == 0",                     "",                                      "logical_not", "real"),
    ("logical_xor", "x y",  "(x != 0) != (y != 0)",       "", "",                                  "logical_xor", "real"),
    ("bitwise_and", "x y",  "x & y",                      "", "",                                  "bitwise_and", "integer"),
    ("bitwise_or",  "x y",  "x | y",                      "", "",                                  "bitwise_or", "integer"),
    ("invert",      "x",    "~x",                         "",                                      "invert", "integer"),
    ("bitwise_xor", "x y",  "x ^ y",                      "", "",                                  "bitwise_xor", "integer"),
    # The value of x, whose derivative ends where c is true: how backpropagation through time is truncated.
    ("cut",         "c x",  "x",                          "", "where(c, 0, z_bar)",                "", "real"),
    # The product in which a zero first factor wins: how every partial is applied.
    ("mul0",        "x y",  "where(x == 0, 0, x * y)",    "y", "where(x == 0, 0, mul0(z_bar, x))",  "", "real"),
    # The sum that may overwrite its first operand: how adjoints are accumulated.
    ("acc",         "x y",  "x + y",                      "1", "1",                                "", "real"),
)  # fmt: skip
