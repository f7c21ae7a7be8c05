"""recompute: the same gradients to the bit, no trace in the modules, and less memory."""

import weakref
from functools import partial

import numpy as np
import pytest

from minigan import backend, recompute
from minigan import profile as take_profile
from minigan.autograd import Tensor, check_gradients, detect_anomaly, grad, no_grad, ops
from minigan.autograd.engine import array_of
from minigan.errors import ConfigError, GraphError, NonFiniteError
from minigan.gan import GAN, OBJECTIVES, Players, dcgan
from minigan.gan.spectral_norm import SpectralNorm
from minigan.initializers import GlorotUniform
from minigan.layers import BatchNorm, Conv2D, Dense, Dropout, LeakyReLU, Module, Sequential, Tanh
from minigan.losses import gradient_penalty
from minigan.optimizers import SGD, Adam
from minigan.regularizers import L2

RNG = np.random.default_rng(5)


def normal(*shape, dtype="float32"):
    return RNG.normal(size=shape).astype(dtype)


def variable(*shape, dtype="float64"):
    return Tensor(normal(*shape, dtype=dtype), requires_grad=True)


def host(x):
    return backend.to_host(array_of(x))


def network():
    """With averages that move, a counter of masks, and a vector that each pass improves."""
    return Sequential(
        Conv2D(4, 3, 2, in_channels=2),
        BatchNorm(0.75, in_channels=4),
        LeakyReLU(),
        Dropout(0.25, seed=3),
        SpectralNorm(Conv2D(3, 3, 2, in_channels=4)),
        Tanh(),
    ).initialize(1)


class Block(Module):
    """A module that recomputes a part of itself, which it calls by `self`."""

    def __init__(self):
        self.net = network()

    def forward(self, x):
        return recompute(lambda x: helper(self.net, x))(x)


class MethodOfItself(Module):
    """A module that recomputes one of its methods."""

    def __init__(self):
        self.net = [network()]

    def plain(self, x):
        return self.net[0](x)

    def forward(self, x):
        return recompute(self.plain)(x)


def helper(net, x):
    return net(x)


def by_a_function_inside():
    net = network()

    def plain(x):
        return net(x)

    return net, recompute(lambda x: plain(x) * 1)


def by_module():
    net = network()
    return net, recompute(net)


def by_attribute():
    block = Block()
    return block.net, block


def by_method():
    block = MethodOfItself()
    return block.net[0], block


def by_itself_twice():
    net = network()
    return net, recompute(recompute(net))


def by_layer():
    net = network()
    return net, Sequential(*map(recompute, net.layers))


def by_part_of_a_part():
    net = network()
    inner = recompute(lambda x: net.layers[2](net.layers[1](net.layers[0](x))))
    return net, recompute(Sequential(inner, *net.layers[3:]))


WAYS = [by_module, by_attribute, by_method, by_a_function_inside,
        by_itself_twice, by_layer, by_part_of_a_part]  # fmt: skip
every_way = pytest.mark.parametrize("way", WAYS)


# ── the same as without ──────────────────────────────────────────────────────────────────────


def one_step(net, f, place):
    """The result, the gradients of the input and all parameters, and the state afterwards."""
    rng = np.random.default_rng(0)
    x = Tensor(place(rng.normal(size=(4, 9, 9, 2)), "float32"), requires_grad=True)
    y = f(x)
    gradients = grad(ops.sum(y * y), [x, *net.parameters()])
    return [host(y), *map(host, gradients), *net.state().values()]


@every_way
def test_result_gradients_and_state_are_the_same_to_the_bit(way, device, on_device):
    expected = one_step(plain := network().to(device), plain, on_device)
    net, f = way()
    net.to(device)
    actual = one_step(net, f, on_device)
    for a, b in zip(expected, actual, strict=True):
        assert a.tobytes() == b.tobytes()


def test_a_training_run_is_the_same_to_the_bit():
    def run(wrap):
        gan = dcgan(g_filters=(4, 2), d_filters=(2, 4), hidden=8, latent_size=5)
        players = Players(
            GAN(wrap(gan.generator), wrap(gan.discriminator), 5),
            OBJECTIVES["cross-entropy"], Adam(1e-3), Adam(1e-3),
        )  # fmt: skip
        rng = np.random.default_rng(0)
        real, noise = rng.random((2, 6, 28, 28, 1), "float32"), rng.random((4, 6, 5), "float32")
        losses = [
            *players.alternating_step(real[0], noise[0], noise[1]),
            *players.simultaneous_step(real[1], noise[2]),
            *players.d_once_g_twice_step(real[0], noise[3]),
        ]
        return losses, gan.state()

    (losses, state), (plain_losses, plain_state) = run(recompute), run(lambda network: network)
    assert losses == plain_losses
    assert all(state[name].tobytes() == x.tobytes() for name, x in plain_state.items())


