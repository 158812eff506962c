"""The command line, as from the shell: what it trains, prints and writes, and how it refuses."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from wengert import tasks, train, tree
from wengert.cli import main

SMALL = ["train", "adding", "--seq-len", "4", "--batch", "8", "--hidden", "8"]
QUICK = ["train", "parity", "--cell", "gru", "--hidden", "16", "--seq-len", "3", "--lr", "0.01"]


def refused(capsys, *argv):
    """What is said on standard error, one line, with exit code 2 and nothing on standard output."""
    try:
        code = main(argv)
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (
            "train",
            ["cell", "layers", "hidden", "seq-len", "batch", "steps", "lr", "clip", "dtype", "seed", "optimizer"],
        ),
        ("train", ["checkpoint", "resume", "save", "plot", "json", "quiet"]),
        ("eval", ["count", "seq-len", "seed", "quiet"]),
        ("sample", ["length", "temperature", "seed", "prompt"]),
        ("tasks", ["help"]),
    ],
)
def test_help_names_every_option_in_80_columns(capsys, monkeypatch, command, names):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert all(f"--{name}" in said for name in names)
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["train", "adding", "--steps", "0"], "--steps: 0 must be at least 1"),
        (["train", "adding", "--steps", "many"], "--steps: 'many' is not a whole number"),
        (["train", "adding", "--seq-len", "1"], "seq_len of adding must be at least 2, not 1"),
        (["train", "adding", "--batch", "-3"], "--batch: -3 must be at least 1"),
        (["train", "adding", "--hidden", "2.5"], "--hidden: '2.5' is not a whole number"),
        (["train", "adding", "--layers", "0"], "--layers: 0 must be at least 1"),
        (["train", "adding", "--lr", "0"], "--lr: 0 must be more than 0"),
        (["train", "adding", "--lr", "nan"], "--lr: nan must be more than 0"),
        (["train", "adding", "--clip", "inf"], "--clip: inf must be more than 0"),
        (["train", "adding", "--seed", "-1"], "--seed: -1 must be at least 0"),
        (["train", "adding", "--dtype", "int8"], "invalid choice: 'int8'"),
        (["train", "ading"], "no task is called 'ading'; did you mean adding"),
        (["train", "qqq"], "There are: adding, copy, recall"),
        (["train", "adding", "--cell", "ltsm"], "no cell is called 'ltsm'; did you mean lstm?"),
        (["train", "adding", "--optimizer", "adan"], "did you mean adam"),
        (["train", "brackets", "--seq-len", "5"], "must be even (a balanced word), not 5; take 6"),
        (["train", "mackey-glass", "--seq-len", "600"], "too long for the train part"),
        (["train", "mackey-glass", "--batch", "5000"], "--batch: 5000 is more than all the 395 training sequences"),
        (["train", "adding", "--resume"], "--resume needs to know from what"),
        (["train", "adding", "--save", "no/such/model.npz"], "there is no folder no/such"),
        (["train", "adding", "--save", "README.md"], "README.md must end in .npz"),
        (["train", "adding", "--plot", "loss.txt"], "loss.txt must end in .png or .pdf or .svg"),
        (["train", "adding", "--checkpoint", "a.npz", "--save", "a.npz"], "the same file"),
        (["eval", "nothing.npz"], "there is no file nothing.npz"),
        (["sample", "nothing.npz"], "there is no file nothing.npz"),
        (["train"], "TASK"),
        (["trian"], "invalid choice: 'trian'"),
        ([], "COMMAND"),
    ],
)
def test_bad_values_give_one_line_and_code_2(capsys, argv, words):
    assert words in refused(capsys, *argv)


def test_training_prints_what_it_does_in_80_columns(capsys):
    assert main([*SMALL, "--steps", "60"]) == 0
    said = capsys.readouterr().out
    assert "Elman network (tanh), 8 units, 97 parameters, float32" in said
    assert "mean squared error: 0.167 without learning, solved under 0.01" in said
    assert "not solved after 60 steps" in said
    assert "marked values" in said
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize("task", [t.name for t in tasks.REGISTRY.values() if t.requires is None])
def test_every_task_runs_and_fits_into_80_columns(capsys, task):
    assert main(["train", task, "--steps", "1", "--hidden", "8"]) == 0
    said = capsys.readouterr().out
    assert tasks.get(task).summary in said
    assert "after 1 steps" in said
    assert max(map(len, said.splitlines())) <= 80


def test_quiet_prints_the_result_alone(capsys):
    assert main([*SMALL, "--steps", "5", "--quiet", "--dtype", "float64"]) == 0
    said = capsys.readouterr().out.split()
    assert " ".join(said).startswith("not solved after 5 steps")
    assert "marked" not in said


def test_tasks_lists_them_all_in_80_columns(capsys):
    assert main(["tasks"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    for task in tasks.REGISTRY.values():
        row = next(line for line in said.splitlines() if line.startswith(f" {task.name} "))
        assert " ".join(task.summary.split()[:3]) in row
        assert task.requires is None or f"needs {task.requires}" in " ".join(said.split())
    assert " 12.5 %    99.0 % " in said


# --- what a training is -------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_run_to_the_bit():
    settings = train.Settings(steps=40, seq_len=5, hidden=8, batch=8, seed=3)
    first, second = train.train_task(settings), train.train_task(settings)
    assert first.score == second.score
    for a, b in zip(tree.flatten(first.model)[0], tree.flatten(second.model)[0], strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2])
def test_all_cells_learn(cell, layers):
    settings = train.suited("parity", cell, seq_len=3, hidden=16, layers=layers, lr=0.01, dtype="float64")
    found = train.train_task(settings)
    assert found.solved
    batch = tasks.get("parity").batch(np.random.default_rng(9), 500, 3, np.float64)
    assert tasks.get("parity").score(found.model(batch.xs), batch) > 0.98
    assert all(x.dtype == np.float64 for x in tree.flatten(found.model)[0])


@pytest.mark.parametrize("task", ["echo", "sine"])
def test_the_score_of_a_masked_task_is_that_of_the_steps_that_count(task):
    found = train.train_task(train.suited(task, hidden=8, steps=3))
    batch = tasks.get(task).batch(np.random.default_rng(0), 7)
    loss = train.sequences.task_loss(tasks.get(task))(found.model, batch)
    assert float(loss) == pytest.approx(tasks.get(task).score(found.model(batch.xs), batch), rel=1e-5)


def test_the_model_that_is_kept_is_the_best_one_where_the_task_is_not_solved():
    found = train.train_task(train.Settings("sine", hidden=4, steps=40, lr=0.5, check_every=1))
    values = found.result.checks["validation"]
    assert not found.solved
    assert found.step == 1 + int(np.argmin(values)) < 40
    assert found.score == values.min()


def test_suited_settings_are_those_of_the_task_and_what_is_given_wins():
    assert (train.suited().task, train.suited().cell) == ("adding", "rnn")
    assert train.suited("adding", "lstm", hidden=5, steps=7) == train.Settings(
        "adding", "lstm", hidden=5, steps=7, lr=train.suited("adding", "lstm").lr
    )
    for name in tasks.REGISTRY:
        assert train.suited(name).task == name
    with pytest.raises(ValueError, match="did you mean 'adding'"):
        train.suited("ading")


# --- files --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """A training that was saved in all ways."""
    folder = tmp_path_factory.mktemp("solved")
    files = {"save": "model.npz", "checkpoint": "run.npz", "json": "run.json"}
    options = [word for name, file in files.items() for word in (f"--{name}", str(folder / file))]
    assert main([*QUICK, *options, "--quiet"]) == 0
    return folder


def test_a_saved_model_is_evaluated_on_fresh_sequences(capsys, solved):
    assert main(["eval", str(solved / "model.npz"), "--count", "600"]) == 0
    said = capsys.readouterr().out
    assert "GRU, 16 units" in said
    assert "on 600 test sequences of 3 steps (solved at 99.0 %)" in said
    assert max(map(len, said.splitlines())) <= 80
    assert main(["eval", str(solved / "model.npz"), "--quiet", "--seq-len", "40"]) == 0
    score = float(capsys.readouterr().out)
    saved = train.load_model(solved / "model.npz")
    batch = tasks.get("parity").batch(np.random.default_rng(5), 1000, 40)
    assert score == pytest.approx(tasks.get("parity").score(saved.model(batch.xs), batch), abs=0.05)
    assert "seq_len of parity must be at least 2" in refused(
        capsys, "eval", str(solved / "model.npz"), "--seq-len", "1"
    )


def test_json_tells_settings_outcome_and_history(solved):
    told = json.loads((solved / "run.json").read_text())
    assert told["settings"]["cell"] == "gru"
    assert told["settings"]["seq_len"] == 3
    assert told["solved"] is True
    assert told["score"] >= told["solved_at"] == 0.99
    assert told["checks"]["score"][-1] == told["score"]
    assert len(told["checks"]["step"]) == len(told["checks"]["loss"]) == len(told["checks"]["score"])
    assert train.load_model(solved / "model.npz").score == told["score"]


def test_the_picture_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    assert main([*QUICK, "--steps", "60", "--quiet", "--plot", str(tmp_path / "run.png")]) == 0
    assert (tmp_path / "run.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_training_is_continued_to_the_bit(tmp_path):
    part = [*SMALL, "--quiet", "--checkpoint", str(tmp_path / "run.npz")]
    assert main([*part, "--steps", "70"]) == 0
    assert main([*part, "--steps", "120", "--resume", "--save", str(tmp_path / "continued.npz")]) == 0
    assert main([*SMALL, "--quiet", "--steps", "120", "--save", str(tmp_path / "whole.npz")]) == 0
    ours, theirs = (train.load_model(tmp_path / f"{name}.npz").model for name in ("continued", "whole"))
    for a, b in zip(tree.flatten(ours)[0], tree.flatten(theirs)[0], strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "exists already: add --resume"),
        (["--resume", "--cell", "lstm"], "is of a training with cell=gru, and this one has cell=lstm"),
        (["--resume", "--hidden", "8"], "is of a training with hidden=16, and this one has hidden=8"),
        (["--resume", "--seq-len", "4"], "is of a training with seq_len=3, and this one has seq_len=4"),
        (["--resume", "--optimizer", "sgd"], "is a checkpoint of another model"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_and_left_alone(capsys, solved, argv, words):
    before = (solved / "run.npz").read_bytes()
    try:
        code = main([*QUICK, "--checkpoint", str(solved / "run.npz"), *argv])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert (solved / "run.npz").read_bytes() == before


def test_damaged_files_and_files_of_another_kind_are_refused(capsys, solved, tmp_path):
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes((solved / "model.npz").read_bytes()[:-200])
    for command in (["eval", str(damaged)], [*QUICK, "--checkpoint", str(damaged), "--resume"]):
        assert "is damaged, or no checkpoint of wengert's" in refused(capsys, *command)
    train.save(tmp_path / "arrays.npz", {"w": np.zeros(3)})
    assert "holds arrays, not a model of a task" in refused(capsys, "eval", str(tmp_path / "arrays.npz"))
    assert "a training that can be continued, not a model" in refused(capsys, "eval", str(solved / "run.npz"))
    said = refused(capsys, *QUICK, "--checkpoint", str(solved / "model.npz"), "--resume")
    assert "holds no training that could be continued" in said
    assert "is a model of parity; only one of text can write" in refused(capsys, "sample", str(solved / "model.npz"))


def test_a_failed_training_keeps_what_was_reached(capsys, tmp_path):
    argv = [*SMALL, "--optimizer", "sgd", "--lr", "1e30", "--clip", "1e30", "--save", str(tmp_path / "model.npz")]
    assert main(argv) == 1
    said = capsys.readouterr()
    assert "failed after" in said.out
    assert "is not finite" in said.err
    assert "a smaller --lr may help" in said.err
    model = train.load_model(tmp_path / "model.npz").model
    assert all(np.isfinite(x).all() for x in tree.flatten(model)[0])


# --- text ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    path = tmp_path_factory.mktemp("writer") / "text.npz"
    argv = ["train", "text", "--hidden", "24", "--seq-len", "16", "--steps", "60", "--quiet", "--save", str(path)]
    assert main(argv) == 0
    return str(path)


def sampled(capsys, *argv):
    assert main(["sample", *argv]) == 0
    return capsys.readouterr().out


def test_a_sample_starts_with_the_prompt_and_is_what_the_seed_says(capsys, writer):
    said = sampled(capsys, writer, "--length", "50", "--prompt", "The ")
    assert said.startswith("The ")
    assert len(said) == 4 + 50 + 1
    assert said == sampled(capsys, writer, "--length", "50", "--prompt", "The ")
    assert said != sampled(capsys, writer, "--length", "50", "--prompt", "The ", "--seed", "1")


def test_at_temperature_0_every_letter_is_the_likeliest_given_all_before(capsys, writer):
    said = sampled(capsys, writer, "--length", "30", "--prompt", "An ", "--temperature", "0")[:-1]
    model = train.load_model(writer).model
    ids = tasks.encode(said)
    logits = model(np.eye(96, dtype=np.float32)[ids[:-1]][:, None])
    assert np.array_equal(logits[2:, 0].argmax(axis=-1), ids[3:])


def test_letters_that_the_model_does_not_know_are_refused(capsys, writer):
    assert "not in the vocabulary" in refused(capsys, "sample", writer, "--prompt", "Ω")
    assert "it needs one character" in refused(capsys, "sample", writer, "--prompt", "")


# --- processes ----------------------------------------------------------------------------------------------


def test_ctrl_c_saves_and_says_how_far_it_got(tmp_path):
    checkpoint, model = tmp_path / "run.npz", tmp_path / "model.npz"
    files = ["--checkpoint", str(checkpoint), "--save", str(model)]
    argv = [sys.executable, "-u", "-m", "wengert", *SMALL, "--lr", "1e-9", "--steps", "100000000", *files]
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
    like = train.load_model(model).model
    for x in tree.flatten(train.load(checkpoint, like))[0]:
        assert np.isfinite(x).all()


def test_a_reader_that_leaves_gets_no_traceback(writer):
    for words in (["tasks"], ["sample", writer, "--length", "2000"]):
        argv = [sys.executable, "-m", "wengert", *words]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.stderr is not None
            assert process.stderr.read() == b""


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


def test_adding_sequences_are_what_the_task_says():
    xs, targets = tasks.adding(np.random.default_rng(1), 500, 11, np.float64)
    marks = xs[:, :, 1]
    assert set(np.unique(marks)) == {0.0, 1.0}
    assert (marks[:5].sum(axis=0) == 1).all()
    assert (marks[5:].sum(axis=0) == 1).all()
    assert np.allclose((xs[:, :, 0] * marks).sum(axis=0), targets[:, 0])
    assert np.var(targets) == pytest.approx(tasks.TRIVIAL_ADDING, rel=0.15)
