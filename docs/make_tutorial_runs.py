"""Make docs/tutorial-runs.md and its pictures from two finished runs on the full MNIST.

minigan train mlp-gan-256 --data MNIST --out runs/full-256
minigan train mlp-gan --data MNIST --out runs/full-128
python docs/make_tutorial_runs.py runs/full-256 runs/full-128
"""

import shutil
import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from minigan.gan.run_folder import RunFolder
from minigan.gan.sampling import sample_run

DOCS = Path(__file__).parent

# What the tutorials print: step -> (generator loss, discriminator loss)
PRINTED_256 = dict(zip([1, *range(2000, 70_001, 2000)], [
    (0.223592, 2.090910), (4.678916, 0.041115), (3.605874, 0.068698), (3.845584, 0.190420),
    (4.470613, 0.117488), (3.813103, 0.146255), (2.991248, 0.392258), (3.769275, 0.153639),
    (4.366917, 0.206618), (4.052875, 0.225112), (3.574747, 0.362798), (3.760236, 0.188211),
    (3.055995, 0.354645), (3.619049, 0.211489), (3.523777, 0.273607), (3.889854, 0.286803),
    (3.106094, 0.298111), (3.548391, 0.343262), (3.081174, 0.332788), (2.946176, 0.335102),
    (3.078653, 0.465524), (2.601799, 0.409574), (3.168177, 0.325075), (2.601811, 0.428143),
    (2.853810, 0.403768), (2.690175, 0.483180), (3.278867, 0.375016), (2.869437, 0.477840),
    (2.561056, 0.449300), (2.814199, 0.484522), (2.469474, 0.428359), (2.721684, 0.494090),
    (2.491284, 0.654795), (2.725388, 0.423149), (2.758215, 0.513224), (3.072056, 0.481437),
], strict=True))  # fmt: skip
PRINTED_128 = dict(zip(range(1, 10_001, 1000), [
    (1.512, 2.182), (9.551, 0.03771), (6.254, 0.009744), (7.012, 0.05684), (5.546, 0.147),
    (6.116, 0.1608), (6.683, 0.1224), (4.842, 0.2813), (4.619, 0.3479), (3.558, 0.5232),
], strict=True))  # fmt: skip


def losses(folder: RunFolder) -> dict[int, tuple[float, float]]:
    """Step -> (generator loss, discriminator loss), every tenth step and the first."""
    return {line["step"]: (line["g_loss"], line["d_loss"]) for line in folder.read_metrics()}


def draw_curves(ours: dict, printed: dict, title: str, path: Path) -> None:
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    for player, (name, colour) in enumerate([("generator", "C1"), ("discriminator", "C0")]):
        steps = list(ours)
        values = [ours[step][player] for step in steps]
        axes.plot(steps, values, ".", ms=2, alpha=min(1, 1000 / len(steps)), color=colour)
        axes.plot(
            list(printed), [pair[player] for pair in printed.values()], "o", ms=7, mec="black",
            color=colour, label=f"{name}: the tutorial's printed values",
        )  # fmt: skip
        axes.plot([], [], ".", color=colour, label=f"{name}: minigan")
    axes.set_xlabel("step", fontsize=14)
    axes.set_ylabel("loss", fontsize=14)
    axes.set_title(title, fontsize=16)
    axes.set_ylim(0, None)
    axes.tick_params(labelsize=12)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=12)
    FigureCanvasAgg(figure).print_png(path)


def near(ours: dict, step: int) -> tuple[float, float]:
    """The logged losses at the step, or at the log line right before it."""
    return ours[max(s for s in ours if s <= step)]


def table(ours: dict, printed: dict) -> str:
    rows = [
        f"| {step:,} | {g:.4g} | {near(ours, step)[0]:.4g} | {d:.4g} | {near(ours, step)[1]:.4g} |"
        for step, (g, d) in printed.items()
    ]
    head = ["| step | G, tutorial | G, minigan | D, tutorial | D, minigan |", "|---:" * 5 + "|"]
    return "\n".join([*head, *rows])


def main(path_256: str, path_128: str) -> None:
    pictures = DOCS / "pictures"
    sections = []
    for path, printed, name, text in [
        (path_256, PRINTED_256, "mlp-gan-256", "100-256-784, log losses, both players at once, "
         "Adam 2e-4, 70,000 steps of 128. The tutorial's canvas is inverted, 6 x 6."),
        (path_128, PRINTED_128, "mlp-gan", "100-128-784, cross-entropy on logits, D then G on "
         "fresh noise, Adam 1e-3, 10,000 steps of 128. The tutorial's picture is a 4 x 4 grid."),
    ]:  # fmt: skip
        folder = RunFolder(Path(path))
        ours = losses(folder)
        draw_curves(ours, printed, name, pictures / f"{name}-losses.png")
        shutil.copy(folder.sample_pictures()[-1], pictures / f"{name}-last.png")
        sample_run(folder, 64, 0, pictures / f"{name}.png", "cpu")
        sections.append(
            f"## `minigan train {name} --data MNIST`\n\n{text}\n\n"
            f"![the last sample picture](pictures/{name}-last.png)\n\n"
            f"![losses](pictures/{name}-losses.png)\n\n{table(ours, printed)}\n"
        )
    introduction = (
        "# The tutorials' runs, in full\n\n"
        "Both MLP GANs, trained once on the full MNIST (55,000 digits, as the tutorials' reader "
        "leaves them) with minigan's seed 0. The tutorials' weights, noise and data order are "
        "unknown, so the curves are comparable in course, not in value; that minigan computes "
        "TensorFlow's numbers from TensorFlow's weights is shown by `tests/parity/replay.py`. "
        "This page is made by `docs/make_tutorial_runs.py`.\n\n"
    )
    (DOCS / "tutorial-runs.md").write_text(introduction + "\n".join(sections))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
