"""Make docs/dcgan-runs.md and its pictures from finished runs and their twins in PyTorch.

For each preset, with the options below:

minigan train PRESET --data DATA ... --out runs/PRESET
minigan score runs/PRESET
python benchmarks/train_pytorch.py PRESET --data DATA ... --out twins/PRESET.npz
minigan score --images twins/PRESET.npz --data DATA

python docs/make_dcgan_runs.py runs twins
"""

import json
import sys
from pathlib import Path

from minigan.gan.run_folder import RunFolder
from minigan.plotting import read_png, save_losses, save_png

DOCS = Path(__file__).parent

RUNS = {
    "dcgan": (
        "minigan train dcgan --data MNIST --steps 1300",
        "The DCGAN of tf.layers with batch norm: three epochs of MNIST in batches of 128.",
    ),
    "dcgan-conditional": (
        "minigan train dcgan-conditional --data MNIST --steps 1500",
        "Every layer is told the class; each column was asked for one digit.",
    ),
    "dcgan-images": (
        "minigan train dcgan-images --data EMOJI --gf-dim 32 --df-dim 32 --steps 800",
        "3,916 pictures of the Noto Color Emoji font (OFL 1.1), 64 x 64 in colour: 13 epochs.",
    ),
    "wgan-gp": (
        "minigan train wgan-gp --data MNIST --steps 430",
        "A critic with layer norm, held to slopes of 1 by differentiating its own gradient: five "
        "updates of the critic for one of the generator.",
    ),
}
INTRODUCTION = """# The DCGANs, trained

Each was trained once, from seed 0, on two CPU cores; and beside it the same networks in PyTorch,
from the same weights, for as many steps, on the same batches and noise. From the first rounding on
the two runs part ways, as GAN training does, so what can be compared is how good their pictures
are: the Fréchet distance of 10,000 pictures to the real ones ([what the numbers mean](score.md)),
lower is better. *Real* is what real pictures get in their place: about the best there is.

Read a single distance with care: while `dcgan-conditional` went on for 105 steps, it went from 46
to 26, to 48 and to 23. `benchmarks/quality.py` scores both frameworks again and again over the last
steps, and compares the means. This page is made by `docs/make_dcgan_runs.py`, whose first lines are
the commands.

"""


def section(name: str, command: str, text: str, runs: Path, twins: Path) -> str:
    folder = RunFolder(runs / name)
    ours = json.loads((folder.path / "score.json").read_text())
    twin = json.loads((twins / f"{name}.score.json").read_text())
    save_png(read_png(folder.sample_pictures()[-1]), DOCS / "pictures" / f"{name}.png")
    lines = folder.read_metrics()
    curves = {
        "discriminator": [line["d_loss"] for line in lines],
        "generator": [line["g_loss"] for line in lines],
    }
    steps = [line["step"] for line in lines]
    save_losses(DOCS / "pictures" / f"{name}-losses.png", steps, curves, title=name)
    columns = {"minigan": ours["pictures"], "PyTorch": twin["pictures"], "real": ours["real"]}
    ratio = ours["pictures"]["frechet_distance"] / twin["pictures"]["frechet_distance"]
    return "\n".join([
        f"## `{command}`", "", text, "",
        f"![samples of {name}](pictures/{name}.png)", "",
        f"![losses of {name}](pictures/{name}-losses.png)", "",
        "| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns),
        *rows(columns), "",
        f"minigan's distance is {ratio:.2f} times PyTorch's.", "",
    ])  # fmt: skip


def rows(columns: dict[str, dict]) -> list[str]:
    table = [("Fréchet distance", "frechet_distance", "{:.4g}"),
             ("class coverage", "class_coverage", "{:.3f}"),
             ("shows the asked-for digit", "class_share", "{:.1%}")]  # fmt: skip
    return [
        f"| {title} | " + " | ".join(form.format(c[key]) for c in columns.values()) + " |"
        for title, key, form in table
        if all(c[key] is not None for c in columns.values())
    ]


def main(runs: str, twins: str) -> None:
    scored = [name for name in RUNS if (Path(runs) / name / "score.json").exists()]
    sections = [section(name, *RUNS[name], Path(runs), Path(twins)) for name in scored]
    (DOCS / "dcgan-runs.md").write_text(INTRODUCTION + "\n".join(sections))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
