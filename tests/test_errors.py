"""Every mistake is answered by its own exception, which says what was given, what to write, and where."""

import math
import threading
from pathlib import Path

import numpy as np
import pytest

from wengert import errors, grad, jit, scan, value_and_grad

HERE = Path(__file__).name
SOURCE = Path(__file__).read_text().splitlines()
X = np.array([0.5, 1.5, 2.5])


def fails(kind, *words, at=None):
    """Expect `kind`, whose message has all the words and shows a line of this file (with `# <-` in it)."""
    return _Fails(kind, words, at)


class _Fails:
    def __init__(self, kind, words, at):
        self.kind, self.words, self.at = kind, words, at

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        assert error is not None, f"nothing raised; {self.kind.__name__} expected"
        message = str(error)
        assert isinstance(error, errors.WengertError), f"{kind.__name__}: {message}"
        assert type(error) is self.kind, message
        for word in self.words:
            assert word in message, message
        assert HERE in message, message
        place = message[message.rindex(HERE) :]
        number = int(place.split("line ")[1].split(",")[0])
        wanted = self.at or "# <-"
        assert wanted in SOURCE[number - 1], f"points at line {number}: {SOURCE[number - 1]}"
        return True


def test_the_exceptions_are_what_numpy_users_catch():
    pairs = {
        errors.ShapeError: ValueError,
        errors.DTypeError: TypeError,
        errors.IntegerGradientError: errors.DTypeError,
        errors.NotScalarError: TypeError,
        errors.TracerConversionError: TypeError,
        errors.LeakedTracerError: RuntimeError,
        errors.NoRuleError: TypeError,
        errors.MutationError: ValueError,
        errors.ObjectArrayError: TypeError,
        errors.CarryError: TypeError,
        errors.IndexingError: IndexError,
        errors.TapeError: ValueError,
        errors.KernelError: RuntimeError,
    }
    for ours, numpys in pairs.items():
        assert issubclass(ours, numpys)
        assert issubclass(ours, errors.WengertError)


# --- what is differentiated ----------------------------------------------------------------------------


def test_result_that_is_not_a_number():
    def vector(x):
        return x * 2

    with fails(errors.NotScalarError, "vector", "shape (3,)", "np.sum"):
        grad(vector)(X)  # <-
    with fails(errors.NotScalarError, "shape (1,)"):
        grad(lambda x: x[:1])(X)  # <-
    with fails(errors.NotScalarError, "vector", "shape (3,)", at="nested"):
        grad(lambda y: grad(vector)(y).sum())(X)  # nested
    for bad, word in (([1.0], "list"), (None, "NoneType"), ("text", "str"), ({}, "dict"), ((1.0, 2.0), "tuple")):
        with fails(errors.NotScalarError, "returned a", word, "one number"):
            grad(lambda x: bad)(X)  # <-
    with fails(errors.NotScalarError, "shape (3,)"):
        grad(lambda x: np.zeros(3))(X)  # <-


def test_integer_valued_function():
    with fails(errors.IntegerGradientError, "count", "int64", "return a float"):

        def count(x):
            return np.sum(x > 1)

        grad(count)(X)  # <-
    with fails(errors.IntegerGradientError, "bool"):
        grad(lambda x: x[0] > 1)(X)  # <-


@pytest.mark.parametrize("constant", [2.5, 3, np.float64(2.5), np.float32(0.5), np.array(1.5), True, np.int64(4)])
def test_constant_function_has_zero_gradient(constant):
    value, slope = value_and_grad(lambda x: constant)(X)
    assert value == float(constant)
    assert slope.tolist() == [0.0] * 3
    assert grad(lambda x: constant)(1.0) == 0.0
    assert jit(grad(lambda x: constant))(1.0) == 0.0


