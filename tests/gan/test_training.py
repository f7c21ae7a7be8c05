"""Training runs: what they write, how they resume, how they stop."""

import json
import os
import signal
import threading

import numpy as np
import pytest
from PIL import Image

from minigan.errors import ConfigError, NonFiniteError
from minigan.gan.config import PRESETS, TrainConfig, preset
from minigan.gan.run_folder import RunFolder, new_run_folder, newest_run
from minigan.gan.sampling import generate
from minigan.gan.training import TrainingRun, report

SMALL = {"steps": 30, "batch_size": 8, "sample_every": 10, "log_every": 1, "checkpoint_every": 7}


def small(name="mlp-gan", **options):
    return preset(name).with_options(**{**SMALL, "histogram_every": 10, **options})


def train(config, path, stop_at=None, resume=False):
    """Train in a folder; with stop_at, as if Ctrl-C came during that step."""
    folder = RunFolder(path)
    said = []
    run = TrainingRun(config, folder, say=said.append)
    if resume:
        run.resume()
    folder.create(config)
    if stop_at is not None:
        original = run._take_step

        def take_step():
            if run.step == stop_at:
                os.kill(os.getpid(), signal.SIGINT)
            return original()

        run._take_step = take_step
    finished = run.train(progress=False)
    return run, finished, said


@pytest.mark.parametrize("name", PRESETS)
def test_a_run_leaves_everything_it_promises(tmp_path, name, capsys):
    run, finished, _ = train(small(name), tmp_path / "run")
    assert finished
    folder = run.folder
    written = {p.relative_to(folder.path).parts[0] for p in folder.path.rglob("*") if p.is_file()}
    assert written == {
        "config.json", "env.json", "metrics.jsonl", "losses.png", "training.gif", "samples",
        "checkpoints", "tensorboard",
    }  # fmt: skip
    assert [p.name for p in folder.sample_pictures()] == [
        "000.png",
        "001.png",
        "002.png",
        "003.png",
    ]
    assert [line["step"] for line in folder.read_metrics()] == list(range(1, 31))
    assert len(list(folder.checkpoints.glob("*.safetensors"))) == 3
    assert json.loads(folder.env.read_text())["libraries"]["numpy"] == np.__version__
    assert TrainConfig.from_dict(json.loads(folder.config.read_text())) == run.config
    with Image.open(folder.animation) as gif:
        assert gif.n_frames == 4


def test_pictures_are_the_tutorials(tmp_path):
    grid, _, _ = train(small("mlp-gan", steps=1), tmp_path / "grid")
    canvas, _, _ = train(small("mlp-gan-256", steps=1), tmp_path / "canvas")
    with Image.open(grid.folder.sample_path(0)) as picture:
        assert picture.size == (2 * (4 * 28 + 3 * 2),) * 2  # 4 x 4, light on dark, with gaps
    with Image.open(canvas.folder.sample_path(1)) as picture:
        assert picture.size == (2 * 6 * 28,) * 2  # 6 x 6, inverted, without gaps
        pixels = np.asarray(picture)[::2, ::2]
    second = generate(canvas.players.gan, canvas.sample_noise)[1]
    np.testing.assert_array_equal(pixels[:28, 28:56], np.rint(255 * (1 - second)))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(
    "stop_at",
    [1, 7, 20, *(pytest.param(step, marks=pytest.mark.slow) for step in {*range(30)} - {1, 7, 20})],
)
def test_a_stopped_and_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path, name, stop_at):
    whole, _, _ = train(small(name), tmp_path / "whole")
    train(small(name), tmp_path / "parts", stop_at=stop_at)
    parts, finished, _ = train(small(name), tmp_path / "parts", resume=True)
    assert finished
    assert_same_run(whole, parts)


def test_a_killed_run_loses_only_what_came_after_its_checkpoint(tmp_path):
    whole, _, _ = train(small(), tmp_path / "whole")
    run = TrainingRun(small(), RunFolder(tmp_path / "killed"))
    run.folder.create(run.config)
    original = run._take_step
    run._take_step = lambda: _die() if run.step == 17 else original()
    with pytest.raises(_KilledError):
        run.train(progress=False)
    with run.folder.metrics.open("a") as file:
        file.write('{"step": 18, "d_lo')  # a line cut short
    resumed, _, _ = train(small(), tmp_path / "killed", resume=True)
    assert_same_run(whole, resumed)


class _KilledError(Exception):
    pass


def _die():
    raise _KilledError


