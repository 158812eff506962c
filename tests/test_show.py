"""`wengert show`: the tape of a user's function, printed and drawn from the shell."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from wengert import show
from wengert.cli import main
from wengert.errors import OptionError

ROOT = Path(__file__).parent.parent
MODEL = """
import numpy as np
import wengert
from helper_beside import SCALE

weights = np.ones((3, 2))
number = 3.0


def loss(x, b=0.5):
    return np.sum(np.tanh(x @ weights + b) ** 2) * SCALE


def by_parts(params, pair):
    return params["w"] * pair[0] + pair[1]


def rnn(u, xs):
    h, _ = wengert.scan(lambda h, x: (np.tanh(h @ u + x), None), np.zeros((2, 4)), xs)
    return np.mean(h)


def count(n):
    return n * 2


def broken(x):
    return x + np.ones(7)


def leaves():
    raise SystemExit("gone")


class Net:
    @staticmethod
    def forward(x):
        return x * 2
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    (tmp_path / "helper_beside.py").write_text("SCALE = 2.0\n")
    (tmp_path / "shown_model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "shown_model.py"
    for name in [n for n in sys.modules if "helper_beside" in n or "shown_model" in n]:
        del sys.modules[name]


def said(capsys, *argv):
    assert main(["show", *argv]) == 0
    return capsys.readouterr().out


def test_the_tape_of_a_function_in_a_module_of_this_folder(model, capsys):
    text = said(capsys, "shown_model:loss", "--args", "f64[5,3], 0.25")
    lines = text.splitlines()
    assert lines[0] == "loss(x: f64[5,3], b: f64[]) -> f64[]"
    assert lines[1].startswith("6 instructions: ")
    assert "  %0 = input x : f64[5,3]" in lines
    assert any(line.startswith("  %2 = captured weights : f64[3,2]") for line in lines)
    (matmul,) = (line for line in lines if " matmul " in line)
    number = 1 + MODEL.splitlines().index("    return np.sum(np.tanh(x @ weights + b) ** 2) * SCALE")
    assert matmul.split() == f"%3 = matmul %0 %2 : f64[5,2] shown_model.py:{number}".split()
    assert lines[-1].startswith("  return %")


def test_a_file_may_lie_anywhere_and_import_its_neighbours(model, capsys, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    before = sys.path.copy()
    assert "tanh" in said(capsys, f"{model}:loss", "--args", "f32[3]")
    assert sys.path == before


def test_defaults_are_taken_and_methods_found(model, capsys):
    assert "loss(x: f64[3])" in said(capsys, "shown_model:loss", "--args", "f64[3]")
    assert "%1 = mul %0" in said(capsys, "shown_model:Net.forward", "--args", "2.0").replace("%2", "%1")


def test_the_gradient(model, capsys):
    text = said(capsys, "shown_model:loss", "--args", "f64[3], 0.5", "--grad")
    assert text.startswith("gradient of loss(x: f64[3], b: f64[]) -> f64[3], f64[]\n")
    assert "1 - b * b" in text, "the derivative of tanh"
    text = said(capsys, "shown_model:by_parts", "--args", "{'w': 2.0}, (3, 4)", "--grad")
    assert "-> f64[] " in " ".join(text.split()), "integers have none"


def test_pictures(model, capsys, tmp_path):
    text = said(capsys, "shown_model:loss", "--args", "f64[3]", "--draw", "loss.svg")
    assert text.endswith("picture: loss.svg\n")
    words = [t.text for t in ElementTree.parse(tmp_path / "loss.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert {"loss", "x", "matmul", "tanh"} <= set(words)
    assert any(w.startswith("∂ ") for w in words)


@pytest.mark.parametrize("width", [80, 60, 200])
def test_lines_fit_the_terminal(model, capsys, monkeypatch, width):
    """Also those of scans with many operands, whose bodies are printed as well."""
    monkeypatch.setenv("COLUMNS", str(width))
    text = said(capsys, "shown_model:rnn", "--args", "f64[4,4], f64[30,2,4]", "--grad")
    assert max(map(len, text.splitlines())) <= width
    assert "body 1:" in text
    assert " ".join(text.split()).count("tanh") > 0
    assert text.count("shown_model.py:") > 10


def test_from_the_shell(model):
    argv = [sys.executable, "-m", "wengert", "show", "shown_model:by_parts", "--args", "{'w': f64[2]}, (1.0, 2)"]
    found = subprocess.run(argv, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("by_parts(params['w']: f64[2], pair[0]: f64[], pair[1]: i64[]) -> f64[2]\n")
    assert "\x1b" not in found.stdout, "no colours where there is no terminal"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "MODULE:FUNCTION"),
        (["shown_model"], "'shown_model' is not of the form module:function or file.py:function"),
        ([":loss"], "is not of the form"),
        (["no_such_module:f"], "no_such_module cannot be imported: ModuleNotFoundError"),
        (["missing.py:f"], "there is no file missing.py"),
        (["shown_model:los"], "shown_model has no 'los'; it has loss"),
        (["shown_model:number"], "is a float, not a function"),
        (["shown_model:loss"], "takes x: give --args"),
        (["shown_model:loss", "--args", "f64["], "--args: 'f64[' is not understood"),
        (["shown_model:loss", "--args", "x"], "--args: 'x' is not understood"),
        (["shown_model:loss", "--args", "f16[3]"], "'f16' is not a type; possible are f64, f32"),
        (["shown_model:loss", "--args", "f64[-1]"], "[-1] is not a shape"),
        (["shown_model:loss", "--args", "f64[n]"], "[n] is not a shape"),
        (["shown_model:loss", "--args", "[1, [2]]"], "is not an array of numbers"),
        (["shown_model:loss", "--args", "['a']"], "is not an array of numbers"),
        (["shown_model:broken", "--args", "f64[3]"], "failed: ShapeError: add: operands could not be broadcast"),
        (["shown_model:broken", "--args", "f64[3]"], "(shown_model.py:28)"),
        (["shown_model:loss", "--args", "1.0, 2.0, 3.0"], "failed: TypeError: loss() takes"),
        (["shown_model:leaves"], "failed: SystemExit: gone"),
        (["shown_model:count", "--args", "3", "--grad"], "has no argument of floats"),
        (["shown_model:Net.forward", "--args", "f64[3]", "--grad"], "NotScalarError"),
        (["shown_model:count", "--args", "3", "--draw", "a.gif"], "--draw: a tape is drawn as .svg"),
        (["shown_model:count", "--args", "3", "--draw", "none/a.svg"], "--draw: "),
    ],
)
def test_bad_input_gives_one_line_and_code_2(model, capsys, argv, words):
    try:
        code = main(["show", *argv])
    except SystemExit as stop:  # argparse's own
        code = stop.code
    assert code == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_a_module_that_fails_is_named(model, capsys):
    model.with_name("bad_model.py").write_text("import numpy as np\nx = 1 / 0\n")
    assert main(["show", "bad_model:f"]) == 2
    assert (
        "bad_model cannot be imported: ZeroDivisionError: division by zero (bad_model.py:2)" in capsys.readouterr().err
    )


COMMANDS = re.findall(r"^wengert (show docs/.*)$", (ROOT / "docs" / "pictures.md").read_text(), flags=re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_pictures_in_the_docs_are_what_their_commands_draw(command, monkeypatch, tmp_path, capsys):
    """If one is not, run the command again."""
    monkeypatch.chdir(ROOT)
    *argv, path = shlex.split(command)
    assert main([*argv, str(tmp_path / "new.svg")]) == 0
    assert (tmp_path / "new.svg").read_text() == Path(path).read_text()


def test_all_pictures_in_the_docs_have_commands():
    written = {shlex.split(c)[-1] for c in COMMANDS}
    assert written == {f"docs/pictures/{p.name}" for p in (ROOT / "docs" / "pictures").glob("*.svg")}
    assert len(written) == 3


# --- example arguments -----------------------------------------------------------------------------------------


def test_types_and_shapes():
    for name, dtype in show.DTYPES.items():
        (x,) = show.arguments(f"{name}[2, 3]")
        assert (x.dtype, x.shape) == (dtype, (2, 3))
        assert (x >= 0).all()
        assert (x <= 1).all()
    assert {d.name for d in show.DTYPES.values()} >= {"float64", "float32", "int64", "uint8", "bool"}
    assert show.arguments("f64[]")[0].shape == ()
    assert show.arguments("f64[3,]")[0].shape == (3,)
    assert show.arguments("f64[0]")[0].shape == (0,)


def test_literals_and_containers():
    assert show.arguments("") == show.arguments("  ") == []
    assert show.arguments("1, -2.5, True, 'name', None") == [1, -2.5, True, "name", None]
    x, (y, z), p = show.arguments("[[1, 2], [3, 4]], (f32[2], 5.0), {'a': {'b': bool[3]}}")
    assert x.tolist() == [[1, 2], [3, 4]]
    assert (y.dtype, z) == (np.float32, 5.0)
    assert p["a"]["b"].dtype == bool
    assert np.array_equal(show.arguments("f64[9]")[0], show.arguments("f64[9]")[0]), "the same numbers every time"
    with pytest.raises(OptionError):
        show.arguments("__import__('os')")
