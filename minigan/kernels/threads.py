"""Python threads for kernels: each computes its share, with BLAS on one thread in each.

BLAS shares one matrix product at a time among its threads; between the products, where arrays are
copied, one thread works alone and the numbers leave its cache. A Python thread that takes its share
of the images through all of it keeps them there: NumPy and BLAS release the interpreter's lock.
There are as many as BLAS is allowed (OPENBLAS_NUM_THREADS, threadpoolctl), at most one a processor.

A thread of BLAS that has done its part stays awake for some 20 ms in case there is more, and takes
a processor from the kernels' threads meanwhile. So whoever runs many kernels in a row opens a team
around them all: BLAS then never wakes its own, and large matrix products are shared by the team.
Measured: a step of the 64 x 64 DCGAN on two processors, 1.28 s in place of 1.65.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from typing import Any, TypeVar

import numpy as np

from minigan.backend import Array

T = TypeVar("T")
LARGE = 2**20  # elements: of fewer, the work takes less time than the threads' waiting


class Team:
    """Some threads, the one that asks for them among them: `with team() as threads`."""

    def __init__(self, size: int) -> None:
        self.size = size

    def each(self, work: Callable[[T], object], items: Iterable[T]) -> None:
        """Call work(item) for every item, each thread taking the next one when it has time.

        The work itself asks for no threads: it could wait for itself.
        """
        queue = iter(list(items))  # a list's iterator hands no item out twice

        def work_off() -> None:
            before, _member.at_work = _member.at_work, True
            try:
                for item in queue:
                    work(item)
            finally:
                _member.at_work = before

        helpers = [_helper() for _ in range(self.size - 1)]
        try:
            for helper in helpers:
                helper.begin(work_off)
            work_off()
        finally:
            errors = [helper.end() for helper in helpers]  # waits: all have left the arrays
        for error in filter(None, errors):
            raise error

    def run(self, jobs: Iterable[Callable[[], object]]) -> None:
        """Call every job, likewise."""
        self.each(lambda job: job(), jobs)


def in_turn(calls: Iterable[Callable[[], object]]) -> None:
    """Make these calls of NumPy one after the other, all prepared before the first one.

    One thread at a time runs Python. Another that comes back from NumPy meanwhile goes to sleep,
    and needs 50 microseconds to wake up: so a job does its Python first, and then none. Measured:
    7 % of a Winograd convolution of 64 images, 14 x 14 x 64, in two threads.
    """
    for call in list(calls):
        call()


def even_parts(n: int, parts: int, start: int = 0) -> list[slice]:
    """The n numbers from start on in parts of the same length, or one less; the last is longest.

    >>> even_parts(5, 2)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    return [slice(start + n * i // parts, start + n * (i + 1) // parts) for i in range(parts)]


def number_of_parts(size: int, block: int, most: int) -> int:
    """How many parts of at most `block` elements: one, or an even number for threads to share.

    >>> [number_of_parts(size, 10, most=100) for size in (0, 10, 11, 25, 35)]
    [1, 1, 2, 4, 4]
    """
    parts = -(-size // block)
    return max(1, min(most, parts + parts % 2 if parts > 1 else 1))


def length_of(part: slice) -> int:
    """How many numbers a part has."""
    length: int = part.stop - part.start
    return length


class _Helper:
    """A thread that waits for work: there and back takes 35 microseconds, an executor's 65."""

    def __init__(self) -> None:
        self._begun, self._busy = threading.Lock(), threading.Lock()
        self._begun.acquire()
        self._work: Callable[[], object]
        self._error: BaseException | None = None
        threading.Thread(target=self._serve, name="minigan-kernels", daemon=True).start()

    def begin(self, work: Callable[[], None]) -> None:
        # in a copy of the caller's context, so that np.errstate holds there, too
        context = copy_context()
        self._work = lambda: context.run(work)
        self._busy.acquire()
        self._begun.release()

    def end(self) -> BaseException | None:
        """Wait for it, Ctrl-C or not: it works on the caller's arrays. What went wrong, if any."""
        interrupt = None
        while True:
            try:
                with self._busy:
                    break
            except KeyboardInterrupt as error:
                interrupt = error
        wrong, self._error = interrupt or self._error, None
        _idle.append(self)
        return wrong

    def _serve(self) -> None:
        while True:
            self._begun.acquire()
            try:
                self._work()
            except BaseException as error:  # noqa: BLE001  the caller raises it
                self._error = error
            del self._work  # and with it the arrays
            self._busy.release()


_idle: list[_Helper] = []


def _helper() -> _Helper:
    """One that has no work: a list's pop is one step, so no two callers get the same."""
    try:
        return _idle.pop()
    except IndexError:
        return _Helper()


@contextmanager
def team() -> Iterator[Team]:
    """The threads that BLAS may use, at the caller's service; inside BLAS uses one in each."""
    with _lock:
        state = _state  # a fork replaces it
        if not state.users:
            state.size = min(_blas_threads(), _processors())
            _set_limits_from_this_thread()
            state.limit = _blas().limit(limits=1)
        state.users += 1
    try:
        yield Team(state.size)
    finally:
        with _lock:
            state.users -= 1
            if not state.users:
                _set_limits_from_this_thread()
                state.limit.restore_original_limits()


def idle_team() -> Team | None:
    """The team that some caller has opened, unless it is at this thread's work already."""
    if _state.users and _state.size > 1 and not _member.at_work:
        return Team(_state.size)
    return None


def in_shares(work: Callable[[Sequence[T]], object], items: Sequence[T], array: Array) -> None:
    """Call work(items) for the work on an array; if it pays, each thread does so with its share.

    To hand work over takes 40 microseconds. Other libraries' arrays stay in the caller's thread,
    where their device was chosen; so does what is part of a team's work already.
    """
    if type(array) is np.ndarray and array.size >= LARGE and not _member.at_work:
        with team() as threads:
            shares = even_parts(len(items), min(len(items), threads.size))
            threads.each(work, [items[share] for share in shares])
    else:
        work(items)


class _State:
    """BLAS has one setting in a process, so the first user makes it and the last one undoes it."""

    users = 0
    size = 1
    limit: Any = None


class _Member(threading.local):
    """What a thread knows of itself."""

    at_work = False  # on a team's items


_state = _State()
_member = _Member()
_lock = threading.Lock()


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def _set_limits_from_this_thread() -> None:
    """threadpoolctl from 3.8 on obeys only the thread that first set a limit, as long as it lives.

    A team's first user may be another thread than its last; all of them come here with the lock.
    """
    from threadpoolctl import OpenBLASController

    forget = getattr(OpenBLASController, "clear_controlling_thread", None)
    if forget is not None:
        forget(force=True)


def _blas_threads() -> int:
    """What every BLAS in the process is allowed."""
    return min((library.num_threads for library in _blas().lib_controllers), default=1)


@cache
def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start_anew() -> None:
    """A child process has none of its parent's threads, and may have its lock, held."""
    global _state, _lock
    _idle.clear()
    _state, _lock = _State(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
