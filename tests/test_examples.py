"""Each lesson runs, draws its picture, and its exercise accepts the right answer only."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
LESSONS = sorted((ROOT / "examples").glob("*.py"))
NAMES = [lesson.stem for lesson in LESSONS]
each_run = pytest.mark.parametrize(
    "lesson",
    [*LESSONS[:-1], pytest.param(LESSONS[-1], marks=pytest.mark.slow)],  # it trains a GAN
    ids=NAMES,
)
ANSWERS = {  # of each exercise: (a right one, a wrong one)
    "01_tensor_and_tape": (
        "answer = ['matmul', 'subtract', 'power', 'mean']",
        "answer = ['matmul', 'power', 'subtract', 'mean']",
    ),
    "02_backward": (
        "answer = ['bca', 'cba']",
        "answer = ['bca', 'bac']",
    ),
    "03_gradient_check": (
        "def swish_pullback(g, y, x):\n    s = mg.sigmoid(x)\n    return g * (s + x * s * (1 - s))",
        "def swish_pullback(g, y, x):\n    return g * mg.sigmoid(x)",
    ),
    "04_dense_and_initializers": (
        "stddev = np.sqrt(2 / (1 + 0.2**2) / WIDTH)",
        "stddev = np.sqrt(2 / (1 + 0.2) / WIDTH)",
    ),
    "05_losses_on_logits": (
        "def smooth_discriminator_loss(real_logits, fake_logits):\n"
        "    return mg.mean(stable(0.9, real_logits)) + mg.mean(stable(0.0, fake_logits))",
        "smooth_discriminator_loss = mg.discriminator_loss",
    ),
    "06_adam_and_var_list": ("answer = 1.0", "answer = 50.0"),
    "07_mlp_gan": (
        "def interpolate(z_a, z_b, n):\n"
        "    t = np.linspace(0, 1, n, dtype=np.float32).reshape(n, 1)\n"
        "    return generator((1 - t) * z_a + t * z_b).numpy()",
        "def interpolate(z_a, z_b, n):\n"
        "    t = np.linspace(0, 1, n, dtype=np.float32).reshape(n, 1)\n"
        "    return ((1 - t) * generator(z_a) + t * generator(z_b)).numpy()",
    ),
}


def run(script, folder):
    """What the script prints, run in a folder as a learner would; any warning is an error."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
        "OPENBLAS_NUM_THREADS": "1",  # so that other tests running meanwhile don't slow it down
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def check_of(source):
    """The exercise's check: the indented lines of its comment, uncommented."""
    exercise = source[source.index("# Exercise.") :].splitlines()
    return "\n".join(line[6:] for line in exercise if line.startswith("#     "))


def test_there_are_seven_lessons():
    assert list(ANSWERS) == NAMES


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_a_lesson_fits_on_three_screens(lesson):
    source = lesson.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 150
    for part in ("What TensorFlow writes", "The mathematics", "minigan's way", "# Exercise."):
        assert part in source


@each_run
def test_a_lesson_runs_and_draws_its_picture(lesson, tmp_path):
    assert "1. " in run(lesson, tmp_path)
    (picture,) = tmp_path.iterdir()
    assert picture.name == f"{lesson.stem}.png"
    with Image.open(picture) as image:
        assert image.width >= 1000
        assert len(image.convert("L").getcolors()) > 50  # not blank


@each_run
def test_an_exercise_accepts_the_right_answer_only(lesson, tmp_path):
    source = lesson.read_text(encoding="utf-8")
    right, wrong = ANSWERS[lesson.stem]
    check = check_of(source)
    script = tmp_path / "solved.py"
    refused = f"try:\n{indent(check, '    ')}\nexcept AssertionError:\n    print('refused')\n"
    script.write_text("\n".join([source, right, check, wrong, refused]), encoding="utf-8")
    assert run(script, tmp_path).endswith("refused\n")