def test_integer_argument_is_named():
    with fails(errors.IntegerGradientError, "argument 0 of f", "int64", "2.0 for 2"):

        def f(x):
            return x * x

        grad(f)(3)  # <-
    with fails(errors.IntegerGradientError, "argument 1", "int64", "argnums", ".astype(float)"):
        grad(lambda a, b: a * b, argnums=1)(1.0, 3)  # <-
    with fails(errors.IntegerGradientError, "argument 0", "int64"):
        grad(lambda x: np.sum(x))(np.arange(3))  # <-
    with fails(errors.IntegerGradientError, "argument 0", "bool"):
        grad(lambda x: x * 1.0)(True)  # <-
    with fails(errors.IntegerGradientError, "['layer'][1]['n']", "int64"):
        grad(lambda p: p["layer"][0])({"layer": [1.0, {"n": 3}]})  # <-
    with fails(errors.IntegerGradientError, "1", "['n']", "int32"):
        grad(lambda a, p: a, argnums=(0, 1))(1.0, {"n": np.arange(3, dtype=np.int32)})  # <-
    with fails(errors.IntegerGradientError, "int64"):
        jit(lambda n: grad(lambda k: k * 1.0)(n))(3)  # <-


def test_complex_argument_is_refused_as_complex_not_as_integer():
    for given in (1j, np.ones(2, complex), np.ones(2, np.complex64)):
        with pytest.raises(errors.DTypeError, match="complex") as info:
            grad(lambda x: np.sum(x))(given)
        assert "integer" not in str(info.value).splitlines()[0]
        assert HERE in str(info.value)


def test_argnums_out_of_range():
    with pytest.raises(TypeError, match=r"argnums=2.*1 positional") as info:
        grad(lambda x: x, argnums=2)(1.0)
    assert HERE in str(info.value)
    with pytest.raises(TypeError, match="argnums=-2"):
        grad(lambda x: x, argnums=-2)(1.0)


def test_has_aux_without_a_pair():
    with pytest.raises(TypeError, match=r"has_aux=True.*\(value, aux\)") as info:
        grad(lambda x: x, has_aux=True)(1.0)
    assert HERE in str(info.value)


# --- shapes --------------------------------------------------------------------------------------------


def numpys_words(f, *args):
    try:
        f(*args)
    except ValueError as error:
        return str(error)
    raise AssertionError("NumPy accepts this")


def test_shapes_that_do_not_broadcast():
    other = np.ones(4)
    with fails(errors.ShapeError, "add", "operands could not be broadcast together", "(3,)", "(4,)"):
        grad(lambda x: np.sum(x + other))(X)  # <-
    with fails(errors.ShapeError, "operands could not be broadcast together", "(4,)", "(3,)"):
        grad(lambda x: np.sum(other * x))(X)  # <-
    with fails(errors.ShapeError, "operands could not be broadcast together"):
        grad(lambda x: np.sum(np.maximum(x, other)))(X)  # <-
    with fails(errors.ShapeError, "operands could not be broadcast together"):
        grad(lambda x: np.sum(np.where(other > 0, x, 1.0)))(X)  # <-


def test_matmul_shapes():
    with fails(errors.ShapeError, "matmul", "mismatch", "4", "3"):
        grad(lambda x: np.sum(x @ np.ones((4, 2))))(X)  # <-
    with fails(errors.ShapeError, "matmul", "mismatch"):
        grad(lambda x: np.sum(np.ones((2, 4)) @ x))(X)  # <-
    with fails(errors.ShapeError, "matmul", "()"):
        grad(lambda x: x @ X)(1.0)  # <-


def test_concatenate_and_stack_shapes():
    with fails(errors.ShapeError, "concatenate", "(3,)", "(2, 2)"):
        grad(lambda x: np.sum(np.concatenate([x, np.ones((2, 2))])))(X)  # <-
    with fails(errors.ShapeError, "must match exactly", "(1, 3)", "(1, 4)"):
        grad(lambda x: np.sum(np.concatenate([x[None], np.ones((1, 4))])))(X)  # <-
    with fails(errors.ShapeError, "zero-dimensional arrays cannot be concatenated", "np.stack"):
        grad(lambda x: np.sum(np.concatenate([x, x])))(1.0)  # <-
    with fails(errors.ShapeError, "all input arrays must have the same shape", "(4,)"):
        grad(lambda x: np.sum(np.stack([x, np.ones(4)])))(X)  # <-


