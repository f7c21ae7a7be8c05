"""Training runs: what they write, how they resume, how they stop."""

import json
import os
import signal
import threading
from functools import cache

import numpy as np
import pytest
from PIL import Image

from minigan.data import load_digits
from minigan.errors import ConfigError, NonFiniteError
from minigan.gan.config import ONLY_FOR, TrainConfig
from minigan.gan.players import Losses
from minigan.gan.presets import PRESETS, preset
from minigan.gan.run_folder import RunFolder, new_run_folder, newest_run
from minigan.gan.sampling import generate, labels_of, trained_gan
from minigan.gan.training import TrainingRun, report

SMALL = {"steps": 30, "batch_size": 8, "sample_every": 10, "log_every": 1, "checkpoint_every": 7}


TINY = {"gf_dim": 2, "df_dim": 2, "gfc_dim": 4, "dfc_dim": 4}  # where the networks have them


def small(name="mlp-gan", **options):
    """A preset, with few and small steps."""
    config = preset(name)
    tiny = {k: v for k, v in TINY.items() if config.model in ONLY_FOR[k]}
    if config.model != "mlp":
        tiny |= {"steps": 12, "samples": 20, "sample_every": 4, "checkpoint_every": 5}
    return config.with_options(**{**SMALL, "histogram_every": 10, **tiny, **options})


def train(config, path, stop_at=None, resume=False):
    """Train in a folder; with stop_at, as if Ctrl-C came during that step."""
    folder = RunFolder(path)
    said = []
    run = TrainingRun(config, folder, say=said.append)
    if resume:
        run.resume()
    folder.create(run.config)
    if stop_at is not None:
        original = run._take_step

        def take_step():
            if run.step == stop_at:
                os.kill(os.getpid(), signal.SIGINT)
            return original()

        run._take_step = take_step
    finished = run.train(progress=False)
    return run, finished, said


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """The uninterrupted run of a preset; each is trained once."""

    @cache
    def call(name):
        return train(small(name), tmp_path_factory.mktemp(name))[0]

    return call


@pytest.mark.parametrize("name", PRESETS)
def test_a_run_leaves_everything_it_promises(name, whole_run):
    run = whole_run(name)
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
    assert [line["step"] for line in folder.read_metrics()] == list(range(1, run.step + 1))
    assert run.step == run.config.steps
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


MLPS = ("mlp-gan", "mlp-gan-256")
DCGANS = [name for name in PRESETS if name not in MLPS]


@pytest.mark.parametrize(
    ("name", "stop_at"),
    [
        *((name, step) for name in MLPS for step in (1, 7, 20)),
        *((name, 8) for name in DCGANS),
        *(pytest.param(n, step, marks=pytest.mark.slow) for n in MLPS for step in range(30)),
        *(pytest.param(n, step, marks=pytest.mark.slow) for n in DCGANS for step in range(12)),
    ],
)
def test_a_stopped_and_resumed_run_is_the_uninterrupted_one_bit_for_bit(
    tmp_path, name, stop_at, whole_run
):
    train(small(name), tmp_path / "parts", stop_at=stop_at)
    parts, finished, _ = train(small(name), tmp_path / "parts", resume=True)
    assert finished
    assert_same_run(whole_run(name), parts)


