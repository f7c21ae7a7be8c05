"""The tree of modules: names, state, devices, modes, printing."""

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor, grad, ops
from minigan.errors import CheckpointError, ConfigError
from minigan.initializers import Constant, RandomNormal
from minigan.layers import Dense, Dropout, LeakyReLU, Module, Parameter, Reshape, Sequential
from minigan.regularizers import L2


class Block(Module):
    """One of everything that an attribute can be."""

    def __init__(self):
        self.scale = Parameter(np.float32([2.0]))
        self.average = np.zeros(3, np.float32)
        self.inner = Dense(2, in_features=3)
        self.blocks = [Dense(2, in_features=2), Dense(1, in_features=2, use_bias=False)]
        self.offsets = (Parameter(np.float32(0), trainable=False), 7)
        self.size = 3
        self._cache = np.ones(4)
        self._hidden = Dense(9, in_features=9)

    def forward(self, x):
        for layer in [self.inner, *self.blocks]:
            x = layer(x)
        return x * self.scale + self.offsets[0]


NAMES = ["scale", "offsets.0", "inner.kernel", "inner.bias", "blocks.0.kernel", "blocks.0.bias",
         "blocks.1.kernel"]  # fmt: skip


# ── names ────────────────────────────────────────────────────────────────────────────────────


def test_names_are_the_paths_through_the_attributes():
    block = Block()
    assert [name for name, _ in block.named_parameters()] == NAMES
    assert [name for name, _ in block.named_parameters("g")] == [f"g.{name}" for name in NAMES]
    assert [name for name, _ in block.named_buffers()] == ["average"]
    assert [name for name, _ in block.named_modules()] == ["", "inner", "blocks.0", "blocks.1"]
    assert dict(block.named_parameters())["blocks.1.kernel"] is block.blocks[1].kernel
    outer = Sequential(block, ops.relu, Dense(3, in_features=1))
    assert [name for name, _ in outer.named_modules()] == [
        "", "layers.0", "layers.0.inner", "layers.0.blocks.0", "layers.0.blocks.1", "layers.2",
    ]  # fmt: skip


def test_a_shared_module_or_parameter_is_counted_once():
    shared = Dense(2, in_features=2)
    model = Sequential(shared, ops.tanh, shared)
    model.tied = shared.kernel
    assert [name for name, _ in model.named_parameters()] == ["tied", "layers.0.bias"]
    assert "6 parameters, 6 trainable" in model.summary()
    x = Tensor(np.ones((1, 2), np.float32))
    (g,) = grad(model(x).sum(), shared.bias)
    alone = Dense(2, in_features=2)
    alone.load_state(shared.state())
    y = alone(ops.tanh(shared(x)))
    (first, second) = grad(y.sum(), [shared.bias, alone.bias])
    np.testing.assert_allclose(g, first + second, rtol=1e-6)


def test_a_module_in_a_circle_is_walked_once():
    a, b = Module(), Module()
    a.child, b.parent = b, a
    assert [name for name, _ in a.named_modules()] == ["", "child"]


# ── state ────────────────────────────────────────────────────────────────────────────────────


def test_state_is_a_copy_on_the_host(device):
    block = Block().to(device)
    state = block.state()
    assert sorted(state) == sorted([*NAMES, "average"])
    assert all(type(array) is np.ndarray for array in state.values())
    state["scale"][:] = 99
    assert backend.to_host(block.scale.data).tolist() == [2.0]


def test_a_loaded_model_computes_the_same(device, on_device):
    first, second = Block().to(device), Block().to(device)
    second.load_state(first.state())
    x = on_device(np.ones((2, 3), np.float32))
    assert backend.to_host(first(x).data).tolist() == backend.to_host(second(x).data).tolist()
    assert second.scale.device == device
    assert first.inner.kernel.data is not second.inner.kernel.data


def change(state, name, value):
    state[name] = value


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.pop("blocks.0.bias"),
         r"it lacks \['blocks.0.bias'\] and has nothing too many"),
        (lambda s: change(s, "extra", np.ones(1)), r"it lacks nothing and has \['extra'\] too"),
        (lambda s: change(s, "blocks.1.kernel", np.ones((1, 2), np.float32)),
         r"blocks.1.kernel is \(2, 1\) float32 in the model, but \(1, 2\) float32 in the state"),
        (lambda s: change(s, "average", np.zeros(3)),
         r"average is \(3,\) float32 in the model, but \(3,\) float64 in the state"),
    ],
)  # fmt: skip
def test_loading_is_all_or_nothing(damage, message):
    block = Block()
    before = block.state()
    state = {name: array + 1 for name, array in before.items()}
    damage(state)
    with pytest.raises(CheckpointError, match=message) as caught:
        block.load_state(state)
    assert str(caught.value).endswith("Try: the model that the state was saved from.")
    for name, array in block.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_loading_writes_in_place_and_marks_the_change():
    block = Block()
    data = block.scale.data
    average = block.average
    block.load_state({name: array + 1 for name, array in block.state().items()})
    assert block.scale.data is data
    assert block.average is average
    assert data.tolist() == [3.0]
    assert average.tolist() == [1, 1, 1]
    assert block.scale.changed


# ── devices, modes ───────────────────────────────────────────────────────────────────────────


def test_to_moves_parameters_and_buffers_and_returns_the_module():
    block = Block()
    assert block.to("strict") is block
    assert {x.device for x in block.parameters()} == {"strict"}
    assert backend.device_of(block.average) == "strict"
    assert type(block._cache) is np.ndarray
    block.to("cpu")
    assert {x.device for x in block.parameters()} == {"cpu"}


