"""BatchNorm and LayerNorm: moving averages, modes, options, what does not fit.

Their values are in the specifications and in test_tensorflow_layers.py.
"""

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor, check_gradients, grad, no_grad, ops
from minigan.autograd.engine import array_of
from minigan.errors import ConfigError, DtypeError, ShapeError
from minigan.initializers import Constant
from minigan.layers import BatchNorm, Conv2D, Dense, LayerNorm, Sequential
from minigan.optimizers import SGD

RNG = np.random.default_rng(7)
KINDS = [BatchNorm, LayerNorm]
both_kinds = pytest.mark.parametrize("kind", KINDS)
SHAPES = [(6, 3), (4, 2, 5, 3), (2, 7, 3)]


def host(x):
    return backend.to_host(array_of(x))


def batch(*shape):
    return (1 + 2 * RNG.normal(size=shape)).astype("float32")


# ── training ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_training_normalises_by_the_batch(shape, on_device):
    y = host(BatchNorm()(on_device(batch(*shape)))).reshape(-1, 3)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(0), 1, rtol=1e-4)
    assert y.dtype == "float32"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bessel_correction", [True, False])
def test_each_training_pass_moves_the_averages_once(shape, bessel_correction, device, on_device):
    layer = BatchNorm(0.75, bessel_correction=bessel_correction, in_channels=3).to(device)
    mean, variance = np.zeros(3), np.ones(3)
    for _ in range(3):
        x = batch(*shape)
        layer(on_device(x))
        rows = x.reshape(-1, 3).astype(float)
        mean = 0.75 * mean + 0.25 * rows.mean(0)
        variance = 0.75 * variance + 0.25 * rows.var(0, ddof=int(bessel_correction))
    np.testing.assert_allclose(host(layer.moving_mean), mean, rtol=1e-5)
    np.testing.assert_allclose(host(layer.moving_variance), variance, rtol=1e-5)
    assert layer.moving_mean.dtype == layer.moving_variance.dtype == "float32"
    assert backend.device_of(layer.moving_mean) == device


def test_a_pass_that_is_not_recorded_moves_them_too_and_backward_does_not():
    layer = BatchNorm(in_channels=2)
    with no_grad():
        layer(batch(4, 2))
    moved = layer.moving_mean
    assert moved.any()
    loss = ops.square(layer(batch(4, 2))).sum()
    again = layer.moving_mean.copy()
    assert (again != moved).all()
    loss.backward()
    np.testing.assert_array_equal(layer.moving_mean, again)


def test_how_often_a_pass_moves_them_can_be_said():
    """TensorFlow 1 moves them whenever a loss is fetched, also where one pass would do."""
    x = batch(4, 2)
    twice, once, held = (BatchNorm(in_channels=2) for _ in range(3))
    twice.moves, held.moves = (2,), (0,)
    for layer in (twice, once, once, held):
        layer(x)
    np.testing.assert_array_equal(twice.moving_variance, once.moving_variance)
    assert held.moving_mean.tolist() == [0, 0]


