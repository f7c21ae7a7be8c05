"""The walk back: what it visits, what it frees, what it refuses, and what the modes change."""

import asyncio
import gc
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

from minigan import backend
from minigan.autograd import Op, Tensor, grad, no_grad, ops, record_source, stop_gradient
from minigan.autograd.engine import array_of, leaves_of
from minigan.errors import (
    DeviceError,
    DtypeError,
    GradientAccumulationWarning,
    GraphError,
    ShapeError,
)
from minigan.layers import Dense, Sequential
from minigan.losses import discriminator_loss, generator_loss
from minigan.optimizers import SGD


@pytest.fixture
def leaf(on_device):
    def make(values, name=None):
        return Tensor(on_device(values, "float64"), requires_grad=True, name=name)

    return make


def numbers(values):
    """Gradients as lists, for comparison."""
    return [None if g is None else backend.to_host(array_of(g)).tolist() for g in values]


# ── sums over all paths ──────────────────────────────────────────────────────────────────────


def test_every_use_of_a_value_adds_to_its_gradient(leaf):
    x = leaf([3.0])
    a = x * x  # 2x
    y = a * x + a + x + x  # 3x^2 + 2x + 2
    assert numbers(grad(y, x)) == [[35.0]]


def test_a_diamond_of_views(leaf):
    """Gradients that alias the cotangent are added without touching each other's memory."""
    x = leaf(np.arange(6.0).reshape(2, 3))
    v = x.reshape(3, 2).T
    y = (v + v).reshape(6) + x.reshape(6) + v.T.reshape(6)
    g = np.arange(6.0)
    expected = 2 * g.reshape(2, 3).T.reshape(2, 3) + 2 * g.reshape(2, 3)
    assert numbers(grad(y, x, backend.to_device(g, x.device))) == [expected.tolist()]
    assert g.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_of_zero_dimensional_values_are_arrays(create_graph, leaf):
    x = leaf(2.0)
    for y in [x + x, x * x, x + x + x, x.sum(), (x + 1.0) * x]:
        (g,) = grad(y, x, create_graph=create_graph)
        assert g.shape == ()
        assert backend.is_array(array_of(g))


def test_targets_may_be_anywhere(leaf):
    x, w = leaf(2.0), leaf(5.0)
    a = x * w
    y = a * a
    assert numbers(grad(y, [y, a, x, w], retain_graph=True)) == [1, 20, 100, 40]
    assert numbers(grad(y, [x, a, x])) == [100, 20, 100]


def test_a_target_in_the_middle_is_counted_once(leaf):
    x = leaf(3.0)
    a = x * x
    b = a * a
    assert numbers(grad(b + a, [a, x])) == [19, 19 * 6]


def test_unconnected_targets_get_none(leaf):
    x, other, constant = leaf(2.0), leaf(1.0), Tensor(np.ones(()))
    assert numbers(grad(x * 2.0, [other, x, constant])) == [None, 2, None]
    assert grad(x.detach() * 2.0, x) == [None]
    with no_grad():
        y = x * 2.0
    assert grad(y, x) == [None]


def test_several_outputs_add_up(leaf):
    x, w = leaf([1.0, 2.0]), leaf(3.0)
    y, z = x * w, x.sum() * w
    g = backend.to_device(np.array([10.0, 20.0]), x.device)
    assert numbers(grad([y, z], [x, w], [g, None])) == [[33, 63], 53]
    s = x.sum()
    assert numbers(grad([s, s], x)) == [[2, 2]]
    assert grad([], [x]) == [None]


def test_the_cotangent_may_be_a_number_or_a_tensor(leaf):
    x = leaf(3.0)
    assert numbers(grad(x * x, x, 2.0)) == [12]
    assert numbers(grad(x * x, x, Tensor(backend.to_device(np.array(2.0), x.device)))) == [12]


