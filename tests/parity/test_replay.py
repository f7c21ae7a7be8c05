"""The replay itself: on TensorFlow's own traces, and on traces that an independent NumPy
implementation writes for the other tutorials in the same format."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from minigan.gan import players

sys.path.insert(0, str(Path(__file__).parent))
import numpy_dcgan
import replay

GOLDEN = Path(__file__).parents[1] / "golden"
MLP = GOLDEN / "seed001_mlp_small.npz"
IMAGES = GOLDEN / "seed002_dcgan_uncond28x20_gray.npz"
TF_LAYERS = GOLDEN / "seed003_layers_bn_small.npz"


def worst(trace, dtype="float64"):
    return max(d.relative_error for d in replay.replay(trace, dtype))


@pytest.mark.parametrize(
    ("path", "dtype", "comparisons"),
    [
        # first pictures, losses, variables, last pictures, [Sample] losses
        (MLP, "float64", 1 + 2 * 20 + 8 + 1),
        (MLP, "float32", 1 + 2 * 20 + 8 + 1),
        (IMAGES, "float64", 2 + 10 * 20 + 48 + 1 + 2),
        (IMAGES, "float32", 2 + 10 * 20 + 48 - 14 + 2),  # without biases in front of batch norm
        (TF_LAYERS, "float64", 1 + 2 * 20 + 34 + 1),
        (TF_LAYERS, "float32", 1 + 2 * 20 + 34 - 10),
    ],
)
def test_tensorflows_own_losses_and_weights_are_reproduced(path, dtype, comparisons):
    differences = replay.replay(replay.Trace(path), dtype)
    assert len(differences) == comparisons
    assert max(d.relative_error for d in differences) <= replay.TOLERANCE[dtype]


def test_a_wrong_learning_rate_is_noticed():
    trace = replay.Trace(MLP)
    trace.meta["hyper"]["lr"] *= 1.0001
    assert worst(trace) > 1e-8


@pytest.mark.parametrize("path", [IMAGES, TF_LAYERS])
def test_averages_that_just_move_at_every_pass_are_noticed(path, monkeypatch):
    right = players.moving
    monkeypatch.setattr(players, "moving", lambda norms, *times: right(norms, *[1] * len(times)))
    differences = replay.replay(replay.Trace(path), "float64")
    wrong = {d.what.rsplit("/")[-1] for d in differences if d.relative_error > 1e-8}
    assert {"moving_mean", "moving_variance"} <= wrong
    assert not any("loss" in what or what in ("w", "kernel") for what in wrong)


@pytest.mark.parametrize("family", numpy_dcgan.FAMILIES)
def test_convolutional_families_replay_from_their_meta(family, tmp_path, capsys):
    path = tmp_path / "trace.npz"
    np.savez(path, **numpy_dcgan.numpy_trace(family))
    assert replay.main([str(path)]) == 0
    assert capsys.readouterr().out.count("ok  ") == 2


@pytest.mark.parametrize(
    ("family", "change"),
    [
        ("unconditional colour", {"x_rule": "x = x_u8/255"}),
        ("conditional", {"x_rule": "x = x_u8/127.5 - 1"}),
        ("tf.layers, batch norm", {"update_order": "ONE run per step"}),
        (
            "tf.layers, average pooling",
            {"losses": {"disc_loss": "softmax-CE(D(x), class 1) + ...", "gen_loss": ""}},
        ),
    ],
)
def test_what_meta_says_decides(family, change, tmp_path):
    """With another rule, order or loss the same numbers no longer come out."""
    arrays = numpy_dcgan.numpy_trace(family, steps=1)
    arrays["meta"] = np.array(json.dumps(json.loads(str(arrays["meta"])) | change))
    path = tmp_path / "trace.npz"
    np.savez(path, **arrays)
    assert worst(replay.Trace(path)) > 1e-3


@pytest.mark.parametrize("family", ["log, D then G", "cross-entropy, D then G", "log, together"])
def test_other_families_replay_from_their_meta(family, tmp_path, capsys):
    path = tmp_path / "trace.npz"
    np.savez(path, **numpy_trace(family))
    assert replay.main([str(path)]) == 0
    assert capsys.readouterr().out.count("ok  ") == 2


def numpy_trace(family: str, hidden=5, pixels=12, z_dim=4, batch=6, steps=4) -> dict:
    """A golden trace by hand-derived formulas, sharing no code with minigan."""
    rng = np.random.default_rng(3)
    shapes = {
        "G_W1": (z_dim, hidden), "G_b1": (hidden,), "G_W2": (hidden, pixels), "G_b2": (pixels,),
        "D_W1": (pixels, hidden), "D_b1": (hidden,), "D_W2": (hidden, 1), "D_b2": (1,),
    }  # fmt: skip
    w = {k: rng.normal(0, 0.3, s).astype(np.float16).astype(float) for k, s in shapes.items()}
    draws = {"log, D then G": 2, "cross-entropy, D then G": 3, "log, together": 1}[family]
    arrays = {f"init/{name}": value.astype(np.float16) for name, value in w.items()}
    pool = rng.integers(0, 256, (20, pixels), dtype=np.uint8)
    index = rng.integers(0, 20, (steps, batch))
    z_q = rng.integers(-32768, 32768, (steps, draws, batch, z_dim), dtype=np.int16)
    adams = {"D": NumpyAdam(), "G": NumpyAdam()}
    sample_z = rng.integers(-32768, 32768, (3, z_dim), dtype=np.int16)
    together, logits = "together" in family, "cross" in family
    d_name, g_name = ("disc_loss", "gen_loss") if together else ("D_loss", "G_loss")
    arrays["fwd0/G_first2"] = generator(w, z_q[0, 0, :2] / 32768)[0]
    log: dict[str, list[float]] = {}
    for step in range(steps):
        x = pool[index[step]] / 255
        z = z_q[step] / 32768
        d_loss, d_grads, g_loss, g_grads = losses_and_gradients(w, x, z[0])
        adams["D"].update(w, d_grads)
        if not together:
            _, _, g_loss, g_grads = losses_and_gradients(w, x, z[1])
        adams["G"].update(w, g_grads)
        record = {d_name: d_loss, g_name: g_loss}
        if draws == 3:
            d_loss, _, g_loss, _ = losses_and_gradients(w, x, z[2])
            record |= {f"{d_name}_summary": d_loss, f"{g_name}_summary": g_loss}
        for name, value in record.items():
            log.setdefault(name, []).append(value)
    for name, values in log.items():
        arrays[f"f64/{name}"] = arrays[f"f32/{name}"] = np.array(values)
    for name, value in w.items():
        arrays[f"final/{name}"] = (value.ravel()[::7] if value.size > 40 else value).astype("f4")
    arrays["sample_after"] = generator(w, sample_z / 32768)[0].astype("f4")
    ce = {"sigmoid_ce": "max(l,0)-l*y+log(1+exp(-|l|))"} if logits else {}
    meta = {
        "name": family, "N": steps, "float32_reproducible_steps": steps,
        "update_order": "ONE session.run per step" if together else "per step i: (1) D update",
        "losses": {d_name: "", g_name: "", "when": "", **ce},
        "hyper": {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "batch": batch,
                  "z_dim": z_dim, "hidden": hidden},
        "x_rule": "x = x_u8/255 in [0,1]", "bias_before_batchnorm": [],
        "variables": shapes, "final_subsampling": "entries hold only w.ravel()[::7]",
    }  # fmt: skip
    return {
        **arrays, "x_u8": pool, "x_idx": index, "z_q": z_q, "sample_z_q": sample_z,
        "meta": np.array(json.dumps(meta)),
    }  # fmt: skip


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def generator(w, z):
    h = np.maximum(z @ w["G_W1"] + w["G_b1"], 0)
    return sigmoid(h @ w["G_W2"] + w["G_b2"]), h


def losses_and_gradients(w, x, z):
    """Both losses (equal for logits and probabilities) and all gradients, by hand."""
    fake, gh = generator(w, z)

    def judge(images):
        h = np.maximum(images @ w["D_W1"] + w["D_b1"], 0)
        return h, h @ w["D_W2"] + w["D_b2"]

    def weights(images, h, dl):
        dh = dl @ w["D_W2"].T * (h > 0)
        return {"D_W2": h.T @ dl, "D_b2": dl.sum(0), "D_W1": images.T @ dh, "D_b1": dh.sum(0)}, dh

    (hr, lr), (hf, lf), n = judge(x), judge(fake), len(x)
    d_loss = np.mean(np.log1p(np.exp(-lr))) + np.mean(np.log1p(np.exp(lf)))
    g_loss = np.mean(np.log1p(np.exp(-lf)))
    real, _ = weights(x, hr, (sigmoid(lr) - 1) / n)
    wrong, _ = weights(fake, hf, sigmoid(lf) / n)
    _, dh = weights(fake, hf, (sigmoid(lf) - 1) / n)
    da = dh @ w["D_W1"].T * fake * (1 - fake)
    dgh = da @ w["G_W2"].T * (gh > 0)
    g_grads = {"G_W2": gh.T @ da, "G_b2": da.sum(0), "G_W1": z.T @ dgh, "G_b1": dgh.sum(0)}
    return d_loss, {k: real[k] + wrong[k] for k in real}, g_loss, g_grads


class NumpyAdam:
    def __init__(self):
        self.m, self.v, self.t = {}, {}, 0

    def update(self, w, grads):
        self.t += 1
        for k, g in grads.items():
            self.m[k] = 0.9 * self.m.get(k, 0) + 0.1 * g
            self.v[k] = 0.999 * self.v.get(k, 0) + 0.001 * g * g
            rate = 0.01 * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
            w[k] = w[k] - rate * self.m[k] / (np.sqrt(self.v[k]) + 1e-8)