EXTRAS = {
    "spectral-norm": ("dcgan-images", {"spectral_norm": True}),
    "average": ("dcgan-images", {"average_decay": 0.9, "noise": "normal"}),
    "instance-noise": ("dcgan", {"instance_noise": 0.1, "real_label": 0.9}),
    "r1": ("dcgan", {"r1": 10.0, "layer_norm": True}),
    "hinge": ("dcgan-conditional", {"objective": "hinge"}),
    "clipping": ("dcgan-pooling", {"objective": "wasserstein"}),
}


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_extra_changes_the_run_and_resumes_bit_for_bit(tmp_path, extra, whole_run):
    name, options = EXTRAS[extra]
    options = {"steps": 6, "checkpoint_every": 2, **options}
    whole, _, _ = train(small(name, **options), tmp_path / "whole")
    train(small(name, **options), tmp_path / "parts", stop_at=3)
    parts, _, _ = train(small(name, **options), tmp_path / "parts", resume=True)
    assert_same_run(whole, parts)
    plain = whole_run(name).folder.read_metrics()
    assert whole.folder.read_metrics()[5] != plain[5]


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
    def line(name, step, d_loss=1.0, g_loss=1.0):
        return report(PRESETS[name], step, Losses(d_loss, g_loss, 0.0, 0.0), pictures=3916)

    assert line("mlp-gan", 1, 2.18213, 1.5118) == "Iter: 0\nD loss: 2.182\nG_loss: 1.512"
    assert line("mlp-gan", 1001, 0.03771, 9.551).startswith("Iter: 1000\n")
    assert line("mlp-gan", 1000) is None
    assert (
        line("mlp-gan-256", 2000, 0.041115, 4.678916)
        == "Step 2000: Generator Loss: 4.678916, Discriminator Loss: 0.041115"
    )
    assert line("mlp-gan-256", 1)
    assert line("mlp-gan-256", 2) is None
    assert (
        line("dcgan-images", 100, 1.25, 0.75)
        == "Epoch: [ 1/25] [  38/  61] d_loss: 1.25000000, g_loss: 0.75000000"
    )
    assert line("dcgan-images", 101) is None


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("steps", 0), ("steps", -1), ("batch_size", 0), ("batch_size", 10**12), ("seed", -1),
        ("seed", 2**64), ("learning_rate", float("nan")), ("learning_rate", 0.0),
        ("learning_rate", -1.0), ("learning_rate", float("inf")), ("objective", "mse"),
        ("order", "random"), ("sample_every", 0), ("beta1", 1.0), ("beta2", float("nan")),
        ("noise", "pink"), ("d_steps", 0), ("real_label", 0.0), ("instance_noise", -1.0),
        ("r1", float("inf")), ("average_decay", 1.0), ("samples", 0),
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
        {"seed": 1.5}, {"crop": 1}, {"grayscale": 0}, {"c_dim": "3"}, {"crop": None},
    ],
)  # fmt: skip
def test_a_config_file_with_a_wrong_entry_is_refused(tmp_path, change):
    folder = RunFolder(tmp_path)
    folder.config.write_text(json.dumps(PRESETS["mlp-gan"].as_dict() | change))
    with pytest.raises(ConfigError, match=next(iter(change))):
        folder.read_config()


def test_the_configuration_of_an_older_run_is_read(tmp_path):
    folder = RunFolder(tmp_path)
    needed = ("preset", "learning_rate", "objective", "order", "steps", "report_every",
              "sample_every", "sample_columns")  # fmt: skip
    old = {name: PRESETS["mlp-gan"].as_dict()[name] for name in needed}
    folder.config.write_text(json.dumps(old))
    assert folder.read_config() == PRESETS["mlp-gan"]
    folder.config.write_text(json.dumps({k: v for k, v in old.items() if k != "steps"}))
    with pytest.raises(ConfigError, match="'steps' is missing"):
        folder.read_config()


def test_an_option_of_other_networks_is_refused():
    with pytest.raises(ConfigError, match=r"^--gfc-dim is for dcgan-conditional, but dcgan has no"):
        preset("dcgan").with_options(gfc_dim=3)
    with pytest.raises(ConfigError, match=r"^--d-steps is 2, but must be 1 when d-once-g-twice"):
        preset("dcgan-images").with_options(d_steps=2)


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


# ── convolutional runs ───────────────────────────────────────────────────────────────────────


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder of 12 small colour pictures; what is decoded is kept elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return folder


def test_a_folder_of_pictures_trains_in_its_size_and_colours(tmp_path, pictures):
    options = {"data": str(pictures), "pattern": "*.png", "input_height": 16, "output_height": 12,
               "output_width": 20, "samples": 5, "sample_columns": 3, "steps": 12}  # fmt: skip
    run, _, _ = train(small("dcgan-images", **options), tmp_path / "run")
    assert (run.config.output_height, run.config.output_width, run.config.c_dim) == (12, 20, 3)
    assert run.folder.read_config() == run.config
    with Image.open(run.folder.sample_path(0)) as picture:  # 3 in a row, 2 rows, gaps of 2
        assert picture.size == (2 * (3 * 20 + 2 * 2), 2 * (2 * 12 + 2))
        assert picture.mode == "RGB"
    train(small("dcgan-images", **options), tmp_path / "parts", stop_at=4)  # within epoch 2
    parts, _, _ = train(small("dcgan-images", **options), tmp_path / "parts", resume=True)
    assert_same_run(run, parts)


def test_grayscale_makes_pictures_of_one_channel(tmp_path, pictures):
    options = {"data": str(pictures), "pattern": "*.png", "crop": False, "grayscale": True,
               "output_height": 8, "steps": 1, "train_size": 9}  # fmt: skip
    run, _, _ = train(small("dcgan-images", **options), tmp_path / "run")
    assert run.gan.picture_shape == (8, 8, 1)
    assert len(run.batches) == 9