def test_two_batches_in_one_pass_are_normalised_as_if_each_came_alone():
    real, fake = batch(6, 2, 3, 4), 5 + batch(6, 2, 3, 4)
    together, alone = BatchNorm(in_channels=4), BatchNorm(in_channels=4)
    together.moves = (1, 2)
    x = Tensor(np.concatenate([real, fake]), requires_grad=True)
    y = together(x)
    parts = [Tensor(part, requires_grad=True) for part in (real, fake)]
    expected = [alone(part) for part in parts]
    alone(fake)  # whose moments move the averages twice
    np.testing.assert_allclose(y.data, np.concatenate([e.data for e in expected]), rtol=1e-5)
    np.testing.assert_allclose(together.moving_mean, alone.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(together.moving_variance, alone.moving_variance, rtol=1e-5)
    g = batch(12, 2, 3, 4)
    dx, dgamma = grad(y, [x, together.gamma], g)
    dreal, dgamma_real = grad(expected[0], [parts[0], alone.gamma], g[:6])
    dfake, dgamma_fake = grad(expected[1], [parts[1], alone.gamma], g[6:])
    np.testing.assert_allclose(dx, np.concatenate([dreal, dfake]), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(dgamma, dgamma_real + dgamma_fake, rtol=1e-5)


def test_examples_that_do_not_make_two_batches_are_refused():
    layer = BatchNorm(in_channels=2)
    layer.moves = (1, 1)
    with pytest.raises(ShapeError, match=r"\(5, 2\) are not 2 batches of a size"):
        layer(batch(5, 2))
    with pytest.raises(ShapeError, match="fewer than 2 values per channel in a batch"):
        layer(batch(2, 2))


def test_the_averages_are_plain_numbers_no_gradient_flows_into_the_past():
    layer = BatchNorm(in_channels=2)
    layer(Tensor(batch(4, 2), requires_grad=True))
    assert [type(x) for _, x in layer.named_buffers()] == [np.ndarray] * 2
    assert [name for name, _ in layer.named_parameters()] == ["gamma", "beta"]


def test_statistics_can_come_from_elsewhere():
    """Two halves of a batch with common moments, as on two machines, are the whole batch."""
    halves = [batch(3, 2), batch(3, 2)]
    x = Tensor(np.concatenate(halves), requires_grad=True)

    class Synchronized(BatchNorm):
        def statistics(self, _):
            mean, variance = ops.moments(x)
            return len(x), mean, variance

    whole, shared = BatchNorm(in_channels=2), Synchronized(in_channels=2)
    y = ops.concatenate([shared(x[:3]), shared(x[3:])])
    expected = whole(x)
    np.testing.assert_allclose(y.data, expected.data, rtol=1e-6)
    g = batch(6, 2)
    for ours, right in zip(grad(y, x, g), grad(expected, x, g), strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        shared.moving_variance, 0.9 * whole.moving_variance + 0.1 * x.data.var(0, ddof=1), rtol=1e-5
    )


# ── inference ────────────────────────────────────────────────────────────────────────────────


def test_inference_normalises_by_the_averages_and_moves_nothing(device, on_device):
    layer = BatchNorm(in_channels=2).to(device)
    for _ in range(4):
        layer(on_device(batch(8, 2)))
    layer.eval()
    before = layer.state()
    x = batch(1, 2)  # a batch of 1 is no problem here
    y = host(layer(on_device(x)))
    expected = (x - before["moving_mean"]) / np.sqrt(before["moving_variance"] + 1e-5)
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    assert layer(on_device(batch(0, 2))).shape == (0, 2)
    for name, values in layer.state().items():
        np.testing.assert_array_equal(values, before[name])


def test_inference_agrees_with_training_once_the_averages_have_settled():
    layer, x = BatchNorm(0.5, bessel_correction=False), batch(16, 3)
    for _ in range(40):
        y = layer(x)
    np.testing.assert_allclose(layer.eval()(x).data, y.data, rtol=1e-4, atol=1e-5)


def test_inference_before_any_training_is_nearly_the_identity():
    x = batch(3, 2)
    np.testing.assert_allclose(BatchNorm().eval()(x).data, x, rtol=1e-5)


def test_in_inference_no_example_sees_another():
    layer, x = BatchNorm(), batch(4, 2)
    layer(x)
    layer.eval()
    np.testing.assert_array_equal(layer(x).data[:1], layer(x[:1]).data)


# ── LayerNorm ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("axis", [-1, 1, (1, 2, 3), (-2, -1), [1, 2]], ids=str)
def test_layer_norm_normalises_each_example_by_itself(axis, on_device):
    x = batch(2, 3, 4, 5)
    y = host(LayerNorm(axis)(on_device(x)))
    axis = tuple(axis) if isinstance(axis, list) else axis
    np.testing.assert_allclose(y.mean(axis), 0, atol=1e-5)
    np.testing.assert_allclose(y.var(axis), 1, rtol=1e-3)
    assert y.dtype == "float32"


def test_layer_norm_is_the_same_in_inference_and_keeps_nothing():
    layer, x = LayerNorm(), batch(1, 4)
    y = layer(x).data
    np.testing.assert_array_equal(layer.eval()(x).data, y)
    assert list(layer.state()) == ["gamma", "beta"]


# ── parameters and state ─────────────────────────────────────────────────────────────────────


@both_kinds
def test_options_arrive_where_they_belong(kind):
    layer = kind(
        gamma_initializer=Constant(2.0, dtype="float64"),
        beta_initializer=Constant([3.0, 4.0], dtype="float64"),
        epsilon=1e-3, name="g_bn0", in_channels=2,
    )  # fmt: skip
    assert (layer.gamma.name, layer.beta.name) == ("g_bn0/gamma", "g_bn0/beta")
    assert (layer.gamma.data.tolist(), layer.beta.data.tolist()) == ([2, 2], [3, 4])
    assert list(layer.initializers()) == ["gamma", "beta"]
    y = layer(np.array([[1.0, 5.0], [2.0, 5.0]]))
    assert y.dtype == "float64"
    assert {x.dtype for x in layer.state().values()} == {np.dtype("float64")}


@both_kinds
def test_without_gamma_or_beta(kind):
    assert list(kind(center=False, in_channels=2).initializers()) == ["gamma"]
    assert list(kind(scale=False, in_channels=2).initializers()) == ["beta"]
    neither, both = kind(center=False, scale=False), kind()
    x = batch(5, 3)
    for _ in range(2):
        np.testing.assert_allclose(neither(x).data, both(x).data, rtol=1e-6)
    assert neither.parameters() == []
    for (name, average), (_, expected) in zip(
        neither.named_buffers(), both.named_buffers(), strict=True
    ):
        np.testing.assert_array_equal(average, expected, err_msg=name)


@both_kinds
def test_made_at_the_first_call_on_the_inputs_device(kind, device, on_device):
    layer = kind()
    assert layer.state() == {}
    y = layer(on_device(batch(4, 3)))
    assert {p.device for p in layer.parameters()} == {y.device} == {device}
    assert {backend.device_of(x) for _, x in layer.named_buffers()} <= {device}
    gamma = layer.gamma
    layer(on_device(batch(4, 3)))
    assert layer.gamma is gamma


def test_state_round_trip_includes_the_averages():
    def make():
        return Sequential(Dense(3, in_features=2), BatchNorm(in_channels=3))

    first, second = make(), make()
    for _ in range(3):
        first(batch(8, 2))
    state = first.state()
    assert list(state) == [
        "layers.0.kernel", "layers.0.bias", "layers.1.gamma", "layers.1.beta",
        "layers.1.moving_mean", "layers.1.moving_variance",
    ]  # fmt: skip
    second.load_state(state)
    x = batch(8, 2)
    assert first(x).data.tolist() == second(x).data.tolist()  # both move on from the same place
    assert first.eval()(x).data.tolist() == second.eval()(x).data.tolist()


def test_state_is_a_copy():
    layer = BatchNorm(in_channels=2)
    state = layer.state()
    layer(batch(4, 2))
    assert state["moving_mean"].tolist() == [0, 0]


@both_kinds
def test_initialize(kind):
    model = Sequential(kind(gamma_initializer=Constant(3.0)))
    with pytest.raises(ConfigError, match=r"layers\.0 has no gamma before its first call"):
        model.initialize(0)
    model(batch(4, 2))
    model[0].gamma.assign(np.zeros(2, np.float32))
    model.initialize(0)
    assert model[0].gamma.data.tolist() == [3, 3]


@both_kinds
def test_a_frozen_layer_is_not_trained(kind):
    model = Sequential(Dense(2, in_features=2), kind(trainable=False, in_channels=2))
    before = model[1].state()
    loss = ops.square(model(batch(4, 2)) - 1).sum()
    SGD(0.1).minimize(loss, model.parameters())
    for name in ("gamma", "beta"):
        np.testing.assert_array_equal(model[1].state()[name], before[name])


# ── gradients ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (BatchNorm(in_channels=2), (3, 2)),
        (BatchNorm(scale=False, in_channels=1), (2, 2, 1, 1)),
        (LayerNorm(in_channels=3), (2, 3)),
        (LayerNorm((1, 2, 3), in_channels=2), (1, 2, 1, 2)),
        (
            Sequential(
                Conv2D(2, 2, use_bias=False, in_channels=1), BatchNorm(in_channels=2), ops.tanh
            ),
            (2, 3, 2, 1),
        ),
    ],
    ids=["BatchNorm", "of pictures", "LayerNorm", "of whole pictures", "after Conv2D"],
)
def test_every_gradient_is_proved_and_the_averages_stay(layer, shape):
    before = layer.state()
    report = check_gradients(layer, RNG.normal(size=shape))
    assert len(report.methods) == 2
    after = layer.state()
    assert list(after) == list(before)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)
        assert after[name].dtype == "float32"


