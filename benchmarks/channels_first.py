"""minigan's pictures and weights for frameworks whose pictures are (N, C, H, W).

They pad with two zeros on all sides alike. TensorFlow's SAME padding, which minigan has, puts an
odd zero at the bottom and on the right; with a stride of 2 the others leave one out there. Turned
by 180 degrees the two are the same. So the networks of the others live upside down: their pictures
and their kernels are turned, and nothing has to be padded or cut by hand.
"""

from collections.abc import Collection

import numpy as np


def upside_down(pictures: np.ndarray) -> np.ndarray:
    """(N, H, W, C) -> (N, C, H, W), turned by 180 degrees."""
    return np.ascontiguousarray(pictures[:, ::-1, ::-1].transpose(0, 3, 1, 2))


def upright(pictures: np.ndarray) -> np.ndarray:
    """The way back: (N, C, H, W) -> (N, H, W, C)."""
    return pictures.transpose(0, 2, 3, 1)[:, ::-1, ::-1]


def turned_weights(
    state: dict[str, np.ndarray],
    grid: tuple[int, int, int],
    makers: Collection[str],
    readers: Collection[str],
) -> dict[str, dict[str, np.ndarray]]:
    """The state of minigan's network, layer by layer, for its turned pictures.

    grid     H, W, C where a dense layer meets a convolution: pixels here, numbers in a row there
    makers   the layers with an output for each number of the grid
    readers  the layers with an input for each number of the grid, and perhaps more after them
    Kernels of convolutions: (KH, KW, I, O) -> (O, I, KH, KW); of transposed ones
    (KH, KW, O, I) -> (I, O, KH, KW). Of dense layers: (I, O), as they were.
    """
    H, W, C = grid
    order = np.arange(H * W * C).reshape(1, H, W, C)
    order = upside_down(order).ravel()
    layers: dict[str, dict[str, np.ndarray]] = {}
    for path, array in state.items():
        layer, name = path.split(".")
        if layer in makers:
            array = array[..., order]
        if layer in readers and name == "kernel":
            array = np.concatenate([array[order], array[len(order) :]])
        if array.ndim == 4:
            array = array[::-1, ::-1].transpose(3, 2, 0, 1)
        layers.setdefault(layer, {})[name] = np.ascontiguousarray(array)
    return layers
