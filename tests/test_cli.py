"""`wengert train adding`, as from the shell."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from wengert import tasks, train, tree
from wengert.cli import main, parser

SMALL = ["train", "adding", "--seq-len", "4", "--batch", "8", "--hidden", "8"]


def run(capsys, *argv):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    return stop.value.code, capsys.readouterr()


def test_help_names_every_option(capsys):
    code, said = run(capsys, "train", "--help")
    assert code == 0
    for name in ("steps", "seq-len", "batch", "hidden", "lr", "clip", "seed", "dtype", "quiet"):
        assert f"--{name}" in said.out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["train", "adding", "--steps", "0"], "--steps: 0 must be at least 1"),
        (["train", "adding", "--steps", "many"], "--steps: 'many' is not a whole number"),
        (["train", "adding", "--seq-len", "1"], "--seq-len: 1 must be at least 2"),
        (["train", "adding", "--batch", "-3"], "--batch: -3 must be at least 1"),
        (["train", "adding", "--hidden", "2.5"], "--hidden: '2.5' is not a whole number"),
        (["train", "adding", "--lr", "0"], "--lr: 0 must be more than 0"),
        (["train", "adding", "--lr", "nan"], "--lr: nan must be more than 0"),
        (["train", "adding", "--clip", "inf"], "--clip: inf must be more than 0"),
        (["train", "adding", "--seed", "-1"], "--seed: -1 must be at least 0"),
        (["train", "adding", "--dtype", "int8"], "invalid choice: 'int8'"),
        (["train", "multiplying"], "invalid choice: 'multiplying'"),
        (["train"], "task"),
        ([], "COMMAND"),
    ],
)
def test_bad_values_give_one_line_and_code_2(capsys, argv, words):
    code, said = run(capsys, *argv)
    assert code == 2
    assert said.out == ""
    assert words in said.err
    assert said.err.count("\n") == 1


def test_training_prints_progress_result_and_samples(capsys):
    assert main([*SMALL, "--steps", "60"]) == 0
    said = capsys.readouterr().out
    assert "after 60 steps" in said
    assert "mean squared error" in said
    assert "marked values" in said


def test_quiet_prints_the_result_alone(capsys):
    assert main([*SMALL, "--steps", "5", "--quiet", "--dtype", "float64"]) == 0
    said = capsys.readouterr().out.split()
    assert " ".join(said).startswith("not solved after 5 steps")
    assert "marked" not in said


def test_a_seed_gives_the_same_run_to_the_bit():
    settings = train.Settings(steps=40, seq_len=5, hidden=8, batch=8, seed=3)
    first, second = train.train_adding(settings), train.train_adding(settings)
    assert first.validation == second.validation
    for a, b in zip(tree.flatten(first.params)[0], tree.flatten(second.params)[0], strict=True):
        assert np.array_equal(a, b)


def test_short_sequences_are_learned():
    result = train.train_adding(train.Settings(steps=4000, seq_len=6, hidden=32, lr=5e-3))
    assert result.solved
    assert result.validation < 0.01 < tasks.TRIVIAL_ADDING
    xs, targets = tasks.adding(np.random.default_rng(99), 256, 6)
    assert np.mean((result.params(xs) - targets) ** 2) < 0.015


def test_ctrl_c_ends_cleanly_and_says_how_far_it_got():
    argv = [sys.executable, "-u", "-m", "wengert", *SMALL, "--lr", "1e-9", "--steps", "100000000"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "steps/s" not in process.stdout.readline():  # a progress line: it is training
            assert process.poll() is None
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped by Ctrl-C after" in out
    assert "Traceback" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_the_progress_line_is_live():
    import pty

    main_end, terminal = pty.openpty()
    argv = [sys.executable, "-m", "wengert", *SMALL, "--lr", "1e-9", "--steps", "3000"]
    with subprocess.Popen(argv, stdout=terminal, stderr=terminal, env=os.environ | {"TERM": "xterm"}) as process:
        os.close(terminal)
        seen = b""
        while chunk := _read(main_end):
            seen += chunk
    os.close(main_end)
    text = seen.decode()
    assert process.returncode == 0, text
    assert "steps/s" in text
    assert "ETA" in text
    assert "after 3000 steps" in text
    assert "Traceback" not in text


def _read(descriptor):
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""


def test_parser_defaults_are_the_settings():
    options = parser().parse_args(["train", "adding"])
    assert vars(options) | {"target": 0.01} == vars(train.Settings()) | {
        "command": "train",
        "task": "adding",
        "quiet": False,
    }


def test_adding_sequences_are_what_the_task_says():
    xs, targets = tasks.adding(np.random.default_rng(1), 500, 11, np.float64)
    marks = xs[:, :, 1]
    assert set(np.unique(marks)) == {0.0, 1.0}
    assert (marks[:5].sum(axis=0) == 1).all()
    assert (marks[5:].sum(axis=0) == 1).all()
    assert np.allclose((xs[:, :, 0] * marks).sum(axis=0), targets[:, 0])
    assert np.var(targets) == pytest.approx(tasks.TRIVIAL_ADDING, rel=0.15)