def test_reshape_and_broadcast_to_shapes():
    words = numpys_words(lambda: X.reshape(2, 2)).split(" into")[0]
    assert words == "cannot reshape array of size 3"
    for shape in ((2, 2), (2, -1), (-1, -1), (-2,)):
        with fails(errors.ShapeError, words, "into shape"):
            grad(lambda x: np.sum(x.reshape(shape)))(X)  # <-
    with fails(errors.ShapeError, "broadcast", "(3,)", "(2, 2)"):
        grad(lambda x: np.sum(np.broadcast_to(x, (2, 2))))(X)  # <-


def test_axes():
    words = numpys_words(lambda: np.sum(X, axis=1))
    assert words == "axis 1 is out of bounds for array of dimension 1"
    with fails(errors.ShapeError, words):
        grad(lambda x: np.sum(np.sum(x, axis=1)))(X)  # <-
    with fails(errors.ShapeError, "axes", "don't match"):
        grad(lambda x: np.sum(np.transpose(x[None], (0, 0))))(X)  # <-
    with fails(errors.ShapeError, "size not equal to one"):
        grad(lambda x: np.sum(np.squeeze(x, 0)))(X)  # <-
    with fails(errors.ShapeError, "duplicate"):
        grad(lambda x: np.sum(np.sum(x[None], axis=(0, 0))))(X)  # <-
    with fails(errors.ShapeError, "max", "zero-size"):
        grad(lambda x: np.max(x[:0]))(X)  # <-


# --- functions without a rule ----------------------------------------------------------------------------


def test_numpy_function_without_a_rule():
    with fails(errors.NoRuleError, "np.fft.fft", "no derivative rule", "outside"):
        grad(lambda x: np.sum(np.fft.fft(x)))(X)  # <-
    with fails(errors.NoRuleError, "np.unwrap", "no derivative rule", "Write it with functions that have one"):
        grad(lambda x: np.sum(np.unwrap(x)))(X)  # <-
    with fails(errors.NoRuleError, "np.nansum", "Near names that have one", "sum"):
        grad(lambda x: np.nansum(x))(X)  # <-


def test_ufunc_and_ufunc_method_without_a_rule():
    with fails(errors.NoRuleError, "np.spacing", "no derivative rule"):
        grad(lambda x: np.sum(np.spacing(x)))(X)  # <-
    with fails(errors.NoRuleError, "np.multiply.accumulate", "no derivative rule"):
        grad(lambda x: np.sum(np.multiply.accumulate(x)))(X)  # <-
    with fails(errors.NoRuleError, "where="):
        grad(lambda x: np.sum(np.add(x, 1, where=np.array([True, False, True]))))(X)  # <-


def test_functions_whose_result_depends_on_values():
    with fails(errors.NoRuleError, "np.argsort"):
        grad(lambda x: np.sum(x[np.argsort(x)]))(X)  # <-
    with fails(errors.NoRuleError, "np.where(condition)"):
        grad(lambda x: np.sum(x[np.where(x > 1)]))(X)  # <-


# --- leaving the recording ---------------------------------------------------------------------------------


def test_conversion_to_a_float():
    words = ("f64[]", "gradient would be lost", "np.sin(x)", "np.stack")
    with fails(errors.TracerConversionError, *words):
        grad(lambda x: float(x))(1.0)  # <-
    with fails(errors.TracerConversionError, *words):
        grad(lambda x: math.sin(x))(1.0)  # <-
    with fails(errors.TracerConversionError, *words):
        grad(lambda x: math.sqrt(x[0]))(X)  # <-
    with fails(errors.TracerConversionError, *words):
        grad(lambda x: complex(x).real)(1.0)  # <-
    with fails(errors.TracerConversionError, *words):
        grad(lambda x: x.item())(1.0)  # <-
    with fails(errors.TracerConversionError, "f64[3]"):
        grad(lambda x: sum(x.tolist()))(X)  # <-
    with fails(errors.TracerConversionError, *words):
        jit(lambda x: float(x))(1.0)  # <-


