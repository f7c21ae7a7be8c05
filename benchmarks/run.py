"""Milliseconds a training step and peak memory: minigan beside PyTorch and others, in one run.

Each contender lives in a process of its own, with the same number of threads. They take turns,
a chunk of steps at a time, so that whatever slows the machine down slows all of them; ratios are
medians over rounds. Each round has another order, so that what one of them leaves behind is not
always the same one's burden. Only the step is timed: pictures and noise are made before.
"""

import random
import time
from collections.abc import Iterable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import report
from arithmetic import workload_flops
from contenders import CONTENDERS, Chunk, Job, is_installed, worker
from startup import import_seconds

REST = 0.1  # seconds before each chunk: threads that the last one left awake go to sleep
DISTURBED = 0.02  # a chunk counts if our threads waited less than this part of it
PATIENCE = 30.0  # seconds that a comparison spends on repeating disturbed chunks
SLOW_ROUNDS = 3  # of contenders so slow that a few chunks say enough
RIVALS = ("TorchEager", "HandWrittenNumpy", "ArithmeticLimit")


class Plan(NamedTuple):
    """How a workload is measured.

    slow        contenders that leave after SLOW_ROUNDS
    steps       timed steps in a chunk
    rounds      chunks of each contender
    checked     first steps in which the contenders' losses must agree, ...
    tolerance   ... relative: Adam's epsilon stands in two places, and where a gradient is zero but
                for rounding, Adam divides rounding by rounding
    by_default  of the contenders, those that take part unless --contenders says who; empty: all
    """

    module: str
    contenders: tuple[str, ...]
    slow: tuple[str, ...]
    warm_up: int
    steps: int
    rounds: int
    checked: int
    tolerance: float
    by_default: tuple[str, ...] = ()


EVERYWHERE = ("Minigan", "TorchEager", "TorchEagerFusedAdam", "TensorFlow", "ArithmeticLimit")
MLP = Plan(
    "mlp_step", (*EVERYWHERE, "HandWrittenNumpy", "Jax"), slow=(),
    warm_up=10, steps=50, rounds=12, checked=5, tolerance=1e-4,
)  # fmt: skip
PEERS_28 = ("Jax", "DeZero", "Chainer")
DCGAN_28 = Plan(
    "dcgan_step", (*EVERYWHERE, *PEERS_28), slow=PEERS_28,
    warm_up=1, steps=4, rounds=10, checked=2, tolerance=1e-2,
)  # fmt: skip
DCGAN_28_HIDDEN = DCGAN_28._replace(by_default=("Minigan", "TorchEager", "ArithmeticLimit"))
DCGAN_64 = DCGAN_28._replace(contenders=EVERYWHERE, slow=(), warm_up=0, steps=2, rounds=5)
PLANS = {
    "mlp-gan": MLP,
    "mlp-gan-256": MLP,
    "dcgan-28": DCGAN_28,
    "dcgan-28-hidden": DCGAN_28_HIDDEN,
    "dcgan-64": DCGAN_64,
}
QUICK = {  # of --quick, which takes these two workloads
    "mlp-gan": MLP._replace(warm_up=2, steps=10, rounds=2),
    "dcgan-28": DCGAN_28._replace(contenders=EVERYWHERE, warm_up=0, steps=1, rounds=2),
}


def compare(workload: str, threads: int, plan: Plan, patience: float) -> dict[str, Any]:
    """Let the contenders take turns; medians of their seconds a step, and of their ratios."""
    with ExitStack() as stack:
        workers = {
            c: stack.enter_context(
                worker(Job(c, workload, plan.module, threads, plan.warm_up, plan.checked))
            )
            for c in plan.contenders
        }
        check_losses({c: first_losses(c, w) for c, w in workers.items()}, plan.tolerance)
        chunks: dict[str, list[Chunk]] = {c: [] for c in plan.contenders}
        disturbed = 0
        for i in range(plan.rounds):
            for c, connection in random.Random(i).sample([*workers.items()], len(workers)):
                if c not in plan.slow or i < SLOW_ROUNDS:
                    start = time.monotonic()
                    chunk, repeats = undisturbed_chunk(connection, plan.steps, patience)
                    if repeats:
                        patience -= time.monotonic() - start
                    chunks[c].append(chunk)
                    disturbed += repeats
    times = {c: [chunk.seconds for chunk in kept] for c, kept in chunks.items()}
    return {
        "workload": workload,
        "threads": threads,
        "ms": {c: 1e3 * median(t) for c, t in times.items()},
        "peak_megabytes": {c: kept[-1].megabytes for c, kept in chunks.items()},
        "ratios": {
            rival: {c: median(ratios(times[c], times[rival])) for c in times}
            for rival in RIVALS
            if rival in times
        },
        "chunks": sum(map(len, chunks.values())),
        "disturbed": disturbed,
    }


def first_losses(contender: str, connection: Connection) -> list[tuple[float, float] | None]:
    try:
        return connection.recv()
    except EOFError:
        raise SystemExit(f"{contender} has stopped. Leave it out with --contenders.") from None


def ratios(ours: list[float], theirs: list[float]) -> Iterable[float]:
    """Round by round, as long as both take part."""
    return map(float.__truediv__, ours, theirs)


def undisturbed_chunk(connection: Connection, steps: int, patience: float) -> tuple[Chunk, int]:
    """A chunk that other processes left alone, and how many they disturbed.

    When patience ends, the least disturbed one has to do.
    """
    chunks: list[Chunk] = []
    deadline = time.monotonic() + patience
    while not chunks or (chunks[-1].waiting >= DISTURBED and time.monotonic() < deadline):
        time.sleep(REST)
        connection.send(steps)
        chunks.append(connection.recv())
    best = min(chunks, key=lambda chunk: chunk.waiting)
    return best, sum(chunk.waiting >= DISTURBED for chunk in chunks)


