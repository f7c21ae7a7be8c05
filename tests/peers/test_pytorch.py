"""minigan beside PyTorch in float64: values, first and second derivatives, updates.

Arrays are PyTorch's, NCHW and OIHW; minigan's functions permute them inside. PyTorch pads both
sides alike, so what is padded otherwise is padded before the call. Derivatives are those of f,
with g its cotangent, and of <v, f's gradients>, with v random directions.
"""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

import minigan as mg
from minigan import Adam, Tensor, ops
from minigan.initializers import Ones
from minigan.layers import BatchNorm, Conv2D, Dense, Flatten, LayerNorm, LeakyReLU, Sequential
from minigan.losses import gradient_penalty, r1_penalty
from minigan.testing import strategies as mgst
from minigan.testing.strategies import Convolution

pytestmark = pytest.mark.peers
geometries = settings(max_examples=300)
seeds = st.integers(0, 2**32 - 1)

# ── the same derivatives, twice ──────────────────────────────────────────────────────────────


def assert_same_derivatives(ours, theirs, inputs, seed, rtol=1e-10):
    """f, its gradients to the inputs, and the gradients of these to the inputs and to g."""
    rng = np.random.default_rng(seed)
    g = rng.normal(size=ours(*inputs).shape)
    directions = [rng.normal(size=x.shape) for x in inputs]
    found = by_minigan(ours, inputs, g, directions)
    expected = by_pytorch(theirs, inputs, g, directions)
    for derivative, right in zip(found, expected, strict=True):
        scale = np.abs(right).max(initial=1.0)
        np.testing.assert_allclose(derivative, right, rtol, rtol * scale)


def by_minigan(f, inputs, g, directions):
    xs = [Tensor(x, requires_grad=True) for x in inputs]
    g = Tensor(g, requires_grad=True)
    y = f(*xs)
    first = mg.grad(y, xs, g, create_graph=True)
    second = mg.grad(first, [*xs, g], directions)
    return [y.numpy(), *(x.numpy() for x in first), *or_zeros(second, [*xs, g])]


def by_pytorch(f, inputs, g, directions):
    xs = [torch.tensor(x, requires_grad=True) for x in inputs]
    g = torch.tensor(g, requires_grad=True)
    y = f(*xs)
    first = torch.autograd.grad(y, xs, g, create_graph=True)
    directions = [torch.tensor(v) for v in directions]
    second = torch.autograd.grad(first, [*xs, g], directions, allow_unused=True)
    return [x.detach().numpy() for x in (y, *first)] + or_zeros(second, [*xs, g])


def or_zeros(gradients, inputs):
    """As arrays; neither framework has a gradient for what has no influence."""
    return [
        np.zeros(x.shape) if g is None else np.asarray(g)
        for g, x in zip(gradients, inputs, strict=True)
    ]


def nhwc(x):
    return x.transpose((0, 2, 3, 1))


def nchw(x):
    return x.transpose((0, 3, 1, 2))


def hwio(w):
    """PyTorch's kernel as minigan's: (O, I, KH, KW) -> (KH, KW, I, O)."""
    return w.transpose((2, 3, 1, 0))


# ── convolutions ─────────────────────────────────────────────────────────────────────────────


