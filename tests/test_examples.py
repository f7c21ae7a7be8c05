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
TRAINING = ("07_mlp_gan", "11_dcgan", "12_conditional_dcgan", "13_wgan_gp")
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
    "08_same_padding": (
        "def agrees(n):\n    return n % 2 == 0",
        "def agrees(n):\n    return n % 2 == 1",
    ),
    "09_transposed_convolution": (
        "def even_ink(k, s):\n    return k % s == 0",
        "def even_ink(k, s):\n    return k % 2 == 0",
    ),
    "10_batch_norm": ("answer = 459", "answer = 100"),
    "11_dcgan": (
        "answer = 5*5*1*64 + 64 + 5*5*64*128 + 128 + 2*128 + 7*7*128*1024 + 3*1024 + 1024 + 1",
        "answer = 5*5*1*64 + 64 + 5*5*64*128 + 128 + 4*128 + 7*7*128*1024 + 5*1024 + 1024 + 1",
    ),
    "12_conditional_dcgan": (
        "def between(a, b, n):\n"
        "    t = np.linspace(0, 1, n, dtype=np.float32).reshape(n, 1)\n"
        "    y = (1 - t) * sample_labels[a] + t * sample_labels[b]\n"
        "    return resumed.gan.sample(sample_noise[[0] * n], y).reshape(n, 784)",
        "def between(a, b, n):\n"
        "    t = np.linspace(0, 1, n, dtype=np.float32).reshape(n, 1)\n"
        "    ends = resumed.gan.sample(sample_noise[[0, 0]], sample_labels[[a, b]])\n"
        "    return (1 - t) * ends[0].reshape(1, 784) + t * ends[1].reshape(1, 784)",
    ),
    "13_wgan_gp": (
        "def r1(critic, pictures):\n"
        "    x = mg.Tensor(pictures, requires_grad=True)\n"
        "    (gradient,) = mg.grad(mg.sum(critic(x)), x, create_graph=True)\n"
        "    return 5 * mg.mean(mg.sum(mg.square(gradient), axis=(1, 2, 3)))",
        "def r1(critic, pictures):\n"
        "    x = mg.Tensor(pictures, requires_grad=True)\n"
        "    (gradient,) = mg.grad(mg.sum(critic(x)), x, create_graph=True)\n"
        "    return 5 * mg.mean(mg.square(gradient))",
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


def test_there_are_thirteen_lessons():
    assert list(ANSWERS) == NAMES
    assert len(NAMES) == 13


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_a_lesson_fits_on_three_screens(lesson):
    source = lesson.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 150
    for part in ("What TensorFlow writes", "The mathematics", "minigan's way", "# Exercise."):
        assert part in source


@pytest.mark.parametrize(
    "lesson",
    [pytest.param(x, marks=pytest.mark.slow if x.stem in TRAINING else ()) for x in LESSONS],
    ids=NAMES,
)
def test_a_lesson_runs_and_its_exercise_accepts_the_right_answer_only(lesson, tmp_path):
    """One run for the lesson, its picture and its exercise: the training lessons are long."""
    source = lesson.read_text(encoding="utf-8")
    right, wrong = ANSWERS[lesson.stem]
    check = check_of(source)
    script = tmp_path / "solved.py"
    refused = f"try:\n{indent(check, '    ')}\nexcept AssertionError:\n    print('refused')\n"
    script.write_text("\n".join([source, right, check, wrong, refused]), encoding="utf-8")
    printed = run(script, tmp_path)
    assert printed.startswith("1. ")
    assert printed.endswith("refused\n")

    script.unlink()
    (picture,) = tmp_path.iterdir()
    assert picture.name == f"{lesson.stem}.png"
    with Image.open(picture) as image:
        assert image.width >= 1000
        assert len(image.convert("L").getcolors()) > 50  # not blank
