"""Conv2D, Conv2DTranspose, pooling and upsampling: options, data formats, what does not fit.

Their values are in the specifications and in test_tensorflow_layers.py.
"""

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor, check_gradients, grad, ops
from minigan.autograd.engine import array_of
from minigan.constraints import ClipValue, NonNeg
from minigan.errors import ConfigError, DtypeError, ShapeError
from minigan.initializers import Constant, GlorotUniform, HeNormal, RandomNormal, fans
from minigan.layers import (
    AveragePooling2D,
    Conv2D,
    Conv2DTranspose,
    MaxPooling2D,
    ReLU,
    Sequential,
    UpSample2D,
)
from minigan.optimizers import SGD
from minigan.regularizers import L1, L2

RNG = np.random.default_rng(5)
KINDS = [Conv2D, Conv2DTranspose]
both_kinds = pytest.mark.parametrize("kind", KINDS)


def host(x):
    return backend.to_host(array_of(x))


def pictures(*shape):
    return RNG.normal(size=shape).astype("float32")


# ── parameters ───────────────────────────────────────────────────────────────────────────────


def test_kernels_have_tensorflows_shapes():
    assert Conv2D(64, (5, 3), in_channels=2).kernel.shape == (5, 3, 2, 64)
    assert Conv2DTranspose(64, (5, 3), in_channels=2).kernel.shape == (5, 3, 64, 2)


@both_kinds
def test_the_kernel_is_made_at_the_first_call_on_the_inputs_device(kind, device, on_device):
    layer = kind(3, 2)
    assert layer.parameters() == []
    x = on_device(pictures(2, 4, 4, 5))
    y = layer(x)
    assert {p.device for p in layer.parameters()} == {y.device} == {device}
    assert list(layer.state()) == ["kernel", "bias"]
    kernel = layer.kernel
    assert host(layer(x)).tolist() == host(y).tolist()
    assert layer.kernel is kernel


@both_kinds
def test_options_arrive_where_they_belong(kind):
    layer = kind(
        2, 3,
        kernel_initializer=Constant(0.5, dtype="float64"),
        bias_initializer=Constant([1.0, 2.0], dtype="float64"),
        kernel_constraint=NonNeg(), bias_constraint=ClipValue(5.0),
        name="g_h1", in_channels=4,
    )  # fmt: skip
    assert (layer.kernel.name, layer.bias.name) == ("g_h1/kernel", "g_h1/bias")
    assert (layer.kernel.constraint, layer.bias.constraint) == (NonNeg(), ClipValue(5.0))
    assert np.unique(layer.kernel.data).tolist() == [0.5]
    assert layer.bias.data.tolist() == [1.0, 2.0]
    assert layer(np.ones((1, 3, 3, 4))).dtype == "float64"
    assert list(layer.initializers()) == ["kernel", "bias"]


@both_kinds
def test_glorot_counts_the_window_in_both_fans(kind):
    kernel = kind(64, 5, in_channels=32).kernel.data
    limit = np.sqrt(6 / (25 * 32 + 25 * 64))
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert abs(kernel.std() - limit / np.sqrt(3)) < 0.02 * limit
    assert sum(fans(kernel.shape)) == 25 * (32 + 64)


@both_kinds
def test_initialize_is_keyed_by_seed_and_name(kind):
    def made(seed):
        return Sequential(kind(3, 2, in_channels=2), kind(3, 2, in_channels=3)).initialize(seed)

    same, twin, other = made(1), made(1), made(2)
    for name, values in same.state().items():
        np.testing.assert_array_equal(values, twin.state()[name])
    assert (same[0].kernel.data != other[0].kernel.data).any()
    assert same[0].kernel.data.ravel()[0] != same[1].kernel.data.ravel()[0]
    with pytest.raises(ConfigError, match=r"has no kernel before its first call.* in_channels\.$"):
        kind(3, 2).initialize(0)
    kind(3, 2, in_channels=1).initialize(0)


@both_kinds
def test_state_round_trip(kind):
    first, second = kind(3, 2, in_channels=2), kind(3, 2, in_channels=2)
    second.load_state(first.state())
    x = pictures(1, 3, 3, 2)
    assert first(x).data.tolist() == second(x).data.tolist()


