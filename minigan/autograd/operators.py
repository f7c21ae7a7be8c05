"""What `x + y`, `x[0]` and `x.sum()` mean on a Tensor: each looks its op up by name.

Ops import the engine, and Tensors need ops. Looking the op up when it is called is the one knot
that ties the two, so that imports still only go down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minigan import backend
from minigan.errors import DeviceError

if TYPE_CHECKING:
    from minigan.autograd.engine import Op, Tensor

registry: dict[str, Op[...]] = {}  # every op by its name


class Operators:
    """Tensor's arithmetic, comparisons, indexing, NumPy-like methods and printing."""

    __slots__ = ()
    data: Any
    requires_grad: bool
    name: str | None
    op: Any

    # arithmetic: differentiable

    def __add__(self, other: Any) -> Tensor:
        return registry["add"](self, other)

    def __radd__(self, other: Any) -> Tensor:
        return registry["add"](other, self)

    def __sub__(self, other: Any) -> Tensor:
        return registry["subtract"](self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return registry["subtract"](other, self)

    def __mul__(self, other: Any) -> Tensor:
        return registry["multiply"](self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return registry["multiply"](other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return registry["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return registry["divide"](other, self)

    def __pow__(self, exponent: Any) -> Tensor:
        return registry["power"](self, exponent)

    def __rpow__(self, base: Any) -> Tensor:
        return registry["power"](base, self)

    def __matmul__(self, other: Any) -> Tensor:
        return registry["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return registry["matmul"](other, self)

    def __neg__(self) -> Tensor:
        return registry["negative"](self)

    def __abs__(self) -> Tensor:
        return registry["abs"](self)

    # comparisons: no gradient, plain arrays of bool

    def __lt__(self, other: Any) -> Any:
        return self.data < _data(other)

    def __le__(self, other: Any) -> Any:
        return self.data <= _data(other)

    def __gt__(self, other: Any) -> Any:
        return self.data > _data(other)

    def __ge__(self, other: Any) -> Any:
        return self.data >= _data(other)

    def __eq__(self, other: object) -> Any:
        return self.data == _data(other)

    def __ne__(self, other: object) -> Any:
        return self.data != _data(other)

    __hash__ = object.__hash__

    # shape and indexing: differentiable

    def __getitem__(self, index: Any) -> Tensor:
        parts = tuple(map(_data, index)) if isinstance(index, tuple) else _data(index)
        return registry["getitem"](self, parts)

    def reshape(self, *shape: Any) -> Tensor:
        """The same numbers in another shape; one -1 is worked out."""
        return registry["reshape"](self, _as_tuple(shape))

    def transpose(self, *axes: Any) -> Tensor:
        """Axes in another order; reversed if none are given."""
        return registry["transpose"](self, _as_tuple(axes) if axes else None)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """Two axes exchanged."""
        return registry["swapaxes"](self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Tensor:
        """Without its axes of length 1."""
        return registry["squeeze"](self, axis)

    def astype(self, dtype: Any) -> Tensor:
        """Converted to another dtype."""
        return registry["astype"](self, dtype)

    def to(self, device: str) -> Tensor:
        """A copy on another device; itself if it is already there."""
        return registry["to_device"](self, device)

    @property
    def T(self) -> Tensor:  # noqa: N802  NumPy's name
        """Axes reversed."""
        return registry["transpose"](self, None)

    # reductions: differentiable

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """The sum over all elements, or over an axis or axes."""
        return registry["sum"](self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """The mean over all elements, or over an axis or axes."""
        return registry["mean"](self, axis, keepdims)

    def var(self, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
        """The variance over all elements, or over an axis or axes."""
        return registry["var"](self, axis, keepdims, ddof)

    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """The maximum over all elements, or over an axis or axes."""
        return registry["max"](self, axis, keepdims)

    # what it is

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.data.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self.data.dtype  # type: ignore[no-any-return]

    @property
    def device(self) -> str:
        """Where the data is: "cpu", "gpu:0", ..."""
        return backend.device_of(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    # out of the graph: plain numbers

    def numpy(self) -> np.ndarray[Any, Any]:
        """The data as a NumPy array on the host."""
        return backend.to_host(self.data)

    def item(self) -> Any:
        """The one element as a Python number."""
        return self.data.item()

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self.device != "cpu":
            raise DeviceError(
                f"this tensor is on {self.device}, and nothing is copied silently. Try: x.numpy()."
            )
        return np.array(self.data, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", threshold=50)
        facts = [str(self.dtype)]
        if self.device != "cpu":
            facts.append(self.device)
        if self.name:
            facts.append(f"name={self.name!r}")
        if self.requires_grad:
            facts.append(f"from {self.op.name}" if self.op else "requires_grad=True")
        return f"Tensor({values}, {', '.join(facts)})"


def _data(x: Any) -> Any:
    return x.data if isinstance(x, Operators) else x


def _as_tuple(shape: tuple[Any, ...]) -> tuple[int, ...]:
    if len(shape) == 1 and not isinstance(shape[0], int | np.integer):
        return tuple(shape[0])
    return shape
