"""A contender in a process of its own: it makes its step once, then times chunks of it when asked.

worker       the process, seen from outside; a connection to it
serve        what it does: after a first answer, a number of steps in, a Chunk out
"""

import multiprocessing
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from types import ModuleType
from typing import NamedTuple

from measuring import limit_threads, peak_megabytes, seconds_waiting


class Contender(NamedTuple):
    """Who takes part.

    package  what it needs to be installed, and what importing it means
    module   whose `prepare` gives its step and batches; by default the workload's own
    """

    title: str
    package: str
    module: str | None = None


CONTENDERS = {
    "Minigan": Contender("minigan", "minigan"),
    "HandWrittenNumpy": Contender("NumPy by hand", "numpy"),
    "TorchEager": Contender("PyTorch eager", "torch"),
    "TorchEagerFusedAdam": Contender("PyTorch, fused Adam", "torch"),
    "TensorFlow": Contender("TensorFlow, tf.function", "tensorflow", "tensorflow_step"),
    "Jax": Contender("JAX, jit", "jax", "jax_step"),
    "DeZero": Contender("DeZero", "dezero"),
    "Chainer": Contender("Chainer", "chainer"),
    "ArithmeticLimit": Contender("arithmetic limit", "numpy", "arithmetic"),
}


class Job(NamedTuple):
    """What a process is told.

    module   of the workload
    warm_up  steps at the start of a chunk that are not timed: they wake threads, fill caches
    checked  first steps whose losses are reported
    """

    contender: str
    workload: str
    module: str
    threads: int
    warm_up: int
    checked: int


class Chunk(NamedTuple):
    """What a contender reports."""

    seconds: float  # a step
    waiting: float  # part of the time that its threads were kept waiting
    megabytes: float  # peak resident memory of the process, until now


def is_installed(contender: str) -> bool:
    return find_spec(CONTENDERS[contender].package) is not None


@contextmanager
def worker(job: Job) -> Iterator[Connection]:
    """A process for one contender; gives the connection to it."""
    limit_threads(job.threads)  # read by the child's libraries as they load
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, job))
    process.start()
    theirs.close()
    try:
        yield ours
        ours.send(0)
    finally:
        process.join(5)
        process.terminate()


def serve(connection: Connection, job: Job) -> None:
    """Send the first losses; then time as many steps as are asked for, until that is none."""
    contender = CONTENDERS[job.contender]
    if contender.package != "minigan":
        leave_memory_alone()
    if contender.package == "torch":
        import torch

        torch.set_num_threads(job.threads)
    prepare = import_module(contender.module or job.module).prepare
    step, batches = prepare(job.contender, job.workload)

    def take(i: int):
        return step(*batches[i % len(batches)])

    connection.send([take(i) for i in range(job.checked)])
    done = job.checked
    while steps := connection.recv():
        for i in range(-job.warm_up, steps):
            if i == 0:
                waited, start = seconds_waiting(), time.perf_counter()
            take(done)
            done += 1
        seconds = time.perf_counter() - start
        waiting = (seconds_waiting() - waited) / seconds
        connection.send(Chunk(seconds / steps, waiting, peak_megabytes()))


def leave_memory_alone() -> None:
    """Have minigan, which others import for its initial weights, not tune their allocator, too.

    It gains PyTorch some 7 % of a step of dcgan-28-hidden: nobody who trains with PyTorch has it.
    """
    module = ModuleType("minigan.kernels.memory")
    module.keep_freed_memory = lambda: None
    sys.modules[module.__name__] = module