def test_digits_have_their_own_size(tmp_path):
    run, _, _ = train(small("dcgan-images", steps=1), tmp_path / "run")
    assert run.gan.picture_shape == (28, 28, 1)
    with pytest.raises(ConfigError, match="--output-height is 64, but the embedded digits have 28"):
        TrainingRun(small("dcgan-images", output_height=64), RunFolder(tmp_path / "other"))


def test_labels_belong_to_their_digits(tmp_path):
    run = TrainingRun(small("dcgan-conditional"), RunFolder(tmp_path))
    digits = load_digits()
    real, labels = run._real(3)
    for picture, label in zip(real, labels, strict=True):
        same = (digits.images == np.rint(picture[..., 0] * 255)).all(axis=(1, 2))
        assert digits.labels[same].tolist() == [label.argmax()]
    assert labels.dtype == np.float32


def test_conditional_samples_show_a_class_in_each_column(tmp_path):
    run, _, _ = train(small("dcgan-conditional", steps=1, sample_columns=10), tmp_path / "run")
    assert run.sample_labels.argmax(axis=1).tolist() == [i % 10 for i in range(20)]
    gan, _ = trained_gan(run.folder, "cpu")
    noise = run.sample_noise[:1]
    asked = generate(gan, noise, labels_of(7, 1, gan))
    other = generate(gan, noise, labels_of(3, 1, gan))
    assert np.abs(asked - other).max() > 0
    with pytest.raises(ConfigError, match="--label is 10, but this run's generator knows 0 to 9"):
        labels_of(10, 1, gan)


def test_pictures_come_from_the_averaged_generator(tmp_path):
    run, _, _ = train(small("dcgan-images", steps=3, average_decay=0.5), tmp_path / "run")
    gan, step = trained_gan(run.folder, "cpu")
    assert step == 3
    averaged = run.players.g_average.network.state()
    for name, values in gan.generator.state().items():
        np.testing.assert_array_equal(values, averaged[name], err_msg=name)
    assert any((values != averaged[n]).any() for n, values in run.gan.generator.state().items())


@pytest.mark.parametrize("name", ["dcgan", "dcgan-pooling"])
def test_pixels_are_shown_in_the_generators_own_range(tmp_path, name):
    run = TrainingRun(small(name), RunFolder(tmp_path))
    raw = run.gan.sample(run.sample_noise)
    shown = generate(run.gan, run.sample_noise)
    expected = (raw + 1) / 2 if name == "dcgan" else raw
    np.testing.assert_array_equal(shown, expected[..., 0])


def test_many_samples_are_generated_in_parts(monkeypatch, tmp_path):
    run = TrainingRun(small("dcgan-conditional"), RunFolder(tmp_path))
    whole = generate(run.gan, run.sample_noise, run.sample_labels)
    monkeypatch.setattr("minigan.gan.sampling.AT_A_TIME", 7)
    parts = generate(run.gan, run.sample_noise, run.sample_labels)
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)


def test_further_steps_of_the_critic_see_other_pictures_and_other_noise(tmp_path):
    run = TrainingRun(small("wgan-gp", d_steps=3), RunFolder(tmp_path))
    seen = []
    run._real = lambda k, original=run._real: seen.append(k) or original(k)
    run._take_step()
    run._take_step()
    assert seen == [0, 1, 2, 3, 4, 5]
    assert run.players.d_optimizer.steps == 6
    assert run.players.g_optimizer.steps == 2


def test_tensorboard_shows_losses_judgements_and_pictures(tmp_path):
    run, _, _ = train(small("dcgan-conditional", steps=10), tmp_path / "run")
    tags = {"scalar": set(), "histogram": set(), "image": set()}
    for path in run.folder.tensorboard.iterdir():
        for value in event_values(path):
            kind = {"simple_value": "scalar", "histo": "histogram", "image": "image"}
            tags[kind[value.WhichOneof("value")]].add(value.tag)
    assert tags["scalar"] == {"d_loss", "g_loss", "d_loss_real", "d_loss_fake"}
    assert {"z", "d", "d_", "generator.deconv2.kernel"} <= tags["histogram"]
    assert tags["image"] == {"samples"}


def event_values(path):
    """The values in a TensorBoard file: records of length, checksum, event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data = path.read_bytes()
    while data:
        length = int.from_bytes(data[:8], "little")
        yield from Event.FromString(data[12 : 12 + length]).summary.value
        data = data[16 + length :]


def test_epochs_become_steps(tmp_path):
    run = TrainingRun(small("dcgan", batch_size=128), RunFolder(tmp_path))
    run.train_for(3)
    assert run.config.steps == 3 * (10_000 // 128)
