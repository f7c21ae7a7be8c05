"""Make docs/performance.md and its plots: run the benchmarks, or read what an earlier run has left.

    bench/bin/python docs/make_performance.py FOLDER                  a quarter of an hour
    bench/bin/python docs/make_performance.py FOLDER --parts scaling  only this, the rest as it is
    bench/bin/python docs/make_performance.py FOLDER --parts          run nothing, write the page
    bench/bin/python docs/make_performance.py FOLDER --quick          do they run? Page in FOLDER

FOLDER keeps the figures (JSON), tables (Markdown) and plots of each part. benchmarks/README.md says
how to make the environment `bench`. Leave the machine alone meanwhile. The page from KEPT on is
written by hand, and stays.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

DOCS = Path(__file__).resolve().parent
BENCHMARKS = DOCS.parent / "benchmarks"
KEPT = "## What was tried and did not pay"

sys.path.insert(0, str(BENCHMARKS))
from report import table  # noqa: E402


class Part(NamedTuple):
    """A script in benchmarks/, and what the page says above its tables."""

    title: str
    text: str
    plot: str = ""  # what it shows; empty: the script draws none
    json: bool = True
    quick: tuple[str, ...] = ("--quick",)


PARTS = {
    "run": Part(
        "Training steps",
        "One step of both players, at the same number of threads; the contenders take turns, and "
        "ratios are medians of those within rounds. NumPy by hand is what a skilled person writes "
        "for exactly these two networks. The arithmetic limit is the multiplications of the step's "
        "layers, as the textbook has them, at the rate of NumPy's matrix products in the same run; "
        "kernels that multiply less can be below it. Peak memory is the process's own, libraries "
        "included.",
        "time of a step beside PyTorch eager's",
    ),
    "convolution": Part(
        "Convolutions, layer by layer",
        "One kernel at a time, on 64 pictures: forward, to the input, to the kernel. The error is "
        "that of float32 against float64, in brackets as a multiple of plain columns'.",
        json=False,
        quick=("--rounds", "1"),
    ),
    "micro": Part(
        "Adam, batch norm, data",
        "Beside PyTorch's, in turns, one thread: processor time. JPEGs: time on the clock, "
        "decoded in threads.",
    ),
    "overhead": Part(
        "What an operation costs",
        "Beyond NumPy's own work: not recorded, recorded for a gradient, and with the walk back.",
    ),
    "startup": Part(
        "Import and memory",
        "Fresh interpreters; NumPy's time is part of all the others'. Training with pictures, "
        "TensorBoard's files and checkpoints; PyTorch is hidden from it, which tensorboardX would "
        "import where it is installed.",
    ),
    "scaling": Part(
        "As the work grows",
        "Alternating steps on one thread, one thing varied at a time (else a batch of 32 pictures, "
        "32 x 32, 32 channels), in processor time. Where the exponent is below 1, larger "
        "networks make better use of the machine; above 1 would be a cliff.",
        "steps a second as the work grows",
    ),
    "long_run": Part(
        "A long run",
        "`minigan train mlp-gan`, everything logged, each thousand steps on one thread, "
        "time on the clock. PyTorch is hidden from it, as above.",
        "speed and memory over 10,000 steps",
    ),
}


def run(name: str, folder: Path, quick: bool) -> None:
    """Run one script; its tables, figures and plot go into the folder."""
    part = PARTS[name]
    command = [sys.executable, str(BENCHMARKS / f"{name}.py")]
    command += ["--json", str(folder / f"{name}.json")] if part.json else []
    command += ["--plot", str(folder / f"{name}.png")] if part.plot else []
    command += part.quick if quick else []
    start = time.monotonic()
    print(f"{name} ...", end=" ", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    (folder / f"{name}.md").write_text(done.stdout)
    print(f"{time.monotonic() - start:.0f} s")


def page(folder: Path, kept: str) -> str:
    if not (folder / "run.json").exists():
        raise SystemExit(f"{folder} has no figures of run.py, the first part. Try: --parts run.")
    figures = json.loads((folder / "run.json").read_text())
    facts = "\n".join(f"- {name}: {value}" for name, value in figures["machine"].items())
    sections = [section(name, folder) for name in PARTS if (folder / f"{name}.md").exists()]
    introduction = (
        "# Performance\n\n"
        "Figures depend on the machine: compare those of one table. This page is made by "
        "`docs/make_performance.py`; benchmarks/README.md says how the comparison is kept fair.\n\n"
        f"{facts}\n\n## In short\n\n{summary(figures['comparisons'])}\n"
    )
    return "\n".join([introduction, *sections, kept])


def summary(comparisons: list[dict[str, Any]]) -> str:
    """minigan's row of each comparison."""
    rows = []
    for c in comparisons:
        ratios = {rival: f"{values['Minigan']:.2f}" for rival, values in c["ratios"].items()}
        peaks = {contender: f"{peak:.0f}" for contender, peak in c["peak_megabytes"].items()}
        rows.append({
            "workload": c["workload"],
            "threads": str(c["threads"]),
            "ms a step": f"{c['ms']['Minigan']:,.2f}",
            "/ PyTorch eager": ratios.get("TorchEager", ""),
            "/ NumPy by hand": ratios.get("HandWrittenNumpy", ""),
            "/ arithmetic limit": ratios["ArithmeticLimit"],
            "peak MB": peaks["Minigan"],
            "PyTorch's": peaks.get("TorchEager", ""),
        })  # fmt: skip
    return table(rows)


def section(name: str, folder: Path) -> str:
    part = PARTS[name]
    tables = (folder / f"{name}.md").read_text().strip()
    if not part.json:  # nor Markdown
        tables = f"```text\n{tables}\n```"
    picture = f"![{part.plot}](pictures/performance-{name}.png)\n\n" if part.plot else ""
    command = f"```sh\nbench/bin/python benchmarks/{name}.py\n```\n\n"
    return f"## {part.title}\n\n{command}{part.text}\n\n{picture}{tables}\n"


def kept_part() -> str:
    """What is written by hand."""
    path = DOCS / "performance.md"
    _, heading, text = path.read_text().partition(KEPT)
    if not heading:
        raise SystemExit(f"{path} has no {KEPT!r}, from which on it is written by hand.")
    return heading + text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the figures are kept")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="by default all")
    parser.add_argument("--quick", action="store_true", help="do they run? Figures mean little")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = kept_part()
    for name in options.parts:
        run(name, options.folder, options.quick)
    out = options.folder if options.quick else DOCS
    (out / "pictures").mkdir(exist_ok=True)
    for name in PARTS:
        if (plot := options.folder / f"{name}.png").exists():
            shutil.copy(plot, out / f"pictures/performance-{name}.png")
    (out / "performance.md").write_text(page(options.folder, kept))


if __name__ == "__main__":
    main()