@both_kinds
def test_without_bias(kind):
    layer = kind(3, 2, use_bias=False, in_channels=2)
    assert list(layer.state()) == list(layer.initializers()) == ["kernel"]
    assert layer.kernel_initializer == GlorotUniform()


@both_kinds
def test_a_frozen_layer_has_no_gradients_but_passes_them_on(kind):
    model = Sequential(Conv2D(2, 2, in_channels=1), kind(3, 2, trainable=False, in_channels=2))
    before = model[1].state()
    loss = ops.square(model(pictures(2, 4, 4, 1))).mean()
    assert [g is None for g in grad(loss, model.parameters(), retain_graph=True)] == [
        False, False, True, True,
    ]  # fmt: skip
    SGD(0.1).minimize(loss, model.parameters())
    for name, values in model[1].state().items():
        np.testing.assert_array_equal(values, before[name])


@both_kinds
def test_penalties(kind):
    layer = kind(
        1, 2, kernel_initializer=Constant(-2.0), bias_initializer=Constant(3.0),
        kernel_regularizer=L1(0.5), bias_regularizer=L2(1.0), activity_regularizer=L2(1.0),
        in_channels=1,
    )  # fmt: skip
    assert float(layer.regularization_loss()) == 0.5 * 8 + 9  # no activity before the first call
    y = layer(pictures(2, 3, 3, 1))
    activity = np.square(y.data).sum() / 2
    assert float(layer.regularization_loss()) == pytest.approx(13 + activity, rel=1e-6)


# ── data formats ─────────────────────────────────────────────────────────────────────────────


def in_format(make, data_format):
    layer = make(data_format=data_format)
    return layer.initialize(3) if layer.initializers() else layer


@pytest.mark.parametrize(
    "make",
    [
        lambda **f: Conv2D(3, (3, 2), (1, 2), "same", activation=ops.tanh, in_channels=2, **f),
        lambda **f: Conv2DTranspose(3, 4, 2, "same", output_shape=(9, 8), in_channels=2, **f),
        lambda **f: AveragePooling2D((2, 3), 1, "same", **f),
        lambda **f: MaxPooling2D(3, 2, **f),
        lambda **f: UpSample2D((1, 3), **f),
    ],
    ids=["Conv2D", "Conv2DTranspose", "AveragePooling2D", "MaxPooling2D", "UpSample2D"],
)
def test_channels_first_is_channels_last_with_the_axes_exchanged(make, device, on_device):
    last, first = (in_format(make, f"channels_{end}").to(device) for end in ("last", "first"))
    x = pictures(2, 5, 4, 2)
    y = host(last(on_device(x)))
    turned = first(on_device(x.transpose(0, 3, 1, 2)))
    assert turned.dtype == "float32"
    np.testing.assert_array_equal(host(turned).transpose(0, 2, 3, 1), y)


def test_the_activation_sees_what_the_layer_returns():
    shapes = []

    def remember(y):
        shapes.append(y.shape)
        return y

    y = Conv2D(7, 2, data_format="channels_first", activation=remember)(pictures(2, 3, 5, 6))
    assert shapes == [y.shape] == [(2, 7, 4, 5)]


# ── sizes ────────────────────────────────────────────────────────────────────────────────────


def test_sizes_are_those_of_tf_layers():
    x = pictures(1, 7, 6, 2)
    assert Conv2D(4, 3)(x).shape == (1, 5, 4, 4)
    assert Conv2D(4, 5, 2, "same")(x).shape == (1, 4, 3, 4)
    assert Conv2D(4, 3, dilation_rate=2)(x).shape == (1, 3, 2, 4)
    assert Conv2DTranspose(4, 5, 2, "same")(x).shape == (1, 14, 12, 4)
    assert Conv2DTranspose(4, 5, 2)(x).shape == (1, 17, 15, 4)
    assert Conv2DTranspose(4, 5, 2, "same", output_shape=(13, 11))(x).shape == (1, 13, 11, 4)
    assert AveragePooling2D()(x).shape == (1, 3, 3, 2)
    assert MaxPooling2D(3, 2, "same")(x).shape == (1, 4, 3, 2)
    assert UpSample2D()(x).shape == (1, 14, 12, 2)
    assert Conv2D(4, 3)(x[:0]).shape == (0, 5, 4, 4)


