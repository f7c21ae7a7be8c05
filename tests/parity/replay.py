"""Replay TensorFlow's training, step by step, from a golden trace.

    python tests/parity/replay.py TRACE.npz [TRACE.npz ...]

A trace holds the weights, batches and noise that TensorFlow 2.15 trained with (tf.compat.v1), the
loss of every step and the final weights. The model and the game are built from the trace's own
`meta`. A replay passes if every loss and every final weight agrees: to 1e-8 in float64, to 1e-4
in float32 for the steps the trace calls reproducible.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan import Adam, no_grad
from minigan.gan import OBJECTIVES, Players, mlp_gan

TOLERANCE = {"float64": 1e-8, "float32": 1e-4}
VARIABLES = {  # the tutorials' names -> minigan's
    "G_W1": "generator.hidden.kernel",
    "G_b1": "generator.hidden.bias",
    "G_W2": "generator.output.kernel",
    "G_b2": "generator.output.bias",
    "D_W1": "discriminator.hidden.kernel",
    "D_b1": "discriminator.hidden.bias",
    "D_W2": "discriminator.output.kernel",
    "D_b2": "discriminator.output.bias",
}


class Trace:
    """One golden file."""

    def __init__(self, path: str | Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            self.arrays = {name: file[name] for name in file.files}
        self.meta: dict[str, Any] = json.loads(str(self.arrays["meta"]))
        if set(self.meta["variables"]) != set(VARIABLES):
            raise SystemExit(f"{path}: not an MLP GAN; this replay knows {sorted(VARIABLES)}")

    def images(self, step: int, dtype: str) -> np.ndarray:
        pixels = self.arrays["x_u8"]
        batch = pixels[self.arrays["x_idx"][step]] if "x_idx" in self.arrays else pixels[step]
        return batch.reshape(len(batch), -1).astype(dtype) / 255

    def noise(self, step: int, draw: int, dtype: str) -> np.ndarray:
        return self.arrays["z_q"][step, draw].astype(dtype) / 32768

    def loss_name(self, player: str, suffix: str = "") -> str:
        """The trace's name for D's or G's loss: `D_loss`, `disc_loss`, `D_loss_summary`, ..."""
        names = [name for name in self.meta["losses"] if name.lower().endswith("_loss")]
        (name,) = [name for name in names if name.upper().startswith(player)]
        return name + suffix


class Difference(NamedTuple):
    what: str
    relative_error: float


def players_of(trace: Trace, dtype: str) -> Players:
    """The two players with the trace's sizes, losses, hyper-parameters and weights."""
    hyper, losses = trace.meta["hyper"], trace.meta["losses"]
    pixels = trace.arrays["init/D_W1"].shape[0]
    gan = mlp_gan(hyper["hidden"], hyper["z_dim"], pixels, dtype=dtype)
    weights = {VARIABLES[name]: trace.arrays[f"init/{name}"].astype(dtype) for name in VARIABLES}
    gan.load_state(weights)
    game = "cross-entropy" if "sigmoid_ce" in losses else "log"
    settings = {
        "learning_rate": hyper["lr"],
        "beta1": hyper["beta1"],
        "beta2": hyper["beta2"],
        "epsilon": hyper["eps"],
    }
    return Players(gan, OBJECTIVES[game], Adam(**settings), Adam(**settings))


def losses(trace: Trace, players: Players, dtype: str) -> Iterator[dict[str, float]]:
    """Train, and yield each step's losses by the trace's names."""
    d_name, g_name = trace.loss_name("D"), trace.loss_name("G")
    together = trace.meta["update_order"].startswith("ONE session.run")
    for step in range(trace.meta["N"]):
        x = trace.images(step, dtype)
        z = [trace.noise(step, draw, dtype) for draw in range(trace.arrays["z_q"].shape[1])]
        if together:
            d_loss, g_loss = players.simultaneous_step(x, z[0])
        else:
            d_loss, g_loss = players.alternating_step(x, z[0], z[1])
        result = {d_name: d_loss, g_name: g_loss}
        if f"f64/{d_name}_summary" in trace.arrays:  # the tutorial's third draw, no update
            d_loss, g_loss = players.losses(x, z[2])
            result |= {f"{d_name}_summary": d_loss, f"{g_name}_summary": g_loss}
        yield result


def replay(trace: Trace, dtype: str) -> list[Difference]:
    """The error of the first pictures, of every loss, of the final weights and pictures."""
    bits = "f64" if dtype == "float64" else "f32"
    steps = trace.meta["N"] if dtype == "float64" else trace.meta["float32_reproducible_steps"]
    players = players_of(trace, dtype)
    differences = [first_pictures(trace, players, dtype)]
    for step, computed in enumerate(losses(trace, players, dtype)):
        for name, value in computed.items():
            expected = float(trace.arrays[f"{bits}/{name}"][step])
            if step < steps:
                error = abs(value - expected) / abs(expected)
                differences.append(Difference(f"{name}, step {step}", error))
    if steps == trace.meta["N"]:
        differences += final_weights(trace, players, dtype)
        differences.append(final_pictures(trace, players, dtype))
    return differences


def first_pictures(trace: Trace, players: Players, dtype: str) -> Difference:
    """The untrained generator, on the first two noise vectors."""
    expected = trace.arrays["fwd0/G_first2"]
    with no_grad():
        pictures = players.gan.generator(trace.noise(0, 0, dtype)[: len(expected)])
    return compare("pictures before training", pictures.numpy(), expected)


def final_weights(trace: Trace, players: Players, dtype: str) -> list[Difference]:
    """The error of each variable after the last step, relative to its largest element."""
    state = players.gan.state()
    thinning = re.search(r"::(\d+)", trace.meta.get("final_subsampling", "::1"))
    stride = int(thinning[1]) if thinning else 1
    differences = []
    for name, ours in VARIABLES.items():
        of_this_dtype = f"final_f32/{name}" if dtype == "float32" else f"final/{name}"
        expected = trace.arrays.get(of_this_dtype, trace.arrays[f"final/{name}"])
        computed = state[ours]
        if computed.size != expected.size:
            computed = computed.ravel()[::stride]
        differences.append(compare(f"final {name}", computed, expected))
    return differences


def final_pictures(trace: Trace, players: Players, dtype: str) -> Difference:
    """The trained generator, on the sampler's noise."""
    with no_grad():
        z = trace.arrays["sample_z_q"].astype(dtype) / 32768
        pictures = players.gan.generator(z)
    return compare("pictures after training", pictures.numpy(), trace.arrays["sample_after"])


def compare(what: str, computed: np.ndarray, expected: np.ndarray) -> Difference:
    """The largest error, relative to the largest element, beyond what storing it rounded away."""
    rounding = np.abs(expected) * (np.finfo(expected.dtype).eps / 2)
    error = np.abs(computed.reshape(expected.shape) - expected.astype("float64")) - rounding
    return Difference(what, float(error.max().clip(0) / np.abs(expected).max()))


def main(paths: list[str]) -> int:
    failures = 0
    for path in paths:
        trace = Trace(path)
        for dtype, tolerance in TOLERANCE.items():
            differences = replay(trace, dtype)
            worst = max(differences, key=lambda d: d.relative_error)
            passed = worst.relative_error <= tolerance
            failures += not passed
            print(
                f"{'ok  ' if passed else 'FAIL'} {trace.meta['name']} {dtype}: worst of "
                f"{len(differences)} comparisons {worst.relative_error:.1e} ({worst.what}), "
                f"allowed {tolerance:.0e}"
            )
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    raise SystemExit(main(sys.argv[1:]))
