"""Dense against TensorFlow's numbers, and what it says about inputs that do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor, grad, ops
from minigan.constraints import ClipValue, MaxNorm, NonNeg
from minigan.errors import ConfigError, DtypeError, ShapeError
from minigan.initializers import Constant, GlorotUniform, RandomNormal
from minigan.layers import Dense, Sequential
from minigan.optimizers import SGD
from minigan.regularizers import L1, L2

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "layers_golden.npz")
META = json.loads(str(GOLDEN["meta"]))


@pytest.fixture
def golden_dense(device):
    def make(name, **options):
        kernel, bias = GOLDEN[f"{name}/kernel"], GOLDEN[f"{name}/bias"]
        layer = Dense(kernel.shape[1], in_features=kernel.shape[0], **options)
        layer.load_state({"kernel": kernel, "bias": bias})
        return layer.to(device)

    return make


def host(x):
    return backend.to_host(getattr(x, "data", x) if isinstance(x, Tensor) else x)


# ── TensorFlow's numbers ─────────────────────────────────────────────────────────────────────


def test_rank_3_as_tensorflow(golden_dense, on_device):
    layer = golden_dense("dense3")
    x = Tensor(on_device(GOLDEN["dense3/x"]), requires_grad=True)
    y = layer(x)
    assert y.shape == (5, 8, 10)
    np.testing.assert_allclose(host(y), GOLDEN["dense3/y"], rtol=1e-6, atol=1e-7)
    gradients = grad(y, [x, layer.kernel, layer.bias], on_device(GOLDEN["dense3/dy"]))
    for name, g in zip(["dx", "dkernel", "dbias"], gradients, strict=True):
        np.testing.assert_allclose(host(g), GOLDEN[f"dense3/{name}"], rtol=1e-5, atol=2e-6)


def test_penalties_as_tensorflow(golden_dense, on_device):
    layer = golden_dense(
        "reg",
        kernel_regularizer=L2(0.05),  # contrib's l2_regularizer(.1): half the sum of squares
        bias_regularizer=L1(0.2),
        activity_regularizer=L2(0.5),
    )
    assert len(layer.penalties()) == 2  # no activity before the first call
    y = layer(on_device(GOLDEN["reg/x"]))
    np.testing.assert_allclose(host(y), GOLDEN["reg/y"], rtol=1e-6)
    expected = META["regularization_losses"]["values"]
    penalties = [float(p) for p in layer.penalties()]
    np.testing.assert_allclose(penalties, expected[:3], rtol=1e-6)
    assert float(layer.regularization_loss()) == pytest.approx(sum(expected[:3]), rel=1e-6)
    assert float(L2(0.1)(layer.kernel)) == pytest.approx(expected[3], rel=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("max_norm", {"kernel_constraint": MaxNorm(1.0)}),
        ("non_neg", {"kernel_constraint": NonNeg()}),
        ("clip", {"kernel_constraint": ClipValue(0.1), "bias_constraint": ClipValue(0.1)}),
    ],
)
def test_constraints_after_one_step_as_tensorflow(name, options, golden_dense, on_device):
    layer = golden_dense("constraint", **options)
    np.testing.assert_array_equal(layer.kernel.numpy(), GOLDEN[f"constraint/{name}/kernel_initial"])
    loss = ops.square(layer(on_device(GOLDEN["constraint/x"]))).mean()
    assert float(loss) == pytest.approx(META[f"constraint/{name}"]["loss0"], rel=1e-6)
    SGD(0.5).minimize(loss, layer.parameters())
    for part in ("kernel", "bias"):
        np.testing.assert_allclose(
            getattr(layer, part).numpy(), GOLDEN[f"constraint/{name}/{part}_after_1_sgd_step"],
            rtol=1e-5, atol=1e-6,
        )  # fmt: skip


# ── shapes ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("lead", [(), (4,), (5, 8), (2, 3, 4), (0,), (2, 0, 3)])
def test_any_rank_acts_on_the_last_axis(lead, use_bias, device, on_device):
    layer = Dense(10, ops.tanh, use_bias, in_features=20).to(device)
    x = np.random.default_rng(0).normal(size=(*lead, 20)).astype("float32")
    y = layer(on_device(x))
    expected = x @ layer.kernel.numpy()
    expected = np.tanh(expected + layer.bias.numpy() if use_bias else expected)
    assert y.shape == (*lead, 10)
    np.testing.assert_allclose(host(y), expected, rtol=1e-5, atol=1e-6)
    assert all(g.shape == w.shape for g, w in zip(
        grad(y.sum(), layer.parameters()), layer.parameters(), strict=True))  # fmt: skip


def test_the_kernel_is_made_at_the_first_call_on_the_inputs_device(device, on_device):
    layer = Dense(3)
    assert (layer.kernel, layer.bias, layer.parameters()) == (None, None, [])
    layer(on_device(np.ones((2, 5), np.float32)))
    assert layer.kernel.shape == (5, 3)
    assert {x.device for x in layer.parameters()} == {device}
    kernel = layer.kernel
    layer(on_device(np.ones((4, 5), np.float32)))
    assert layer.kernel is kernel


def test_one_layer_in_two_places_shares_its_weights():
    layer = Dense(2)
    model = Sequential(layer, ops.tanh, layer)
    x = np.ones((1, 2), np.float32)
    y = model(x)
    by_hand = np.tanh(x @ layer.kernel.data) @ layer.kernel.data
    np.testing.assert_allclose(y.data, by_hand, rtol=1e-5)
    assert len(model.parameters()) == 2


# ── options ──────────────────────────────────────────────────────────────────────────────────


def test_options_arrive_where_they_belong():
    layer = Dense(
        3,
        kernel_initializer=Constant(0.5, dtype="float64"),
        bias_initializer=Constant([1.0, 2.0, 3.0], dtype="float64"),
        kernel_constraint=NonNeg(),
        bias_constraint=ClipValue(5.0),
        name="hidden",
        in_features=2,
    )
    assert layer(np.ones((1, 2))).data.tolist() == [[2.0, 3.0, 4.0]]
    assert (layer.kernel.name, layer.bias.name) == ("hidden/kernel", "hidden/bias")
    assert (layer.kernel.constraint, layer.bias.constraint) == (NonNeg(), ClipValue(5.0))
    assert layer.initializers() == {
        "kernel": layer.kernel_initializer, "bias": layer.bias_initializer,
    }  # fmt: skip


def test_without_options():
    layer = Dense(3, use_bias=False, in_features=2)
    assert list(layer.state()) == ["kernel"]
    assert list(layer.initializers()) == ["kernel"]
    assert layer.kernel_initializer == GlorotUniform()
    assert (layer.kernel.name, layer.kernel.constraint) == ("kernel", None)
    assert layer.bias is None


def test_a_frozen_layer_has_no_gradients_but_passes_them_on():
    frozen = Dense(2, trainable=False, in_features=3)
    model = Sequential(Dense(3, in_features=3), frozen)
    before = frozen.state()
    x = np.ones((1, 3), np.float32)
    gradients = grad(model(x).sum(), model.parameters())
    assert [g is None for g in gradients] == [False, False, True, True]
    SGD(0.1).minimize(model(x).sum(), model.parameters())
    for name, array in frozen.state().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("units", [0, -3])
def test_units_must_be_positive(units):
    with pytest.raises(ConfigError, match=f"units is {units}, but a layer needs at least 1"):
        Dense(units)


# ── inputs that do not fit ───────────────────────────────────────────────────────────────────


def test_wrong_features():
    layer = Dense(3, in_features=784, name="hidden")
    with pytest.raises(ShapeError) as caught:
        layer(np.ones((64, 28, 28), np.float32))
    assert str(caught.value) == (
        'dense "hidden": x is (64, 28, 28) but the kernel is (784, 3): x\'s last axis 28 != 784. '
        "Try: an input whose last axis is 784, or a new Dense layer."
    )
    layer(np.ones((64, 28, 28), np.float32).reshape(64, 784))
    with pytest.raises(ShapeError, match=r"^dense: x is \(2, 3\) but"):
        Dense(3, in_features=2)(np.ones((2, 3), np.float32))


@pytest.mark.parametrize("dtype", ["uint8", "float64", "int64"])
def test_wrong_dtype(dtype):
    layer = Dense(3, in_features=2)
    x = np.ones((4, 2), dtype)
    with pytest.raises(DtypeError) as caught:
        layer(x)
    assert str(caught.value) == (
        f'dense: x is {dtype}, the kernel float32. Try: x.astype("float32").'
    )
    layer(x.astype("float32"))
    layer(Tensor(x).astype("float32"))


def test_repeated_calls_of_a_regularized_layer_count_the_last_one():
    layer = Dense(1, kernel_initializer=Constant(1.0), activity_regularizer=L2(1.0), in_features=1)
    layer(np.full((2, 1), 3.0, np.float32))
    layer(np.full((4, 1), 2.0, np.float32))
    assert float(layer.regularization_loss()) == 4.0


def test_two_layers_start_from_different_weights():
    a, b = Dense(4, in_features=4), Dense(4, in_features=4)
    assert (a.kernel.data != b.kernel.data).any()
    c = Dense(4, kernel_initializer=RandomNormal(seed=1), in_features=4)
    d = Dense(4, kernel_initializer=RandomNormal(seed=1), in_features=4)
    assert (c.kernel.data == d.kernel.data).all()
