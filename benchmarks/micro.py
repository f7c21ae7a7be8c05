"""Parts of a training step beside PyTorch's: Adam, batch norm, and pictures on their way in.

One process, in turns, medians. Convolutions have a file of their own, convolution.py, and so has
what minigan adds to each operation, overhead.py.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import report
from measuring import in_turns, limit_threads

PICTURES, SIZE, CHANNELS = 64, 32, 64  # of batch norm: 65,536 x 64 numbers
FILES = 400  # pictures to decode
BATCHES = 50  # that are read one after the other in a turn


# ── Adam ─────────────────────────────────────────────────────────────────────────────────────


def adam(rounds: int, quick: bool) -> dict[str, dict[str, float]]:
    """Milliseconds of an update of both networks' parameters."""
    from minigan.gan import dcgan, dcgan_images, mlp_gan

    models = {"mlp-gan": mlp_gan(128), "dcgan-28-hidden": dcgan(), "dcgan-64": dcgan_images()}
    if quick:
        del models["dcgan-64"]
    results = {}
    for name, gan in models.items():
        variables = [*gan.generator.parameters(), *gan.discriminator.parameters()]
        times = in_turns(adam_updates(variables), rounds)
        count = sum(x.size for x in variables)
        results[f"{name}, {count:,} parameters"] = {who: 1e3 * s for who, s in times.items()}
    return results


def adam_updates(variables: list[Any]) -> dict[str, Callable[[], Any]]:
    import numpy as np

    from minigan.optimizers import Adam

    draw = np.random.default_rng(0).standard_normal
    gradients = [draw(x.shape, np.float32) for x in variables]
    pairs = list(zip(gradients, variables, strict=True))
    optimizer = Adam(2e-4)
    updates = {"minigan": lambda: optimizer.apply_gradients(pairs)}
    if find_spec("torch"):
        import torch

        for title, options in (("PyTorch", {}), ("PyTorch, fused", {"fused": True})):
            parameters = [torch.tensor(x.data, requires_grad=True) for x in variables]
            for parameter, g in zip(parameters, gradients, strict=True):
                parameter.grad = torch.from_numpy(g)
            updates[title] = torch.optim.Adam(parameters, 2e-4, **options).step
    return updates


# ── batch norm ───────────────────────────────────────────────────────────────────────────────