def test_parameters_made_at_the_first_call_are_reached():
    net = Sequential(Dense(3), BatchNorm(), Tanh())
    x = normal(5, 4)
    y = recompute(net)(x)
    moved = net.layers[1].moving_mean.copy()
    gradients = grad(ops.sum(y * y), net.parameters())
    assert [g.shape for g in gradients] == [(4, 3), (3,), (3,), (3,)]
    assert all(g.any() for g in (gradients[0], gradients[2], gradients[3]))
    np.testing.assert_array_equal(net.layers[1].moving_mean, moved)
    np.testing.assert_allclose(moved, 0.1 * (x @ host(net.layers[0].kernel)).mean(0), rtol=1e-5)


def test_what_happens_between_forward_and_backward_does_not_matter():
    """Other passes, another mode, a loaded state of the averages."""
    x, later = normal(4, 9, 9, 2), normal(2, 9, 9, 2)

    def gradients(wrap):
        net = network()
        y = wrap(net)(x)
        net(later)
        net.eval()
        net.layers[1].moving_mean += 1
        return grad(ops.sum(y * y), net.parameters()), net.state(), net.layers[1].training

    (plain, *rest), (recomputed, *same) = gradients(lambda net: net), gradients(recompute)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(plain, recomputed, strict=True))
    assert str(rest) == str(same)


def test_a_graph_that_is_kept_can_be_walked_again():
    net = network()
    y = ops.sum(recompute(net)(normal(4, 9, 9, 2)))
    first = grad(y, net.parameters(), retain_graph=True)
    second = grad(y, net.parameters())
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def test_inputs_of_all_kinds_and_the_same_one_twice():
    x, w = variable(3), variable(3)
    constant, shift = Tensor(normal(3)), 2.0

    def f(x, again, constant, shift, w):
        return x * again * w + constant * shift

    plain = grad(ops.sum(f(x, x, constant, shift, w)), [x, w])
    recomputed = grad(ops.sum(recompute(f)(x, x, constant, shift, w)), [x, w])
    np.testing.assert_array_equal(plain, recomputed)


@pytest.mark.parametrize("create_graph", [False, True])
def test_an_input_that_the_result_does_not_depend_on(create_graph):
    x, w = variable(3), variable(2)
    y = recompute(lambda x, w: x * 2)(x, w)
    to_x, to_w = grad(ops.sum(y), [x, w], create_graph=create_graph)
    assert host(to_x).tolist() == [2, 2, 2]
    assert host(to_w).tolist() == [0, 0]


def test_backward_works_where_nothing_is_recorded():
    x = variable(3)
    y = ops.sum(recompute(lambda x: x * x)(x))
    with no_grad():
        (g,) = grad(y, x)
    assert g.tolist() == (2 * x.data).tolist()


def test_each_cotangent_gets_its_own_gradients():
    x, w = variable(3), variable(3)
    y = recompute(ops.multiply)(x, w)
    _, to_x, to_w = y.op.rules_for(y.inputs)
    g = np.ones(3)
    np.testing.assert_array_equal(to_x(g, y.data, *y.arrays), w.data)
    np.testing.assert_array_equal(to_w(3 * g, y.data, *y.arrays), 3 * x.data)


def test_what_needs_no_gradient_is_handed_through():
    x, array = variable(3), normal(3)
    assert recompute(lambda x: x)(x) is x
    assert recompute(ops.exp)(array).tobytes() == np.exp(array).tobytes()
    assert not recompute(ops.exp)(Tensor(array)).requires_grad
    w = variable(3)
    assert recompute(lambda x: w)(x) is w


# ── proof by numbers ─────────────────────────────────────────────────────────────────────────


def test_the_checker_proves_two_orders_of_a_network_of_recomputed_parts():
    net = Sequential(
        recompute(Sequential(Dense(2, in_features=2), BatchNorm(in_channels=2), Tanh())),
        recompute(Dense(1, Tanh(), in_features=2)),
    ).initialize(0)
    zero = ["layers.0.function.layers.0.bias"]  # of which batch norm takes the mean
    check_gradients(net, normal(3, 2, dtype="float64"), zero=zero)