def assert_same_run(whole, parts):
    ours, theirs = whole.players.state(), parts.players.state()
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    assert whole.folder.metrics.read_text() == parts.folder.metrics.read_text()
    for picture in whole.folder.sample_pictures():
        assert picture.read_bytes() == (parts.folder.samples / picture.name).read_bytes()


def test_more_steps_continue_a_finished_run(tmp_path):
    whole, _, _ = train(small(steps=30), tmp_path / "whole")
    train(small(steps=13), tmp_path / "parts")
    parts, _, _ = train(small(steps=30), tmp_path / "parts", resume=True)
    assert_same_run(whole, parts)


def test_resuming_before_any_checkpoint_says_so(tmp_path):
    _, _, said = train(small(steps=2), tmp_path / "run", resume=True)
    assert said == ["No checkpoint yet: starting at step 0 (normal)."]


def test_a_damaged_checkpoint_is_skipped_and_named(tmp_path):
    run, _, _ = train(small(), tmp_path / "run")
    newest = max(run.folder.checkpoints.glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:100])
    again, _, said = train(small(), tmp_path / "run", resume=True)
    assert newest.name in said[0]
    assert again.step == 30


def test_ctrl_c_is_only_caught_while_training(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    _, finished, _ = train(small(), tmp_path / "run", stop_at=3)
    assert not finished
    assert signal.getsignal(signal.SIGINT) is before


def test_training_in_a_thread_works(tmp_path):
    results = []
    thread = threading.Thread(
        target=lambda: results.append(train(small(steps=3), tmp_path / "run")[1])
    )
    thread.start()
    thread.join()
    assert results == [True]


def test_a_non_finite_step_names_the_step_and_the_checkpoints(tmp_path):
    run = TrainingRun(small(learning_rate=10.0, objective="log"), RunFolder(tmp_path / "run"))
    run.folder.create(run.config)
    run.players.gan.discriminator.output.bias.assign(np.nan)
    with pytest.raises(NonFiniteError, match=r"^step 1: the gradient of .*checkpoints\.$"):
        run.train(progress=False)


def test_the_tutorials_lines_at_their_steps():
    alternating, together = PRESETS["mlp-gan"], PRESETS["mlp-gan-256"]
    assert report(alternating, 1, 2.18213, 1.5118) == "Iter: 0\nD loss: 2.182\nG_loss: 1.512"
    assert report(alternating, 1001, 0.03771, 9.551).startswith("Iter: 1000\n")
    assert report(alternating, 1000, 1.0, 1.0) is None
    assert (
        report(together, 2000, 0.041115, 4.678916)
        == "Step 2000: Generator Loss: 4.678916, Discriminator Loss: 0.041115"
    )
    assert report(together, 1, 1.0, 1.0)
    assert report(together, 2, 1.0, 1.0) is None


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("steps", 0), ("steps", -1), ("batch_size", 0), ("batch_size", 10**12), ("seed", -1),
        ("seed", 2**64), ("learning_rate", float("nan")), ("learning_rate", 0.0),
        ("learning_rate", -1.0), ("learning_rate", float("inf")), ("objective", "mse"),
        ("order", "random"), ("sample_every", 0),
    ],
)  # fmt: skip
def test_a_senseless_option_is_refused_by_name(option, value):
    with pytest.raises(ConfigError, match=f"^--{option.replace('_', '-')} is "):
        preset("mlp-gan").with_options(**{option: value})


@pytest.mark.parametrize(
    "change",
    [
        {"colour": 1}, {"steps": "many"}, {"steps": True}, {"seed": False},
        {"learning_rate": "1"}, {"steps": None},
        {"seed": 1.5},
    ],
)  # fmt: skip
def test_a_config_file_with_a_wrong_entry_is_refused(tmp_path, change):
    folder = RunFolder(tmp_path)
    folder.config.write_text(json.dumps(PRESETS["mlp-gan"].as_dict() | change))
    with pytest.raises(ConfigError, match=next(iter(change))):
        folder.read_config()


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_config_file_that_is_no_object_is_refused(tmp_path, text):
    RunFolder(tmp_path).config.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json"):
        RunFolder(tmp_path).read_config()


def test_new_runs_get_new_folders_and_the_newest_is_found(tmp_path):
    first = new_run_folder("mlp-gan", tmp_path)
    first.create(PRESETS["mlp-gan"])
    second = new_run_folder("mlp-gan", tmp_path)
    assert (first.path.name, second.path.name) == ("mlp-gan", "mlp-gan-2")
    assert newest_run("mlp-gan", tmp_path).path == first.path
    assert newest_run("mlp-gan-256", tmp_path) is None
    assert newest_run(None, tmp_path / "absent") is None