# ── gradients ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "layer",
    [
        Conv2D(2, 3, 2, "same", activation=ops.tanh, in_channels=1),
        Conv2DTranspose(1, (3, 2), 2, "same", data_format="channels_first", in_channels=4),
        Sequential(Conv2D(2, 2), AveragePooling2D(2, 1), UpSample2D(), ops.tanh),
    ],
    ids=["Conv2D", "Conv2DTranspose", "Sequential"],
)
def test_every_gradient_is_proved(layer):
    report = check_gradients(layer, RNG.normal(size=(1, 4, 4, 1)))
    assert len(report.methods) == 2
    assert {p.dtype for p in layer.parameters()} == {np.dtype("float32")}


def test_a_layer_in_two_places_shares_its_weights():
    layer = Conv2D(1, 3, padding="same", in_channels=1)
    x = Tensor(pictures(1, 4, 4, 1))
    (shared,) = grad(layer(ops.tanh(layer(x))).sum(), layer.bias)
    twin = Conv2D(1, 3, padding="same", in_channels=1)
    twin.load_state(layer.state())
    parts = grad(twin(ops.tanh(layer(x))).sum(), [layer.bias, twin.bias])
    np.testing.assert_allclose(shared, sum(parts), rtol=1e-5)


# ── what it says ─────────────────────────────────────────────────────────────────────────────


def test_repr():
    model = Sequential(
        Conv2D(64, 5, 2, "same", activation=ops.relu),
        Conv2DTranspose(1, (5, 3), in_channels=64, use_bias=False),
        AveragePooling2D(), MaxPooling2D(3, 2), UpSample2D((1, 2)), ReLU(),
    )  # fmt: skip
    assert repr(model).splitlines()[1:-1] == [
        "  layers.0: Conv2D(64, 5x5, relu, strides 2x2)",
        "  layers.1: Conv2DTranspose(kernel 5x3x1x64, strides 1x1)",
        "  layers.2: AveragePooling2D(pool_size=2, padding=valid)",
        "  layers.3: MaxPooling2D(pool_size=3, strides=2, padding=valid)",
        "  layers.4: UpSample2D(size=(1, 2))",
        "  layers.5: ReLU()",
    ]


X = pictures(2, 8, 6, 3)

