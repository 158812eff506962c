"""Checkpoints: whole or not there, continued to the bit, and refused when they are not what they should be."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from wengert import optim, train, tree
from wengert.train import checkpoint as files

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4)).astype(np.float32)
DATA = (X, np.tanh(X @ RNG.normal(size=(4, 2)).astype(np.float32)))
HELD = (X[:10] + np.float32(0.1), DATA[1][:10])
START = {"w": np.zeros((4, 2), np.float32), "b": [np.zeros(2, np.float32), np.float64(0.5)]}


def loss(params, batch):
    x, y = batch
    return np.mean((np.tanh(x @ params["w"] + params["b"][0]) * params["b"][1] - y) ** 2)


def run(path=None, optimizer=None, data=DATA, params=START, **options):
    options = {"batch_size": 7, "epochs": 6, "progress": False, "clip_norm": 1.0, "seed": 5} | options
    if callable(data) or hasattr(data, "__next__"):
        options.pop("batch_size")
    return train.fit(loss, params, data, optimizer or optim.adam(optim.cosine(0.05, 40)), checkpoint=path, **options)


def same_run(a, b):
    """Parameters, optimiser, best, history: equal to the bit."""
    for x, y in zip(tree.flatten((a.params, a.state, a.best))[0], tree.flatten((b.params, b.state, b.best))[0]):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(a.losses, b.losses)
    np.testing.assert_array_equal(a.grad_norms, b.grad_norms)
    assert a.checks.keys() == b.checks.keys()
    for name in a.checks:
        np.testing.assert_array_equal(a.checks[name], b.checks[name])
    assert (a.steps, a.epochs, a.reason, a.best_step) == (b.steps, b.epochs, b.reason, b.best_step)


# --- save and load -----------------------------------------------------------------------------------------------


def test_a_tree_comes_back_as_it_was(tmp_path):
    params = {"a": [np.arange(6.0).reshape(2, 3), np.float32(2.5)], "b": (np.array([], np.float32), 3.0)}
    train.save(tmp_path / "p.npz", params)
    found = train.load(tmp_path / "p.npz", like=tree.map(np.zeros_like, params))
    assert tree.flatten(found)[1] == tree.flatten(params)[1]
    for x, y in zip(tree.flatten(found)[0], tree.flatten(params)[0]):
        assert np.asarray(x).dtype == np.asarray(y).dtype
        np.testing.assert_array_equal(x, y)
    assert os.listdir(tmp_path) == ["p.npz"]


def test_parameters_of_a_training_load_from_its_checkpoint(tmp_path):
    found = run(tmp_path / "c.npz")
    loaded = train.load(tmp_path / "c.npz", like=START)
    for x, y in zip(tree.flatten(loaded)[0], tree.flatten(found.params)[0]):
        np.testing.assert_array_equal(x, y)


def test_a_file_is_an_npz_without_pickles(tmp_path):
    run(tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz", allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
        assert header["version"] == files.FORMAT
        assert header["leaves"][:3] == ["['params']['b'][0]", "['params']['b'][1]", "['params']['w']"]
        assert archive["more:losses"].shape == (30,)


def test_saving_over_a_file_replaces_it_whole(tmp_path):
    path = tmp_path / "p.npz"
    train.save(path, [np.zeros(1000)])
    train.save(path, [np.ones(3)])
    assert train.load(path, like=[np.zeros(3)])[0].tolist() == [1, 1, 1]


def test_a_file_takes_its_name_when_it_is_on_the_disk_and_not_before(tmp_path, monkeypatch):
    path = tmp_path / "p.npz"
    train.save(path, [np.zeros(3)])
    before, done = path.read_bytes(), []

    def on_disk(descriptor):
        done.append(("fsync", path.read_bytes() == before))

    def fails(source, target):
        done.append(("replace", path.read_bytes() == before))
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", on_disk)
    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(train.CheckpointError, match="cannot be written: Input/output error"):
        train.save(path, [np.ones(3)])
    assert done == [("fsync", True), ("replace", True)]
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["p.npz"]


# --- resume: to the bit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 4, 5, 13, 29])
def test_a_continued_run_is_the_uninterrupted_one(tmp_path, steps):
    whole = run(validation=HELD)
    first = run(tmp_path / "c.npz", validation=HELD, steps=steps)
    assert first.steps == steps
    same_run(run(tmp_path / "c.npz", validation=HELD, resume=True), whole)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": optim.sgd(0.1, momentum=0.9)},
        {"optimizer": optim.rmsprop(0.01, momentum=0.3, centered=True), "shuffle": False},
        {"drop_last": True, "check_every": 3},
        {"validation": lambda rng: (rng.normal(size=(5, 4)).astype(np.float32), DATA[1][:5])},
        {"validation": HELD, "early_stopping": 2, "epochs": 40, "optimizer": optim.sgd(0.5)},
        {"tolerance": 1e-3, "patience": 2, "epochs": 400},
        {"metrics": {"size": lambda p, batch: np.sum(p["w"] ** 2) + len(batch[0])}},
        {"steps_per_call": 2},
    ],
)
def test_so_it_is_with_every_option(tmp_path, options):
    whole = run(**options)
    for stop in (6, 11):
        run(tmp_path / "c.npz", **options | {"steps": stop}, resume=True)
    same_run(run(tmp_path / "c.npz", **options, resume=True), whole)


def test_drawn_batches_go_on_where_they_were(tmp_path):
    draw = lambda rng: (x := rng.normal(size=(6, 4)).astype(np.float32), np.tanh(x[:, :2]))
    options = {"data": draw, "epochs": None, "check_every": 4}
    whole = run(steps=20, **options)
    for steps in (3, 4, 11, 20):
        found = run(tmp_path / "c.npz", steps=steps, resume=True, **options)
    same_run(found, whole)


def test_a_generator_is_advanced_to_where_it_was(tmp_path):
    def batches():
        rng = np.random.default_rng(3)
        for _ in range(20):
            yield rng.normal(size=(6, 4)).astype(np.float32), rng.normal(size=(6, 2)).astype(np.float32)

    options = {"epochs": None, "check_every": 6}
    whole = run(data=batches(), **options)
    assert whole.reason == "exhausted"
    run(tmp_path / "c.npz", data=batches(), steps=9, **options)
    same_run(run(tmp_path / "c.npz", data=batches(), resume=True, **options), whole)


def test_a_finished_run_is_not_run_again(tmp_path):
    whole = run(tmp_path / "c.npz", target=0.2)
    assert whole.reason == "target"
    calls = []
    again = run(tmp_path / "c.npz", target=0.2, resume=True, callback=calls.append)
    same_run(again, whole)
    assert calls == []
    assert run(tmp_path / "c.npz", target=0.1, resume=True).steps > whole.steps


def test_interrupted_by_ctrl_c_and_continued(tmp_path):
    def press(status):
        if status.step == 10:
            os.kill(os.getpid(), signal.SIGINT)

    assert run(tmp_path / "c.npz", callback=press).interrupted
    same_run(run(tmp_path / "c.npz", resume=True), run())


def test_an_error_of_the_users_loses_nothing(tmp_path):
    def fails(status):
        if status.step == 15:
            raise KeyError("mine")

    with pytest.raises(KeyError):
        run(tmp_path / "c.npz", callback=fails)
    same_run(run(tmp_path / "c.npz", resume=True), run())


def test_a_nan_leaves_the_last_good_state(tmp_path):
    data = (DATA[0], DATA[1].copy())
    data[1][-1] = np.nan
    with pytest.raises(train.NonFiniteError) as caught:
        run(tmp_path / "c.npz", data=data, shuffle=False, allow_nonfinite=True)
    loaded = train.load(tmp_path / "c.npz", like=START)
    np.testing.assert_array_equal(loaded["w"], caught.value.result.params["w"])
    assert caught.value.result.steps == 4
    assert np.any(loaded["w"])


def test_resume_without_a_file_starts_and_with_one_unasked_refuses(tmp_path):
    path = tmp_path / "c.npz"
    same_run(run(path, resume=True), run())
    before = path.read_bytes()
    with pytest.raises(train.CheckpointError, match="exists already; pass resume=True"):
        run(path)
    assert path.read_bytes() == before


# --- kill -9 ----------------------------------------------------------------------------------------------------------

CHILD = """
import sys
from test_checkpoint import run
from wengert.train import clock
clock.PERIOD = 0.0  # saves at every step, so that a kill is likely to come in the middle of one
run(sys.argv[1], epochs=None, steps=10**9, checkpoint_every=0.0, resume=True, callback=lambda s: print(s, flush=True))
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_at_any_moment_it_keeps_its_checkpoint(tmp_path):
    path = tmp_path / "c.npz"
    rng = np.random.default_rng()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    reached = 0
    for _ in range(4):
        argv = [sys.executable, "-c", CHILD, str(path)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.2))
            process.kill()
        assert process.wait() == -signal.SIGKILL
        steps = len(files.read(path, {"params": START, "state": optim.adam(0.1).init(START)}).more["losses"])
        assert steps >= reached
        reached = steps
    assert reached > 0
    # What is there continues as if nothing had happened.
    stop = reached + 7
    same_run(run(path, epochs=None, steps=stop, resume=True), run(epochs=None, steps=stop))
    assert [f for f in os.listdir(tmp_path) if f != "c.npz"] == []