def zeros_around(size, kernel, strides, padding, dilation=(1, 1)):
    """((top, bottom), (left, right)), with TensorFlow's arithmetic for SAME."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding != "same":
        return padding
    sides = []
    for n, k, s, d in zip(size, kernel, strides, dilation, strict=True):
        missing = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        sides.append((missing // 2, missing - missing // 2))
    return tuple(sides)


def padded(x, zeros, value=0.0):
    """Pictures with `value` around them."""
    (top, bottom), (left, right) = zeros
    return F.pad(x, (left, right, top, bottom), value=value)


class Case:
    """A geometry, its shapes as PyTorch has them, and random numbers in these shapes."""

    def __init__(self, c, seed):
        self.c, self.seed = c, seed
        self.zeros = zeros_around(c.image[1:3], c.kernel[:2], **c.options)
        (N, H, W, I), (KH, KW, _, O) = c.image, c.kernel  # noqa: E741
        self.size, self.kernel = (H, W), (O, I, KH, KW)
        rng = np.random.default_rng(seed)
        self.x, self.w = rng.normal(size=(N, I, H, W)), rng.normal(size=self.kernel)
        self.g = rng.normal(size=(N, O, *c.geometry.output))


TUTORIAL = Convolution((2, 7, 5, 3), (5, 5, 3, 2), (2, 2))
cases = st.builds(Case, mgst.convolutions(), seeds)


@geometries
@given(cases)
@example(Case(TUTORIAL, 0))
def test_conv2d(case):
    c = case.c

    def minigan(x, w):
        return nchw(ops.conv2d(nhwc(x), hwio(w), **c.options))

    def pytorch(x, w):
        return F.conv2d(padded(x, case.zeros), w, None, c.strides, 0, c.dilation)

    assert_same_derivatives(minigan, pytorch, [case.x, case.w], case.seed)


@geometries
@given(cases)
@example(Case(TUTORIAL, 0))
def test_conv2d_transpose(case):
    c, (H, W), ((top, _), (left, _)) = case.c, case.size, case.zeros

    def minigan(g, w):
        y = ops.conv2d_transpose(nhwc(g), hwio(w), output_shape=case.size, **c.options)
        return nchw(y)

    def pytorch(g, w):
        """The picture within the padding; where no output pixel saw it, zeros."""
        y = F.conv_transpose2d(g, w, stride=c.strides, dilation=c.dilation)
        y = padded(y, ((0, top + H), (0, left + W)))
        return y[:, :, top : top + H, left : left + W]

    assert_same_derivatives(minigan, pytorch, [case.g, case.w], case.seed)


@geometries
@given(cases)
@example(Case(TUTORIAL, 0))
def test_conv2d_filter(case):
    c = case.c

    def minigan(x, g):
        return ops.conv2d_filter(nhwc(x), nhwc(g), c.kernel[:2], **c.options).transpose(
            (3, 2, 0, 1)
        )

    def pytorch(x, g):
        x = padded(x, case.zeros)
        return torch.nn.grad.conv2d_weight(x, case.kernel, g, c.strides, 0, c.dilation)

    assert_same_derivatives(minigan, pytorch, [case.x, case.g], case.seed)


# ── pooling ──────────────────────────────────────────────────────────────────────────────────

sizes = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def pools(draw):
    """Shape, window, strides and padding of a pooling whose output has at least one pixel."""
    window, strides = draw(sizes), draw(sizes)
    padding = draw(st.sampled_from(["same", "valid"]))
    H, W = (draw(st.integers(n if padding == "valid" else 1, 7)) for n in window)
    return (*draw(sizes), H, W), window, strides, padding


@geometries
@given(pools(), seeds)
def test_average_pooling(pool, seed):
    shape, *options = pool
    window, strides, _ = options
    zeros = zeros_around(shape[2:], *options)

    def minigan(x):
        return nchw(ops.average_pooling2d(nhwc(x), *options))

    def pytorch(x):
        """The average with the zeros, over the share of pixels: zeros around are not counted."""
        share = F.avg_pool2d(padded(torch.ones_like(x), zeros), window, strides)
        return F.avg_pool2d(padded(x, zeros), window, strides) / share

    assert_same_derivatives(
        minigan, pytorch, [np.random.default_rng(seed).normal(size=shape)], seed
    )


@geometries
@given(pools(), seeds)
def test_max_pooling_also_of_equal_numbers(pool, seed):
    shape, *options = pool
    window, strides, _ = options
    zeros = zeros_around(shape[2:], *options)

    def minigan(x):
        return nchw(ops.max_pooling2d(nhwc(x), *options))

    def pytorch(x):
        return F.max_pool2d(padded(x, zeros, -np.inf), window, strides)

    x = np.random.default_rng(seed).integers(-3, 3, shape).astype("float64")
    assert_same_derivatives(minigan, pytorch, [x], seed)


# ── batch norm, leaky ReLU ───────────────────────────────────────────────────────────────────

picture_shapes = st.tuples(st.integers(2, 4), *[st.integers(1, 4)] * 3)  # (N, C, H, W)


class Normalization:
    """Inputs of a batch norm, and minigan's layer and PyTorch's function of these inputs."""

    def __init__(self, shape, seed, training):
        rng, C = np.random.default_rng(seed), shape[1]
        self.inputs = [rng.normal(size=shape), rng.normal(size=C), rng.normal(size=C)]
        self.layer = BatchNorm(gamma_initializer=Ones(dtype="float64"), in_channels=C)
        self.layer.train(training)
        self.layer.moving_mean, self.layer.moving_variance = rng.normal(size=C), rng.random(C)
        self.running_mean = torch.tensor(self.layer.moving_mean)
        self.running_variance = torch.tensor(self.layer.moving_variance)

    def minigan(self, x, gamma, beta):
        self.layer.gamma, self.layer.beta = gamma, beta
        return nchw(self.layer(nhwc(x)))

    def pytorch(self, x, gamma, beta):
        """PyTorch's momentum is 1 - momentum."""
        running = self.running_mean, self.running_variance
        training, momentum, epsilon = self.layer.training, 1 - self.layer.momentum, 1e-5
        return F.batch_norm(x, *running, gamma, beta, training, momentum, epsilon)