def batch_norm(rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a training pass; each framework's pictures in its own layout."""
    import numpy as np

    from minigan import Tensor, grad
    from minigan.layers import BatchNorm

    draw = np.random.default_rng(0).standard_normal
    pixels, g = draw((2, PICTURES, SIZE, SIZE, CHANNELS), np.float32)
    x = Tensor(pixels, requires_grad=True)
    norm = BatchNorm(in_channels=CHANNELS)
    sources = [x, norm.gamma, norm.beta]
    forward: dict[str, Callable[[], Any]] = {"minigan": lambda: norm(x)}
    both: dict[str, Callable[[], Any]] = {"minigan": lambda: grad(norm(x), sources, g)}
    if find_spec("torch"):
        import torch

        layer = torch.nn.BatchNorm2d(CHANNELS)
        x_torch, g_torch = (
            torch.from_numpy(np.ascontiguousarray(a.transpose(0, 3, 1, 2))) for a in (pixels, g)
        )
        x_torch.requires_grad_()
        wanted = [x_torch, layer.weight, layer.bias]
        forward["PyTorch"] = lambda: layer(x_torch)
        both["PyTorch"] = lambda: torch.autograd.grad(layer(x_torch), wanted, g_torch)
    passes = {"forward": forward, "forward and backward": both}
    return {
        f"{name}, {PICTURES * SIZE * SIZE:,} x {CHANNELS}": {
            who: 1e3 * s for who, s in in_turns(functions, rounds).items()
        }
        for name, functions in passes.items()
    }


# ── pictures on their way in ─────────────────────────────────────────────────────────────────


def batches(rounds: int) -> dict[str, dict[str, float]]:
    """Batches a second: digits, pictures from the cache."""
    import numpy as np

    from minigan.data import Batches, ImageBatches, load_digits

    digits = load_digits().images
    pictures = np.random.default_rng(0).integers(0, 256, (5000, 64, 64, 3), np.uint8)
    readers = {
        "128 digits, 28 x 28": {"minigan": in_order(Batches(digits, 128))},
        "64 pictures, 64 x 64 x 3": {"minigan": in_order(ImageBatches(pictures, 64))},
    }
    if find_spec("torch"):
        for functions, array, size in zip(
            readers.values(), (digits, pictures), (128, 64), strict=True
        ):
            functions["PyTorch"] = data_loader(array, size)
    return {
        name: {who: BATCHES / s for who, s in in_turns(functions, rounds).items()}
        for name, functions in readers.items()
    }


def in_order(batches: Any) -> Callable[[], None]:
    def read() -> None:
        for step in range(BATCHES):
            batches.at(step)

    return read


def data_loader(pictures: Any, batch_size: int) -> Callable[[], None]:
    """PyTorch's, over float32 pictures in memory: its quickest case."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    dataset = TensorDataset(torch.tensor(pictures, dtype=torch.float32) / 255)
    loader = DataLoader(dataset, batch_size, shuffle=True, drop_last=True)

    def read() -> None:
        for _ in zip(range(BATCHES), loader, strict=False):
            pass

    return read


def folder_of_pictures(files: int) -> dict[str, float]:
    """Pictures a second, 178 x 218 JPEGs cropped and scaled to 64 x 64: decoded, from the cache."""
    import numpy as np
    from PIL import Image

    from minigan.data import load_digits, load_images

    digits = load_digits().images
    with tempfile.TemporaryDirectory() as folder:
        for i in range(files):
            picture = Image.fromarray(np.stack([digits[i], digits[i + 1], digits[i + 2]], axis=2))
            picture.resize((178, 218)).save(f"{folder}/{i:04}.jpg", quality=90)
        rates = {}
        for name in ("decoded", "from the cache"):
            start = time.perf_counter()
            load_images(folder, cache=f"{folder}/cache", progress=False)
            rates[name] = files / (time.perf_counter() - start)
    return rates


# ── what is shown ────────────────────────────────────────────────────────────────────────────


def tables(figures: dict[str, Any]) -> str:
    decoding = [
        {"": name, "pictures a second": f"{rate:,.0f}"}
        for name, rate in figures["folder_of_pictures"].items()
    ]
    sections = {
        "Adam, milliseconds an update": side_by_side(figures["adam"]),
        "Batch norm in training, milliseconds": side_by_side(figures["batch_norm"]),
        "Batches a second": side_by_side(figures["batches"]),
        "A folder of JPEGs": report.table(decoding),
    }
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in sections.items())


def side_by_side(cases: dict[str, dict[str, float]]) -> str:
    """A column for each contender, and minigan's share of each."""
    rows = []
    for case, values in cases.items():
        row = {"": case} | {who: f"{value:,.2f}" for who, value in values.items()}
        for who, value in list(values.items())[1:]:
            row[f"minigan / {who}"] = f"{values['minigan'] / value:.2f}"
        rows.append(row)
    return report.table(rows)


def main() -> None:
    parser: argparse.ArgumentParser = report.arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    limit_threads(options.threads)  # before NumPy and PyTorch load
    rounds = 3 if options.quick else options.rounds
    figures = {
        "adam": adam(rounds, options.quick),
        "batch_norm": batch_norm(rounds),
        "batches": batches(rounds),
        "folder_of_pictures": folder_of_pictures(40 if options.quick else FILES),
    }
    print(tables(figures))
    report.save(options, figures | {"threads": options.threads})


if __name__ == "__main__":
    main()