MISTAKES = {
    "flat pictures": (
        lambda: Conv2D(4, 5, name="d_h0")(X.reshape(2, -1)),
        'conv2d "d_h0": x is (2, 144), but must be pictures, (N, H, W, C). Try: x.reshape((-1, 28, '
        "28, 1)), if they have 28 x 28 pixels and 1 channel.",
        lambda: Conv2D(4, 5)(np.ones((2, 784), "float32").reshape((-1, 28, 28, 1))),
    ),
    "flat pictures, channels first": (
        lambda: UpSample2D(data_format="channels_first")(X.reshape(2, -1)),
        "upsample2d: x is (2, 144), but must be pictures, (N, C, H, W). Try: x.reshape((-1, 1, 28, "
        "28)), if they have 28 x 28 pixels and 1 channel.",
        lambda: UpSample2D(data_format="channels_first")(np.ones((2, 784)).reshape(-1, 1, 28, 28)),
    ),
    "other channels": (
        lambda: Conv2D(4, 5, in_channels=1)(X),
        "conv2d: x (2, 8, 6, 3), which is (N, H, W, C), has 3 channels, but the kernel (5, 5, 1, "
        "4) takes 1. Try: pictures with 1 channels, or a new Conv2D layer.",
        lambda: [Conv2D(4, 5, in_channels=1)(X[..., :1]), Conv2D(4, 5)(X)],
    ),
    "other channels of a transposed one": (
        lambda: Conv2DTranspose(4, 5, name="g_h1", in_channels=2)(X),
        'conv2d_transpose "g_h1": x (2, 8, 6, 3), which is (N, H, W, C), has 3 channels, but the '
        "kernel (5, 5, 4, 2) takes 2. Try: pictures with 2 channels, or a new Conv2DTranspose "
        "layer.",
        lambda: Conv2DTranspose(4, 5)(X),
    ),
    "channels first, unsaid": (
        lambda: Conv2D(4, 5, in_channels=3)(X.transpose(0, 3, 1, 2)),
        "conv2d: x (2, 3, 8, 6), which is (N, H, W, C), has 6 channels, but the kernel (5, 5, 3, "
        '4) takes 3. Try: data_format="channels_first", if x is (N, C, H, W).',
        lambda: Conv2D(4, 5, in_channels=3, data_format="channels_first")(X.transpose(0, 3, 1, 2)),
    ),
    "channels last, where first was said": (
        lambda: Conv2D(4, 5, in_channels=3, data_format="channels_first")(X),
        "conv2d: x (2, 8, 6, 3), which is (N, C, H, W), has 8 channels, but the kernel (5, 5, 3, "
        '4) takes 3. Try: data_format="channels_last", if x is (N, H, W, C).',
        lambda: Conv2D(4, 5, in_channels=3, data_format="channels_last")(X),
    ),
    "bytes": (
        lambda: Conv2D(4, 5, name="d_h0", in_channels=3)(X.astype("uint8")),
        'conv2d "d_h0": x is uint8, the kernel float32. Try: x.astype("float32").',
        lambda: Conv2D(4, 5)(X.astype("uint8").astype("float32")),
    ),
    "a kernel that does not fit": (
        lambda: Conv2D(4, 7)(X),
        "conv2d: a kernel that spans 7 x 7 pixels does not fit into x (2, 8, 6, 3) with padding "
        "'valid'. Try: padding=\"same\".",
        lambda: Conv2D(4, 7, padding="same")(X),
    ),
    "an output that does not fit": (
        lambda: Conv2DTranspose(4, 5, 2, "same", output_shape=(14, 12))(X),
        "conv2d_transpose: output_shape (14, 12) does not fit: conv2d would make (7, 6) pixels of "
        "it, but x (2, 8, 6, 3) has (8, 6). Try: output_shape=(16, 12).",
        lambda: Conv2DTranspose(4, 5, 2, "same", output_shape=(16, 12))(X),
    ),
    "no filters": (
        lambda: Conv2DTranspose(0, 5),
        "Conv2DTranspose: filters is 0, but a layer needs at least 1. "
        "Try: Conv2DTranspose(1, kernel_size=5).",
        lambda: Conv2DTranspose(1, kernel_size=5),
    ),
    "no format": (
        lambda: MaxPooling2D(data_format="NHWC"),
        "MaxPooling2D: data_format is 'NHWC', but must be \"channels_last\" or \"channels_first\". "
        'Try: data_format="channels_last".',
        lambda: MaxPooling2D(data_format="channels_last"),
    ),
    "no padding": (
        lambda: Conv2D(4, 5, padding="half"),
        "padding is 'half', but must be \"same\", \"valid\" or ((top, bottom), (left, right)) in "
        'pixels. Try: padding="same".',
        lambda: Conv2D(4, 5, padding="same"),
    ),
    "no size": (
        lambda: Conv2D(4, 5, dilation_rate=0),
        "dilation_rate is 0, but must be a whole number from 1, or one for rows and one for "
        "columns. Try: dilation_rate=2 or dilation_rate=(2, 2).",
        lambda: [Conv2D(4, 5, dilation_rate=2), Conv2D(4, 5, dilation_rate=(2, 2))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_a_sentence_and_a_repair_that_works(mistake):
    wrong, message, repair = MISTAKES[mistake]
    with pytest.raises((ConfigError, DtypeError, ShapeError)) as caught:
        wrong()
    assert str(caught.value) == message
    repair()


def test_a_call_that_fails_makes_no_kernel():
    layer = Conv2D(4, 5)
    with pytest.raises(ShapeError):
        layer(X.reshape(2, -1))
    assert layer.kernel is None
    assert layer(X[:, :, :, :2]).shape == (2, 4, 2, 4)


def test_two_layers_start_from_different_weights():
    a, b = Conv2D(4, 3, in_channels=2), Conv2D(4, 3, in_channels=2)
    assert (a.kernel.data != b.kernel.data).any()
    c, d = (Conv2D(4, 3, kernel_initializer=RandomNormal(seed=1), in_channels=2) for _ in "cd")
    assert (c.kernel.data == d.kernel.data).all()
    spread = Conv2D(256, 3, kernel_initializer=HeNormal(), in_channels=64).kernel.data.std()
    assert spread == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)
