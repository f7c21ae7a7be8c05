"""Every op, layer and loss against the tables in minigan/testing/specifications.

An op, a pullback or a keyword that no row uses fails; `check_gradients` judges the derivatives,
the memory layouts and float32's gradients, the tests here everything else.
"""

import inspect

import numpy as np
import pytest

import minigan.gan.models
import minigan.layers
import minigan.losses
import minigan.regularizers
from minigan import backend
from minigan.autograd import Tensor, grad, ops
from minigan.autograd.engine import array_of
from minigan.autograd.operators import registry
from minigan.errors import GradientError
from minigan.gan.objectives import OBJECTIVES
from minigan.layers import Module
from minigan.testing.specifications import all_specifications

SPECIFICATIONS = all_specifications()
OPS = {n: op for n, op in registry.items() if op.forward.__module__.startswith("minigan.")}
OF_OPS = [s for s in SPECIFICATIONS if s.name in {*OPS, *ops.__all__}]

every_specification = pytest.mark.parametrize("specification", SPECIFICATIONS, ids=str)
every_op = pytest.mark.parametrize("specification", OF_OPS, ids=str)


def rows_of(name):
    return [s for s in SPECIFICATIONS if s.name == name]


def is_differentiable(x):
    return backend.is_array(x) and x.dtype.kind == "f"


# ── the tables are complete ──────────────────────────────────────────────────────────────────


def public_classes(module, parent):
    classes = [x for x in vars(module).values() if inspect.isclass(x) and issubclass(x, parent)]
    return {c.__name__ for c in classes if c.__module__.startswith(module.__name__)}


def test_every_op_has_a_specification():
    assert {s.name for s in OF_OPS} == {*OPS, *ops.__all__}


def test_every_layer_network_loss_and_regularizer_has_a_specification():
    named = {s.name for s in SPECIFICATIONS}
    assert named >= public_classes(minigan.layers, Module) - {"Module"}
    assert named >= public_classes(minigan.gan.models, Module) - {"GAN"}
    assert named >= public_classes(minigan.regularizers, object)
    assert named >= {
        name
        for name, f in vars(minigan.losses).items()
        if inspect.isfunction(f) and f.__module__ == "minigan.losses"
    }
    assert named >= {f"{name} {player}" for name in OBJECTIVES for player in "DG"}


def assert_every_keyword_is_tried(name, parameters):
    for parameter in parameters:
        if parameter.default is not parameter.empty:
            rows = [s for s in rows_of(name) if parameter.name in s.keywords]
            assert any(s.keywords[parameter.name] != parameter.default for s in rows), parameter


@pytest.mark.parametrize("name", ops.__all__)
def test_every_keyword_of_an_op_has_another_value_than_the_default(name):
    signature = inspect.signature(getattr(ops, name))
    assert_every_keyword_is_tried(name, signature.parameters.values())


NOT_OF_THE_FUNCTION = {"kernel_initializer", "bias_initializer", "gamma_initializer",
                       "beta_initializer", "kernel_constraint", "bias_constraint", "trainable",
                       "name", "in_features", "in_channels"}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in minigan.layers.__all__ if n != "Parameter"])
def test_every_keyword_that_changes_what_a_layer_computes_is_tried(name):
    parameters = inspect.signature(getattr(minigan.layers, name)).parameters
    assert_every_keyword_is_tried(
        name, [p for p in parameters.values() if p.name not in NOT_OF_THE_FUNCTION]
    )


@pytest.mark.parametrize("name", sorted(public_classes(minigan.regularizers, object)))
def test_every_regularizer_is_tried_with_another_scale(name):
    parameters = inspect.signature(getattr(minigan.regularizers, name)).parameters
    assert_every_keyword_is_tried(name, parameters.values())


@pytest.mark.parametrize("name", OPS)
def test_every_pullback_has_a_specification(name):
    inputs = zip(*[s.draw(0) for s in rows_of(name)], strict=False)
    tried = [i for i, column in enumerate(inputs) if any(map(is_differentiable, column))]
    rules = [i for i, rule in enumerate(OPS[name].rules) if rule is not None]
    assert tried if OPS[name].variadic else tried == rules


# ── values ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def place(device):
    """The inputs of a specification on the device, the differentiable ones as Tensors of a dtype;
    and those alone."""

    def tensor(x, dtype):
        return Tensor(x.astype(dtype), requires_grad=True) if is_differentiable(x) else x

    def place(specification, dtype="float64"):
        inputs = [tensor(x, dtype) for x in specification.draw(0, device)]
        return inputs, [x for x in inputs if isinstance(x, Tensor)]

    return place


def host(x):
    return backend.to_host(array_of(x))


def random_like(y):
    g = np.random.default_rng(1).normal(size=y.shape)
    return backend.asarray(g.astype(y.dtype), device=y.device)


@every_specification
def test_value(specification, place):
    y = specification(*place(specification)[0])
    extended = [x.astype(np.longdouble) if is_differentiable(x) else x
                for x in specification.draw(0)]  # fmt: skip
    expected = np.asarray(specification.expected(*extended), np.float64)
    np.testing.assert_allclose(host(y), expected, rtol=1e-13, atol=1e-14)
    assert y.shape == expected.shape


@every_op
def test_arrays_in_array_out(specification, place):
    inputs, _ = place(specification)
    y = specification(*map(array_of, inputs))
    assert not isinstance(y, Tensor)
    np.testing.assert_array_equal(
        np.asarray(y) if isinstance(y, np.generic) else backend.to_host(y),
        host(specification(*inputs)),
    )


@every_specification
def test_float32_stays_float32(specification, place):
    inputs, targets = place(specification, "float32")
    y = specification(*inputs)
    assert y.dtype == (np.float64 if specification.name == "astype" else np.float32)
    exact = specification(*place(specification)[0])
    np.testing.assert_allclose(host(y), host(exact), rtol=2e-5, atol=2e-5)
    for create_graph in (True, False):
        for gradient in grad(y, targets, random_like(y), create_graph):
            assert gradient is None or gradient.dtype == np.float32


VIEWS = {"reshape", "transpose", "swapaxes", "expand_dims", "squeeze", "broadcast_to", "getitem",
         "split", "to_device"}  # fmt: skip


@every_op
def test_only_views_share_memory(specification, place):
    inputs, targets = place(specification)
    y = specification(*inputs)
    if specification.name not in VIEWS:
        assert not any(np.may_share_memory(y.data, x.data) for x in targets)


# ── derivatives ──────────────────────────────────────────────────────────────────────────────


@every_specification
def test_derivatives(specification, device):
    assert not specification.check(device=device).kinks


RULES = [
    (name, position)
    for name, op in OPS.items()
    for position, rule in enumerate(op.rules)
    if rule is not None
]


@pytest.mark.parametrize(("name", "position"), RULES)
def test_a_pullback_wrong_by_a_thousandth_is_noticed(name, position, device, monkeypatch):
    op = registry[name]
    right = op.rules[position]
    rules = [*op.rules]
    rules[position] = lambda *inputs: 1.001 * right(*inputs)
    monkeypatch.setattr(op, "rules", tuple(rules))
    with pytest.raises(GradientError, match=f"{name}: the gradient to .* is wrong"):
        check_all(rows_of(name), device)


def check_all(specifications, device):
    for specification in specifications:
        specification.check(device=device, order=1, dtypes=(), layouts=False)