def test_a_bias_in_front_has_no_gradient():
    model = Sequential(Dense(3, in_features=2), BatchNorm(in_channels=3))
    (g,) = grad(model(batch(8, 2)), model[0].bias, batch(8, 3))
    np.testing.assert_allclose(g, 0, atol=1e-5)


# ── what they say ────────────────────────────────────────────────────────────────────────────


def test_repr():
    assert repr(BatchNorm(in_channels=3)) == "BatchNorm(gamma 3, beta 3)"
    assert repr(LayerNorm(center=False)) == "LayerNorm()"


X = batch(4, 3)

MISTAKES = {
    "a batch of 1": (
        lambda: BatchNorm(name="g_bn0")(X[:1]),
        'batch_norm "g_bn0": x (1, 3) has fewer than 2 values per channel in a batch, so its '
        "variance says nothing. Try: a batch of at least 2, or eval(), which normalises by the "
        "moving averages.",
        lambda: [BatchNorm()(X[:2]), BatchNorm().eval()(X[:1])],
    ),
    "no batch at all": (
        lambda: BatchNorm()(X[:0]),
        "batch_norm: x (0, 3) has fewer than 2 values per channel in a batch, so its variance says "
        "nothing. Try: a batch of at least 2, or eval(), which normalises by the moving averages.",
        lambda: BatchNorm().eval()(X[:0]),
    ),
    "other channels": (
        lambda: BatchNorm(in_channels=2)(X),
        "batch_norm: x (4, 3) has 3 channels, its last axis, but the layer was made for 2. "
        "Try: an input with 2 channels, or a new BatchNorm layer.",
        lambda: [BatchNorm(in_channels=2)(X[:, :2]), BatchNorm()(X)],
    ),
    "no batch axis": (
        lambda: LayerNorm(name="norm")(X[0]),
        'layer_norm "norm": x is (3,), but must be a batch, (N, ..., C). '
        "Try: x.reshape((-1, 1)), if it is one number for each example.",
        lambda: LayerNorm()(X[0].reshape((-1, 1))),
    ),
    "another dtype": (
        lambda: LayerNorm(in_channels=3)(X.astype("float64")),
        'layer_norm: x is float64, the gamma float32. Try: x.astype("float32").',
        lambda: LayerNorm(in_channels=3)(X.astype("float64").astype("float32")),
    ),
    "another dtype, for beta": (
        lambda: BatchNorm(scale=False)(X.astype("uint8")),
        'batch_norm: x is uint8, the beta float32. Try: x.astype("float32").',
        lambda: BatchNorm(scale=False)(X.astype("uint8").astype("float32")),
    ),
    "whole numbers": (
        lambda: ops.moments(X.astype("uint8")),
        "moments: x is uint8, but means need floating-point numbers. "
        'Try: x.astype("float32").',
        lambda: ops.moments(X.astype("uint8").astype("float32")),
    ),
    "an impossible momentum": (
        lambda: BatchNorm(momentum=-0.1),
        "BatchNorm: momentum is -0.1, but must be in [0, 1]. Try: 0.9.",
        lambda: BatchNorm(momentum=0.9),
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_a_sentence_and_a_repair_that_works(mistake):
    wrong, message, repair = MISTAKES[mistake]
    with pytest.raises((ConfigError, DtypeError, ShapeError)) as caught:
        wrong()
    assert str(caught.value) == message
    repair()


def test_a_batch_that_is_refused_moves_nothing():
    layer = BatchNorm(in_channels=3)
    with pytest.raises(ShapeError):
        layer(X[:1])
    assert layer.moving_mean.tolist() == [0, 0, 0]
    assert layer.moving_variance.tolist() == [1, 1, 1]
