"""The stand-in for CuPy's array: it computes what NumPy does and refuses what CuPy refuses.

The last tests compare its tables with an installed CuPy; they need no GPU.
"""

import inspect
import operator
import re
from enum import IntEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigan import backend
from minigan.testing import strict
from minigan.testing.strict import StrictArray


def place(values, dtype="float64"):
    return backend.asarray(values, dtype, "strict")


@pytest.fixture
def x():
    return place([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


# ── it computes what NumPy computes ──────────────────────────────────────────────────────────


def check_same(strict_result, numpy_result):
    """Equal values, dtype and shape; every array and every scalar is a StrictArray."""
    if isinstance(numpy_result, list | tuple):
        assert type(strict_result) is type(numpy_result)
        for ours, theirs in zip(strict_result, numpy_result, strict=True):
            check_same(ours, theirs)
    else:
        assert type(strict_result) is StrictArray
        np.testing.assert_array_equal(strict_result.get(), numpy_result, strict=True)


EXPRESSIONS = {
    "operators": lambda a: -(2 * a + a / 3 - a**2 % 5) // 2,
    "comparisons": lambda a: ((a > 2) & (a <= 5)) | (a == 1) | ~(a != 3),
    "scalars": lambda a: a * np.float32(2) + np.float64(1) - True,
    "functions": lambda a: np.exp(-np.abs(a)) + np.log1p(a) + np.maximum(a, 2),
    "dtypes": lambda a: np.add(a, 1, dtype="float64"),
    "two results": lambda a: np.modf(a / 4),
    "matmul": lambda a: a @ a.T,
    "inner product": lambda a: a[0] @ a[1],
    "add.reduce": lambda a: np.add.reduce(a, axis=1, keepdims=True),
    "multiply.accumulate": lambda a: np.multiply.accumulate(a, axis=1),
    "subtract.outer": lambda a: np.subtract.outer(a[0], a[1]),
    "shapes": lambda a: np.moveaxis(np.expand_dims(a, (0, 2)).squeeze(0), 0, -1).reshape(-1, 2),
    "transpose": lambda a: a.transpose(1, 0).swapaxes(0, 1).ravel(),
    "broadcast_to": lambda a: np.broadcast_to(a, (4, 2, 3)),
    "concatenate": lambda a: np.concatenate([a, a], axis=1),
    "stack": lambda a: np.stack((a, 2 * a)),
    "split": lambda a: np.split(a, [1, 2], axis=1),
    "pad": lambda a: np.pad(a, [(1, 0), (0, 2)], constant_values=7),
    "where": lambda a: np.where(a > 2, a, 0.5),
    "clip": lambda a: np.clip(a, 2, None),
    "likes": lambda a: np.full_like(a, 3, shape=(2,)) + np.zeros_like(a, "int32", shape=(2,)),
    "reductions": lambda a: np.sum(a, axis=(0, 1)) + np.mean(a) * a.var(ddof=1) - a.max(),
    "argmax": lambda a: a.argmax(axis=1),
    "array_equal": lambda a: np.array_equal(a, a + 0),
    "einsum": lambda a: np.einsum("ij,kj->ik", a, a),
    "tensordot": lambda a: np.tensordot(a, a, axes=([1], [1])),
    "take": lambda a: np.take(a, [2, 0], axis=1),
    "repeat and tile": lambda a: np.tile(np.repeat(a, 2, axis=0), (1, 2)),
    "one element": lambda a: a[1, 2],
    "slices": lambda a: a[::-1, None, 1:],
    "integers": lambda a: a[[0, 1, 0], np.array([2, 1, 0])],
    "a mask": lambda a: a[a > 2],
    "iteration": list,
    "astype": lambda a: a.astype("float32").astype("int64"),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_as_numpy(name, dtype):
    a = np.arange(1, 7, dtype=dtype).reshape(2, 3)
    check_same(EXPRESSIONS[name](place(a, dtype)), EXPRESSIONS[name](a))


@given(
    hnp.arrays("float64", hnp.array_shapes(max_dims=3), elements=st.floats(-9, 9)),
    st.data(),
)
def test_indexing_reads_and_writes_as_numpy_does(a, data):
    index = data.draw(hnp.basic_indices(a.shape, allow_newaxis=True))
    x = place(a)
    check_same(x[index], a[index])
    x[index] = -1
    a = a.copy()
    a[index] = -1
    check_same(x, a)


def test_it_has_its_own_memory():
    a = np.zeros(3)
    x = place(a)
    x += 1
    back = backend.to_host(x)
    back += 1
    assert a.tolist() == [0, 0, 0]
    assert x.tolist() == [1, 1, 1]


def test_views_share_memory_and_copies_do_not(x):
    views = [x[0], x[0, 0], x[:, 1:], x.T, x.reshape(-1), x.ravel(), np.broadcast_to(x, (2, 2, 3))]
    for view in views:
        assert np.shares_memory(view, x)
        assert view.base is not None
    for copy in (x.copy(), x.astype("float64"), x[[0, 1]], x.T.ravel(), x.flatten(), x + 0):
        assert not np.shares_memory(copy, x)
    assert x.astype("float64", copy=False) is x
    x[0, 0].fill(9)
    x.T[1] *= 10
    assert x.tolist() == [[9, 20, 3], [4, 50, 6]]


def test_in_place_and_out(x):
    before = x
    x += 1
    x *= x
    assert x is before
    assert np.exp(x, out=x) is x
    np.copyto(x, 0.5, where=x > np.exp(10))
    np.add.at(x, np.array([0, 0]), place([1, 1, 1]))
    assert x.get()[1].tolist() == [0.5, 0.5, 0.5]
    assert x.get()[0] == pytest.approx(np.exp([4, 9, 0]) * [1, 1, 0] + [2, 2, 2.5])


def test_what_it_is(x):
    assert (x.shape, x.ndim, x.size, x.nbytes, x.strides) == ((2, 3), 2, 6, 48, (24, 8))
    assert x.dtype == np.float64
    assert x.flags.c_contiguous
    assert not x.T.flags.c_contiguous
    assert backend.is_array(x)
    assert backend.device_of(x) == "strict"


def test_full_reductions_stay_on_the_device(x):
    for y in (x.sum(), np.mean(x), x.max(), x.all(), np.dot(x[0], x[0]), x[0, 0]):
        assert type(y) is StrictArray
        assert y.shape == ()


def test_a_gpu_never_warns_of_overflow(x):
    with np.errstate(all="raise"):
        assert np.exp(x * 1000).tolist() == [[np.inf] * 3] * 2
        assert np.isnan((x - x) / 0).all()


def test_memory_from_empty_like_is_not_zero(x):
    assert np.isnan(np.empty_like(x)).all()
    assert np.isnan(np.empty_like(x, "float32", shape=(5,))).all()


@pytest.mark.parametrize(
    ("wait", "times"),
    [
        (float, 1),
        (int, 1),
        (bool, 1),
        (complex, 1),
        (lambda y: y.item(), 1),
        (lambda y: y.tolist(), 1),
        (repr, 1),
        (backend.to_host, 1),
        (lambda y: y.reshape(1)[y.reshape(1) > 0], 1),
        (lambda y: np.nonzero(y.reshape(1)), 1),
        (lambda y: np.where(y.reshape(1) > 0), 1),
        (lambda y: np.where(y > 0, y + y, np.exp(y)).sum(), 0),
    ],
)
def test_waiting_for_the_gpu_is_counted(wait, times, monkeypatch):
    monkeypatch.setattr(StrictArray, "synchronizations", 0)
    wait(place(2.0))
    assert StrictArray.synchronizations == times


# ── it refuses what CuPy refuses ─────────────────────────────────────────────────────────────


class Count(IntEnum):
    TWO = 2


HOST = np.ones((2, 3))

REFUSED = {
    "np.asarray": np.asarray,
    "np.array of elements": lambda x: np.array([x[0, 0], x[0, 1]]),
    "x + ndarray": lambda x: x + HOST,
    "ndarray + x": lambda x: HOST + x,
    "x + 0-d ndarray": lambda x: x + np.array(1.0),
    "x += ndarray": lambda x: operator.iadd(x, HOST),
    "x + list": lambda x: operator.add(x, [1, 2, 3]),
    "list + x": lambda x: operator.add([1, 2, 3], x),
    "x + enum": lambda x: x + Count.TWO,
    "x @ ndarray": lambda x: x @ HOST.T,
    "x > ndarray": lambda x: x > HOST,
    "maximum with a list": lambda x: np.maximum(x, [1, 2, 3]),
    "out=ndarray": lambda x: np.exp(x, out=np.ones((2, 3))),
    "ufunc where=": lambda x: np.exp(x, out=x, where=x > 0),
    "ufunc that CuPy lacks": lambda x: np.vecdot(x, x),
    "sum where=": lambda x: np.sum(x, where=x > 0),
    "sum initial=": lambda x: np.sum(x, initial=1),
    "method where=": lambda x: x.mean(where=x > 0),
    "maximum.reduce": np.maximum.reduce,
    "add.reduce initial=": lambda x: np.add.reduce(x, initial=1),
    "multiply.at": lambda x: np.multiply.at(x, np.array([0]), 2),
    "add.at with a tuple": lambda x: np.add.at(x, (np.array([0]), np.array([0])), 1),
    "add.at with a slice": lambda x: np.add.at(x, slice(0, 1), 1),
    "where with an ndarray": lambda x: np.where(HOST > 0, x, x),
    "where with a bare condition": lambda x: np.where(True, x, x),
    "where with a list": lambda x: np.where(x > 0, x, [1, 2, 3]),
    "concatenate": lambda x: np.concatenate([x, HOST]),
    "concatenate a list": lambda x: np.concatenate([x, [[1, 2, 3]]]),
    "dot": lambda x: np.dot(x, HOST.T),
    "full_like": lambda x: np.full_like(x, HOST),
    "zeros_like shape=()": lambda x: np.zeros_like(x, shape=()),
    "zeros_like subok=": lambda x: np.zeros_like(x, subok=True),
    "zeros_like device=": lambda x: np.zeros_like(x, device="cpu"),
    "reshape shape=": lambda x: np.reshape(x, shape=(-1,)),
    "clip min=": lambda x: np.clip(x, min=0, max=1),
    "argmax third positional": lambda x: np.argmax(x, 0, None),
    "a function not in the table": lambda x: np.percentile(x, 50),
    "linalg.norm": np.linalg.norm,
    "astype casting=": lambda x: x.astype("float32", casting="same_kind"),
    "item(0)": lambda x: x.item(0),
    "range(0-d)": lambda x: range(x.astype("int64")[0, 0]),
    "slice by 0-d": lambda x: x[: x[0, 0].astype("int64")],
}
NEW_IN_NUMPY_2_1 = ("reshape shape=", "clip min=")


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_type_error_though_numpy_does_it(name, x):
    with pytest.raises(TypeError):
        REFUSED[name](x)
    if name not in NEW_IN_NUMPY_2_1:
        REFUSED[name](x.get())


@pytest.mark.parametrize("use", [hash, list, len])
def test_a_0d_array_is_no_sequence(use, x):
    with pytest.raises(TypeError):
        use(x.sum())


@pytest.mark.parametrize("value", [HOST, HOST[0], [1, 2, 3], [1]])
def test_host_values_are_not_assigned(value, x):
    with pytest.raises(ValueError, match="mixes the device"):
        x[:] = value


def test_scalars_are_assigned(x):
    x[0], x[1] = np.array(5.0), np.float32(6)
    assert x.tolist() == [[5, 5, 5], [6, 6, 6]]


@pytest.mark.parametrize("name", ["writeable_view", "__array_interface__", "resize", "put", "data"])
def test_attributes_that_are_not_known_to_work(name, x):
    with pytest.raises(AttributeError, match=f"^{name} is not among .* Try: "):
        getattr(x, name)


@pytest.mark.parametrize("values", [np.zeros(2, np.longdouble), np.array(["a"]), np.array([None])])
def test_dtypes_that_a_gpu_does_not_have(values):
    with pytest.raises(ValueError, match="Unsupported dtype"):
        backend.to_device(values, "strict")


def test_the_messages_say_what_to_do(x):
    for refused in ("x + ndarray", "where with a list", "concatenate"):
        with pytest.raises(TypeError, match=r"Try: backend\.to_device\(x, device\)"):
            REFUSED[refused](x)
    with pytest.raises(TypeError, match=r"linalg\.norm is not among.*add its CuPy signature"):
        REFUSED["linalg.norm"](x)
    with pytest.raises(TypeError, match="CuPy's sum: got an unexpected keyword argument 'where'"):
        REFUSED["sum where="](x)


# ── its tables agree with the real CuPy ──────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def cupy():
    return pytest.importorskip("cupy", exc_type=ImportError)


def parameters_of(function):
    return list(inspect.signature(function).parameters.values())


def check_row(row, theirs, name):
    """Positional parameters are CuPy's first ones, in order; the others exist there."""
    ours = parameters_of(row)
    by_name = {p.name: p for p in theirs}
    positional = [p for p in ours if p.kind is not p.KEYWORD_ONLY]
    assert [p.name for p in positional] == [p.name for p in theirs[: len(positional)]], name
    takes_any_keyword = any(p.kind is p.VAR_KEYWORD for p in theirs)
    for parameter in ours:
        if parameter.name not in by_name:
            assert takes_any_keyword, f"{name} has no {parameter.name}"
        else:
            assert by_name[parameter.name].default == parameter.default, (name, parameter.name)


def test_functions_conform(cupy):
    for name, row in strict.FUNCTIONS.items():
        check_row(row, parameters_of(getattr(cupy, name)), name)


def test_methods_conform(cupy):
    """The compiled methods have no signature, but the first line of their docstring is one."""
    for name, row in strict.METHODS.items():
        line = getattr(cupy.ndarray, name).__doc__.splitlines()[0]
        inside = re.fullmatch(r"_ndarray_base\.\w+\(self(?:, )?(.*)\)(?: -> \w+)?", line)[1]
        theirs = [part.partition("=")[0].split()[-1] for part in inside.split(", ") if part]
        theirs = [parameter.lstrip("*") for parameter in theirs]
        positional = [p.name for p in parameters_of(row) if p.kind is not p.KEYWORD_ONLY]
        if "*" not in inside:
            assert positional == theirs[: len(positional)], name
        assert {p.name for p in parameters_of(row)} <= set(theirs), name


def test_attributes_conform(cupy):
    for name in (*strict.ATTRIBUTES, "T", "base", "flags", "get"):
        assert hasattr(cupy.ndarray, name)
    for name in ("__index__", "__hash__"):
        assert getattr(cupy.ndarray, name, None) is None


def test_ufuncs_conform(cupy):
    ufuncs = {f.__name__ for f in vars(np).values() if isinstance(f, np.ufunc)}
    assert {name for name in ufuncs if not hasattr(cupy, name)} == set(strict.ABSENT_UFUNCS)
    for methods in strict.UFUNC_METHODS.values():
        assert all(hasattr(cupy, name) for name in methods)


def test_dtypes_conform(cupy):
    from cupy._core import _scalar

    for char in strict.DTYPES:
        assert _scalar.get_typename(np.dtype(char))
    with pytest.raises(ValueError, match="Unsupported dtype"):
        _scalar.get_typename(np.dtype(np.longdouble))
