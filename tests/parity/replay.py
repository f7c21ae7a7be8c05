"""Replay TensorFlow's training, step by step, from a golden trace.

    python tests/parity/replay.py TRACE.npz [TRACE.npz ...]

A trace holds the weights, batches and noise that TensorFlow 2.15 trained with (tf.compat.v1), the
losses of every step, the final weights and moving averages, and the sampler's pictures. The model
and the game are built from the trace's own `meta` (families.py). A replay passes if everything
agrees: to 1e-8 in float64, to 1e-4 in float32 for the steps the trace calls reproducible.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from families import family_of, gan_of, objective_of, order_of

from minigan import Adam
from minigan.data import one_hot
from minigan.gan import OBJECTIVES, Objective, Players

TOLERANCE = {"float64": 1e-8, "float32": 1e-4}


class Trace:
    """One golden file."""

    def __init__(self, path: str | Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            self.arrays = {name: file[name] for name in file.files}
        self.meta: dict[str, Any] = json.loads(str(self.arrays["meta"]))
        self.family = family_of(self.meta)

    def images(self, step: int, dtype: str) -> np.ndarray:
        pixels = self.arrays["x_u8"]
        batch = pixels[self.arrays["x_idx"][step]] if "x_idx" in self.arrays else pixels[step]
        x, rule = batch.astype(dtype), self.meta["x_rule"].replace(" ", "")
        if rule.startswith("x=x_u8/127.5-1"):
            return x / 127.5 - 1
        return x / 255 * 2 - 1 if rule.startswith("x=x_u8/255*2-1") else x / 255

    def noise(self, step: int, draw: int, dtype: str) -> np.ndarray:
        return self.arrays["z_q"][step, draw].astype(dtype) / 32768

    def sample_noise(self, dtype: str) -> np.ndarray:
        return self.arrays["sample_z_q"].astype(dtype) / 32768

    def labels(self, step: int, dtype: str) -> np.ndarray | None:
        return self.one_hot(self.arrays["y"][step], dtype) if "y" in self.arrays else None

    def sample_labels(self, dtype: str) -> np.ndarray | None:
        return self.one_hot(self.arrays["sample_y"], dtype) if "sample_y" in self.arrays else None

    def one_hot(self, classes: np.ndarray, dtype: str) -> np.ndarray:
        return one_hot(classes, self.meta["hyper"]["y_dim"]).astype(dtype)

    def loss_name(self, player: str) -> str:
        """The trace's name for D's or G's loss: `D_loss`, `disc_loss`, ..."""
        names = [name for name in self.meta["losses"] if name.lower().endswith("_loss")]
        (name,) = [name for name in names if name.upper().startswith(player)]
        return name

    def is_noisy(self, name: str) -> bool:
        """Whether a variable follows rounding noise: to compare in float64 only, as numbers near 1.

        A bias in front of a batch norm has no effect and no true gradient. In float32 Adam turns
        its gradient's rounding noise into full steps, and the moving mean right after it follows.
        The sampler follows both.
        """
        before_norm = self.meta["bias_before_batchnorm"]
        return name in before_norm or (bool(before_norm) and name.endswith("moving_mean"))


class Difference(NamedTuple):
    what: str
    relative_error: float


class Recorder:
    """Notes every loss that a step computes, in the order in which it computes them."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.notes: list[tuple[str, float, Any]] = []

    def recording(self) -> Objective:
        """The objective, with every call of its three losses noted."""

        def noted(name: str) -> Any:
            def loss(logits: Any) -> Any:
                value = getattr(self.objective, name)(logits)
                self.notes.append((name, float(value), logits))
                return value

            return loss

        return self.objective._replace(**{n: noted(n) for n in ("real", "fake", "generator")})


def players_of(trace: Trace, dtype: str) -> Players:
    """The two players with the trace's sizes, losses, hyper-parameters and weights."""
    hyper = trace.meta["hyper"]
    gan = gan_of(trace.meta, dtype)
    gan.load_state(
        {
            trace.family.translated(name): trace.arrays[f"init/{name}"].astype(dtype)
            for name in trace.meta["variables"]
        }
    )
    settings = {
        "learning_rate": hyper["lr"],
        "beta1": hyper["beta1"],
        "beta2": hyper["beta2"],
        "epsilon": hyper["eps"],
    }
    return Players(gan, OBJECTIVES[objective_of(trace.meta)], Adam(**settings), Adam(**settings))


def losses(trace: Trace, players: Players, dtype: str) -> Iterator[dict[str, float]]:
    """Train, and yield each step's losses by the trace's names."""
    order = order_of(trace.meta)
    for step in range(trace.meta["N"]):
        x, y = trace.images(step, dtype), trace.labels(step, dtype)
        z = [trace.noise(step, draw, dtype) for draw in range(trace.arrays["z_q"].shape[1])]
        if order == "d-once-g-twice":
            yield carpedm20_losses(players, x, z[0], y)
            continue
        d_name, g_name = trace.loss_name("D"), trace.loss_name("G")
        if order == "simultaneous":
            d_loss, g_loss = players.simultaneous_step(x, z[0], y)
        else:
            d_loss, g_loss = players.alternating_step(x, z[0], z[1], y)
        result = {d_name: d_loss, g_name: g_loss}
        if f"f64/{d_name}_summary" in trace.arrays:  # the tutorial's third draw, no update
            d_loss, g_loss = players.losses(x, z[2])
            result |= {f"{d_name}_summary": d_loss, f"{g_name}_summary": g_loss}
        yield result