# --- refused ----------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "c.npz"
    run(path, steps=8)
    return path


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_refused_and_left(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    before = saved.read_bytes()
    with pytest.raises(train.CheckpointError, match="is damaged"):
        run(saved, resume=True)
    assert saved.read_bytes() == before


def test_a_flipped_bit_is_noticed_or_harmless(saved):
    whole = saved.read_bytes()
    like = {"params": START, "state": optim.adam(0.1).init(START)}
    want = files.read(saved, like)
    refused = 0
    for at in np.random.default_rng(1).integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(at % 8)
        saved.write_bytes(damaged)
        try:
            found = files.read(saved, like)
        except train.CheckpointError:
            refused += 1
            continue
        for x, y in zip(tree.flatten(found.tree)[0], tree.flatten(want.tree)[0]):
            np.testing.assert_array_equal(x, y)
        assert found.info == want.info
    assert refused > 30


def test_an_exchanged_array_is_noticed(saved):
    with np.load(saved) as archive:
        members = {k: archive[k] for k in archive.files}
    members["leaf0"] = members["leaf0"] + 1
    np.savez(saved, **members)
    with pytest.raises(train.CheckpointError, match="its checksum is wrong"):
        run(saved, resume=True)


def rewritten(path, change):
    with np.load(path) as archive:
        members = {k: archive[k] for k in archive.files if k != "checksum"}
    header = json.loads(members["header"].tobytes())
    change(header)
    members["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    members["checksum"] = files._checksum(members)
    np.savez(path, **members)


def test_a_newer_file_is_refused(saved):
    rewritten(saved, lambda header: header.update(version=99, wengert="7.0"))
    with pytest.raises(train.CheckpointError, match=r"written by wengert 7\.0 in format 99.*upgrade"):
        run(saved, resume=True)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "c.npz"
    np.savez(path, a=np.ones(3))
    with pytest.raises(train.CheckpointError, match="no checkpoint of wengert's"):
        run(path, resume=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(train.CheckpointError, match="no checkpoint of wengert's"):
        run(path, resume=True)
    np.savez(path, header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(train.CheckpointError, match="no checkpoint of wengert's"):
        train.load(path, like=START)
    with pytest.raises(train.CheckpointError, match="there is no checkpoint"):
        train.load(tmp_path / "none.npz", like=START)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (START | {"w": np.zeros((4, 3), np.float32)}, "['params']['w']: float32[4, 3]"),
        (START | {"w": np.zeros((4, 2))}, "['params']['w']: float64[4, 2]"),
        ({"v": START["w"], "b": START["b"]}, "['params']['v']: float32[4, 2]"),
        (START | {"c": np.zeros(1)}, "['params']['c']: float64[1]"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(saved, params, words):
    before = saved.read_bytes()
    said = f"it holds ['params']['w']: float32[4, 2] where this one has {words}"
    with pytest.raises(train.CheckpointError, match=re.escape(said)):
        run(saved, params=params, resume=True)
    assert saved.read_bytes() == before


def test_of_another_optimiser_or_other_batches_as_well(saved):
    before = saved.read_bytes()
    with pytest.raises(train.CheckpointError, match=re.escape("it holds ['state']['m']['b'][0]: float32[2] where")):
        run(saved, optimizer=optim.sgd(0.1, momentum=0.9), resume=True)
    with pytest.raises(train.CheckpointError, match="batch_size=7, and this one has batch_size=6"):
        run(saved, batch_size=6, resume=True)
    with pytest.raises(train.CheckpointError, match="rows=30, and this one has rows=29"):
        run(saved, data=(X[1:], DATA[1][1:]), resume=True)
    with pytest.raises(train.CheckpointError, match="is a checkpoint of another model"):
        run(saved, validation=HELD, resume=True)
    assert saved.read_bytes() == before


def test_a_path_that_cannot_be_written_is_known_before_the_first_step(tmp_path):
    calls = []

    def counted(params, batch):
        calls.append(1)
        return loss(params, batch)

    (tmp_path / "file").write_text("")
    for path, words in (
        (tmp_path / "none" / "c.npz", "No such file or directory"),
        (tmp_path / "file" / "c.npz", "Not a directory"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises(train.CheckpointError, match=words):
            train.fit(counted, START, DATA, optim.sgd(0.1), epochs=1, checkpoint=path, progress=False)
    with pytest.raises(train.CheckpointError, match="is a folder"):
        train.save(tmp_path, START)
    assert calls == []


def test_a_disk_that_fills_loses_no_result(tmp_path, monkeypatch):
    real = np.savez

    def full(file, **members):
        if members["more:losses"].size:
            file.write(b"half of it")
            raise OSError(28, "No space left on device")
        real(file, **members)

    monkeypatch.setattr(np, "savez", full)
    path = tmp_path / "c.npz"
    with pytest.raises(train.CheckpointError, match="No space left on device") as caught:
        run(path)
    found = caught.value.result
    assert (found.reason, found.steps) == ("not saved", 30)
    np.testing.assert_array_equal(found.losses, run().losses)
    assert os.listdir(tmp_path) == ["c.npz"]
    monkeypatch.undo()
    same_run(run(path, resume=True), run())


def test_an_object_cannot_be_saved(tmp_path):
    with pytest.raises(train.CheckpointError, match="only numbers can"):
        train.save(tmp_path / "p.npz", {"a": np.array([None])})
