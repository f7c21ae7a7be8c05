"""Modules one after the other."""

from typing import Any

from minigan.autograd import Tensor
from minigan.autograd.engine import Value
from minigan.layers.module import Module


class Sequential(Module):
    """layers[-1](... layers[1](layers[0](x))); functions such as `relu` may stand among them."""

    def __init__(self, *layers: Any) -> None:
        self.layers = list(layers)

    def forward(self, x: Value) -> Tensor:
        """The last layer's output."""
        for layer in self.layers:
            x = layer(x)
        return x  # type: ignore[no-any-return]

    def __getitem__(self, index: int) -> Any:
        return self.layers[index]

    def __len__(self) -> int:
        return len(self.layers)