# a channel of close numbers is steep, so rounding shows: (x - mean) / sqrt(variance + epsilon)
@geometries
@given(picture_shapes, seeds)
def test_batch_norm_in_training(shape, seed):
    batch_norm = Normalization(shape, seed, training=True)
    inputs = batch_norm.inputs
    for ours in (
        batch_norm.minigan,
        lambda x, gamma, beta: nchw(ops.batch_norm(nhwc(x), gamma, beta)),
    ):
        assert_same_derivatives(ours, batch_norm.pytorch, inputs, seed, rtol=1e-8)


@geometries
@given(picture_shapes, seeds)
def test_batch_norms_moving_averages(shape, seed):
    batch_norm = Normalization(shape, seed, training=True)
    for _ in range(3):
        batch_norm.minigan(*batch_norm.inputs)
        batch_norm.pytorch(*map(torch.tensor, batch_norm.inputs))
    layer = batch_norm.layer
    np.testing.assert_allclose(layer.moving_mean, batch_norm.running_mean, 1e-12, 1e-14)
    np.testing.assert_allclose(layer.moving_variance, batch_norm.running_variance, 1e-12)


@geometries
@given(picture_shapes, seeds)
def test_batch_norm_in_inference(shape, seed):
    batch_norm = Normalization(shape, seed, training=False)
    inputs = batch_norm.inputs
    assert_same_derivatives(batch_norm.minigan, batch_norm.pytorch, inputs, seed)


@geometries
@given(picture_shapes, seeds, st.floats(0, 1))
def test_leaky_relu(shape, seed, alpha):
    x = np.random.default_rng(seed).normal(size=shape)
    assert_same_derivatives(
        lambda x: ops.leaky_relu(x, alpha), lambda x: F.leaky_relu(x, alpha), [x], seed
    )


def test_leaky_relu_at_zero_is_where_we_differ():
    """TensorFlow's maximum(x, alpha x) has the slope 1 there, PyTorch's leaky ReLU alpha."""
    x, theirs = Tensor([0.0], requires_grad=True), torch.zeros(1, requires_grad=True)
    assert mg.grad(ops.leaky_relu(x, 0.2).sum(), x)[0] == 1
    assert torch.autograd.grad(F.leaky_relu(theirs, 0.2).sum(), theirs)[0] == pytest.approx(0.2)


# ── Adam ─────────────────────────────────────────────────────────────────────────────────────

LARGE = 1e-2  # an epsilon that shows


def adam_runs(seed, epsilon_of_step, **options):
    """The same 30 gradients given to both; PyTorch's epsilon may depend on the step."""
    rng = np.random.default_rng(seed)
    start, gradients = rng.normal(size=7), rng.normal(size=(30, 7))
    ours, theirs = Tensor(start.copy(), requires_grad=True), torch.tensor(start, requires_grad=True)
    adam = Adam(0.01, 0.5, 0.9, LARGE, **options)
    pytorch = torch.optim.Adam([theirs], 0.01, (0.5, 0.9), LARGE)
    for step, g in enumerate(gradients, start=1):
        adam.apply_gradients([(g, ours)])
        theirs.grad = torch.tensor(g)
        pytorch.param_groups[0]["eps"] = epsilon_of_step(step)
        pytorch.step()
    return ours.numpy(), theirs.detach().numpy()


