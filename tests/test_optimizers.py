"""Optimizers: TensorFlow's numbers, the packed memory, what is refused, how a state resumes."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Tensor, grad, ops
from minigan.errors import (
    CheckpointError,
    ConfigError,
    DeviceError,
    GraphError,
    NonFiniteError,
    ShapeError,
)
from minigan.initializers import RandomNormal
from minigan.layers import Dense, Sequential
from minigan.optimizers import (
    SGD,
    Adam,
    Optimizer,
    RMSProp,
    exponential_decay,
    linear_decay,
    piecewise_constant,
)

GOLDEN = np.load(Path(__file__).parent / "golden" / "optimizer_golden.npz")
EVERY = [SGD, lambda **k: SGD(momentum=0.9, **k), RMSProp, lambda **k: RMSProp(momentum=0.5, **k),
         Adam]  # fmt: skip
every_optimizer = pytest.mark.parametrize(
    "make", EVERY, ids=["SGD", "momentum", "RMSProp", "RMSProp momentum", "Adam"]
)


@pytest.fixture
def variable(on_device):
    def make(values, name=None, dtype="float64"):
        return Tensor(on_device(values, dtype), requires_grad=True, name=name)

    return make


def host(x):
    return backend.to_host(x.data if isinstance(x, Tensor) else x)


# ── TensorFlow's numbers ─────────────────────────────────────────────────────────────────────

TENTH = float(np.float32(0.1))  # TensorFlow keeps hyperparameters in float32
GOLDEN_OPTIMIZERS = {
    "adam_default/exact": Adam,
    "adam_dcgan/exact": lambda: Adam(2e-4, beta1=0.5),
    "adam_seed001/exact": lambda: Adam(2e-4),
    "adam_eps1/exact": lambda: Adam(epsilon=1.0),
    "sgd/f64": lambda: SGD(TENTH),
    "momentum/f64": lambda: SGD(TENTH, momentum=float(np.float32(0.9))),
}


def trajectory(optimizer, gradients, variable, dtype="float64"):
    w = variable(np.full(gradients.shape[1], 0.5), dtype=dtype)
    for g in gradients:
        g = backend.to_device(g.astype(dtype), w.device)
        optimizer.apply_gradients([(g, w)])
        yield host(w).copy()


@pytest.mark.parametrize("name", GOLDEN_OPTIMIZERS)
def test_twelve_steps_as_tensorflow(name, variable):
    steps = trajectory(GOLDEN_OPTIMIZERS[name](), GOLDEN["grads"], variable)
    np.testing.assert_allclose(list(steps), GOLDEN[name], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", GOLDEN_OPTIMIZERS)
def test_twelve_steps_in_float32(name, variable):
    steps = trajectory(GOLDEN_OPTIMIZERS[name](), GOLDEN["grads"], variable, "float32")
    golden = GOLDEN[name.split("/")[0] + "/f32"]
    np.testing.assert_allclose(list(steps), golden, rtol=2e-6, atol=1e-7)


def test_pytorchs_epsilon_is_the_papers_algorithm_1(variable):
    gradients = GOLDEN["grads"]
    m = v = np.zeros(12)
    w = np.full(12, 0.5)
    for t, ours in enumerate(trajectory(Adam(pytorch_epsilon=True), gradients, variable), 1):
        g = gradients[t - 1]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w = w - 0.001 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(ours, w, rtol=1e-13, atol=1e-15)
    assert np.abs(w - GOLDEN["adam_default/exact"][-1]).max() > 0.005  # the two do differ


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_rmsprop_as_tensorflow_defines_it(momentum, variable):
    gradients = GOLDEN["grads"]
    optimizer = RMSProp(0.01, decay=0.8, momentum=momentum, epsilon=1e-3)
    s, a, w = np.ones(12), np.zeros(12), np.full(12, 0.5)
    for g, ours in zip(gradients, trajectory(optimizer, gradients, variable), strict=True):
        s = 0.8 * s + 0.2 * g * g
        a = momentum * a + 0.01 * g / np.sqrt(s + 1e-3)
        w = w - a
        np.testing.assert_allclose(ours, w, rtol=1e-12, atol=1e-15)


# ── the three calls ──────────────────────────────────────────────────────────────────────────


def test_compute_gradients_pairs_each_variable_with_its_gradient_or_none(variable):
    a, b, c = variable(2.0, "a"), variable(3.0, "b"), variable(1.0, "c")
    pairs = SGD(1.0).compute_gradients(a * a * b, [a, b, c])
    assert [x for _, x in pairs] == [a, b, c]
    assert [None if g is None else float(host(g)) for g, _ in pairs] == [12, 4, None]


def test_without_a_var_list_every_variable_of_the_loss_is_meant(variable):
    a, b, c = variable(2.0), variable(3.0), variable(1.0)
    assert [x for _, x in SGD(1.0).compute_gradients(b * a)] == [a, b]
    SGD(1.0).minimize(a * b)
    assert [float(x) for x in (a, b, c)] == [-1.0, 1.0, 1.0]


def test_grad_loss_is_the_cotangent(variable):
    a = variable([1.0, 2.0])
    g = backend.to_device(np.array([10.0, 20.0]), a.device)
    ((got, _),) = SGD(1.0).compute_gradients(a * a, [a], grad_loss=g)
    assert host(got).tolist() == [20, 80]


def test_retain_graph_lets_a_second_optimizer_follow(variable):
    a, b = variable(2.0), variable(3.0)
    loss = a * b
    first, second = SGD(1.0), SGD(1.0)
    pairs = first.compute_gradients(loss, [a], retain_graph=True)
    pairs += second.compute_gradients(loss, [b])
    assert [float(host(g)) for g, _ in pairs] == [3, 2]


def test_minimize_touches_only_the_var_list(variable):
    a, b = variable(2.0), variable(3.0)
    SGD(0.5).minimize(a * b, [a])
    assert (float(a), float(b)) == (0.5, 3.0)


def test_gradients_may_come_as_tensors(variable):
    x = variable([3.0])
    SGD(1.0).apply_gradients([(grad(x * x, x, [1.0], create_graph=True)[0], x)])
    assert host(x).tolist() == [-3.0]


def test_none_is_skipped_and_its_moments_stay(variable):
    a, b = variable([1.0]), variable([1.0])
    one = backend.to_device(np.ones(1), a.device)
    optimizer, alone = Adam(0.1), Adam(0.1)
    optimizer.apply_gradients([(one, a), (one, b)])
    for _ in range(3):
        optimizer.apply_gradients([(one, a), (None, b)])
    twin = variable([1.0])
    alone.apply_gradients([(one, twin)])
    assert host(b).tolist() == host(twin).tolist()
    assert [v.tolist() for n, v in optimizer.state().items() if n.endswith(".1")] == [
        v.tolist() for n, v in alone.state().items() if n != "steps"
    ]


@pytest.mark.parametrize("pairs", ["none", "empty"])
def test_no_gradient_at_all_is_refused(pairs, variable):
    c = variable([1.0, 2.0], "c")
    given = [(None, c), (None, variable(1.0))] if pairs == "none" else []
    names = "c, a () variable" if pairs == "none" else "the list is empty"
    optimizer = Adam()
    with pytest.raises(GraphError) as caught:
        optimizer.apply_gradients(given)
    assert str(caught.value) == (
        f"no gradients for any variable ({names}). "
        "Try: a var_list of variables that the loss depends on."
    )
    assert optimizer.steps == 0
    with pytest.raises(GraphError, match="no gradients for any variable"):
        optimizer.minimize(variable(1.0) * 2.0, [c])


# ── nothing changes when something is wrong ──────────────────────────────────────────────────


@every_optimizer
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 1])
def test_a_gradient_that_is_not_finite_changes_nothing(make, bad, position, variable):
    variables = [variable([1.0, 2.0], "first", "float32"), variable([[3.0]], "second", "float64")]
    optimizer = make(learning_rate=0.1)
    good = [backend.to_device(np.ones_like(host(x)), x.device) for x in variables]
    optimizer.apply_gradients(list(zip(good, variables, strict=True)))
    before = [host(x).copy() for x in variables], optimizer.state()
    changed = [x.changed for x in variables]

    wrong = [host(g).copy() for g in good]
    wrong[position].reshape(-1)[-1] = bad
    wrong = [backend.to_device(g, x.device) for g, x in zip(wrong, variables, strict=True)]
    with pytest.raises(NonFiniteError) as caught:
        optimizer.apply_gradients(list(zip(wrong, variables, strict=True)))
    name = ["first", "second"][position]
    assert str(caught.value) == (
        f"the gradient of {name} holds NaN or infinity; this optimizer updated nothing. Try: "
        "detect_anomaly() to find its origin, a smaller learning rate, or a loss on logits."
    )
    for x, values in zip(variables, before[0], strict=True):
        assert host(x).tolist() == values.tolist()
    assert {k: v.tolist() for k, v in optimizer.state().items()} == {
        k: v.tolist() for k, v in before[1].items()
    }
    assert [x.changed for x in variables] == changed


def test_a_variable_without_a_name_is_called_by_its_shape(variable):
    x = variable([[1.0, 2.0]])
    with pytest.raises(NonFiniteError, match=r"the gradient of a \(1, 2\) variable holds NaN"):
        SGD(1.0).apply_gradients([(backend.to_device(np.full((1, 2), np.nan), x.device), x)])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_finite_gradient_whose_square_overflows_is_no_reason_to_stop(dtype, variable):
    x = variable(np.zeros(10), dtype=dtype)
    large = np.finfo(dtype).max / 4
    g = backend.to_device(np.full(10, large, dtype), x.device)
    SGD(0.5).apply_gradients([(g, x)])
    np.testing.assert_allclose(host(x), -large / 2, rtol=1e-3)


def test_adams_second_moment_does_not_overflow_in_silence():
    x = Tensor(np.zeros(10, np.float32), requires_grad=True)
    with pytest.warns(RuntimeWarning, match="overflow encountered in multiply"):
        Adam().apply_gradients([(np.full(10, 1e20, np.float32), x)])


@every_optimizer
def test_a_gradient_of_another_shape_is_refused(make, variable):
    x = variable(np.ones((2, 3)), "kernel")
    optimizer = make(learning_rate=0.1)
    for shape in [(3, 2), (6,), (), (1, 3)]:
        with pytest.raises(ShapeError) as caught:
            optimizer.apply_gradients([(backend.to_device(np.ones(shape), x.device), x)])
        assert str(caught.value) == (
            f"the gradient of kernel is {shape}, but the variable is (2, 3). "
            "Try: compute_gradients(loss, var_list), which pairs them."
        )
    assert host(x).tolist() == np.ones((2, 3)).tolist()
    assert optimizer.steps == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(0.0), "learning_rate is 0.0, but must be a positive number"),
        (lambda: Adam(float("nan")), "learning_rate is nan"),
        (lambda: SGD(momentum=1.0), r"momentum is 1.0, but must be a number in \[0, 1\)"),
        (lambda: RMSProp(decay=-0.1), "decay is -0.1"),
        (lambda: RMSProp(momentum=2), "momentum is 2"),
        (lambda: Adam(beta1=1.0), "beta1 is 1.0"),
        (lambda: Adam(beta2=1.5), "beta2 is 1.5"),
        (lambda: Adam(epsilon=0.0), "epsilon is 0.0, but must be a positive number"),
        (lambda: exponential_decay(0.1, 0, 0.9), "decay_steps is 0"),
        (lambda: linear_decay(0.1, 0.0, -1), "decay_steps is -1"),
        (lambda: piecewise_constant([10], [0.1]), "1 boundaries need 2 values, not 1"),
    ],
)
def test_impossible_settings(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


# ── packed memory ────────────────────────────────────────────────────────────────────────────


def small_model(device="cpu", dtype="float32"):
    normal = RandomNormal(stddev=0.3, dtype=dtype)
    model = Sequential(
        Dense(4, ops.tanh, kernel_initializer=normal, bias_initializer=normal, in_features=3),
        Dense(2, kernel_initializer=normal, bias_initializer=normal, in_features=4),
    )
    return model.initialize(0).to(device)


X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")


def loss_of(model):
    x = backend.to_device(X.astype(model[0].kernel.dtype), model[0].kernel.device)
    return ops.square(model(x)).mean()


def parameters_of(model):
    return [host(x).tolist() for x in model.parameters()]


def one_by_one(make, model, steps):
    """The same training with an optimizer for each variable."""
    optimizers = [make(learning_rate=0.1) for _ in model.parameters()]
    for _ in range(steps):
        gradients = grad(loss_of(model), model.parameters())
        for o, g, x in zip(optimizers, gradients, model.parameters(), strict=True):
            o.apply_gradients([(g, x)])


@every_optimizer
def test_a_pack_moves_as_its_variables_would_alone(make, device):
    model, twin = small_model(device), small_model(device)
    optimizer = make(learning_rate=0.1)
    for _ in range(5):
        optimizer.minimize(loss_of(model), model.parameters())
    one_by_one(make, twin, 5)
    assert parameters_of(model) == parameters_of(twin)


@every_optimizer
def test_gathered_gradients_move_a_pack_as_those_left_in_place(make, device, monkeypatch):
    gathered, in_place = small_model(device), small_model(device)
    for model, large in (gathered, 10**9), (in_place, 1):
        monkeypatch.setattr("minigan.optimizers.LARGE", large)
        optimizer = make(learning_rate=0.1)
        for _ in range(5):
            optimizer.minimize(loss_of(model), model.parameters())
    assert parameters_of(gathered) == parameters_of(in_place)


def test_variables_become_views_of_one_buffer_and_keep_their_values():
    model = small_model()
    before = parameters_of(model)
    optimizer = Adam()
    optimizer.create_slots(model.parameters())
    assert parameters_of(model) == before
    bases = {id(x.data.base) for x in model.parameters()}
    assert len(bases) == 1
    views = [x.data for x in model.parameters()]
    optimizer.minimize(loss_of(model), model.parameters())
    assert all(x.data is view for x, view in zip(model.parameters(), views, strict=True))


@every_optimizer
def test_two_optimizers_may_share_variables(make, device):
    """Each one takes the variables over when it steps; the moments stay its own."""
    model, twin = small_model(device), small_model(device)
    first, second = make(learning_rate=0.1), make(learning_rate=0.01)
    for _ in range(3):
        first.minimize(loss_of(model), model.parameters())
        second.minimize(loss_of(model), model.parameters())
    firsts = [make(learning_rate=0.1) for _ in twin.parameters()]
    seconds = [make(learning_rate=0.01) for _ in twin.parameters()]
    for _ in range(3):
        for optimizers in (firsts, seconds):
            gradients = grad(loss_of(twin), twin.parameters())
            for o, g, x in zip(optimizers, gradients, twin.parameters(), strict=True):
                o.apply_gradients([(g, x)])
    assert parameters_of(model) == parameters_of(twin)


def test_replaced_data_is_taken_over(device):
    model = small_model(device)
    optimizer = SGD(1.0)
    optimizer.minimize(loss_of(model), model.parameters())
    model[0].bias.data = backend.to_device(np.full(4, 7.0, np.float32), device)
    zeros = [backend.to_device(np.zeros_like(host(x)), device) for x in model.parameters()]
    optimizer.apply_gradients(list(zip(zeros, model.parameters(), strict=True)))
    assert host(model[0].bias).tolist() == [7.0] * 4


def test_a_loaded_model_is_trained_from_its_loaded_weights(device):
    model, twin = small_model(device), small_model(device)
    a, b = SGD(0.1), SGD(0.1)
    start = model.state()
    for _ in range(3):
        a.minimize(loss_of(model), model.parameters())
    model.load_state(start)
    a.minimize(loss_of(model), model.parameters())
    b.minimize(loss_of(twin), twin.parameters())
    assert parameters_of(model) == parameters_of(twin)


def test_a_model_moved_after_its_optimizer_was_made_is_refused():
    model = small_model()
    optimizer = Adam()
    optimizer.minimize(loss_of(model), model.parameters())
    model.to("strict")
    before = parameters_of(model)
    with pytest.raises(DeviceError) as caught:
        optimizer.minimize(loss_of(model), model.parameters())
    assert str(caught.value) == (
        "kernel is on strict, its moments on cpu. "
        "Try: move the model first, then make its optimizer."
    )
    assert parameters_of(model) == before
    assert optimizer.steps == 1
    Adam().minimize(loss_of(model), model.parameters())  # the try


def test_moving_there_and_back_is_fine():
    model, twin = small_model(), small_model()
    a, b = Adam(0.1), Adam(0.1)
    for optimizer, m in [(a, model), (b, twin)]:
        optimizer.minimize(loss_of(m), m.parameters())
    model.to("strict").to("cpu")
    for optimizer, m in [(a, model), (b, twin)]:
        optimizer.minimize(loss_of(m), m.parameters())
    assert parameters_of(model) == parameters_of(twin)


def test_dtypes_and_devices_are_packed_apart():
    kinds = [("float32", "cpu"), ("float64", "cpu"), ("float32", "strict"), ("float32", "cpu")]
    variables = [
        Tensor(backend.to_device(np.ones(2, dtype), device), requires_grad=True)
        for dtype, device in kinds
    ]
    optimizer = Adam(0.1)
    ones = [backend.to_device(np.ones(2, dtype), device) for dtype, device in kinds]
    optimizer.apply_gradients(list(zip(ones, variables, strict=True)))
    for (dtype, device), x in zip(kinds, variables, strict=True):
        assert (x.dtype, x.device) == (dtype, device)
        np.testing.assert_allclose(host(x), [0.9, 0.9], rtol=1e-6)


def test_one_optimizer_over_two_var_lists(device):
    """As one Adam for both players: one count of steps, moments for each variable."""
    model = small_model(device)
    d_variables, g_variables = model[0].parameters(), model[1].parameters()
    optimizer = Adam(0.1)
    for _ in range(2):
        optimizer.minimize(loss_of(model), d_variables)
        optimizer.minimize(loss_of(model), g_variables)
    assert optimizer.steps == 4
    assert len(optimizer.state()) == 1 + 2 * 4

    twin = small_model(device)
    rule = {id(x): AdamByHand(x) for x in twin.parameters()}
    for t in range(1, 5):
        variables = twin[(t - 1) % 2].parameters()
        for g, x in zip(grad(loss_of(twin), variables), variables, strict=True):
            rule[id(x)].step(host(g), t, 0.1)
    for x, y in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(host(x), host(y), rtol=1e-5)


class AdamByHand:
    def __init__(self, x):
        self.x, self.m, self.v = x, 0.0, 0.0

    def step(self, g, t, rate):
        self.m = 0.9 * self.m + 0.1 * g
        self.v = 0.999 * self.v + 0.001 * g * g
        w = host(self.x) - rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * self.m / (
            np.sqrt(self.v) + 1e-8
        )
        self.x.assign(backend.to_device(w.astype("float32"), self.x.device))


def test_a_variable_named_twice_is_updated_once(variable):
    x, twin = variable([1.0]), variable([1.0])
    a, b = Adam(0.1), Adam(0.1)
    for _ in range(3):
        a.minimize((x * x).sum(), [x, x])
        b.minimize((twin * twin).sum(), [twin])
    assert host(x).tolist() == host(twin).tolist()
    assert len(a.state()) == 3


def test_empty_variables_are_no_trouble(variable):
    x, empty = variable([1.0]), variable(np.zeros((0, 3)))
    g = [backend.to_device(np.ones_like(host(v)), x.device) for v in (x, empty)]
    Adam(0.1).apply_gradients(list(zip(g, [x, empty], strict=True)))
    assert empty.shape == (0, 3)
    np.testing.assert_allclose(host(x), [0.9])


def test_a_frozen_variable_is_left_out(device):
    model = small_model(device)
    model[0].kernel.requires_grad = False
    optimizer = Adam()
    optimizer.create_slots(model.parameters())
    before = host(model[0].kernel).tolist()
    optimizer.minimize(loss_of(model), model.parameters())
    assert host(model[0].kernel).tolist() == before
    assert len(optimizer.state()) == 1 + 2 * 3


# ── state ────────────────────────────────────────────────────────────────────────────────────


@every_optimizer
@pytest.mark.parametrize("named", [True, False])
def test_a_saved_state_resumes_bit_for_bit(make, named, device):
    def named_model():
        model = small_model(device)
        if named:
            for name, parameter in model.named_parameters():
                parameter.name = name
        return model

    model, optimizer = named_model(), make(learning_rate=exponential_decay(0.1, 3, 0.5))
    for _ in range(4):
        optimizer.minimize(loss_of(model), model.parameters())
    saved = model.state(), optimizer.state()
    for _ in range(3):
        optimizer.minimize(loss_of(model), model.parameters())

    resumed, second = named_model(), make(learning_rate=exponential_decay(0.1, 3, 0.5))
    resumed.load_state(saved[0])
    second.create_slots(resumed.parameters())
    second.load_state(saved[1])
    for _ in range(3):
        second.minimize(loss_of(resumed), resumed.parameters())
    assert parameters_of(resumed) == parameters_of(model)
    assert second.steps == optimizer.steps == 7


def test_state_names(device):
    model = small_model(device)
    for name, parameter in model.named_parameters():
        parameter.name = name
    optimizer = Adam()
    optimizer.create_slots(model.parameters())
    assert list(optimizer.state()) == [
        "steps",
        "m.layers.0.kernel", "v.layers.0.kernel", "m.layers.0.bias", "v.layers.0.bias",
        "m.layers.1.kernel", "v.layers.1.kernel", "m.layers.1.bias", "v.layers.1.bias",
    ]  # fmt: skip
    state = optimizer.state()
    assert state["m.layers.0.kernel"].shape == (3, 4)
    state["m.layers.0.kernel"][:] = 9
    assert not optimizer.state()["m.layers.0.kernel"].any()
    assert list(SGD().state()) == ["steps"]


def test_variables_of_one_name_keep_their_own_moments():
    """Two Dense layers both call theirs `kernel` and `bias`."""
    optimizer = Adam()
    optimizer.create_slots(small_model().parameters())
    assert len(optimizer.state()) == 1 + 2 * 4


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.pop("v.b"), "v.b is on one side only"),
        (lambda s: s.update(extra=np.ones(1)), "extra is on one side only"),
        (lambda s: s.pop("steps"), "steps is on one side only"),
        (lambda s: s.update({"m.b": np.ones(3)}), r"m.b is \(3,\) float64, the variable \(2,\) f"),
        (lambda s: s.update({"m.b": np.ones(2, "float32")}), r"m.b is \(2,\) float32, the vari"),
    ],
)
def test_loading_a_state_is_all_or_nothing(damage, message, variable):
    a, b = variable([1.0], "a"), variable([1.0, 2.0], "b")
    optimizer = Adam()
    optimizer.minimize((a * b).sum())
    before = optimizer.state()
    state = {name: array + 1 for name, array in before.items()}
    damage(state)
    with pytest.raises(CheckpointError, match=message) as caught:
        optimizer.load_state(state)
    assert "Try: the checkpoint of the same model" in str(caught.value)
    assert {k: v.tolist() for k, v in optimizer.state().items()} == {
        k: v.tolist() for k, v in before.items()
    }


# ── schedules ────────────────────────────────────────────────────────────────────────────────


def rates(schedule, steps):
    return [schedule(step) for step in steps]


def test_schedules_by_hand():
    smooth = exponential_decay(0.1, 10, 0.5)
    assert rates(smooth, [0, 5, 10, 20]) == pytest.approx([0.1, 0.1 * 0.5**0.5, 0.05, 0.025])
    stairs = exponential_decay(0.1, 10, 0.5, staircase=True)
    assert rates(stairs, [0, 9, 10, 19, 20]) == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025])
    pieces = piecewise_constant([2, 4], [1.0, 0.5, 0.1])
    assert rates(pieces, range(7)) == [1, 1, 1, 0.5, 0.5, 0.1, 0.1]
    assert rates(piecewise_constant([], [0.3]), [0, 9]) == [0.3, 0.3]
    line = linear_decay(1.0, 0.2, 4)
    assert rates(line, [0, 1, 2, 4, 9]) == pytest.approx([1, 0.8, 0.6, 0.2, 0.2])


@every_optimizer
def test_a_schedule_is_asked_for_the_number_of_updates_made(make, variable):
    asked = []

    def schedule(step):
        asked.append(step)
        return 0.1

    x, twin = variable([1.0]), variable([1.0])
    scheduled, constant = make(learning_rate=schedule), make(learning_rate=0.1)
    for _ in range(3):
        scheduled.minimize((x * x).sum())
        constant.minimize((twin * twin).sum())
    assert asked == [0, 1, 2]
    assert host(x).tolist() == host(twin).tolist()


def test_a_scheduled_rate_is_the_one_used(variable):
    x = variable([0.0])
    one = backend.to_device(np.ones(1), x.device)
    optimizer = SGD(piecewise_constant([1], [1.0, 0.25]))
    for expected in (-1.0, -2.0, -2.25):
        optimizer.apply_gradients([(one, x)])
        assert host(x).tolist() == [expected]


def test_the_learning_rate_may_be_set_between_steps(variable):
    x = variable([0.0])
    one = backend.to_device(np.ones(1), x.device)
    optimizer = SGD(1.0)
    optimizer.apply_gradients([(one, x)])
    optimizer.learning_rate = 0.5
    optimizer.apply_gradients([(one, x)])
    assert host(x).tolist() == [-1.5]


# ── an optimizer of one's own ────────────────────────────────────────────────────────────────


def test_a_subclass_states_its_moments_and_its_rule(variable):
    class AdaGrad(Optimizer):
        slots: ClassVar = {"sum": 0.1}

        def _update(self, rate, w, g, *moments):
            (s,) = moments
            s += g * g
            w -= rate * g / np.sqrt(s)

    x = variable([1.0, 2.0])
    optimizer = AdaGrad(0.5)
    optimizer.minimize((x * x).sum())
    np.testing.assert_allclose(host(x), [1 - 0.5 * 2 / 4.1**0.5, 2 - 0.5 * 4 / 16.1**0.5])
    np.testing.assert_allclose(optimizer.state()["sum.0"], [4.1, 16.1])


def test_a_frozen_variable_is_refused():
    optimizer = SGD(1.0)
    with pytest.raises(GraphError, match="does not require gradients"):
        optimizer.apply_gradients([(np.ones(2), Tensor(np.ones(2)))])
    assert optimizer.steps == 0


def test_a_prepared_update_changes_nothing_until_it_is_made():
    w = Tensor(np.ones(2), requires_grad=True)
    update = SGD(1.0).prepare_update([(np.ones(2), w)])
    assert w.data.tolist() == [1, 1]
    update()
    assert w.data.tolist() == [0, 0]
