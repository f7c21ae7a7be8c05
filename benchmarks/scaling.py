"""Steps a second as the work grows: batch size, picture size, channels, depth. Is it linear?

Alternating steps of dcgan_images, one thing varied at a time. That network has four levels at any
size, so depth is varied in another: 5 x 5 convolutions of stride 1, with batch norm, between the
first and the last layer of both players. The time of a step is fitted by work^exponent, work being
the multiplications of its layers; a cliff would show as a point far below the line in the plot.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import report
from arithmetic import TAPS, Layers, image_layers, step_flops
from measuring import in_turns, limit_threads

LATENT = 100


class Size(NamedTuple):
    """What is varied. depth None: dcgan_images."""

    batch: int = 32
    picture: int = 32
    channels: int = 32
    depth: int | None = None


SERIES = {
    "batch": [Size(batch=n) for n in (8, 16, 32, 64, 128)],
    "picture": [Size(picture=n) for n in (16, 25, 32, 50, 64, 100)],
    "channels": [Size(channels=n) for n in (8, 16, 32, 48, 64, 96)],
    "depth": [Size(depth=n) for n in (1, 2, 4, 8, 16)],
}
QUICK = {name: sizes[:3] for name, sizes in SERIES.items()}


def series(name: str, sizes: list[Size], rounds: int) -> list[dict[str, float]]:
    """What varies, the work of a step, and its time; the sizes take turns."""
    seconds = in_turns({str(size): training_step(size) for size in sizes}, rounds)
    return [
        {
            name: getattr(size, name),
            "gflop": step_flops(*layer_sizes(size), size.batch) / 1e9,
            "ms": 1e3 * seconds[str(size)],
        }
        for size in sizes
    ]


def training_step(size: Size) -> Callable[[], Any]:
    from minigan.gan import OBJECTIVES, Players, dcgan_images
    from minigan.optimizers import Adam

    if size.depth is None:
        side, C = size.picture, size.channels
        gan = dcgan_images(side, side, gf_dim=C, df_dim=C)
    else:
        gan = deep_gan(size)
    players = Players(gan, OBJECTIVES["cross-entropy"], Adam(2e-4, 0.5), Adam(2e-4, 0.5))
    draw = np.random.default_rng(0).uniform
    pictures = draw(-1, 1, (size.batch, size.picture, size.picture, 3)).astype(np.float32)
    z_d, z_g = draw(-1, 1, (2, size.batch, LATENT)).astype(np.float32)
    return lambda: players.alternating_step(pictures, z_d, z_g)


def deep_gan(size: Size):
    """Both players have `depth` convolutions of stride 1."""
    from minigan import layers
    from minigan.gan import GAN

    half, C = size.picture // 2, size.channels

    def middle(activation) -> list[Any]:
        made = []
        for _ in range(size.depth):
            conv = layers.Conv2D(C, 5, 1, "same", in_channels=C)
            made += [conv, layers.BatchNorm(in_channels=C), activation()]
        return made

    generator = layers.Sequential(
        layers.Dense(half * half * C, in_features=LATENT),
        layers.Reshape(half, half, C),
        *middle(layers.ReLU),
        layers.Conv2DTranspose(3, 5, 2, "same", in_channels=C),
        layers.Tanh(),
    )
    discriminator = layers.Sequential(
        layers.Conv2D(C, 5, 2, "same", in_channels=3),
        layers.LeakyReLU(),
        *middle(layers.LeakyReLU),
        layers.Flatten(),
        layers.Dense(1, in_features=half * half * C),
    )
    shape = (size.picture, size.picture, 3)
    return GAN(generator, discriminator, LATENT, shape, (-1.0, 1.0)).initialize(0)


def layer_sizes(size: Size) -> Layers:
    """Multiplications for one example."""
    if size.depth is None:
        return image_layers(size.picture, size.channels)
    pixels, C = (size.picture // 2) ** 2, size.channels
    between = [pixels * TAPS * C * C] * size.depth
    outer = pixels * TAPS * C * 3
    return [LATENT * pixels * C, *between, outer], [outer, *between, pixels * C]


def exponent(rows: list[dict[str, float]]) -> float:
    """The slope of log time over log work."""
    work, ms = ([row[key] for row in rows] for key in ("gflop", "ms"))
    return float(np.polyfit(np.log(work), np.log(ms), 1)[0])


# ── what is shown ────────────────────────────────────────────────────────────────────────────


def tables(figures: dict[str, Any]) -> str:
    sections = []
    for name, rows in figures["series"].items():
        shown = [
            {
                name: f"{row[name]}",
                "GFLOP a step": f"{row['gflop']:.2f}",
                "ms a step": f"{row['ms']:.1f}",
                "steps/s": f"{1e3 / row['ms']:.2f}",
                "GFLOP/s": f"{1e3 * row['gflop'] / row['ms']:.0f}",
                "exponent from above": f"{exponent(rows[i - 1 : i + 1]):.2f}" if i else "",
            }
            for i, row in enumerate(rows)
        ]
        sections.append(
            f"### {name}: time grows with work^{exponent(rows):.2f}\n\n{report.table(shown)}"
        )
    return "\n\n".join(sections)


def draw(figures: dict[str, Any], path: Path) -> None:
    """Steps a second over what is varied; the line is what the largest one would give."""
    from matplotlib.ticker import LogLocator

    def plot(all_axes) -> None:
        for axes, (name, rows) in zip(all_axes, figures["series"].items(), strict=False):
            x, work, ms = (np.array([row[key] for row in rows]) for key in (name, "gflop", "ms"))
            linear = 1e3 / ms[-1] * work[-1] / work
            axes.loglog(x, linear, "--", color="grey", label="as fast as the largest")
            axes.loglog(x, 1e3 / ms, "o-", label="minigan")
            axes.set_xticks(x, [str(value) for value in x])
            axes.set_xticks([], minor=True)
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
            axes.set_xlabel(name, fontsize=12)
            axes.set_ylabel("steps/s", fontsize=12)
            axes.set_title(f"time ~ work^{exponent(rows):.2f}", fontsize=13)
            axes.grid(alpha=0.3)
        all_axes[0].legend(fontsize=11)

    report.draw(path, (12, 8), (2, 2), plot)


def main() -> None:
    parser = report.arguments(__doc__)
    parser.add_argument("--series", nargs="+", choices=SERIES, default=list(SERIES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw steps a second")
    options = parser.parse_args()
    limit_threads(options.threads)
    chosen = QUICK if options.quick else SERIES
    rounds = 1 if options.quick else options.rounds
    figures = {
        "series": {name: series(name, chosen[name], rounds) for name in options.series},
        "threads": options.threads,
    }
    report.publish(options, figures, tables, draw)


if __name__ == "__main__":
    main()
