"""Milliseconds a training step and peak memory: minigan beside PyTorch and others, in one run.

Each contender lives in a process of its own, with the same number of threads. They take turns,
a chunk of steps at a time, so that whatever slows the machine down slows all of them; ratios are
medians over rounds. Only the step is timed: pictures and noise are made before.
"""

import argparse
import json
import multiprocessing
import os
import platform
import resource
import sys
import time
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import NamedTuple

DISTURBED = 0.02  # a chunk counts if our threads waited less than this part of it
PATIENCE = 30.0  # seconds for which a disturbed chunk is repeated
RIVALS = ("TorchEager", "TorchEagerFusedAdam", "HandWrittenNumpy", "Minigan")
PACKAGES = {"DeZero": "dezero", "Chainer": "chainer"}  # left out where they are not installed


class Plan(NamedTuple):
    """How a workload is measured.

    module      whose `prepare` gives a contender's step and batches
    warm_up     steps at the start of a chunk that are not timed: they wake threads, fill caches
    steps       timed steps in a chunk
    rounds      chunks of each contender
    checked     first steps in which the contenders' losses must agree, ...
    tolerance   ... relative: Adam's epsilon stands in two places, and where a gradient is zero but
                for rounding, Adam divides rounding by rounding
    """

    module: str
    contenders: tuple[str, ...]
    warm_up: int
    steps: int
    rounds: int
    checked: int
    tolerance: float


MLP = Plan(
    "mlp_step", ("HandWrittenNumpy", "Minigan", "TorchEager", "TorchEagerFusedAdam"),
    warm_up=10, steps=50, rounds=30, checked=5, tolerance=1e-4,
)  # fmt: skip
DCGAN_28 = Plan(
    "dcgan_step", ("Minigan", "TorchEager", "TorchEagerFusedAdam", "DeZero", "Chainer"),
    warm_up=1, steps=4, rounds=15, checked=2, tolerance=1e-2,
)  # fmt: skip
DCGAN_64 = DCGAN_28._replace(contenders=DCGAN_28.contenders[:3], steps=2, rounds=8)
PLANS = {"mlp-gan": MLP, "mlp-gan-256": MLP, "dcgan-28": DCGAN_28, "dcgan-64": DCGAN_64}


class Chunk(NamedTuple):
    """What a contender reports."""

    seconds: float  # a step
    waiting: float  # part of the time that its threads were kept waiting
    megabytes: float  # peak resident memory of the process, until now


# ── in the process of one contender ──────────────────────────────────────────────────────────


def serve(connection: Connection, contender: str, workload: str, threads: int) -> None:
    """Send what it runs on and its first losses; then time as many steps as are asked for."""
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    facts = {"numpy": f"{np.__version__} with {blas['name']} {blas['version']}"}
    if contender.startswith("Torch"):
        import torch

        torch.set_num_threads(threads)
        facts = {"torch": str(torch.__version__)}  # its own type would take PyTorch along

    plan = PLANS[workload]
    step, batches = import_module(plan.module).prepare(contender, workload)
    connection.send((facts, [step(*batch) for batch in batches[: plan.checked]]))

    done = plan.checked
    while steps := connection.recv():
        for i in range(-plan.warm_up, steps):
            if i == 0:
                waited, start = seconds_waiting(), time.perf_counter()
            step(*batches[done % len(batches)])
            done += 1
        seconds = time.perf_counter() - start
        waiting = (seconds_waiting() - waited) / seconds
        connection.send(Chunk(seconds / steps, waiting, peak_megabytes()))


def seconds_waiting() -> float:
    """How long this process's threads were ready to run while others had the processor (Linux)."""
    waits = [p.read_text().split()[1] for p in Path("/proc/self/task").glob("*/schedstat")]
    return sum(map(int, waits)) / 1e9


def peak_megabytes() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


# ── in the process that compares them ────────────────────────────────────────────────────────


@contextmanager
def worker(contender: str, workload: str, threads: int):
    """A process that serves one contender; gives the connection to it."""
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)  # read by the child's libraries as they load
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, contender, workload, threads))
    process.start()
    theirs.close()
    try:
        yield ours
        ours.send(0)
    finally:
        process.join(5)
        process.terminate()


