"""Milliseconds of each DCGAN layer's convolution and of its two gradients, beside PyTorch's.

Kernels only, on 64 images in float32; PyTorch's images are (N, C, H, W). They take turns, and the
figures are medians. With one thread it is processor time, which other programs hardly disturb; with
more it is time on the clock, so leave the machine alone.

error  root mean square, of minigan's result from float64's, as a part of the result's;
       in brackets, how many times that of plain columns
ratio  minigan / PyTorch; left out where torch is not installed
"""

import argparse
import os
import time
from importlib.util import find_spec
from statistics import median

IMAGES = 64
KERNEL, STRIDE = 5, 2
LAYERS = (  # rows and columns of the larger image, its channels, those of the smaller image
    (28, 1, 64), (14, 64, 128),
    (64, 3, 64), (32, 64, 128), (16, 128, 256), (8, 256, 512),
)  # fmt: skip
TRIO = ("conv2d", "conv2d_transpose", "conv2d_filter")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[variable] = str(arguments.threads)  # before NumPy and torch load

    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    print("layer".ljust(22), "product".ljust(17), "form".ljust(9), "minigan  PyTorch  ratio  error")
    for layer in LAYERS:
        measure(layer, arguments.threads, arguments.rounds, clock)


def measure(layer, threads, rounds, clock):
    """Print a line for each of the trio."""
    import numpy as np

    from minigan.kernels import convolution as kernels
    from minigan.kernels.convolution import Geometry
    from minigan.kernels.convolution_plan import form

    size, inputs, outputs = layer
    geometry = Geometry.of((size, size), KERNEL, STRIDE, "same")
    small = geometry.output[0]
    draw = np.random.default_rng(0).standard_normal
    x = draw((IMAGES, size, size, inputs), "float32")
    w = draw((KERNEL, KERNEL, inputs, outputs), "float32")
    g = draw((IMAGES, small, small, outputs), "float32")
    chosen = form(geometry, IMAGES, inputs, outputs, x.dtype)
    rivals = torch_trio(x, w, g, threads) if find_spec("torch") else {}

    for name, arrays in zip(TRIO, [(x, w), (g, w), (x, g)], strict=True):
        kernel = getattr(kernels, name)
        plain = kernel.dispatch(object)
        exact = plain(*(array.astype("float64") for array in arrays), geometry)
        error = rms(kernel(*arrays, geometry) - exact) / rms(exact)
        times = error / (rms(plain(*arrays, geometry) - exact) / rms(exact))

        contenders = [lambda kernel=kernel, arrays=arrays: kernel(*arrays, geometry)]
        contenders += [rivals[name]] if rivals else []
        ours, *theirs = in_turns(contenders, rounds, clock)
        beside = f"{theirs[0]:7.1f}  {ours / theirs[0]:5.2f}" if theirs else " " * 14
        title = f"{size} x {size} x {inputs} -> {outputs}"
        print(f"{title:22} {name:17} {chosen:9} {ours:7.1f}  {beside}  {error:.1e} ({times:.1f})")


def torch_trio(x, w, g, threads):
    """The same in PyTorch, padded alike on both sides, as its users write it."""
    import torch

    torch.set_num_threads(threads)
    x, g = (torch.tensor(array).permute(0, 3, 1, 2).contiguous() for array in (x, g))
    w = torch.tensor(w).permute(3, 2, 0, 1).contiguous()
    padding = KERNEL // 2

    def gradients(which):
        return torch.ops.aten.convolution_backward(
            g, x, w, None, [STRIDE] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, which
        )

    return {
        "conv2d": lambda: torch.nn.functional.conv2d(x, w, stride=STRIDE, padding=padding),
        "conv2d_transpose": lambda: gradients([True, False, False]),
        "conv2d_filter": lambda: gradients([False, True, False]),
    }


def in_turns(contenders, rounds, clock):
    """Each contender's median time in milliseconds."""
    times = [[] for _ in contenders]
    for _ in range(rounds + 1):
        for contender, seconds in zip(contenders, times, strict=True):
            start = clock()
            contender()
            seconds.append(clock() - start)
    return [1000 * median(seconds[1:]) for seconds in times]  # the first fills workspaces


def rms(x):
    return float((x**2).mean() ** 0.5)


if __name__ == "__main__":
    main()
