"""`minigan score`: what it prints, what it leaves, how it fails."""

import json
import sys

import numpy as np
import pytest

from minigan import cli
from minigan.data import Dataset, load_digits


def first_digits():
    """Few enough to be quick."""
    digits = load_digits()
    return Dataset(digits.images[:400], digits.labels[:400])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run of three steps, and files of pictures."""
    folder = tmp_path_factory.mktemp("score")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["minigan", "train", "--steps", "3", "--out", "run"])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    assert stopped.value.code == 0
    digits = load_digits()
    np.savez(folder / "digits.npz", images=digits.images[:300], labels=digits.labels[:300])
    np.savez(folder / "colour.npz", images=np.zeros((3, 8, 8, 3), np.uint8))
    return folder


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """`minigan score ARGUMENTS` in that folder: the exit code, what it printed, what it said."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("minigan.gan.training_data.load_digits", first_digits)

    def score(*arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["minigan", "score", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code, *capsys.readouterr()

    return score


def test_the_score_of_a_run_is_printed_and_written(folder, run):
    code, printed, _ = run("run", "--n", 60)
    assert code == 0
    lines = printed.splitlines()
    assert lines[0] == "run after 3 steps: 60 pictures, beside real ones (embedded digits)."
    assert lines[2].split() == ["pictures", "real"]
    written = json.loads((folder / "run/score.json").read_text())
    assert written["pictures"]["count"] == written["real"]["count"] == 60
    distances = [f"{written[who]['frechet_distance']:.4g}" for who in ("pictures", "real")]
    assert lines[3].split()[:4] == ["Fréchet", "distance", *distances]
    assert written["pictures"]["class_share"] is None
    assert "asked-for" not in printed
    assert "compared with the other 340" in printed
    assert lines[-1] == "Written to run/score.json."


def test_seed_and_number_change_the_pictures(run):
    first, again, other, fewer = (
        run("run", "--n", n, "--seed", seed)[1] for n, seed in ((60, 0), (60, 0), (60, 1), (50, 0))
    )
    assert first == again
    assert len({first, other, fewer}) == 3


def test_pictures_made_elsewhere_are_scored_beside_the_digits(folder, run):
    code, printed, _ = run("--images", "digits.npz")
    assert code == 0
    written = json.loads((folder / "digits.score.json").read_text())
    assert written["pictures"]["count"] == 300
    assert written["pictures"]["class_share"] > 0.98
    assert "asked-for digit" in printed
    assert printed.endswith("Written to digits.score.json.\n")


def test_pictures_made_elsewhere_are_scored_beside_a_runs_own(run):
    assert run("--images", "digits.npz")[1] == run("run", "--images", "digits.npz")[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "score needs a run or pictures. Try: minigan score runs/mlp-gan"),
        (("nowhere",), "nowhere holds no run (no config.json)."),
        (("--images", "nowhere.npz"), "nowhere.npz: expected a file, found nothing."),
        (("--images", "."), ".: expected a file, found a folder or a device."),
        (("--images", "run/config.json"), "run/config.json: expected a sound .npz file"),
        (("--images", "colour.npz"), "colour.npz: expected pictures of 28 x 28 in grey"),
        (("--images", "digits.npz", "--data", "nowhere"), "nowhere: expected a folder"),
        (("run", "--data", "nowhere"), "nowhere: expected train-images"),
        (("run", "--device", "tpu"), 'there is no device called "tpu"'),
        (("run", "--pattern", "*.png"), "--pattern is for dcgan-images"),
    ],
)
def test_a_mistake_ends_in_one_sentence_and_exit_code_2(run, arguments, sentence):
    code, printed, said = run(*arguments)
    assert code == 2
    assert printed == ""
    assert said.startswith("minigan: ")
    assert sentence in said
    assert "Try: " in said
    assert said.count("\n") == 1