def compare(workload: str, threads: int, contenders: list[str], rounds: int, steps: int) -> dict:
    """Let the contenders take turns; medians of their seconds a step, and of their ratios."""
    with ExitStack() as stack:
        workers = {c: stack.enter_context(worker(c, workload, threads)) for c in contenders}
        answers = {c: connection.recv() for c, connection in workers.items()}
        check_losses({c: losses for c, (_, losses) in answers.items()}, PLANS[workload].tolerance)
        chunks: dict[str, list[Chunk]] = {c: [] for c in contenders}
        disturbed = 0
        for _ in range(rounds):
            for c, connection in workers.items():
                chunk, repeats = undisturbed_chunk(connection, steps)
                chunks[c].append(chunk)
                disturbed += repeats
    times = {c: [chunk.seconds for chunk in kept] for c, kept in chunks.items()}
    return {
        "workload": workload,
        "threads": threads,
        "ms": {c: 1e3 * median(t) for c, t in times.items()},
        "peak_megabytes": {c: kept[-1].megabytes for c, kept in chunks.items()},
        "ratios": {
            rival: {c: median(map(float.__truediv__, times[c], times[rival])) for c in contenders}
            for rival in RIVALS
            if rival in contenders
        },
        "chunks": len(contenders) * rounds,
        "disturbed": disturbed,
        "versions": {k: v for facts, _ in answers.values() for k, v in facts.items()},
    }


def undisturbed_chunk(connection: Connection, steps: int) -> tuple[Chunk, int]:
    """A chunk that other processes left alone, and how many they disturbed.

    When patience ends, the least disturbed one has to do.
    """
    chunks = []
    deadline = time.monotonic() + PATIENCE
    while not chunks or (chunks[-1].waiting >= DISTURBED and time.monotonic() < deadline):
        connection.send(steps)
        chunks.append(connection.recv())
    best = min(chunks, key=lambda chunk: chunk.waiting)
    return best, sum(chunk.waiting >= DISTURBED for chunk in chunks)


def check_losses(losses: dict[str, list[tuple[float, float]]], tolerance: float) -> None:
    """All contenders must be doing the same thing."""
    first, *others = losses
    for other in others:
        for i, (expected, found) in enumerate(zip(losses[first], losses[other], strict=True)):
            for a, b in zip(expected, found, strict=True):
                if not abs(a - b) <= tolerance * abs(a):
                    raise SystemExit(f"step {i}: {first} has loss {a}, but {other} {b}.")


def report(result: dict) -> None:
    print(f"\n{result['workload']}, {result['threads']} thread(s)")
    columns = {"ms a step": result["ms"], "peak MB": result["peak_megabytes"]}
    columns |= {f"/ {rival}": ratios for rival, ratios in result["ratios"].items()}
    print(f"{'':20}", *(f"{title:>{len(title) + 3}}" for title in columns), sep="")
    for c in result["ms"]:
        print(f"{c:20}", *(f"{x[c]:{len(t) + 3}.{digits(t)}f}" for t, x in columns.items()), sep="")
    print(f"{result['chunks']} chunks kept, {result['disturbed']} disturbed by other processes")


def digits(title: str) -> int:
    return 0 if title == "peak MB" else 3


def installed(contenders: list[str]) -> list[str]:
    """The contenders that can run here."""
    missing = [c for c in contenders if c in PACKAGES and find_spec(PACKAGES[c]) is None]
    if missing:
        print(f"not installed, left out: {', '.join(missing)} (see benchmarks/requirements.txt)")
    return [c for c in contenders if c not in missing]


def machine() -> dict[str, str]:
    cpus = Path("/proc/cpuinfo")  # Linux
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def main() -> None:
    everyone = sorted({c for plan in PLANS.values() for c in plan.contenders})
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", choices=PLANS, help="by default all")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--contenders", nargs="+", choices=everyone, default=everyone)
    parser.add_argument("--rounds", type=int, help="chunks of each contender")
    parser.add_argument("--steps", type=int, help="training steps in a chunk")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args()

    facts = machine()
    results = []
    chosen = installed(options.contenders)
    for threads in options.threads:
        for workload in options.workloads or PLANS:
            plan = PLANS[workload]
            contenders = [c for c in plan.contenders if c in chosen]
            rounds, steps = options.rounds or plan.rounds, options.steps or plan.steps
            result = compare(workload, threads, contenders, rounds, steps)
            facts |= result.pop("versions")
            report(result)
            results.append(result)
    print("", *(f"{key}: {value}" for key, value in facts.items()), sep="\n")
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, "results": results}, indent=2))


if __name__ == "__main__":
    main()