def test_the_line_is_the_users_also_where_numpys_own_python_code_is_in_between():
    with fails(errors.TracerConversionError, "gradient would be lost"):
        grad(lambda x: np.mean(np.array([x, 2 * x])))(1.0)  # <-
    with fails(errors.TracerConversionError, "inside a scan step"):
        scan(lambda c, k: (c + np.take(X, k), c), 0.0, np.array([0, 1]))  # <-
    with fails(errors.NoRuleError, "np."):
        grad(lambda x: np.trapezoid(np.nan_to_num(x)))(X)  # <-


def test_conversion_inside_a_scan_step():
    with fails(errors.TracerConversionError, "gradient would be lost"):
        scan(lambda c, x: (c + math.sin(x), x), 0.0, X)  # <-


def test_storing_into_a_plain_float_array():
    words = ("gradient would be lost", "np.stack")

    def fill(x):
        out = np.zeros(3)
        for k in range(3):
            out[k] = x[k]  # <-
        return out.sum()

    for run in (grad(fill), jit(fill), value_and_grad(fill)):
        with fails(errors.TracerConversionError, *words):
            run(X)

    def assign(x):
        out = np.zeros(3)
        out[:] = x  # <-
        return out.sum()

    with fails(errors.TracerConversionError, *words):
        grad(assign)(X)


def test_an_array_forced_to_float():
    with fails(errors.TracerConversionError, "gradient would be lost"):
        grad(lambda x: np.array([x, 1.0], dtype=float).sum())(1.0)  # <-
    with fails(errors.TracerConversionError, "gradient would be lost"):
        grad(lambda x: np.asarray(x, dtype=float).sum())(X)  # <-


def test_truth_of_an_array():
    with pytest.raises(ValueError, match=r"more than one element is ambiguous. Use a.any\(\) or a.all\(\)") as info:
        grad(lambda x: np.sum(x) if x > 0 else 0.0)(X)
    assert HERE in str(info.value)
    with pytest.raises(TypeError, match="single number") as info:
        grad(lambda x: x[0] * int(x))(X)
    assert HERE in str(info.value)
    with pytest.raises(TypeError, match="integer"):
        grad(lambda x: [1.0, 2.0][x] * x)(1.0)


# --- writing in place -----------------------------------------------------------------------------------


def test_writing_to_a_traced_array():
    def f(x):
        x[0] = 1.0  # <-
        return np.sum(x)

    with fails(errors.MutationError, "f64[3]", "np.where", "np.concatenate"):
        grad(f)(X)

    def step(c, x):
        c[1:] = x  # <-
        return c, x

    with fails(errors.MutationError, "cannot be written in place"):
        scan(step, X, X)


def write_item(x, w):
    y = np.sum(x * w)
    w[0] = 1  # <-
    return y


def write_augmented(x, w):
    y = np.sum(x * w)
    w += 1  # <-
    return y


def write_out(x, w):
    y = np.sum(x * w)
    np.add(w, 1.0, out=w)  # <-
    return y


def write_fill(x, w):
    y = np.sum(x * w)
    w.fill(3.0)  # <-
    return y


def write_sort(x, w):
    y = np.sum(x * w)
    w.sort()  # <-
    return y


@pytest.mark.parametrize("write", [write_item, write_augmented, write_out, write_fill, write_sort])
def test_writing_to_a_captured_array(write):
    w = np.array([3.0, 2.0, 1.0])
    words = ("captured", "in place", "np.where")
    for run in (grad(lambda x: write(x, w)), jit(lambda x: write(x, w)), jit(grad(lambda x: write(x, w)))):
        with fails(errors.MutationError, *words):
            run(X)
        assert w.tolist() == [3.0, 2.0, 1.0]
        assert w.flags.writeable
    with fails(errors.MutationError, *words):
        scan(lambda c, x: (c + write(x, w), x), 0.0, np.ones((2, 3)))
    with fails(errors.MutationError, *words):
        grad(lambda x: grad(lambda y: write(y, w))(x).sum())(X)
    assert w.flags.writeable


def test_a_traced_result_into_a_plain_array():
    w = np.ones(3)

    def augmented(x):
        out = np.zeros(3)
        out += x  # <-
        return out.sum()

    with fails(errors.MutationError, "np.add", "out=", "returned value"):
        grad(augmented)(X)
    with fails(errors.MutationError, "np.exp", "out="):
        grad(lambda x: np.exp(x, out=w).sum())(X)  # <-
    assert w.tolist() == [1.0] * 3