def test_the_checker_proves_masks_that_are_drawn_again():
    check_gradients(recompute(Sequential(Tanh(), Dropout(0.5, seed=1), Tanh())), normal(2, 3))


def test_the_checker_proves_three_orders_of_a_function_used_twice_with_a_weight_in_common():
    w = variable(3)
    f = recompute(lambda x, w: ops.tanh(x * w) * x)
    report = check_gradients(lambda x, w: f(f(x, w), w), normal(3), host(w), order=3)
    assert max(report.worst) < 1e-12


def test_a_weight_in_common_is_not_counted_twice():
    """The second block's input depends on the weight, too; that part belongs to the first."""
    float64 = {"kernel_initializer": GlorotUniform(dtype="float64"), "use_bias": False}
    net = Dense(3, Tanh(), in_features=3, **float64).initialize(0)
    x = normal(2, 3, dtype="float64")

    def derivatives(f):
        parameters = net.parameters()
        y = f(f(Tensor(x)))
        first = grad(ops.sum(y * y), parameters, create_graph=True)
        second = grad(sum(ops.sum(g * g) for g in first), parameters)
        return [host(g) for g in (*first, *second)]

    for a, b in zip(derivatives(net), derivatives(recompute(net)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_gradient_penalty_through_a_recomputed_critic():
    critic = Sequential(Dense(8, Tanh(), in_features=5), Dense(1, in_features=8)).initialize(0)
    real, fake, mix = normal(6, 5), normal(6, 5), RNG.random((6, 1), dtype="float32")

    def gradients(f):
        return grad(gradient_penalty(f, real, fake, mix), critic.parameters()[:3])

    for a, b in zip(gradients(critic), gradients(recompute(critic)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


# ── what it costs, and saves ─────────────────────────────────────────────────────────────────


def counted():
    """Three dense layers, and how often they have been called."""
    calls = []
    net = Sequential(*(Dense(4, Tanh(), in_features=4) for _ in range(3)))
    return net, counting(calls, net), calls


def test_backward_runs_it_once_for_all_parameters_and_inputs():
    net, f, calls = counted()
    x = variable(2, 4, dtype="float32")
    y = recompute(f)(x)
    assert len(calls) == 1
    grad(ops.sum(y), [*net.parameters(), x])
    assert len(calls) == 2


def test_without_recording_it_runs_once_and_records_nothing():
    _, f, calls = counted()
    with no_grad():
        y = recompute(f)(normal(2, 4))
    assert not y.requires_grad
    assert len(calls) == 1


def test_gradients_that_nobody_wants_are_not_computed(monkeypatch):
    """In G's step: the gradient of D's input, but not of D's kernels."""
    D = Sequential(Conv2D(2, 3, in_channels=1), Conv2D(2, 3, in_channels=2))
    x, filters, convolve = Tensor(normal(1, 5, 5, 1), requires_grad=True), [], ops.conv2d_filter
    monkeypatch.setattr(convolve, "forward", counting(filters, convolve.forward))
    for wanted, count in [([x], 0), (D.parameters(), 2), ([x, *D.parameters()], 2)]:
        filters.clear()
        grad(ops.sum(recompute(D)(x)), wanted)
        assert len(filters) == count


def counting(calls, function):
    def counted(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return counted


def test_inner_values_die_after_forward_and_after_backward():
    alive = []

    def f(x):
        for _ in range(4):
            x = ops.tanh(x)
            alive.append(weakref.ref(x.data))
        return x

    def count():
        return sum(reference() is not None for reference in alive)

    x = variable(5)
    plain = f(x)
    assert count() == 4
    del plain
    assert count() == 0
    y = recompute(f)(x)
    assert count() == 1  # the result
    grad(ops.sum(y), x)
    del y
    assert count() == 0


def test_sixteen_layers_in_four_parts_need_half_the_memory():
    """2 sqrt(n) values instead of n, and the gradients of all kernels in both."""
    x = Tensor(normal(1000, 4), requires_grad=True)
    layers = [Dense(4, Tanh(), in_features=4) for _ in range(16)]
    parts = [recompute(Sequential(*layers[i : i + 4])) for i in range(0, 16, 4)]

    def peak(net):
        with take_profile() as profile:
            grad(ops.sum(net(x)), [x, *net.parameters()])
        return profile.by("op").total.memory.peak

    assert peak(Sequential(*parts)) < 0.5 * peak(Sequential(*layers))


# ── the tree ─────────────────────────────────────────────────────────────────────────────────


def test_the_module_inside_stays_in_the_tree():
    net = recompute(Dense(2, in_features=3, name="top"))
    assert [name for name, _ in net.named_parameters()] == ["function.kernel", "function.bias"]
    assert not net.eval().function.training
    optimizer = SGD(1.0)
    before = host(net.function.kernel).copy()
    optimizer.minimize(ops.sum(net(normal(4, 3))), net.parameters())
    assert (before != host(net.function.kernel)).all()


# ── refusals ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("f", [3, partial(ops.exp, 1.0), np.exp, None])
def test_only_functions_and_modules_can_be_recomputed(f):
    with pytest.raises(ConfigError, match=r"must be a Module or a function\. Try: recompute\(la"):
        recompute(f)


def test_several_results_are_refused_and_what_the_message_says_works():
    x = variable(4)
    with pytest.raises(ConfigError, match="f returned 2 values"):
        recompute(lambda x: (x * 2, x * x))(x)
    both = recompute(lambda x: ops.concatenate([x * 2, x * x]))(x)
    double, square = ops.split(both, 2)
    (g,) = grad(ops.sum(double + square), x)
    np.testing.assert_allclose(g, 2 + 2 * x.data)


def test_a_computed_tensor_from_outside_must_be_an_input():
    x, w = variable(3), variable(3)
    skip = w * 2
    with pytest.raises(GraphError, match=r"uses the \(3,\) tensor made by multiply, which was"):
        recompute(lambda x: x * skip)(x)
    y = recompute(lambda x, skip: x * skip)(x, skip)
    assert grad(ops.sum(y), w)[0].tolist() == (2 * x.data).tolist()
    assert grad(ops.sum(recompute(lambda x: x * skip.detach())(x)), w) == [None]


def test_randomness_of_its_own_is_noticed():
    x, rng = variable(3), np.random.default_rng(0)
    y = recompute(lambda x: x * rng.random(3))(x)
    with pytest.raises(GraphError, match="made something else of the same inputs"):
        grad(ops.sum(y), x)


def growing_by(error):
    """A function that makes a little more of x at every call."""
    calls = []
    return counting(calls, lambda x: x * (1 + error * len(calls)))


def test_rounding_is_forgiven_and_more_is_not():
    """BLAS may share a product among other threads the second time."""
    x = variable(3, dtype="float32")
    (g,) = grad(ops.sum(recompute(growing_by(1e-6))(x)), x)
    np.testing.assert_allclose(g, 1, rtol=1e-5)
    y = recompute(growing_by(1e-3))(x)
    with pytest.raises(GraphError, match="made something else"):
        grad(ops.sum(y), x)


def test_changed_data_is_noticed():
    x, w, data = variable(3), variable(3), normal(3)
    y = recompute(lambda x, data: x * w * data)(x, data)
    data += 1
    with pytest.raises(GraphError, match="data that nobody changes"):
        grad(ops.sum(y), w)
    y = recompute(lambda x: x * w)(x)
    w.assign(np.zeros(3))
    with pytest.raises(GraphError, match="changed in place"):
        grad(ops.sum(y), w)


def test_a_penalty_on_activities_inside_is_refused():
    layer = Dense(2, activity_regularizer=L2(0.1), in_features=3)
    with pytest.raises(GraphError, match="Dense keeps a value of its forward pass, _activity"):
        recompute(layer)(normal(4, 3))


def test_a_failing_second_run_leaves_the_modules_as_they_are():
    net = network()
    failing = []

    def f(x):
        y = net(x)
        if failing:
            raise RuntimeError("out of memory")
        return y

    y = recompute(f)(normal(4, 9, 9, 2))
    state = net.state()
    failing.append(True)
    with pytest.raises(RuntimeError, match="out of memory"):
        grad(ops.sum(y), net.parameters())
    assert all((state[name] == x).all() for name, x in net.state().items())


def test_nan_is_not_taken_for_another_result_and_anomalies_are_found():
    x = Tensor(np.array([-1.0, 1.0]), requires_grad=True)
    with np.errstate(all="ignore"):
        y = recompute(ops.log)(x)
        (g,) = grad(ops.sum(y), x)
    assert g.tolist() == [-1, 1]
    with detect_anomaly(), pytest.raises(NonFiniteError, match="log"):
        recompute(ops.log)(x)
