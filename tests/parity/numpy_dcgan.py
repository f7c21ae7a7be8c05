"""The DCGANs of the tutorials in plain NumPy, with gradients derived by hand.

It shares no code with minigan: convolutions are loops over the kernel's taps, a network is a list
of steps, and each step returns its output and the function that takes a gradient back through it.
`numpy_trace` trains a tiny network and writes what happened in the format of the golden traces.
"""

import json
import math
from itertools import pairwise

import numpy as np

# ── steps: (weights, x) -> y, back; back(dy) -> dx, {name of weight: its gradient} ───────────


def linear(name, kernel="kernel", bias="bias"):
    def step(w, x):
        def back(dy):
            grads = {f"{name}/{kernel}": x.T @ dy, f"{name}/{bias}": dy.sum(0)}
            return dy @ w[f"{name}/{kernel}"].T, grads

        return x @ w[f"{name}/{kernel}"] + w[f"{name}/{bias}"], back

    return step


def zeros_around(size, kernel, stride, padding):
    """How many output pixels, and how many zeros before and after the image, along one axis."""
    if padding == "valid":
        return (size - kernel) // stride + 1, 0, 0
    outputs = math.ceil(size / stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return outputs, total // 2, total - total // 2


class Windows:
    """Where each tap of a kernel meets a padded image."""

    def __init__(self, height, width, kernel, stride, padding):
        self.image, self.kernel, self.stride = (height, width), kernel, stride
        self.rows, self.top, self.bottom = zeros_around(height, kernel[0], stride, padding)
        self.columns, self.left, self.right = zeros_around(width, kernel[1], stride, padding)

    def padded(self, x):
        return np.pad(x, ((0, 0), (self.top, self.bottom), (self.left, self.right), (0, 0)))

    def cropped(self, x):
        (H, W), (top, left) = self.image, (self.top, self.left)
        return x[:, top : top + H, left : left + W]

    def taps(self):
        s = self.stride
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                yield i, j, (
                    slice(None), slice(i, i + s * (self.rows - 1) + 1, s),
                    slice(j, j + s * (self.columns - 1) + 1, s),
                )  # fmt: skip


def gather(windows, x, kernel):
    """Convolution: x (N, H, W, I), kernel (KH, KW, I, O)."""
    padded = windows.padded(x)
    return sum(padded[place] @ kernel[i, j] for i, j, place in windows.taps())


def scatter(windows, y, kernel):
    """Its adjoint: y (N, H', W', O), kernel (KH, KW, I, O) -> (N, H, W, I)."""
    padded = windows.padded(np.zeros((len(y), *windows.image, kernel.shape[2])))
    for i, j, place in windows.taps():
        padded[place] += y @ kernel[i, j].T
    return windows.cropped(padded)


def correlate(windows, x, y, kernel_shape):
    """The gradient of <y, gather(x, kernel)> to the kernel."""
    padded, result = windows.padded(x), np.empty(kernel_shape)
    for i, j, place in windows.taps():
        result[i, j] = np.einsum("nhwi,nhwo->io", padded[place], y)
    return result


def convolution(name, kernel="kernel", bias="bias", stride=2, padding="same"):
    def step(w, x):
        k = w[f"{name}/{kernel}"]
        windows = Windows(*x.shape[1:3], k.shape[:2], stride, padding)

        def back(dy):
            grads = {
                f"{name}/{kernel}": correlate(windows, x, dy, k.shape),
                f"{name}/{bias}": dy.sum((0, 1, 2)),
            }
            return scatter(windows, dy, k), grads

        return gather(windows, x, k) + w[f"{name}/{bias}"], back

    return step


def transposed(name, height, width, kernel="kernel", bias="bias", stride=2, padding="same"):
    def step(w, x):
        k = w[f"{name}/{kernel}"]  # (KH, KW, O, I): of the convolution that goes the other way
        windows = Windows(height, width, k.shape[:2], stride, padding)

        def back(dy):
            grads = {
                f"{name}/{kernel}": correlate(windows, dy, x, k.shape),
                f"{name}/{bias}": dy.sum((0, 1, 2)),
            }
            return gather(windows, dy, k), grads

        return scatter(windows, x, k) + w[f"{name}/{bias}"], back

    return step


def average_pool(w, x):
    N, H, W, C = x.shape

    def back(dy):
        return np.repeat(np.repeat(dy, 2, 1), 2, 2) / 4, {}

    return x.reshape(N, H // 2, 2, W // 2, 2, C).mean((2, 4)), back


def batch_norm(name, epsilon, momentum, bessel):
    """In training; with w["moves"] = n the moving averages move n times."""

    def step(w, x):
        axes, n = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
        mean, variance = x.mean(axes), x.var(axes)
        s = np.sqrt(variance + epsilon)
        z = (x - mean) / s
        gamma = w[f"{name}/gamma"]
        if not w["training"]:
            mean, variance = w[f"{name}/moving_mean"], w[f"{name}/moving_variance"]
            return (x - mean) / np.sqrt(variance + epsilon) * gamma + w[f"{name}/beta"], None
        unbiased = variance * n / (n - 1) if bessel(x) else variance
        for _ in range(w["moves"]):
            for average, now in (("moving_mean", mean), ("moving_variance", unbiased)):
                old = w[f"{name}/{average}"]
                w[f"{name}/{average}"] = momentum * old + (1 - momentum) * now

        def back(dy):
            dz = dy * gamma
            dx = (dz - dz.mean(axes) - z * (dz * z).mean(axes)) / s
            return dx, {f"{name}/gamma": (dy * z).sum(axes), f"{name}/beta": dy.sum(axes)}

        return z * gamma + w[f"{name}/beta"], back

    return step


def pointwise(f, slope):
    """f(x), and its derivative as a function of x and y."""

    def step(w, x):
        y = f(x)
        return y, lambda dy: (dy * slope(x, y), {})

    return step


def sigmoid_of(x):
    return 1 / (1 + np.exp(-x))


relu = pointwise(lambda x: np.maximum(x, 0), lambda x, y: x > 0)
leaky = pointwise(lambda x: np.where(x < 0, 0.2 * x, x), lambda x, y: np.where(x < 0, 0.2, 1))
tanh = pointwise(np.tanh, lambda x, y: 1 - y**2)
sigmoid = pointwise(sigmoid_of, lambda x, y: y * (1 - y))


def reshaped(*shape):
    def step(w, x):
        return x.reshape(len(x), *shape), lambda dy: (dy.reshape(x.shape), {})

    return step


def with_labels(w, x):
    """Labels as more columns or, the same at each pixel, as more channels."""
    y = w["labels"]
    if x.ndim == 4:
        y = np.tile(y[:, None, None], (1, *x.shape[1:3], 1))
    return np.concatenate([x, y], -1), lambda dy: (dy[..., : x.shape[-1]], {})


def run(network, w, x):
    """The network's output, and the function that takes a gradient back to x and the weights."""
    backs = []
    for step in network:
        x, back = step(w, x)
        backs.append(back)

    def all_back(dy):
        grads = {}
        for back in reversed(backs):
            dy, more = back(dy)
            grads |= more
        return dy, grads

    return x, all_back


# ── losses on logits: value and gradient ─────────────────────────────────────────────────────


def sigmoid_loss(logits, label):
    value = np.mean(np.logaddexp(0, logits) - label * logits)
    return value, (sigmoid_of(logits) - label) / logits.size


def softmax_loss(logits, label):
    """Two classes, fake and real."""
    value = np.mean(np.logaddexp.reduce(logits, -1) - logits[:, int(label)])
    p = np.exp(logits - np.logaddexp.reduce(logits, -1)[:, None])
    return value, (p - np.eye(2)[int(label)]) / len(logits)


# ── families: networks, shapes, meta ─────────────────────────────────────────────────────────


def carpedm20_layers(prefix):
    def bn(name):
        return batch_norm(f"{prefix}/{name}", 1e-5, 0.9, bessel=lambda x: True)

    def lin(name):
        return linear(f"{prefix}/{name}", "Matrix", "bias")

    def conv(name):
        return convolution(f"{prefix}/{name}", "w", "biases")

    def deconv(name, height, width):
        return transposed(f"{prefix}/{name}", height, width, "w", "biases")

    return bn, lin, conv, deconv


def halves(size, times):
    sizes = [size]
    for _ in range(times):
        sizes.append(math.ceil(sizes[-1] / 2))
    return sizes


def images(hyper):
    """Seed 002 without labels: both networks and every weight's shape."""
    rows, columns = halves(hyper["oh"], 4), halves(hyper["ow"], 4)
    gf, df, c, z = hyper["gf"], hyper["df"], hyper["c_dim"], hyper["z_dim"]
    bn, lin, _, deconv = carpedm20_layers("generator")
    start = rows[4], columns[4], 8 * gf
    g = [lin("g_h0_lin"), reshaped(*start), bn("g_bn0"), relu]
    shapes = {
        "generator/g_h0_lin/Matrix": (z, math.prod(start)),
        "generator/g_h0_lin/bias": (math.prod(start),),
        **averaged("generator/g_bn0", 8 * gf),
    }
    channels = [8 * gf, 4 * gf, 2 * gf, gf, c]
    for i in range(1, 5):
        g.append(deconv(f"g_h{i}", rows[4 - i], columns[4 - i]))
        g += [bn(f"g_bn{i}"), relu] if i < 4 else [tanh]
        shapes[f"generator/g_h{i}/w"] = 5, 5, channels[i], channels[i - 1]
        shapes[f"generator/g_h{i}/biases"] = (channels[i],)
        shapes |= averaged(f"generator/g_bn{i}", channels[i]) if i < 4 else {}

    bn, lin, conv, _ = carpedm20_layers("discriminator")
    d, channels = [], [c, df, 2 * df, 4 * df, 8 * df]
    for i in range(4):
        d += [conv(f"d_h{i}_conv"), *([bn(f"d_bn{i}")] if i else []), leaky]
        shapes[f"discriminator/d_h{i}_conv/w"] = 5, 5, channels[i], channels[i + 1]
        shapes[f"discriminator/d_h{i}_conv/biases"] = (channels[i + 1],)
        shapes |= averaged(f"discriminator/d_bn{i}", channels[i + 1]) if i else {}
    flat = rows[4] * columns[4] * 8 * df
    d += [reshaped(flat), lin("d_h4_lin")]
    shapes |= {"discriminator/d_h4_lin/Matrix": (flat, 1), "discriminator/d_h4_lin/bias": (1,)}
    return g, d, shapes


def conditional(hyper):
    """Seed 002 with labels."""
    H, W, c, z, y = (hyper[name] for name in ("oh", "ow", "c_dim", "z_dim", "y_dim"))
    gf, df, gfc, dfc = (hyper[name] for name in ("gf", "df", "gfc", "dfc"))
    bn, lin, _, deconv = carpedm20_layers("generator")
    start = H // 4, W // 4, 2 * gf
    g = [
        with_labels, lin("g_h0_lin"), bn("g_bn0"), relu,
        with_labels, lin("g_h1_lin"), bn("g_bn1"), relu, reshaped(*start),
        with_labels, deconv("g_h2", H // 2, W // 2), bn("g_bn2"), relu,
        with_labels, deconv("g_h3", H, W), sigmoid,
    ]  # fmt: skip
    bn, lin, conv, _ = carpedm20_layers("discriminator")
    flat = math.ceil(H / 4) * math.ceil(W / 4) * (df + y)
    d = [
        with_labels, conv("d_h0_conv"), leaky,
        with_labels, conv("d_h1_conv"), bn("d_bn1"), leaky, reshaped(flat),
        with_labels, lin("d_h2_lin"), bn("d_bn2"), leaky,
        with_labels, lin("d_h3_lin"),
    ]  # fmt: skip
    shapes = {
        "generator/g_h0_lin/Matrix": (z + y, gfc), "generator/g_h0_lin/bias": (gfc,),
        **averaged("generator/g_bn0", gfc),
        "generator/g_h1_lin/Matrix": (gfc + y, math.prod(start)),
        "generator/g_h1_lin/bias": (math.prod(start),),
        **averaged("generator/g_bn1", math.prod(start)),
        "generator/g_h2/w": (5, 5, 2 * gf, 2 * gf + y), "generator/g_h2/biases": (2 * gf,),
        **averaged("generator/g_bn2", 2 * gf),
        "generator/g_h3/w": (5, 5, c, 2 * gf + y), "generator/g_h3/biases": (c,),
        "discriminator/d_h0_conv/w": (5, 5, c + y, c + y),
        "discriminator/d_h0_conv/biases": (c + y,),
        "discriminator/d_h1_conv/w": (5, 5, c + 2 * y, df + y),
        "discriminator/d_h1_conv/biases": (df + y,), **averaged("discriminator/d_bn1", df + y),
        "discriminator/d_h2_lin/Matrix": (flat + y, dfc), "discriminator/d_h2_lin/bias": (dfc,),
        **averaged("discriminator/d_bn2", dfc),
        "discriminator/d_h3_lin/Matrix": (dfc + y, 1), "discriminator/d_h3_lin/bias": (1,),
    }  # fmt: skip
    return g, d, shapes


def layers_bn(hyper):
    """Seed 003 with batch norm."""
    z, g0, g1, f1, f2, fc = (hyper[name] for name in ("z_dim", "g0", "g1", "f1", "f2", "fc"))

    def bn(name):
        return batch_norm(name, 1e-3, 0.99, bessel=lambda x: x.ndim == 4)

    G, D = "Generator", "Discriminator"
    g = [
        linear(f"{G}/dense"), bn(f"{G}/batch_normalization"), relu, reshaped(7, 7, g0),
        transposed(f"{G}/conv2d_transpose", 14, 14), bn(f"{G}/batch_normalization_1"), relu,
        transposed(f"{G}/conv2d_transpose_1", 28, 28), tanh,
    ]  # fmt: skip
    d = [
        convolution(f"{D}/conv2d"), bn(f"{D}/batch_normalization"), leaky,
        convolution(f"{D}/conv2d_1"), bn(f"{D}/batch_normalization_1"), leaky,
        reshaped(49 * f2), linear(f"{D}/dense"), bn(f"{D}/batch_normalization_2"), leaky,
        linear(f"{D}/dense_1"),
    ]  # fmt: skip
    shapes = {
        **layer(f"{G}/dense", z, 49 * g0), **averaged(f"{G}/batch_normalization", 49 * g0),
        **layer(f"{G}/conv2d_transpose", 5, 5, g1, g0, outputs=g1),
        **averaged(f"{G}/batch_normalization_1", g1),
        **layer(f"{G}/conv2d_transpose_1", 5, 5, 1, g1, outputs=1),
        **layer(f"{D}/conv2d", 5, 5, 1, f1), **averaged(f"{D}/batch_normalization", f1),
        **layer(f"{D}/conv2d_1", 5, 5, f1, f2), **averaged(f"{D}/batch_normalization_1", f2),
        **layer(f"{D}/dense", 49 * f2, fc), **averaged(f"{D}/batch_normalization_2", fc),
        **layer(f"{D}/dense_1", fc, 2),
    }  # fmt: skip
    return g, d, shapes


def layers_avgpool(hyper):
    """Seed 003 with average pooling."""
    z, g0, g1, f1, f2, fc = (hyper[name] for name in ("z_dim", "g0", "g1", "f1", "f2", "fc"))
    G, D = "Generator", "Discriminator"
    g = [
        linear(f"{G}/dense"), tanh, reshaped(6, 6, g0),
        transposed(f"{G}/conv2d_transpose", 14, 14, padding="valid"),
        transposed(f"{G}/conv2d_transpose_1", 28, 28, padding="valid"), sigmoid,
    ]  # fmt: skip
    d = [
        convolution(f"{D}/conv2d", stride=1, padding="valid"), tanh, average_pool,
        convolution(f"{D}/conv2d_1", stride=1, padding="valid"), tanh, average_pool,
        reshaped(16 * f2), linear(f"{D}/dense"), tanh, linear(f"{D}/dense_1"),
    ]  # fmt: skip
    shapes = {
        **layer(f"{G}/dense", z, 36 * g0),
        **layer(f"{G}/conv2d_transpose", 4, 4, g1, g0, outputs=g1),
        **layer(f"{G}/conv2d_transpose_1", 2, 2, 1, g1, outputs=1),
        **layer(f"{D}/conv2d", 5, 5, 1, f1), **layer(f"{D}/conv2d_1", 5, 5, f1, f2),
        **layer(f"{D}/dense", 16 * f2, fc), **layer(f"{D}/dense_1", fc, 2),
    }  # fmt: skip
    return g, d, shapes


def averaged(name, channels):
    parts = ("gamma", "beta", "moving_mean", "moving_variance")
    return {f"{name}/{part}": (channels,) for part in parts}


def layer(name, *kernel, outputs=None):
    return {f"{name}/kernel": kernel, f"{name}/bias": (outputs or kernel[-1],)}


# ── training ─────────────────────────────────────────────────────────────────────────────────


class Adam:
    def __init__(self, hyper):
        self.rate, self.beta1 = hyper["lr"], hyper["beta1"]
        self.m, self.v, self.t = {}, {}, 0

    def update(self, w, grads):
        self.t += 1
        rate = self.rate * np.sqrt(1 - 0.999**self.t) / (1 - self.beta1**self.t)
        for k, g in grads.items():
            self.m[k] = self.beta1 * self.m.get(k, 0) + (1 - self.beta1) * g
            self.v[k] = 0.999 * self.v.get(k, 0) + 0.001 * g * g
            w[k] = w[k] - rate * self.m[k] / (np.sqrt(self.v[k]) + 1e-8)


class Game:
    """Two networks, their weights, and the passes that the steps below are made of."""

    def __init__(self, generator, discriminator, w, loss, hyper):
        self.g, self.d, self.w, self.loss = generator, discriminator, w, loss
        self.adams = {"D": Adam(hyper), "G": Adam(hyper)}
        w["training"], w["moves"] = True, 1

    def fake(self, z, moves=1):
        self.w["moves"] = moves
        return run(self.g, self.w, z)

    def judged(self, x, label, moves=1):
        """The loss for a label, and the function that takes its gradient back."""
        self.w["moves"] = moves
        logits, back = run(self.d, self.w, x)
        value, gradient = self.loss(logits, label)
        return value, lambda scale=1: back(scale * gradient)

    def move_d(self, real_back, fake_back, scale=1):
        of_real, of_fake = real_back(scale)[1], fake_back(scale)[1]
        self.adams["D"].update(self.w, {k: of_real[k] + of_fake[k] for k in of_real})

    def move_g(self, back, g_back):
        self.adams["G"].update(self.w, g_back(back()[0])[1])

    def sample(self, z):
        self.w["training"] = False
        pictures = run(self.g, self.w, z)[0]
        self.w["training"] = True
        return pictures


def carpedm20_step(game, x, z):
    losses = {}
    fake, _ = game.fake(z[0])
    losses["d_run.d_loss_real"], real_back = game.judged(x, 1)
    losses["d_run.d_loss_fake"], fake_back = game.judged(fake, 0)
    losses["d_run.d_loss"] = losses["d_run.d_loss_real"] + losses["d_run.d_loss_fake"]
    game.move_d(real_back, fake_back)
    for name in ("g_run1", "g_run2"):
        fake, g_back = game.fake(z[0])
        losses[f"{name}.g_loss"], back = game.judged(fake, 1)
        losses[f"{name}.d_loss_fake"], _ = game.judged(fake, 0, moves=0)
        game.move_g(back, g_back)
    losses["errD_fake"], _ = game.judged(game.fake(z[0])[0], 0)
    losses["errD_real"], _ = game.judged(x, 1)
    losses["errG"], _ = game.judged(game.fake(z[0])[0], 1)
    return losses


def update_ops_step(game, x, z):
    fake, _ = game.fake(z[0], moves=0)
    real_loss, real_back = game.judged(x, 1)
    fake_loss, fake_back = game.judged(fake, 0)
    game.judged(fake, 1)  # the third discriminator in the tutorial's graph
    game.move_d(real_back, fake_back)
    fake, g_back = game.fake(z[1])
    g_loss, back = game.judged(fake, 1, moves=0)
    game.move_g(back, g_back)
    return {"disc_loss": real_loss + fake_loss, "gen_loss": g_loss}


def together_step(game, x, z):
    fake, g_back = game.fake(z[0])
    real_loss, real_back = game.judged(x, 1)
    fake_loss, fake_back = game.judged(fake, 0)
    g_loss, back = game.judged(fake, 1)
    g_grads = g_back(back()[0])[1]
    game.move_d(real_back, fake_back, scale=0.5)
    game.adams["G"].update(game.w, g_grads)
    return {"disc_loss": (real_loss + fake_loss) / 2, "gen_loss": g_loss}


# ── traces ───────────────────────────────────────────────────────────────────────────────────

FAMILIES = {
    # networks, loss, step, draws of noise, hyper-parameters, x_rule, size of pictures
    "unconditional colour": (
        images, sigmoid_loss, carpedm20_step, 1,
        {"oh": 17, "ow": 20, "c_dim": 3, "y_dim": 0, "gf": 2, "df": 2, "gfc": 4, "dfc": 4},
        "x = x_u8/127.5 - 1",
    ),
    "conditional": (
        conditional, sigmoid_loss, carpedm20_step, 1,
        {"oh": 12, "ow": 8, "c_dim": 1, "y_dim": 3, "gf": 2, "df": 3, "gfc": 6, "dfc": 5},
        "x = x_u8/255 (NOT shifted to [-1,1]); y one-hot of 3",
    ),
    "tf.layers, batch norm": (
        layers_bn, softmax_loss, update_ops_step, 2,
        {"g0": 3, "g1": 2, "f1": 2, "f2": 3, "fc": 6}, "x = x_u8/255*2-1, shape [B,28,28,1]",
    ),
    "tf.layers, average pooling": (
        layers_avgpool, softmax_loss, together_step, 1,
        {"g0": 3, "g1": 2, "f1": 2, "f2": 3, "fc": 6}, "x = x_u8/255, shape [B,28,28,1]",
    ),
}  # fmt: skip
LOSSES = {
    carpedm20_step: {"d_loss_real": "mean(sigmoid_ce(D_logits(x),1))",
                     "d_loss_fake": "mean(sigmoid_ce(D_logits(G(z)),0))",
                     "g_loss": "mean(sigmoid_ce(D_logits(G(z)),1))"},
    update_ops_step: {"disc_loss": "mean softmax-CE(D(x), class 1) + mean softmax-CE(...)",
                      "gen_loss": "mean softmax-CE(D(G(z)), class 1)"},
    together_step: {"disc_loss": "mean over the 2B rows of softmax-CE(concat(...), ...)",
                    "gen_loss": "mean softmax-CE(D(G(z)), class 1)"},
}  # fmt: skip
ORDERS = {
    carpedm20_step: "per step i, all with the same x[i] (y[i]), z[i,0]: (1) d_run: ...",
    update_ops_step: "per step: (1) D update on x[i], z[i,0]; (2) G update on fresh z[i,1] ...",
    together_step: "ONE run per step with train_gen and train_disc together ...",
}


def scaled(pixels, rule):
    return pixels / 127.5 - 1 if "127.5" in rule or "*2-1" in rule else pixels / 255


def numpy_trace(family: str, steps: int = 3, batch: int = 5) -> dict:
    """A golden trace of a tiny network: arrays and meta, ready for np.savez."""
    networks, loss, step, draws, sizes, rule = FAMILIES[family]
    hyper = {"lr": 0.002, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8, "batch": batch, "z_dim": 4,
             **sizes}  # fmt: skip
    generator, discriminator, shapes = networks(hyper)
    rng = np.random.default_rng(0)
    w = {name: initial(name, shape, rng).astype("f2") for name, shape in shapes.items()}
    arrays = {f"init/{name}": value for name, value in w.items()}
    game = Game(generator, discriminator, {k: v.astype(float) for k, v in w.items()}, loss, hyper)

    picture = hyper.get("oh", 28), hyper.get("ow", 28), hyper.get("c_dim", 1)
    pool = rng.integers(0, 256, (9, *picture), dtype=np.uint8)
    index = rng.integers(0, 9, (steps, batch), dtype=np.uint8)
    z_q = rng.integers(-32768, 32768, (steps, draws, batch, 4), dtype=np.int16)
    sample_z = rng.integers(-32768, 32768, (batch, 4), dtype=np.int16)
    y = rng.integers(0, 3, (steps, batch), dtype=np.uint8)
    sampler = {"init": "sampler_init", "after": "sampler_after"}
    if "oh" not in hyper:
        sampler = {"after": "sample_after"}
    if hyper.get("y_dim"):
        arrays |= {"y": y, "sample_y": y[0]}

    def sample():
        game.w["labels"] = np.eye(3)[y[0]]
        return game.sample(sample_z / 32768)

    game.w["labels"] = np.eye(3)[y[0]]
    arrays["fwd0/G_first2"] = game.fake(z_q[0, 0] / 32768, moves=0)[0][:2].astype("f4")
    if "init" in sampler:
        arrays[sampler["init"]] = sample().astype("f4")
    log = {}
    for i in range(steps):
        game.w["labels"] = np.eye(3)[y[i]]
        for name, value in step(game, scaled(pool[index[i]], rule), z_q[i] / 32768).items():
            log.setdefault(name, []).append(value)
    for name, values in log.items():
        arrays[f"f64/{name}"] = arrays[f"f32/{name}"] = np.array(values)
    for name in shapes:
        arrays[f"final/{name}"] = game.w[name].astype("f4")
    arrays[sampler["after"]] = sample().astype("f4")
    normed = [n for n in shapes if n.endswith("gamma")]
    meta = {
        "name": family, "N": steps, "float32_reproducible_steps": steps, "hyper": hyper,
        "update_order": ORDERS[step], "losses": LOSSES[step], "x_rule": rule, "variables": shapes,
        "bias_before_batchnorm": biases_before(list(shapes)) if normed else [],
    }  # fmt: skip
    return {**arrays, "x_u8": pool, "x_idx": index, "z_q": z_q, "sample_z_q": sample_z,
            "meta": np.array(json.dumps(meta))}  # fmt: skip


def initial(name, shape, rng):
    """Weights large enough that every part of the networks matters."""
    if name.endswith(("gamma", "moving_variance")):
        return rng.uniform(0.5, 1.5, shape)
    fan_in = math.prod(shape) / max(shape[-2:])
    return rng.normal(0, 1 / math.sqrt(fan_in) if len(shape) > 1 else 0.1, shape)


def biases_before(names):
    """The biases whose layer is followed by a batch norm."""
    return [a for a, b in pairwise(names)
            if a.endswith(("bias", "biases")) and b.endswith("gamma")]  # fmt: skip