def test_a_read_only_array_of_the_users_own_is_not_blamed_on_the_recording():
    own = np.ones(3)
    own.flags.writeable = False

    def f(x):
        own[0] = 2.0
        return np.sum(x)

    with pytest.raises(ValueError, match="read-only") as info:
        grad(f)(X)
    assert not isinstance(info.value, errors.MutationError)


# --- leaking ---------------------------------------------------------------------------------------------


def leaked(compiled=False):
    """Tracers of a recording that is over: a float, a vector, a truth value, an integer."""
    kept = []

    def f(x):
        kept.extend([x[0] * 2, x, x[0] > 0, np.sum(x > 0)])
        return np.sum(x)

    (jit(f) if compiled else grad(f))(X)
    return kept


LEAKS = {
    "operator": lambda s, v: s + 1,
    "reflected": lambda s, v: 1 - s,
    "plain left": lambda s, v: X * v,
    "ufunc": lambda s, v: np.exp(s),
    "two ufunc": lambda s, v: np.maximum(1.0, s),
    "index": lambda s, v: v[0],
    "slice": lambda s, v: v[1:],
    "gather": lambda s, v: v[np.array([0, 1])],
    "iteration": lambda s, v: list(v),
    "method": lambda s, v: v.sum(),
    "reduction": lambda s, v: np.max(v),
    "matmul": lambda s, v: v @ X,
    "plain matmul": lambda s, v: X @ v,
    "where": lambda s, v: np.where(True, s, 0.0),
    "concatenate": lambda s, v: np.concatenate([v, X]),
    "stack": lambda s, v: np.stack([s, 1.0]),
    "reshape": lambda s, v: v.reshape(3, 1),
    "clip": lambda s, v: v.clip(0, 1),
    "astype": lambda s, v: v.astype(np.float32),
    "comparison": lambda s, v: s > 0,
    "truth": lambda s, v: bool(s),
    "integer": lambda s, v: int(s),
    "object array": lambda s, v: np.sin(np.array([s, s])),
}


@pytest.mark.parametrize("name", LEAKS)
def test_leaked_tracer_used_outside(name):
    scalar, vector, _, _ = leaked()
    with fails(errors.LeakedTracerError, "outside the recording", "return it", at="lambda s, v:"):
        LEAKS[name](scalar, vector)


@pytest.mark.parametrize("name", LEAKS)
def test_leaked_tracer_used_in_another_recording(name):
    scalar, vector, _, _ = leaked()
    with fails(errors.LeakedTracerError, "outside the recording", at="lambda"):
        grad(lambda x: np.sum(LEAKS[name](scalar, vector)) + np.sum(x))(X)


@pytest.mark.parametrize("compiled", [False, True])
def test_leaked_truth_and_integer_are_no_stale_answers(compiled):
    _, _, truth, count = leaked(compiled)
    with fails(errors.LeakedTracerError, "bool[]"):
        grad(lambda x: x if truth else 2 * x)(1.0)  # <-
    with fails(errors.LeakedTracerError, "i64[]"):
        grad(lambda x: x * int(count))(1.0)  # <-
    with pytest.raises((errors.LeakedTracerError, IndexError)):
        grad(lambda x: X[count] * x)(1.0)
    with fails(errors.LeakedTracerError, "bool[]"):
        bool(truth)  # <-


def test_leaked_tracer_as_argument_or_result():
    scalar, vector, _, _ = leaked()
    with fails(errors.LeakedTracerError, "f64[]"):
        grad(lambda x: scalar)(1.0)  # <-
    with fails(errors.LeakedTracerError, "f64[]"):
        jit(lambda x: scalar)(1.0)  # <-
    with fails(errors.LeakedTracerError, "f64[3]"):
        grad(lambda x: np.sum(x))(vector)  # <-


def test_leaked_tracer_can_still_be_shown():
    scalar, _, _, _ = leaked()
    assert "f64[]" in repr(scalar)
    assert "f64[]" in f"{scalar}"