def check_losses(losses: dict[str, list[tuple[float, float] | None]], tolerance: float) -> None:
    """All contenders must be doing the same thing; the arithmetic limit has no losses."""
    first, *others = (c for c, steps in losses.items() if None not in steps)
    for other in others:
        for i, (expected, found) in enumerate(zip(losses[first], losses[other], strict=True)):
            for a, b in zip(expected, found, strict=True):
                if not abs(a - b) <= tolerance * abs(a):
                    raise SystemExit(f"step {i}: {first} has loss {a}, but {other} {b}.")


# ── what is shown ────────────────────────────────────────────────────────────────────────────


def tables(figures: dict[str, Any]) -> str:
    comparisons, imports = figures["comparisons"], figures["import_seconds"]
    return "\n\n".join(comparison_table(c, imports) for c in comparisons)


def comparison_table(comparison: dict[str, Any], imports: dict[str, float]) -> str:
    workload, threads = comparison["workload"], comparison["threads"]
    limit = comparison["ms"].get("ArithmeticLimit")
    rows = []
    for c, ms in sorted(comparison["ms"].items(), key=lambda item: item[1]):
        row = {"": CONTENDERS[c].title, "ms a step": f"{ms:,.2f}"}
        for rival, values in comparison["ratios"].items():
            row[f"/ {CONTENDERS[rival].title}"] = f"{values[c]:.3f}"
        row["peak MB"] = f"{comparison['peak_megabytes'][c]:.0f}"
        seconds = imports.get(CONTENDERS[c].package)
        row["import s"] = "" if seconds is None else f"{seconds:.2f}"
        rows.append(row)
    flops = workload_flops(workload)
    rate = f"; NumPy multiplies {flops / limit / 1e6:,.0f} GFLOP a second" if limit else ""
    return (
        f"### {workload}, {threads} thread{'s' * (threads > 1)}\n\n{report.table(rows)}\n\n"
        f"A step is {flops / 1e9:.3g} GFLOP{rate}. {comparison['chunks']} chunks, "
        f"{comparison['disturbed']} disturbed by other processes."
    )


def draw(figures: dict[str, Any], path: Path) -> None:
    """Time beside PyTorch eager's: a row for each contender, a dot for each number of threads."""
    comparisons = [c for c in figures["comparisons"] if "TorchEager" in c["ratios"]]
    workloads = list(dict.fromkeys(c["workload"] for c in comparisons))

    def plot(all_axes) -> None:
        for axes, workload in zip(all_axes, workloads, strict=False):
            chosen = [c for c in comparisons if c["workload"] == workload]
            contenders = [c for c in CONTENDERS if c in chosen[0]["ms"]][::-1]
            axes.axvline(1, color="black", lw=1)
            for k, comparison in enumerate(chosen):
                values = [comparison["ratios"]["TorchEager"][c] for c in contenders]
                places = [i + 0.2 * (len(chosen) - 1) * (1 - 2 * k) for i in range(len(values))]
                threads = comparison["threads"]
                axes.plot(values, places, "o", color=f"C{k}", label=f"threads: {threads}")
                for x, y in zip(values, places, strict=True):
                    axes.annotate(f"  {x:.2f}", (x, y), va="center", fontsize=10)
            axes.set_yticks(range(len(contenders)), [CONTENDERS[c].title for c in contenders])
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:g}")
            axes.margins(x=0.2, y=0.08)
            axes.grid(axis="x", alpha=0.3)
            axes.set_title(workload, fontsize=14)
            axes.set_xlabel("time of a step / PyTorch eager's", fontsize=12)
        for axes in all_axes[len(workloads) :]:
            axes.set_axis_off()
        all_axes[0].legend(fontsize=11)

    report.draw(path, (13, 4.5 * -(-len(workloads) // 2)), (-(-len(workloads) // 2), 2), plot)


def main() -> None:
    parser = report.arguments(__doc__)
    parser.add_argument("--workloads", nargs="+", choices=PLANS, help="by default all")
    parser.add_argument("--threads", nargs="+", type=int)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS)
    parser.add_argument("--rounds", type=int, help="chunks of each contender")
    parser.add_argument("--steps", type=int, help="training steps in a chunk")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the ratios")
    options = parser.parse_args()

    missing = [c for c in options.contenders or CONTENDERS if not is_installed(c)]
    if missing:
        titles = ", ".join(CONTENDERS[c].title for c in missing)
        print(f"not installed, left out: {titles} (see benchmarks/requirements.txt)\n")
    plans = PLANS | QUICK if options.quick else PLANS
    comparisons = []
    for threads in options.threads or ([1] if options.quick else [1, 2]):
        for workload in options.workloads or (QUICK if options.quick else PLANS):
            plan = plans[workload]
            named = options.contenders or plan.by_default or plan.contenders
            here = (c for c in plan.contenders if c in named and c not in missing)
            plan = plan._replace(
                contenders=tuple(here),
                rounds=options.rounds or plan.rounds,
                steps=options.steps or plan.steps,
            )
            comparisons.append(compare(workload, threads, plan, 0 if options.quick else PATIENCE))
    seconds = import_seconds(interpreters=1 if options.quick else 5)
    figures = {"comparisons": comparisons, "import_seconds": seconds}
    report.publish(options, figures, tables, draw)


if __name__ == "__main__":
    main()
