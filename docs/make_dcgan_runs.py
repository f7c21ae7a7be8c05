"""Make docs/dcgan-runs.md and its pictures from finished runs and what they were compared with.

For each preset, with the options below:

minigan train PRESET --data DATA ... --out runs/PRESET
minigan score runs/PRESET
python benchmarks/quality.py minigan PRESET --data DATA ... --out quality/PRESET.minigan.json
python benchmarks/quality.py pytorch PRESET --data DATA ... --out quality/PRESET.pytorch.json

python docs/make_dcgan_runs.py runs quality
"""

import json
import sys
from pathlib import Path
from statistics import mean

import matplotlib.pyplot as plt

from minigan.gan.run_folder import RunFolder
from minigan.plotting import read_png, save_losses, save_png

DOCS = Path(__file__).resolve().parent

sys.path.insert(0, str(DOCS.parent / "benchmarks"))
from quality import standard_error  # noqa: E402

RUNS = {
    "dcgan": (
        "minigan train dcgan --data MNIST --steps 1600",
        "The DCGAN of tf.layers with batch norm: 3.7 epochs of MNIST in batches of 128.",
    ),
    "dcgan-conditional": (
        "minigan train dcgan-conditional --data MNIST --epochs 4",
        "Every layer is told the class; each column was asked for one digit. The twin trained "
        "2,580 of the 3,436 steps.",
    ),
    "dcgan-images": (
        "minigan train dcgan-images --data EMOJI --gf-dim 32 --df-dim 32 --steps 1100",
        "3,916 pictures of the Noto Color Emoji font (OFL 1.1), 64 x 64 in colour: 18 epochs.",
    ),
    "wgan-gp": (
        "minigan train wgan-gp --data MNIST",
        "A critic with layer norm, held to slopes of 1 by differentiating its own gradient: five "
        "updates of the critic for one of the generator. The twin trained 430 steps; up to there "
        "the curves lie on each other.",
    ),
}
INTRODUCTION = """# The DCGANs, trained

Each was trained once, from seed 0, on one CPU core, and so was its twin in PyTorch: the same
networks, from the same weights, on the same batches and noise. The pictures and the first table are
those of the last step. The numbers are [those of `minigan score`](score.md):
the Fréchet distance of 10,000 pictures to the real ones, lower is better; *real* is what real
pictures get in their place, about the best there is.

After some steps rounding has driven the twins apart, and a GAN's pictures get better and worse from
one step to the next. So both were scored again and again over the same steps, when they had trained
equally long, and what is compared is the mean. `docs/make_dcgan_runs.py` makes this page; its first
lines are the commands.

"""


def section(name: str, command: str, text: str, runs: Path, quality: Path) -> str:
    folder = RunFolder(runs / name)
    score = json.loads((folder.path / "score.json").read_text())
    ours, twins = (
        json.loads((quality / f"{name}.{framework}.json").read_text())
        for framework in ("minigan", "pytorch")
    )
    save_png(read_png(folder.sample_pictures()[-1]), DOCS / "pictures" / f"{name}.png")
    lines = folder.read_metrics()
    curves = {
        "discriminator": [line["d_loss"] for line in lines],
        "generator": [line["g_loss"] for line in lines],
    }
    steps = [line["step"] for line in lines]
    save_losses(DOCS / "pictures" / f"{name}-losses.png", steps, curves, title=name)
    save_distances(DOCS / "pictures" / f"{name}-quality.png", ours, twins)
    return "\n".join([
        f"## `{command}`", "", text, "",
        f"![samples of {name}](pictures/{name}.png)", "",
        f"![losses of {name}](pictures/{name}-losses.png)", "",
        "| the last step | minigan | real |", "|---|---:|---:|", *rows(score), "",
        comparison(ours, twins), "",
        f"![Fréchet distances of {name} and its twin](pictures/{name}-quality.png)", "",
    ])  # fmt: skip


def rows(score: dict[str, dict]) -> list[str]:
    columns = score["pictures"], score["real"]
    table = [("Fréchet distance", "frechet_distance", "{:.4g}"),
             ("class coverage", "class_coverage", "{:.3f}"),
             ("shows the asked-for digit", "class_share", "{:.1%}")]  # fmt: skip
    return [
        f"| {title} | " + " | ".join(form.format(c[key]) for c in columns) + " |"
        for title, key, form in table
        if all(c[key] is not None for c in columns)
    ]


def comparison(ours: list[dict], twins: list[dict]) -> str:
    a, b = ([score["frechet_distance"] for score in scores] for scores in (ours, twins))
    first, last = ours[0]["step"], ours[-1]["step"]
    text = (
        f"Steps {first:,} to {last:,}, {len(a)} scores: minigan {mean(a):.4g} +- "
        f"{standard_error(a):.2g}, PyTorch {mean(b):.4g} +- {standard_error(b):.2g}: "
        f"**{mean(a) / mean(b):.2f}** times its distance."
    )
    if "class_share" in ours[0]:
        shares = [mean(score["class_share"] for score in scores) for scores in (ours, twins)]
        text += " The asked-for digit: minigan {:.1%}, PyTorch {:.1%}.".format(*shares)
    return text


def save_distances(path: Path, ours: list[dict], twins: list[dict]) -> None:
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    for name, scores in (("minigan", ours), ("PyTorch", twins)):
        distances = [score["frechet_distance"] for score in scores]
        axes.plot([score["step"] for score in scores], distances, "o-", markersize=3, label=name)
    axes.set(xlabel="step", ylabel="Fréchet distance")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main(runs: str, quality: str) -> None:
    sections = [section(name, *RUNS[name], Path(runs), Path(quality)) for name in RUNS]
    (DOCS / "dcgan-runs.md").write_text(INTRODUCTION + "\n".join(sections))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