def test_leaked_from_a_scan_step():
    kept = []

    def step(c, x):
        kept.append(c)
        return c + x, c

    scan(step, 0.0, X)
    with fails(errors.LeakedTracerError, "f64[]"):
        grad(lambda x: x * kept[0])(1.0)  # <-

    def inside(x):
        kept.clear()
        total, _ = scan(step, x, X)
        return total * kept[0]  # <-

    for run in (grad(inside), jit(inside)):
        with fails(errors.LeakedTracerError, "f64[]"):
            run(1.0)


def test_leaked_into_another_thread():
    scalar, _, _, _ = leaked()
    found = []

    def use():
        for run in (lambda: scalar + 1, lambda: grad(lambda x: x * scalar)(1.0)):
            try:
                run()
            except errors.LeakedTracerError as error:
                found.append(str(error))

    def f(x):
        nonlocal scalar
        scalar = x  # live in this thread, but not in the other one
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        return x * x

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert grad(f)(3.0) == 6.0
    assert len(found) == 4
    assert all(HERE in text for text in found)


# --- object arrays, masks, indices, dtypes ---------------------------------------------------------------


def test_object_arrays_of_other_things():
    things = np.array([1, None, "a"], dtype=object)
    with fails(errors.ObjectArrayError, "shape (3,)", "NoneType, int, str", "numeric dtype"):
        grad(lambda x: np.sum(x * things))(X)  # <-
    numbers = np.array([1.0, 2.0, 3.0], dtype=object)
    with fails(errors.ObjectArrayError, "float", "numeric dtype"):
        grad(lambda x: np.sum(x + numbers))(X)  # <-
    with fails(errors.ObjectArrayError, "argument 0", "dtype=object"):
        grad(np.sum)(numbers)  # <-
    with pytest.raises((errors.ObjectArrayError, errors.DTypeError), match="object"):
        jit(np.sum)(numbers)
    ragged = np.array([[1.0], [1.0, 2.0]], dtype=object)
    with fails(errors.ObjectArrayError, "list"):
        grad(lambda x: np.sum(x[:2] * ragged))(X)  # <-


def test_ufunc_of_an_array_that_mixes_traced_and_plain_numbers():
    """NumPy makes an object array and looks for a method of every element: say what to write instead."""
    with fails(errors.ObjectArrayError, "np.stack"):
        grad(lambda x: np.sum(np.sqrt(np.array([x, 1.0]))))(2.0)  # <-


def test_truth_masks_as_index():
    mask = np.array([True, False, True])
    words = ("mask", "np.where(mask, x, 0)", "np.nonzero")
    with fails(errors.IndexingError, *words):
        grad(lambda x: np.sum(x[x > 1]))(X)  # <-
    with fails(errors.IndexingError, *words):
        grad(lambda x: np.sum(x[mask]))(X)  # <-
    with fails(errors.IndexingError, *words):
        grad(lambda x: np.sum(x[[True, False, True]]))(X)  # <-
    assert grad(lambda x: np.sum(x[np.nonzero(mask)]))(X).tolist() == [1.0, 0.0, 1.0]


def test_plain_array_indexed_by_a_traced_array():
    """NumPy asks the traced index for integers; its own words would not say what to do."""
    table = np.arange(10.0).reshape(5, 2)
    spots = np.array([1, 2])
    with fails(errors.IndexingError, "plain", "index"):
        jit(lambda k: table[k])(spots)  # <-
    with fails(errors.IndexingError, "plain", "index"):
        scan(lambda c, k: (c + table[k], c), np.zeros(2), spots)  # <-
    with fails(errors.IndexingError, "mask"):
        grad(lambda x: np.sum(x * table[x > 0]))(np.ones(5))  # <-


def test_index_of_a_wrong_kind():
    with fails(errors.IndexingError, "integer arrays", "float"):
        grad(lambda x: x[1.0])(X)  # <-
    with fails(errors.IndexingError, "integer arrays", "str"):
        grad(lambda x: x["a"])(X)  # <-
    with fails(errors.IndexingError, "float64"):
        grad(lambda x: np.sum(x[np.array([0.0, 1.0])]))(X)  # <-
    with fails(errors.IndexingError, "slice indices must be integers"):
        grad(lambda x: np.sum(x[:1.5]))(X)  # <-
    with fails(errors.IndexingError, "single ellipsis"):
        grad(lambda x: np.sum(x[..., ...]))(X)  # <-