def test_a_cotangent_of_another_shape_is_refused(leaf):
    x = leaf([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"g has shape \(3,\), but y has \(2,\)\. Try"):
        grad(x * x, x, backend.to_device(np.ones(3), x.device))


# ── what is visited, what is freed ───────────────────────────────────────────────────────────


def counting_op():
    """x * w, and how often each pullback was asked for."""
    calls = [0, 0]

    def to_x(g, y, x, w):
        calls[0] += 1
        return g * w

    def to_w(g, y, x, w):
        calls[1] += 1
        return g * x

    product = Op(lambda x, w: x * w)
    product.pullbacks(to_x, to_w)
    return product, calls


def test_only_the_path_to_the_targets_is_computed(leaf):
    product, calls = counting_op()
    z, w_g, w_d = leaf(2.0), leaf(3.0), leaf(5.0)
    fake = product(z, w_g)
    score = product(fake, w_d)
    assert numbers(grad(score, w_d, retain_graph=True)) == [6]
    assert calls == [0, 1]  # not into the generator
    assert numbers(grad(score, w_g, retain_graph=True)) == [10]
    assert calls == [1, 2]  # through the discriminator, but not to its weight
    aside = product(fake, leaf(1.0))
    grad([score + 0.0, aside.detach()], fake)
    assert calls == [2, 2]


def test_each_pullback_runs_once_however_many_paths_lead_through_it(leaf):
    product, calls = counting_op()
    x = leaf(1.0)
    a = product(x, 2.0)
    for _ in range(20):
        a = a + a  # 2^20 paths
    assert numbers(grad(a, x)) == [2 * 2**20]
    assert calls == [1, 0]


def chain(x, length):
    for _ in range(length):
        x = -x
    return x


@pytest.mark.parametrize("length", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_deep_graph_needs_no_recursion(length):
    x = Tensor(1.0, requires_grad=True)
    limit = sys.getrecursionlimit()
    y = chain(x, length + 1)
    y.backward()
    assert x.grad == -1
    del y
    unused = chain(x, length)  # freed without a backward pass
    del unused
    assert sys.getrecursionlimit() == limit


def test_deep_graph_of_gradients():
    x = Tensor(1.0, requires_grad=True)
    (g,) = grad(chain(x, 10_000) * x, x, create_graph=True)
    assert grad(g, x) == [2.0]


@pytest.mark.parametrize("retain_graph", [False, True])
def test_memory_is_freed_on_the_way(retain_graph):
    """While the oldest op is pulled back, the younger ones' arrays are gone, unless retained."""
    alive = []
    oldest = Op(lambda x: x + 1)
    oldest.pullbacks(lambda g, y, x: (alive.append(youngest() is not None), g)[1])
    x = Tensor(np.ones(3), requires_grad=True)
    a = oldest(x)
    b = ops.exp(a)
    c = ops.exp(b)
    youngest = weakref.ref(c.data)
    y = c.sum()
    del b, c
    grad(y, x, retain_graph=retain_graph)
    assert alive == [retain_graph]
    assert (youngest() is not None) == retain_graph
    assert a.inputs == ((x,) if retain_graph else None)


def test_the_graph_dies_with_its_last_tensor_without_the_garbage_collector():
    gc.disable()
    try:
        x = Tensor(np.ones(3), requires_grad=True)
        a = x * 2.0
        memory = weakref.ref(a.data)
        y = (a * a).sum()
        del a
        assert memory() is not None
        del y
        assert memory() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("steps", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_training_does_not_grow_without_the_garbage_collector(steps):
    model = Sequential(Dense(3, ops.relu, in_features=2), Dense(1, in_features=3)).initialize(0)
    optimizer = SGD(0.01)
    x = np.random.default_rng(0).normal(size=(4, 2)).astype("float32")

    def train(steps):
        for _ in range(steps):
            optimizer.minimize(ops.square(model(x)).mean(), model.parameters())

    gc.disable()
    tracemalloc.start()
    try:
        train(1000)  # the interpreter's own caches fill
        before, _ = tracemalloc.get_traced_memory()
        train(steps)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert after - before < 5 * steps  # one forgotten object a step would be 16 bytes or more


# ── what is refused ──────────────────────────────────────────────────────────────────────────


def test_a_second_backward_pass_is_refused(leaf):
    x = leaf(2.0)
    y = ops.exp(x) * x
    y.backward()
    for again in (y.backward, lambda: grad(y, x), lambda: grad(y * 1.0, x)):
        with pytest.raises(GraphError) as caught:
            again()
        assert str(caught.value) == (
            "the graph behind the number made by multiply was freed by an earlier backward "
            "pass. Try: compute the value again, or pass retain_graph=True to the first pass."
        )
    y = ops.exp(x) * x  # the first try
    y.backward(retain_graph=True)  # the second
    y.backward()


def test_backward_needs_one_number(leaf):
    x = leaf([1.0, 2.0], "weights")
    with pytest.raises(GraphError) as caught:
        (x * 2.0).backward()
    assert str(caught.value) == (
        "backward() needs one number; the (2,) tensor made by multiply has shape (2,). "
        "Try: mean(loss), or pass a cotangent of shape (2,)."
    )
    with pytest.raises(GraphError, match=r'needs one number; "weights" has shape \(2,\)'):
        x.backward()
    ops.mean(x * 2.0).backward()
    (x * 2.0).backward(backend.to_device(np.ones(2), x.device))
    assert numbers([x.grad]) == [[3, 3]]
    y = leaf([[1.0]])
    y.backward()  # one number, whatever its shape
    assert numbers([y.grad]) == [[[1]]]


def test_backward_from_a_constant_is_refused(leaf):
    x = leaf(1.0)
    with no_grad():
        y = x * 2.0
    for constant in (y, x.detach(), Tensor(1.0)):
        with pytest.raises(GraphError, match="does not depend on any tensor that requires grad"):
            constant.backward()


@pytest.mark.parametrize("data", [1, True, [1, 2], np.ones(2, np.uint8)])
def test_integers_can_not_ask_for_gradients(data):
    with pytest.raises(DtypeError, match="gradients need floating-point numbers, not"):
        Tensor(data, requires_grad=True)
    assert not Tensor(data).requires_grad


def test_complex_numbers_may():
    x = Tensor(np.array([1 + 2j]), requires_grad=True)
    assert grad((x * 3.0).sum(), x)[0].tolist() == [3]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    "build",
    [
        lambda a, b: a + b,
        lambda a, b: a @ b,
        lambda a, b: ops.dense(a, a, b[0]),
        ops.maximum,
        lambda a, b: ops.where(a > 0, a, b),
        lambda a, b: ops.concatenate([a, b]),
    ],
)
def test_arrays_of_two_devices_do_not_mix(build, swapped):
    a, b = Tensor(np.ones((2, 2)), requires_grad=True), Tensor(np.ones((2, 2))).to("strict")
    if swapped:
        a, b = b, a
    with pytest.raises(DeviceError, match=r"is on \w+, another \(\d,.*nothing is copied") as caught:
        build(a, b)
    assert f'Try: x.to("{b.device}").' in str(caught.value)
    build(a.to(b.device), b)  # the try


@pytest.mark.parametrize(("device", "other"), [("cpu", "strict"), ("strict", "cpu")])
def test_assign_does_not_copy_between_devices(device, other):
    x = Tensor(np.ones(2)).to(device)
    value = backend.to_device(np.zeros(2), other)
    with pytest.raises(DeviceError) as caught:
        x.assign(value)
    assert str(caught.value).startswith(
        f"assign: the (2,) tensor is on {device}, the new value on {other}; nothing is copied"
    )
    assert (numbers([x.data]), x.changed) == ([[1, 1]], 0)
    x.assign(backend.to_device(value, device))  # the try
    first = x.changed
    assert (numbers([x.data]), first > 0) == ([[0, 0]], True)
    x.assign([3, 4])
    x.assign(Tensor(x.data * 2.0))
    assert (numbers([x.data]), x.changed > first) == ([[6, 8]], True)


# ── changed in place ─────────────────────────────────────────────────────────────────────────


def here():
    """The line of the caller, as messages write it."""
    return f"test_engine.py:{sys._getframe(1).f_lineno}"


def test_a_parameter_assigned_after_its_use_is_noticed(leaf):
    w = leaf([2.0], "w")
    y = w * w
    w.assign([3.0])
    with pytest.raises(GraphError) as caught:
        grad(y, w)
    assert str(caught.value).startswith('"w" was used by multiply, then changed in place, before')
    assert str(caught.value).endswith("wrap the code in record_source() to see the lines.")
    assert numbers(grad(w * w, w)) == [[6]]  # the try


def test_both_lines_are_named_when_sources_are_recorded(leaf):
    w, x = leaf([2.0], "w"), leaf([1.0])
    with record_source():
        y, used = w * x, here()
        _, changed = SGD(0.1).apply_gradients([(w.data, w)]), here()
    with pytest.raises(GraphError) as caught:
        grad(y, x)
    assert f'"w" was used by multiply at {used}, then changed in place at {changed}, before' in str(
        caught.value
    )
    assert "record_source" not in str(caught.value)


def test_the_tensor_that_changed_is_named_not_the_one_that_changed_most_often(leaf):
    w, b = leaf([2.0], "w"), leaf([1.0], "b")
    for _ in range(10):
        w.assign([2.0])
    y = w * b
    b.assign([0.0])
    with pytest.raises(GraphError, match='"b" was used by multiply, then changed'):
        grad(y, w)


def test_a_value_in_the_middle_that_changed_is_noticed(leaf):
    x = leaf([2.0])
    with record_source():
        a, made = ops.exp(x), here()
        y, used = a * 3.0, here()
        _, changed = a.assign([0.0]), here()
    the_a = f"the (1,) tensor made by exp at {made}"
    with pytest.raises(GraphError) as caught:
        grad(y, x)
    assert f"{the_a} was used by multiply at {used}, then changed in place at {changed}" in str(
        caught.value
    )
    with pytest.raises(GraphError) as caught:
        grad(a.sum(), x)
    assert f"{the_a} was computed, then changed in place at {changed}" in str(caught.value)


def test_changes_off_the_path_do_not_matter(leaf):
    x, w = leaf([2.0]), leaf([5.0])
    a = x * 3.0
    y = a * a + w * w
    w.assign([1.0])
    assert numbers(grad(y, x)) == [[36]]


def test_a_graph_of_gradients_notices_changes_too(leaf):
    x, w = leaf([2.0]), leaf([5.0], "w")
    (g,) = grad((x * w * x).sum(), x, create_graph=True)
    w.assign([1.0])
    with pytest.raises(GraphError, match='"w" was used by'):
        grad(g, x)


# ── .grad ────────────────────────────────────────────────────────────────────────────────────


def test_backward_adds_and_warns_only_after_an_update(leaf):
    x = leaf([2.0], "x")
    (x * 3.0).sum().backward()
    first = x.grad
    (x * 4.0).sum().backward()
    assert numbers([first, x.grad]) == [[3], [7]]
    x.assign([1.0])
    with pytest.warns(GradientAccumulationWarning, match=r'"x"\.grad still holds') as caught:
        (x * 5.0).sum().backward()
    assert caught[0].filename == __file__
    assert "Try: x.grad = None first" in str(caught[0].message)
    assert numbers([x.grad]) == [[12]]
    x.grad = None
    x.assign([1.0])
    (x * 5.0).sum().backward()
    (x * 6.0).sum().backward()  # the update came before both
    assert numbers([x.grad]) == [[11]]


def test_backward_reaches_every_leaf_and_can_create_a_graph(leaf):
    x, w, frozen = leaf(2.0), leaf(3.0), Tensor(backend.to_device(np.array(4.0), leaf(0).device))
    y = x * x * w * frozen
    assert leaves_of(y) == [x, w]
    y.backward(create_graph=True)
    assert frozen.grad is None
    assert numbers([x.grad, w.grad]) == [48, 16]
    assert numbers(grad(x.grad, [x, w])) == [24, 16]


def test_leaf_gradients_are_the_callers_own(leaf):
    x = leaf([1.0, 2.0])
    y = x + 0.0
    (a,) = grad(y, x, backend.to_device(np.ones(2), x.device), retain_graph=True)
    (b,) = grad(y, x, backend.to_device(np.ones(2), x.device))
    a *= 5.0
    assert numbers([b]) == [[1, 1]]


# ── two players ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def players(device):
    g = Sequential(Dense(6, ops.relu, in_features=3), Dense(4, ops.tanh, in_features=6))
    d = Sequential(Dense(5, ops.leaky_relu, in_features=4), Dense(1, in_features=5))
    rng = np.random.default_rng(0)
    g.initialize(1).to(device)
    d.initialize(2).to(device)
    real, z = (backend.to_device(rng.normal(size=(7, n)).astype("float32"), device) for n in (4, 3))
    return g, d, real, z


def test_one_generator_forward_serves_the_d_step_and_then_the_g_step(players):
    g, d, real, z = players
    fake = g(z)
    d_gradients = grad(discriminator_loss(d(real), d(fake)), d.parameters())
    separate = grad(discriminator_loss(d(real), d(g(z).detach())), d.parameters())
    assert numbers(d_gradients) == numbers(separate)
    SGD(0.1).apply_gradients(list(zip(d_gradients, d.parameters(), strict=True)))
    g_gradients = grad(generator_loss(d(fake)), g.parameters())
    assert numbers(g_gradients) == numbers(grad(generator_loss(d(g(z))), g.parameters()))
    assert not any(x is None for x in g_gradients)


def test_two_losses_over_one_forward_of_both_players(players):
    g, d, real, z = players
    fake_logits = d(g(z))
    d_loss, g_loss = discriminator_loss(d(real), fake_logits), generator_loss(fake_logits)
    d_gradients = grad(d_loss, d.parameters(), retain_graph=True)
    g_gradients = grad(g_loss, g.parameters())
    separate = generator_loss(d(g(z)))
    assert numbers(g_gradients) == numbers(grad(separate, g.parameters()))
    separate = discriminator_loss(d(real), d(g(z)))
    assert numbers(d_gradients) == numbers(grad(separate, d.parameters()))


def test_an_update_between_the_two_losses_is_noticed(players):
    g, d, real, z = players
    fake_logits = d(g(z))
    SGD(0.1).minimize(discriminator_loss(d(real), d(g(z))), d.parameters())
    with pytest.raises(GraphError, match=r"was used by dense, then changed in place"):
        grad(generator_loss(fake_logits), g.parameters())


# ── modes ────────────────────────────────────────────────────────────────────────────────────


def test_no_grad_records_nothing_and_ends_with_its_block(leaf):
    x = leaf(2.0)
    with no_grad():
        y = x * x
        assert (y.requires_grad, y.op, y.inputs) == (False, None, ())
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert (x * x).requires_grad


def test_no_grad_is_a_decorator(leaf):
    @no_grad()
    def sample(x):
        return x * x

    x = leaf(2.0)
    for _ in range(2):
        assert not sample(x).requires_grad
    assert (x * x).requires_grad


def test_each_thread_has_its_own_modes(leaf):
    x = leaf(2.0)
    recorded = []
    thread = threading.Thread(target=lambda: recorded.append((x * x).requires_grad))
    with no_grad():
        thread.start()
        thread.join()
        assert not (x * x).requires_grad
    assert recorded == [True]


def test_each_task_has_its_own_modes(leaf):
    x = leaf(2.0)

    async def sampler(entered, other_done):
        with no_grad():
            entered.set()
            await other_done.wait()
            return (x * x).requires_grad

    async def trainer(entered, other_done):
        await entered.wait()
        recorded = (x * x).requires_grad
        other_done.set()
        return recorded

    async def both():
        events = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(sampler(*events), trainer(*events))

    assert asyncio.run(both()) == [False, True]


def test_threads_differentiate_side_by_side(leaf):
    x = leaf(np.linspace(0.1, 1, 50))
    expected = numbers(grad(ops.exp(x * x).sum(), x))
    results = []

    def work():
        for _ in range(20):
            results.append(numbers(grad(ops.exp(x * x).sum(), x)) == expected)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 80


# ── values and ops ───────────────────────────────────────────────────────────────────────────


def test_detach_and_stop_gradient_share_the_data(leaf):
    x = leaf([1.0])
    assert x.detach().data is x.data
    assert not x.detach().requires_grad
    assert stop_gradient(x).data is x.data
    assert stop_gradient(x.data) is x.data
    assert Tensor(x).data is x.data


def test_an_op_of_ones_own(leaf):
    cube = Op(lambda x, scale=1.0: scale * x * x * x)
    cube.pullbacks(lambda g, y, x, scale: g * (3.0 * scale) * x * x)
    x = leaf([2.0])
    assert numbers(grad(cube(x), x)) == [[12]]
    assert numbers(grad(cube(x, scale=2.0), x)) == [[24]]
    (g,) = grad(cube(x, 2.0), x, create_graph=True)
    assert numbers(grad(g, x)) == [[24]]
    assert repr(cube) == "<op <lambda>(x, scale=1.0)>"


def test_an_op_without_pullbacks_computes_but_has_no_gradient(leaf):
    floor = Op(lambda x: x // 1)
    x = leaf([2.5])
    assert numbers([floor(x)]) == [[2]]
    with pytest.raises(GraphError, match=r"has no pullback for its input 'x'\. Try: x\.detach"):
        grad(floor(x), x, [1.0])
    assert numbers(grad(floor(x.detach()) * x, x, [1.0])) == [[2]]


def test_an_op_called_with_wrong_arguments_says_which(leaf):
    with pytest.raises(TypeError, match="unexpected keyword argument 'axes'"):
        ops.sum(leaf([1.0]), axes=0)
    with pytest.raises(TypeError, match="missing a required argument: 'w'"):
        ops.add(leaf([1.0]))


def test_names_and_ages():
    x = Tensor([1.0], requires_grad=True, name="x")
    y = x * 2.0
    z = y + x
    assert x.name == "x"
    assert y.name is None
    assert x.age < y.age < z.age
    assert (z.op.name, z.inputs) == ("add", (y, x))


def test_a_gradient_set_by_hand_is_added_to():
    x = Tensor(np.ones(2), requires_grad=True)
    x.grad = np.zeros(2)
    (x * 3.0).sum().backward()
    assert numbers([x.grad]) == [[3, 3]]
