"""Milliseconds a training step: minigan beside PyTorch eager and hand-written NumPy, in one run.

Each contender lives in a process of its own, with the same number of threads. They take turns,
a chunk of steps at a time, so that whatever slows the machine down slows all of them; ratios are
medians over rounds. Only the step is timed: pictures and noise are made before.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import platform
import time
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

CONTENDERS = ("HandWrittenNumpy", "Minigan", "TorchEager", "TorchEagerFusedAdam")
WORKLOADS = ("mlp-gan", "mlp-gan-256")
DIGITS = Path(__file__).parents[1] / "minigan/data/embedded/images-idx3-ubyte.gz"
BATCHES = 32  # of digits and noise, which the contenders go through again and again
CHECKED_STEPS = 5
TOLERANCE = 1e-4  # relative; Adam's epsilon stands in two different places
WARM_UP_STEPS = 10  # at the start of a chunk: wakes threads up, fills caches
DISTURBED = 0.02  # a chunk counts if our threads waited less than this part of it
PATIENCE = 50  # times that a disturbed chunk is repeated


# ── in the process of one contender ──────────────────────────────────────────────────────────


def serve(connection: Connection, contender: str, workload: str, threads: int) -> None:
    """Send what it runs on and its first losses; then time as many steps as are asked for."""
    import mlp_step
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    facts = {"numpy": f"{np.__version__} with {blas['name']} {blas['version']}"}
    if contender.startswith("Torch"):
        import torch

        torch.set_num_threads(threads)
        facts = {"torch": torch.__version__}

    chosen = mlp_step.WORKLOADS[workload]
    step = getattr(mlp_step, contender)(chosen, mlp_step.initial_weights(chosen)).step
    pixels = np.frombuffer(gzip.decompress(DIGITS.read_bytes()), np.uint8, offset=16)
    pictures = pixels.reshape(-1, 784)[: BATCHES * mlp_step.BATCH] / np.float32(255)
    noise = np.random.default_rng(1).uniform(-1, 1, (2, len(pictures), mlp_step.LATENT))
    pool = [np.split(array, BATCHES) for array in (pictures, *noise.astype(np.float32))]
    batches = list(zip(*pool, strict=True))
    connection.send((facts, [step(*batches[i]) for i in range(CHECKED_STEPS)]))

    done = CHECKED_STEPS
    while steps := connection.recv():
        for i in range(-WARM_UP_STEPS, steps):
            if i == 0:
                waited, start = seconds_waiting(), time.perf_counter()
            step(*batches[done % BATCHES])
            done += 1
        seconds = time.perf_counter() - start
        connection.send((seconds / steps, (seconds_waiting() - waited) / seconds))


def seconds_waiting() -> float:
    """How long this process's threads were ready to run while others had the processor (Linux)."""
    waits = [p.read_text().split()[1] for p in Path("/proc/self/task").glob("*/schedstat")]
    return sum(map(int, waits)) / 1e9


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
        check_losses({c: losses for c, (_, losses) in answers.items()})
        times: dict[str, list[float]] = {c: [] for c in contenders}
        disturbed = 0
        for _ in range(rounds):
            for c, connection in workers.items():
                seconds, repeats = undisturbed_chunk(connection, steps)
                times[c].append(seconds)
                disturbed += repeats
    return {
        "workload": workload,
        "threads": threads,
        "ms": {c: 1e3 * median(t) for c, t in times.items()},
        "ratios": {
            rival: {c: median(map(float.__truediv__, times[c], times[rival])) for c in contenders}
            for rival in ("TorchEager", "TorchEagerFusedAdam", "HandWrittenNumpy")
            if rival in contenders
        },
        "chunks": len(contenders) * rounds,
        "disturbed": disturbed,
        "versions": {k: v for facts, _ in answers.values() for k, v in facts.items()},
    }


def undisturbed_chunk(connection: Connection, steps: int) -> tuple[float, int]:
    """Seconds a step of a chunk that other processes left alone; how many they disturbed.

    After so many disturbed chunks, the least disturbed one has to do.
    """
    chunks = []
    while not chunks or (chunks[-1][0] >= DISTURBED and len(chunks) < PATIENCE):
        connection.send(steps)
        seconds, waiting = connection.recv()
        chunks.append((waiting, seconds))
    return min(chunks)[1], sum(waiting >= DISTURBED for waiting, _ in chunks)


def check_losses(losses: dict[str, list[tuple[float, float]]]) -> None:
    """All contenders must be doing the same thing."""
    first, *others = losses
    for other in others:
        for i, (expected, found) in enumerate(zip(losses[first], losses[other], strict=True)):
            for a, b in zip(expected, found, strict=True):
                if abs(a - b) > TOLERANCE * abs(a):
                    raise SystemExit(f"step {i}: {first} has loss {a}, but {other} {b}.")


def report(result: dict) -> None:
    print(f"\n{result['workload']}, {result['threads']} thread(s)")
    rivals = result["ratios"]
    print(f"{'':22}{'ms a step':>10}", *(f"{'/ ' + rival:>22}" for rival in rivals), sep="")
    for c, ms in result["ms"].items():
        print(f"{c:22}{ms:10.3f}", *(f"{ratios[c]:22.3f}" for ratios in rivals.values()), sep="")
    print(f"{result['chunks']} chunks kept, {result['disturbed']} disturbed by other processes")


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workload", nargs="+", choices=WORKLOADS, default=WORKLOADS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--rounds", type=int, default=30, help="chunks of each contender")
    parser.add_argument("--steps", type=int, default=50, help="training steps in a chunk")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args()

    facts = machine()
    results = []
    for threads in options.threads:
        for workload in options.workload:
            result = compare(workload, threads, options.contenders, options.rounds, options.steps)
            facts |= result.pop("versions")
            report(result)
            results.append(result)
    print("", *(f"{key}: {value}" for key, value in facts.items()), sep="\n")
    if options.json:
        options.json.write_text(json.dumps({"machine": facts, "results": results}, indent=2))


if __name__ == "__main__":
    main()