def test_index_out_of_bounds_while_recording():
    for k in (3, -4):
        with fails(errors.IndexingError, f"index {k} is out of bounds for axis 0 with size 3"):
            grad(lambda x: x[k])(X)  # <-
    with fails(errors.IndexingError, "too many indices for array", "1-dimensional", "2 were indexed"):
        grad(lambda x: x[0, 0])(X)  # <-


def test_index_out_of_bounds_while_replaying():
    spots = np.array([0, 2])
    words = ("out of bounds",)

    def f(x):
        return np.sum(x[spots])  # <-

    fast = jit(f)
    assert fast(X) == 3.0
    for bad in (3, -4, 1 << 40):
        spots[1] = bad
        for run in (f_run for f_run in (fast, grad(f), jit(grad(f)))):
            with fails(errors.IndexingError, *words):
                run(X)
        spots[1] = -1
        assert fast(X) == 3.0
        assert grad(f)(X).tolist() == [1.0, 0.0, 1.0]


def test_traced_index_out_of_bounds_while_replaying():
    pick = jit(lambda x, k: x[k] * 2)  # <-
    assert pick(X, 1) == 3.0
    assert pick(X, -1) == 5.0
    for bad in (3, -4):
        with fails(errors.IndexingError, "out of bounds"):
            pick(X, bad)
    with fails(errors.IndexingError, "out of bounds"):
        pick(X, np.array([0, 5]))
    two = jit(lambda x, i, j: x[i, j])  # <-
    assert two(np.arange(6.0).reshape(2, 3), np.array([1]), np.array([-1])).tolist() == [5.0]
    with fails(errors.IndexingError, "out of bounds"):
        two(np.arange(6.0).reshape(2, 3), np.array([2]), np.array([0]))
    with fails(errors.IndexingError, "out of bounds"):
        two(np.arange(6.0).reshape(2, 3), np.array([0]), np.array([3]))
    assert pick(X, 0) == 1.0


def test_index_out_of_bounds_inside_a_scan():
    table = np.arange(3.0)

    def step(c, k):
        return c + c * table[0] + table_of(c)[k], k

    def table_of(c):
        return c + table

    run = jit(lambda c, ks: scan(step, c, ks)[0])
    assert np.isfinite(run(1.0, np.array([0, 1, 2])))
    with pytest.raises(errors.IndexingError, match="out of bounds") as info:
        run(1.0, np.array([0, 1, 3]))
    assert HERE in str(info.value)


def test_unsupported_dtypes():
    for dtype in ("complex128", "complex64", "float16", "longdouble", "datetime64[s]", "U3"):
        odd = np.zeros(3, dtype=dtype)
        with pytest.raises(errors.DTypeError, match="is not supported") as info:
            jit(lambda x, y: x)(X, odd)
        assert str(odd.dtype) in str(info.value)
        assert "f64, f32" in str(info.value)
        assert ".astype" in str(info.value)
        assert HERE in str(info.value)
    with fails(errors.DTypeError, "complex128", "f64, f32", ".astype"):
        grad(lambda x: np.sum(x * np.array([1j, 2j, 3j])))(X)  # <-
    with fails(errors.DTypeError, "float16", "f64, f32", ".astype"):
        grad(lambda x: np.sum(x * np.ones(3, np.float16)))(X)  # <-
    with fails(errors.DTypeError, "float16"):
        grad(lambda x: np.sum(x))(np.ones(3, np.float16))  # <-
    with fails(errors.DTypeError, "float16"):
        grad(lambda x: np.sum(x.astype(np.float16)))(X)  # <-
    with fails(errors.DTypeError, "complex128"):
        grad(lambda x: np.sum(x * 1j))(X)  # <-
    with fails(errors.DTypeError, "complex128"):
        grad(lambda x: np.sum(x.astype(complex)))(X)  # <-


