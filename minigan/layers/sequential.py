"""Modules one after the other."""

from typing import Any

from minigan.autograd import Tensor
from minigan.autograd.engine import Value
from minigan.errors import ConfigError
from minigan.layers.module import Module


class Sequential(Module):
    """layers[-1](... layers[1](layers[0](x))); functions such as `relu` may stand among them."""

    def __init__(self, *layers: Any) -> None:
        if not all(map(callable, layers)):
            raise ConfigError(
                "Sequential takes layers one by one, and each must be callable. "
                "Try: Sequential(*layers)."
            )
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