def carpedm20_losses(players: Players, x: Any, z: Any, y: Any) -> dict[str, float]:
    """The losses of all six runs of a step: D's, G's first and second, and three evaluations."""
    objective = players.objective
    recorder = Recorder(objective)
    players.objective = recorder.recording()
    players.d_once_g_twice_step(x, z, y)
    players.objective = objective
    runs = [
        ("real", "d_run.d_loss_real"),
        ("fake", "d_run.d_loss_fake"),
        ("generator", "g_run1.g_loss"),
        ("generator", "g_run2.g_loss"),
        ("real", "errD_real"),
        ("fake", "errD_fake"),
        ("generator", "errG"),
    ]
    result = {}
    for (loss, name), (noted, value, logits) in zip(runs, recorder.notes, strict=True):
        if loss != noted:
            raise SystemExit(f"the step computed the {noted} loss where {name} was due")
        result[name] = value
        if name.startswith("g_run"):
            result[name.replace("g_loss", "d_loss_fake")] = float(objective.fake(logits))
    result["d_run.d_loss"] = result["d_run.d_loss_real"] + result["d_run.d_loss_fake"]
    return result


def replay(trace: Trace, dtype: str) -> list[Difference]:
    """The errors of the first pictures, of every loss, of the final weights and pictures."""
    bits = "f64" if dtype == "float64" else "f32"
    steps = trace.meta["N"] if dtype == "float64" else trace.meta["float32_reproducible_steps"]
    players = players_of(trace, dtype)
    differences = first_pictures(trace, players, dtype)
    for step, computed in enumerate(losses(trace, players, dtype)):
        if step == steps:
            return differences
        for name, value in computed.items():
            expected = float(trace.arrays[f"{bits}/{name}"][step])
            error = abs(value - expected) / max(abs(expected), 1e-3)  # a loss near 0 says little
            differences.append(Difference(f"{name}, step {step}", error))
    differences += final_weights(trace, players, dtype)
    differences += final_pictures(trace, players, dtype)
    return differences + sample_losses(trace, players, dtype, bits)


def first_pictures(trace: Trace, players: Players, dtype: str) -> list[Difference]:
    """The untrained generator: in training on the first batch of noise, and as the sampler."""
    expected = trace.arrays["fwd0/G_first2"]
    before = players.gan.state()
    z, y = trace.noise(0, 0, dtype), trace.labels(0, dtype)
    pictures = players.gan.generator(z, *([] if y is None else [y])).numpy()
    players.gan.load_state(before)  # that pass moved batch norm's averages
    differences = [compare("pictures before training", pictures[: len(expected)], expected)]
    if "sampler_init" in trace.arrays:
        pictures = players.gan.sample(trace.sample_noise(dtype), trace.sample_labels(dtype))
        expected = trace.arrays["sampler_init"]
        differences.append(compare("sampler before training", pictures, expected))
    return differences


def final_weights(trace: Trace, players: Players, dtype: str) -> list[Difference]:
    """The error of each variable after the last step, relative to its largest element.

    Most traces hold the weights of TensorFlow's float64 run alone. A float32 replay may then be as
    far from them as TensorFlow's own float32 run was, which the trace tells.
    """
    state = players.gan.state()
    thinning = re.search(r"::(\d+)", trace.meta.get("final_subsampling", "::1"))
    stride = int(thinning[1]) if thinning else 1
    drifts = trace.meta.get("f32_vs_f64", {}).get("max_abs_final_diff", {})
    differences = []
    for name in trace.meta["variables"]:
        noisy = trace.is_noisy(name)
        if noisy and dtype == "float32":
            continue
        expected, drift = trace.arrays[f"final/{name}"], 0.0
        if dtype == "float32" and f"final_f32/{name}" in trace.arrays:
            expected = trace.arrays[f"final_f32/{name}"]
        elif dtype == "float32":
            drift = drifts.get(name, 0.0)
        computed = state[trace.family.translated(name)]
        if computed.size != expected.size:
            computed = computed.ravel()[::stride]
        size = 1 if noisy else None
        differences.append(compare(f"final {name}", computed, expected, size, drift))
    return differences


def final_pictures(trace: Trace, players: Players, dtype: str) -> list[Difference]:
    """The trained generator in inference mode, on the sampler's noise and labels."""
    if trace.meta["bias_before_batchnorm"] and dtype == "float32":
        return []
    pictures = players.gan.sample(trace.sample_noise(dtype), trace.sample_labels(dtype))
    name = "sampler_after" if "sampler_after" in trace.arrays else "sample_after"
    return [compare("pictures after training", pictures, trace.arrays[name])]


def sample_losses(trace: Trace, players: Players, dtype: str, bits: str) -> list[Difference]:
    """carpedm20's [Sample] losses: the sampler's noise against the first batch."""
    expected = trace.meta.get("sample_losses_after", {}).get(bits, {})
    if not expected:
        return []
    computed = players.losses(
        trace.images(0, dtype), trace.sample_noise(dtype), trace.sample_labels(dtype)
    )
    return [
        Difference(f"[Sample] {name}", abs(getattr(computed, name) - value) / abs(value))
        for name, value in expected.items()
    ]


def compare(
    what: str,
    computed: np.ndarray,
    expected: np.ndarray,
    size: float | None = None,
    drift: float = 0.0,
) -> Difference:
    """The largest error beyond rounding when stored and drift, relative to the largest element."""
    allowed = np.abs(expected) * (np.finfo(expected.dtype).eps / 2) + drift
    error = np.abs(computed.reshape(expected.shape) - expected.astype("float64")) - allowed
    size = np.abs(expected).max() if size is None else size
    return Difference(what, float(error.max().clip(0) / size))


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