def test_to_the_same_device_moves_nothing():
    block = Block()
    data = block.scale.data
    assert block.to("cpu").scale.data is data


def test_modes_reach_every_module_below():
    block = Block()
    assert block.training
    assert block.eval() is block
    assert not any(module.training for _, module in block.named_modules())
    assert block.train() is block
    assert all(module.training for _, module in block.named_modules())


# ── initialize ───────────────────────────────────────────────────────────────────────────────


def make(*more):
    normal = RandomNormal(stddev=0.1)
    return Sequential(Dense(3, kernel_initializer=normal, in_features=2), *more)


def test_initialize_is_keyed_by_seed_and_name():
    a, b, c = make().initialize(1), make().initialize(1), make().initialize(2)
    assert a[0].kernel.numpy().tolist() == b[0].kernel.numpy().tolist()
    assert a[0].kernel.numpy().tolist() != c[0].kernel.numpy().tolist()
    extended = make(Dense(3, kernel_initializer=RandomNormal(), in_features=3)).initialize(1)
    assert extended[0].kernel.numpy().tolist() == a[0].kernel.numpy().tolist()
    twins = Sequential(make(), make()).initialize(1)
    assert twins[0][0].kernel.numpy().tolist() != twins[1][0].kernel.numpy().tolist()


def test_initialize_uses_the_layers_initializers_and_device(device):
    model = make(Dense(1, bias_initializer=Constant(7.0), in_features=3)).to(device)
    assert model.initialize(0) is model
    assert model[1].bias.numpy().tolist() == [7.0]
    assert model[1].bias.device == device
    assert model[0].kernel.changed


def test_initialize_needs_parameters():
    model = Sequential(Dense(3), Dense(1))
    with pytest.raises(ConfigError) as caught:
        model.initialize(0)
    assert str(caught.value) == (
        "layers.0 has no kernel before its first call. "
        "Try: call the model once, or give the layer in_features (Dense) or in_channels."
    )
    model(np.ones((1, 2), np.float32))  # the first try
    model.initialize(0)
    Dense(3, in_features=2).initialize(0)  # the second
    with pytest.raises(ConfigError, match=r"^Dense has no kernel"):
        Dense(3).initialize(0)


# ── penalties ────────────────────────────────────────────────────────────────────────────────


def test_penalties_are_summed_over_the_tree(device, on_device):
    model = Sequential(
        Dense(1, kernel_initializer=Constant(2.0), kernel_regularizer=L2(0.5), in_features=3),
        Dense(1, bias_initializer=Constant(3.0), bias_regularizer=L2(1.0), in_features=1),
    ).to(device)
    loss = model.regularization_loss()
    assert float(loss) == 0.5 * 12 + 9
    kernel, bias = grad(loss, [model[0].kernel, model[1].bias])
    assert backend.to_host(kernel).tolist() == [[2.0]] * 3
    assert backend.to_host(bias).tolist() == [6.0]


def test_no_penalties_are_a_zero_that_adds_to_any_loss(device, on_device):
    model = Dense(2, in_features=3).to(device)
    loss = model(on_device(np.ones((2, 3), np.float32))).sum()
    assert float(loss + model.regularization_loss()) == float(loss)
    assert (loss + model.regularization_loss()).dtype == "float32"


# ── what it says ─────────────────────────────────────────────────────────────────────────────


def test_a_module_without_forward_says_so():
    class Empty(Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty does not define forward\(\)"):
        Empty()(1)


def model_to_print():
    return Sequential(
        Dense(128, ops.relu, in_features=100),
        LeakyReLU(0.1),
        Sequential(Dense(784, ops.sigmoid, in_features=128, trainable=False), Reshape(28, -1)),
        Dropout(0.3),
        Dense(10),
    )


def test_repr():
    assert repr(model_to_print()) == (
        "Sequential(\n"
        "  layers.0: Dense(kernel 100x128, bias 128, relu)\n"
        "  layers.1: LeakyReLU(alpha=0.1)\n"
        "  layers.2: Sequential(\n"
        "    layers.0: Dense(kernel 128x784, bias 784, sigmoid)\n"
        "    layers.1: Reshape(28, -1)\n"
        "  )\n"
        "  layers.3: Dropout(rate=0.3)\n"
        "  layers.4: Dense(10)\n"
        ")"
    )


def test_summary():
    assert model_to_print().summary() == (
        "module                     parameters                  count\n"
        "────────────────────────────────────────────────────────────\n"
        "layers.0 (Dense)           kernel 100x128, bias 128   12,928\n"
        "layers.2.layers.0 (Dense)  kernel 128x784, bias 784  101,136\n"
        "────────────────────────────────────────────────────────────\n"
        "114,064 parameters, 12,928 trainable"
    )


def test_summary_of_a_layer_alone_and_of_nothing():
    assert "Dense   kernel 2x3, bias 3      9" in Dense(3, in_features=2).summary()
    assert LeakyReLU().summary().endswith("0 parameters, 0 trainable")


# ── Sequential ───────────────────────────────────────────────────────────────────────────────


def test_sequential_is_a_list_of_layers_and_functions():
    model = Sequential(Dense(3, in_features=2), ops.relu)
    assert len(model) == 2
    assert model[1] is ops.relu
    x = np.ones((4, 2), np.float32)
    assert model(x).numpy().tolist() == ops.relu(model[0](x)).numpy().tolist()
