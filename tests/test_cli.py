"""The command line: what it says, what it leaves, how it fails."""

import os
import signal
import subprocess
import sys
import time

import pytest

import minigan


def run(*arguments, cwd, **options):
    """`minigan ARGUMENTS` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "minigan", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=120, check=False, **options,
    )  # fmt: skip


def test_version(tmp_path):
    assert run("--version", cwd=tmp_path).stdout == f"minigan {minigan.__version__}\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with one short run in it, and what the command printed."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, run("train", "--steps", 60, "--batch-size", 16, cwd=folder)


def test_train_says_how_long_where_and_how_to_stop(trained):
    folder, result = trained
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "mlp-gan: steps 0 to 60, batches of 16 from 10,000 embedded digits, on cpu."
    )
    assert lines[1] == (
        "Writing to runs/mlp-gan. Ctrl-C stops, saves everything and says how to continue."
    )
    assert lines[2] == "Iter: 0"
    assert lines[3].startswith("D loss: ")
    assert lines[4].startswith("G_loss: ")
    assert lines[-1] == "More pictures: minigan sample runs/mlp-gan"
    for name in ("samples/001.png", "losses.png", "training.gif", "metrics.jsonl"):
        assert (folder / "runs/mlp-gan" / name).stat().st_size > 0
        assert name in result.stdout or name == "metrics.jsonl"


def test_a_second_run_overwrites_nothing(trained):
    folder, _ = trained
    result = run("train", "--steps", 3, cwd=folder)
    assert "Writing to runs/mlp-gan-2." in result.stdout
    refused = run("train", "--out", "runs/mlp-gan", cwd=folder)
    assert refused.returncode == 2
    assert refused.stderr == (
        "minigan: runs/mlp-gan already holds a run, and nothing is overwritten. "
        "Try: --resume to continue it, or another --out.\n"
    )


def test_resume_goes_on_where_the_run_stands(trained):
    folder, _ = trained
    result = run("train", "--resume", "--out", "runs/mlp-gan", "--steps", 80, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("mlp-gan: steps 60 to 80, ")
    again = run("train", "--resume", "--out", "runs/mlp-gan", cwd=folder)
    assert again.stdout == (
        "runs/mlp-gan already has its 80 steps. "
        "Try: minigan train --resume --out runs/mlp-gan --steps 160\n"
    )


def test_resume_refuses_other_options(trained):
    folder, _ = trained
    result = run("train", "--resume", "--out", "runs/mlp-gan", "--seed", 5, cwd=folder)
    assert result.returncode == 2
    assert "was started with seed 0, not 5" in result.stderr


def test_sample_writes_the_asked_number_of_pictures(trained):
    folder, _ = trained
    result = run("sample", "runs/mlp-gan", "--n", 7, "--seed", 3, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "7 pictures of the generator after" in result.stdout
    assert (folder / "runs/mlp-gan/sample_3.png").exists()
    first = run("sample", "runs/mlp-gan", "--out", "a.png", cwd=folder)
    run("sample", "runs/mlp-gan", "--out", "b.png", cwd=folder)
    assert first.returncode == 0
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("train", "dcgen"),
            "no preset is called 'dcgen'. Try: mlp-gan or mlp-gan-256 or dcgan or",
        ),
        (("train", "--resume"), "there is no run to resume in runs/. Try: minigan train."),
        (("train", "--steps", "0"), "--steps is 0, but must be from 1 to 1,000,000,000."),
        (
            ("train", "--epochs", "2", "--steps", "50"),
            "--epochs 2 and --steps 50 both say how long to train. Try: one of the two.",
        ),
        (("train", "--data", "nowhere"), "nowhere"),
        (("train", "--device", "tpu"), "tpu"),
        (("sample", "nowhere"), "nowhere holds no run (no config.json)."),
        (("sample", "/dev/null"), "/dev/null holds no run (no config.json)."),
    ],
)
def test_a_mistake_ends_in_one_sentence_and_exit_code_2(tmp_path, arguments, sentence):
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert sentence in result.stderr
    assert result.stderr.startswith("minigan: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_saves_and_says_how_to_continue(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "minigan", "train", "--steps", "1000000"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    metrics = tmp_path / "runs/mlp-gan/metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "everything is saved" in out
    assert out.endswith("Continue: minigan train --resume --out runs/mlp-gan\n")
    assert len(list((tmp_path / "runs/mlp-gan/checkpoints").glob("*.safetensors"))) >= 1


def test_doctor_names_what_it_finds(tmp_path):
    result = run("doctor", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for fact in ("minigan", "python", "blas", "blas threads", "gpu", "can write here",
                 "embedded digits  10,000 digits", "full MNIST"):  # fmt: skip
        assert fact in result.stdout


def in_a_fresh_interpreter(code):
    """What the code prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_minigan_loads_no_heavy_library():
    heavy = ["matplotlib", "tensorboardX", "typer", "PIL", "pooch", "tqdm", "cupy", "safetensors"]
    heavy += ["json", "tempfile", "concurrent.futures", "importlib.metadata"]
    code = (
        "import sys, numpy; before = set(sys.modules); import minigan\n"
        f"print([m for m in {heavy} if m in sys.modules and m not in before])"
    )
    assert in_a_fresh_interpreter(code) == "[]\n"


def test_importing_minigan_loads_what_networks_need_and_no_more():
    later = ["autograd.check", "autograd.verification", "profiling", "layers.recompute", "data",
             "gan", "checkpoint", "plotting", "testing", "cli"]  # fmt: skip
    code = f"import sys, minigan; print([m for m in {later} if 'minigan.' + m in sys.modules])"
    assert in_a_fresh_interpreter(code) == "[]\n"


def test_what_is_loaded_at_first_use_has_the_same_names():
    code = """
import minigan

missing = {*minigan.__all__} - {*dir(minigan)}
print(*missing, hasattr(minigan, "check_gradient"))
from minigan import *
from minigan.autograd import *

print(check_gradients is minigan.check_gradients, GradientReport is minigan.GradientReport)
print(profile.__module__, recompute.__module__)
"""
    assert in_a_fresh_interpreter(code) == (
        "False\nTrue True\nminigan.profiling minigan.layers.recompute\n"
    )