# --- scan --------------------------------------------------------------------------------------------------


def test_value_inside_a_scan_step():
    words = ("inside a scan step", "np.where(condition, a, b)", "Python loop")
    with fails(errors.TracerConversionError, "truth value", "bool[]", *words):
        scan(lambda c, x: (c + x if x > 0 else c, x), 0.0, X)  # <-
    with fails(errors.TracerConversionError, "integer", *words):
        scan(lambda c, x: (c + int(x), x), 0.0, X)  # <-
    with fails(errors.TracerConversionError, *words):
        grad(lambda p: scan(lambda c, x: (c + x * p if c > p else c, x), 0.0, X)[0])(1.0)  # <-


def test_printing_inside_a_scan_step_shows_the_type(capsys):
    def step(c, x):
        print(f"{x}")
        return c + x, x

    scan(step, 0.0, X)
    assert capsys.readouterr().out == "Tracer(f64[])\n"


def test_carry_of_another_structure():
    with fails(errors.CarryError, "structure", "'a'", "same containers"):
        scan(lambda c, x: ((c["a"],), x), {"a": 0.0}, X)  # <-
    with fails(errors.CarryError, "structure"):
        scan(lambda c, x: ((c, c), x), 0.0, X)  # <-
    with fails(errors.CarryError, "structure"):
        scan(lambda c, x: (None, x), 0.0, X)  # <-


def test_carry_of_another_shape():
    with fails(errors.CarryError, "carry['h'][0]", "f64[2]", "f64[3,2]", "(2,)", "(3, 2)"):
        scan(lambda c, x: ({"h": [c["h"][0] + np.ones((3, 1))]}, x), {"h": [np.zeros(2)]}, X)  # <-
    with fails(errors.CarryError, "f64[2]", "f64[1,2]", ".reshape((2,))"):
        scan(lambda c, x: (c[None], x), np.zeros(2), X)  # <-
    with fails(errors.CarryError, "f64[]", "f64[2]", "start from a carry of shape (2,)"):
        scan(lambda c, x: (c + x, x), 0.0, np.ones((3, 2)))  # <-


def test_carry_of_another_dtype():
    with fails(errors.CarryError, "carry['w']", "f32[2]", "f64[2]", ".astype(np.float32)"):
        scan(lambda c, x: ({"w": c["w"] + x}, x), {"w": np.zeros(2, np.float32)}, X)  # <-
    with fails(errors.CarryError, "i64[]", "f64[]"):
        scan(lambda c, x: (c + x, x), 0, X)  # <-


def test_step_without_a_pair():
    with fails(errors.CarryError, "(carry, y)", "Tracer"):
        scan(lambda c, x: c + x, 0.0, X)  # <-
    with fails(errors.CarryError, "(carry, y)", "list"):
        scan(lambda c, x: [c, x], 0.0, X)  # <-
    with fails(errors.CarryError, "(carry, y)", "NoneType"):
        scan(lambda c, x: None, 0.0, X)  # <-
    with fails(errors.CarryError, "(carry, y)"):
        scan(lambda c, x: (c, x, x), 0.0, X)  # <-


def test_numbers_of_steps():
    with fails(errors.ShapeError, "xs['a'] has 3", "xs['b'] has 4", "differ"):
        scan(lambda c, x: (c, x), 0.0, {"a": np.ones(3), "b": np.ones(4)})  # <-
    with fails(errors.ShapeError, "xs has 3", "length has 4"):
        scan(lambda c, x: (c, x), 0.0, X, length=4)  # <-
    with fails(errors.ShapeError, "length="):
        scan(lambda c, x: (c, x), 0.0)  # <-
    with fails(errors.ShapeError, "xs", "scalar", "axis 0 must be time"):
        scan(lambda c, x: (c, x), 0.0, 1.0)  # <-
    assert scan(lambda c, x: (c + 1.0, None), 0.0, length=4) == (4.0, None)


def test_negative_number_of_steps():
    with fails(errors.ShapeError, "length", "-1"):
        scan(lambda c, x: (c + 1.0, c), 0.0, None, length=-1)  # <-