@pytest.mark.parametrize("seed", range(5))
def test_adam_with_pytorchs_epsilon(seed):
    ours, theirs = adam_runs(seed, lambda step: LARGE, pytorch_epsilon=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_adam_as_tensorflow_has_it_adds_a_larger_epsilon_at_first(seed):
    """sqrt(v) + epsilon, uncorrected, is sqrt(v / c) + epsilon / sqrt(c), with c = 1 - beta2^t."""
    ours, theirs = adam_runs(seed, lambda step: LARGE / np.sqrt(1 - 0.9**step))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    ours, theirs = adam_runs(seed, lambda step: LARGE)
    assert not np.allclose(ours, theirs, rtol=1e-4)


# ── WGAN-GP and R1 ───────────────────────────────────────────────────────────────────────────


def critic():
    f64 = {"kernel_initializer": mg.HeNormal(dtype="float64"),
           "bias_initializer": mg.RandomNormal(dtype="float64")}  # fmt: skip
    norm = {"gamma_initializer": mg.RandomNormal(1.0, 0.5, dtype="float64"),
            "beta_initializer": mg.RandomNormal(dtype="float64")}  # fmt: skip
    return Sequential(
        Conv2D(4, 5, 2, "same", in_channels=2, **f64), LeakyReLU(),
        Conv2D(6, 3, 2, "same", in_channels=4, **f64), LayerNorm((1, 2, 3), in_channels=6, **norm),
        LeakyReLU(), Flatten(), Dense(1, in_features=2 * 3 * 6, **f64),
    ).initialize(3)  # fmt: skip


def pytorch_critic(weights):
    """The same with minigan's weights and NHWC pictures."""
    kernel1, bias1, kernel2, bias2, gamma, beta, kernel3, bias3 = weights

    def conv(x, kernel, bias):
        kernel = kernel.permute(3, 2, 0, 1).contiguous()
        zeros = zeros_around(x.shape[2:], kernel.shape[2:], (2, 2), "same")
        return F.conv2d(padded(x, zeros), kernel, bias, 2)

    def judged(x):
        h = F.leaky_relu(conv(x.permute(0, 3, 1, 2).contiguous(), kernel1, bias1), 0.2)
        h = F.group_norm(conv(h, kernel2, bias2), 1, gamma, beta)  # the layer norm
        return F.leaky_relu(h, 0.2).permute(0, 2, 3, 1).flatten(1) @ kernel3 + bias3

    return judged


def pytorch_slopes(d, x):
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(d(x).sum(), x, create_graph=True)
    return gradient.square().sum((1, 2, 3))


PENALTIES = {
    "WGAN-GP": (
        gradient_penalty,
        lambda d, real, fake, mix: (
            10 * ((pytorch_slopes(d, mix * real + (1 - mix) * fake)).sqrt() - 1).square().mean()
        ),
    ),
    "R1": (
        lambda d, real, fake, mix: r1_penalty(d, real),
        lambda d, real, fake, mix: 5 * pytorch_slopes(d, real).mean(),
    ),
}


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("seed", range(5))
def test_the_double_backward_of_a_convolutional_critic(name, seed):
    rng = np.random.default_rng(seed)
    real, fake, mix = (rng.random(shape) for shape in [(5, 8, 9, 2)] * 2 + [(5, 1, 1, 1)])
    d, (ours, theirs) = critic(), PENALTIES[name]
    penalty = ours(d, real, fake, mix)
    gradients = mg.grad(penalty, d.parameters())

    weights = [torch.tensor(w.numpy(), requires_grad=True) for w in d.parameters()]
    expected = theirs(pytorch_critic(weights), *map(torch.tensor, (real, fake, mix)))
    expected_gradients = torch.autograd.grad(expected, weights, allow_unused=True)
    assert float(penalty) == pytest.approx(expected.item(), rel=1e-10)
    found, right = or_zeros(gradients, weights), or_zeros(expected_gradients, weights)
    for gradient, expected_gradient in zip(found, right, strict=True):
        scale = np.abs(expected_gradient).max()
        np.testing.assert_allclose(gradient, expected_gradient, 1e-9, 1e-10 * scale)
