"""Batches computed ahead of time, in a thread, while the one before is used."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from minigan.backend import Array
from minigan.data.batches import Batches
from minigan.errors import ConfigError


class Prefetched:
    """The same batches, with the next `depth` of them computed while one is used.

    A batch is a function of its step, so `at(step)` returns what it would without prefetching,
    bit for bit, whichever step comes next; an error in a batch is raised when its turn comes.

        with Prefetched(ImageBatches(images, batch_size=64)) as batches:
            for step in range(first, last):
                real = batches.at(step)
    """

    def __init__(self, batches: Batches, depth: int = 2) -> None:
        if depth < 1:
            raise ConfigError(f"depth is {depth}, but must be at least 1 batch. Try: 2.")
        self.batches = batches
        self.depth = depth
        self._ahead: dict[int, Future[Array]] = {}  # by step: at most `depth` of them
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")

    def __len__(self) -> int:
        """The number of pictures in an epoch."""
        return len(self.batches)

    def indices(self, step: int) -> Array:
        """Which pictures are in the batch of a step, counted from 0."""
        return self.batches.indices(step)

    def at(self, step: int) -> Array:
        """The pictures of the batch of a step."""
        wanted = range(step, step + self.depth + 1)
        for other in self._ahead.keys() - set(wanted):
            self._ahead.pop(other).cancel()
        for each in wanted:
            if each not in self._ahead:
                self._ahead[each] = self._thread.submit(self.batches.at, each)
        return self._ahead.pop(step).result()

    def close(self) -> None:
        """Stop the thread, after the batch it is at."""
        self._thread.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
